# SPDX-License-Identifier: GPL-3.0-or-later
"""`make test-window` says so when there is no window to drive."""

import subprocess
import sys
from pathlib import Path


def test_missing_window_is_named_with_what_to_do(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(repository / "tools" / "drive_window.py"), "--window", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 1
    assert f"There is no window at {tmp_path}" in answer.stderr
    assert "WINDOW=folder" in answer.stderr
