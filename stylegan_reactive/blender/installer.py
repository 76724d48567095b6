# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the engine's Python: a virtual environment in the extension's own folder, filled by pip.

Nothing of Blender is touched: neither its own Python nor what other add-ons see. The new environment is made beside the
one in use, tried out, and only then put into its place; whatever stops it on the way leaves the old one as it was.
This file knows nothing of Blender (no bpy), so all of it is tested without a window and without a network.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import EngineError
from .engine_locks import steps

GIGABYTE = 10**9
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
"""Versions of Python for which these packages exist."""
CHECK = """
import json, numpy, scipy, librosa, soundfile, soxr, safetensors, torch
print(json.dumps([torch.__version__, torch.version.cuda or "", getattr(torch.version, "hip", None) or ""]))
"""
OFFLINE = (
    "Blender may not go online. Allow it in Preferences > System > Network > Allow Online Access, or put the packages "
    "into a folder and name that under Package Source."
)


@dataclass(frozen=True)
class Build:
    """One of the builds of torch: what it is called, how large it is, and whether pip finds it without help.

    Attributes
    ----------
    download, room : float
        Gigabytes to fetch and on disk, of the whole environment.
    """

    key: str
    name: str
    description: str
    download: float
    room: float


BUILDS = (
    Build("cpu", "CPU", "The processor: works everywhere, a few pictures a second", 0.5, 2.0),
    Build(
        "cuda",
        "CUDA",
        "A graphics card of NVIDIA. On Windows, name the package source that torch's site gives",
        3.5,
        9.0,
    ),
    Build(
        "rocm", "ROCm", "A graphics card of AMD, on Linux. Name the package source that torch's site gives", 5.0, 20.0
    ),
    Build("mps", "Apple", "A Mac with an Apple processor", 0.4, 1.8),
)
"""What can be installed. The sizes are rounded up from installations of torch 2.13 with all it brings along."""


@dataclass(frozen=True)
class Progress:
    """How far an installation is: 0..1, and what it does now."""

    fraction: float
    text: str


@dataclass(frozen=True)
class Plan:
    """What is to be installed, and where.

    Attributes
    ----------
    folder : Path
        The extension's own folder; the environment becomes ``folder/environment``.
    base : str
        Path of the Python to build from.
    build : str
        Key of one of `BUILDS`.
    source : str
        Where to look for packages beside pip's own configuration: the address of an index, or a folder of wheels,
        which is then the only place. Empty: pip's configuration alone.
    online : bool
        Whether the network may be used.
    """

    folder: Path
    base: str
    build: str = "cpu"
    source: str = ""
    online: bool = False


def build_of(key: str) -> Build:
    """The build of a key."""
    return next(build for build in BUILDS if build.key == key)


def python_in(environment: Path) -> Path:
    """Path of the interpreter inside a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def installed_python(folder: Path) -> str:
    """The Python of a finished installation, or an empty text where there is none."""
    python = python_in(folder / "environment")
    return str(python) if python.is_file() and (folder / "environment" / "installed.json").is_file() else ""


def installed_facts(folder: Path) -> dict[str, str]:
    """What the finished installation is: its build, torch and Python; empty where there is none."""
    try:
        facts = json.loads((folder / "environment" / "installed.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in facts.items()} if isinstance(facts, dict) else {}


def log_file(folder: Path) -> Path:
    """Where everything that pip says is written."""
    return folder / "install.log"


# Which Python


def probe(python: str) -> tuple[int, int] | None:
    """Run a Python and return its version, or None where it cannot make a virtual environment.

    It has to be run: a name on the path may have nothing behind it, and some systems take `venv` apart.
    """
    program = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [python, "-I", "-c", program], capture_output=True, text=True, timeout=30, env=_environment_variables()
        )
        major, minor = map(int, answer.stdout.split()[:2])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return (major, minor) if answer.returncode == 0 else None


def find_base(named: str = "") -> str:
    """The Python to build from: the one that is named, else Blender's own, else one of the system's.

    Raises
    ------
    EngineError
        The named one is of no use, or there is none at all.
    """
    versions = "3.11 to 3.14"
    if named:
        version = probe(named)
        if version is None:
            raise EngineError(
                f"{named} is no Python that can make an environment. Choose another under Base Python, with its "
                "modules venv and ensurepip (Debian and Ubuntu: the package python3-venv)."
            )
        if version not in PYTHONS:
            raise EngineError(
                f"{named} is Python {version[0]}.{version[1]}, and the packages exist for {versions}. "
                "Choose another under Base Python."
            )
        return named
    others = [shutil.which(f"python{major}.{minor}") for major, minor in PYTHONS[::-1]]
    for python in (sys.executable, *others, shutil.which("python3"), shutil.which("python")):
        # Windows looks into the current folder first, which may be that of a stranger's file.
        if python and os.path.isabs(python) and probe(python) in PYTHONS:
            return python
    raise EngineError(
        f"No Python {versions} was found that can make an environment. Install one, and choose it under Base Python."
    )


# What pip is asked for


def pip_arguments(plan: Plan, wanted: Sequence[str]) -> list[str]:
    """The arguments of pip; raises `EngineError` where the network would be needed and may not be used."""
    common = ["install", "--no-input", "--disable-pip-version-check", "--no-color", "--progress-bar", "off"]
    common += ["--only-binary", ":all:"]  # nothing is compiled on an artist's machine
    if plan.source and Path(plan.source).is_dir():
        return [*common, "--no-index", "--find-links", plan.source, *wanted]
    if not plan.online:
        raise EngineError(OFFLINE)
    if not plan.source:
        return [*common, *wanted]
    if not re.match(r"(https?|file)://", plan.source):
        raise EngineError(
            f"The package source {plan.source!r} is neither an address (https://…) nor a folder that is there. "
            "Mend it, or leave it empty."
        )
    return [*common, "--extra-index-url", plan.source, *wanted]


def explain(log: str, plan: Plan, log_path: Path) -> EngineError:
    """What an artist can do about a failure of pip, from what pip said."""
    missing = re.findall(r"No matching distribution found for (\S+)", log)
    if re.search(r"No space left on device|\[Errno 28\]|not enough space", log, re.IGNORECASE):
        return EngineError(f"The disk of {plan.folder} is full. Free some space, then install again.")
    if re.search(r"NewConnectionError|Temporary failure in name|getaddrinfo|Read timed out|ProxyError", log):
        return EngineError(
            "pip could not reach its package index. Check the connection, or pip's own configuration where a proxy is "
            "needed, then install again: what was fetched is kept."
        )
    if re.search(r"CERTIFICATE_VERIFY_FAILED|SSLError", log):
        return EngineError(
            "The package index could not prove who it is (certificate). Check date and network settings."
        )
    if "DO NOT MATCH THE HASHES" in log:
        changed = re.search(r"^\s*(\S+) from ", log.partition("DO NOT MATCH THE HASHES")[2], re.MULTILINE)
        return EngineError(
            f"pip was given {changed[1] if changed else 'a package'} that is not the file which this add-on was tested "
            "with: it may be damaged, or not come from its author. Nothing was installed. Check the Package Source."
        )
    if missing and missing[0].startswith("torch"):
        if plan.build == "cpu":
            return EngineError(
                f"pip finds no {missing[0]} for this Python. Name the address of torch's CPU packages under Package "
                "Source (torch's site names it), or install the CUDA build: it is larger, and works without a card too."
            )
        return EngineError(
            f"pip finds no {missing[0]} for this Python. Name the address that torch's site gives for "
            f"{build_of(plan.build).name} under Package Source, or another Base Python."
        )
    if missing:
        return EngineError(f"pip finds no {missing[0]} for this Python. Choose another under Base Python.")
    last = next((line for line in reversed(log.splitlines()) if "ERROR" in line or "Error" in line), "")
    said = f" It says: {last.strip()}" if last else ""
    return EngineError(
        f"pip could not install the packages.{said} Press Show Log to read all that it said, in {log_path}"
    )


# The work


def install(plan: Plan) -> Generator[Progress, None, str]:
    """Install, and return the path of the finished Python. Closing the generator stops pip and clears up.

    Raises
    ------
    EngineError
        It cannot be done; the message says why and what to do. What was installed before is still there.
    """
    build = build_of(plan.build)
    target, fresh, log_path = plan.folder / "environment", plan.folder / "unfinished", log_file(plan.folder)
    pip_arguments(plan, ())  # the network may not be allowed: say so first
    yield Progress(0.0, "Looking for a Python to build from")
    base = find_base(plan.base)
    version = probe(base)
    assert version is not None
    plan.folder.mkdir(parents=True, exist_ok=True)
    _remove(fresh)
    free = shutil.disk_usage(plan.folder).free
    if free < build.room * GIGABYTE:
        raise EngineError(
            f"The {build.name} build needs {build.room:g} GB in {plan.folder}, and {free / GIGABYTE:.1f} GB are free. "
            "Free some space, then install again."
        )
    try:
        with log_path.open("wb") as log:
            yield Progress(0.01, "Making the environment")
            code = yield from _run([base, "-I", "-m", "venv", str(fresh)], log_path, log, plan, 0.01, 0.04)
            if code != 0:
                raise EngineError(
                    f"{base} could not make an environment. Choose another Python under Base Python. "
                    f"What it said is in {log_path}"
                )
            named = bool(plan.source) and not Path(plan.source).is_dir()
            todo = steps(plan.build, version, named_source=named)
            for number, step in enumerate(todo):
                command = [str(python_in(fresh)), "-I", "-m", "pip", *pip_arguments(plan, step.arguments)]
                share = 0.89 / len(todo)
                code = yield from _run(command, log_path, log, plan, 0.05 + number * share, share)
                if code != 0:
                    raise explain(log_path.read_text(encoding="utf-8", errors="replace"), plan, log_path)
            yield Progress(0.94, "Trying it out")
            torch = yield from _check(fresh, plan, log_path, log)
        _remove(fresh / "temporary")
        facts = {"build": plan.build, "torch": torch, "python": f"{version[0]}.{version[1]}", "base": base}
        (fresh / "installed.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        _put_into_place(fresh, target)
    except OSError as fault:
        raise EngineError(
            f"{fault.filename or plan.folder} could not be written ({fault.strerror}). "
            "Free some space or mend the rights of that folder, then install again."
        ) from fault
    finally:
        _remove(fresh)
    return str(python_in(target))


def remove(folder: Path) -> None:
    """Delete what was installed."""
    _remove(folder / "environment")
    _remove(folder / "unfinished")


def _check(environment: Path, plan: Plan, log_path: Path, log: IO[bytes]) -> Generator[Progress, None, str]:
    """Import everything once, and find out whether the build is the one that was asked for; torch's version."""
    start = log_path.stat().st_size
    command = [str(python_in(environment)), "-I", "-c", CHECK]
    code = yield from _run(command, log_path, log, plan, 0.94, 0.05, "Trying it out")
    said = log_path.read_bytes()[start:].decode("utf-8", errors="replace")
    answer = next((line for line in said.splitlines() if line.startswith("[")), "")
    if code != 0 or not answer:
        raise EngineError(
            f"The packages were installed and do not start. Choose another Base Python. What they said is in {log_path}"
        )
    torch, cuda, hip = (str(part) for part in json.loads(answer))
    if (plan.build == "cuda" and not cuda) or (plan.build == "rocm" and not hip):
        raise EngineError(
            f"pip brought torch {torch}, which is no {build_of(plan.build).name} build. Name the address that torch's "
            f"site gives for {build_of(plan.build).name} under Package Source, then install again."
        )
    return torch


def _run(
    command: Sequence[str],
    log_path: Path,
    log: IO[bytes],
    plan: Plan,
    start: float,
    span: float,
    text: str = "",
) -> Generator[Progress, None, int]:
    """Run a child with its output in the log, and yield how far it is, judged by the room that it has taken."""
    room = build_of(plan.build).room * GIGABYTE
    free, reached = shutil.disk_usage(plan.folder).free, 0.0
    temporary = plan.folder / "unfinished" / "temporary"  # the system's may be small, and pip unpacks gigabytes
    temporary.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**_environment_variables(), **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))},
        start_new_session=os.name == "posix",  # so that `_stop` reaches what the child starts
    )
    try:
        while True:
            try:
                return child.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                reached = max(reached, min(0.98, (free - shutil.disk_usage(plan.folder).free) / room))
                yield Progress(start + span * reached, text or last_words(log_path))
    finally:
        if child.poll() is None:
            _stop(child)


def last_words(log_path: Path) -> str:
    """What pip is at, in a few words, from the end of its log."""
    with log_path.open("rb") as log:
        log.seek(max(0, log_path.stat().st_size - 4000))
        lines = log.read().decode("utf-8", errors="replace").splitlines()
    for line in reversed(lines):
        fetched = re.match(r"\s*Downloading (?:\S*/)?([A-Za-z0-9_.]+)-\d\S*(?: \(([\d.]+ [kMG]B)\))?", line)
        if fetched:
            name, size = fetched.groups()
            return f"Fetching {name}" + (f", {size}" if size else "")
        if "Installing collected packages" in line:
            return "Unpacking"
        if line.startswith("Collecting "):
            return f"Looking for {line.split()[1].partition('==')[0]}"
    return "Starting pip"


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End a child and what it started."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
    else:
        child.terminate()
    try:
        child.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _put_into_place(fresh: Path, target: Path) -> None:
    """Let the new environment take the place of the old one, by two renames."""
    old = target.with_name("old")
    _remove(old)
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    _remove(old)


def _remove(folder: Path) -> None:
    """Delete a folder; on Windows a program that has just ended may hold a file for a moment."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _environment_variables() -> dict[str, str]:
    """The variables for a child: pip's own configuration stays, what would mix in Blender's Python goes."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
