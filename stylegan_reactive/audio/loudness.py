# SPDX-License-Identifier: GPL-3.0-or-later
"""How loud the song is from frame to frame: root mean square of its samples."""

from fractions import Fraction

import numpy as np

from .decode import RATE

SLICE = 64
"""Samples whose energy is summed at once: 1.5 ms, well below a video frame."""

SILENCE = 1e-4
"""Root mean square below which the song counts as silent: -80 dB of full scale."""


class EnergyStream:
    """Sum the energy of sound that arrives in blocks, slice by slice."""

    def __init__(self) -> None:
        self._waiting = np.zeros(0, np.float32)
        self._parts: list[np.ndarray] = []

    def feed(self, samples: np.ndarray) -> None:
        """Append float32 [samples]."""
        sound = np.concatenate([self._waiting, samples])
        whole = len(sound) // SLICE * SLICE
        self._waiting = sound[whole:]
        self._parts.append(np.square(sound[:whole]).reshape(-1, SLICE).sum(axis=1))

    def result(self) -> np.ndarray:
        """Energy of each slice of the song: float32 [slices]; the last slice may be shorter."""
        return np.concatenate([*self._parts, [np.square(self._waiting).sum()]]).astype(np.float32)


def rms_envelope(energy: np.ndarray, fps: Fraction, frames: int) -> np.ndarray:
    """Root mean square of the samples in each video frame, scaled so that the loudest parts are 1.

    Parameters
    ----------
    energy
        Of each slice, as ``EnergyStream`` gives it.
    fps, frames
        The video's rate, and its length in frames.

    Returns
    -------
    numpy.ndarray
        float32 [frames], 0 to 1: divided by its 99th percentile and clipped. Zero in a silent song.
    """
    total = np.concatenate([[0.0], np.cumsum(energy, dtype=np.float64)])
    edges = np.arange(frames + 1, dtype=np.int64) * fps.denominator * RATE // (fps.numerator * SLICE)
    starts, ends = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)
    last = len(energy)
    mean = (total[np.minimum(ends, last)] - total[np.minimum(starts, last)]) / ((ends - starts) * SLICE)
    rms = np.sqrt(np.maximum(mean, 0.0))
    loud = float(np.percentile(rms, 99)) if frames else 0.0
    if loud < SILENCE:
        loud = float(rms.max(initial=0.0))
    if loud < SILENCE:
        return np.zeros(frames, np.float32)
    return np.minimum(rms / loud, 1.0).astype(np.float32)
