# SPDX-License-Identifier: GPL-3.0-or-later
"""Separate what rings from what strikes, in spectra that arrive in blocks; nothing is ever made sound again.

In a spectrogram a note is a line along time and a hit is a line along frequency: a median over time keeps the one, a
median over frequency the other (Fitzgerald, "Harmonic/Percussive Separation Using Median Filtering", 2010). A margin
says by how much one has to outweigh the other, so that what is neither, such as a voice or a long cymbal, goes into
neither part (Driedger, Müller and Disch, "Extending Harmonic-Percussive Separation of Audio Signals", 2014).
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .decode import RATE
from .spectrum import Grid

RINGING = 0.2
"""Seconds of the median over time: longer than most hits, shorter than most notes (Driedger et al.)."""

STRIKING = 500.0
"""Hz of the median over frequency: wider than a partial with its vibrato (Driedger et al.)."""

MARGIN = 2.0
"""Times by which one part must outweigh the other to have half of a bin (Driedger et al. find 2 a good trade)."""

SHARES = 86
"""How many times a second it is decided which part has which bin: twice as often as is usual, and fast."""

TINY = np.float32(1e-12)
"""Keeps silence from being divided by silence."""


@dataclass(frozen=True)
class Parts:
    """Magnitude spectra of a sound and of its two parts, all float32 [windows, bins].

    The parts add up to no more than the mix; what is left of it is neither.
    """

    mix: np.ndarray
    percussive: np.ndarray
    harmonic: np.ndarray


class SeparationStream:
    """Separate magnitude spectra that arrive in blocks.

    The median over time looks 0.1 seconds ahead, so that so many windows wait until what follows them is known. Before
    and behind the song is silence. Memory does not grow.

    Parameters
    ----------
    grid
        Of the spectra.
    margin
        Times by which one part must outweigh the other; 1 shares everything out.
    """

    def __init__(self, grid: Grid, margin: float = MARGIN) -> None:
        self._every = max(1, round(grid.rate / SHARES))
        self._reach = max(1, round(RINGING / 2 * grid.rate / self._every))
        self._across = 2 * max(1, round(STRIKING / 2 * grid.window / RATE)) + 1
        self._margin = np.float32(margin)
        self._ahead = self._reach * self._every
        self._fed, self._given = 0, 0
        self._waiting = np.zeros((self._ahead, grid.window // 2 + 1), np.float32)

    def feed(self, magnitudes: np.ndarray) -> Parts:
        """Append float32 [windows, bins]; return the windows of which enough is known now, possibly none."""
        self._fed += len(magnitudes)
        return self._separate(magnitudes)

    def finish(self) -> Parts:
        """Return the windows that were still waiting."""
        silence = np.zeros((self._ahead + self._every, self._waiting.shape[1]), np.float32)
        rest = self._fed - self._given
        parts = self._separate(silence)
        return Parts(parts.mix[:rest], parts.percussive[:rest], parts.harmonic[:rest])

    def _separate(self, magnitudes: np.ndarray) -> Parts:
        around = np.concatenate([self._waiting, magnitudes])
        count = max(0, len(around) - 2 * self._ahead) // self._every * self._every
        self._waiting = around[count:]
        self._given += count
        mix = around[self._ahead : self._ahead + count]
        if count == 0:
            return Parts(mix, mix, mix)
        coarse = around[: count + 2 * self._ahead].reshape(-1, self._every, around.shape[1]).mean(axis=1)
        ringing = running_median(coarse.T, 2 * self._reach + 1).T[self._reach : -self._reach]
        striking = running_median(coarse[self._reach : -self._reach], self._across)
        return Parts(
            mix=mix,
            percussive=mix * np.repeat(_share(striking, self._margin * ringing), self._every, axis=0),
            harmonic=mix * np.repeat(_share(ringing, self._margin * striking), self._every, axis=0),
        )


def _share(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How much of each bin is its own part's, as Wiener's filter says: 0 to 1."""
    power = np.square(own)
    return power / (power + np.square(other) + TINY * TINY)


def running_median(rows: np.ndarray, length: int) -> np.ndarray:
    """Running median along each row, ends reflected; the same as in two dimensions and an order of magnitude faster.

    Rows are laid end to end with borders between them, because the filter of one dimension is the fast one.
    """
    reach = length // 2
    if rows.shape[1] <= reach:
        return ndimage.median_filter(rows, (1, length), mode="reflect")
    padded = np.pad(rows, ((0, 0), (reach, reach)), mode="symmetric")
    filtered = ndimage.median_filter(padded.ravel(), length, mode="nearest").reshape(padded.shape)
    return filtered[:, reach:-reach]
