# SPDX-License-Identifier: GPL-3.0-or-later
"""The mixing desk of the built-in song: levels, equalisers, ducking under the kick, rooms and echo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from song_instruments import Stem
from song_master import master
from song_rooms import CHAMBER, PLATE, ping_pong, reverberate
from song_score import BAR, DURATION, SAMPLE_RATE, Score
from song_synthesis import Sound, clock, curve, decibels, high_pass, shelf, swept_low_pass

OFF = -90.0
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Channel:
    """A strip of the desk: level and sends in dB; how far it steps back under the kick, 0 to 1; a low cut in Hz."""

    level: float
    chamber: float = OFF
    plate: float = OFF
    echo: float = OFF
    duck: float = 0.0
    low_cut: float = 30.0


DESK: dict[str, Channel] = {
    "kick": Channel(-6.0, chamber=-34.0, low_cut=28.0),
    "snare": Channel(-3.5, chamber=-13.0, plate=-24.0, low_cut=160.0),
    "hats": Channel(-6.0, chamber=-22.0),
    "effects": Channel(-16.5, plate=-12.0, duck=0.3),
    "sub": Channel(-15.0, duck=0.6),
    "bass": Channel(-10.0, duck=0.5, low_cut=110.0),
    "pad": Channel(-12.5, plate=-14.0, duck=0.7, low_cut=190.0),
    "keys": Channel(-12.5, chamber=-14.0, plate=-16.0, echo=-24.0, duck=0.45, low_cut=240.0),
    "arpeggio": Channel(-11.5, plate=-12.0, echo=-9.0, duck=0.4, low_cut=320.0),
    "lead": Channel(-6.0, chamber=-16.0, plate=-14.0, echo=-14.0, duck=0.3, low_cut=220.0),
    "soft": Channel(-9.0, chamber=-14.0, plate=-11.0, echo=-13.0, duck=0.15, low_cut=200.0),
    "bells": Channel(-20.0, plate=-5.0, echo=-9.0, duck=0.2, low_cut=220.0),
}

# High shelves: above this many Hz so many dB.
SHELVES: dict[str, tuple[float, float]] = {"keys": (1300.0, 3.0), "lead": (1500.0, 3.0), "bells": (1200.0, 4.0)}

# Low-pass filters, in Hz at each bar: they open in the build, close in the break.
FILTERS: dict[str, Points] = {
    "pad": (
        *((0, 700), (1.9, 1300), (2, 900), (5.8, 1300), (6, 1000), (7.85, 7500), (8, 3400), (12, 3400)),
        *((12.1, 900), (13.9, 1300), (14, 1000), (15.85, 7500), (16, 4200), (20, 4200), (20.5, 1500), (21.9, 300)),
    ),
    "arpeggio": (
        *((0, 1800), (2, 3000), (5.9, 3500), (6, 1600), (7.85, 12_000), (12, 9000)),
        *((12.1, 1800), (14, 1800), (15.85, 12_000), (20, 11_000), (21.9, 4000)),
    ),
    "bass": (
        *((0, 900), (6, 1200), (6.01, 500), (7.85, 6000), (8, 7000), (13.9, 7000)),
        *((14, 500), (15.85, 6000), (16, 8000), (22, 8000)),
    ),
    "keys": (
        *((0, 2500), (5.9, 2500), (6, 1500), (7.9, 9000), (12, 9000)),
        *((12.1, 2500), (14, 1500), (15.9, 9000), (16, 11_000), (20, 9000), (22, 3000)),
    ),
}

# Rides: (bar, dB) by which some instruments are moved over the song, so that quiet parts are quiet.
RIDES: dict[str, Points] = {
    "pad": (
        *((0, -1), (2, -1), (2.01, -6), (6, -4.5), (7.9, -1), (8, -4.5), (12, -4.5)),
        *((12.05, -1), (13.95, -1), (14, -4.5), (15.9, -1), (16, -4), (20, -2)),
    ),
    "bells": ((0, 0), (20, 0), (20.01, 1.5)),
    "bass": ((0, -2), (6, -2), (6.01, -6), (7.9, -2), (8, 0), (13.9, 0), (14, -6), (15.9, -2), (16, 0)),
    "arpeggio": (
        (0, 4),
        (5.9, 6),
        (6, 2),
        (7.9, 3),
        (8, 0.5),
        (12, 0.5),
        (12.05, 4),
        (13.9, 5),
        (14, 2),
        (15.9, 3),
        (16, 0),
    ),
}

# The whole mix: (bar, dB). Quiet before the verse, held back before the drops, full in them.
WHOLE: Points = (
    *((0, -5), (1.98, -5), (2, -4), (5.99, -4), (6, -5), (7.9, -1), (8, -0.5), (12, -0.5), (12.02, -5)),
    *((13.98, -5), (14, -5), (15.9, -1), (16, 0), (19.99, 0), (20, -4.5), (22, -4.5)),
)


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
        The finished song.
    parts : dict of arrays [samples, 2]
        What went into the master before its limiter: each instrument by itself, "chamber", "plate" and "echo".
    """
    duck = ducking(score)
    parts = {}
    chamber, plate, echo = (np.zeros((DURATION, 2)) for _ in range(3))
    for name, channel in DESK.items():
        sound = tone(name, stems[name].sound)
        sound = sound * (1.0 - channel.duck * duck)[:, None]
        if name in RIDES:
            sound = sound * ride(RIDES[name])[:, None]
        parts[name] = decibels(channel.level) * sound
        chamber += decibels(channel.chamber) * parts[name]
        plate += decibels(channel.plate) * parts[name]
        echo += decibels(channel.echo) * parts[name]
    parts["echo"] = ping_pong(echo) * (1.0 - 0.3 * duck)[:, None]
    parts["chamber"] = reverberate(chamber, CHAMBER)
    parts["plate"] = reverberate(plate + decibels(-10.0) * parts["echo"], PLATE) * (1.0 - 0.5 * duck)[:, None]
    return master(sum(parts.values(), start=np.zeros((DURATION, 2))) * ride(WHOLE)[:, None]), parts


def ride(points: Points) -> Sound:
    """Factor of each sample for a level (dB) that moves along lines between bars."""
    bars, levels = np.array(points, dtype=np.float64).T
    return np.asarray(10.0 ** (np.interp(np.arange(DURATION) / BAR, bars, levels) / 20.0))


def tone(name: str, sound: Sound) -> Sound:
    """Equalise one instrument so that it keeps out of the others' way."""
    if name in FILTERS:
        sound = swept_low_pass(sound, curve(FILTERS[name], DURATION, BAR), resonance=0.85, block=256)
    if name in SHELVES:
        sound = shelf(sound, *SHELVES[name], high=True)
    return high_pass(sound, DESK[name].low_cut)


def ducking(score: Score) -> Sound:
    """How far the others step back, 0 to 1: at once under the kick, and back within three tenths of a second."""
    duck = np.zeros(DURATION)
    samples = round(0.3 * SAMPLE_RATE)
    time = clock(samples)
    shape = np.minimum(1.0, time / 0.003) * (0.5 + 0.5 * np.cos(np.pi * time / time[-1])) ** 0.8
    for event in score.of("kick"):
        part = slice(event.start, event.start + samples)
        duck[part] = np.maximum(duck[part], event.velocity * shape[: len(duck[part])])
    return duck
