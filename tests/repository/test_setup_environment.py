# SPDX-License-Identifier: GPL-3.0-or-later
"""`make setup` does nothing twice, touches nothing that is not its own, and says what to do where it cannot go on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """A repository of which only the parts are there that `make setup` needs."""
    (tmp_path / "tools").mkdir()
    shutil.copy(repository / "tools" / "setup_environment.py", tmp_path / "tools")
    shutil.copy(repository / "requirements.lock", tmp_path)
    return tmp_path


def set_up(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script of `make setup` in a repository."""
    command = [sys.executable, "-S", str(root / "tools" / "setup_environment.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_second_run_asks_no_index_and_changes_nothing(repository: Path) -> None:
    if Path(sys.prefix) != repository / ".venv":
        pytest.skip("these tests do not run in the .venv of `make setup`")
    before = {path: path.stat().st_mtime_ns for path in (repository / ".venv").iterdir()}
    answer = set_up(repository)
    assert "(nothing changed)" in answer.stdout, answer.stdout + answer.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (repository / ".venv").iterdir()}


def test_environment_of_somebody_else_is_left_alone(copy: Path) -> None:
    python = copy / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    python.parent.mkdir(parents=True)
    python.write_text("mine")
    answer = set_up(copy, "--python", sys.executable)
    assert answer.returncode == 1
    assert "was not made by `make setup`" in answer.stderr
    assert python.read_text() == "mine"


def test_python_that_is_not_there_is_named_and_nothing_is_made(copy: Path) -> None:
    answer = set_up(copy, "--python", "python3.999")
    assert answer.returncode == 1
    assert "python3.999 was not found" in answer.stderr
    assert not (copy / ".venv").exists()


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for an old Python is a shell script")
def test_python_without_a_blender_is_refused_with_the_reason(copy: Path) -> None:
    old = copy / "python-old"
    old.write_text(f"#!/bin/sh\necho 3.9\necho {old}\n")
    old.chmod(0o755)
    answer = set_up(copy, "--python", str(old))
    assert answer.returncode == 1
    assert "is Python 3.9; Blender's module exists for 3.11 and 3.13 only" in answer.stderr
    assert not (copy / ".venv").exists()
