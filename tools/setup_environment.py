# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the development environment: ``make setup`` runs this file, with nothing but Python's standard library.

It makes ``.venv`` from ``requirements.lock`` and leaves a note in it when all is done. As long as the note says the
same as the lock and the request, a second run does nothing. A run that was interrupted leaves the note at
"unfinished", and the next run builds that environment again.

On Linux the index's default torch brings gigabytes of CUDA libraries, so the CPU build is asked for first. Where the
configured indexes hold none for this Python, but do hold one for Python 3.11, the engine (a process of its own) gets a
small second environment, ``.venv-engine``; the Makefile and the tests name it in ``STYLEGAN_REACTIVE_PYTHON``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
MAIN = ROOT / ".venv"
ENGINE = ROOT / ".venv-engine"
SUPPORTED = ("3.11", "3.13")
ENGINE_PACKAGES = (
    "numpy",
    "scipy",
    "librosa",
    "soundfile",
    "soxr",
    "safetensors",
    "torch",
    "pytest",
    "mir-eval",
    "pillow",
)
# Installed without what they ask for; requirements.lock says why.
ALONE = ("demucs", "openunmix", "einops", "julius", "tqdm")
CHECK = (
    "import os, bpy, numpy, librosa, soundfile, safetensors; "
    "print('Blender', bpy.app.version_string, 'and NumPy', numpy.__version__, flush=True); os._exit(0)"
)


class SetupError(Exception):
    """Something that the person at the keyboard can mend; the message says how."""


def python_in(environment: Path) -> Path:
    """Path of the interpreter inside a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def read_note(environment: Path) -> dict[str, str]:
    """Read what the last run left in this environment; empty where there is nothing to trust."""
    try:
        note = json.loads((environment / "setup.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def write_note(environment: Path, note: dict[str, str]) -> None:
    """Write the note in one step, so that it is never half there."""
    unfinished = environment / "setup.json.new"
    unfinished.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(environment / "setup.json")


def probe(command: str) -> tuple[str, str] | None:
    """Run a candidate and return (its version as "3.11", its real path), or None where it is of no use.

    The candidate has to be run: a version manager's stand-in is found on the path and still may have nothing behind it.
    """
    program = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
    try:
        answer = subprocess.run([command, "-I", "-c", program], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = answer.stdout.split("\n")
    return (lines[0], lines[1]) if answer.returncode == 0 and len(lines) >= 2 else None


def candidates(version: str) -> list[str]:
    """Name what may be a Python of this version: on the path, and in the folder of the version manager pyenv."""
    found = [shutil.which("python" + version)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found += [str(path) for path in sorted(pyenv.glob("versions/" + version + ".*/bin/python"), reverse=True)]
    found += [shutil.which("python3"), shutil.which("python"), sys.executable]
    return [path for path in found if path]


def find_python(asked: str) -> tuple[str, str]:
    """Return (version, path) of the Python to use: the one asked for, otherwise 3.11, otherwise 3.13."""
    if asked:
        named = re.fullmatch(r"(?:python)?(3\.\d+)", asked)
        for command in [asked, *(candidates(named.group(1)) if named else [])]:
            python = probe(command)
            if python and (not named or python[0] == named.group(1)):
                if python[0] not in SUPPORTED:
                    raise SetupError(f"{asked} is Python {python[0]}; Blender's module exists for 3.11 and 3.13 only.")
                return python
        raise SetupError(f"{asked} was not found, or its modules venv and ensurepip are missing.")
    for version in SUPPORTED:
        for command in candidates(version):
            python = probe(command)
            if python and python[0] == version:
                return python
    raise SetupError(
        "Neither Python 3.11 nor 3.13 was found (this one is {}.{}). Install one of them with its venv module, for "
        "example the packages python3.11 and python3.11-venv, or name it: make setup PYTHON=/path/to/python3.11".format(
            *sys.version_info
        )
    )


def run_pip(environment: Path, *arguments: str, doing: str, may_be_missing: bool = False) -> bool:
    """Run pip with a clock on the terminal, its output in ``setup.log``; False where no index has what is asked for."""
    log = environment / "setup.log"
    command = [str(python_in(environment)), "-m", "pip", "--disable-pip-version-check", *arguments]
    started, clock = time.monotonic(), sys.stdout.isatty()
    print(f"  {doing} ...", end="", flush=True)
    with log.open("ab") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    code = child.wait(timeout=1.0)
                    break
                except subprocess.TimeoutExpired:
                    if clock:
                        print(f"\r  {doing} ... {time.monotonic() - started:.0f} s", end="", flush=True)
        except BaseException:
            child.terminate()
            child.wait()
            raise
    seconds = time.monotonic() - started
    print(("\r  " + doing + " ... " if clock else " ") + (f"{seconds:.0f} s" if code == 0 else "no"), flush=True)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
    if code != 0 and not (may_be_missing and "No matching distribution found" in tail):
        raise SetupError(f"pip could not do it; the end of {log}:\n{tail}")
    return code == 0


def make_environment(environment: Path, version: str, python: str) -> None:
    """Make an empty virtual environment, in place of an unfinished one or one of another Python."""
    if environment.exists():
        if not (environment / "setup.json").exists() and python_in(environment).exists():
            raise SetupError(f"{environment} was not made by `make setup`. Move it away or delete it, then try again.")
        shutil.rmtree(environment)
    print(f"  {environment.name} from Python {version}, {python}", flush=True)
    environment.mkdir()
    write_note(environment, {"state": "unfinished"})
    answer = subprocess.run([python, "-m", "venv", str(environment)], capture_output=True, text=True)
    if answer.returncode != 0:
        raise SetupError(f"`{python} -m venv` failed:\n{answer.stdout}{answer.stderr}")


def install_cpu_torch(environment: Path, version: str, torch_index: str) -> bool:
    """Install the CPU build of the locked torch, and say whether the configured indexes hold one for this Python."""
    locked = re.search(r"^torch==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if locked is None:
        raise SetupError(f"{LOCK.name} names no version of torch.")
    wanted = f"torch=={locked.group(1)}+cpu"
    extra = ["--extra-index-url", torch_index] if torch_index else []
    doing = f"looking for {wanted} for Python {version}"
    return run_pip(environment, "install", "--no-deps", *extra, wanted, doing=doing, may_be_missing=True)


def locked(names: Sequence[str]) -> list[str]:
    """The lines of the lock that name these packages."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.partition("==")[0] in names]


def fill_engine(torch_index: str) -> bool:
    """Make ``.venv-engine`` with the CPU build of torch for Python 3.11, and say whether there is one."""
    pythons = (python for python in map(probe, candidates("3.11")) if python and python[0] == "3.11")
    python = next(pythons, None)
    if python is None:
        return False
    make_environment(ENGINE, *python)
    if not install_cpu_torch(ENGINE, "3.11", torch_index):
        shutil.rmtree(ENGINE)
        return False
    doing = "installing the engine's other packages, a minute or two"
    run_pip(ENGINE, "install", "-c", str(LOCK), *ENGINE_PACKAGES, doing=doing)
    run_pip(ENGINE, "install", "--no-deps", *locked(ALONE), doing="installing what separates stems")
    write_note(ENGINE, {"state": "ready"})
    return True


def fill_main(version: str, torch: str, torch_index: str) -> str:
    """Install the lock into ``.venv`` and return where torch went: "cpu", "default" or "engine"."""
    kind = "default"
    if torch == "cpu" and sys.platform == "linux":
        if install_cpu_torch(MAIN, version, torch_index):
            kind = "cpu"
        elif version != "3.11" and fill_engine(torch_index):
            kind = "engine"
        else:
            print("  The configured indexes hold no CPU build of torch: the default build with CUDA is taken,")
            print("  several GB. To avoid it, stop and name an index that has one: make setup TORCH_INDEX=URL")
    if kind != "engine" and ENGINE.exists():
        shutil.rmtree(ENGINE)
    left_out = set(locked((*ALONE, "torch") if kind == "engine" else ALONE))
    requirements = MAIN / "requirements.txt"
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    requirements.write_text("\n".join(line for line in lines if line not in left_out) + "\n", encoding="utf-8")
    run_pip(MAIN, "install", "-r", str(requirements), doing="installing Blender and the rest, a few minutes")
    run_pip(MAIN, "install", "--no-deps", *locked(ALONE), doing="installing what separates stems")
    return kind


def check_main() -> str:
    """Import Blender and the packages with compiled parts once, and return their versions in words."""
    answer = subprocess.run([str(python_in(MAIN)), "-c", CHECK], capture_output=True, text=True)
    lines = [line for line in answer.stdout.splitlines() if line.startswith("Blender ")]
    if answer.returncode == 0 and lines:
        return lines[-1]
    missing = re.search(r"(lib\S+): cannot open shared object file", answer.stderr)
    if missing:
        raise SetupError(f"Blender needs the system's library {missing.group(1)}. Install it with the system's own "
                         "package manager (Debian, Ubuntu: apt install libxi6 libxxf86vm1 libxfixes3 libxkbcommon0 "
                         "libsm6 libgl1 libegl1 libxrender1), then try again.")  # fmt: skip
    raise SetupError("The new environment does not load:\n" + "\n".join(answer.stderr.splitlines()[-15:]))


def set_up(python: str, torch: str, torch_index: str) -> str:
    """Bring ``.venv`` to what the lock and the request say, and return one line on what is there.

    An empty ``python`` or ``torch`` asks for nothing: what an earlier run chose then stays.
    """
    note = read_note(MAIN)
    lock = hashlib.sha256(LOCK.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    is_ready = note.get("state") == "ready" and python_in(MAIN).exists()
    if is_ready and note.get("torch") == "engine":
        is_ready = read_note(ENGINE).get("state") == "ready" and python_in(ENGINE).exists()
    same_python = not python or python == note.get("asked")
    same_torch = (not torch or torch == note.get("torch_asked")) and not (torch_index and note.get("torch") != "cpu")
    if is_ready and note.get("lock") == lock and same_python and same_torch:
        return f"{note['summary']} (nothing changed)"

    started = time.monotonic()
    asked, torch = python or note.get("asked", ""), torch or note.get("torch_asked", "cpu")
    print("Setting up the environment", flush=True)
    version, path = find_python(asked)
    if is_ready and note.get("version") == version and torch == note.get("torch_asked") and not torch_index:
        # The same Python and the same torch: pip then changes only what the lock has changed.
        write_note(MAIN, {**note, "state": "unfinished"})
    else:
        make_environment(MAIN, version, path)
    kind = fill_main(version, torch, torch_index)
    words = {
        "cpu": "torch for the CPU",
        "default": "the default torch",
        "engine": "torch for the CPU in .venv-engine (Python 3.11)",
    }
    summary = f".venv is ready: Python {version}, {check_main()}, {words[kind]}"
    write_note(MAIN, {
        "state": "ready", "lock": lock, "version": version, "asked": asked,
        "torch": kind, "torch_asked": torch, "summary": summary,
    })  # fmt: skip
    return f"{summary} ({time.monotonic() - started:.0f} s)"


def main() -> int:
    """Read the command line, set up, and turn what can be mended into one message."""
    parser = argparse.ArgumentParser(description="Make the development environment .venv from requirements.lock.")
    parser.add_argument("--python", default="", help="which Python: python3.11, python3.13 or a path")
    parser.add_argument("--torch", default="", choices=("", "cpu", "default"), help="which build of torch, on Linux")
    parser.add_argument("--torch-index", default="", help="one more package index in which to look for torch")
    arguments = parser.parse_args()
    try:
        print(set_up(arguments.python, arguments.torch, arguments.torch_index))
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the next run starts this environment again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
