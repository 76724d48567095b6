# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests of Blender's room on every Blender that is supported: ``make test-blender`` runs this file.

Each Blender of ``requirements-blender.lock`` gets an environment of its own, made when it is first asked for and kept
in ``.venv-blender``; the one that ``make setup`` made is used as it is. torch is in none of the others: their engine
runs in the environment of ``make setup``, as an artist's engine runs beside Blender.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from setup_environment import (
    ENGINE,
    LOCK,
    MAIN,
    ROOT,
    SetupError,
    candidates,
    make_environment,
    probe,
    python_in,
    read_note,
    run_pip,
    write_note,
)

BLENDERS = ROOT / "requirements-blender.lock"
FOLDER = ROOT / ".venv-blender"
ROOM = ("tests/blender",)
# What the tests import beside Blender, and never torch.
PACKAGES = ("numpy", "pillow", "pytest", "soundfile", "soxr", "av")
EXIT_NO_TESTS = 5  # pytest's status when nothing was selected


@dataclass(frozen=True)
class Blender:
    """One line of the lock: a version of the ``bpy`` module and the Python that it was built for."""

    version: str
    python: str

    @property
    def series(self) -> str:
        """The version as an artist says it: "4.5"."""
        return ".".join(self.version.split(".")[:2])


def known_blenders() -> list[Blender]:
    """The Blenders of the lock, oldest first."""
    lines = re.findall(
        r'^bpy==([\d.]+) ; python_version == "([\d.]+)"$', BLENDERS.read_text(encoding="utf-8"), re.MULTILINE
    )
    return [Blender(version, python) for version, python in lines]


def chosen(asked: str, known: Sequence[Blender]) -> tuple[list[Blender], bool]:
    """The Blenders that are asked for, oldest first, and whether one that is missing is a failure.

    Nothing asked for means all of them; "oldest" and "newest" are a wish. A version by its number must be there.

    Raises
    ------
    SetupError
        A word fits no Blender of the lock.
    """
    words = asked.replace(",", " ").split()
    if not words:
        return list(known), False
    found: set[Blender] = set()
    must = False
    for word in words:
        if word in ("oldest", "newest"):
            found.add(known[0 if word == "oldest" else -1])
            continue
        fitting = [one for one in known if word in (one.version, one.series)]
        if not fitting:
            names = ", ".join(one.series for one in known)
            raise SetupError(f"There is no Blender {word!r} to test on. Ask for some of: {names}, oldest, newest.")
        found.update(fitting)
        must = True
    return [one for one in known if one in found], must


def blender_in(environment: Path) -> str:
    """The version of the ``bpy`` module in an environment, found without loading it; empty where there is none."""
    if not python_in(environment).exists():
        return ""
    program = "from importlib.metadata import version; print(version('bpy'))"
    answer = subprocess.run([str(python_in(environment)), "-c", program], capture_output=True, text=True)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def environment_for(blender: Blender, folder: Path) -> Path | None:
    """The environment with a Blender, made if it is not there yet; None where its Python is missing on this machine.

    Raises
    ------
    SetupError
        The Python is there and pip could not install what is needed.
    """
    if read_note(MAIN).get("state") == "ready" and blender_in(MAIN) == blender.version:
        return MAIN
    environment = folder / blender.version
    pins = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("bpy==")]
    wanted = " ".join((f"bpy=={blender.version}", *PACKAGES))
    if read_note(environment) == {"state": "ready", "wanted": wanted, "pins": "\n".join(pins)}:
        return environment
    python = next((one for one in map(probe, candidates(blender.python)) if one and one[0] == blender.python), None)
    if python is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    make_environment(environment, *python)
    constraints = environment / "constraints.txt"
    constraints.write_text("\n".join(pins) + "\n", encoding="utf-8")
    run_pip(environment, "install", "-c", str(constraints), *wanted.split(), doing=f"installing {wanted}")
    write_note(environment, {"state": "ready", "wanted": wanted, "pins": "\n".join(pins)})
    return environment


def engine_python() -> str:
    """The Python with torch: the one that the caller names, else the one that ``make setup`` made."""
    named = os.environ.get("STYLEGAN_REACTIVE_PYTHON", "")
    return named or str(python_in(ENGINE if python_in(ENGINE).exists() else MAIN))


def run_tests(environment: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run pytest in an environment, its output on the terminal; its status and its last line."""
    command = [str(python_in(environment)), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    variables = {**os.environ, "STYLEGAN_REACTIVE_PYTHON": engine_python(), "PYTHONDONTWRITEBYTECODE": "1"}
    child = subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    last = ""
    assert child.stdout is not None
    for line in child.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if re.search(r"\d+ (?:passed|failed|error|skipped)", line):
            last = line.strip().strip("= ")
    return child.wait(), last


def run_all(asked: str, tests: Sequence[str], folder: Path) -> int:
    """Test on each Blender that is asked for; 0 where all that could be run has passed."""
    blenders, must = chosen(asked, known_blenders())
    table: list[str] = []
    failed = False
    for blender in blenders:
        print(f"\n== Blender {blender.version} (Python {blender.python})", flush=True)
        started = time.monotonic()
        environment = environment_for(blender, folder)
        if environment is None:
            table.append(
                f"Blender {blender.version}: not run, there is no Python {blender.python} with venv here; install one"
            )
            failed |= must
            continue
        status, last = run_tests(environment, tests)
        failed |= status not in (0, EXIT_NO_TESTS)
        outcome = last or f"pytest ended with status {status}"
        table.append(f"Blender {blender.version}: {outcome} ({time.monotonic() - started:.0f} s in all)")
    print("\n" + "\n".join(table))
    return int(failed)


def main() -> int:
    """Read the command line, test, and turn what can be mended into one message."""
    parser = argparse.ArgumentParser(description="Run the tests of Blender's room on every supported Blender.")
    parser.add_argument("--versions", default="", help='such as "4.5 5.2" or "oldest newest"; nothing: all')
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the environments are kept")
    parser.add_argument("tests", nargs="*", default=list(ROOM), help="which tests, as pytest takes them")
    arguments = parser.parse_args()
    try:
        return run_all(arguments.versions, arguments.tests or ROOM, arguments.folder.resolve())
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the next run starts this environment again.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
