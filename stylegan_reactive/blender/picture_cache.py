# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that were made already, within a limit of memory, and how a small one is enlarged."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np


class PictureCache:
    """Pictures by everything that they depend on: an entry can be forgotten, but never be wrong.

    Parameters
    ----------
    limit : int
        Bytes. What was not looked at for longest goes first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pictures: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._pictures)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._pictures

    @property
    def limit(self) -> int:
        """Bytes that the pictures may take."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            self._shrink()

    def get(self, key: Hashable) -> np.ndarray | None:
        """A picture, float16 [height, width, 4], or None."""
        with self._lock:
            picture = self._pictures.get(key)
            if picture is not None:
                self._pictures.move_to_end(key)
            return picture

    def put(self, key: Hashable, picture: np.ndarray) -> None:
        """Keep a picture, as half floats: finer than 11 bits everywhere, at half the memory."""
        small = np.ascontiguousarray(picture, np.float16)
        with self._lock:
            old = self._pictures.pop(key, None)
            self.bytes += small.nbytes - (0 if old is None else old.nbytes)
            self._pictures[key] = small
            self._shrink()

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._pictures.clear()
            self.bytes = 0

    def _shrink(self) -> None:
        while self.bytes > self._limit and len(self._pictures) > 1:  # the last one is being looked at
            _, old = self._pictures.popitem(last=False)
            self.bytes -= old.nbytes


def enlarge(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture in another size, bilinear, float32 [height, width, 4]."""
    wide = _stretched(np.asarray(picture, np.float32), width, 1)
    return _stretched(wide, height, 0)


def _stretched(picture: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Linear interpolation between pixel centres along one axis."""
    old = picture.shape[axis]
    if old == length:
        return picture
    place = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, old - 1)
    low = np.minimum(place.astype(np.int32), max(0, old - 2))
    weight = (place - low).astype(np.float32)
    shape = [1] * picture.ndim
    shape[axis] = length
    first = picture.take(low, axis)
    if old == 1:
        return first
    second = picture.take(low + 1, axis)
    second -= first
    second *= weight.reshape(shape)
    first += second
    return first
