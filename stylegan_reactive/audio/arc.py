# SPDX-License-Identifier: GPL-3.0-or-later
"""The arc of a song: where it builds up, and where it drops.

Both compare the sound of now with the sound of before, and look back only. A song builds while it becomes louder and
its treble opens; it drops when bass and force come in that were not there. Twelve decibels count as all of it: four
times the power in the ear's rough terms, or a filter that opens by an octave or two.
"""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from .decode import RATE
from .framing import trailing_mean
from .loudness import SLICE

BUILD_SECONDS = 8.0
"""Over which a song builds: four bars at 120 BPM. Its second half is compared with its first."""

DROP_SECONDS = 4.0
"""Of what was before, with which a drop is compared: two bars at 120 BPM."""

NOW = 0.5
"""Seconds of what counts as now in a drop: a beat at 120 BPM."""

FULL = 12.0
"""Decibels of change that count as 1."""

BANDS: Mapping[str, tuple[float, float] | None] = {"all": None, "bass": (0.0, 150.0), "treble": (2000.0, 22050.0)}
"""Hz. What is compared."""

FLOOR = 1e-3
"""Share of the loudest energy below which a change is not heard: -30 dB."""

SILENCE = 1e-6
"""Share of the loudest energy below which a song has not begun: -60 dB."""


def build_envelope(
    energies: Mapping[str, np.ndarray], fps: Fraction, frames: int, seconds: float = BUILD_SECONDS
) -> np.ndarray:
    """How much louder and brighter the second half of the last ``seconds`` was than the first.

    Parameters
    ----------
    energies
        For each name in ``BANDS``, what ``EnergyStream`` gives for that band.
    fps, frames
        The video's rate, and its length in frames.
    seconds
        How long ago the comparison begins.

    Returns
    -------
    numpy.ndarray
        float32 [frames], 0 to 1. Zero until so much of the song has been heard.
    """
    half, begin = seconds / 2, _begin(energies["all"], fps, frames)
    rises = []
    for name in ("all", "treble"):
        level = _level(energies[name], fps, frames, half, begin)
        rises.append(_rise(level, level, half, fps, begin + round(seconds * float(fps))))
    return np.clip(np.mean(rises, axis=0) / FULL, 0.0, 1.0).astype(np.float32)


def drop_envelope(
    energies: Mapping[str, np.ndarray], fps: Fraction, frames: int, seconds: float = DROP_SECONDS
) -> np.ndarray:
    """How much bass and force has come in against the last ``seconds``; parameters as for ``build_envelope``."""
    begin = _begin(energies["all"], fps, frames)
    rises = []
    for name in ("all", "bass"):
        now, usual = (_level(energies[name], fps, frames, length, begin) for length in (NOW, seconds))
        rises.append(_rise(now, usual, NOW, fps, begin + round(2 * NOW * float(fps))))
    return np.clip(np.mean(rises, axis=0) / FULL, 0.0, 1.0).astype(np.float32)


def _begin(energy: np.ndarray, fps: Fraction, frames: int) -> int:
    """The frame in which the song begins to be heard: the silence before it is nothing to compare with."""
    loudest = trailing_mean(energy, fps, frames, NOW, slice_length=SLICE).max(initial=0.0)
    heard = np.flatnonzero(energy > SILENCE * loudest)
    return int(heard[0]) * SLICE * fps.numerator // (RATE * fps.denominator) if len(heard) else frames


def _level(energy: np.ndarray, fps: Fraction, frames: int, seconds: float, begin: int) -> np.ndarray:
    """Decibels over the last ``seconds``, or over all that was heard, against the loudest: float64 [frames]."""
    mean = trailing_mean(energy, fps, frames, seconds, slice_length=SLICE)
    mean *= np.maximum(seconds * float(fps) / np.maximum(np.arange(1, frames + 1) - begin, 1), 1.0)
    loudest = float(mean.max(initial=0.0))
    return 10.0 * np.log10(np.maximum(mean, 0.0) / loudest + FLOOR) if loudest > 1e-9 else np.zeros(frames)


def _rise(now: np.ndarray, before: np.ndarray, seconds: float, fps: Fraction, first: int) -> np.ndarray:
    """By how much a level is above another so long ago; zero up to the ``first`` frame: float64 [frames]."""
    by = max(1, round(seconds * float(fps)))
    rise = np.zeros(len(now))
    first = max(first, by)
    if first < len(now):
        rise[first:] = now[first:] - before[first - by : len(now) - by]
    return rise
