# SPDX-License-Identifier: GPL-3.0-or-later
"""How the sound is coloured: centroid, flatness, flux and contrast of its spectra.

Definitions follow Peeters ("A Large Set of Audio Features for Sound Description", 2004) and, for the contrast, Jiang
et al. ("Music Type Classification by Spectral Contrast Feature", 2002). Each keeps one number, or one for each octave,
for every window. Where a window is silent, colours stay as they were.
"""

from itertools import pairwise

import numpy as np

from .collecting import Collected
from .decode import RATE
from .spectrum import Grid

SILENCE = 1e-4
"""Largest magnitude below which a window counts as silent: a sine at -80 dB of full scale."""

COMPARED = 2
"""Flux compares with the spectrum so many windows earlier: half a window."""

OCTAVES = (0.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0, 12800.0)
"""Hz. Edges of the bands of the contrast (Jiang et al.)."""

EXTREMES = 0.1
"""Share of the bins that are the peaks, and the valleys, of a band: Jiang et al. find 0.02 to 0.2 alike; the more, the
steadier."""

EVERYTHING = (0.0, float(RATE))


class CentroidStream:
    """The mean frequency of each spectrum, weighed by magnitude, in Hz."""

    def __init__(self, grid: Grid, band: tuple[float, float] | None = None) -> None:
        self._bins = grid.bins(*(band or EVERYTHING))
        frequencies = np.arange(grid.window // 2 + 1, dtype=np.float32) * np.float32(RATE / grid.window)
        self._sums = np.stack([frequencies, np.ones_like(frequencies)], axis=1)[self._bins]
        self._kept = Collected()

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        heard = magnitudes[:, self._bins]
        weighed, total = (heard @ self._sums).T
        sounds = heard.max(axis=1, initial=0.0) > SILENCE
        self._kept.add(np.where(sounds, weighed / np.where(sounds, total, 1.0), np.float32(np.nan)))

    def result(self) -> np.ndarray:
        """Hz: float32 [windows]; zero if the whole song is silent."""
        return keep_in_silence(self._kept.result())


class FlatnessStream:
    """Geometric mean of each power spectrum over its arithmetic mean: 0 for one tone, 1 for even noise.

    The bins of noise vary by chance, so that noise itself reads about 0.6.
    """

    def __init__(self, grid: Grid, band: tuple[float, float] | None = None) -> None:
        self._bins = grid.bins(*(band or EVERYTHING))
        self._kept = Collected()

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        heard = magnitudes[:, self._bins]
        sounds = heard.max(axis=1, initial=0.0) > SILENCE
        power = np.square(heard) + np.float32(1e-20)
        flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
        self._kept.add(np.where(sounds, flatness, np.float32(0.0)).astype(np.float32))

    def result(self) -> np.ndarray:
        """Share: float32 [windows], 0 to 1; zero in silence."""
        return self._kept.result()


class FluxStream:
    """Share of each spectrum that was not there half a window earlier."""

    def __init__(self, grid: Grid, band: tuple[float, float] | None = None) -> None:
        self._bins = grid.bins(*(band or EVERYTHING))
        self._before = np.zeros((COMPARED, self._bins.stop - self._bins.start), np.float32)
        self._kept = Collected()

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        heard = np.concatenate([self._before, magnitudes[:, self._bins]])
        rise = np.maximum(heard[COMPARED:] - heard[:-COMPARED], 0.0).sum(axis=1)
        total = heard[COMPARED:].sum(axis=1)
        sounds = heard[COMPARED:].max(axis=1, initial=0.0) > SILENCE
        self._kept.add(np.where(sounds, rise / np.where(sounds, total, 1.0), np.float32(0.0)))
        self._before = heard[-COMPARED:]

    def result(self) -> np.ndarray:
        """Share: float32 [windows], 0 to 1; zero in silence."""
        return self._kept.result()


class ContrastStream:
    """By how many decibels the peaks of each octave stand above its valleys: high for tones, low for noise."""

    def __init__(self, grid: Grid, band: tuple[float, float] | None = None) -> None:
        self._octaves = [grid.bins(low, high) for low, high in pairwise(OCTAVES)]
        self._kept = Collected(len(self._octaves))

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        contrast = np.zeros((len(magnitudes), len(self._octaves)), np.float32)
        for column, bins in enumerate(self._octaves):
            heard = magnitudes[:, bins] if len(magnitudes) else np.zeros((0, bins.stop - bins.start), np.float32)
            count = heard.shape[1]
            few = max(1, round(EXTREMES * count))
            ordered = np.partition(heard, (few - 1, count - few), axis=1)
            valley, peak = ordered[:, :few].mean(axis=1), ordered[:, count - few :].mean(axis=1)
            floor = np.float32(SILENCE / 100)
            contrast[:, column] = 20.0 * np.log10((peak + floor) / (valley + floor))
        self._kept.add(contrast)

    def result(self) -> np.ndarray:
        """Decibels: float32 [windows, 7], the lowest octave first; zero in silence."""
        return self._kept.result()


def keep_in_silence(values: np.ndarray) -> np.ndarray:
    """Replace what is not a number by the last number before it, or, at the start, by the first."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) == 0:
        return np.zeros_like(values)
    last = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), known[0]))
    return values[last]
