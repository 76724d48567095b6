# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio room: from a song to envelopes on video frames. Knows neither Blender nor torch."""

from .analysis import Analysis, Progress, SectionSettings, analyse, exact_fps
from .envelope_steps import STEPS, Step
from .feature import DEFAULT_FEATURES, KINDS, Feature
from .recipe import DEFAULT_RECIPES, Recipe, bake, features_of
from .rhythm import Rhythm, RhythmSettings, rhythm_from_taps
from .sections import Section, section_envelopes, sections_from_markers
from .stems import find_stems

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
    "SectionSettings",
    "Step",
    "analyse",
    "bake",
    "exact_fps",
    "features_of",
    "find_stems",
    "rhythm_from_taps",
    "section_envelopes",
    "sections_from_markers",
]
