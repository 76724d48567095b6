# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for every room: written whole or not at all, known by more than their name, and never left behind.

Something that a process makes for a time is locked by it (flock, which ends with the process, however that ends), so
what nobody holds was left by one that was killed, and is removed by the next.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[str, int, int, int, int]
MARK = ".sgr-"  # in the names of unfinished files


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file beside its place and then move it there, so that nobody ever sees a part of it.

    Parameters
    ----------
    path : Path
        A link is replaced by the file, not followed.
    data : bytes
    durable : bool
        Wait until the disk has it, so that a power cut leaves the old file or the new one. Not for what can be made
        again and is checked when it is read.

    Raises
    ------
    OSError
        It cannot be written; what was there is as it was, and nothing lies beside it.
    """
    remove_unheld(path.parent.glob(f".*{MARK}*.part"))
    while True:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}{MARK}", suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                if not hold(number, Path(name)):
                    continue  # somebody took it for abandoned before it was held
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(number)
                umask = os.umask(0)  # a temporary file is private; the written one is to be like any other
                os.umask(umask)
                os.chmod(name, 0o666 & ~umask)
                if os.name == "nt":
                    file.close()  # an open file cannot be moved there, elsewhere it is held until it is in place
                os.replace(name, path)
                return
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def hold(number: int, path: Path) -> bool:
    """Hold an open file as long as it is open; False where it was removed before."""
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):  # where nothing can be locked, nothing is taken for abandoned either
            fcntl.flock(number, fcntl.LOCK_SH)
    return path.exists()


def remove_unheld(paths: Iterable[Path]) -> None:
    """Remove files that nobody holds. On Windows a file that is open cannot be removed anyway."""
    for path in paths:
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                path.unlink()
                continue
            import fcntl

            number = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(number)


def stamp(path: str) -> Stamp:
    """A file's identity for a cache: it changes when the file is replaced. A missing file is left to its reader.

    A copy may keep size and time: then the time of the file's last change of any kind tells (on Windows that of its
    making, which a file of the same name can inherit), or its number in the file system.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return (path, 0, 0, 0, 0)
    return (path, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
