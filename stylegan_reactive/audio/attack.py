# SPDX-License-Identifier: GPL-3.0-or-later
"""Date attacks to the millisecond: the spectrum says that something starts, the waveform says when.

Where a window first contains an attack depends on the instrument: spectral flux peaks 1 ms before the attack of an
electronic kick and 3 ms after that of a recorded one. A sixth of a video frame at 60 per second is enough to show
every sixth hit before it sounds. The energy of the waveform's first difference, in slices of one millisecond, rises
with the attack itself.
"""

import numpy as np

from .decode import RATE

SLICE = 48
"""Samples in one slice: 1.1 ms."""

EARLIEST, LATEST = 0.011, 0.006
"""Seconds before and after the centre of a window of spectral flux, in which the attack's loudest slice lies."""

RISE = 0.008
"""Seconds that the way up to the loudest slice takes at most."""

BEFORE = (0.030, 0.012)
"""Seconds before the centre, from and to: what sounded before the attack."""

FIRST_SIGN = 0.01
"""Share of the loudest slice's energy from which the attack is heard: a tenth of the amplitude."""

STANDS_OUT = 2.0
"""Times the energy before, from which a slice belongs to the attack."""


class DifferenceStream:
    """Sum the energy of the first difference of sound that arrives in blocks, slice by slice."""

    def __init__(self) -> None:
        self._waiting = np.zeros(1, np.float32)
        self._parts: list[np.ndarray] = []

    def feed(self, samples: np.ndarray) -> None:
        """Append float32 [samples]."""
        sound = np.concatenate([self._waiting, samples])
        whole = (len(sound) - 1) // SLICE * SLICE
        self._waiting = sound[whole:]
        self._parts.append(np.square(np.diff(sound[: whole + 1])).reshape(-1, SLICE).sum(axis=1))

    def result(self) -> np.ndarray:
        """Energy of each slice: float32 [slices]. A rest shorter than a slice is left out."""
        return np.concatenate([*self._parts, np.zeros(0, np.float32)])


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
        int64 [attacks], in samples. Where the waveform shows no attack (a soft note under louder sound), the centre.
    """
    if len(energy) == 0:
        return centres.copy()
    return np.array([_date(int(centre), energy) for centre in centres], np.int64)


def _date(centre: int, energy: np.ndarray) -> int:
    def slice_at(offset: float) -> int:
        return max(0, (centre + round(offset * RATE)) // SLICE)

    first, end = slice_at(-EARLIEST), min(len(energy), slice_at(LATEST) + 1)
    if end <= first:
        return centre
    at = first + int(np.argmax(energy[first:end]))
    before = energy[slice_at(-BEFORE[0]) : slice_at(-BEFORE[1])]
    background = float(np.median(before)) if len(before) else 0.0
    threshold = max(FIRST_SIGN * float(energy[at]), STANDS_OUT * background)
    if energy[at] < 2 * threshold:
        return centre
    limit = max(0, at - round(RISE * RATE / SLICE))
    while at > limit and energy[at - 1] >= threshold:
        at -= 1
    return at * SLICE
