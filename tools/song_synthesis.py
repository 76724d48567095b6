# SPDX-License-Identifier: GPL-3.0-or-later
"""Building blocks of sound for the built-in song: oscillators, envelopes, filters and noise, as pure functions.

Sounds are float64 arrays, [samples] for mono and [samples, 2] for stereo. Saws are made band-limited with the
polynomial step of Välimäki and Huovilainen, "Antialiasing Oscillators in Subtractive Synthesis" (2007); second-order
filters follow Robert Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter coefficients".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal
from song_score import SAMPLE_RATE

Sound = npt.NDArray[np.float64]


def hertz(midi: float) -> float:
    """Frequency of a MIDI note in equal temperament, A4 = 440 Hz."""
    return float(440.0 * 2.0 ** ((midi - 69.0) / 12.0))


def clock(samples: int) -> Sound:
    """Seconds of each sample, from zero."""
    return np.arange(samples) / SAMPLE_RATE


def noise(samples: int, seed: int, channels: int = 1) -> Sound:
    """White noise from -1 to 1 that is the same on every machine; [samples] or [samples, channels]."""
    values = np.random.Generator(np.random.PCG64(seed)).random((samples, channels)) * 2.0 - 1.0
    return values[:, 0] if channels == 1 else values


def decay(samples: int, seconds: float, attack: float = 0.0005) -> Sound:
    """Exponential decay with time constant `seconds` after a short linear attack, faded to zero at its end."""
    time = clock(samples)
    shape = np.exp(-time / seconds) * np.minimum(1.0, time / attack)
    fade = min(samples, round(0.006 * SAMPLE_RATE))
    shape[-fade:] *= 0.5 + 0.5 * np.cos(np.linspace(0.0, np.pi, fade))
    return shape


def held(samples: int, attack: float, drop: float, sustain: float, release: float) -> Sound:
    """Attack, decay, sustain, release: the last `release` seconds of the array are the release."""
    time = clock(samples)
    shape = np.minimum(1.0, time / attack) * (sustain + (1.0 - sustain) * np.exp(-np.maximum(0, time - attack) / drop))
    tail = min(samples, round(release * SAMPLE_RATE))
    shape[-tail:] *= (0.5 + 0.5 * np.cos(np.linspace(0.0, np.pi, tail))) ** 1.5
    return shape


def sine(frequency: Sound | float, samples: int, phase: float = 0.0) -> Sound:
    """A sine of constant or changing frequency (Hz); it starts at `phase` turns."""
    return np.sin(2.0 * np.pi * (_turns(frequency, samples) + phase))


def saw(frequency: Sound | float, samples: int, phase: float = 0.0) -> Sound:
    """A band-limited falling saw from -1 to 1: its steps are rounded by a polynomial (PolyBLEP) at twice the rate."""
    step = np.repeat(np.broadcast_to(np.asarray(frequency, dtype=np.float64) / (2.0 * SAMPLE_RATE), (samples,)), 2)
    turn = (np.cumsum(step) - step + phase) % 1.0
    wave = 1.0 - 2.0 * turn
    before, after = turn > 1.0 - step, turn < step
    x = (turn[before] - 1.0) / step[before]
    wave[before] += (x + 1.0) ** 2
    x = turn[after] / step[after]
    wave[after] -= (x - 1.0) ** 2
    return np.asarray(signal.resample_poly(wave, 1, 2, padtype="line"))


def square(frequency: Sound | float, samples: int, phase: float = 0.0) -> Sound:
    """A band-limited square: two saws half a turn apart."""
    return 0.5 * (saw(frequency, samples, phase) - saw(frequency, samples, phase + 0.5))


def decibels(level: float) -> float:
    """Factor of a level in dB."""
    return float(10.0 ** (level / 20.0))


def high_pass(sound: Sound, frequency: float, order: int = 2) -> Sound:
    """Butterworth high-pass along time."""
    return _butterworth(sound, frequency, order, "highpass")


def low_pass(sound: Sound, frequency: float, order: int = 2) -> Sound:
    """Butterworth low-pass along time."""
    return _butterworth(sound, frequency, order, "lowpass")


def shelf(sound: Sound, frequency: float, decibels: float, high: bool) -> Sound:
    """A first-order-like shelf (slope 0.7) that lifts or lowers everything above or below `frequency`."""
    amplitude = 10.0 ** (decibels / 40.0)
    angle = 2.0 * np.pi * frequency / SAMPLE_RATE
    alpha = np.sin(angle) / 2.0 * np.sqrt((amplitude + 1.0 / amplitude) * (1.0 / 0.7 - 1.0) + 2.0)
    cosine = np.cos(angle) * (1.0 if high else -1.0)
    root = 2.0 * np.sqrt(amplitude) * alpha
    sign = -1.0 if high else 1.0
    b = amplitude * np.array([(amplitude + 1) + (amplitude - 1) * cosine + root, 0.0, 0.0])
    b[1] = 2.0 * amplitude * sign * ((amplitude - 1) + (amplitude + 1) * cosine)
    b[2] = amplitude * ((amplitude + 1) + (amplitude - 1) * cosine - root)
    a = np.array([(amplitude + 1) - (amplitude - 1) * cosine + root, 0.0, 0.0])
    a[1] = -2.0 * sign * ((amplitude - 1) - (amplitude + 1) * cosine)
    a[2] = (amplitude + 1) - (amplitude - 1) * cosine - root
    return np.asarray(signal.lfilter(b / a[0], a / a[0], sound, axis=0))


def swept_low_pass(sound: Sound, cutoff: Sound, resonance: float = 0.8, block: int = 48) -> Sound:
    """A resonant second-order low-pass whose cutoff (Hz, one value per sample) moves.

    The coefficients change once per `block` samples while the filter's state is kept: about a millisecond is smooth for
    a pluck, slow sweeps can do with less.
    """
    starts = np.arange(0, len(sound), block)
    angle = 2.0 * np.pi * np.clip(cutoff[starts], 20.0, 0.45 * SAMPLE_RATE) / SAMPLE_RATE
    alpha, cosine = np.sin(angle) / (2.0 * resonance), np.cos(angle)
    scale = 1.0 / (1.0 + alpha)
    side = 0.5 * (1.0 - cosine) * scale
    numerators = np.stack([side, 2.0 * side, side], axis=1)
    denominators = np.stack([np.ones_like(side), -2.0 * cosine * scale, (1.0 - alpha) * scale], axis=1)
    state = np.zeros((2, *sound.shape[1:]))
    out = np.empty_like(sound)
    for start, b, a in zip(starts, numerators, denominators, strict=True):
        part = slice(start, start + block)
        out[part], state = signal.lfilter(b, a, sound[part], axis=0, zi=state)
    return out


def pan(sound: Sound, position: float) -> Sound:
    """Mono to stereo with constant power; -1 is left, 1 is right."""
    angle = (position + 1.0) * np.pi / 4.0
    return np.stack([sound * np.cos(angle), sound * np.sin(angle)], axis=1) * np.sqrt(2.0)


def curve(points: tuple[tuple[float, float], ...], samples: int, unit: float) -> Sound:
    """A line through (position, value) points, geometric between them; positions are in units of `unit` samples."""
    positions, values = np.array(points, dtype=np.float64).T
    return np.exp(np.interp(np.arange(samples) / unit, positions, np.log(values)))


def _turns(frequency: Sound | float, samples: int) -> Sound:
    if np.ndim(frequency) == 0:
        return np.arange(samples) * (float(frequency) / SAMPLE_RATE)
    steps = np.asarray(frequency, dtype=np.float64) / SAMPLE_RATE
    return np.concatenate([[0.0], np.cumsum(steps[:-1])])


def _butterworth(sound: Sound, frequency: float, order: int, kind: str) -> Sound:
    sections = signal.butter(order, frequency, kind, fs=SAMPLE_RATE, output="sos")
    return np.asarray(signal.sosfilt(sections, sound, axis=0))
