# SPDX-License-Identifier: GPL-3.0-or-later
"""The score of the built-in song: which instrument plays what, and when, with no sound in it yet.

The piece is in A flat major, 126 beats a minute, 4/4. At 44 100 Hz a beat is then exactly 21 000 samples, so that every
grid line falls on a sample. Two bars of introduction, two of build, four of drop, two of break, four of chorus and one
closing chord. The tonic is kept back until that last chord.

Drum patterns are strings of sixteen characters, one per sixteenth: a digit from 1 to 9 is a hit with that velocity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SAMPLE_RATE = 44_100
TEMPO = 126.0
BEAT = 21_000
SIXTEENTH = BEAT // 4
BAR = 4 * BEAT
SWING = 0.565  # share of an eighth that its first sixteenth takes; 0.5 is straight
LAST_BAR = 14  # the closing chord falls on the first beat of this bar
DURATION = 63 * BEAT  # 30 s
LAST_BEAT = LAST_BAR * 4


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

    def of(self, instrument: str, articulation: str | None = None) -> tuple[Event, ...]:
        """Events of one instrument, in order of time."""
        return tuple(
            event
            for event in self.events
            if event.instrument == instrument and articulation in (None, event.articulation)
        )


# name: (bass note, voices). Neighbouring chords keep common tones and move the other voices by a step.
HARMONY: dict[str, tuple[int, tuple[int, ...]]] = {
    "Dbmaj9": (37, (53, 56, 60, 63)),
    "Eb(add9)": (39, (55, 58, 63, 65)),
    "Cm7": (36, (55, 58, 60, 63)),
    "Fm9": (29, (56, 60, 63, 67)),
    "Fm7": (29, (56, 60, 63, 65)),
    "Eb9sus4": (39, (56, 58, 61, 65)),
    "Bbm9": (34, (56, 61, 65, 72)),
    "C7": (36, (55, 58, 60, 64)),
    "Dbm6": (37, (56, 58, 61, 64)),
    "Abmaj9": (32, (55, 58, 60, 63, 67)),
}

# (bar, sixteenth, name); each holds until the next.
CHANGES: tuple[tuple[int, int, str], ...] = (
    (0, 0, "Dbmaj9"),
    (1, 0, "Eb(add9)"),
    (2, 0, "Cm7"),
    (3, 0, "Fm9"),
    (3, 8, "Eb9sus4"),
    (4, 0, "Dbmaj9"),
    (5, 0, "Eb(add9)"),
    (6, 0, "Cm7"),
    (7, 0, "Fm7"),
    (8, 0, "Bbm9"),
    (9, 0, "Eb9sus4"),
    (10, 0, "Dbmaj9"),
    (11, 0, "Eb(add9)"),
    (12, 0, "C7"),
    (13, 0, "Fm7"),
    (13, 8, "Dbm6"),
    (14, 0, "Abmaj9"),
)

SECTIONS: tuple[tuple[int, str], ...] = (
    (0, "intro"),
    (2, "build"),
    (4, "drop"),
    (8, "break"),
    (10, "chorus"),
    (14, "outro"),
)

KICK: dict[int, str] = {
    2: "4...4...5...5...",
    3: "5...6...6.......",
    4: "9.....8...8.....",
    5: "9..6......8.....",
    6: "9.....8...8.....",
    7: "9..6......8.....",
    10: "9...9...9...9...",
    11: "9...9...9...9.6.",
    12: "9...9...9...9...",
    13: "9...9...9...8...",
    14: "9...............",
}

SNARE: dict[int, str] = {
    2: "....4.......5...",
    3: "2.2.2.3.334455..",
    4: "....9.......9...",
    5: "....9..2....9..2",
    6: "....9.......9...",
    7: "....9..2....8668",
    9: "............3457",
    10: "....9.......9...",
    11: "....9.......9..3",
    12: "....9..2....9...",
    13: "....9...6..67778",
}

HATS_CLOSED: dict[int, str] = {
    2: "..4...4...4...4.",
    3: "3.5.3.5.3.5.3...",
    4: "6243624362436.43",
    5: "62436243624362..",
    6: "6243624362436.43",
    7: "6243624362436...",
    9: "..2...2...3...3.",
    10: "63.363.363.363.3",
    11: "63.363.363.363.3",
    12: "63.363.363.363.3",
    13: "63.363.36.......",
}

HATS_OPEN: dict[int, str] = {
    5: "..............6.",
    7: "..............6.",
    10: "..6...6...6...6.",
    11: "..6...6...6...6.",
    12: "..6...6...6...6.",
    13: "..6...6.........",
}

# Lead: bar -> (sixteenth, length in sixteenths, MIDI note, velocity). The motif is the rhythm 3 + 3 + 6 + 2 + 2,
# rising in one bar and answered in the next.
LEAD: dict[int, tuple[tuple[int, int, int, float], ...]] = {
    4: ((0, 3, 75, 0.9), (3, 3, 77, 0.8), (6, 6, 80, 1.0), (12, 2, 77, 0.75), (14, 2, 75, 0.8)),
    5: ((0, 3, 79, 0.95), (3, 3, 77, 0.8), (6, 6, 75, 0.9), (12, 2, 70, 0.7), (14, 2, 72, 0.75)),
    6: ((0, 3, 75, 0.9), (3, 3, 77, 0.8), (6, 6, 79, 1.0), (12, 2, 82, 0.85), (14, 2, 79, 0.8)),
    7: ((0, 3, 80, 1.0), (3, 3, 79, 0.85), (6, 6, 77, 0.9), (12, 2, 72, 0.7), (14, 2, 75, 0.75)),
    10: ((0, 3, 75, 0.9), (3, 3, 77, 0.85), (6, 4, 80, 1.0), (10, 2, 82, 0.85), (12, 4, 84, 1.0)),
    11: ((0, 3, 82, 1.0), (3, 3, 79, 0.85), (6, 6, 75, 0.9), (12, 2, 77, 0.8), (14, 2, 79, 0.85)),
    12: ((0, 3, 79, 0.9), (3, 3, 82, 0.9), (6, 6, 84, 1.0), (12, 2, 82, 0.85), (14, 2, 79, 0.8)),
    13: ((0, 3, 80, 1.0), (3, 3, 79, 0.85), (6, 2, 77, 0.85), (8, 3, 80, 0.9), (11, 5, 82, 1.0)),
    14: ((0, 10, 84, 0.9),),
}

# A second voice under the lead, in the chorus only: a third or a sixth below.
LEAD_SECOND: dict[int, tuple[int, ...]] = {
    10: (72, 72, 77, 77, 80),
    11: (79, 75, 70, 70, 75),
    12: (76, 79, 79, 79, 76),
    13: (77, 75, 72, 76, 73),
    14: (75,),
}

# The motif as bells: foreshadowed before the drop, stretched in the break, left ringing at the end.
BELLS: dict[int, tuple[tuple[int, int, int, float], ...]] = {
    0: ((0, 3, 75, 0.75), (3, 3, 77, 0.65), (6, 8, 80, 0.8)),
    1: ((0, 3, 79, 0.75), (3, 3, 77, 0.65), (6, 8, 75, 0.75)),
    2: ((0, 3, 75, 0.6), (3, 3, 77, 0.55), (6, 8, 79, 0.65)),
    3: ((0, 3, 79, 0.6), (3, 3, 77, 0.55), (6, 2, 75, 0.55), (8, 6, 82, 0.7)),
    8: ((0, 4, 77, 0.75), (4, 4, 80, 0.65), (8, 8, 84, 0.8)),
    9: ((0, 4, 82, 0.8), (4, 4, 80, 0.65), (8, 4, 77, 0.7), (12, 2, 80, 0.7), (14, 2, 82, 0.8)),
    14: ((0, 4, 87, 0.6), (4, 4, 84, 0.5), (8, 4, 79, 0.42), (12, 8, 75, 0.36)),
}

# Bass in the loud parts: (sixteenth, length, semitones above the root, velocity).
BASS_FIGURE: tuple[tuple[int, int, int, float], ...] = (
    (0, 3, 0, 1.0),
    (3, 2, 0, 0.8),
    (6, 3, 0, 0.95),
    (10, 2, 12, 0.75),
    (12, 2, 0, 0.85),
    (14, 2, 7, 0.75),
)

KEYS_DROP = ((0, 2, 0.95), (3, 2, 0.75), (6, 3, 0.9), (10, 2, 0.7))
KEYS_CHORUS = ((0, 2, 1.0), (3, 2, 0.8), (6, 3, 0.95), (10, 1, 0.75), (12, 3, 0.85))

# Order in which the arpeggio walks through the chord's voices, an octave up.
ARPEGGIO_WALK = (0, 2, 1, 3, 2, 0, 3, 1)
ARPEGGIO: dict[int, str] = {
    0: "........3.2.3.2.",
    1: "........3.2.3.3.",
    2: "4.3.4.3.4.3.4.33",
    3: "53435343534354..",
    4: "4232423242324232",
    5: "4232423242324232",
    6: "4232423242324232",
    7: "42324232423242..",
    8: "..3...2...3...2.",
    9: "3.2.3.2.3.3.4.4.",
    10: "5243524352435243",
    11: "5243524352435243",
    12: "5243524352435243",
    13: "5243524352435...",
}


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
        *_drums("snare", "", SNARE),
        *_hats(),
        *_effects(),
        *_bass(harmony),
        *_chord_parts(harmony),
        *_arpeggio(harmony),
        *_lead(),
    ]
    events.sort(key=lambda event: (event.start, event.instrument, event.articulation, event.midi or 0))
    return Score(tuple(events), harmony, sections())


def chord_at(harmony: tuple[Chord, ...], sample: int) -> Chord:
    """The chord that sounds at a sample of the grid."""
    return next(chord for chord in harmony if chord.start <= sample < chord.end)


def _drums(instrument: str, articulation: str, bars: dict[int, str]) -> list[Event]:
    return [
        Event(instrument, grid(bar, position), SIXTEENTH, int(character) / 9.0, None, articulation)
        for bar, pattern in bars.items()
        for position, character in enumerate(pattern)
        if character != "."
    ]


def _hats() -> list[Event]:
    """Closed and open hats; an open one rings until the next hat shuts it."""
    hits = [*_drums("hats", "closed", HATS_CLOSED), *_drums("hats", "open", HATS_OPEN)]
    hits.sort(key=lambda event: event.start)
    return [
        replace(hit, length=min(4 * SIXTEENTH, after.start - hit.start)) if after else hit
        for hit, after in zip(hits, [*hits[1:], None], strict=True)
    ]


def _effects() -> list[Event]:
    last_eighth = 14 * SIXTEENTH
    return [
        Event("effects", grid(2), BAR + last_eighth, 1.0, None, "riser"),
        Event("effects", grid(9), last_eighth, 0.8, None, "riser"),
        Event("effects", grid(4), 2 * BAR, 1.0, None, "crash"),
        Event("effects", grid(8), 2 * BAR, 0.6, None, "crash"),
        Event("effects", grid(10), 2 * BAR, 1.0, None, "crash"),
        Event("effects", grid(14), 2 * BAR, 0.8, None, "crash"),
    ]


def _bass(harmony: tuple[Chord, ...]) -> list[Event]:
    events = [
        Event("bass", grid(1), 15 * SIXTEENTH, 0.45, 39),
        Event("bass", grid(8), 15 * SIXTEENTH, 0.6, 34),
        Event("bass", grid(9), 13 * SIXTEENTH, 0.6, 39),
        Event("bass", grid(14), 10 * SIXTEENTH, 1.0, 32),
    ]
    for position in range(0, 30, 2):  # eighths that grow through the build
        bar, sixteenth = 2 + position // 16, position % 16
        root = chord_at(harmony, grid(bar, sixteenth)).root
        events.append(Event("bass", grid(bar, sixteenth), round(1.6 * SIXTEENTH), 0.35 + 0.014 * position, root))
    for bar in (4, 5, 6, 7, 10, 11, 12, 13):
        for position, length, above, velocity in BASS_FIGURE:
            root = chord_at(harmony, bar * BAR + position * SIXTEENTH).root
            held = round((length - 0.25) * SIXTEENTH)
            events.append(Event("bass", grid(bar, position), held, velocity, root + above))
    return events


def _chord_parts(harmony: tuple[Chord, ...]) -> list[Event]:
    events = []
    for chord in harmony:  # a pad that holds, and keys that mark each change
        for midi in chord.voices:
            end = min(chord.end, grid(LAST_BAR, 14))
            events.append(Event("chords", chord.start, end - chord.start, 0.8, midi, "pad"))
        bar = chord.start // BAR
        if bar not in (4, 5, 6, 7, 10, 11, 12, 13):
            loud = 0.8 if bar == LAST_BAR else 0.55
            for midi in chord.voices:
                events.append(Event("chords", chord.start, 8 * SIXTEENTH, loud, midi, "keys"))
    for bar in (4, 5, 6, 7, 10, 11, 12, 13):
        for position, length, velocity in KEYS_DROP if bar < 8 else KEYS_CHORUS:
            start = grid(bar, position)
            if bar == 13 and position in (6, 10, 12):  # the two chords of this bar are played straight, half a bar each
                continue
            for midi in chord_at(harmony, bar * BAR + position * SIXTEENTH).voices:
                events.append(Event("chords", start, length * SIXTEENTH, velocity, midi, "keys"))
    for position, length, velocity in ((8, 3, 0.95), (11, 4, 0.85)):
        for midi in HARMONY["Dbm6"][1]:
            events.append(Event("chords", grid(13, position), length * SIXTEENTH, velocity, midi, "keys"))
    return events


def _arpeggio(harmony: tuple[Chord, ...]) -> list[Event]:
    events = []
    for bar, pattern in ARPEGGIO.items():
        for position, character in enumerate(pattern):
            if character == ".":
                continue
            voices = chord_at(harmony, bar * BAR + position * SIXTEENTH).voices
            step = position // 2 if "." in pattern[1:8:2] else position
            midi = voices[ARPEGGIO_WALK[step % len(ARPEGGIO_WALK)] % len(voices)] + 12
            events.append(Event("arpeggio", grid(bar, position), SIXTEENTH, int(character) / 9.0, midi))
    return events


def _lead() -> list[Event]:
    events = []
    for bar, line in LEAD.items():
        for index, (position, length, midi, velocity) in enumerate(line):
            note = Event("lead", grid(bar, position), round((length - 0.5) * SIXTEENTH), velocity, midi, "saw")
            events.append(note)
            if bar in LEAD_SECOND:
                second = LEAD_SECOND[bar][index]
                events.append(replace(note, midi=second, velocity=0.6 * velocity, articulation="second"))
    for bar, line in BELLS.items():
        for position, length, midi, velocity in line:
            events.append(Event("lead", grid(bar, position), length * SIXTEENTH, velocity, midi, "bell"))
    return events
