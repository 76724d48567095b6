# SPDX-License-Identifier: GPL-3.0-or-later
"""Envelopes as the Scene stores them: curves made from the song, and how each is made."""

from collections.abc import Mapping
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty

from .keying import FIXED

PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

FEATURES = (
    ("onset", "Onset", "Every attack in the song, whatever the instrument"),
    ("kick", "Kick", "Attacks in the bass: the bass drum"),
    ("snare", "Snare", "Attacks in the middle: snare and clap"),
    ("hats", "Hats", "Attacks in the treble: hi-hats and shakers"),
    ("rms", "Loudness", "How loud the song is: rises and falls with its sections"),
    *(
        (f"chroma.{i}", f"Pitch {name}", f"How much of the sound is the note {name}, in any octave")
        for i, name in enumerate(PITCHES)
    ),
    ("bars", "Bars", "The position in the song, counted in bars: the clock of the loops"),
    ("seconds", "Seconds", "The position in the song, counted in seconds: the clock of the noise"),
)
CLOCKS = ("bars", "seconds")
RECIPE_KEYS = ("feature", "smooth", "future", "renormalise", "power", "gain", "release")


class SGR_Envelope(bpy.types.PropertyGroup):
    """One curve made from the song, and how it is made."""

    feature: EnumProperty(
        name="Feature", items=FEATURES, default="onset", options=FIXED, description="What to listen to"
    )
    smooth: FloatProperty(
        name="Smooth",
        default=0.0,
        min=0.0,
        soft_max=5.0,
        max=600.0,
        subtype="TIME_ABSOLUTE",
        unit="TIME_ABSOLUTE",
        options=FIXED,
        description="Blur over time, in seconds, looking back only, so nothing moves before it sounds",
    )
    future: FloatProperty(
        name="Look Ahead",
        default=0.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        options=FIXED,
        description="Let Smooth also look into the future. Above 0 the picture may move before the sound",
    )
    renormalise: BoolProperty(
        name="Stretch", default=False, options=FIXED, description="Stretch what Smooth has flattened to 0…1 again"
    )
    release: FloatProperty(
        name="Release",
        default=0.0,
        min=0.0,
        soft_max=5.0,
        max=600.0,
        subtype="TIME_ABSOLUTE",
        unit="TIME_ABSOLUTE",
        options=FIXED,
        description="How long the curve takes to fall after each peak, in seconds",
    )
    power: FloatProperty(
        name="Power",
        default=1.0,
        min=0.1,
        soft_max=8.0,
        max=100.0,
        options=FIXED,
        description="Above 1 weak hits count less, below 1 they count more",
    )
    gain: FloatProperty(
        name="Gain",
        default=1.0,
        min=0.0,
        soft_max=4.0,
        options=FIXED,
        description="Multiplies the curve before it is limited to 0…1",
    )

    @property
    def is_clock(self) -> bool:
        """Whether the curve counts on, instead of staying between 0 and 1."""
        return self.feature in CLOCKS

    def recipe(self) -> dict[str, str | float | bool]:
        """The envelope as the audio room wants it."""
        return {"name": self.name, **{key: getattr(self, key) for key in RECIPE_KEYS}}

    def set_recipe(self, recipe: Mapping[str, Any]) -> None:
        """Take over a recipe of the audio room."""
        self.name = recipe["name"]
        for key in RECIPE_KEYS:
            if key in recipe:
                setattr(self, key, recipe[key])


CLASSES = (SGR_Envelope,)
