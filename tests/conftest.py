# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: the repository's own files, and Blender in a child process.

Blender's user folders are pointed at a temporary folder before anything imports ``bpy``, so that no test reads or
changes the preferences of whoever runs it.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from stylegan_reactive.builtin_networks import find_builtin

REPOSITORY = Path(__file__).resolve().parent.parent
ENGINE_PYTHON = REPOSITORY / ".venv-engine" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
HAS_TORCH = importlib.util.find_spec("torch") is not None
HAS_BLENDER = importlib.util.find_spec("bpy") is not None
# `make setup` gives torch an environment of its own where no CPU build of it fits Blender's Python. The rooms that
# hold torch are then tested there and all others beside Blender; `make test` runs both.
ROOMS_WITH_TORCH = {"generator", "choreography", "engine", "security", "training"}

SCRIPT_RUNNER = """
import os, runpy, sys, traceback
path, code = sys.argv[1], 0
sys.argv = sys.argv[1:]
try:
    runpy.run_path(path, run_name="__main__")
except SystemExit as ending:
    code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
except BaseException:
    traceback.print_exc()
    code = 1
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)  # leaving the interpreter after a render can hang
"""


def pytest_configure(config: pytest.Config) -> None:
    """Give Blender in this process, and the engine, their places for the whole run."""
    folder = Path(tempfile.mkdtemp(prefix="stylegan-reactive-tests-"))
    os.environ["BLENDER_USER_RESOURCES"] = str(folder)
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    if not HAS_TORCH and ENGINE_PYTHON.exists():
        os.environ.setdefault("STYLEGAN_REACTIVE_PYTHON", str(ENGINE_PYTHON))


def pytest_report_header() -> list[str]:
    """Say what this environment leaves out, so that nobody takes a part for the whole."""
    rooms = ", ".join(sorted(ROOMS_WITH_TORCH))
    without_torch = f"without torch: tests of {rooms} are left out here and run in .venv-engine"
    without_blender = f"without Blender: only tests of {rooms} run here"
    return [line for line, there in ((without_torch, HAS_TORCH), (without_blender, HAS_BLENDER)) if not there]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the rooms that this environment cannot run at all."""
    if collection_path.parent != REPOSITORY / "tests" or not collection_path.is_dir():
        return None
    needs_torch = collection_path.name in ROOMS_WITH_TORCH
    return True if (needs_torch and not HAS_TORCH) or (not needs_torch and not HAS_BLENDER) else None


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root folder of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def builtin_song() -> Path:
    """The song that comes with the extension; its truth lies beside it, with the ending ``.json``."""
    return one_file(REPOSITORY / "stylegan_reactive" / "assets", "*.ogg", "*.flac")


@pytest.fixture(scope="session")
def builtin_generator() -> Path:
    """The network that is taken where none is chosen."""
    network = find_builtin("")
    assert network is not None
    assert network.path.is_file()
    return network.path


def one_file(folder: Path, *patterns: str) -> Path:
    """Return the only file in the folder that fits one of the patterns."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    assert len(found) == 1, f"expected one of {patterns} in {folder}, found {found}"
    return found[0]


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Reference material that is not part of the repository: the folder named by SGR_SHARED, or ../shared."""
    folder = Path(os.environ.get("SGR_SHARED") or REPOSITORY.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no reference material at {folder}; name its folder in SGR_SHARED")
    return folder


class RunBlender(Protocol):
    """The signature of the fixture ``run_blender``."""

    def __call__(self, script: str | Path, *arguments: object, timeout: float = 180.0) -> str: ...


@pytest.fixture
def run_blender(tmp_path: Path) -> RunBlender:
    """Run a Python script in a fresh Blender (the ``bpy`` module) and return what it printed.

    The script is a text or a path; further arguments are its ``sys.argv[1:]``. The repository is on its ``sys.path``.
    All calls in one test share user folders, as two sessions of one artist do. The test fails with the end of the
    output when the script raises, exits with another status than 0, or takes longer than ``timeout`` seconds.
    """
    return blender_of(tmp_path)


@pytest.fixture(scope="session")
def blender_in() -> Callable[[Path], RunBlender]:
    """Make a ``run_blender`` that works in a folder of your choice, for fixtures that live longer than one test."""
    return blender_of


def blender_of(folder: Path) -> RunBlender:
    """Return a function that runs scripts in Blender, with Blender's user folders inside the given one."""
    runner = folder / "run_blender.py"
    runner.write_text(SCRIPT_RUNNER, encoding="utf-8")
    environment = {
        **os.environ,
        "BLENDER_USER_RESOURCES": str(folder / "blender_user"),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
    }

    def run(script: str | Path, *arguments: object, timeout: float = 180.0) -> str:
        if isinstance(script, str):
            path = folder / "script.py"
            path.write_text(textwrap.dedent(script), encoding="utf-8")
        else:
            path = script
        child = subprocess.Popen(
            [sys.executable, str(runner), str(path), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            output, errors = child.communicate(timeout=timeout)
        except BaseException as stop:
            end_with_children(child)
            output, errors = child.communicate()
            if not isinstance(stop, subprocess.TimeoutExpired):
                raise
            pytest.fail(f"Blender took longer than {timeout:.0f} s\n{tail(output)}\n{tail(errors)}", pytrace=False)
        if child.returncode != 0:
            pytest.fail(f"Blender ended with {child.returncode}\n{tail(output)}\n{tail(errors)}", pytrace=False)
        return output

    return run


def end_with_children(child: subprocess.Popen[str]) -> None:
    """End a process and those that it started, the engine among them."""
    if os.name == "posix":
        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()


def tail(text: str, lines: int = 40) -> str:
    """Return the last lines of a text."""
    return "\n".join(text.splitlines()[-lines:])
