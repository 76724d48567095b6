# SPDX-License-Identifier: GPL-3.0-or-later
"""From a patch and the values of a frame to the latents, the noise, the bends and the rewrites of a network."""

from .choreographer import Choreographer, FrameInputs
from .patch import (
    BendChannels,
    BendLayer,
    FileRewrite,
    LatentLayer,
    NetworkRewrite,
    NoiseLayer,
    Patch,
    RewriteLayer,
    SeededRewrite,
)
from .presets import load_preset, preset_descriptions, preset_names
from .seeds import FileLatent
from .signals import Signal
from .sources import (
    ChromaLatent,
    DirectionLatent,
    EvolvingNoise,
    FixedNoise,
    GradientNoise,
    LoopLatent,
    LoopNoise,
    Mask,
    MaskImage,
    OwnNoise,
    StaticLatent,
)

__all__ = [
    "BendChannels",
    "BendLayer",
    "Choreographer",
    "ChromaLatent",
    "DirectionLatent",
    "EvolvingNoise",
    "FileLatent",
    "FileRewrite",
    "FixedNoise",
    "FrameInputs",
    "GradientNoise",
    "LatentLayer",
    "LoopLatent",
    "LoopNoise",
    "Mask",
    "MaskImage",
    "NetworkRewrite",
    "NoiseLayer",
    "OwnNoise",
    "Patch",
    "RewriteLayer",
    "SeededRewrite",
    "Signal",
    "StaticLatent",
    "load_preset",
    "preset_descriptions",
    "preset_names",
]
