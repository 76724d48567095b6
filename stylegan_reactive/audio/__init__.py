# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio room: from a song to envelopes on video frames. Knows neither Blender nor torch."""

from .analysis import Analysis, Progress, analyse, exact_fps
from .recipe import DEFAULT_RECIPES, Recipe, bake

__all__ = ["DEFAULT_RECIPES", "Analysis", "Progress", "Recipe", "analyse", "bake", "exact_fps"]
