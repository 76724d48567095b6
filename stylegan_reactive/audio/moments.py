# SPDX-License-Identifier: GPL-3.0-or-later
"""Which long window tells a video frame what note sounds: one that lies between two attacks, where it can.

A window that is long enough to tell notes apart is five to eleven video frames long. Shown at its centre it moves
before the sound; shown at its end it comes late, and in between it shows two chords at once. But the whole song is
known: as soon as a note has begun, the picture may show the window in which that note is steady, and until the next
one begins, none that reaches into it.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .decode import RATE
from .framing import frame_ends
from .spectrum import PITCH, Grid

DELAY = 0.06
"""Seconds by which a window's centre is behind the frame that it tells about, where no attack is near: what begins
without an attack has 4 % of the window's weight before it sounds."""

FAR = np.int64(1) << 50
"""A sample that no song reaches."""


@dataclass(frozen=True)
class Moments:
    """What tells about each video frame; all arrays are [frames].

    Attributes
    ----------
    window
        Index of the window that tells best what sounds at the frame's end.
    before
        Index of the last window that hears nothing of the attack before the frame's end.
    age
        Seconds since that attack, infinite where there was none.
    """

    window: np.ndarray
    before: np.ndarray
    age: np.ndarray


def moments(count: int, fps: Fraction, frames: int, attacks: np.ndarray | None = None, grid: Grid = PITCH) -> Moments:
    """Choose the windows that tell about each video frame.

    Parameters
    ----------
    count
        How many windows there are; at least one.
    fps, frames
        The video.
    attacks
        When something starts, in samples, ascending: int64 [attacks]. None known: windows are only delayed.
    grid
        Of the windows.
    """
    now = frame_ends(fps, frames) - 1
    begins = np.zeros(0, np.int64) if attacks is None else np.asarray(attacks, np.int64)
    edges = np.concatenate([[-FAR], begins, [FAR]])
    segment = np.searchsorted(begins, now, side="right")
    start, end = edges[segment], edges[segment + 1]
    first = grid.window // 2  # the first window's centre lies so many samples before the song
    begun = start + grid.window // 2  # from here on, windows hold nothing of what was before
    ending = end - grid.window // 2  # up to here, they hold nothing of what comes: after silence, any of it is all
    earliest, latest = -((-begun - first) // grid.hop), (ending + first) // grid.hop
    delayed = (now - round(DELAY * RATE) + first) // grid.hop
    # Where attacks follow each other faster than a window is long: the one between them, or if that looks past the
    # next attack, the nearest that ends there. It is late, but never early.
    middle = ((begun + ending) // 2 + first) // grid.hop
    ends_there = (ending + grid.hop // 2 + first) // grid.hop
    window = np.where(earliest <= latest, np.clip(delayed, earliest, latest), np.minimum(middle, ends_there))
    before = (start - grid.window // 2 + first) // grid.hop
    return Moments(
        window=np.clip(window, 0, count - 1),
        before=np.clip(before, 0, count - 1),
        age=np.where(segment > 0, (now - start) / RATE, np.inf),
    )
