# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves of an attack that nothing came of it: a child process reads it, watched from within and from outside.

Within, an audit hook (PEP 578) notes every program, socket, import, executed code and changed file, and stops it; the
memory that reading took at its peak is measured, and an address space that is little larger than what is in use makes
a blow-up fail instead of the machine. From outside, the test looks whether a file appeared, and whether it lived.

``python -m tests.security.canary FOLDER GROUPS`` runs groups of attacks and prints a line of JSON for each attack.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PEAK = 96 << 20  # bytes that reading any small file may take at its peak
ADDRESS_SPACE = 2 << 30  # bytes beyond what the process has when it begins
SECONDS = 20.0  # of processor time for one attack
TROUBLE = (
    *("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.spawn", "os.startfile", "pty.spawn"),
    *("subprocess.Popen", "socket.", "webbrowser.", "urllib.", "ftplib.", "smtplib.", "http.", "exec"),
    *("pickle.find_class", "ctypes.dlopen", "os.putenv", "os.kill", "signal.", "sys.settrace"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.symlink", "os.truncate", "shutil."),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PACKAGES = (
    "encodings",
    "numpy",
    "torch",
    "scipy",
    "safetensors",
    "stylegan_reactive",
    "demucs",
    "openunmix",
    "torchaudio",
)
"""What may import parts of its own late."""
INSTALLED = (f"{sys.base_prefix}{os.sep}", f"{os.path.dirname(os.__file__)}{os.sep}", f"{sys.prefix}{os.sep}")


@dataclass(frozen=True)
class Attack:
    """A file that means harm.

    Attributes
    ----------
    name : str
        What it tries.
    reader : str
        Of `readers.READERS`: who reads it.
    data : bytes
    harmless : bool
        Whether it may be read, as long as nothing comes of it; otherwise it has to be refused.
    """

    name: str
    reader: str
    data: bytes = field(repr=False)
    harmless: bool = False


@dataclass
class Verdict:
    """What came of an attack."""

    group: str
    name: str
    reader: str
    outcome: str = "begun"  # "refused", "read" or "fault"
    said: str = ""
    events: list[str] = field(default_factory=list)
    peak: int = 0
    size: int = 0
    seconds: float = 0.0
    harmless: bool = False


def verdicts(groups: Iterable[str], folder: Path) -> list[Verdict]:
    """Let a child read groups of attacks; the last verdict is unfinished where the child did not live to tell."""
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tests.security.canary", str(folder), *groups]
    child = subprocess.run(command, capture_output=True, text=True, timeout=300, env=variables, cwd=folder)
    found: dict[str, Verdict] = {}
    for line in child.stdout.splitlines():
        if line.startswith("{"):
            verdict = Verdict(**json.loads(line))
            found[f"{verdict.group} {verdict.reader} {verdict.name}"] = verdict
    if child.returncode != 0:
        print(child.stderr[-4000:])
    return list(found.values())


class Watch:
    """Notes what happens while it is on, and stops what should not."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.on = False
        self.events: list[str] = []

    def begin(self) -> None:
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and threading.current_thread() is threading.main_thread() and self.is_trouble(event, arguments):
            self.events.append(f"{event} {str(arguments)[:200]}")
            raise PermissionError(f"the canary saw {event}")

    def is_trouble(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & WRITING)
            return writes and isinstance(path, str | bytes) and not self.is_own(path)
        if event == "import":
            return str(arguments[0]).partition(".")[0] not in PACKAGES
        if event.startswith(("os.", "shutil.")) and event.startswith(TROUBLE):
            paths = [path for path in arguments if isinstance(path, str | bytes | os.PathLike)]
            return not paths or not all(self.is_own(path) for path in paths)
        if event == "exec" and getattr(arguments[0], "co_filename", "").startswith(INSTALLED):
            return False  # a module that is imported, which was asked about as such
        if event == "ctypes.dlopen" and arguments[0] is None:
            return False  # the C library that is there already, which is asked to give memory back
        return event.startswith(TROUBLE)

    def is_own(self, path: Any) -> bool:
        return os.path.realpath(os.fsdecode(path)).startswith(self.folder + os.sep)


def peak_bytes(*, reset: bool = False) -> int:
    """The most memory that this process had since the last reset; 0 where the system does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    except (OSError, StopIteration):
        return 0


def resident_bytes() -> int:
    """The memory that this process has, close below the most that it had since the last reset."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0
    if peak_bytes() - resident > PEAK // 4:  # a reset takes milliseconds
        peak_bytes(reset=True)
    return resident


def limit_memory() -> None:
    """Let what asks for gigabytes fail at once."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, OSError, ValueError):
        return


def try_all(groups: Mapping[str, Iterable[Attack]], folder: Path) -> None:
    """Read each attack and print what came of it."""
    from stylegan_reactive.errors import ReactiveError
    from tests.security.readers import READERS
    from tests.security.seeds import seeds_for

    attacks = [(group, attack) for group, some in groups.items() for attack in some]
    for reader in READERS:  # what is imported late, is imported now
        for data in seeds_for(reader, folder).values():
            (folder / "good").write_bytes(data)
            try:
                READERS[reader](folder / "good")
            except ReactiveError:
                continue
    watch = Watch(folder)
    watch.begin()
    limit_memory()
    for number, (group, attack) in enumerate(attacks):
        home = folder / str(number)
        home.mkdir()
        path = home / "file"
        path.write_bytes(attack.data)
        verdict = Verdict(group, attack.name, attack.reader, size=len(attack.data), harmless=attack.harmless)
        print(json.dumps(asdict(verdict)), flush=True)
        watch.events = verdict.events
        before, began = resident_bytes(), time.process_time()
        watch.on = True
        try:
            found = READERS[attack.reader](path)
            verdict.outcome, verdict.said = "read", type(found).__name__
        except ReactiveError as error:
            verdict.outcome, verdict.said = "refused", f"{type(error).__name__}: {error}"[:300]
        except BaseException as fault:
            verdict.outcome, verdict.said = "fault", repr(fault)[:300]
        finally:
            watch.on = False
        found = None
        verdict.seconds, verdict.peak = time.process_time() - began, max(0, peak_bytes() - before) if before else 0
        print(json.dumps(asdict(verdict)), flush=True)


def main() -> None:
    """Run the groups that the command line names."""
    from tests.security import attacks_data, attacks_pickles, attacks_sounds, damage

    folder, wanted = Path(sys.argv[1]).resolve(), sys.argv[2:]
    groups = {**attacks_pickles.GROUPS, **attacks_data.GROUPS, **attacks_sounds.GROUPS, **damage.GROUPS}
    try_all({group: groups[group](folder) for group in wanted}, folder)


if __name__ == "__main__":
    main()
