# SPDX-License-Identifier: GPL-3.0-or-later
"""Bars over known beats: how many beats, and which is the first.

What speaks for the first beat of a bar is gathered at the beats: chords change there, the bass drum falls there, the
snare does not, sections begin there. A hidden Markov model counts through the bar, as in Whiteley et al. (2006) with
the beat as its step; it may lose count where the band does, at a price.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from .beats import STEPS, strongest_near

METRES: Mapping[int, float] = MappingProxyType({2: 0.4, 3: 0.97, 4: 1.0, 5: 0.8, 6: 0.7, 7: 0.8})
"""Beats in a bar → how much of its evidence counts: songs are in four or three, unless much speaks against it."""

COMMON = (3, 4)

BEATS_PER_BAR = 4
"""Where nothing is heard that tells."""

WHILE = 96
"""Beats for which a count is kept, about."""

LOST_COUNT = 12.0
"""Cost of a bar that breaks off: three or four clear bars."""

KICKS: Mapping[int, tuple[float, ...]] = MappingProxyType({3: (1.0, -0.4, -0.4), 4: (1.0, -0.5, 0.3, -0.5)})
SNARES: Mapping[int, tuple[float, ...]] = MappingProxyType({3: (-1.0, 0.5, 0.5), 4: (-1.0, 1.0, -0.5, 1.0)})
"""What a kick and a snare on each beat of a bar speak for. In other metres: kick on the first, snare elsewhere."""

DRUM_WEIGHT, CHORD_WEIGHT, SECTION_WEIGHT, ACCENT_WEIGHT, REPEAT_WEIGHT = 2.0, 1.0, 0.5, 0.3, 0.7
"""Of the kinds of evidence; all but drums are counted in standard deviations."""

CONTEXTS = (1, 2, 4)
"""Beats before and after, whose chroma are compared: a broken chord needs several to be heard."""

SECTION_CONTEXT = 8
"""Beats before and after, whose drums are compared."""

SURE = 0.1
"""Lead in evidence per beat over the next best count that makes a count fairly sure."""


@dataclass(frozen=True)
class Sound:
    """What is known about a song when its bars are counted.

    Attributes
    ----------
    everything, kick, snare, hats
        Hits, drawn by ``beats.draw_hits``: float64 [steps].
    chroma
        Running sum of the chroma, and the date of each of its rows: float64 [windows + 1, 12].
    chroma_dates
        Seconds: float64 [windows].
    """

    everything: np.ndarray
    kick: np.ndarray
    snare: np.ndarray
    hats: np.ndarray
    chroma: np.ndarray
    chroma_dates: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """What speaks for the beginning of a bar, at each beat: float64 [beats] each.

    ``kick`` and ``snare`` are strengths from 0 to 1, ``chord`` is in standard deviations, ``other`` weighed already,
    and ``pattern`` [beats, 4] is what is compared to tell whether bars repeat.
    """

    kick: np.ndarray
    snare: np.ndarray
    chord: np.ndarray
    other: np.ndarray
    pattern: np.ndarray

    def of(self, metre: int) -> np.ndarray:
        """Evidence for each beat to be each of a bar: float64 [beats, metre]."""
        rest = -1.0 / max(metre - 1, 1)
        kicks = np.array(KICKS.get(metre, (1.0,) + (rest,) * (metre - 1)))
        snares = np.array(SNARES.get(metre, (-1.0,) + (-rest,) * (metre - 1)))
        found = DRUM_WEIGHT * (np.outer(self.kick - self.kick.mean(), kicks))
        found += DRUM_WEIGHT * np.outer(self.snare - self.snare.mean(), snares)
        first = np.clip(CHORD_WEIGHT * self.chord + self.other, -2.5, 4.0)
        found[:, 0] += first
        return found - first.mean()


@dataclass(frozen=True)
class Bars:
    """Beats in a bar, numbers of the beats that begin one, and how sure that is, 0 to 1."""

    metre: int
    firsts: np.ndarray
    confidence: float


def gather(beats: np.ndarray, sound: Sound) -> Evidence:
    """Collect the evidence at beats (seconds, float64 [beats], at least two)."""
    kick, snare, hats, accent = (
        strongest_near(drawn, beats) for drawn in (sound.kick, sound.snare, sound.hats, sound.everything)
    )
    section = _standard(_texture_change(beats, (sound.everything, sound.kick, sound.snare, sound.hats)))
    other = SECTION_WEIGHT * np.clip(section, -1.0, 3.0) + ACCENT_WEIGHT * _standard(accent)
    pattern = np.stack([kick, snare, hats, accent], axis=1)
    return Evidence(kick, snare, _standard(chord_change(beats, sound)), other, pattern - pattern.mean(axis=0))


def count_steadily(evidence: Evidence) -> tuple[int, np.ndarray]:
    """Find the metre, three or four, and the place of each beat in its bar, if the count is kept for a while each time.

    Returns
    -------
    tuple
        Beats in a bar, and int64 [beats] from 0.
    """
    beats = len(evidence.kick)
    best, found = -np.inf, (BEATS_PER_BAR, np.arange(beats) % BEATS_PER_BAR)
    span = -(-beats // (max(round(beats / WHILE), 1) * math.lcm(*COMMON))) * math.lcm(*COMMON)
    for metre in COMMON:
        totals = _totals(evidence.of(metre), span)
        total = float(totals.max(axis=1).sum()) * METRES[metre]
        if total > best:
            best = total
            first = np.repeat(totals.argmax(axis=1), span)[:beats]
            found = (metre, (np.arange(beats) - first) % metre)
    return found


def better_start(evidence: Evidence, metre: int, starts: tuple[int, ...]) -> int:
    """Which of some beats begins a bar, if all bars are whole."""
    totals = _totals(evidence.of(metre), -(-len(evidence.kick) // metre) * metre)[0]
    return max(starts, key=lambda start: float(totals[start % metre]))


def count_bars(evidence: Evidence, metres: tuple[int, ...]) -> Bars:
    """Find the metre among some and the first beats of all bars."""
    beats = len(evidence.kick)
    repeats = _repeats(evidence.pattern)
    best, rival = -np.inf, -np.inf
    metre, firsts = metres[0], np.arange(0, beats, metres[0])
    for candidate in metres:
        if beats < 2 * candidate:
            continue
        found = evidence.of(candidate)
        positions, score = _follow(found)
        more = REPEAT_WEIGHT * repeats.get(candidate, 0.0)
        value = score / beats + more
        weight = METRES.get(candidate, 0.8)
        value *= weight if value > 0 else 1.0
        others = _totals(found, -(-beats // candidate) * candidate)[0] / beats + more
        chosen = np.bincount((np.arange(beats) - positions) % candidate, minlength=candidate).argmax()
        rival = max(rival, float(np.delete(others, chosen).max()) * weight)
        if value > best:
            rival = max(rival, best)
            best, metre, firsts = value, candidate, np.flatnonzero(positions == 0)
        else:
            rival = max(rival, value)
    sure = 1.0 - float(np.exp(-max(best - rival, 0.0) / SURE)) if np.isfinite(best) else 0.0
    return Bars(metre, firsts, sure)


def chord_change(beats: np.ndarray, sound: Sound) -> np.ndarray:
    """Distance between the chroma before and after each beat, over several lengths of time: float64 [beats], 0 to 1."""
    change = np.zeros(len(beats))
    for context in CONTEXTS:
        edges = np.searchsorted(sound.chroma_dates, _widen(beats, context) + CHROMA_LAG)
        total = sound.chroma[np.clip(edges, 0, len(sound.chroma) - 1)]
        before = total[context:-context] - total[: -2 * context]
        after = total[2 * context :] - total[context:-context]
        norm = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        change += 1.0 - np.sum(before * after, axis=1) / np.maximum(norm, 1e-9)
    return change / len(CONTEXTS)


CHROMA_LAG = 0.02
"""Seconds after a beat from which a window of the chroma, by its centre, belongs to that beat."""


def _texture_change(beats: np.ndarray, drums: tuple[np.ndarray, ...]) -> np.ndarray:
    """How differently drums play before and after each beat."""
    change = np.zeros(len(beats))
    at = np.round(_widen(beats, SECTION_CONTEXT) * STEPS).astype(int) - 3  # where a drum that falls there begins
    for drawn in drums:
        total = np.concatenate([[0.0], np.cumsum(drawn)])[np.clip(at, 0, len(drawn))]
        parts = total[SECTION_CONTEXT:] - total[:-SECTION_CONTEXT]
        usual = max(float(drawn.mean()) * SECTION_CONTEXT * float(np.median(np.diff(beats))) * STEPS, 1e-6)
        change += np.abs(parts[SECTION_CONTEXT:] - parts[:-SECTION_CONTEXT]) / usual
    return change


def _widen(beats: np.ndarray, more: int) -> np.ndarray:
    """Put as many even beats before and after."""
    step = float(np.median(np.diff(beats)))
    return np.concatenate([beats[0] + step * np.arange(-more, 0), beats, beats[-1] + step * np.arange(1, more + 1)])


def _totals(found: np.ndarray, span: int) -> np.ndarray:
    """Sum the evidence of each span of beats if as many of its beats as the column says precede its first bar.

    Parameters
    ----------
    found
        float64 [beats, metre].
    span
        Beats; a multiple of the metre.

    Returns
    -------
    numpy.ndarray
        float64 [spans, metre].
    """
    beats, metre = found.shape
    spans = -(-beats // span)
    padded = np.concatenate([found, np.zeros((spans * span - beats, metre))])
    by_beat = padded.reshape(spans, span // metre, metre, metre).sum(axis=1)  # [spans, beat, place]
    beat = np.arange(metre)
    return np.stack([by_beat[:, beat, (beat - first) % metre].sum(axis=1) for first in range(metre)], axis=1)


def _follow(found: np.ndarray) -> tuple[np.ndarray, float]:
    """Position in the bar of each beat on the best path, int64 [beats], and the path's score."""
    beats, metre = found.shape
    before = np.zeros((beats, metre), np.int64)
    stay = (np.arange(metre) - 1) % metre
    score = found[0]
    for beat in range(1, beats):
        step, jump = score[stay], score.max() - LOST_COUNT
        before[beat] = np.where(step >= jump, stay, score.argmax())
        score = np.maximum(step, jump) + found[beat]
    positions = np.zeros(beats, np.int64)
    positions[-1] = score.argmax()
    for beat in range(beats - 1, 0, -1):
        positions[beat - 1] = before[beat, positions[beat]]
    return positions, float(score.max())


def _repeats(pattern: np.ndarray) -> dict[int, float]:
    """How much more alike beats are one and two bars apart than beats in general, by the metre."""
    norm = float(np.square(pattern).sum(axis=1).mean())
    if norm < 1e-9:
        return {}
    most = min(14, len(pattern) - 2)
    alike = {lag: float((pattern[lag:] * pattern[:-lag]).sum(axis=1).mean()) / norm for lag in range(1, most + 1)}
    usual = float(np.mean([value for lag, value in alike.items() if lag <= 8] or [0.0]))
    return {
        metre: float(np.mean([alike[lag] for lag in (metre, 2 * metre) if lag in alike])) - usual
        for metre in METRES
        if metre in alike
    }


def _standard(values: np.ndarray) -> np.ndarray:
    deviation = float(values.std())
    return (values - values.mean()) / deviation if deviation > 1e-9 else np.zeros(len(values))
