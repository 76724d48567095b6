# SPDX-License-Identifier: GPL-3.0-or-later
"""Few Bezier keys through many samples: a curve that an artist can edit and that stays within a tolerance.

Between two keys a curve is a cubic polynomial of time, its two handles fitted by least squares. From each key the next
is looked for as far away as the tolerance allows, first in doubled steps, then by halving. All stretches of all curves
are searched side by side, each in a row of an array, for one after the other would take seconds.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LONGEST = 256
"""Samples between two keys at most, so that the search has few rows and many columns of work."""

EVALUATED = 4e-5
"""Of the largest value: by how much Blender, in single precision, may miss the polynomial (measured: 1.5e-5)."""

SHORT = 3
"""Samples between two keys up to which two handles reach every sample, and may swing out between them."""


@dataclass(frozen=True)
class Keys:
    """Bezier key frames over samples: where they lie, and the heights of their handles.

    Attributes
    ----------
    index : int array [keys], rising
        Samples that are keys; the first and the last sample always are.
    value, left, right : float64 array [keys]
        Height of the key and of its handles. A handle lies a third of the way to its neighbour, so that between two
        keys the curve is a cubic polynomial of time.
    hold : bool array [keys]
        Keys after which the value stays until the next one: before attacks, so that nothing rises before its sound,
        not even between two frames, where motion blur looks.
    """

    index: np.ndarray
    value: np.ndarray
    left: np.ndarray
    right: np.ndarray
    hold: np.ndarray


@dataclass(frozen=True)
class _Fits:
    """For spans of each length: weights of the handles at each sample, and what solves the least squares for them."""

    share: np.ndarray  # [lengths, samples], 0 to 1: how far along
    first: np.ndarray  # [lengths, samples]
    second: np.ndarray
    solve: np.ndarray  # [lengths, 2, 2]


@functools.cache
def _fits() -> _Fits:
    length, sample = np.mgrid[: LONGEST + 1, : LONGEST + 1].astype(np.float64)
    inside = (sample > 0) & (sample < length)
    t = np.where(inside, sample / np.maximum(length, 1.0), 0.0)
    first, second = 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t)
    gram = np.stack(
        ((first * first).sum(1), (first * second).sum(1), (first * second).sum(1), (second * second).sum(1))
    )
    return _Fits(t, first, second, np.linalg.pinv(gram.T.reshape(-1, 2, 2)))


def _fit(flat: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the two handles in each span, [spans, 2], and the largest error that is left, [spans]."""
    handles = np.empty((len(first), 2))
    error = np.empty(len(first))
    lengths = last - first
    widths = 1 << np.ceil(np.log2(np.maximum(lengths, 2))).astype(int)
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        handles[rows], error[rows] = _fit_alike(flat, first[rows], lengths[rows], min(int(width), LONGEST))
    return handles, error


def _fit_alike(flat: np.ndarray, first: np.ndarray, length: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """`_fit` for spans that are all about as long."""
    fits = _fits()
    share, one, two = fits.share[length, :width], fits.first[length, :width], fits.second[length, :width]
    begin, end = flat[first], flat[first + length]
    steps = np.arange(width)
    inside = (steps > 0) & (steps < length[:, None])
    samples = flat[np.minimum(first[:, None] + steps, (first + length)[:, None])]
    rest = np.where(inside, samples - begin[:, None] - share * (end - begin)[:, None], 0.0)
    right_side = np.stack(((one * rest).sum(1), (two * rest).sum(1)), 1)
    moved = np.einsum("nij,nj->ni", fits.solve[length], right_side)
    line = np.stack((2 * begin + end, begin + 2 * end), 1) / 3
    low, high = samples.min(1), samples.max(1)
    room = 0.5 * (high - low)
    swings = ((line + moved < (low - room)[:, None]) | (line + moved > (high + room)[:, None])).any(1)
    moved[(length == 1) | (swings & (length <= SHORT))] = 0.0
    error = np.abs(one * moved[:, :1] + two * moved[:, 1:] - rest).max(1)
    return line + moved, error


def attacks(values: np.ndarray, tolerance: float) -> np.ndarray:
    """Samples at which a steep rise is over: each becomes a key."""
    rise = np.diff(values, prepend=values[:1])
    return np.flatnonzero((rise > max(10 * tolerance, 1e-9)) & (np.append(rise[1:], 0.0) <= 0.0))


def sparse_keys_of(curves: Sequence[np.ndarray], tolerances: Sequence[float]) -> list[Keys]:
    """Few Bezier keys for each of some curves, whose curve, as Blender evaluates it, stays within a tolerance.

    Attacks are keyed on their sample, and what was before is held until then: by a key on the sample before, or by an
    earlier one where nothing happens between them. Elsewhere each span is made as long as the tolerance allows.

    Parameters
    ----------
    curves : sequence of float array [n]
        Each with at least one sample.
    tolerances : sequence of float
        Largest differences, in the unit of the values.
    """
    starts = np.concatenate(([0], np.cumsum([len(values) for values in curves])))
    flat = np.concatenate([np.asarray(values, np.float64) for values in curves])
    first, stop, allowed, onsets = [], [], [], []
    for start, values, tolerance in zip(starts, curves, tolerances, strict=False):
        found = attacks(np.asarray(values, np.float64), tolerance)
        count = len(values)
        stops = np.unique(np.concatenate((np.arange(0, count, LONGEST), [count - 1], found, found - 1)))
        first.append(start + stops[:-1])
        stop.append(start + stops[1:])
        onsets.append(found)
        margin = min(EVALUATED * float(np.abs(values).max()), tolerance / 2)
        allowed.append(np.full(len(stops) - 1, tolerance - margin))
    left, right, is_key = _search(flat, *(np.concatenate(each) for each in (first, stop, allowed)))
    keys = []
    for (start, end), found, tolerance in zip(itertools.pairwise(starts), onsets, tolerances, strict=True):
        index = np.flatnonzero(is_key[start:end])
        index, hold = _held(flat[start:end], index if len(index) else np.array([0]), found, tolerance)
        height, before, after = flat[start + index], left[start + index], right[start + index]
        # The outer handles go straight on, so that a clock does where the curve is extrapolated.
        before[0] = 2 * height[0] - after[0] if len(index) > 1 else height[0]
        after[-1] = 2 * height[-1] - before[-1]
        keys.append(Keys(index, height, before, after, hold))
    return keys


def _held(values: np.ndarray, index: np.ndarray, found: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Keys that are needed, [keys], and whether each is held until the attack that comes next, [keys]."""
    hold, needed = np.zeros(len(index), bool), np.ones(len(index), bool)
    feet = np.searchsorted(index, found) - 1
    for foot in feet[feet >= 0]:
        hold[foot] = True
        before = foot - 1
        if before < 0 or hold[before]:
            continue
        still = values[index[before] : index[foot] + 1]
        if np.abs(still - still[0]).max() <= 0.5 * tolerance:
            needed[foot], hold[before] = False, True
    return index[needed], hold[needed]


def _search(
    flat: np.ndarray, first: np.ndarray, stop: np.ndarray, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut each stretch from `first` to `stop` into spans: heights of the left and right handles, and what is a key."""
    left, right, is_key = np.zeros(len(flat)), np.zeros(len(flat)), np.zeros(len(flat), bool)
    is_key[first] = is_key[stop] = True
    first, good, bad, step = first.copy(), first + 1, stop + 1, np.ones(len(first), int)
    while len(first):
        trial = np.where(bad > stop, np.minimum(good + step, stop), (good + bad) // 2)
        open_ = (good < stop) & (bad - good > 1)
        _, error = _fit(flat, first[open_], trial[open_])
        fits = np.zeros(len(first), bool)
        fits[open_] = error <= allowed[open_]
        good[fits] = trial[fits]
        step[fits] *= 2
        bad = np.where(open_ & ~fits, trial, bad)
        closed = (good == stop) | (bad - good <= 1)
        if closed.any():
            handles, _ = _fit(flat, first[closed], good[closed])
            right[first[closed]], left[good[closed]] = handles.T
            is_key[good[closed]] = True
            first = np.where(closed, good, first)
            good, bad = np.where(closed, first + 1, good), np.where(closed, stop + 1, bad)
            step[closed] = 1
            going = first < stop
            first, stop, allowed, good, bad, step = (each[going] for each in (first, stop, allowed, good, bad, step))
    return left, right, is_key


def sparse_keys(values: np.ndarray, tolerance: float) -> Keys:
    """`sparse_keys_of` for one curve."""
    return sparse_keys_of([values], [tolerance])[0]


def dense_keys(values: np.ndarray) -> Keys:
    """A key on every sample, with straight lines between them."""
    height = np.asarray(values, np.float64)
    after = np.append(np.diff(height), 0.0) / 3
    before = np.append(0.0, np.diff(height)) / 3
    return Keys(np.arange(len(height)), height, height - before, height + after, np.zeros(len(height), bool))
