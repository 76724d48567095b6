# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's Python, installed from a folder of tiny wheels: nothing half made is ever used, nothing goes online."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from stylegan_reactive.blender import engine_locks, installer
from stylegan_reactive.blender.installer import Plan, find_base, install, installed_facts, installed_python
from stylegan_reactive.errors import EngineError

VERSION = sys.version_info[:2]
TORCH = "import types\nversion = types.SimpleNamespace(cuda=None, hip=None)\n"


def wheel(folder: Path, name: str, version: str, source: str = "") -> None:
    """Write a wheel with one module in it."""
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"__version__ = {version!r}\n{source}",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stand-ins of all packages."""
    folder = tmp_path_factory.mktemp("wheels")
    for requirement in {*engine_locks.requirements("cpu", VERSION), *engine_locks.requirements("cuda", VERSION)}:
        name, _, version = requirement.partition("==")
        wheel(folder, name, version, TORCH if name == "torch" else "")
    return folder


@pytest.fixture(autouse=True)
def locks(tmp_path_factory: pytest.TempPathFactory, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-ins by their hashes."""
    folder = tmp_path_factory.mktemp("locks")
    for path in wheels.iterdir():
        name, version = path.name.split("-")[:2]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lock = "packages.txt" if name != "torch" else "torch-cpu.txt" if "cpu" in version else "torch.txt"
        with (folder / lock).open("a") as file:
            file.write(f"{name}=={version} --hash=sha256:{digest}\n")
    monkeypatch.setattr(engine_locks, "LOCKS", folder)
    return folder


@pytest.fixture(autouse=True)
def pip_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of whoever runs the tests adds another place to look for packages."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "engine"


def finish(plan: Plan) -> tuple[str, list[installer.Progress]]:
    """Install to the end; the Python, and what was told on the way."""
    steps, told = install(plan), []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return end.value, told


def left_in(folder: Path) -> set[str]:
    """What lies in the folder beside the log."""
    return {path.name for path in folder.iterdir()} - {"install.log"} if folder.exists() else set()


def test_installed_python_works_where_it_was_put_and_replaces_the_one_before(folder: Path, wheels: Path) -> None:
    old = folder / "environment"
    old.mkdir(parents=True)
    (old / "of before").touch()
    python, told = finish(Plan(folder, base=sys.executable, source=str(wheels)))
    assert python == installed_python(folder)
    answer = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    assert answer.stdout.startswith("2.13.0")
    assert left_in(folder) == {"environment"}
    assert not (old / "of before").exists()
    assert not (old / "temporary").exists()
    assert installed_facts(folder)["build"] == "cpu"
    assert [step.fraction for step in told] == sorted(step.fraction for step in told)
    assert all(0 <= step.fraction < 1 and step.text for step in told)


def test_stopping_it_ends_pip_and_leaves_what_was_there(folder: Path, wheels: Path) -> None:
    (folder / "environment").mkdir(parents=True)
    steps = install(Plan(folder, base=sys.executable, source=str(wheels)))
    while next(steps).fraction < 0.011 or not (folder / "unfinished").exists():
        pass
    steps.close()
    assert left_in(folder) == {"environment"}
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True) if shutil.which("ps") else None
    assert running is None or str(folder) not in running.stdout
    assert installed_python(folder) == ""  # a folder without the note of a finished installation is never used


def test_build_that_is_not_what_was_asked_for_is_not_kept(folder: Path, wheels: Path, tmp_path: Path) -> None:
    source = shutil.copytree(wheels, tmp_path / "wheels", ignore=shutil.ignore_patterns("*+cpu*"))
    with pytest.raises(EngineError, match="which is no CUDA build"):
        finish(Plan(folder, base=sys.executable, build="cuda", source=str(source)))
    assert left_in(folder) == set()


def test_nothing_starts_while_blender_may_not_go_online(folder: Path) -> None:
    for source in ("", "https://somewhere.example/packages"):
        with pytest.raises(EngineError, match="Allow Online Access"):
            finish(Plan(folder, base=sys.executable, source=source, online=False))
    assert not folder.exists()


def test_source_that_is_neither_address_nor_folder_is_refused(folder: Path) -> None:
    with pytest.raises(EngineError, match="neither an address"):
        finish(Plan(folder, base=sys.executable, source="/nowhere/wheels", online=True))
    assert not folder.exists()


def test_full_disk_is_noticed_before_anything_is_fetched(
    folder: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10**9))
    with pytest.raises(EngineError, match=r"needs 2 GB in .*1\.0 GB are free"):
        finish(Plan(folder, base=sys.executable, source=str(wheels)))
    assert left_in(folder) == set()


@pytest.fixture
def false_python(tmp_path: Path) -> Path:
    """A program that is no Python."""
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\necho 3 6\n")
    path.chmod(0o755)
    return path


def test_python_that_is_of_no_use_is_refused_by_its_version(false_python: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"is Python 3\.6, and the packages exist for 3\.11 to 3\.14"):
        find_base(str(false_python))
    with pytest.raises(EngineError, match="is no Python that can make an environment"):
        find_base(str(tmp_path / "nobody"))


def test_python_of_blender_is_taken_where_none_is_named() -> None:
    assert find_base() == sys.executable


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk of .* full"),
        ("WARNING: NewConnectionError: Temporary failure in name resolution", "Check the connection"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "certificate"),
        ("ERROR: No matching distribution found for librosa==0.11.0", "no librosa==0.11.0"),
        ("ERROR: No matching distribution found for torch==2.13.0+cpu", "no torch==2.13.0.cpu .*Package Source"),
        ("ERROR: something new", "something new"),
    ],
)
def test_failure_of_pip_says_what_to_do(said: str, advice: str, tmp_path: Path) -> None:
    message = str(installer.explain(said, Plan(tmp_path, base="", build="cpu"), tmp_path / "install.log"))
    assert re.search(advice, message)


def test_versions_are_those_that_the_lock_names(repository: Path) -> None:
    lock = (repository / "requirements.lock").read_text("utf-8")
    for version in ((3, 11), (3, 13)):
        for requirement in engine_locks.requirements("cuda", version):
            assert re.search(rf"^{re.escape(requirement)}(?: ;.*{version[0]}\.{version[1]}\")?$", lock, re.MULTILINE)


def test_file_that_is_another_than_it_was_is_not_installed(folder: Path, wheels: Path, tmp_path: Path) -> None:
    changed = tmp_path / "wheels"
    shutil.copytree(wheels, changed)
    version = engine_locks.PINS["scipy"]
    wheel(changed, "scipy", version, "import os; os.system('echo sprung')")
    with pytest.raises(EngineError, match=r"scipy==.* is not the file which this add-on was tested with"):
        finish(Plan(folder, base=sys.executable, source=str(changed)))
    assert left_in(folder) == set()


def test_package_that_nobody_knows_is_not_brought_along(folder: Path, locks: Path, wheels: Path) -> None:
    packages = locks / "packages.txt"
    packages.write_text("".join(line for line in packages.read_text().splitlines(True) if not line.startswith("scipy")))
    with pytest.raises(EngineError):
        finish(Plan(folder, base=sys.executable, source=str(wheels)))


KINDS = [
    ("cpu", "linux", "x86_64", (3, 11), False, True),
    ("cpu", "linux", "x86_64", (3, 13), False, False),
    ("cpu", "win32", "AMD64", (3, 13), False, True),
    ("cuda", "linux", "x86_64", (3, 13), False, True),
    ("cuda", "linux", "x86_64", (3, 13), True, False),
    ("cuda", "win32", "AMD64", (3, 11), True, False),
    ("rocm", "linux", "x86_64", (3, 12), True, False),
    ("mps", "darwin", "arm64", (3, 14), False, True),
]


@pytest.mark.parametrize(("build", "platform", "machine", "version", "named", "known"), KINDS)
def test_only_torch_of_a_named_source_is_taken_without_a_hash(
    build: str, platform: str, machine: str, version: tuple[int, int], named: bool, known: bool
) -> None:
    found = engine_locks.steps(build, version, named_source=named, platform=platform, machine=machine)
    assert all(step.hashed == ("--require-hashes" in step.arguments) for step in found)
    assert all(step.hashed for step in found) == known
    loose = [argument for step in found if not step.hashed for argument in step.arguments]
    assert loose == ([] if known else [f"torch=={engine_locks.PINS['torch']}{'+cpu' if build == 'cpu' else ''}"])


ENTRY = r"^([\w.-]+)==(\S+?)(?: ; [^\n]*?)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"


def test_locks_name_exact_versions_and_hashes_of_everything(repository: Path) -> None:
    folder = repository / "stylegan_reactive" / "blender" / "locks"
    found: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*.txt")):
        text = "".join(line for line in path.read_text("utf-8").splitlines(True) if not line.startswith("#"))
        entries = list(re.finditer(ENTRY, text, re.MULTILINE))
        assert "".join(entry[0] for entry in entries) == text  # nothing else is in there
        for entry in entries:
            found.setdefault(entry[1], set()).add(entry[2])
    for build in ("cpu", "cuda"):
        for version in ((3, 11), (3, 13)):
            for requirement in engine_locks.requirements(build, version, "linux"):
                name, _, pin = requirement.partition("==")
                assert pin in found[name]


def test_locks_agree_with_the_development_environment(repository: Path) -> None:
    lock = (repository / "requirements.lock").read_text("utf-8")
    text = (repository / "stylegan_reactive" / "blender" / "locks" / "packages.txt").read_text("utf-8")
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE):
        pins = re.findall(rf"^{re.escape(name)}==(\S+)", lock, re.MULTILINE)
        assert version in pins, f"{name} {version} is in requirements.lock with {pins}"
