# SPDX-License-Identifier: GPL-3.0-or-later
"""Post-processing of envelopes (appendix D of the paper): smooth, follow, normalise, expand, gate, trigger, delay.

Pure functions over the first axis, with times in seconds, so that an envelope looks the same at every frame rate.
What looks into the past shows in each frame what has sounded by its end; nothing moves before its sound, but for the
half of a Gaussian that is asked to. Silence, a single frame and constant input give finite values everywhere, and
neutral settings give back what came in.
"""

import math

import numpy as np
from scipy import fft, ndimage, signal, special

SILENCE = 1e-6
"""Envelopes that never rise above this are silent and stay zero."""

REACH = 4.0
"""Standard deviations after which a Gaussian ends: beyond lie 0.006 % of it."""

DIRECT = 1 << 24
"""Multiplications up to which a filter is summed directly, which keeps zeros exactly zero; above, Fourier is faster."""

FAINT_MAXIMUM = 0.02
"""Local maxima below this share of the highest are ripples of the background and no hits."""

LOUDNESS_GATE = 10 ** (-10 / 20)
"""Frames more than 10 dB below the mean are pauses and do not count for loudness (EBU R128)."""

ROUNDING = 1e-9
"""Frames by which a product of seconds and rate may miss the whole number that is meant."""


def gaussian(envelope: np.ndarray, seconds: float, rate: float, *, future: float = 1.0) -> np.ndarray:
    """Smooth with a Gaussian whose half that looks ahead can be lowered.

    The kernel (P + future F) / (1 + future), with P the half that looks back and F the half that looks ahead, is a
    mixture of two: the symmetric one, on borders that are reflected, and the causal one, which weighs only what has
    sounded (a mirror at the song's start would show it the future). The symmetric one has the given standard deviation
    exactly, also where that is less than a frame; the causal one holds what lies within each frame, so that the value
    at a frame's end is the same at every frame rate. Both sum to one.

    A hit that lasts a single frame is a shorter sound at a higher frame rate and is smoothed to less: normalise
    afterwards, as the paper advises.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels].
    seconds
        Standard deviation. Zero leaves the envelope as it is.
    rate
        Frames per second.
    future
        Weight of the half that looks ahead, 0 to 1. With 0 nothing moves before its sound.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape; between the least and the largest value of the envelope.
    """
    values = np.asarray(envelope, np.float64)
    deviation = seconds * rate
    if deviation <= 0 or len(values) == 0:
        return values
    smooth = np.zeros_like(values)
    if future < 1:
        smooth += (1 - future) / (1 + future) * _look_back(values, _causal_kernel(deviation, len(values)))
    if future > 0:
        smooth += 2 * future / (1 + future) * _look_around(values, _symmetric_kernel(deviation))
    return np.clip(smooth, values.min(axis=0), values.max(axis=0))


def release(envelope: np.ndarray, seconds: float, rate: float) -> np.ndarray:
    """Rise at once, then fall exponentially: a follower without attack and hold.

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
    if seconds * rate <= 0 or len(values) == 0:
        return values
    # max over j <= i of x[j] exp(-(i - j) / constant), as a running maximum of logarithms
    elapsed = (np.arange(len(values)) / (seconds * rate)).reshape(-1, *[1] * (values.ndim - 1))
    with np.errstate(divide="ignore"):
        level = np.log(np.maximum(values, 0.0)) + elapsed  # -inf for zero, which stays zero
    return np.maximum(values, np.exp(np.maximum.accumulate(level, axis=0) - elapsed))


def follower(envelope: np.ndarray, attack: float, hold: float, release: float, rate: float) -> np.ndarray:
    """Follow each hit: rise towards it, stay, then fall.

    Hold and release come first, so that an attack has a hit's whole length to rise in, however short its frame is.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels], not negative.
    attack
        Time constant of the rise in seconds: by the end of so long, 63 % is reached. The rise starts in the frame in
        which the envelope does, and never before.
    hold
        Seconds for which a peak stays as high before it falls.
    release
        Time constant of the fall in seconds: after so long, 37 % is left.
    rate
        Frames per second.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape. Longer attacks never give more, longer holds and releases never less.
    """
    values = np.asarray(envelope, np.float64)
    if len(values) == 0:
        return values
    held = _fall(values, hold * rate, release * rate)
    return _rise(held, attack * rate) if attack * rate > 0 else held


def normalise(envelope: np.ndarray, *, percentile: float = 95.0) -> np.ndarray:
    """Scale so that the given percentile of the local maxima becomes 1, and clip to 0..1.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels]; channels keep their proportions.
    percentile
        0 to 100: 50 brings half of the hits to 1, 100 only the strongest.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape; all zero for silence, all one for a constant above zero.
    """
    values = np.maximum(np.asarray(envelope, np.float64), 0.0)
    top = float(values.max(initial=0.0))
    if top <= SILENCE:
        return np.zeros_like(values)
    maxima = _local_maxima(values)
    reference = float(np.percentile(maxima[maxima >= FAINT_MAXIMUM * top], percentile))
    return np.minimum(values / reference, 1.0)


def normalise_range(envelope: np.ndarray, *, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Stretch so that the least value becomes ``low`` and the largest ``high``; with ``low`` above, upside down.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape; all ``low`` where nothing changes. An envelope that has this range already is
        given back as it is.
    """
    values = np.asarray(envelope, np.float64)
    least, largest = float(values.min(initial=math.inf)), float(values.max(initial=-math.inf))
    if largest - least <= SILENCE:
        return np.full_like(values, low)
    if (least, largest) == (low, high):
        return values
    share = (values - least) / (largest - least)
    return low * (1 - share) + high * share


def normalise_loudness(envelope: np.ndarray, *, target: float = 0.5) -> np.ndarray:
    """Scale so that the envelope is as strong on average as wanted, and clip to 0..1.

    Where the peak of a song of few hits and of one of many are alike, the picture moves far less in the first. The
    average is the root mean square of all frames but the pauses, which are gated out as in EBU R128.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels]; channels keep their proportions.
    target
        Root mean square that is wanted, 0 to 1.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape; all zero for silence.
    """
    values = np.maximum(np.asarray(envelope, np.float64), 0.0)
    heard = values[values > SILENCE]
    if len(heard) == 0:
        return np.zeros_like(values)
    heard = heard[heard >= LOUDNESS_GATE * np.sqrt(np.mean(np.square(heard)))]
    return np.minimum(values * (target / np.sqrt(np.mean(np.square(heard)))), 1.0)


def expand(envelope: np.ndarray, *, threshold: float = 0.5, ratio: float = 2.0, knee: float = 0.0) -> np.ndarray:
    """Multiply what is above a threshold by a ratio and divide what is below by it.

    On the logarithm u of value / threshold the formula is u + L clip(u / W, -1, 1), with L the logarithm of the ratio
    and W half the knee: the paper's expansion where the knee is zero. A ratio below 1 compresses. Then W is wider by
    -L, which makes 1 / ratio the exact inverse of ratio; it also keeps a compressed envelope in order (taken word by
    word, 0.51 would be halved below a 0.49 that is doubled): what lies between becomes the threshold.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels].
    threshold
        Value that stays as it is.
    ratio
        Factor above the threshold, above zero. 1 leaves the envelope as it is.
    knee
        Decibels around the threshold over which the factor goes from 1 / ratio to ratio. Above zero, the result is
        continuous.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape, not clipped; never falling where the envelope rises.
    """
    values = np.asarray(envelope, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        above = np.log(np.abs(values) / threshold)
    above = np.nan_to_num(above, nan=1e3, posinf=1e3, neginf=-1e3)  # with a threshold of zero, all of it is above
    change = math.log(ratio)
    width = knee / 2 * math.log(10) / 20 + max(0.0, -change)
    return values * np.exp(change * (np.clip(above / width, -1.0, 1.0) if width > 0 else np.sign(above)))


def compress(envelope: np.ndarray, *, threshold: float = 0.5, ratio: float = 2.0, knee: float = 0.0) -> np.ndarray:
    """Divide what is above a threshold by a ratio and multiply what is below by it: the inverse of ``expand``."""
    return expand(envelope, threshold=threshold, ratio=1.0 / ratio, knee=knee)


def power(envelope: np.ndarray, exponent: float) -> np.ndarray:
    """Raise to a power: above 1 only strong hits stay, below 1 weak ones come up. Negative values count as zero.

    Zero stays zero, with an exponent of zero too.
    """
    values = np.maximum(np.asarray(envelope, np.float64), 0.0)
    if exponent == 1:
        return values  # to the last bit
    return np.where(values > 0.0, np.power(values, exponent), 0.0)


def gain_and_clip(envelope: np.ndarray, gain: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Multiply, then keep within ``low`` and ``high``: with a large gain, long envelopes get flat tops."""
    return np.clip(np.asarray(envelope, np.float64) * gain, low, high)


def gate(envelope: np.ndarray, threshold: float, hysteresis: float, hold: float, rate: float) -> np.ndarray:
    """Let through only what is strong enough; zero elsewhere.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels], not negative.
    threshold
        Value from which the gate opens. Zero lets everything through.
    hysteresis
        How far below the threshold the envelope must fall until the gate closes: keeps it from flickering.
    hold
        Seconds for which the gate stays open after that.
    rate
        Frames per second.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape.
    """
    values = np.asarray(envelope, np.float64)
    is_open = _is_on(values, threshold, hysteresis)
    return np.where(_latest(is_open) <= math.floor(hold * rate + ROUNDING), values, 0.0)


def trigger(envelope: np.ndarray, threshold: float, hysteresis: float, decay: float, rate: float) -> np.ndarray:
    """Start a pulse of height 1 whenever the envelope comes up to a threshold.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels], not negative.
    threshold
        Value that starts a pulse. Silence starts none.
    hysteresis
        How far below the threshold the envelope must fall before it can start another.
    decay
        Time constant in seconds with which a pulse falls; zero leaves a flash of one frame.
    rate
        Frames per second.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape, 0 to 1.
    """
    is_on = _is_on(np.asarray(envelope, np.float64), threshold, hysteresis)
    before = np.concatenate([np.zeros_like(is_on[:1]), is_on[:-1]])
    return release((is_on & ~before).astype(np.float64), decay, rate)


def delay(envelope: np.ndarray, seconds: float, rate: float) -> np.ndarray:
    """Show everything later; zero before.

    A frame that is delayed by a part of a frame is shared out between the two that it then overlaps.

    Parameters
    ----------
    envelope
        [frames] or [frames, channels].
    seconds
        Zero leaves the envelope as it is.
    rate
        Frames per second.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape: what is moved beyond the end is gone.
    """
    values = np.asarray(envelope, np.float64)
    steps = max(seconds * rate, 0.0)
    whole = min(math.floor(steps + ROUNDING), len(values))
    part = steps - whole if steps - whole > ROUNDING else 0.0
    later = np.zeros_like(values)
    later[whole:] = (1 - min(part, 1.0)) * values[: len(values) - whole]
    if 0.0 < part < 1.0:
        later[whole + 1 :] += part * values[: max(len(values) - whole - 1, 0)]
    return later


def _symmetric_kernel(deviation: float) -> np.ndarray:
    """Gaussian on whole frames with exactly this standard deviation, in frames: float64 [2 radius + 1].

    From one frame on, the sampled Gaussian has its own standard deviation to eight digits. Below, it has less and less
    of it, and is widened until its variance is right.
    """
    offset = np.arange(-math.ceil(REACH * max(deviation, 1.0)), math.ceil(REACH * max(deviation, 1.0)) + 1)

    def sampled(scale: float) -> np.ndarray:
        kernel = np.exp(-0.5 * np.square(offset / scale))
        return kernel / kernel.sum()

    if deviation >= 1.0:
        return sampled(deviation)
    low, high = 0.02, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if sampled(middle) @ np.square(offset) > deviation**2 else (middle, high)
    return sampled(high)


def _causal_kernel(deviation: float, frames: int) -> np.ndarray:
    """Half a Gaussian, as much of it as lies within each frame, the latest first: float64 [at most frames]."""
    edges = np.arange(min(math.ceil(REACH * deviation), frames) + 1) / deviation
    return np.diff(special.erf(edges / math.sqrt(2)))


def _look_back(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Weigh each frame and those before it; where the song has fewer than the kernel, their weights sum to one too."""
    whole = np.cumsum(kernel)[np.minimum(np.arange(len(values)), len(kernel) - 1)]
    whole = whole.reshape(-1, *[1] * (values.ndim - 1))
    if len(values) * len(kernel) <= DIRECT:
        return signal.lfilter(kernel, 1.0, values, axis=0) / whole
    change = values - values[:1]
    weights = kernel.reshape(-1, *[1] * (values.ndim - 1))
    smooth = signal.oaconvolve(change, weights, axes=0)[: len(values)] / whole
    smooth[~np.logical_or.accumulate(change != 0.0, axis=0)] = 0.0  # where Fourier would see the first change early
    return values[:1] + smooth


def _look_around(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Weigh each frame and those around it, borders reflected."""
    if len(values) * len(kernel) <= DIRECT:
        return ndimage.correlate1d(values, kernel, axis=0, mode="reflect")
    period = 2 * len(values)  # a song and its reflection, for ever
    offset = np.arange(len(kernel)) - len(kernel) // 2
    folded = np.bincount(offset % period, kernel, period).reshape(-1, *[1] * (values.ndim - 1))
    spectrum = fft.rfft(np.concatenate([values, values[::-1]]), axis=0) * fft.rfft(folded, axis=0)
    return fft.irfft(spectrum, period, axis=0)[: len(values)]


def _fall(values: np.ndarray, hold: float, constant: float) -> np.ndarray:
    """Keep each value for ``hold`` frames, then let it fall with a time constant in frames."""
    kept = min(math.floor(hold + ROUNDING), len(values) - 1)
    held = values
    if kept > 0:
        middle = (kept + 1) // 2  # of the filter, which looks to both sides
        padded = np.concatenate([np.full((kept, *values.shape[1:]), -math.inf), values])
        held = ndimage.maximum_filter1d(padded, kept + 1, axis=0)[middle : middle + len(values)]
    if constant <= 0:
        return held
    falling = release(values, constant, 1.0)
    later = kept + 1  # the first frame behind the hold: it has been falling since the hold's end, within that frame
    if hold <= ROUNDING or later >= len(values):
        return np.maximum(held, falling) if hold <= ROUNDING else held
    fallen = math.exp(-(later - hold) / constant)
    return np.concatenate([held[:later], np.maximum(held[later:], fallen * falling[:-later])])


def _rise(values: np.ndarray, constant: float) -> np.ndarray:
    """Rise towards the values with a time constant in frames, from zero; fall with them.

    y[n] = min(x[n], c y[n - 1] + (1 - c) x[n]). Functions of this form stay of this form when one follows another, so
    that neighbours are joined, then pairs, then fours, in place of a loop over frames.
    """
    factor = math.exp(-1.0 / constant)
    ceiling, offset = values, (1.0 - factor) * values
    step = 1
    while step < len(values) and factor > 0.0:
        ceiling = np.concatenate([ceiling[:step], np.minimum(ceiling[step:], factor * ceiling[:-step] + offset[step:])])
        offset = np.concatenate([offset[:step], offset[step:] + factor * offset[:-step]])
        factor *= factor
        step *= 2
    return np.minimum(ceiling, offset)


def _local_maxima(values: np.ndarray) -> np.ndarray:
    """Values that are higher than what comes before and after; of a plateau one, none for a shoulder: float64 [any]."""
    maxima = []
    for column in values.reshape(len(values), -1).T:
        steps = column[np.append(True, np.diff(column) != 0.0)]
        around = np.concatenate([[-1.0], steps, [-1.0]])
        maxima.append(steps[(steps > around[:-2]) & (steps > around[2:])])
    return np.concatenate(maxima)


def _is_on(values: np.ndarray, threshold: float, hysteresis: float) -> np.ndarray:
    """Switch on from a threshold, off below the threshold less the hysteresis: bool, of the same shape."""
    on = (values >= threshold) & (values > 0.0)
    off = (values < threshold - hysteresis) | (values <= 0.0)
    return _latest(on) < _latest(off & ~on)


def _latest(happens: np.ndarray) -> np.ndarray:
    """Frames since something happened last, 0 where it does; infinite before the first time: float64."""
    frame = np.arange(len(happens), dtype=np.float64).reshape(-1, *[1] * (happens.ndim - 1))
    return frame - np.maximum.accumulate(np.where(happens, frame, -math.inf), axis=0)
