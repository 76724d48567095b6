# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rhythm is found in: everything that starts, drawn on a scale of time, and the chords."""

from dataclasses import dataclass

import numpy as np

from .attack import date_attacks
from .beats import STEPS, draw_hits, support
from .chroma import fold, tuning
from .decode import RATE
from .metre import Sound
from .onset import Novelty, find_peaks
from .spectrum import PITCH

LATENESS = 0.003
"""Seconds by which spectral flux peaks after most attacks begin."""

NOTE_LEAK = 0.3
"""Share of the song's strong hits below which the strong hits of a drum are only what notes leave in its share."""

CHROMA_PART = 4096
"""Windows of chroma that are folded at once."""


@dataclass(frozen=True)
class Heard:
    """The song as rhythm is found in it.

    Attributes
    ----------
    sound
        Hits and chords on a scale of time.
    hits
        When something starts, in seconds, rising: float64 [hits].
    heights, strengths
        Of the novelty there, and its square root against the song's strong hits, 0 to 1: float64 [hits].
    seconds
        Length of the song.
    """

    sound: Sound
    hits: np.ndarray
    heights: np.ndarray
    strengths: np.ndarray
    seconds: float

    @property
    def gain(self) -> np.ndarray:
        """What a beat gains at each step, as ``beats.track`` takes it."""
        return support(self.sound.everything, np.maximum(self.sound.kick, self.sound.snare))


def listen(novelty: Novelty, circle: np.ndarray, energy: np.ndarray | None) -> Heard:
    """Draw everything that starts on a scale of time, and sum the chroma up."""
    centres = novelty.centres
    seconds = max(float(centres[-1]) / RATE, 0.0) if len(centres) else 0.0
    steps = int(seconds * STEPS) + 1

    def drawn(name: str, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at, heights = find_peaks(novelty.values[name])
        dates = centres[at] / RATE - LATENESS
        if energy is not None and name == "onset":
            dates = date_attacks(centres[at], energy) / RATE
        order = np.argsort(dates, kind="stable")
        dates, heights = np.clip(dates[order], 0.0, seconds), heights[order].astype(np.float64)
        return dates, heights, draw_hits(dates, heights, steps, least)

    hits, heights, everything = drawn("onset", 0.0)
    strong = float(np.percentile(heights, 90)) if len(heights) else 1.0
    kick, snare, hats = (drawn(name, NOTE_LEAK * strong)[2] for name in ("kick", "snare", "hats"))
    sound = Sound(everything, kick, snare, hats, _sum_chroma(circle), PITCH.centres(len(circle)) / RATE)
    return Heard(sound, hits, heights, np.sqrt(np.clip(heights / strong, 0.0, 1.0)), seconds)


def _sum_chroma(circle: np.ndarray) -> np.ndarray:
    """Running sum of the chroma, part by part as a whole hour would take much memory: float64 [windows + 1, 12]."""
    total, tuned = np.zeros((len(circle) + 1, 12)), tuning(circle)
    for start in range(0, len(circle), CHROMA_PART):
        part = fold(circle[start : start + CHROMA_PART], tuned)
        total[start + 1 : start + 1 + len(part)] = total[start] + np.cumsum(part, axis=0)
    return total
