# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared memory for pictures: really there when it is given out, and gone when nobody can use it any more.

What a process that was killed has left is removed by Python's resource tracker, unless that was killed with it, as by
the end of a session or a container. So each piece is held by the process that made it (see `files`), and a piece that
nobody holds is removed before the next engine starts.
"""

import contextlib
import os
import secrets
import sys
from multiprocessing import shared_memory
from pathlib import Path

from ..files import hold, remove_unheld

PREFIX = "sgr_"
FOLDER = Path("/dev/shm")  # where Linux keeps it; other systems show it nowhere


def reserve(size: int) -> shared_memory.SharedMemory:
    """Shared memory that is really there; raises OSError where it is not.

    Linux only notes a size, and a process that then writes where nothing is left is ended by a signal.
    """
    while True:
        memory = shared_memory.SharedMemory(f"{PREFIX}{secrets.token_hex(8)}", create=True, size=size)
        file = getattr(memory, "_fd", -1)
        if sys.platform != "linux" or file < 0:
            return memory
        if hold(file, FOLDER / memory.name.lstrip("/")):
            try:
                os.posix_fallocate(file, 0, size)
            except OSError:
                give_back(memory)
                raise
            return memory
        give_back(memory)  # somebody took it for abandoned between its making and its lock


def give_back(memory: shared_memory.SharedMemory) -> None:
    """Let go of shared memory."""
    with contextlib.suppress(BufferError):  # somebody still looks at the pixels: freed with the last look
        memory.close()
    with contextlib.suppress(FileNotFoundError):
        memory.unlink()


def remove_abandoned() -> None:
    """Remove what processes that were killed have left."""
    if sys.platform == "linux":
        remove_unheld(FOLDER.glob(f"{PREFIX}*"))
