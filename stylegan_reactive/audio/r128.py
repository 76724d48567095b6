# SPDX-License-Identifier: GPL-3.0-or-later
"""Loudness in LUFS as broadcasters measure it: EBU R128 and ITU-R BS.1770-4.

The sound of each channel passes a filter like the head and the ear (K-weighting); its energy is added up over the
channels and averaged over 0.4 seconds (momentary) or 3 seconds (short-term). The loudness of the whole song
(integrated) leaves out what is below -70 LUFS, and then what is more than 10 LU below the rest.

The filters' coefficients are given for 48 kHz; those of other rates follow from the analogue filters that they stand
for, with the constants that the authors of libebur128 have found for them.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import signal

from .collecting import Collected
from .framing import trailing_mean

MOMENTARY, SHORT_TERM = 0.4, 3.0
"""Seconds."""

SILENCE = -70.0
"""LUFS. What is softer counts as silence (the absolute gate)."""

RELATIVE_GATE = -10.0
"""LU below the mean of what is not silent."""

STEP = 0.1
"""Seconds from one block of the integrated loudness to the next: three quarters overlap."""

SLICES = 500
"""Slices of a second, in which energy is kept."""

SURROUND = 10.0**0.15
"""Weight of channels at the listener's sides: 1.5 dB."""


@dataclass(frozen=True)
class WeightedEnergy:
    """K-weighted energy of a song.

    Attributes
    ----------
    values
        Mean of each slice, added up over the channels: float32 [slices].
    slice_length, rate
        Samples in a slice, and samples per second.
    """

    values: np.ndarray
    slice_length: int
    rate: int


class WeightedEnergyStream:
    """Sum the K-weighted energy of a song whose channels arrive in blocks, slice by slice.

    Parameters
    ----------
    rate, channels
        Of the file. Of six and eight channels, the fourth is the subwoofer, which does not count.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._slice = max(1, rate // SLICES)
        self._filter = k_weighting(rate)
        self._state: np.ndarray | None = None
        self._weights = channel_weights(channels)
        self._waiting = np.zeros(0)
        self._kept = Collected()

    def feed(self, block: np.ndarray) -> None:
        """Append float32 [samples, channels]."""
        if len(block) == 0:
            return
        if (
            self._state is None
        ):  # settled on the first sample, so that a constant offset is no sound at the start either
            self._state = signal.sosfilt_zi(self._filter)[:, :, None] * block[0].astype(np.float64)
        heard, self._state = signal.sosfilt(self._filter, block, axis=0, zi=self._state)
        energy = np.concatenate([self._waiting, np.square(heard) @ self._weights])
        whole = len(energy) // self._slice * self._slice
        self._waiting = energy[whole:]
        self._kept.add(energy[:whole].reshape(-1, self._slice).mean(axis=1))

    def result(self) -> WeightedEnergy:
        """Return what was heard. A rest shorter than a slice is left out, unless it is all."""
        if len(self._waiting) and not len(self._kept):
            self._kept.add(self._waiting.mean(keepdims=True))
        return WeightedEnergy(self._kept.result(), self._slice, self._rate)


def loudness_envelope(energy: WeightedEnergy, fps: Fraction, frames: int, *, seconds: float = MOMENTARY) -> np.ndarray:
    """Loudness over the time that ends with each video frame, in LUFS: float32 [frames], -70 for silence.

    Before the song there is silence, so that the loudness rises over its first ``seconds``, as on a meter.
    """
    mean = trailing_mean(energy.values, fps, frames, seconds, slice_length=energy.slice_length, rate=energy.rate)
    return lufs(mean).astype(np.float32)


def integrated_loudness(energy: WeightedEnergy) -> float:
    """Loudness of the whole song in LUFS, -70 for silence; a song shorter than a block is one block."""
    slices = energy.rate / energy.slice_length
    length = max(1, min(len(energy.values), round(MOMENTARY * slices)))
    starts = np.arange(0.0, len(energy.values) - length + 1, STEP * slices).astype(int)
    total = np.concatenate([[0.0], np.cumsum(energy.values, dtype=np.float64)])
    blocks = (total[starts + length] - total[starts]) / length
    blocks = blocks[lufs(blocks) > SILENCE]
    if len(blocks) == 0:
        return SILENCE
    return float(lufs(blocks[lufs(blocks) > lufs(blocks.mean()) + RELATIVE_GATE].mean()))


def lufs(energy: np.ndarray) -> np.ndarray:
    """Loudness of a mean K-weighted energy, not below -70."""
    return np.maximum(-0.691 + 10.0 * np.log10(np.maximum(energy, 1e-12)), SILENCE)


def channel_weights(channels: int) -> np.ndarray:
    """How much each channel counts: float64 [channels], in the order of wav files."""
    weights = np.ones(channels)
    if channels == 5:
        weights[3:] = SURROUND
    elif channels == 6:
        weights[3], weights[4:] = 0.0, SURROUND
    elif channels == 8:
        weights[3], weights[6:] = 0.0, SURROUND  # back channels count like the front, side channels more
    return weights


def k_weighting(rate: int) -> np.ndarray:
    """Both filters for a sample rate, as second-order sections: float64 [2, 6]."""
    shelf_at, shelf_gain, shelf_quality = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = np.tan(np.pi * min(shelf_at / rate, 0.49))
    high = 10.0 ** (shelf_gain / 20.0)
    middle = high**0.4996667741545416
    scale = 1.0 + k / shelf_quality + k * k
    shelf = [
        (high + middle * k / shelf_quality + k * k) / scale,
        2.0 * (k * k - high) / scale,
        (high - middle * k / shelf_quality + k * k) / scale,
        1.0,
        2.0 * (k * k - 1.0) / scale,
        (1.0 - k / shelf_quality + k * k) / scale,
    ]
    cut_at, cut_quality = 38.13547087602444, 0.5003270373238773
    k = np.tan(np.pi * min(cut_at / rate, 0.49))
    scale = 1.0 + k / cut_quality + k * k
    cut = [1.0, -2.0, 1.0, 1.0, 2.0 * (k * k - 1.0) / scale, (1.0 - k / cut_quality + k * k) / scale]
    return np.array([shelf, cut])
