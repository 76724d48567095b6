# SPDX-License-Identifier: GPL-3.0-or-later
"""The score of the built-in song: which instrument plays what, and when, with no sound in it yet.

The piece is in A flat major, 135 beats a minute, 4/4. At 44 100 Hz a beat is then exactly 19 600 samples, so that every
grid line falls on a sample. Kicks and basses keep to the grid; hats, ghost notes and keys come a few milliseconds
late and never quite as loud as the last time, as hands do, drawn once and for all from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from song_material import (
    ARPEGGIO,
    ARPEGGIO_WALK,
    BASS_DROP,
    BASS_VERSE,
    BELLS,
    BUILDS,
    CHANGES,
    DROPS,
    EFFECTS,
    HARMONY,
    HATS_CLOSED,
    HATS_OPEN,
    KEYS_BUILD,
    KEYS_DROP,
    KEYS_SECOND_DROP,
    KEYS_VERSE,
    KICK,
    LAST_BAR,
    LEAD,
    LEAD_SECOND,
    SECOND_DROP,
    SECTIONS,
    SNARE,
    VERSE,
    Line,
)

SAMPLE_RATE = 44_100
TEMPO = 135.0
BEAT = 19_600
SIXTEENTH = BEAT // 4
BAR = 4 * BEAT
SWING = 0.565  # share of an eighth that its first sixteenth takes; 0.5 is straight
DURATION = 39 * SAMPLE_RATE
LAST_BEAT = LAST_BAR * 4
GHOST = 0.5  # velocity below which a snare is a ghost note, played by the way
STRUM = 80  # samples from one key of a chord to the next


@dataclass(frozen=True)
class Event:
    """One sound: when it starts and how long its key is held, in samples; `midi` is None for drums and effects."""

    instrument: str
    start: int
    length: int
    velocity: float
    midi: int | None = None
    articulation: str = ""


@dataclass(frozen=True)
class Chord:
    """A harmony that holds from `start` to `end` (samples), with the bass note and the voices above it."""

    start: int
    end: int
    name: str
    root: int
    voices: tuple[int, ...]


@dataclass(frozen=True)
class Section:
    """A named part of the form, in samples."""

    start: int
    end: int
    name: str


@dataclass(frozen=True)
class Score:
    """Everything that is to be played."""

    events: tuple[Event, ...]
    chords: tuple[Chord, ...]
    sections: tuple[Section, ...]

    def of(self, instrument: str, *articulations: str) -> tuple[Event, ...]:
        """Events of one instrument, in order of time; of some articulations, or of all."""
        return tuple(
            event
            for event in self.events
            if event.instrument == instrument and (not articulations or event.articulation in articulations)
        )


def grid(bar: int, sixteenth: int = 0) -> int:
    """Sample at which a sixteenth of a bar sounds, swing included: every second sixteenth comes a little late."""
    late = round((2.0 * SWING - 1.0) * SIXTEENTH) if sixteenth % 2 else 0
    return bar * BAR + sixteenth * SIXTEENTH + late


def chords() -> tuple[Chord, ...]:
    """All harmonies, with the time that each of them holds."""
    starts = [bar * BAR + sixteenth * SIXTEENTH for bar, sixteenth, _ in CHANGES]
    ends = [*starts[1:], DURATION]
    return tuple(
        Chord(start, end, name, *HARMONY[name]) for start, end, (_, _, name) in zip(starts, ends, CHANGES, strict=True)
    )


def sections() -> tuple[Section, ...]:
    """The form of the piece."""
    starts = [bar * BAR for bar, _ in SECTIONS]
    ends = [*starts[1:], DURATION]
    return tuple(Section(start, end, name) for start, end, (_, name) in zip(starts, ends, SECTIONS, strict=True))


def compose() -> Score:
    """Write out every event of the song.

    Returns
    -------
    Score
        Events in order of time, chords and sections; all times in samples at `SAMPLE_RATE`.
    """
    harmony = chords()
    events = [
        *_drums("kick", "", KICK),
        *_snares(),
        *_hats(),
        *_effects(),
        *_bass(harmony),
        *_pads(harmony),
        *_keys(harmony),
        *_arpeggio(harmony),
        *_lead(),
    ]
    events.sort(key=lambda event: (event.start, event.instrument, event.articulation, event.midi or 0))
    return Score(tuple(events), harmony, sections())


def chord_at(harmony: tuple[Chord, ...], sample: int) -> Chord:
    """The chord that sounds at a sample of the grid."""
    return next(chord for chord in harmony if chord.start <= sample < chord.end)


def by_hand(events: Sequence[Event], seed: int, late: float, loudness: float = 0.06) -> list[Event]:
    """The same events, each up to `late` seconds later and up to a share `loudness` louder or softer."""
    chance = np.random.Generator(np.random.PCG64(seed)).random((len(events), 2))
    return [
        replace(
            event,
            start=event.start + round(late * SAMPLE_RATE * by),
            velocity=min(1.0, event.velocity * (1.0 + loudness * (2.0 * force - 1.0))),
        )
        for event, (by, force) in zip(events, chance, strict=True)
    ]


def _drums(instrument: str, articulation: str, bars: dict[int, str]) -> list[Event]:
    return [
        Event(instrument, grid(bar, position), SIXTEENTH, int(character) / 9.0, None, articulation)
        for bar, pattern in bars.items()
        for position, character in enumerate(pattern)
        if character != "."
    ]


def _snares() -> list[Event]:
    """Backbeats on the grid; ghost notes a little behind it."""
    hits = _drums("snare", "", SNARE)
    ghosts = by_hand([hit for hit in hits if hit.velocity < GHOST], 21, 0.004)
    return sorted([*(hit for hit in hits if hit.velocity >= GHOST), *ghosts], key=lambda event: event.start)


def _hats() -> list[Event]:
    """Closed and open hats, on time where a kick is; an open one rings until the next hat shuts it."""
    hits = [*_drums("hats", "closed", HATS_CLOSED), *_drums("hats", "open", HATS_OPEN)]
    hits.sort(key=lambda event: event.start)
    kicks = {event.start for event in _drums("kick", "", KICK)}
    played = by_hand(hits, 22, 0.004, 0.1)
    hits = [replace(by, start=hit.start) if hit.start in kicks else by for hit, by in zip(hits, played, strict=True)]
    return [
        replace(hit, length=min(4 * SIXTEENTH, after.start - hit.start)) if after else hit
        for hit, after in zip(hits, [*hits[1:], None], strict=True)
    ]


def _effects() -> list[Event]:
    return [
        Event("effects", grid(bar, position), length * SIXTEENTH, velocity, None, which)
        for bar, position, length, velocity, which in EFFECTS
    ]


def _bass(harmony: tuple[Chord, ...]) -> list[Event]:
    """A low note under each chord, and plucks above it where the drums play."""
    events = []
    for chord in harmony:
        bar = chord.start // BAR
        loud = 1.0 if bar in DROPS else 0.75 if 2 <= bar < 6 else 0.6 if bar == LAST_BAR else 0.0
        if loud:
            end = min(chord.end, grid(LAST_BAR, 2))
            held = end - chord.start - SIXTEENTH // 3
            events.append(Event("bass", chord.start, held, loud, chord.root, "sub"))
    for bar in BUILDS:  # eighths that grow through two bars, with no low end yet
        for sixteenth in range(0, 14 if bar + 1 in DROPS else 16, 2):
            root = chord_at(harmony, grid(bar, sixteenth)).root
            velocity = 0.35 + 0.016 * (sixteenth + (16 if bar + 1 in DROPS else 0))
            events.append(Event("bass", grid(bar, sixteenth), round(1.6 * SIXTEENTH), velocity, root + 12, "pluck"))
    for bars, figure in (((2, 3, 4, 5), BASS_VERSE), (DROPS, BASS_DROP)):
        for bar in bars:
            for position, length, above, velocity in figure:
                root = chord_at(harmony, bar * BAR + position * SIXTEENTH).root
                held = round((length - 0.25) * SIXTEENTH)
                events.append(Event("bass", grid(bar, position), held, velocity, root + above, "pluck"))
    return events


def _pads(harmony: tuple[Chord, ...]) -> list[Event]:
    """A pad that holds every chord."""
    return [
        Event("chords", chord.start, min(chord.end, grid(LAST_BAR, 14)) - chord.start, 0.8, midi, "pad")
        for chord in harmony
        for midi in chord.voices
    ]


def _keys(harmony: tuple[Chord, ...]) -> list[Event]:
    """Keys that mark each change in the quiet parts, answer in the verse and stab in the drops."""
    events = []
    for chord in harmony:
        bar = chord.start // BAR
        if bar not in (*BUILDS, *DROPS):
            loud = 0.8 if bar == LAST_BAR else 0.5
            events += _strum(chord, chord.start, 8 * SIXTEENTH, loud)
        if 2 <= bar < 6:
            for position, length, velocity in KEYS_VERSE:
                events += _strum(chord, grid(bar, position), length * SIXTEENTH, velocity)
    for bar in BUILDS:
        second = bar + 1 in DROPS
        for position, length in KEYS_BUILD[second]:
            chord = chord_at(harmony, bar * BAR + position * SIXTEENTH)
            velocity = 0.45 + 0.011 * (position + 16 * second)
            events += _strum(chord, grid(bar, position), length * SIXTEENTH, velocity)
    for bar in DROPS:
        for position, length, velocity in KEYS_DROP if bar < SECOND_DROP else KEYS_SECOND_DROP:
            if bar == DROPS[-1] and position >= 6:  # the two chords of this bar are played straight, half a bar each
                continue
            chord = chord_at(harmony, bar * BAR + position * SIXTEENTH)
            events += _strum(chord, grid(bar, position), length * SIXTEENTH, velocity)
    turn = harmony[-2]
    for position, length, velocity in ((8, 3, 0.95), (11, 4, 0.85)):
        events += _strum(turn, grid(DROPS[-1], position), length * SIXTEENTH, velocity)
    return events


def _strum(chord: Chord, start: int, length: int, velocity: float) -> list[Event]:
    """A chord of the keys, its notes from the lowest up within ten milliseconds."""
    return [
        Event("chords", start + STRUM * number, length, velocity, midi, "keys")
        for number, midi in enumerate(chord.voices)
    ]


def _arpeggio(harmony: tuple[Chord, ...]) -> list[Event]:
    events = []
    for bar, pattern in ARPEGGIO.items():
        for position, character in enumerate(pattern):
            if character == ".":
                continue
            voices = chord_at(harmony, bar * BAR + position * SIXTEENTH).voices
            step = position if pattern[1] != "." else position // 2
            midi = voices[ARPEGGIO_WALK[step % len(ARPEGGIO_WALK)] % len(voices)] + 12
            events.append(Event("arpeggio", grid(bar, position), SIXTEENTH, int(character) / 9.0, midi))
    return by_hand(events, 23, 0.002)


def _lead() -> list[Event]:
    events = [*_sung(VERSE, "soft", 0.25), *_sung(LEAD, "saw", 0.5), *_sung(BELLS, "bell", 0.0)]
    for bar, voices in LEAD_SECOND.items():
        below = tuple((*note[:2], midi, 0.6 * note[3]) for note, midi in zip(LEAD[bar], voices, strict=True))
        events += _sung({bar: below}, "second", 0.5)
    return events


def _sung(bars: dict[int, Line], articulation: str, gap: float) -> list[Event]:
    """A melody whose notes end so many sixteenths before they are written to."""
    return [
        Event("lead", grid(bar, position), round((length - gap) * SIXTEENTH), velocity, midi, articulation)
        for bar, line in bars.items()
        for position, length, midi, velocity in line
    ]
