# SPDX-License-Identifier: GPL-3.0-or-later
"""The tones of a long spectrum: its highest peaks, with frequencies far finer than the spectrum's own.

A steady tone is a peak of known shape in a windowed spectrum. A parabola through the logarithms of the peak's three
highest magnitudes finds its top to about a hundredth of a bin (Smith and Serra, "PARSHL", 1987).
"""

from dataclasses import dataclass

import numpy as np

from .decode import RATE
from .spectrum import PITCH, Grid

MOST = 24
"""Peaks that are kept of each window, the highest: six notes of four partials each."""

FAINT = 0.02
"""Peaks below this share of their window's highest are leakage and noise: -34 dB."""

INAUDIBLE = 1e-5
"""Magnitude of a sine at -100 dB of full scale."""


@dataclass(frozen=True)
class Peaks:
    """Peaks of some windows, the highest first; both arrays are float32 [windows, peaks].

    Attributes
    ----------
    frequency
        In Hz; 1 where a window has no more peaks.
    magnitude
        Of a sine that makes such a peak; zero where a window has no more peaks.
    """

    frequency: np.ndarray
    magnitude: np.ndarray


def spectral_peaks(
    magnitudes: np.ndarray, low: float, high: float, *, most: int = MOST, faint: float = FAINT, grid: Grid = PITCH
) -> Peaks:
    """Find the highest peaks between two frequencies.

    Parameters
    ----------
    magnitudes
        Spectra of ``grid``: float32 [windows, bins].
    low, high
        In Hz.
    most
        Peaks that are kept of each window.
    faint
        Share of a window's highest peak below which others are left out.
    grid
        Of the spectra.
    """
    count = len(magnitudes)
    width = RATE / grid.window
    bins = grid.bins(max(low, 2 * width), min(high, RATE / 2 - 2 * width))
    below, here, above = (magnitudes[:, bins.start + step : bins.stop + step] for step in (-1, 0, 1))
    floor = np.maximum(faint * here.max(axis=1, keepdims=True), np.float32(INAUDIBLE)) if count else here
    window, column = np.nonzero((here > below) & (here >= above) & (here > floor))
    left, top, right = (np.log(np.maximum(part[window, column], 1e-12)) for part in (below, here, above))
    curvature = left - 2.0 * top + right
    shift = np.where(curvature < 0, 0.5 * (left - right) / np.minimum(curvature, -1e-9), 0.0).clip(-0.5, 0.5)
    frequency = (column + bins.start + shift) * width
    magnitude = np.exp(top - 0.25 * (left - right) * shift)
    order = np.lexsort((-magnitude, window))
    window = window[order]
    rank = np.arange(len(window)) - np.searchsorted(window, np.arange(count))[window]
    kept = rank < most
    peaks = Peaks(np.ones((count, most), np.float32), np.zeros((count, most), np.float32))
    peaks.frequency[window[kept], rank[kept]] = frequency[order][kept]
    peaks.magnitude[window[kept], rank[kept]] = magnitude[order][kept]
    return peaks
