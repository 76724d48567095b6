# SPDX-License-Identifier: GPL-3.0-or-later
"""The mixing desk of the built-in song: space, echo, ducking under the kick, saturation, limiting and loudness.

Loudness is measured as in ITU-R BS.1770-4 (K-weighting, blocks of 400 ms, gates at -70 LUFS and 10 LU below
what is left).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, signal
from song_instruments import Stem
from song_score import BAR, DURATION, SAMPLE_RATE, SIXTEENTH, Score
from song_synthesis import Sound, clock, curve, high_pass, low_pass, noise, shelf, swept_low_pass

CEILING = 10.0 ** (-1.5 / 20.0)  # leaves room for what the Vorbis coder adds to peaks
LOUDNESS = -14.0  # LUFS, the level at which streaming services play

# Level (dB), send to the room (dB), send to the echo (dB), depth of the ducking under the kick (0 to 1).
DESK: dict[str, tuple[float, float, float, float]] = {
    "kick": (-5.5, -40.0, -90.0, 0.0),
    "snare": (-7.0, -16.0, -90.0, 0.0),
    "hats": (-10.5, -26.0, -90.0, 0.12),
    "effects": (-12.5, -12.0, -90.0, 0.2),
    "bass": (-9.0, -60.0, -90.0, 0.7),
    "pad": (-13.0, -12.0, -90.0, 0.65),
    "keys": (-13.5, -13.0, -24.0, 0.4),
    "arpeggio": (-9.5, -11.0, -9.0, 0.35),
    "lead": (-9.5, -14.0, -13.0, 0.3),
    "bells": (-16.5, -8.0, -9.0, 0.2),
}

# Cutoff of the filters on pad and arpeggio, in Hz at each bar: they open in the build, close in the break.
PAD_FILTER: tuple[tuple[float, float], ...] = (
    *((0, 800), (1.6, 1100), (2, 750), (3.9, 6500), (4, 4200), (8, 3800)),
    *((8.1, 1300), (9.9, 5000), (10, 5200), (14, 5200), (14.6, 2500), (15.6, 300)),
)
ARPEGGIO_FILTER: tuple[tuple[float, float], ...] = (
    *((0, 3500), (2, 1800), (3.9, 11_000), (8, 9000)),
    *((8.1, 2200), (9.9, 9000), (14, 11_000), (15.6, 4000)),
)

# Rides: (bar, dB) by which some instruments are moved over the song, so that quiet parts are quiet.
RIDES: dict[str, tuple[tuple[float, float], ...]] = {
    "pad": ((0, -5), (2, -5), (3.85, -3), (4, -4), (8, -3.5), (8.05, -4), (9, -3), (9.9, 2), (10, -3), (14, -1)),
    "bells": ((0, -1.5), (2, -1.5), (3, -3), (8, -1.5), (9.8, 0.5), (14, 1.5)),
    "bass": ((0, -2), (2, -3), (3.9, -2), (4, 0), (8, 0), (8.05, -4), (9.9, -2), (10, 0)),
}


def mix(stems: dict[str, Stem], score: Score) -> tuple[Sound, dict[str, Sound]]:
    """Put the stems together.

    Parameters
    ----------
    stems : dict of Stem
        Dry sound of every instrument of `DESK`.
    score : Score
        For the hits of the kick, under which the other instruments duck.

    Returns
    -------
    master : array [samples, 2]
        The finished song, peak at most `CEILING`.
    parts : dict of arrays [samples, 2]
        What went into the master before its limiter: each instrument by itself, "room" and "echo".
    """
    duck = ducking(score)
    parts = {}
    room, echo = np.zeros((DURATION, 2)), np.zeros((DURATION, 2))
    for name, (level, to_room, to_echo, depth) in DESK.items():
        sound = tone(name, stems[name].sound)
        if depth:
            sound = sound * (1.0 - depth * duck)[:, None]
        if name in RIDES:
            bars, levels = np.array(RIDES[name], dtype=np.float64).T
            sound = sound * (10.0 ** (np.interp(np.arange(DURATION) / BAR, bars, levels) / 20.0))[:, None]
        parts[name] = decibels(level) * sound
        room += decibels(to_room) * parts[name]
        echo += decibels(to_echo) * parts[name]
    parts["echo"] = ping_pong(echo) * (1.0 - 0.3 * duck)[:, None]
    parts["room"] = reverberate(room + decibels(-10.0) * parts["echo"]) * (1.0 - 0.5 * duck)[:, None]
    return master(sum(parts.values(), start=np.zeros((DURATION, 2)))), parts


def tone(name: str, sound: Sound) -> Sound:
    """Equalise one instrument so that it keeps out of the others' way."""
    if name == "kick":
        return high_pass(sound, 28.0)
    if name == "snare":
        return high_pass(sound, 130.0)
    if name == "bass":
        return high_pass(shelf(sound, 700.0, 3.0, high=True), 30.0)
    if name == "pad":
        return high_pass(swept_low_pass(sound, curve(PAD_FILTER, DURATION, BAR), resonance=0.9, block=256), 190.0)
    if name == "keys":
        return high_pass(shelf(sound, 1300.0, 4.0, high=True), 170.0)
    if name == "arpeggio":
        return high_pass(swept_low_pass(sound, curve(ARPEGGIO_FILTER, DURATION, BAR), block=256), 300.0)
    if name in ("lead", "bells"):
        return high_pass(shelf(sound, 1200.0, 4.0, high=True), 200.0)
    return sound


def decibels(level: float) -> float:
    """Factor of a level in dB."""
    return float(10.0 ** (level / 20.0))


def ducking(score: Score) -> Sound:
    """How far the others step back, 0 to 1: at once under the kick, and back within a quarter of a second."""
    duck = np.zeros(DURATION)
    samples = round(0.26 * SAMPLE_RATE)
    time = clock(samples)
    shape = np.minimum(1.0, time / 0.003) * (0.5 + 0.5 * np.cos(np.pi * time / time[-1])) ** 0.8
    for event in score.of("kick"):
        part = slice(event.start, event.start + samples)
        duck[part] = np.maximum(duck[part], event.velocity * shape[: len(duck[part])])
    return duck


def ping_pong(sound: Sound, feedback: float = 0.42, repeats: int = 9) -> Sound:
    """Echoes of three sixteenths, from side to side, each darker than the last."""
    lag = 3 * SIXTEENTH
    out = np.zeros_like(sound)
    repeat = np.stack([sound.mean(axis=1), np.zeros(len(sound))], axis=1)
    for number in range(1, repeats + 1):
        repeat = high_pass(low_pass(repeat, 5200.0, 1), 260.0, 1)[:, ::-1]
        start = number * lag
        out[start:] += feedback ** (number - 1) * repeat[:-start]
    return out


def reverberate(sound: Sound, seconds: float = 2.1) -> Sound:
    """Convolve with a room made of decaying noise: the highs die sooner, both sides differ, 17 ms before it speaks."""
    samples = round(1.15 * seconds * SAMPLE_RATE)
    time = clock(samples)
    raw = noise(samples, seed=77, channels=2)
    dark = low_pass(raw, 1600.0, 1)
    fall = 6.9 / seconds  # -60 dB after `seconds`
    response = dark * np.exp(-fall * time)[:, None] + (raw - dark) * np.exp(-2.1 * fall * time)[:, None]
    response = high_pass(response, 180.0) * np.minimum(1.0, time / 0.012)[:, None]
    response /= np.sqrt((response**2).sum(axis=0))
    late = signal.fftconvolve(sound, response, axes=0)[: len(sound)]
    wait = round(0.017 * SAMPLE_RATE)
    return np.concatenate([np.zeros((wait, 2)), late[:-wait]])


def master(sound: Sound) -> Sound:
    """Clean the lows, round the peaks, bring to `LOUDNESS` under `CEILING`, and fade the end to silence."""
    sound = high_pass(sound, 26.0)
    sound = shelf(sound, 4500.0, 2.0, high=True)
    fade = round(0.6 * SAMPLE_RATE)
    sound[-fade:] *= (0.5 + 0.5 * np.cos(np.linspace(0.0, np.pi, fade)))[:, None]
    gain = decibels(LOUDNESS - loudness(sound))
    finished = sound
    for _ in range(3):
        driven = 1.25 * np.tanh(gain * sound / 1.25)
        finished = limit(driven)
        gain *= decibels(LOUDNESS - loudness(finished))
    return finished


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
