# SPDX-License-Identifier: GPL-3.0-or-later
"""Chroma: how much of each of the twelve pitch classes sounds.

The peaks of long spectra are placed on the pitch circle with their interpolated frequencies (after Gómez, "Tonal
Description of Polyphonic Audio", 2006), so that the song's own tuning can be measured and taken out afterwards.
"""

from fractions import Fraction

import numpy as np

from .decode import RATE
from .spectrum import PITCH

LOWEST, HIGHEST = 60.0, 2500.0
"""Hz. Below, two semitones share one bin; above lie mostly overtones."""

CENTRE, OCTAVES = 350.0, 1.5
"""Notes around the middle of the keyboard count most: a bell over the octaves, by its centre in Hz and its width."""

STEPS = 5
"""Parts of a semitone in which peaks are collected until the tuning is known."""

FAINT = 0.02
"""Peaks below this share of their spectrum's largest peak are leakage and noise."""

SILENCE = 1e-4
"""Magnitude of a sine at -80 dB of full scale; with less than this, no pitch class is preferred."""

DELAY = 0.06
"""Seconds from a window's centre to its date: the last 33 ms of the window, which a note enters before it sounds in
the picture, hold 4 % of its weight."""


class PitchStream:
    """Collect the spectral peaks of magnitude spectra that arrive in blocks, by place on the pitch circle."""

    def __init__(self) -> None:
        width = RATE / PITCH.window
        self._bins = slice(int(LOWEST / width), int(HIGHEST / width) + 1)
        self._frequency = np.arange(self._bins.start, self._bins.stop) * width
        self._width = width
        self._parts: list[np.ndarray] = []

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        count = len(magnitudes)
        if count == 0:
            return
        left, right = self._bins.start, self._bins.stop
        here = magnitudes[:, left:right]
        below, above = magnitudes[:, left - 1 : right - 1], magnitudes[:, left + 1 : right + 1]
        loudest = here.max(axis=1, keepdims=True)
        is_peak = (here > below) & (here >= above) & (here > np.maximum(FAINT * loudest, SILENCE / 10))
        window, column = np.nonzero(is_peak)
        tops = [np.log(np.maximum(part[window, column], 1e-12)) for part in (below, here, above)]
        curvature = tops[0] - 2 * tops[1] + tops[2]
        shift = np.where(curvature < 0, 0.5 * (tops[0] - tops[2]) / np.minimum(curvature, -1e-9), 0.0)
        frequency = self._frequency[column] + np.clip(shift, -0.5, 0.5) * self._width
        weight = np.exp(tops[1] - 0.5 * np.square(np.log2(frequency / CENTRE) / OCTAVES))
        circle = 12 * STEPS
        place = np.mod(12 * STEPS * np.log2(frequency / 440.0) + 9 * STEPS, circle)  # 0 is C
        lower = np.floor(place).astype(np.int64)
        part = place - lower
        flat = np.bincount(window * circle + lower % circle, weight * (1 - part), count * circle)
        flat += np.bincount(window * circle + (lower + 1) % circle, weight * part, count * circle)
        self._parts.append(flat.reshape(count, circle).astype(np.float32))

    def result(self) -> np.ndarray:
        """Strength around the pitch circle, C first, in fifths of a semitone: float32 [windows, 60]."""
        return np.concatenate(self._parts) if self._parts else np.zeros((0, 12 * STEPS), np.float32)


def tuning(circle: np.ndarray) -> float:
    """How far the song is tuned above A = 440 Hz, in semitones from -0.5 to 0.5; zero when nothing sounds.

    The circular mean of where the peaks lie within their semitones.
    """
    within = circle.sum(axis=0, dtype=np.float64).reshape(12, STEPS).sum(axis=0)
    direction = np.sum(within * np.exp(2j * np.pi * np.arange(STEPS) / STEPS))
    return float(np.angle(direction) / (2 * np.pi)) if abs(direction) > 0 else 0.0


def fold(circle: np.ndarray, tuned: float) -> np.ndarray:
    """Add up the pitch circle to twelve classes, each reaching half a semitone to its sides after tuning.

    Returns
    -------
    numpy.ndarray
        float64 [windows, 12], C first; rows sum to one, and to twelve equal values where the song is silent.
    """
    place = np.arange(12 * STEPS) / STEPS - tuned
    distance = np.abs(np.mod(place[:, None] - np.arange(12)[None, :] + 6, 12) - 6)  # [circle, 12] in semitones
    weights = np.clip(1.0 - distance, 0.0, 1.0) ** 2
    strength = (circle @ weights.astype(np.float32)).astype(np.float64)
    return (strength + SILENCE) / (strength + SILENCE).sum(axis=1, keepdims=True)


def chroma_envelope(circle: np.ndarray, fps: Fraction, frames: int) -> np.ndarray:
    """Chroma of each video frame: the latest that is dated before the frame ends.

    Returns
    -------
    numpy.ndarray
        float32 [frames, 12], C first; rows sum to one.
    """
    if len(circle) == 0:
        return np.full((frames, 12), 1 / 12, np.float32)
    dates = PITCH.centres(len(circle)) + round(DELAY * RATE)
    ends = np.arange(1, frames + 1, dtype=np.int64) * fps.denominator * RATE // fps.numerator
    latest = np.clip(np.searchsorted(dates, ends) - 1, 0, len(circle) - 1)
    return fold(circle, tuning(circle))[latest].astype(np.float32)
