# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect what a stream keeps in one array that grows in place.

Hundreds of small arrays between the large ones of the spectra, which come and go, would leave a heap full of holes: an
hour of music then takes twice the memory that it needs.
"""

import numpy as np

GROWTH = 1.25
"""Times by which the array grows when it is full."""

FIRST = 4096
"""Rows of which there is room at first."""


class Collected:
    """Rows that arrive in blocks.

    Parameters
    ----------
    columns
        Numbers in each row; none: rows are plain numbers.
    """

    def __init__(self, columns: int | None = None) -> None:
        shape = () if columns is None else (columns,)
        self._values = np.empty((FIRST, *shape), np.float32)
        self._count = 0

    def add(self, rows: np.ndarray) -> None:
        """Append [rows] or [rows, columns]."""
        end = self._count + len(rows)
        if end > len(self._values):
            self._resize(max(end, int(GROWTH * len(self._values))))
        self._values[self._count : end] = rows
        self._count = end

    def __len__(self) -> int:
        return self._count

    def result(self) -> np.ndarray:
        """Return all rows: float32 [rows] or [rows, columns]. Nothing can be added after that."""
        self._resize(self._count)
        return self._values

    def _resize(self, rows: int) -> None:
        # in place, without a second copy; nobody else has seen the array yet
        self._values.resize((rows, *self._values.shape[1:]), refcheck=False)
