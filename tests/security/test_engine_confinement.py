# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine gets no secrets, imports nothing that lies about, and may neither go online nor write where it likes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stylegan_reactive.engine import process
from stylegan_reactive.engine.client import Engine
from stylegan_reactive.engine.environment import needed
from stylegan_reactive.engine.process import Process
from tests.security.seeds import sounds

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
SECRETS = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "HF_TOKEN", "PIP_INDEX_URL", "SSH_AUTH_SOCK"),
    *("DATABASE_URL", "NVIDIA_API_KEY", "CUDA_TOKEN", "TORCH_PASSWORD", "STYLEGAN_REACTIVE_SECRET", "PYTHONPATH"),
    *("PYTHONSTARTUP", "PYTHONHOME", "LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "KRB5CCNAME", "MY_OWN_THING"),
)


def test_only_what_is_needed_is_handed_on() -> None:
    useful = {"PATH": "/bin", "HOME": "/my/home", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2"}
    proxies = {"HTTPS_PROXY": "http://proxy:3128", "http_proxy": "http://me:password@proxy:3128"}
    found = needed({**useful, **proxies, **dict.fromkeys(SECRETS, "hunter2")})
    assert found == {**useful, "HTTPS_PROXY": "http://proxy:3128"}


@pytest.fixture
def hostile_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, full of modules that leave a trace when they are imported; Python's variables lead to it."""
    folder = tmp_path / "beside the scene"
    folder.mkdir()
    names = ("torch", "numpy", "scipy", "json", "sitecustomize", "usercustomize", "stylegan_reactive", "soundfile")
    for name in names:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'sprung')!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(folder)
    for name in ("PYTHONPATH", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "torch.py"))
    return folder


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile_folder: Path) -> Iterator[Engine]:
    for name in SECRETS:
        if not name.startswith(("PYTHON", "LD_", "DYLD_")):
            monkeypatch.setenv(name, "hunter2")
    engine = Engine(PYTHON, "cpu", log_folder=tmp_path)
    yield engine
    engine.close()


@ON_LINUX
def test_engine_starts_without_secrets_modules_that_lie_about_and_files_of_blender(
    engine: Engine, hostile_folder: Path, tmp_path: Path
) -> None:
    private = tmp_path / "open in Blender"
    with private.open("w") as file:
        os.set_inheritable(file.fileno(), True)
        assert engine.start().versions["torch"]
        child = Path(f"/proc/{engine.pid}")
        open_files = {os.readlink(link) for link in (child / "fd").iterdir()}
        variables = (child / "environ").read_bytes()
    assert str(private) not in open_files
    assert not [path for path in open_files if path.startswith("socket:")]
    assert b"hunter2" not in variables
    assert not (hostile_folder / "sprung").exists()


@ON_LINUX
def test_confined_engine_still_reads_what_needs_another_package(engine: Engine, tmp_path: Path) -> None:
    pytest.importorskip("av")
    song = tmp_path / "song.m4a"
    song.write_bytes(sounds()["mp4"])
    assert engine.song(str(song))["sample_rate"] == 44100


def test_log_has_a_name_that_nobody_can_put_a_link_at_and_is_the_artists_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("diary")
    (tmp_path / f"stylegan_reactive_engine_{os.getpid()}.log").symlink_to(precious)
    process = Process(PYTHON, tmp_path)
    process.stop()
    assert precious.read_text() == "diary"
    assert not process.log.is_symlink()
    if os.name == "posix":
        assert process.log.stat().st_mode & 0o077 == 0


# What files of strangers could make Python do, each tried in a process that is confined like the engine's.
ATTEMPTS = {
    "run a command": "os.system('touch {out}')",
    "start a program": "subprocess.run(['touch', {out!r}])",
    "start a program by hand": "os.posix_spawn('/usr/bin/touch', ['touch', {out!r}], {{}})",
    "become a program": "os.execv('/usr/bin/touch', ['touch', {out!r}])",
    "call the system": "ctypes.CDLL(None).system(b'touch ' + {out!r}.encode())",
    "call the system by its number": "ctypes.CDLL(None).syscall(57)",
    "fork": "os.fork() or os._exit(0)",
    "open a socket": "socket.socket()",
    "ask for an address": "socket.getaddrinfo('localhost', 80)",
    "fetch a page": "urllib.request.urlopen('http://127.0.0.1:9/')",
    "listen": "socket.create_server(('127.0.0.1', 0))",
    "write a file": "open({out!r}, 'w')",
    "write a file by hand": "os.open({out!r}, os.O_WRONLY | os.O_CREAT)",
    "append to a file": "open({precious!r}, 'a').write('x')",
    "empty a file": "os.truncate({precious!r}, 0)",
    "delete a file": "os.remove({precious!r})",
    "delete a folder": "shutil.rmtree({folder!r})",
    "rename a file": "os.rename({precious!r}, {allowed!r} + '/taken')",
    "put a file elsewhere": "os.replace({mine!r}, {out!r})",
    "make a folder": "os.mkdir({out!r})",
    "make a link": "os.symlink({precious!r}, {out!r})",
    "change who may read": "os.chmod({precious!r}, 0o777)",
    "write through a link": "open({link!r}, 'w')",
    "write past a folder's link": "open({linked!r} + '/new', 'w')",
    "write by way of ..": "open({allowed!r} + '/../out', 'w')",
    "memory of another": "open('/proc/self/mem', 'r+b')",
}
ALLOWED = {
    "write in its folder": "open({allowed!r} + '/new', 'w').close()",
    "replace in its folder": "os.replace({mine!r}, {allowed!r} + '/other')",
    "delete in its folder": "os.makedirs({allowed!r} + '/a/b'); shutil.rmtree({allowed!r} + '/a')",
    "read a file": "open({precious!r}).read()",
    "write to nowhere": "open(os.devnull, 'w').close()",
}
PROGRAM = """
import ctypes, json, os, runpy, shutil, socket, subprocess, sys, urllib.request
main, allowed, attempts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
runpy.run_path(main)["load_package"]()
from stylegan_reactive.engine.confinement import Confinement, Refused
confinement = Confinement()
confinement.begin()
confinement.allow_writing(allowed)
found = {}
for name, code in attempts.items():
    try:
        exec(code)
        found[name] = "done"
    except Refused:
        found[name] = "refused"
    except BaseException as fault:
        found[name] = "refused" if isinstance(fault.__context__, Refused) else repr(fault)
print(json.dumps(found))
"""


def outcome(tmp_path: Path, attempts: dict[str, str]) -> dict[str, str]:
    """What became of each attempt."""
    import json

    folder, allowed = tmp_path / "elsewhere", tmp_path / "allowed"
    for each in (folder, allowed):
        each.mkdir()
    (folder / "precious").write_text("diary")
    (allowed / "mine").write_text("mine")
    (allowed / "link").symlink_to(folder / "precious")
    (allowed / "linked").symlink_to(folder, target_is_directory=True)
    places = {
        **{"out": tmp_path / "out", "precious": folder / "precious", "folder": folder, "allowed": allowed},
        **{name: allowed / name for name in ("mine", "link", "linked")},
    }
    filled = {name: code.format(**{key: str(path) for key, path in places.items()}) for name, code in attempts.items()}
    command = [PYTHON, "-I", "-c", PROGRAM, str(process.MAIN), str(allowed), json.dumps(filled)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert (folder / "precious").read_text() == "diary"
    assert not (tmp_path / "out").exists()
    found: dict[str, str] = json.loads(answer.stdout.splitlines()[-1])
    return found


@pytest.mark.skipif(os.name != "posix", reason="tries programs and links of Unix")
def test_whatever_leads_out_of_the_engine_is_refused(tmp_path: Path) -> None:
    found = outcome(tmp_path, ATTEMPTS)
    assert found == dict.fromkeys(ATTEMPTS, "refused")


@pytest.mark.skipif(os.name != "posix", reason="makes links")
def test_what_the_engine_was_told_to_do_it_may_do(tmp_path: Path) -> None:
    assert outcome(tmp_path, ALLOWED) == dict.fromkeys(ALLOWED, "done")
