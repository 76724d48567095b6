# SPDX-License-Identifier: GPL-3.0-or-later
"""The last stage of the built-in song: lows to the middle, tape, limiting and loudness.

Loudness is measured as in ITU-R BS.1770-4 (K-weighting, blocks of 400 ms, gates at -70 LUFS and 10 LU below
what is left).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, signal
from song_score import SAMPLE_RATE
from song_synthesis import Sound, decibels, high_pass

CEILING = 10.0 ** (-1.9 / 20.0)  # leaves room for what the Vorbis coder adds to peaks: below -1 dBTP when decoded
LOUDNESS = -14.0  # LUFS, the level at which streaming services play
MONO = 120.0  # Hz below which both sides are the same
OVER = 4  # times the sample rate at which the tape bends the wave, so that its overtones fold nowhere


def master(sound: Sound) -> Sound:
    """Clean the lows, round the peaks, bring to `LOUDNESS` under `CEILING`, and fade the end to silence."""
    sound = mono_below(high_pass(sound, 26.0), MONO)
    fade = round(0.9 * SAMPLE_RATE)
    sound[-fade:] *= (0.5 + 0.5 * np.cos(np.linspace(0.0, np.pi, fade)))[:, None]
    gain = decibels(LOUDNESS - loudness(sound))
    finished = sound
    for _ in range(3):
        finished = limit(tape(gain * sound))
        gain *= decibels(LOUDNESS - loudness(finished))
    return finished


def mono_below(sound: Sound, frequency: float) -> Sound:
    """The same, its sides equal below a frequency: the difference of the sides is high-passed without delay."""
    middle, side = sound.mean(axis=1), 0.5 * (sound[:, 0] - sound[:, 1])
    sections = signal.butter(2, frequency, "highpass", fs=SAMPLE_RATE, output="sos")
    side = signal.sosfiltfilt(sections, side)
    return np.stack([middle + side, middle - side], axis=1)


def tape(sound: Sound) -> Sound:
    """Bend the wave softly and a little more upwards than downwards, as tape does; nothing is lost at low levels."""
    fine = signal.resample_poly(sound, OVER, 1, axis=0)
    bent = 1.1 * (np.tanh(fine / 1.1 + 0.06) - np.tanh(0.06)) / (1.0 - np.tanh(0.06) ** 2)
    return high_pass(signal.resample_poly(bent, 1, OVER, axis=0), 12.0)


def limit(sound: Sound, ahead: float = 0.004, hold: float = 0.06) -> Sound:
    """A limiter that looks ahead: no sample, nor the curve between samples, passes `CEILING`; its gain is smooth."""
    between = np.abs(signal.resample_poly(sound, 4, 1, axis=0)).reshape(len(sound), 4, 2).max(axis=(1, 2))
    peak = np.maximum(between, np.abs(sound).max(axis=1))
    wanted = np.minimum(1.0, 0.985 * CEILING / np.maximum(peak, 1e-9))
    reach, rest = round(ahead * SAMPLE_RATE), round(hold * SAMPLE_RATE)
    lowest = ndimage.minimum_filter1d(wanted, 2 * reach + rest + 1, origin=-(rest // 2) + 0)
    lowest = np.minimum(lowest, ndimage.minimum_filter1d(wanted, 2 * reach + 1))
    window = np.hanning(2 * reach + 1)
    smooth = ndimage.convolve1d(lowest, window / window.sum(), mode="nearest")
    return sound * smooth[:, None]


def loudness(sound: Sound, gated: bool = True) -> float:
    """Loudness in LUFS of a stereo sound [samples, 2] at `SAMPLE_RATE`."""
    power = _k_weighted(sound) ** 2
    block, hop = round(0.4 * SAMPLE_RATE), round(0.1 * SAMPLE_RATE)
    total = np.concatenate([[0.0], np.cumsum(power.sum(axis=1))])
    starts = np.arange(0, max(1, len(sound) - block + 1), hop)
    means = (total[np.minimum(starts + block, len(sound))] - total[starts]) / block
    level = -0.691 + 10.0 * np.log10(np.maximum(means, 1e-12))
    if gated:
        audible = means[level > -70.0]
        if not len(audible):
            return -70.0
        gate = -0.691 + 10.0 * np.log10(audible.mean()) - 10.0
        means = means[(level > -70.0) & (level > gate)]
    return float(-0.691 + 10.0 * np.log10(max(means.mean(), 1e-12)))


def _k_weighted(sound: Sound) -> Sound:
    """The head's shelf and the low cut of BS.1770, from their analogue parameters at any sample rate."""
    k = np.tan(np.pi * 1681.974450955533 / SAMPLE_RATE)
    high, quality = 10.0 ** (3.999843853973347 / 20.0), 0.7071752369554196
    band = high**0.4996667741545416
    scale = 1.0 + k / quality + k * k
    b = np.array([high + band * k / quality + k * k, 2.0 * (k * k - high), high - band * k / quality + k * k]) / scale
    a = np.array([scale, 2.0 * (k * k - 1.0), 1.0 - k / quality + k * k]) / scale
    shelved = signal.lfilter(b, a, sound, axis=0)
    k = np.tan(np.pi * 38.13547087602444 / SAMPLE_RATE)
    quality = 0.5003270373238773
    scale = 1.0 + k / quality + k * k
    a = np.array([scale, 2.0 * (k * k - 1.0), 1.0 - k / quality + k * k]) / scale
    return np.asarray(signal.lfilter([1.0, -2.0, 1.0], a, shelved, axis=0))
