# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine keeps: entries that depend on their key alone, those used last."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept")


class Recent(Generic[Key, Kept]):
    """A cache that keeps the `most` entries used last; several threads may use it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._entries: OrderedDict[Key, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def get(self, key: Key) -> Kept | None:
        """The entry of a key, which counts as a use."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: Key, entry: Kept) -> None:
        """Keep an entry; the oldest go."""
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > self.most:
                self._entries.popitem(last=False)

    def get_or_make(self, key: Key, make: Callable[[], Kept]) -> Kept:
        """The entry of a key, made where it is not there."""
        entry = self.get(key)
        if entry is None:
            entry = make()
            self.put(key, entry)
        return entry

    def items(self) -> list[tuple[Key, Kept]]:
        """All entries, the one used longest ago first."""
        with self._lock:
            return list(self._entries.items())

    def drop(self, key: Key) -> None:
        """Forget an entry."""
        with self._lock:
            self._entries.pop(key, None)

    def drop_oldest(self) -> bool:
        """Forget the entry that was used longest ago; False, and nothing happens, where there is but one."""
        with self._lock:
            if len(self._entries) < 2:
                return False
            self._entries.popitem(last=False)
            return True

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()
