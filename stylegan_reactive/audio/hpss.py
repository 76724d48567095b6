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
        self._skins_reach = reach_of(SKINS_RING, grid)
        self._blocks = Blocks(grid, 2 * self._skins_reach)
        self._reach = reach_of(RINGING, grid)
        self._across = across_of(grid)
        self._margin = np.float32(margin)
        self._skins = below(STRIKING / 2, np.arange(grid.window // 2 + 1) * RATE / grid.window)

    def feed(self, magnitudes: np.ndarray) -> Parts:
        """Append float32 [windows, bins]; return the windows of which enough is known now, possibly none."""
        return self._separate(*self._blocks.feed(magnitudes))

    def finish(self) -> Parts:
        """Return the windows that were still waiting."""
        rest = self._blocks.waiting
        parts = self._separate(*self._blocks.feed(self._blocks.silence))
        return Parts(*(part[:rest] for part in (parts.mix, parts.percussive, parts.harmonic, parts.struck)))

    def _separate(self, mix: np.ndarray, coarse: np.ndarray) -> Parts:
        if len(mix) == 0:
            return Parts(mix, mix, mix, mix)
        every = self._blocks.every
        further = 2 * self._skins_reach - self._reach
        near = coarse[further:-further]
        ringing = running_median(near.T, 2 * self._reach + 1).T[self._reach : -self._reach]
        striking = running_median(near[self._reach : -self._reach], self._across)
        percussive = np.repeat(share(striking, self._margin * ringing), every, axis=0)
        struck = percussive * (1.0 - self._skins)
        low = np.count_nonzero(self._skins)
        struck[:, :low] += self._struck_skins(mix[:, :low], coarse[:, :low]) * self._skins[:low]
        return Parts(
            mix=mix,
            percussive=mix * percussive,
            harmonic=mix * np.repeat(share(ringing, self._margin * striking), every, axis=0),
            struck=mix * struck,
        )

    def _struck_skins(self, mix: np.ndarray, coarse: np.ndarray) -> np.ndarray:
        """How much of each low bin stands above what rings, a note's first and last moment included: 0 to 1."""
        _, held = ringing_and_held(coarse, self._skins_reach)
        return above(mix, np.repeat(held, self._blocks.every, axis=0), self._margin)


class Blocks:
    """Magnitude spectra that arrive in blocks, held back until what follows them is known.

    Before and behind the song is silence. Memory does not grow.

    Parameters
    ----------
    grid
        Of the spectra.
    ahead
        How many means of `every` windows have to follow, and to have been before.

    Attributes
    ----------
    every
        Windows that make one mean: so often it is decided which part has which bin.
    waiting
        Windows that were fed and not yet given back.
    """

    def __init__(self, grid: Grid, ahead: int) -> None:
        self.every = windows_of_a_mean(grid)
        self.waiting = 0
        self._ahead = ahead * self.every
        self._held = np.zeros((self._ahead, grid.window // 2 + 1), np.float32)

    @property
    def silence(self) -> np.ndarray:
        """What to feed behind the song, so that nothing waits any longer; cut what comes to what was waiting."""
        return np.zeros((self._ahead + self.every, self._held.shape[1]), np.float32)

    def feed(self, magnitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Append float32 [windows, bins].

        Returns
        -------
        mix : float32 [n * every, bins]
            The windows of which enough is known now.
        coarse : float32 [ahead + n + ahead, bins]
            Means of these windows and of those around them.
        """
        around = np.concatenate([self._held, magnitudes])
        count = max(0, len(around) - 2 * self._ahead) // self.every * self.every
        self._held = around[count:]
        self.waiting += len(magnitudes) - count
        coarse = around[: count + 2 * self._ahead] if count else around[:0]
        means = coarse.reshape(-1, self.every, around.shape[1]).mean(axis=1)
        return around[self._ahead : self._ahead + count], means


def windows_of_a_mean(grid: Grid) -> int:
    """Windows between two decisions which part has which bin."""
    return max(1, round(grid.rate / SHARES))


def reach_of(seconds: float, grid: Grid) -> int:
    """Means on either side of one that lie within some seconds in all."""
    return max(1, round(seconds / 2 * grid.rate / windows_of_a_mean(grid)))


def across_of(grid: Grid) -> int:
    """Bins over which the median looks for what strikes; odd."""
    return 2 * max(1, round(STRIKING / 2 * grid.window / RATE)) + 1


def ringing_and_held(coarse: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """What rings, and what is held: a note's first and last moment included, though the median there sees silence.

    Parameters
    ----------
    coarse : float32 [reach + reach + n + reach + reach, bins]

    Returns
    -------
    ringing : float32 [reach + n + reach, bins]
    held : float32 [n, bins]
    """
    ringing = running_median(coarse.T, 2 * reach + 1).T[reach:-reach]
    return ringing, ndimage.maximum_filter1d(ringing, 2 * reach + 1, axis=0)[reach:-reach]


def above(magnitudes: np.ndarray, held: np.ndarray, margin: float | np.float32) -> np.ndarray:
    """How much of each bin stands above what is held: 0 to 1."""
    power, ringing = np.square(magnitudes), np.square(held)
    return np.maximum(power - ringing, 0.0) / (power + (np.square(np.float32(margin)) - 1.0) * ringing + TINY * TINY)


def share(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How much of each bin is its own part's, as Wiener's filter says: 0 to 1."""
    power = np.square(own)
    return power / (power + np.square(other) + TINY * TINY)


def below(edge: float, frequency: np.ndarray) -> np.ndarray:
    """One below an edge, zero above; half an octave to cross between: float32 [bins]."""
    octaves = np.log2(np.maximum(frequency, 1.0) / edge)
    return np.clip(0.5 - 2.0 * octaves, 0.0, 1.0).astype(np.float32)


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
