# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that is used again, and how the C library is asked to keep what is given back to it.

glibc asks the system anew for each large block and gives it back at once; the system then hands out empty pages one by
one, which takes half of the time of a picture of 1024 px. Two remedies, each enough by itself: buffers that stay
(`Workspace`), and thresholds (`keep_freed_memory`), which only the owner of a process may set.
"""

from __future__ import annotations

import ctypes
import math
import sys

import torch
from torch import Tensor

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


class Workspace:
    """Buffers by name that grow to the largest size asked for; a name's buffer is overwritten by its next user."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """A float32 tensor of this shape, its values undefined."""
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < size:
            self._buffers.pop(name, None)  # freed before its successor is made
            del buffer
            # Made as an ordinary tensor: one of inference mode could not be written to by the next picture outside it.
            with torch.inference_mode(False):
                buffer = self._buffers[name] = torch.empty(size)
        return buffer[:size].view(shape)


class Workspaces:
    """Workspaces that wait for a picture; two threads that paint at once never share one."""

    def __init__(self) -> None:
        self._waiting: list[Workspace] = []

    def borrow(self) -> Workspace:
        try:
            return self._waiting.pop()
        except IndexError:
            return Workspace()

    def give_back(self, room: Workspace) -> None:
        if not self._waiting:
            self._waiting.append(room)

    def __deepcopy__(self, memo: object) -> Workspaces:
        return Workspaces()

    def __reduce__(self) -> tuple[type[Workspaces], tuple[()]]:
        return Workspaces, ()


def keep_freed_memory(limit: int = 1 << 30) -> bool:
    """Ask glibc to serve blocks of up to `limit` bytes from memory that it keeps, for the whole process.

    For a process that does nothing but paint, at its start. What is freed stays with the process, about as much as one
    picture needs at its peak.

    Returns
    -------
    bool
        Whether it was done; False, and nothing happens, where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  another C library may have a mallopt that means something else
        done = library.mallopt(M_MMAP_THRESHOLD, limit) and library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    except (OSError, AttributeError):
        return False
    return bool(done)
