# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs of the engine: one for each of its lives, so that the next life does not wipe out why the last one ended."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

PREFIX = "stylegan_reactive_engine_"
REFUSED = "Refused: "  # how lines begin about what the engine may not do, which never ended it
KEPT = 12  # logs, those of other Blenders that run now among them


def open_log(folder: Path) -> tuple[Path, BinaryIO]:
    """A new, empty log in a folder, in the system's temporary one, or nowhere; the oldest ones of the folder go."""
    remove_old(folder)
    for place in (folder, Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            number, name = tempfile.mkstemp(prefix=f"{PREFIX}{os.getpid()}_", suffix=".log", dir=place)
            return Path(name), os.fdopen(number, "wb")
    nowhere = Path(os.devnull)
    return nowhere, nowhere.open("wb")


def remove_old(folder: Path) -> None:
    """Keep the newest logs; one that is being written on loses its name at most."""
    with contextlib.suppress(OSError):
        ages = {}
        for path in folder.glob(f"{PREFIX}*.log"):
            with contextlib.suppress(OSError):
                ages[path] = path.stat().st_mtime_ns
        for path in sorted(ages, key=lambda path: ages[path])[: max(0, len(ages) + 1 - KEPT)]:
            with contextlib.suppress(OSError):
                path.unlink()


def last_line(log: Path) -> str:
    """The last line with anything in it, at most 200 characters."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 16384))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        told = [line for line in lines if line and not line.startswith(REFUSED)]
        return told[-1][:200] if told else ""
    return ""
