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

SKINS_RING = 0.4
"""Seconds of the median that tells bass drums from basses: the skin of a bass drum rings for up to 0.2 seconds."""

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
    """Magnitude spectra of a sound and of its parts, all float32 [windows, bins].

    The percussive and the harmonic part add up to no more than the mix; what is left of it is neither.

    Attributes
    ----------
    mix, percussive, harmonic
        As in the paper.
    struck
        Like the percussive part, but with the skins of drums, which have a pitch: below 250 Hz, where the median over
        frequency reaches the end of the spectrum, all strikes that stands above what rings for longer.
    """

    mix: np.ndarray
    percussive: np.ndarray
    harmonic: np.ndarray
    struck: np.ndarray


class SeparationStream:
    """Separate magnitude spectra that arrive in blocks.

    What rings is looked for up to 0.4 seconds ahead, so that so many windows wait until what follows them is known.
    Before and behind the song is silence. Memory does not grow.

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
        self._skins_reach = max(1, round(SKINS_RING / 2 * grid.rate / self._every))
        self._ahead = 2 * self._skins_reach * self._every
        self._fed, self._given = 0, 0
        self._waiting = np.zeros((self._ahead, grid.window // 2 + 1), np.float32)
        octaves = np.log2(np.maximum(np.arange(grid.window // 2 + 1) * RATE / grid.window, 1.0) / (STRIKING / 2))
        self._skins = np.clip(0.5 - 2.0 * octaves, 0.0, 1.0).astype(np.float32)  # half an octave to cross

    def feed(self, magnitudes: np.ndarray) -> Parts:
        """Append float32 [windows, bins]; return the windows of which enough is known now, possibly none."""
        self._fed += len(magnitudes)
        return self._separate(magnitudes)

    def finish(self) -> Parts:
        """Return the windows that were still waiting."""
        silence = np.zeros((self._ahead + self._every, self._waiting.shape[1]), np.float32)
        rest = self._fed - self._given
        parts = self._separate(silence)
        return Parts(*(part[:rest] for part in (parts.mix, parts.percussive, parts.harmonic, parts.struck)))

    def _separate(self, magnitudes: np.ndarray) -> Parts:
        around = np.concatenate([self._waiting, magnitudes])
        count = max(0, len(around) - 2 * self._ahead) // self._every * self._every
        self._waiting = around[count:]
        self._given += count
        mix = around[self._ahead : self._ahead + count]
        if count == 0:
            return Parts(mix, mix, mix, mix)
        coarse = around[: count + 2 * self._ahead].reshape(-1, self._every, around.shape[1]).mean(axis=1)
        further = self._ahead // self._every - self._reach
        near = coarse[further:-further]
        ringing = running_median(near.T, 2 * self._reach + 1).T[self._reach : -self._reach]
        striking = running_median(near[self._reach : -self._reach], self._across)
        percussive = np.repeat(_share(striking, self._margin * ringing), self._every, axis=0)
        struck = percussive * (1.0 - self._skins)
        low = np.count_nonzero(self._skins)
        struck[:, :low] += self._struck_skins(mix[:, :low], coarse[:, :low]) * self._skins[:low]
        return Parts(
            mix=mix,
            percussive=mix * percussive,
            harmonic=mix * np.repeat(_share(ringing, self._margin * striking), self._every, axis=0),
            struck=mix * struck,
        )

    def _struck_skins(self, mix: np.ndarray, coarse: np.ndarray) -> np.ndarray:
        """How much of each low bin stands above what rings, a note's first and last moment included: 0 to 1."""
        reach = self._skins_reach
        ringing = running_median(coarse.T, 2 * reach + 1).T[reach:-reach]
        held = ndimage.maximum_filter1d(ringing, 2 * reach + 1, axis=0)[reach:-reach]
        power, held = np.square(mix), np.square(np.repeat(held, self._every, axis=0))
        margin = np.square(self._margin) - 1.0
        return np.maximum(power - held, 0.0) / (power + margin * held + TINY * TINY)


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
