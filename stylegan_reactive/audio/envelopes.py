# SPDX-License-Identifier: GPL-3.0-or-later
"""Post-processing of envelopes (appendix D of the paper): smooth, release, normalise, power, gain.

Pure functions over the first axis, with times in seconds, so that an envelope looks the same at every frame rate.
Silence, a single frame and constant input give finite values everywhere.
"""

import numpy as np
from scipy import ndimage

SILENCE = 1e-6
"""Envelopes that never rise above this are silent and stay zero."""


def gaussian(envelope: np.ndarray, seconds: float, rate: float, *, future: float = 1.0) -> np.ndarray:
    """Smooth with a Gaussian, borders reflected.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels].
    seconds
        Standard deviation. Zero leaves the envelope as it is.
    rate
        Frames per second.
    future
        Weight of the half that looks ahead, 0 to 1. With 0 nothing moves before its sound. The kernel sums to one
        in every case.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape.
    """
    values = np.asarray(envelope, np.float64)
    if seconds <= 0 or len(values) == 0:
        return values
    radius = max(1, int(np.ceil(4 * seconds * rate)))
    offset = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * np.square(offset / (seconds * rate)))
    kernel[offset > 0] *= future
    kernel /= kernel.sum()
    # correlate1d multiplies kernel[j] with the value at offset[j]: a positive offset is the future
    return ndimage.correlate1d(values, kernel, axis=0, mode="reflect")


def release(envelope: np.ndarray, seconds: float, rate: float) -> np.ndarray:
    """Rise at once, then fall exponentially: an envelope follower without attack time.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels], not negative.
    seconds
        Time constant: after so long, 37 % is left; after 2.3 times as long, 10 %.
    rate
        Frames per second.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape; never below the envelope.
    """
    values = np.asarray(envelope, np.float64)
    if seconds <= 0 or len(values) == 0:
        return values
    # max over j <= i of x[j] exp(-(i - j) / constant), as a running maximum of logarithms
    elapsed = (np.arange(len(values)) / (seconds * rate)).reshape(-1, *[1] * (values.ndim - 1))
    with np.errstate(divide="ignore"):
        level = np.log(np.maximum(values, 0.0)) + elapsed  # -inf for zero, which stays zero
    return np.maximum(values, np.exp(np.maximum.accumulate(level, axis=0) - elapsed))


def normalise(envelope: np.ndarray, *, percentile: float = 95.0) -> np.ndarray:
    """Scale so that the given percentile of the local maxima becomes 1, and clip to 0..1.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape; all zero for silence, all one for a constant above zero.
    """
    values = np.maximum(np.asarray(envelope, np.float64), 0.0)
    top = float(values.max(initial=0.0))
    if top <= SILENCE:
        return np.zeros_like(values)
    padded = np.concatenate([np.zeros((1, *values.shape[1:])), values, np.zeros((1, *values.shape[1:]))])
    is_maximum = (values > padded[:-2]) & (values >= padded[2:])
    reference = float(np.percentile(values[is_maximum], percentile)) if is_maximum.any() else top
    return np.minimum(values / (reference if reference > SILENCE else top), 1.0)


def power(envelope: np.ndarray, exponent: float) -> np.ndarray:
    """Raise to a power: above 1 only strong hits stay, below 1 weak ones come up. Negative values count as zero."""
    return np.power(np.maximum(np.asarray(envelope, np.float64), 0.0), exponent)


def gain_and_clip(envelope: np.ndarray, gain: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Multiply, then keep within ``low`` and ``high``."""
    return np.clip(np.asarray(envelope, np.float64) * gain, low, high)
