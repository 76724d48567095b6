# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache of pure values that forgets what was not asked for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Newest(Generic[K, V]):
    """Values by key, the `capacity` newest of them; what is kept must follow from its key alone.

    Attributes
    ----------
    capacity
        How many are kept. It may be changed at any time.
    """

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = capacity
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made if it is not there."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = make()
        self._values[key] = value
        while len(self._values) > self.capacity:
            self._values.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._values)
