# SPDX-License-Identifier: GPL-3.0-or-later
"""The instruments of the built-in song: each function turns one event of the score into sound.

`perform` plays a whole instrument into a stem and tells when each of its notes is really heard, which is the truth that
the song's JSON holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from song_score import BAR, DURATION, LAST_BAR, SAMPLE_RATE, Event
from song_synthesis import (
    Sound,
    clock,
    curve,
    decay,
    held,
    hertz,
    high_pass,
    low_pass,
    noise,
    pan,
    saw,
    sine,
    square,
    swept_low_pass,
)

ATTACK_WINDOW = 0.06  # seconds in which a note's attack reaches its peak
ATTACK_SHARE = 0.1  # an attack is heard when it first reaches this share of that peak
CLOSE = LAST_BAR * BAR  # from here on notes ring out

Instrument = Callable[[Event, int], Sound]


@dataclass(frozen=True)
class Stem:
    """One instrument's dry sound [samples, 2], and the time (seconds) at which each of its events is heard."""

    sound: Sound
    onsets: tuple[float, ...]


def perform(events: tuple[Event, ...], instrument: Instrument, samples: int = DURATION) -> Stem:
    """Play events with one instrument.

    Parameters
    ----------
    events : tuple of Event
        What to play; the number of an event in this tuple seeds its noise.
    instrument : callable
        `instrument(event, seed)` gives the sound of one event, [samples, 2].
    samples : int
        Length of the stem; what rings longer is cut.
    """
    stem = np.zeros((samples, 2))
    onsets = []
    for number, event in enumerate(events):
        sound = instrument(event, number)
        level = np.abs(sound[: round(ATTACK_WINDOW * SAMPLE_RATE)]).max(axis=1)
        heard = event.start + int(np.argmax(level >= ATTACK_SHARE * level.max()))
        onsets.append(heard / SAMPLE_RATE)
        end = min(samples, event.start + len(sound))
        stem[event.start : end] += sound[: end - event.start]
    return Stem(stem, tuple(onsets))


def kick(event: Event, seed: int) -> Sound:
    """A sine that falls from 150 Hz (and a flick above) to A flat, 52 Hz; driven softly, with a click on top."""
    samples = round(0.42 * SAMPLE_RATE)
    time = clock(samples)
    frequency = hertz(32) + 98.0 * np.exp(-time / 0.032) + 260.0 * np.exp(-time / 0.005)
    body = np.tanh(1.9 * sine(frequency, samples) * decay(samples, 0.125)) / np.tanh(1.9)
    click = high_pass(noise(samples, seed=11), 1800.0) * decay(samples, 0.0035, attack=0.0002)
    knock = sine(1150.0, samples) * decay(samples, 0.006, attack=0.0002)
    return pan(event.velocity * (body + 0.32 * event.velocity * click + 0.16 * knock), 0.0)


def snare(event: Event, seed: int) -> Sound:
    """Two modes of a skin, tuned to the key, that fall in pitch; a rattle of noise; a clap of four bursts if loud."""
    samples = round(0.34 * SAMPLE_RATE)
    time = clock(samples)
    bend = 1.0 + 0.45 * np.exp(-time / 0.012)
    body = sine(hertz(56) * bend, samples) * decay(samples, 0.065) + 0.55 * sine(hertz(63) * bend, samples) * decay(
        samples, 0.04
    )
    rattle = high_pass(low_pass(noise(samples, 1000 + seed, 2), 10_500.0), 1400.0) * decay(samples, 0.085)[:, None]
    bursts = sum(
        (np.where(time >= lag, np.exp(-np.maximum(0.0, time - lag) / fall), 0.0) for lag, fall in CLAP_BURSTS),
        start=np.zeros(samples),
    )
    clap = high_pass(low_pass(noise(samples, 2000 + seed, 2), 6500.0), 900.0) * (bursts * decay(samples, 0.3))[:, None]
    loud = event.velocity
    return loud * (pan(0.75 * body, 0.0) + (0.55 + 0.45 * loud) * rattle + 0.5 * loud**2 * clap)


CLAP_BURSTS = ((0.0, 0.004), (0.010, 0.004), (0.021, 0.005), (0.031, 0.055))


def hats(event: Event, seed: int) -> Sound:
    """Six inharmonic squares and noise, high-passed: a cymbal that is shut or left open."""
    is_open = event.articulation == "open"
    ring = 0.13 if is_open else 0.026 + 0.012 * event.velocity
    samples = round(ring * 5.0 * SAMPLE_RATE)
    shape = decay(samples, ring, attack=0.0004)
    if is_open:  # the next hat shuts it, within 5 ms
        shape *= 1.0 / (1.0 + np.exp((np.arange(samples) - event.length) / (0.0012 * SAMPLE_RATE)))
    sound = (0.55 * metal(samples, 1.0) + 0.6 * noise(samples, 3000 + seed)) * shape
    return pan(event.velocity * high_pass(sound, 7200.0, 4), 0.28 if is_open else -0.22 + 0.12 * (seed % 3))


def metal(samples: int, tune: float) -> Sound:
    """The clang of a cymbal before its filter: squares at the ratios of an old drum machine."""
    total = np.zeros(samples)
    for number, frequency in enumerate((263.0, 400.0, 421.0, 474.0, 587.0, 845.0)):
        total += square(2.4 * tune * frequency, samples, phase=0.17 * number)
    return total / 3.0


def effects(event: Event, seed: int) -> Sound:
    """Crash cymbal, or a riser that climbs to the next section."""
    return crash(event, seed) if event.articulation == "crash" else riser(event, seed)


def crash(event: Event, seed: int) -> Sound:
    """A bright burst that dies over two seconds while it grows darker."""
    samples = round(2.6 * SAMPLE_RATE)
    wide = noise(samples, 4000 + seed, 2) + 0.35 * pan(metal(samples, 1.37), 0.0)
    darker = swept_low_pass(wide, curve(((0, 15_000), (0.5, 8_000), (2.6, 1_500)), samples, SAMPLE_RATE), block=256)
    shape = 0.95 * decay(samples, 0.3) + 0.65 * decay(samples, 0.9)
    return event.velocity * high_pass(darker, 2600.0) * shape[:, None]


def riser(event: Event, seed: int) -> Sound:
    """Noise whose filter opens, and two saws that climb an octave to the dominant."""
    samples = event.length
    place = np.linspace(0.0, 1.0, samples)
    wind = swept_low_pass(noise(samples, 5000 + seed, 2), 350.0 * (9000.0 / 350.0) ** place, resonance=1.8, block=128)
    glide = hertz(63) * 2.0 ** (place**1.5)
    tone = np.stack([saw(glide * 1.004, samples), saw(glide * 0.996, samples, 0.4)], axis=1)
    tone = swept_low_pass(tone, 400.0 * (5000.0 / 400.0) ** place, block=128)
    swell = place**2.2
    swell[-2400:] *= np.cos(np.linspace(0.0, np.pi / 2.0, 2400)) ** 2
    return event.velocity * swell[:, None] * (0.8 * high_pass(wind, 250.0) + 0.14 * tone)


def bass(event: Event, seed: int) -> Sound:
    """A sine below and two detuned saws above it whose filter closes after each pluck."""
    assert event.midi is not None
    release = 0.05 if event.start < CLOSE else 0.7
    samples = event.length + round(release * SAMPLE_RATE)
    frequency, time = hertz(event.midi), clock(samples)
    grind = 0.5 * saw(frequency * 1.003, samples, 0.13) + 0.5 * saw(frequency * 0.997, samples, 0.61)
    cutoff = 160.0 + 260.0 * event.velocity + 1500.0 * event.velocity**2 * np.exp(-time / 0.11)
    sound = np.tanh(1.5 * (0.75 * sine(frequency, samples) + 0.75 * swept_low_pass(grind, cutoff, resonance=1.1)))
    return pan(event.velocity * sound * held(samples, 0.004, 0.25, 0.75, release), 0.0)


PAD_VOICES = ((-11.0, -0.9), (-4.0, -0.3), (5.0, 0.35), (12.0, 0.9))  # cents, place


def pad(event: Event, seed: int) -> Sound:
    """Four detuned saws spread from left to right, slow to speak and slow to leave."""
    assert event.midi is not None
    release = 0.3 if event.start < CLOSE else 0.9
    samples = event.length + round(release * SAMPLE_RATE)
    frequency = hertz(event.midi)
    total = np.zeros((samples, 2))
    for number, (cents, place) in enumerate(PAD_VOICES):
        phase = (0.37 * number + 0.173 * event.midi) % 1.0
        total += pan(saw(frequency * 2.0 ** (cents / 1200.0), samples, phase), place)
    return 0.25 * event.velocity * total * held(samples, 0.09, 0.8, 0.8, release)[:, None]


def keys(event: Event, seed: int) -> Sound:
    """An electric piano by frequency modulation, with a plucked saw behind it on the louder chords."""
    assert event.midi is not None
    release = 0.09 if event.start < CLOSE else 1.2
    samples = event.length + round(release * SAMPLE_RATE)
    frequency, time, loud = hertz(event.midi), clock(samples), event.velocity
    index = 1.5 * loud * np.exp(-time / 0.28) + 0.25
    tine = 0.16 * loud * sine(14.0 * frequency if event.midi < 62 else 7.0 * frequency, samples) * np.exp(-time / 0.03)
    turn = 2.0 * np.pi * frequency * time
    electric = np.sin(turn + index * np.sin(turn)) * np.exp(-time / 0.9) + tine
    pluck = 0.5 * saw(frequency * 1.004, samples, 0.2) + 0.5 * saw(frequency * 0.996, samples, 0.7)
    cutoff = 450.0 + 6500.0 * loud**2 * np.exp(-time / 0.09)
    pluck = swept_low_pass(pluck, cutoff, resonance=0.9) * np.exp(-time / 0.3)
    place = np.clip((event.midi - 60) / 14.0, -0.6, 0.6)
    sound = pan(0.6 * electric, place) + pan(0.9 * max(0.0, loud - 0.4) * pluck, -place)
    return loud * sound * held(samples, 0.003, 5.0, 1.0, release)[:, None]


def arpeggio(event: Event, seed: int) -> Sound:
    """A short pluck, thrown left and right in turn."""
    assert event.midi is not None
    samples = round(0.4 * SAMPLE_RATE)
    frequency, time = hertz(event.midi), clock(samples)
    wave = 0.6 * saw(frequency, samples, 0.25) + 0.5 * square(frequency * 1.002, samples, 0.1)
    cutoff = 500.0 + 5200.0 * event.velocity * np.exp(-time / 0.05)
    sound = swept_low_pass(wave, cutoff, resonance=1.3) * decay(samples, 0.1, attack=0.002)
    return pan(event.velocity * sound, 0.7 if seed % 2 else -0.7)


def lead(event: Event, seed: int) -> Sound:
    """Three detuned saws and a hollow octave below; the filter closes over the note, and long notes get vibrato."""
    assert event.midi is not None
    release = 0.12 if event.start < CLOSE else 0.8
    samples = event.length + round(release * SAMPLE_RATE)
    time = clock(samples)
    depth = np.clip((time - 0.16) / 0.2, 0.0, 1.0) * 11.0  # cents
    scoop = -35.0 * np.exp(-time / 0.018)
    frequency = hertz(event.midi) * 2.0 ** ((depth * np.sin(2.0 * np.pi * 5.4 * time) + scoop) / 1200.0)
    wave = np.zeros((samples, 2))
    for number, (cents, place) in enumerate(((-9.0, -0.85), (0.0, 0.0), (9.0, 0.85))):
        wave += pan(saw(frequency * 2.0 ** (cents / 1200.0), samples, 0.31 * number), place)
    wave += 0.5 * pan(square(0.5 * frequency, samples), 0.0)
    cutoff = 2000.0 + 5800.0 * event.velocity * np.exp(-time / 0.22)
    sound = swept_low_pass(0.3 * wave, cutoff, resonance=1.0)
    return event.velocity * sound * held(samples, 0.005, 0.22, 0.5, release)[:, None]


def bells(event: Event, seed: int) -> Sound:
    """A bell by frequency modulation: a harmonic partial that rings, an inharmonic one that dies at once."""
    assert event.midi is not None
    samples = round(2.2 * SAMPLE_RATE)
    frequency, time = hertz(event.midi), clock(samples)
    turn = 2.0 * np.pi * frequency * time
    ring = np.sin(turn + 1.1 * event.velocity * np.exp(-time / 0.35) * np.sin(3.0 * turn))
    strike = 0.3 * np.sin(turn + 1.8 * np.sin(3.53 * turn)) * np.exp(-time / 0.05)
    body = 0.35 * np.sin(0.5 * turn) * np.exp(-time / 0.5)
    shape = decay(samples, 0.55, attack=0.0015)
    left = (ring + strike + body) * shape
    right = (ring * (1.0 + 0.12 * np.sin(2.0 * np.pi * 4.5 * time)) + strike + body) * shape
    return event.velocity * np.stack([left, right], axis=1)
