# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's Python, installed from a folder of tiny wheels: nothing half made is ever used, nothing goes online."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from stylegan_reactive.blender import installer
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
    for requirement in {*installer.requirements("cpu", VERSION), *installer.requirements("cuda", VERSION)}:
        name, _, version = requirement.partition("==")
        wheel(folder, name, version, TORCH if name == "torch" else "")
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


def test_build_that_is_not_what_was_asked_for_is_not_kept(folder: Path, wheels: Path) -> None:
    with pytest.raises(EngineError, match="which is no CUDA build"):
        finish(Plan(folder, base=sys.executable, build="cuda", source=str(wheels)))
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
        for requirement in installer.requirements("cuda", version):
            assert re.search(rf"^{re.escape(requirement)}(?: ;.*{version[0]}\.{version[1]}\")?$", lock, re.MULTILINE)
