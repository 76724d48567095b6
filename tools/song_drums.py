# SPDX-License-Identifier: GPL-3.0-or-later
"""The drums and effects of the built-in song: each function turns one event of the score into sound.

Each drum keeps to a part of the spectrum of its own, so that neither an ear nor an analysis takes one for another:
the kick below 300 Hz, the snare's skin at 200 Hz and its wires from 1 to 8 kHz, the hats above 7 kHz.
"""

from __future__ import annotations

import numpy as np
from song_score import SAMPLE_RATE, Event
from song_synthesis import Sound, clock, curve, decay, hertz, high_pass, low_pass, noise, pan, saw, sine, square
from song_synthesis import swept_low_pass as swept

CLAP_BURSTS = ((0.0, 0.004), (0.009, 0.004), (0.018, 0.005), (0.027, 0.05))  # hands: start and fall, seconds
CYMBAL = (263.0, 400.0, 421.0, 474.0, 587.0, 845.0)  # Hz; the ratios of an old drum machine


def kick(event: Event, seed: int) -> Sound:
    """A sine that falls from 150 Hz (and a flick above) to A flat, 52 Hz; driven softly, with a beater on top."""
    samples = round(0.4 * SAMPLE_RATE)
    time = clock(samples)
    frequency = hertz(32) + 98.0 * np.exp(-time / 0.032) + 240.0 * np.exp(-time / 0.005)
    body = np.tanh(2.0 * sine(frequency, samples) * decay(samples, 0.12)) / np.tanh(2.0)
    click = high_pass(low_pass(noise(samples, seed=11), 7000.0), 1500.0) * decay(samples, 0.0025, attack=0.0001)
    knock = sine(1150.0, samples) * decay(samples, 0.005, attack=0.0001)
    return pan(event.velocity * (body + 0.5 * event.velocity * click + 0.2 * knock), 0.0)


def snare(event: Event, seed: int) -> Sound:
    """Two modes of a skin, tuned to the key, that fall in pitch; a stick; wires; hands that clap if it is loud."""
    samples = round(0.36 * SAMPLE_RATE)
    time, loud = clock(samples), event.velocity
    bend = 1.0 + 0.45 * np.exp(-time / 0.012)
    skin = sine(hertz(53) * bend, samples) * decay(samples, 0.06)
    skin += 0.5 * sine(hertz(60) * bend, samples) * decay(samples, 0.04)
    wires = low_pass(high_pass(noise(samples, 1000 + seed, 2), 1100.0), 6500.0, 3)
    wires *= decay(samples, 0.06 + 0.045 * loud)[:, None]
    hands = sum(
        (np.where(time >= lag, np.exp(-np.maximum(0.0, time - lag) / fall), 0.0) for lag, fall in CLAP_BURSTS),
        start=np.zeros(samples),
    )
    clap = (
        high_pass(low_pass(noise(samples, 2000 + seed, 2), 5500.0, 3), 1000.0) * (hands * decay(samples, 0.3))[:, None]
    )
    stick = high_pass(low_pass(noise(samples, seed=12), 4200.0, 3), 1500.0) * decay(samples, 0.004, attack=0.0002)
    return loud * (pan((0.45 + 0.25 * loud) * skin + 0.9 * stick, 0.0) + 0.85 * wires + 0.75 * loud**2 * clap)


def hats(event: Event, seed: int) -> Sound:
    """Inharmonic squares and noise above 7 kHz: a cymbal that is shut or left open; the next hat shuts it."""
    is_open = event.articulation == "open"
    ring = 0.09 if is_open else 0.022 + 0.016 * event.velocity
    samples = round(ring * 5.0 * SAMPLE_RATE)
    shape = decay(samples, ring, attack=0.0004)
    if is_open:  # within 5 ms
        shape *= 1.0 / (1.0 + np.exp((np.arange(samples) - event.length) / (0.0012 * SAMPLE_RATE)))
    sound = (0.55 * metal(samples, 1.0) + 0.6 * noise(samples, 3000 + seed)) * shape
    return pan(
        event.velocity * low_pass(high_pass(sound, 6800.0, 4), 12_500.0), 0.25 if is_open else -0.25 + 0.1 * (seed % 3)
    )


def metal(samples: int, tune: float) -> Sound:
    """The clang of a cymbal before its filter."""
    total = np.zeros(samples)
    for number, frequency in enumerate(CYMBAL):
        total += square(2.4 * tune * frequency, samples, phase=0.17 * number)
    return total / 3.0


def effects(event: Event, seed: int) -> Sound:
    """What leads from one section to the next."""
    kinds = {"crash": crash, "reverse": reverse, "riser": riser, "impact": impact, "rain": rain}
    return kinds[event.articulation](event, seed)


def crash(event: Event, seed: int) -> Sound:
    """A bright wash that dies over two seconds while it grows darker; it leaves the strike to the drums."""
    samples = round(2.6 * SAMPLE_RATE)
    wide = noise(samples, 4000 + seed, 2) + 0.35 * pan(metal(samples, 1.37), 0.0)
    darker = swept(wide, curve(((0, 16_000), (0.5, 10_000), (2.6, 3_000)), samples, SAMPLE_RATE), block=256)
    shape = 0.6 * decay(samples, 0.3, attack=0.02) + 0.6 * decay(samples, 0.9, attack=0.02)
    return event.velocity * high_pass(darker, 4500.0) * shape[:, None]


def reverse(event: Event, seed: int) -> Sound:
    """A cymbal backwards, that stops where the next section begins."""
    samples = event.length
    place = np.linspace(0.0, 1.0, samples)
    wash = noise(samples, 4500 + seed, 2) + 0.3 * pan(metal(samples, 1.19), 0.0)
    wash = high_pass(swept(wash, 2500.0 * 5.0**place, block=256), 2000.0)
    return event.velocity * wash * (place**3.5 * end(samples, 0.012))[:, None]


def riser(event: Event, seed: int) -> Sound:
    """Noise whose filter opens, and two saws that climb an octave to the dominant."""
    samples = event.length
    place = np.linspace(0.0, 1.0, samples)
    wind = swept(noise(samples, 5000 + seed, 2), 350.0 * (11_000.0 / 350.0) ** place, resonance=2.0, block=128)
    glide = hertz(63) * 2.0 ** (2.0 * place**1.5)
    tone = np.stack([saw(glide * 1.004, samples), saw(glide * 0.996, samples, 0.4)], axis=1)
    tone = swept(tone, 400.0 * (6000.0 / 400.0) ** place, block=128)
    swell = place**2.0 * end(samples, 0.05)
    return event.velocity * swell[:, None] * (0.5 * high_pass(wind, 250.0) + 0.18 * tone)


def impact(event: Event, seed: int) -> Sound:
    """The floor falls in: a low sine that sinks under the first kick of a drop, and dust."""
    samples = round(1.4 * SAMPLE_RATE)
    time = clock(samples)
    boom = sine(34.0 + 40.0 * np.exp(-time / 0.25), samples) * decay(samples, 0.45, attack=0.02)
    dust = low_pass(noise(samples, 5500 + seed, 2), 500.0) * decay(samples, 0.35, attack=0.02)[:, None]
    return event.velocity * (pan(1.2 * boom, 0.0) + dust)


def rain(event: Event, seed: int) -> Sound:
    """Air: hiss that swells and falls slowly, another on each side."""
    samples = event.length
    time = clock(samples)
    wet = high_pass(low_pass(noise(samples, 6000 + seed, 2), 7000.0, 1), 2500.0)
    gusts = np.stack([1.0 + 0.35 * np.sin(2.0 * np.pi * (0.31 * time + 0.25 * side)) for side in (0, 1)], axis=1)
    place = np.linspace(0.0, 1.0, samples)
    return 0.2 * event.velocity * wet * gusts * (np.minimum(1.0, 6.0 * place) * end(samples, 1.2))[:, None]


def end(samples: int, seconds: float) -> Sound:
    """One, and a quarter of a cosine down to zero over the last `seconds`."""
    shape = np.ones(samples)
    tail = min(samples, round(seconds * SAMPLE_RATE))
    shape[-tail:] = np.cos(np.linspace(0.0, np.pi / 2.0, tail)) ** 2
    return shape
