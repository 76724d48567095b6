# SPDX-License-Identifier: GPL-3.0-or-later
"""Tempo, beats, downbeats, and the position in bars.

The tempo is the strongest period of the onset strength's autocorrelation, weighed towards 120 BPM; the beats are the
sequence that best joins strong onsets with even steps, found by dynamic programming (Ellis, "Beat Tracking by Dynamic
Programming", 2007). Downbeats are every fourth beat, at the phase where chords change and the bass drum falls.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import fft, ndimage

from .chroma import DELAY as CHROMA_DELAY
from .chroma import fold, tuning
from .decode import RATE
from .onset import Novelty, find_peaks
from .spectrum import PITCH, TIMING

DEFAULT_TEMPO = 120.0
"""BPM of a song in which no beat is found."""

LIKELY_TEMPO, TEMPO_OCTAVES = 120.0, 0.9
"""Bell over the logarithm of the tempo: its centre in BPM and its width in octaves (Ellis 2007)."""

SLOWEST, FASTEST = 40.0, 240.0
"""BPM."""

TIGHTNESS = 100.0
"""How much an uneven step costs against a strong onset (Ellis 2007)."""

BEATS_PER_BAR = 4

LATENESS = 0.003
"""Seconds by which spectral flux peaks after most attacks begin."""

SHORTEST = 2.0
"""Seconds; in less there is no beat to be heard."""


@dataclass(frozen=True)
class Rhythm:
    """The song's grid in time.

    Attributes
    ----------
    tempo
        Beats per minute.
    beats, downbeats
        Times in seconds, float64 [beats] and [downbeats]; empty in a song without beats.
    """

    tempo: float
    beats: np.ndarray
    downbeats: np.ndarray


def find_rhythm(novelty: Novelty, circle: np.ndarray) -> Rhythm:
    """Find tempo, beats and downbeats.

    Parameters
    ----------
    novelty
        Onset strength of the song, as ``NoveltyStream`` gives it.
    circle
        Strength around the pitch circle, as ``PitchStream`` gives it.
    """
    strength = _prepare(novelty.values["onset"])
    enough = len(find_peaks(novelty.values["onset"])[0]) >= BEATS_PER_BAR
    tempo = _tempo(strength) if enough else None
    if tempo is None:
        return Rhythm(DEFAULT_TEMPO, np.zeros(0), np.zeros(0))
    steps = _track(strength, 60.0 / tempo * TIMING.rate)
    beats = novelty.centres[steps] / RATE - LATENESS
    beats = np.maximum(beats[beats > -TIMING.window / RATE], 0.0)
    if len(beats) < 2:
        return Rhythm(tempo, np.zeros(0), np.zeros(0))
    if len(beats) >= 8:
        tempo = 60.0 / _steady_step(beats)
    first = _bar_phase(beats, novelty, circle)
    return Rhythm(tempo, beats, beats[first::BEATS_PER_BAR])


def bars_curve(downbeats: np.ndarray, tempo: float, fps: Fraction, frames: int) -> np.ndarray:
    """Bar number plus phase at the start of each video frame: 0 at the first downbeat, 1.5 in the middle of the second.

    Straight between downbeats; before the first and after the last it goes on at the tempo. Without downbeats, bars
    are counted from the song's start.

    Returns
    -------
    numpy.ndarray
        float32 [frames], rising; negative before the first downbeat.
    """
    time = frame_times(fps, frames)
    bar = 60.0 / tempo * BEATS_PER_BAR
    if len(downbeats) == 0:
        return (time / bar).astype(np.float32)
    number = np.interp(time, downbeats, np.arange(len(downbeats)))
    number += np.minimum(time - downbeats[0], 0.0) / bar + np.maximum(time - downbeats[-1], 0.0) / bar
    return number.astype(np.float32)


def frame_times(fps: Fraction, frames: int) -> np.ndarray:
    """Start of each video frame in seconds: float64 [frames]."""
    return np.arange(frames, dtype=np.int64) * fps.denominator / fps.numerator


def _prepare(novelty: np.ndarray) -> np.ndarray:
    """Take away the slow part of the onset strength and give it unit deviation; all zero for silence."""
    if len(novelty) == 0:
        return np.zeros(0)
    local = ndimage.gaussian_filter1d(novelty.astype(np.float64), 0.5 * TIMING.rate, mode="nearest")
    rise = np.maximum(novelty - local, 0.0)
    deviation = float(rise.std())
    return rise / deviation if deviation > 1e-6 else np.zeros(len(rise))


def _tempo(strength: np.ndarray) -> float | None:
    """Beats per minute from the autocorrelation, or nothing where no period stands out."""
    longest = int(60.0 / SLOWEST * TIMING.rate) * 4
    if len(strength) < int(SHORTEST * TIMING.rate) or not strength.any():
        return None
    smooth = ndimage.gaussian_filter1d(strength, 0.015 * TIMING.rate)
    smooth -= smooth.mean()
    size = fft.next_fast_len(len(smooth) + longest)
    correlation = fft.irfft(np.square(np.abs(fft.rfft(smooth, size))), size)[:longest]
    correlation /= max(correlation[0], 1e-12)
    candidates = np.exp(np.linspace(np.log(SLOWEST), np.log(FASTEST), 1000))
    score = np.zeros(len(candidates))
    for multiple, weight in ((1, 1.0), (2, 0.5), (4, 0.5)):  # a beat's period comes back in the half bar and the bar
        lag = 60.0 / candidates * TIMING.rate * multiple
        score += weight * np.interp(lag, np.arange(longest), correlation)
    score *= np.exp(-0.5 * np.square(np.log2(candidates / LIKELY_TEMPO) / TEMPO_OCTAVES))
    best = int(np.argmax(score))
    return float(candidates[best]) if score[best] > 0.02 else None


def _track(strength: np.ndarray, period: float) -> np.ndarray:
    """Choose the windows of the beats by dynamic programming: int64 [beats]."""
    smooth = ndimage.gaussian_filter1d(strength, period / 32)
    steps = np.arange(-round(2 * period), -round(period / 2) + 1)
    cost = -TIGHTNESS * np.square(np.log(-steps / period))
    count = len(smooth)
    pad = -int(steps[0])
    total = np.zeros(count + pad)  # pad: before the song, where a beat is worth nothing
    previous = np.full(count, -1, np.int64)
    started = False
    threshold = 0.01 * float(smooth.max())
    for now in range(count):
        options = total[now + pad + steps[0] : now + pad + steps[-1] + 1] + cost
        best = int(np.argmax(options))
        total[now + pad] = smooth[now] + options[best]
        if started or smooth[now] >= threshold:
            started = True
            previous[now] = now + steps[best] if now + steps[best] >= 0 else -1
    score = total[pad:]
    peaks = (score > np.roll(score, 1)) & (score >= np.roll(score, -1))
    if not peaks.any():
        return np.zeros(0, np.int64)
    good = score[peaks] > 0.5 * np.median(score[peaks])
    chain = [int(np.flatnonzero(peaks)[good][-1])]
    while previous[chain[-1]] >= 0:
        chain.append(int(previous[chain[-1]]))
    beats = np.array(chain[::-1], np.int64)
    return _trim(beats, smooth)


def _trim(beats: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Leave out the beats before the first and after the last that any sound supports."""
    if len(beats) < 3:
        return beats
    heard = strength[beats]
    supported = np.flatnonzero(heard > 0.25 * np.sqrt(np.mean(np.square(heard))))
    return beats[supported[0] : supported[-1] + 1] if len(supported) else beats


def _steady_step(beats: np.ndarray) -> float:
    """Typical step between beats in seconds: over 16 beats at a time, so that the dates of single ones hardly count."""
    span = min(len(beats) - 1, 16)
    return float(np.median((beats[span:] - beats[:-span]) / span))


def _bar_phase(beats: np.ndarray, novelty: Novelty, circle: np.ndarray) -> int:
    """Which of the first four beats is a downbeat: where chords change most and the bass drum is strongest."""
    if len(beats) < 2 * BEATS_PER_BAR:
        return 0
    kick = _strength_at(beats, novelty.values["kick"], novelty.centres / RATE)
    change = _chord_change(beats, circle)
    salience = _standard(kick) + 2.0 * _standard(change)
    return int(np.argmax([salience[phase::BEATS_PER_BAR].mean() for phase in range(BEATS_PER_BAR)]))


def _strength_at(beats: np.ndarray, novelty: np.ndarray, times: np.ndarray) -> np.ndarray:
    near = ndimage.maximum_filter1d(novelty, round(0.06 * TIMING.rate))
    return np.interp(beats, times, near)


def _chord_change(beats: np.ndarray, circle: np.ndarray) -> np.ndarray:
    """Distance between the chroma of the beat before and of the beat that starts: float64 [beats]."""
    if len(circle) == 0:
        return np.zeros(len(beats))
    chroma = fold(circle, tuning(circle))
    dates = (PITCH.centres(len(circle)) + round(CHROMA_DELAY * RATE)) / RATE
    total = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])
    step = float(np.median(np.diff(beats)))
    edges = np.concatenate([[beats[0] - step], beats, [beats[-1] + step]])
    index = np.clip(np.searchsorted(dates, edges + PITCH.window / RATE / 2), 0, len(chroma))
    mean = (total[index[1:]] - total[index[:-1]]) / np.maximum(np.diff(index), 1)[:, None]
    norm = np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    unit = mean / norm
    return 1.0 - np.sum(unit[1:] * unit[:-1], axis=1)


def _standard(values: np.ndarray) -> np.ndarray:
    deviation = float(values.std())
    return (values - values.mean()) / deviation if deviation > 1e-9 else np.zeros(len(values))
