# SPDX-License-Identifier: GPL-3.0-or-later
"""What the built-in song is made of: its form, harmonies, drum patterns and melodies, as they would stand on paper.

Twenty-two bars: introduction (2), verse (4), build (2), drop (4), break (2), build (2), drop (4) and a close (2). The
melody grows from one rhythm, 3 + 3 + 6 + 2 + 2 sixteenths: bells hint at it, the verse sings it low and slow, the drops
play it out. Verse and build turn around F minor; the drops go IV - V - iii - vi; the tonic is kept back until the end,
which comes to it from the minor subdominant.

Drum patterns are strings of sixteen characters, one per sixteenth: a digit from 1 to 9 is a hit with that velocity.
Melodies are (sixteenth, length in sixteenths, MIDI note, velocity).
"""

from __future__ import annotations

Line = tuple[tuple[int, int, int, float], ...]

LAST_BAR = 20  # the close falls on the first beat of this bar
BUILDS = (6, 7, 14, 15)
DROPS = (8, 9, 10, 11, 16, 17, 18, 19)
SECOND_DROP = 16

SECTIONS: tuple[tuple[int, str], ...] = (
    (0, "intro"),
    (2, "verse"),
    (6, "build"),
    (8, "drop"),
    (12, "break"),
    (14, "build"),
    (16, "drop"),
    (20, "outro"),
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
    "Bbm7": (34, (56, 58, 61, 65)),
    "C7": (36, (55, 58, 60, 64)),
    "Dbm6": (37, (56, 58, 61, 64)),
    "Abmaj9": (32, (44, 55, 58, 60, 63, 67)),
}

# (bar, sixteenth, name); each holds until the next. The changes come twice as fast in the build.
CHANGES: tuple[tuple[int, int, str], ...] = (
    (0, 0, "Dbmaj9"),
    (1, 0, "Eb(add9)"),
    (2, 0, "Fm9"),
    (3, 0, "Dbmaj9"),
    (4, 0, "Bbm9"),
    (5, 0, "Eb9sus4"),
    (6, 0, "Fm7"),
    (6, 8, "Bbm7"),
    (7, 0, "Cm7"),
    (7, 8, "Eb9sus4"),
    (8, 0, "Dbmaj9"),
    (9, 0, "Eb(add9)"),
    (10, 0, "Cm7"),
    (11, 0, "Fm7"),
    (12, 0, "Dbmaj9"),
    (13, 0, "Eb(add9)"),
    (14, 0, "Fm7"),
    (14, 8, "Bbm7"),
    (15, 0, "Cm7"),
    (15, 8, "Eb9sus4"),
    (16, 0, "Dbmaj9"),
    (17, 0, "Eb(add9)"),
    (18, 0, "C7"),
    (19, 0, "Fm7"),
    (19, 8, "Dbm6"),
    (20, 0, "Abmaj9"),
)

# The verse steps over a broken beat; the build doubles its kicks and takes them away; the drops have four to the bar.
KICK: dict[int, str] = {
    2: "8.........7.....",
    3: "8.....6...7.....",
    4: "8.........7.....",
    5: "8.....6...7.....",
    6: "6...6...6...6...",
    7: "6...7...........",
    8: "9...9...9...9...",
    9: "9...9...9...9.7.",
    10: "9...9...9...9...",
    11: "9...9...9.......",
    14: "6...6...6...6...",
    15: "6...7...........",
    16: "9...9...9...9...",
    17: "9...9...9...9.7.",
    18: "9...9...9...9...",
    19: "9...9...9.......",
    20: "7...............",
}

SNARE: dict[int, str] = {
    2: "....7.......7...",
    3: "....7..3....7...",
    4: "....7.......7..3",
    5: "....7......4.567",
    6: "4...4...5...5...",
    7: "5.5.5.6.6.6.677.",
    8: "....9.......9...",
    9: "....9.......9..4",
    10: "....9..4....9...",
    11: "....9.......9.67",
    14: "4...4...5...5...",
    15: "5.5.5.6.6.6.677.",
    16: "....9.......9...",
    17: "....9.......9..4",
    18: "....9..4....9...",
    19: "....9.......5677",
}

# Hats keep off the snare's beats, so that each has its place.
HATS_CLOSED: dict[int, str] = {
    2: "..7...6...7...6.",
    3: "..7...6...7...65",
    4: "..7...6...7...6.",
    5: "..7...6...7.....",
    8: "...7...7...7...7",
    9: "...7...7...7....",
    10: "...7...7...7...7",
    11: "...7...7...7....",
    16: ".5.7.5.7.5.7.5.7",
    17: ".5.7.5.7.5.7.5..",
    18: ".5.7.5.7.5.7.5.7",
    19: ".5.7.5.7.5......",
}

HATS_OPEN: dict[int, str] = {
    8: "..8...8...8...8.",
    9: "..8...8...8...8.",
    10: "..8...8...8...8.",
    11: "..8...8...8.....",
    16: "..8...8...8...8.",
    17: "..8...8...8...8.",
    18: "..8...8...8...8.",
    19: "..8...8.........",
}

# The verse's song: low, on a soft voice, with the rhythm of the motif and room to breathe.
VERSE: dict[int, Line] = {
    2: ((0, 3, 67, 0.8), (3, 3, 70, 0.7), (6, 7, 72, 0.9)),
    3: ((0, 3, 68, 0.8), (3, 3, 70, 0.7), (6, 5, 72, 0.9), (12, 2, 70, 0.6), (14, 2, 68, 0.65)),
    4: ((0, 3, 72, 0.8), (3, 3, 75, 0.75), (6, 7, 77, 1.0)),
    5: ((0, 3, 75, 0.85), (3, 3, 73, 0.75), (6, 6, 70, 0.85)),
}

# The hook: a bar that climbs and a bar that answers, twice; the second drop reaches for the high C.
LEAD: dict[int, Line] = {
    8: ((0, 3, 75, 0.9), (3, 3, 77, 0.8), (6, 6, 80, 1.0), (12, 2, 77, 0.75), (14, 2, 75, 0.8)),
    9: ((0, 3, 79, 0.95), (3, 3, 77, 0.8), (6, 6, 75, 0.9), (12, 2, 70, 0.7), (14, 2, 72, 0.75)),
    10: ((0, 3, 75, 0.9), (3, 3, 77, 0.8), (6, 6, 79, 1.0), (12, 2, 82, 0.85), (14, 2, 79, 0.8)),
    11: ((0, 3, 80, 1.0), (3, 3, 79, 0.85), (6, 6, 77, 0.9)),
    16: ((0, 3, 75, 0.9), (3, 3, 77, 0.85), (6, 4, 80, 1.0), (10, 2, 82, 0.85), (12, 4, 84, 1.0)),
    17: ((0, 3, 82, 1.0), (3, 3, 79, 0.85), (6, 6, 75, 0.9), (12, 2, 77, 0.8), (14, 2, 79, 0.85)),
    18: ((0, 3, 79, 0.9), (3, 3, 82, 0.9), (6, 6, 84, 1.0), (12, 2, 82, 0.85), (14, 2, 79, 0.8)),
    19: ((0, 3, 80, 1.0), (3, 3, 79, 0.85), (6, 2, 77, 0.85), (8, 3, 80, 0.9), (11, 5, 82, 1.0)),
    20: ((0, 4, 84, 0.6),),
}

# A second voice under the lead, in the second drop only: a third or a sixth below.
LEAD_SECOND: dict[int, tuple[int, ...]] = {
    16: (72, 72, 77, 77, 80),
    17: (79, 75, 70, 70, 75),
    18: (76, 79, 79, 79, 76),
    19: (77, 75, 72, 76, 73),
    20: (75,),
}

# The motif as bells: foreshadowed at the start, stretched in the break, left ringing at the end.
BELLS: dict[int, Line] = {
    0: ((0, 3, 75, 0.75), (3, 3, 77, 0.65), (6, 8, 80, 0.8)),
    1: ((0, 3, 79, 0.75), (3, 3, 77, 0.65), (6, 8, 75, 0.75)),
    12: ((0, 3, 75, 0.75), (3, 3, 77, 0.65), (6, 6, 80, 0.8), (12, 4, 84, 0.7)),
    13: ((0, 3, 82, 0.75), (3, 3, 79, 0.65), (6, 8, 75, 0.75)),
    20: ((0, 4, 84, 0.7), (4, 4, 87, 0.65), (8, 4, 84, 0.55), (12, 4, 79, 0.5)),
    21: ((0, 8, 75, 0.4),),
}

# Plucks of the bass over its long low notes: (sixteenth, length, semitones above the root, velocity).
BASS_VERSE: Line = ((0, 5, 0, 0.75), (6, 3, 0, 0.55), (10, 3, 0, 0.7), (14, 2, 7, 0.5))
BASS_DROP: Line = (
    (0, 3, 0, 0.95),
    (3, 2, 0, 0.75),
    (6, 3, 0, 0.9),
    (10, 2, 12, 0.75),
    (12, 2, 0, 0.8),
    (16, 2, 7, 0.75),
)

# Stabs of the keys: (sixteenth, length, velocity); in the two bars of a build each is louder than the last.
KEYS_VERSE = ((2, 2, 0.5), (10, 2, 0.45))
KEYS_BUILD = ((0, 2), (4, 2), (8, 2), (12, 2)), ((0, 2), (2, 2), (4, 2), (6, 2), (8, 2), (10, 2), (12, 2))
KEYS_DROP = ((0, 2, 0.9), (3, 2, 0.7), (6, 3, 0.85), (10, 2, 0.65))
KEYS_SECOND_DROP = ((0, 2, 0.95), (3, 2, 0.75), (6, 3, 0.9), (10, 1, 0.7), (12, 3, 0.8))

# Order in which the arpeggio walks through the chord's voices, an octave up.
ARPEGGIO_WALK = (0, 2, 1, 3, 2, 0, 3, 1)
ARPEGGIO: dict[int, str] = {
    0: "........3.2.3.2.",
    1: "....3.2.3.2.3.3.",
    3: "........4.3.4.3.",
    5: "........4.3.4...",
    6: "4.3.4.3.5.3.5.3.",
    7: "53535353646464..",
    8: "6.3.6.4.6.3.6.4.",
    9: "6.3.6.4.6.3.6.4.",
    10: "6.3.6.4.6.3.6.4.",
    11: "6.3.6.4.6.3.....",
    12: "........3.2.3.2.",
    13: "....3.2.3.2.3.3.",
    14: "4.3.4.3.5.3.5.3.",
    15: "53535353646464..",
    16: "6363636363636363",
    17: "6363636363636363",
    18: "6363636363636363",
    19: "636363636363....",
}

# Sounds with no pitch of their own: (bar, sixteenth, length in sixteenths, velocity, which).
EFFECTS: tuple[tuple[int, int, int, float, str], ...] = (
    (0, 0, 40, 0.8, "rain"),
    (1, 0, 16, 0.6, "reverse"),
    (6, 0, 30, 1.0, "riser"),
    (8, 0, 32, 1.0, "crash"),
    (8, 0, 16, 1.0, "impact"),
    (12, 0, 32, 0.6, "crash"),
    (12, 0, 30, 0.8, "rain"),
    (13, 0, 16, 0.5, "reverse"),
    (14, 0, 30, 1.0, "riser"),
    (16, 0, 32, 1.0, "crash"),
    (16, 0, 16, 1.0, "impact"),
    (20, 0, 32, 0.4, "crash"),
    (20, 4, 26, 0.8, "rain"),
)
