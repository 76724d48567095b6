# SPDX-License-Identifier: GPL-3.0-or-later
"""Beats at a known range of tempo: a hidden Markov model of a pointer that moves through the beat.

Whiteley, Cemgil and Godsill ("Bayesian Modelling of Temporal Structure in Musical Audio", 2006) let a pointer run
through the bar; Krebs, Böck and Widmer ("An Efficient State-Space Model for Joint Tempo and Meter Tracking", 2015) give
each tempo as many positions as the beat has steps of time, and let the tempo change at beats only, with exponential
weights. Between two beats such a pointer has no choice. So the whole beat is taken in one stride here: the same model
and the same best path with one state for each tempo, not one for each position, and no beat depends on a step less than
the shortest beat earlier, so that many steps are computed at once.
"""

import numpy as np
from scipy import ndimage

STEPS = 100
"""Steps of time in one second."""

BELL = 0.018
"""Standard deviation in seconds with which hits are drawn: hands are about so even."""

SURROUNDINGS = 4.0
"""Seconds before and after, whose strong hits are the measure of a hit: an intro has beats, too."""

LEAST_LEVEL = 0.1
"""Share of the song's strong hits below which the surroundings are no measure."""

STEADINESS = 50.0
"""Cost of a tempo that changes by a factor e from one beat to the next; 1 % costs a half."""

TEMPO_STEP = 1.015
"""Between neighbouring tempi."""

UNEVEN = 0.3
"""Cost of a beat that comes a step early or late without a change of tempo."""

SUPPORT = 4.0
"""Gain of a beat with a strong hit over one with none."""

CHANGES = 7
"""Tempo steps that one beat may differ from the next."""


def draw_hits(times: np.ndarray, heights: np.ndarray, steps: int, least: float = 0.0) -> np.ndarray:
    """Draw hits as bells whose height says how strong each is beside the strong ones around.

    Parameters
    ----------
    times, heights
        Of the hits, in seconds and on any scale: float64 [hits].
    steps
        Length of the song.
    least
        Height below which the strong hits of the surroundings are no measure.

    Returns
    -------
    numpy.ndarray
        float64 [steps], 0 to 1.
    """
    drawn = np.zeros(steps)
    if len(times) == 0 or steps == 0:
        return drawn
    at = np.clip(np.round(times * STEPS).astype(np.int64), 0, steps - 1)
    level = np.zeros(steps)
    np.maximum.at(level, at, heights)
    strong = ndimage.maximum_filter1d(level, STEPS, mode="nearest")
    around = ndimage.uniform_filter1d(strong, round(2 * SURROUNDINGS * STEPS), mode="nearest")
    least = max(LEAST_LEVEL * float(np.percentile(heights, 90)), least, 1e-12)
    strengths = np.sqrt(np.clip(heights / np.maximum(around[at], least), 0.0, 1.0))
    reach = round(2.5 * BELL * STEPS)
    for shift in range(-reach, reach + 1):
        place = at + shift
        inside = (place >= 0) & (place < steps)
        bell = np.exp(-0.5 * np.square((place / STEPS - times) / BELL))
        np.maximum.at(drawn, place[inside], (strengths * bell)[inside])
    return drawn


def strongest_near(drawn: np.ndarray, times: np.ndarray, reach: int = 2) -> np.ndarray:
    """Largest value within a few steps of each time (seconds): float64 [times]."""
    at = np.clip(np.round(times * STEPS).astype(np.int64), 0, len(drawn) - 1)
    near = np.clip(at[:, None] + np.arange(-reach, reach + 1), 0, len(drawn) - 1)
    return drawn[near].max(axis=1)


def support(everything: np.ndarray, drums: np.ndarray) -> np.ndarray:
    """What a beat gains at each step: positive where more starts than on average. Kick and snare count twice."""
    drawn = 0.5 * everything + 0.5 * drums
    return SUPPORT * (drawn - drawn.mean())


def track(gain: np.ndarray, slowest: float, fastest: float) -> np.ndarray:
    """Find the best sequence of beats with tempi between two limits.

    Parameters
    ----------
    gain
        Of a beat at each step, as ``support`` gives it: float64 [steps].
    slowest, fastest
        Beats per minute.

    Returns
    -------
    numpy.ndarray
        Times in seconds, multiples of a step: float64 [beats]. Beats go on where nothing sounds.
    """
    count = len(gain)
    tempi = int(np.ceil(np.log(fastest / slowest) / np.log(TEMPO_STEP))) + 1
    lengths = np.round(60.0 * STEPS / fastest * TEMPO_STEP ** np.arange(tempi)).astype(np.int64)
    block, past = int(lengths[0]) - 1, int(lengths[-1]) + 1
    blocks = -(-count // block)
    gain = np.concatenate([gain, np.zeros(blocks * block - count)])
    score = np.zeros((past, tempi), np.float32)  # of a beat at a step, by the length of the beat that follows
    choice = np.empty(
        (blocks * block, tempi), np.uint8
    )  # how the tempo changed there and whether it came early or late
    before = ((np.arange(block)[:, None] + past - lengths) * tempi + np.arange(tempi)).astype(np.int64)
    change_cost = STEADINESS * float(np.log(TEMPO_STEP))
    for number in range(blocks):
        flat = score.reshape(-1)
        best, how = flat[before], np.full((block, tempi), CHANGES, np.int16)
        for code, shift in ((1, -tempi), (2, tempi)):
            other = flat[before + shift] - np.float32(UNEVEN)
            better = other > best
            np.copyto(best, other, where=better)
            np.copyto(how, np.int16(CHANGES + code * (2 * CHANGES + 1)), where=better)
        for change in (4, 2, 1):  # all changes up to 7, as their cost grows in proportion
            if change < tempi:
                best, how = _change_tempo(best, how, change, change * change_cost)
        best += gain[number * block : (number + 1) * block, None].astype(np.float32)
        choice[number * block : (number + 1) * block] = how
        score = np.concatenate([score[block:], best])
    # The last beat lies within one beat of the end.
    first = blocks * block - past
    rows = np.arange(first, blocks * block)
    final = np.where(((rows >= count - int(lengths[-1])) & (rows < count))[:, None], score, -np.inf)
    row, tempo = divmod(int(np.argmax(final)), tempi)
    step = first + row
    path = []
    while step >= 0:
        path.append(step)
        early_or_late, change = divmod(int(choice[step, tempo]), 2 * CHANGES + 1)
        tempo -= change - CHANGES
        step += (0, -1, 1)[early_or_late] - int(lengths[tempo])
    return np.array(path[::-1], np.float64) / STEPS


def _change_tempo(best: np.ndarray, how: np.ndarray, change: int, cost: float) -> tuple[np.ndarray, np.ndarray]:
    """Let the tempo go up or down by some steps where that is worth its cost."""
    new, new_how = best.copy(), how.copy()
    for to, of, by in (
        (slice(change, None), slice(None, -change), change),
        (slice(None, -change), slice(change, None), -change),
    ):
        other = best[:, of] - cost
        better = other > new[:, to]
        np.copyto(new[:, to], other, where=better)
        np.copyto(new_how[:, to], how[:, of] + by, where=better, casting="unsafe")
    return new, new_how


def steady_grid(beats: np.ndarray, gain: np.ndarray) -> np.ndarray | None:
    """Find the grid of one tempo that explains nearly as much of the song as beats which are free to drift.

    Music made by machines, or played to a click, has such a grid; and a path of beats that lost it, say in an intro
    that plays between the beats, is put right.

    Parameters
    ----------
    beats
        As ``track`` gives them.
    gain
        As given to ``track``.

    Returns
    -------
    numpy.ndarray or None
        Times in seconds, float64; nothing where the tempo changes.
    """
    if len(beats) < LEAST_BEATS:
        return None
    period = float(np.median(np.diff(beats)))
    for span in (16, 64, 256, 1024):
        if span < len(beats):
            period = float(np.median((beats[span:] - beats[:-span]) / span))
    offset = float(np.angle(np.sum(np.exp(2j * np.pi * beats / period)))) / (2 * np.pi) * period
    offset, period = fit_line(beats, offset, period, 0.03)
    if not 0.1 < period < 10.0:
        return None
    numbers = np.arange(np.round((beats[0] - offset) / period), np.round((beats[-1] - offset) / period) + 1)
    grid = offset + period * numbers
    grid = grid[(grid >= 0.0) & (grid < len(gain) / STEPS)]
    return grid if len(grid) > 1 and _explains(grid, beats, gain) else None


def _explains(grid: np.ndarray, beats: np.ndarray, gain: np.ndarray) -> bool:
    """Whether even beats explain nearly as much as free ones, which then have only lost their way.

    They may have gone over to the middle between the beats for a while, but not to another tempo.
    """
    phase = np.interp(beats, grid, 2.0 * np.arange(len(grid)))
    away = np.abs(phase - np.round(phase)) / 2 > ON_BEAT
    run = min(LOST, len(away))
    for_long = np.convolve(away, np.ones(run), "valid").max() > run - 1
    explained = strongest_near(gain, grid, 1).sum() / max(strongest_near(gain, beats, 1).sum(), 1e-9)
    return bool(explained > STEADY_GAIN and away.mean() < STRAY and not for_long)


LEAST_BEATS = 16
"""With fewer, nobody can say that the tempo does not change."""

STEADY_GAIN, STRAY = 0.7, 0.12
"""Share of the gain that even beats have to explain, and share of the free ones that may lie elsewhere."""

ON_BEAT, LOST = 0.08, 10
"""Share of a beat that still counts as on it, or on the middle; and beats away from both after which the tempo itself
must have changed."""


def fit_line(
    times: np.ndarray,
    offset: float,
    period: float,
    tolerance: float,
    weights: np.ndarray | float = 1.0,
    *,
    late: float = 1.0,
) -> tuple[float, float]:
    """Fit a grid to times, each to the nearest line of the grid; outliers lose their weight (Cauchy's).

    Parameters
    ----------
    times, weights
        float64 [times].
    offset, period
        Where to begin.
    tolerance
        Distance from which a time counts as an outlier.
    late
        How much times behind their line count, against those before.

    Returns
    -------
    tuple
        The grid's offset and period, in the units of the times.
    """
    for _ in range(20):
        numbers = np.round((times - offset) / period)
        error = times - offset - period * numbers
        weight = weights / (1.0 + np.square(error / tolerance)) * np.where(error > 0.0, late, 1.0)
        total = weight.sum()
        centre, middle = (weight * numbers).sum() / total, (weight * times).sum() / total
        spread = (weight * np.square(numbers - centre)).sum()
        if spread < 1e-12:
            break
        period = float((weight * (numbers - centre) * (times - middle)).sum() / spread)
        offset = float(middle - period * centre)
        if not period > 0.0:
            break
    return offset, period
