# SPDX-License-Identifier: GPL-3.0-or-later
"""Date attacks to the millisecond: the spectrum says that something starts, the waveform says when.

Which window first contains an attack depends on the instrument: spectral flux peaks 1 ms before the attack of an
electronic kick and 3 ms after that of a recorded one. A beat that lies exactly on a video frame, as at 120 BPM and 30
frames per second, would be seen a whole frame early for a fraction of that. The energy of the waveform's first
difference, in slices of half a millisecond, jumps with the attack itself; its date is the end of the first slice that
belongs to it, so that it is never seen before it sounds.
"""

import numpy as np

from .collecting import Collected

SLICE = 24
"""Samples in one slice: 0.54 ms. All other lengths are in slices."""

BACKGROUND = (55, 22)
"""Before the centre of a window of spectral flux, from and to: what sounded before the attack."""

EARLIEST, LATEST = 18, 10
"""Before and after that centre, between which the attack lies."""

BEFORE = 12
"""What must be quieter for the next slices to be a jump: a period of most differenced sound."""

AHEAD = 4
"""Within which the jump is complete."""

JUMP = 2.0
"""Times that the energy grows at least; with less, the waveform shows no attack."""

SOFT_START = 2
"""Before the jump, which may belong to the attack already."""

CREST = 11
"""After the jump, within which the attack is loudest."""

FIRST_SIGN, HALF = 0.1, 0.5
"""Shares of the attack's amplitude between which its rise is measured."""

STANDS_OUT = 1.5
"""Times the energy of the background from which a slice belongs to the attack."""

GRADUAL = 3
"""Length of the rise from which an attack counts as gradual."""

BEGINNING = 0.81
"""Lengths of the rise by which a gradual attack begins before its first sign: a rise as the square of time is at a
tenth after 0.32 and at a half after 0.71 of its length, and 0.32 / (0.71 - 0.32) is 0.81."""

TRACE = 1e-6
"""Share of the loudest energy around that is the first trace of a sound: -60 dB. After quiet no attack is dated before
it, whatever its rise or the spectrum says."""

QUIET = 0.03
"""Share of the loudest amplitude around below which it is quiet before an attack."""

CHUNK = 512
"""Attacks that are dated at once, so that memory does not grow with the song."""


class DifferenceStream:
    """Sum the energy of the first difference of sound that arrives in blocks, slice by slice."""

    def __init__(self) -> None:
        self._waiting = np.zeros(1, np.float32)
        self._kept = Collected()

    def feed(self, samples: np.ndarray) -> None:
        """Append float32 [samples]."""
        sound = np.concatenate([self._waiting, samples])
        whole = (len(sound) - 1) // SLICE * SLICE
        self._waiting = sound[whole:]
        self._kept.add(np.square(np.diff(sound[: whole + 1])).reshape(-1, SLICE).sum(axis=1))

    def result(self) -> np.ndarray:
        """Energy of each slice: float32 [slices]. A rest shorter than a slice is left out."""
        return self._kept.result()


def date_attacks(centres: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Find when the attacks begin to sound that spectral flux has found.

    Parameters
    ----------
    centres
        Of the windows in which the flux peaks, in samples: int64 [attacks].
    energy
        As ``DifferenceStream`` gives it: float32 [slices].

    Returns
    -------
    numpy.ndarray
        int64 [attacks], in samples. Where the waveform shows no attack (a soft note under louder sound), the centre;
        after quiet never before the first trace of sound.
    """
    parts = [_date(centres[at : at + CHUNK], energy) for at in range(0, len(centres), CHUNK)]
    return np.concatenate([*parts, np.zeros(0, np.int64)])


def _date(centres: np.ndarray, energy: np.ndarray) -> np.ndarray:
    rows = np.arange(len(centres))[:, None]
    first = BACKGROUND[0]
    place = (centres // SLICE)[:, None] + np.arange(-first, LATEST + CREST + 1)  # [attacks, slices]
    inside = (place >= 0) & (place < len(energy))
    heard = np.zeros(place.shape, np.float32)
    heard[inside] = energy[place[inside]]

    tries = np.arange(first - EARLIEST, first + LATEST + 1)
    after = np.max([heard[:, tries + step] for step in range(AHEAD)], axis=0)
    before = np.max([heard[:, tries - step] for step in range(1, BEFORE + 1)], axis=0)
    before = before + 1e-3 * after.max(axis=1, keepdims=True) + 1e-12  # from silence, all attacks jump alike
    jump = np.argmax(after / before, axis=1)[:, None]
    is_attack = after[rows, jump] >= JUMP * before[rows, jump]

    rise = np.sqrt(heard[rows, tries[jump] + np.arange(-SOFT_START, CREST)])
    background = np.sqrt(STANDS_OUT * heard[:, : first - BACKGROUND[1]].max(axis=1, keepdims=True))
    crest = rise.max(axis=1, keepdims=True)
    starts = np.argmax(rise >= np.maximum(FIRST_SIGN * crest, background), axis=1)
    halves = np.argmax(rise >= np.maximum(HALF * crest, background), axis=1)
    length = np.maximum(halves - starts, 0)
    begins = starts + 1.0 - np.where(length >= GRADUAL, BEGINNING * length, 0.0)
    dates = (place[rows, tries[jump]][:, 0] - SOFT_START + begins) * SLICE
    dates = np.where(is_attack[:, 0], np.maximum(np.round(dates), 0).astype(np.int64), centres)

    loudest = np.sqrt(heard.max(axis=1, keepdims=True))
    audible = heard[:, first - BACKGROUND[1] :] > np.square(np.maximum(background, np.sqrt(TRACE) * loudest))
    trace = (place[:, first - BACKGROUND[1]] + np.argmax(audible, axis=1) + 1) * SLICE
    was_quiet = (background < QUIET * loudest)[:, 0]
    return np.where(was_quiet, np.maximum(dates, trace), dates)
