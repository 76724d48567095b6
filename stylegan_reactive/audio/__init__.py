# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio room: from a song to envelopes on video frames. Knows neither Blender nor torch."""

from .analysis import Analysis, Progress, Section, analyse, exact_fps
from .envelope_steps import STEPS, Step
from .feature import DEFAULT_FEATURES, KINDS, Feature
from .recipe import DEFAULT_RECIPES, Recipe, bake, features_of
from .rhythm import Rhythm, RhythmSettings, rhythm_from_taps

__all__ = [
    "DEFAULT_FEATURES",
    "DEFAULT_RECIPES",
    "KINDS",
    "STEPS",
    "Analysis",
    "Feature",
    "Progress",
    "Recipe",
    "Rhythm",
    "RhythmSettings",
    "Section",
    "Step",
    "analyse",
    "bake",
    "exact_fps",
    "features_of",
    "rhythm_from_taps",
]
