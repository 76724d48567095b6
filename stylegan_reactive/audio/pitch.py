# SPDX-License-Identifier: GPL-3.0-or-later
"""The pitch of the melody, in Hz, and how sure it is.

Every window offers its strongest notes, after overtones are given back to them; the melody is the way through these
notes that is strong and leaps little, found by Viterbi's algorithm (after Salamon and Gómez, "Melody Extraction from
Polyphonic Music Signals using Pitch Contour Characteristics", 2012, who follow contours of salience instead). Of one
voice alone it is that voice's pitch.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .chroma import POWER, without_overtones
from .moments import moments
from .peaks import Peaks, spectral_peaks

LOWEST, HIGHEST = 38.0, 2500.0
"""Hz between which peaks are looked for: from the lowest string of a bass to the overtones of a whistle."""

HIGHEST_NOTE = 1800.0
"""Hz. Hardly a melody is higher."""

FALL_ALONE, FALL_AMONG = 0.85, 0.65
"""From one partial to the next, a note's loudness falls to this share. One voice alone is taken to be rich in
overtones, else its octave would be heard as a second voice; among others, octaves and fifths are likely to be notes."""

CANDIDATES = 6
"""Notes of a window that the melody may take."""

ALONE = 0.5
"""Share of a window's sound that the strongest note has, in half of the song, where one voice is alone."""

CLEAR = 0.25
"""Share of a window's strongest note that another must have to be no mere rest of it."""

CENTRE, OCTAVES = 600.0, 1.0
"""Where melodies lie among other instruments: a bell over the octaves, by its centre in Hz and its width."""

LEAP, FURTHEST = 0.25, 2.5
"""What a leap costs against strength: per semitone and at most, as logarithms. A melody leaps, but not back and forth
between two windows."""

LEAST = 0.1
"""Confidence below which a pitch is not followed."""

FAINT = 10 ** (-30 / 20 * POWER)
"""Share of the song's strong moments, -30 dB, below which confidence falls with the level."""

CONCERT_PITCH = 440.0
"""Hz, of a song without any melody."""


@dataclass(frozen=True)
class Candidates:
    """Notes among which the melody is looked for.

    Attributes
    ----------
    frequency, strength
        In Hz, and how much of the window's sound the note explains, the strongest first; zero where there are fewer
        notes: float32 [windows, candidates].
    total
        Strength of all notes of each window together: float32 [windows].
    """

    frequency: np.ndarray
    strength: np.ndarray
    total: np.ndarray


@dataclass(frozen=True)
class Notes:
    """What a song's windows may be: ``alone`` if it is one voice, ``among`` others if it is several."""

    alone: Candidates
    among: Candidates

    def __len__(self) -> int:
        return len(self.alone.total)


class MelodyStream:
    """Collect the strongest notes of magnitude spectra that arrive in blocks.

    What is kept grows by 26 numbers for each window.

    Parameters
    ----------
    low, high
        Hz between which the melody lies.
    """

    def __init__(self, low: float = LOWEST, high: float = HIGHEST_NOTE) -> None:
        self._low, self._high = low, high
        self._alone: list[Candidates] = []
        self._among: list[Candidates] = []

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins] of the grid ``PITCH``."""
        peaks = spectral_peaks(magnitudes, min(LOWEST, self._low), max(HIGHEST, self._high))
        self._alone.append(self._strongest(peaks, FALL_ALONE))
        self._among.append(self._strongest(peaks, FALL_AMONG))

    def result(self) -> Notes:
        """Notes of everything that was fed."""
        return Notes(_joined(self._alone), _joined(self._among))

    def _strongest(self, peaks: Peaks, fall: float) -> Candidates:
        notes, explained = without_overtones(peaks, fall, missing=0.0)
        inside = (notes.frequency >= self._low) & (notes.frequency <= self._high)
        explained = np.where(inside, explained, np.float32(0))
        best = np.argsort(-explained, axis=1, kind="stable")[:, :CANDIDATES]
        return Candidates(
            np.take_along_axis(notes.frequency, best, axis=1),
            np.take_along_axis(explained, best, axis=1),
            explained.sum(axis=1),
        )


def _joined(parts: list[Candidates]) -> Candidates:
    nothing = np.zeros((0, CANDIDATES), np.float32)
    parts = [*parts, Candidates(nothing, nothing, np.zeros(0, np.float32))]
    return Candidates(
        np.concatenate([part.frequency for part in parts]),
        np.concatenate([part.strength for part in parts]),
        np.concatenate([part.total for part in parts]),
    )


def melody(notes: Notes) -> tuple[np.ndarray, np.ndarray]:
    """Follow the melody through the notes of a song.

    Returns
    -------
    hertz
        Pitch of each window; in pauses that of the note before, ahead of the first note that of the first, and 440
        where there is none at all: float32 [windows].
    confidence
        Share of what sounds that is this note: 0 in pauses, 0.7 or more for one voice alone: float32 [windows].
    """
    hertz, confidence = np.full(len(notes), CONCERT_PITCH, np.float32), np.zeros(len(notes), np.float32)
    heard = np.flatnonzero(notes.alone.total > 0)
    if len(heard) == 0:
        return hertz, confidence
    is_alone = np.median(notes.alone.strength[heard, 0] / notes.alone.total[heard]) >= ALONE
    candidates = notes.alone if is_alone else notes.among
    frequency, total = candidates.frequency[heard].astype(np.float64), candidates.total[heard].astype(np.float64)
    share = candidates.strength[heard] / total[:, None]
    likely = share
    if not is_alone:
        bell = np.exp(-0.5 * np.square(np.log2(frequency / CENTRE) / OCTAVES))
        likely = np.where(share >= CLEAR * share[:, :1], share * bell, 0.0)
    chosen = _best_way(np.log(np.maximum(likely, 1e-4)), semitones(frequency), np.diff(heard))
    level = np.minimum(total / (FAINT * np.percentile(total, 90)), 1.0)
    rows = np.arange(len(heard))
    sure = share[rows, chosen] * level
    confidence[heard] = sure
    followed = sure >= LEAST
    if followed.any():
        last = np.searchsorted(heard[followed], np.arange(len(notes)), side="right") - 1
        hertz = frequency[rows, chosen][followed][np.maximum(last, 0)].astype(np.float32)
    return hertz, confidence


def _best_way(likely: np.ndarray, heights: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Viterbi's algorithm: the candidate of each window, int64 [windows]. After a gap every leap is free.

    Both arrays are [windows, candidates]: logarithms of how likely each is, and its pitch in semitones.
    """
    best = likely[0]
    came_from = np.zeros(likely.shape, np.int64)
    cost = np.minimum(LEAP * np.abs(heights[1:, :, None] - heights[:-1, None, :]), FURTHEST)  # [windows, to, from]
    cost[gaps > 1] = 0.0
    for window in range(1, len(likely)):
        ways = best - cost[window - 1]
        came_from[window] = ways.argmax(axis=1)
        best = ways.max(axis=1) + likely[window]
    chosen = np.zeros(len(likely), np.int64)
    chosen[-1] = best.argmax()
    for window in range(len(likely) - 1, 0, -1):
        chosen[window - 1] = came_from[window, chosen[window]]
    return chosen


def pitch_envelope(notes: Notes, fps: Fraction, frames: int, attacks: np.ndarray | None = None) -> np.ndarray:
    """Pitch of the melody in each video frame, in Hz; in pauses it stays where it was: float32 [frames].

    Parameters
    ----------
    notes
        As ``MelodyStream`` gives them.
    fps, frames
        The video.
    attacks
        When something starts in the song, in samples, ascending: int64 [attacks].
    """
    if len(notes) == 0:
        return np.full(frames, CONCERT_PITCH, np.float32)
    return melody(notes)[0][moments(len(notes), fps, frames, attacks).window]


def voicing_envelope(notes: Notes, fps: Fraction, frames: int, attacks: np.ndarray | None = None) -> np.ndarray:
    """How sure the pitch of each video frame is: 0 in pauses, 0.7 or more for one voice alone: float32 [frames].

    Takes what ``pitch_envelope`` takes.
    """
    if len(notes) == 0:
        return np.zeros(frames, np.float32)
    return melody(notes)[1][moments(len(notes), fps, frames, attacks).window]


def semitones(hertz: np.ndarray) -> np.ndarray:
    """MIDI number of a pitch, with its fractions: 440 Hz is 69."""
    return 69.0 + 12.0 * np.log2(np.asarray(hertz, np.float64) / CONCERT_PITCH)


def height(hertz: np.ndarray, low: float = 110.0, high: float = 880.0) -> np.ndarray:
    """Place of a pitch between two others, 0 to 1, in equal steps for equal intervals: float32, the same shape."""
    octaves = np.log2(np.asarray(hertz, np.float64) / low) / np.log2(high / low)
    return np.clip(octaves, 0.0, 1.0).astype(np.float32)
