# SPDX-License-Identifier: GPL-3.0-or-later
"""From rough beats to exact ones: each is drawn to the attacks around it, and all of them to an even course.

A machine's beats come out as even as they are, a band's follow the band: between single dates, which jitter by some
milliseconds, and the tempo, which seldom changes, the balance is that of Kim et al. ("l1 Trend Filtering", 2009): the
course of the beats is straight as long as it can be.
"""

import numpy as np
from scipy import linalg

from ..errors import SongError
from .beats import fit_line

NEAR = 0.05
"""Seconds around a rough beat in which its attack is looked for."""

LIKELY = 0.02
"""Standard deviation in seconds of attacks around rough beats."""

JITTER = 0.007
"""Standard deviation in seconds of single attacks around an even course."""

LEAST_DRIFT = 0.0007
"""Seconds by which the length of a beat differs from the next, at least, where the tempo is not fixed."""

DRIFT_SPAN = 4
"""Beats over which the drift of the tempo is measured, so that the jitter of single beats hardly counts."""

LATE = 0.5
"""Weight of dates behind the beat: a bass or a bow may speak late, but nothing sounds before it is played."""

TAP_JITTER = 0.03
"""Standard deviation in seconds of a finger's taps."""

ROUNDS = 25
"""Of reweighted least squares."""


def attacks_of_beats(beats: np.ndarray, attacks: np.ndarray, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the attack that each beat stands for.

    Parameters
    ----------
    beats
        Rough times in seconds: float64 [beats].
    attacks, strengths
        Times in seconds, rising, and strengths up to 1: float64 [attacks].

    Returns
    -------
    tuple
        Times, and weights from 0 to 1: float64 [beats] each. A beat without an attack keeps its time with weight 0.
    """
    dates, weights = beats.astype(np.float64), np.zeros(len(beats))
    if len(attacks) == 0:
        return dates, weights
    after = np.searchsorted(attacks, beats)
    for shift in range(-3, 3):
        index = np.clip(after + shift, 0, len(attacks) - 1)
        distance = attacks[index] - beats
        weight = strengths[index] * np.exp(-0.5 * np.square(distance / LIKELY)) * (np.abs(distance) <= NEAR)
        better = weight > weights
        dates[better], weights[better] = attacks[index][better], weight[better]
    return dates, weights


def straighten(dates: np.ndarray, weights: np.ndarray, *, steady: bool) -> np.ndarray:
    """Lay an even course through the dates of the beats.

    Parameters
    ----------
    dates, weights
        As ``attacks_of_beats`` gives them.
    steady
        Whether all beats are of one length.

    Returns
    -------
    numpy.ndarray
        Times in seconds, rising: float64 [beats].
    """
    count = len(dates)
    if count < 3:
        return dates
    weights = weights + 1e-3
    if steady:
        numbers = np.arange(count)
        period = float(dates[-1] - dates[0]) / (count - 1)
        offset, period = fit_line(dates, float(dates[0]), period, JITTER, weights, late=LATE)
        return offset + period * (numbers + np.round((dates[0] - offset) / period))
    course, drift = dates.astype(np.float64), _drift(dates)
    for _ in range(ROUNDS):
        pull = weights / (
            JITTER * np.maximum(np.abs(dates - course), JITTER)
        )  # Huber's: a stray date counts, but little
        pull[dates > course] *= LATE
        bend = np.abs(np.diff(course, 2))
        course = _solve(dates, pull, 1.0 / (drift * np.maximum(bend, drift / 10)))
    return np.maximum.accumulate(course) + 1e-9 * np.arange(count)  # rising, even where dates contradict each other


def _drift(dates: np.ndarray) -> float:
    """How much the length of the beat changes from one to the next, on average, in seconds."""
    if len(dates) <= 2 * DRIFT_SPAN:
        return LEAST_DRIFT
    lengths = (dates[DRIFT_SPAN:] - dates[:-DRIFT_SPAN]) / DRIFT_SPAN
    change = np.abs(lengths[DRIFT_SPAN:] - lengths[:-DRIFT_SPAN]) / DRIFT_SPAN
    return max(float(change.mean()), LEAST_DRIFT)


def _solve(dates: np.ndarray, pull: np.ndarray, stiffness: np.ndarray) -> np.ndarray:
    """Minimise the sum of pull × distance² and stiffness × second difference²."""
    bands = np.zeros((3, len(dates)))  # upper bands of a symmetric matrix, the diagonal last
    bands[2] = pull
    bands[2, :-2] += stiffness
    bands[2, 1:-1] += 4.0 * stiffness
    bands[2, 2:] += stiffness
    bands[1, 1:-1] -= 2.0 * stiffness
    bands[1, 2:] -= 2.0 * stiffness
    bands[0, 2:] += stiffness
    return np.asarray(linalg.solveh_banded(bands, pull * dates))


def even_grid(offset: float, period: float, seconds: float) -> np.ndarray:
    """All lines of an even grid within a song: float64."""
    first = int(np.ceil(-offset / period - 1e-9))
    last = int(np.floor((seconds - offset) / period))
    return np.maximum(offset + period * np.arange(first, last + 1), 0.0)


def fit_taps(taps: tuple[float, ...]) -> tuple[float, float]:
    """Offset and period in seconds of the grid through some taps."""
    times = np.sort(np.asarray(taps, np.float64))
    times = times[np.concatenate([[True], np.diff(times) > 0.06])] if len(times) else times
    if len(times) < 2:
        raise SongError("Tempo needs at least two taps at different times; tap along for a few bars.")
    steps = np.diff(times)
    period = float(np.median(steps))
    period = float(np.median(steps / np.maximum(np.round(steps / period), 1.0)))  # a missed tap leaves a double step
    numbers = np.concatenate([[0.0], np.cumsum(np.maximum(np.round(steps / period), 1.0))])
    if len(times) > 2:
        period = float(np.polyfit(numbers, times, 1)[0])
    offset, period = fit_line(times, float(np.median(times - period * numbers)), period, TAP_JITTER)
    if not 0.06 <= period <= 6.0:
        raise SongError(f"The taps are {period:.2f} seconds apart, which is no beat; tap once for each beat.")
    return offset, period
