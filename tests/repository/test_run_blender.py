# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender in a child process, as the other tests use it, tells the truth about what happened there."""

import time
from pathlib import Path
from typing import Any

import pytest


def test_script_finds_its_arguments_the_package_and_user_folders_of_its_own(run_blender: Any, tmp_path: Path) -> None:
    script = """
        import sys
        import bpy
        import stylegan_reactive.errors
        print("SAYS", sys.argv[1:], bpy.utils.resource_path("USER"))
    """
    output = run_blender(script, "one", 2)
    (line,) = [line for line in output.splitlines() if line.startswith("SAYS")]
    assert line.startswith("SAYS ['one', '2']")
    assert str(tmp_path) in line


@pytest.mark.parametrize("script", ["raise ValueError('deliberate')", "import sys; sys.exit('deliberate')"])
def test_script_that_raises_fails_its_test(run_blender: Any, script: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="Blender ended with 1"):
        run_blender(script)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks /proc about a process, as Linux has it")
def test_script_that_hangs_is_ended_with_its_children(run_blender: Any, tmp_path: Path) -> None:
    script = """
        import subprocess, sys, time
        from pathlib import Path
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(sys.argv[1]).write_text(str(child.pid))
        print("waiting", flush=True)
        child.wait()
    """
    with pytest.raises(pytest.fail.Exception, match="longer than 4 s\nwaiting"):
        run_blender(script, tmp_path / "pid", timeout=4.0)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5.0
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(process: int) -> bool:
    """Whether a process still does anything; one that ended and that nobody has collected does not."""
    try:
        return "(zombie)" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
