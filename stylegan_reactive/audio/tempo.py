# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of several possible pulses is the beat: the same song can be counted twice as fast, or between the beats.

Each candidate is a complete sequence of beats. Five observations tell them apart; together they are the log odds of a
logistic regression, whose weights come from about 120 pieces with known beats, written for this purpose in sixteen
styles from 56 to 210 BPM with General MIDI instruments.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft

from .beats import STEPS, steady_grid, strongest_near, support, track
from .metre import Sound, count_steadily, gather

SLOWEST, FASTEST = 40.0, 250.0
"""BPM within which a pulse is looked for; the beat may be slower or faster than the clearest pulse."""

SLOWEST_BEAT, FASTEST_BEAT = 42.0, 230.0
"""BPM."""

MULTIPLES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3)
"""Of the clearest pulse's tempo, which are tried."""

REACH = 1.2
"""How much the tempo may differ from a candidate's, up and down."""

WIDE_REACH = 1.45
"""The same for the one that was chosen: nothing else is near that it could be taken for."""

LIKELY_TEMPO = 115.0
"""BPM that most songs are near."""

PRIOR, COVERAGE, EVENNESS, BACKBEAT, CHORDS = 2.3, 8.5, 5.0, 4.8, 5.5
"""Weights: per squared octave from the likely tempo; of the mean strength at the beats; of the share of hits on beats
and in the middle between; of the share of the snare on the backbeat; and of chord changes at bars."""

SNARE_BELL = 4.5
"""Steps that a drawn hit of strength 1 adds up to."""

ON_TIME = 0.02
"""Seconds."""


@dataclass(frozen=True)
class Candidate:
    """A sequence of beats, in seconds, whether they are all of one length, and the log odds that these are the beat."""

    beats: np.ndarray
    steady: bool
    odds: float


def find_candidates(
    sound: Sound, hits: np.ndarray, strengths: np.ndarray, tell: Callable[[float], None] = lambda part: None
) -> list[Candidate]:
    """Find the pulses that may be the beat, the likeliest first.

    Parameters
    ----------
    sound
        What is known about the song.
    hits, strengths
        Seconds, and strengths from 0 to 1, of everything that starts: float64 [hits].
    tell
        Called with the share that is done, 0 to 1, before each range of tempo; may raise to cancel.
    """
    tell(0.0)
    gain = support(sound.everything, np.maximum(sound.kick, sound.snare))
    found: list[Candidate] = []
    known: list[float] = []
    ranges = _ranges(gain, sound.everything)
    for number, (slowest, fastest) in enumerate(ranges):
        tell((number + 1) / (len(ranges) + 1))
        rough = track(gain, slowest, fastest)
        if len(rough) < 4:
            continue
        grid = steady_grid(rough, gain)
        beats = rough if grid is None else grid
        length = float(np.log(np.median(np.diff(beats))))
        if len(beats) < 4 or any(abs(length - other) < 0.03 for other in known):
            continue
        known.append(length)
        between = 0.5 * (beats[1:] + beats[:-1])
        found += [
            Candidate(times, grid is not None, beat_odds(times, sound, hits, strengths)) for times in (beats, between)
        ]
    return sorted(found, key=lambda candidate: -candidate.odds)


def follow_further(chosen: Candidate, sound: Sound) -> np.ndarray:
    """Follow a beat whose tempo leaves the range in which it was found, if it does: float64 [beats], seconds."""
    gain = support(sound.everything, np.maximum(sound.kick, sound.snare))
    tempo = 60.0 / float(np.median(np.diff(chosen.beats)))
    further = track(gain, tempo / WIDE_REACH, tempo * WIDE_REACH)
    here, there = (strongest_near(gain, beats, 1).sum() for beats in (chosen.beats, further))
    return further if len(further) > 1 and there > here and _agree(further, chosen.beats) > 0.5 else chosen.beats


def _agree(beats: np.ndarray, others: np.ndarray) -> float:
    """Share of beats that lie on others."""
    return float(np.mean(np.abs(beats - _nearest(others, beats)) < ON_TIME))


def _nearest(times: np.ndarray, to: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(times, to), 1, len(times) - 1)
    return np.where(to - times[after - 1] < times[after] - to, times[after - 1], times[after])


def _ranges(gain: np.ndarray, drawn: np.ndarray) -> list[tuple[float, float]]:
    """Ranges of tempo around the multiples of the clearest pulses."""
    clear = track(gain, SLOWEST, FASTEST)
    if len(clear) < 2:
        return []
    pulse = 60.0 / float(np.median(np.diff(clear)))
    periodic = _periodicity(drawn)
    tempi: list[float] = []
    for tempo in [pulse * multiple for multiple in MULTIPLES] + [periodic * multiple for multiple in (0.5, 1, 2)]:
        if SLOWEST_BEAT <= tempo <= FASTEST_BEAT and all(abs(np.log(tempo / other)) > 0.06 for other in tempi):
            tempi.append(tempo)
    return [(tempo / REACH, tempo * REACH) for tempo in tempi]


def _periodicity(drawn: np.ndarray) -> float:
    """BPM of the period that comes back most, over spans of twelve seconds."""
    window, hop = 12 * STEPS, 4 * STEPS
    periods = np.exp(np.linspace(np.log(60.0 * STEPS / FASTEST), np.log(60.0 * STEPS / SLOWEST), 300))
    longest = int(4 * periods[-1]) + 2
    padded = np.concatenate([drawn, np.zeros(max(0, window - len(drawn)))])
    spans = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    size = fft.next_fast_len(window + longest)
    mean = np.zeros(longest)
    for span in spans:
        correlation = fft.irfft(np.square(np.abs(fft.rfft(span - span.mean(), size))), size)[:longest]
        mean += correlation / max(float(correlation[0]), 1e-6)
    mean *= window / (window - np.minimum(np.arange(longest), window - STEPS))
    comb = np.zeros(len(periods))
    for multiple, weight in ((1, 1.0), (2, 1.0), (3, 0.5), (4, 1.0)):
        comb += weight * np.interp(multiple * periods, np.arange(longest), mean)
    return 60.0 * STEPS / float(periods[int(np.argmax(comb))])


def beat_odds(beats: np.ndarray, sound: Sound, hits: np.ndarray, strengths: np.ndarray) -> float:
    """Log odds, up to a constant, that a sequence of beats (seconds, at least two) is the song's."""
    count, length = len(beats), float(np.median(np.diff(beats)))
    evidence = gather(beats, sound)
    metre, position = count_steadily(evidence)
    prior = -float(np.square(np.log2(60.0 / length / LIKELY_TEMPO)))
    coverage = float(strongest_near(sound.everything, beats).mean())
    inside = (hits > beats[0]) & (hits < beats[-1])
    phase = 2.0 * np.interp(hits[inside], beats, np.arange(count))
    late = np.abs(phase - np.round(phase)) * length / 2
    even = float((strengths[inside] * np.exp(-0.5 * np.square(late / ON_TIME))).sum())
    even /= max(float(strengths[inside].sum()), 1e-9)
    back = position % 2 == 1 if metre == 4 else position > 0
    snares = max(float(sound.snare.sum()) / SNARE_BELL, 0.05 * count)
    backbeat = float(evidence.snare[back].sum() - evidence.snare[~back].sum()) / snares
    begins = position == 0
    chords = float(evidence.chord[begins].mean()) * np.sqrt(begins.sum() / max(float(beats[-1] - beats[0]), 1e-9))
    return PRIOR * prior + COVERAGE * coverage + EVENNESS * even + BACKBEAT * backbeat + CHORDS * chords
