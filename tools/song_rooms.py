# SPDX-License-Identifier: GPL-3.0-or-later
"""The rooms and echoes of the built-in song.

A room is a feedback delay network (Jot and Chaigne, "Digital delay networks for designing artificial reverberators",
1991): delay lines of lengths without a common divisor feed each other through a matrix that keeps energy, here
Householder's, and each loses as much per pass as its length is a part of the time of decay, the highs more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal
from song_score import SAMPLE_RATE, SIXTEENTH
from song_synthesis import Sound, high_pass, low_pass


@dataclass(frozen=True)
class Room:
    """A space: its delay lines (samples), seconds to fall by 60 dB for lows and highs, wait before it speaks (seconds).

    `diffusion` are the lengths (samples) of all-pass filters that thicken what enters.
    """

    lines: tuple[int, ...]
    lows: float
    highs: float
    wait: float
    diffusion: tuple[int, ...]


CHAMBER = Room((441, 523, 601, 683, 761, 853, 937, 1031), 0.55, 0.3, 0.004, (113, 163, 241))
PLATE = Room((1129, 1277, 1423, 1567, 1709, 1871, 2017, 2179), 2.6, 1.1, 0.022, (149, 211, 347, 433))


def reverberate(sound: Sound, room: Room) -> Sound:
    """What a room answers to a sound [samples, 2]; each side of it speaks into lines of its own."""
    answer = np.zeros_like(sound)
    for side in (0, 1):
        response = impulse_response(room, side)
        answer += signal.fftconvolve(sound[:, side : side + 1], response, axes=0)[: len(sound)]
    wait = round(room.wait * SAMPLE_RATE)
    return np.concatenate([np.zeros((wait, 2)), answer[:-wait]])


def impulse_response(room: Room, side: int) -> Sound:
    """Both sides' answer to a click on one side, [samples, 2], of energy one on average."""
    samples = round(1.2 * room.lows * SAMPLE_RATE)
    click = np.zeros(samples)
    click[0] = 1.0
    for length in room.diffusion:
        click = _all_pass(click, length)
    count = len(room.lines)
    mixing = np.eye(count) - 2.0 / count
    into = np.where(np.arange(count) % 2 == side, 1.0, 0.25)
    out = np.stack([np.where(np.arange(count) // 2 % 2 == 0, 1.0, -1.0), np.cos(np.pi * np.arange(count) * 0.75)])
    losses = [_loss(room, length) for length in room.lines]
    fed = np.zeros((count, samples))  # what has gone into each line
    states = np.zeros((count, 1))
    heard = np.zeros((samples, 2))
    block = min(room.lines)
    for start in range(0, samples, block):
        stop = min(samples, start + block)
        arrived = np.zeros((count, stop - start))
        for line, length in enumerate(room.lines):
            first = max(start - length, 0)
            if stop - length > 0:
                old = fed[line, first : stop - length]
                numerator, denominator = losses[line]
                passed, states[line] = signal.lfilter(numerator, denominator, old, zi=states[line])
                arrived[line, len(arrived[line]) - len(old) :] = passed
        heard[start:stop] = (out @ arrived).T
        fed[:, start:stop] = mixing @ arrived + into[:, None] * click[start:stop]
    heard = high_pass(heard, 220.0)
    return np.asarray(heard / np.sqrt((heard**2).sum(axis=0).mean()))


def _loss(room: Room, length: int) -> tuple[Sound, Sound]:
    """One-pole filter of a line: what is left after one pass, for lows and for the highest."""
    low = 10.0 ** (-3.0 * length / (room.lows * SAMPLE_RATE))
    high = 10.0 ** (-3.0 * length / (room.highs * SAMPLE_RATE))
    pole = (low - high) / (low + high)
    return np.array([low * (1.0 - pole)]), np.array([1.0, -pole])


def _all_pass(sound: Sound, length: int, strength: float = 0.6) -> Sound:
    """Schroeder's all-pass filter."""
    b, a = np.zeros(length + 1), np.zeros(length + 1)
    b[0], b[-1], a[0], a[-1] = strength, 1.0, 1.0, strength
    return np.asarray(signal.lfilter(b, a, sound))


def ping_pong(sound: Sound, feedback: float = 0.42, repeats: int = 9) -> Sound:
    """Echoes of three sixteenths, from side to side, each darker than the last."""
    lag = 3 * SIXTEENTH
    out = np.zeros_like(sound)
    repeat = np.stack([sound.mean(axis=1), np.zeros(len(sound))], axis=1)
    for number in range(1, repeats + 1):
        repeat = high_pass(low_pass(repeat, 4800.0, 1), 260.0, 1)[:, ::-1]
        start = number * lag
        out[start:] += feedback ** (number - 1) * repeat[:-start]
    return out
