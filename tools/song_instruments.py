# SPDX-License-Identifier: GPL-3.0-or-later
"""The pitched instruments of the built-in song: each function turns one note of the score into sound.

`perform` plays a whole instrument into a stem and tells when each of its notes is really heard, which is the truth that
the song's JSON holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from song_material import LAST_BAR
from song_score import BAR, DURATION, SAMPLE_RATE, Event
from song_synthesis import Sound, clock, decay, held, hertz, high_pass, pan, saw, sine, square, swept_low_pass

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


def pitch(event: Event) -> float:
    """Frequency of a note, in Hz."""
    assert event.midi is not None
    return hertz(event.midi)


def sub(event: Event, seed: int) -> Sound:
    """A sine, warmed so that small loudspeakers have overtones of it; it swells in and leaves attacks to others."""
    release = 0.06 if event.start < CLOSE else 0.45
    samples = event.length + round(release * SAMPLE_RATE)
    wave = sine(pitch(event), samples)
    warm = np.tanh(1.6 * wave + 0.25) - np.tanh(0.25)
    return pan(event.velocity * high_pass(warm, 25.0) * held(samples, 0.03, 1.0, 0.9, release), 0.0)


def bass(event: Event, seed: int) -> Sound:
    """Two detuned saws and a square whose filter closes after each pluck; its lows are left to the sub."""
    release = 0.05
    samples = event.length + round(release * SAMPLE_RATE)
    frequency, time = pitch(event), clock(samples)
    grind = 0.45 * saw(frequency * 1.004, samples, 0.13) + 0.45 * saw(frequency * 0.996, samples, 0.61)
    grind += 0.3 * square(frequency, samples, 0.3)
    cutoff = 180.0 + 260.0 * event.velocity + 1300.0 * event.velocity**2 * np.exp(-time / 0.1)
    sound = np.tanh(1.6 * swept_low_pass(grind, cutoff, resonance=1.3))
    return pan(event.velocity * high_pass(sound, 95.0) * held(samples, 0.005, 0.22, 0.7, release), 0.0)


PAD_VOICES = ((-11.0, -0.9), (-4.0, -0.3), (5.0, 0.35), (12.0, 0.9))  # cents, place


def pad(event: Event, seed: int) -> Sound:
    """Four detuned saws spread from left to right, slow to speak and slow to leave."""
    release = 0.35 if event.start < CLOSE else 0.9
    samples = event.length + round(release * SAMPLE_RATE)
    frequency = pitch(event)
    total = np.zeros((samples, 2))
    for number, (cents, place) in enumerate(PAD_VOICES):
        phase = (0.37 * number + 0.173 * (event.midi or 0)) % 1.0
        total += pan(saw(frequency * 2.0 ** (cents / 1200.0), samples, phase), place)
    return 0.25 * event.velocity * total * held(samples, 0.09, 0.8, 0.8, release)[:, None]


def keys(event: Event, seed: int) -> Sound:
    """An electric piano by frequency modulation, with a plucked saw behind it on the louder chords."""
    release = 0.09 if event.start < CLOSE else 1.2
    samples = event.length + round(release * SAMPLE_RATE)
    frequency, time, loud = pitch(event), clock(samples), event.velocity
    index = 1.4 * loud * np.exp(-time / 0.28) + 0.25
    tine = 0.14 * loud * sine(14.0 * frequency if frequency < 294 else 7.0 * frequency, samples) * np.exp(-time / 0.03)
    turn = 2.0 * np.pi * frequency * time
    electric = np.sin(turn + index * np.sin(turn)) * np.exp(-time / 0.9) + tine
    pluck = 0.5 * saw(frequency * 1.004, samples, 0.2) + 0.5 * saw(frequency * 0.996, samples, 0.7)
    cutoff = 450.0 + 3800.0 * loud**2 * np.exp(-time / 0.11)
    pluck = swept_low_pass(pluck, cutoff, resonance=0.9) * np.exp(-time / 0.3)
    place = np.clip(((event.midi or 60) - 60) / 14.0, -0.6, 0.6)
    sound = pan(0.6 * electric, place) + pan(0.9 * max(0.0, loud - 0.4) * pluck, -place)
    return loud * sound * held(samples, 0.004, 5.0, 1.0, release)[:, None]


def arpeggio(event: Event, seed: int) -> Sound:
    """A short pluck, thrown left and right in turn."""
    samples = round(0.4 * SAMPLE_RATE)
    frequency, time = pitch(event), clock(samples)
    wave = 0.6 * saw(frequency, samples, 0.25) + 0.5 * square(frequency * 1.002, samples, 0.1)
    cutoff = 500.0 + 4800.0 * event.velocity * np.exp(-time / 0.05)
    sound = swept_low_pass(wave, cutoff, resonance=1.3) * decay(samples, 0.1, attack=0.002)
    return pan(event.velocity * sound, 0.7 if seed % 2 else -0.7)


LEAD_VOICES = (  # cents, place, share
    *((-17.0, -0.9, 0.6), (-10.0, 0.6, 0.7), (-4.0, -0.35, 0.8), (0.0, 0.0, 1.0)),
    *((5.0, 0.35, 0.8), (11.0, -0.6, 0.7), (18.0, 0.9, 0.6)),
)


def lead(event: Event, seed: int) -> Sound:
    """Seven detuned saws and a hollow octave below; the filter closes over the note, and long notes get vibrato."""
    release = 0.12 if event.start < CLOSE else 0.8
    samples = event.length + round(release * SAMPLE_RATE)
    frequency = bent(event, samples, 11.0, -35.0)
    wave = np.zeros((samples, 2))
    for number, (cents, place, share) in enumerate(LEAD_VOICES):
        wave += share * pan(saw(frequency * 2.0 ** (cents / 1200.0), samples, (0.31 * number) % 1.0), place)
    wave += 0.9 * pan(square(0.5 * frequency, samples), 0.0)
    cutoff = 1900.0 + 5200.0 * event.velocity * np.exp(-clock(samples) / 0.25)
    sound = np.tanh(swept_low_pass(0.3 * wave, cutoff, resonance=1.0))
    return 0.62 * event.velocity * sound * held(samples, 0.006, 0.25, 0.55, release)[:, None]


def soft(event: Event, seed: int) -> Sound:
    """The verse's voice: a hollow wave behind a low filter, with a slow vibrato."""
    release = 0.18
    samples = event.length + round(release * SAMPLE_RATE)
    frequency = bent(event, samples, 14.0, -50.0)
    wave = (
        0.7 * square(frequency, samples) + 0.35 * saw(1.003 * frequency, samples, 0.4) + 0.5 * sine(frequency, samples)
    )
    cutoff = 700.0 + 1500.0 * event.velocity * np.exp(-clock(samples) / 0.3)
    sound = swept_low_pass(wave, cutoff, resonance=0.9) * held(samples, 0.012, 0.4, 0.75, release)
    return pan(0.5 * event.velocity * sound, 0.1)


def bent(event: Event, samples: int, depth: float, scoop: float) -> Sound:
    """Frequency of a sung note: it comes from `scoop` cents away, and after a while swings by `depth` cents."""
    time = clock(samples)
    swing = np.clip((time - 0.16) / 0.2, 0.0, 1.0) * depth * np.sin(2.0 * np.pi * 5.4 * time)
    return pitch(event) * 2.0 ** ((swing + scoop * np.exp(-time / 0.018)) / 1200.0)


def bells(event: Event, seed: int) -> Sound:
    """A bell by frequency modulation: a harmonic partial that rings, an inharmonic one that dies at once."""
    samples = round(2.4 * SAMPLE_RATE)
    frequency, time = pitch(event), clock(samples)
    turn = 2.0 * np.pi * frequency * time
    ring = np.sin(turn + 1.1 * event.velocity * np.exp(-time / 0.35) * np.sin(3.0 * turn))
    strike = 0.3 * np.sin(turn + 1.8 * np.sin(3.53 * turn)) * np.exp(-time / 0.05)
    body = 0.35 * np.sin(0.5 * turn) * np.exp(-time / 0.5)
    shape = decay(samples, 0.6, attack=0.0015)
    left = (ring + strike + body) * shape
    right = (ring * (1.0 + 0.12 * np.sin(2.0 * np.pi * 4.5 * time)) + strike + body) * shape
    return event.velocity * np.stack([left, right], axis=1)
