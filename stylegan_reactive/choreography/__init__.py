# SPDX-License-Identifier: GPL-3.0-or-later
"""From a patch and the values of a frame to the latents and the noise of a network."""

from .choreographer import Choreographer, FrameInputs
from .patch import (
    ChromaLatent,
    EvolvingNoise,
    FixedNoise,
    LatentLayer,
    LoopLatent,
    NoiseLayer,
    OwnNoise,
    Patch,
    Signal,
    StaticLatent,
)
from .presets import load_preset, preset_names

__all__ = [
    "Choreographer",
    "ChromaLatent",
    "EvolvingNoise",
    "FixedNoise",
    "FrameInputs",
    "LatentLayer",
    "LoopLatent",
    "NoiseLayer",
    "OwnNoise",
    "Patch",
    "Signal",
    "StaticLatent",
    "load_preset",
    "preset_names",
]
