# SPDX-License-Identifier: GPL-3.0-or-later
"""Put what was measured in samples, slices and windows on video frames, by integer arithmetic and never early.

A window of a spectrum hears sound before and behind its centre. It is dated at its end, so that nothing is seen before
it sounds.
"""

from fractions import Fraction

import numpy as np

from .decode import RATE
from .spectrum import Grid


def frame_ends(fps: Fraction, frames: int, rate: int = RATE) -> np.ndarray:
    """Sample before which each video frame ends: int64 [frames]."""
    return np.arange(1, frames + 1, dtype=np.int64) * (fps.denominator * rate) // fps.numerator


def window_dates(grid: Grid, count: int) -> np.ndarray:
    """Sample at which each window has been heard: int64 [count]."""
    return grid.centres(count) + grid.window // 2


def latest(values: np.ndarray, dates: np.ndarray, fps: Fraction, frames: int) -> np.ndarray:
    """For each video frame, the latest value that is dated before the frame ends: [frames] or [frames, columns]."""
    if len(values) == 0:
        return np.zeros((frames, *values.shape[1:]), values.dtype)
    place = np.searchsorted(dates, frame_ends(fps, frames)) - 1
    return values[np.clip(place, 0, len(values) - 1)]


def highest(values: np.ndarray, dates: np.ndarray, fps: Fraction, frames: int) -> np.ndarray:
    """For each video frame, the highest value that is dated into it, or the latest where there is none: [frames]."""
    framed = latest(values, dates, fps, frames)
    frame = dates * fps.numerator // (RATE * fps.denominator)
    inside = (frame >= 0) & (frame < frames)
    np.maximum.at(framed, frame[inside], values[inside])
    return framed


def trailing_mean(
    values: np.ndarray,
    fps: Fraction,
    frames: int,
    seconds: float,
    *,
    slice_length: int,
    rate: int = RATE,
) -> np.ndarray:
    """Mean over the time that ends with each video frame: float64 [frames].

    Parameters
    ----------
    values
        One for each slice of sound, zero before the song: [slices].
    seconds
        Length of that time; with 0 it is the frame itself.
    slice_length, rate
        Samples in a slice, and samples per second.
    """
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = frame_ends(fps, frames, rate) // slice_length
    if seconds > 0.0:
        starts = ends - max(1, round(seconds * rate / slice_length))
    else:
        starts = np.minimum(np.concatenate([[0], ends[:-1]]), ends - 1)
    last = len(values)
    return (total[np.clip(ends, 0, last)] - total[np.clip(starts, 0, last)]) / (ends - starts)
