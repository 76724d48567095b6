# SPDX-License-Identifier: GPL-3.0-or-later
"""The arc of a song: where it builds up, and where it drops.

Both compare the sound of now with the sound of before, and look back only. A song builds while it becomes louder and
its treble opens; it drops when bass and force come in that were not there. Twelve decibels count as all of it: four
times the power in the ear's rough terms, or a filter that opens by an octave or two.
"""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

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
        float32 [frames], 0 to 1. Zero until so much of the song has passed.
    """
    half = seconds / 2
    rises = []
    for name in ("all", "treble"):
        level = _level(energies[name], fps, frames, half)
        rises.append(level - _earlier(level, half, fps))
    return np.clip(np.mean(rises, axis=0) / FULL, 0.0, 1.0).astype(np.float32)


def drop_envelope(
    energies: Mapping[str, np.ndarray], fps: Fraction, frames: int, seconds: float = DROP_SECONDS
) -> np.ndarray:
    """How much bass and force has come in against the last ``seconds``; parameters as for ``build_envelope``."""
    rises = []
    for name in ("all", "bass"):
        now = _level(energies[name], fps, frames, NOW)
        rises.append(now - _earlier(_level(energies[name], fps, frames, seconds), NOW, fps))
    return np.clip(np.mean(rises, axis=0) / FULL, 0.0, 1.0).astype(np.float32)


def _level(energy: np.ndarray, fps: Fraction, frames: int, seconds: float) -> np.ndarray:
    """Decibels over the last ``seconds``, or over all that has passed, against the loudest: float64 [frames]."""
    mean = trailing_mean(energy, fps, frames, seconds, slice_length=SLICE)
    mean *= np.maximum(seconds / (np.arange(1, frames + 1) / float(fps)), 1.0)  # what was before the song is no silence
    loudest = float(mean.max(initial=0.0))
    return 10.0 * np.log10(np.maximum(mean, 0.0) / loudest + FLOOR) if loudest > 1e-9 else np.zeros(frames)


def _earlier(level: np.ndarray, seconds: float, fps: Fraction) -> np.ndarray:
    """The level so long ago; before the song's start, the level of now, from which nothing rises."""
    by = max(1, round(seconds * float(fps)))
    return np.concatenate([level[:by], level[:-by]]) if by < len(level) else level
