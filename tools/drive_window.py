# SPDX-License-Identifier: GPL-3.0-or-later
"""Drive the real Blender window: ``make test-window`` and ``make tutorial`` run this file.

The window is a Blender application on a virtual screen. It is no part of this repository: its folder, which holds
``window.sh``, is named by ``--window``. Where it is missing this says so and ends with an error.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from build_extension import BuildError, build

ROOT = Path(__file__).resolve().parent.parent
JOURNEY = ROOT / "tests" / "window" / "journey.py"
SECONDS = 600
PICTURE_WIDTH = 1280
PICTURES = 10


class WindowError(Exception):
    """The window cannot be driven; the message says why."""


def places_of(python: str) -> list[str]:
    """The folders that a Python needs to run: its environment and what that was made from."""
    program = "import sys; print(sys.prefix); print(sys.base_prefix)"
    answer = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return list(dict.fromkeys(answer.stdout.split()))


def drive(window: Path, python: str, folder: Path, side: int) -> None:
    """Run the journey in the window; its pictures and its log are in the folder.

    Raises
    ------
    WindowError
        There is no window, or the journey did not reach its end.
    """
    script = window / "window.sh"
    if not script.is_file():
        raise WindowError(
            f"There is no window at {window}: its folder holds window.sh and build.sh. Name it: WINDOW=folder"
        )
    try:
        path = build(ROOT, folder / "zip")
    except BuildError as error:
        raise WindowError(str(error)) from error
    places = [*places_of(python), str(ROOT)]
    if "/usr" in places:
        raise WindowError(
            f"{python} is made from the system's Python, which the window has no room for: it has a system of its own. "
            "Use one with a folder of its own: make setup PYTHON=…"
        )
    mounts = [argument for place in places for argument in ("-m", place)]
    command = [
        "bash",
        str(script),
        "-o",
        str(folder),
        "-t",
        str(SECONDS),
        "-H",
        str(folder / "home"),
        *mounts,
        str(JOURNEY),
    ]
    variables = {**os.environ, "JOURNEY_ZIP": str(path), "JOURNEY_PYTHON": python, "JOURNEY_SIDE": str(side)}
    answer = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    log = folder / "blender.log"
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else answer.stdout + answer.stderr
    if answer.returncode != 0 or "JOURNEY DONE" not in said:
        lines = said.splitlines()[-30:]
        kept = Path(tempfile.mkdtemp(prefix="window-"))
        for picture in folder.glob("*.png"):
            (kept / picture.name).write_bytes(picture.read_bytes())
        raise WindowError("\n".join([*lines, f"The window ended with {answer.returncode}; its pictures are in {kept}"]))


def keep_pictures(folder: Path, target: Path) -> list[Path]:
    """Make small JPEGs of the journey's pictures."""
    from PIL import Image

    target.mkdir(parents=True, exist_ok=True)
    kept = []
    for path in sorted(folder.glob("[01][0-9]_*.png")):
        picture = Image.open(path).convert("RGB")
        height = round(picture.height * PICTURE_WIDTH / picture.width)
        kept.append(target / f"{path.stem}.jpg")
        picture.resize((PICTURE_WIDTH, height), Image.Resampling.LANCZOS).save(kept[-1], quality=82, optimize=True)
    return kept


def main() -> int:
    """Read the command line and drive."""
    parser = argparse.ArgumentParser(description="Drive the real Blender window through an artist's first film.")
    parser.add_argument("--window", type=Path, required=True, help="the folder with window.sh")
    parser.add_argument("--python", default=sys.executable, help="the Python with torch that runs the engine")
    parser.add_argument("--tutorial", type=Path, help="put the pictures there, and paint larger ones")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="journey-") as name:
        folder = Path(name)
        try:
            drive(arguments.window.resolve(), arguments.python, folder, 768 if arguments.tutorial else 256)
        except WindowError as error:
            print(error, file=sys.stderr)
            return 1
        if arguments.tutorial:
            kept = keep_pictures(folder, arguments.tutorial)
            print(f"{len(kept)} pictures in {arguments.tutorial}")
            return 0 if len(kept) == PICTURES else 1
    print("The window did everything that it was asked to.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
