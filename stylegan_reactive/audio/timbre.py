# SPDX-License-Identifier: GPL-3.0-or-later
"""Timbre: which instruments sound, as far as the coarse shape of the spectrum tells.

The level of some twenty bands and its cosine transform (the cepstrum), after Davis and Mermelstein, "Comparison of
Parametric Representations for Monosyllabic Word Recognition", 1980. The first coefficient is the loudness.
"""

from itertools import pairwise

import numpy as np

from .collecting import Collected
from .decode import RATE
from .spectrum import TIMING

BANDS = 24
"""Number of bands: about as many as the ear tells apart at once."""

LOWEST, HIGHEST = 40.0, 16000.0
"""Hz. The bands between are equally wide in octaves, a little more than a third."""

TOGETHER = 16
"""Windows whose energy is averaged: 93 ms, so that an hour takes 4 MB."""

COEFFICIENTS = 13
"""Of the cepstrum. Higher ones tell notes rather than instruments."""

RANGE = 80.0
"""Decibels below the loudest band in which differences count."""

SILENCE = 1e-10
"""Mean square of a band that is silent: -100 dB of full scale."""


class TimbreStream:
    """Collect the energy in bands of magnitude spectra (grid TIMING) that arrive in blocks.

    What is kept grows by 24 numbers for each 93 ms.
    """

    def __init__(self) -> None:
        edges = np.geomspace(LOWEST, HIGHEST, BANDS + 1)
        self._averages = np.zeros((TIMING.window // 2 + 1, BANDS), np.float32)
        for band, (low, high) in enumerate(pairwise(edges)):
            bins = TIMING.bins(low, high)
            self._averages[bins, band] = 1.0 / (bins.stop - bins.start)
        self._waiting = np.zeros((0, TIMING.window // 2 + 1), np.float32)
        self._kept = Collected(BANDS)

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        windows = np.concatenate([self._waiting, magnitudes]) if len(self._waiting) else magnitudes
        whole = len(windows) // TOGETHER * TOGETHER
        self._waiting = windows[whole:].copy()
        energy = np.square(windows[:whole]).reshape(-1, TOGETHER, windows.shape[1]).mean(axis=1)
        self._kept.add(energy @ self._averages)

    def result(self) -> np.ndarray:
        """Mean square of each band: float32 [slices, 24]. A rest shorter than a slice is left out."""
        return self._kept.result()


def timbre_edges(count: int) -> np.ndarray:
    """Where ``count`` slices of ``TimbreStream`` start, and the last one ends, in seconds: float64 [count + 1].

    A slice takes what lies between the centres of its first window and of the next slice's.
    """
    samples = np.arange(count + 1) * (TOGETHER * TIMING.hop) - (TIMING.window + TIMING.hop) // 2
    return samples / RATE


def levels(energy: np.ndarray) -> np.ndarray:
    """Decibels of each band, all within 80 dB of the loudest: float64 [slices, 24]."""
    decibels = 10.0 * np.log10(energy.astype(np.float64) + SILENCE)
    return np.maximum(decibels, decibels.max(initial=-RANGE) - RANGE)


def cepstrum(decibels: np.ndarray) -> np.ndarray:
    """Cosine transform of the levels of bands: [times, 24] → float64 [times, 13]."""
    band, coefficient = np.arange(BANDS)[:, None] + 0.5, np.arange(COEFFICIENTS)[None, :]
    return decibels @ (np.cos(np.pi * band * coefficient / BANDS) * np.sqrt(2.0 / BANDS))
