# SPDX-License-Identifier: GPL-3.0-or-later
"""`make test-blender` never passes over a Blender in silence."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """A repository of which only the parts are there that the script needs; it asks for a Blender of the future."""
    (tmp_path / "tools").mkdir()
    for name in ("setup_environment.py", "test_blender.py"):
        shutil.copy(repository / "tools" / name, tmp_path / "tools")
    shutil.copy(repository / "requirements.lock", tmp_path)
    (tmp_path / "requirements-blender.lock").write_text('bpy==99.1.2 ; python_version == "3.999"\n')
    return tmp_path


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script of `make test-blender` in a repository."""
    command = [sys.executable, "-S", str(root / "tools" / "test_blender.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("asked", "status"), [("99.1", 1), ("99.1.2", 1), ("newest", 0), ("", 0)])
def test_missing_python_is_named_and_fails_only_what_was_asked_for_by_number(
    copy: Path, asked: str, status: int
) -> None:
    answer = run(copy, "--versions", asked)
    assert "Blender 99.1.2: not run, there is no Python 3.999" in answer.stdout
    assert answer.returncode == status


def test_unknown_version_is_refused_with_those_that_there_are(copy: Path) -> None:
    answer = run(copy, "--versions", "2.79")
    assert answer.returncode == 1
    assert "no Blender '2.79'" in answer.stderr
    assert "99.1, oldest, newest" in answer.stderr
