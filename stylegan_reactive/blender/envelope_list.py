# SPDX-License-Identifier: GPL-3.0-or-later
"""New entries for the list of envelopes, with post-processing that suits what they listen for."""

import bpy

from .bake import default_recipes
from .envelope_curves import unused_name
from .envelope_features import KINDS, PITCHES, kind_of
from .envelope_properties import SGR_Envelope, SGR_EnvelopeStep, steps_of
from .properties import settings_of

STEPS_BY_GROUP = {
    "Rhythm": ({"step": "follower", "release": 0.12},),
    "Loudness": ({"step": "gaussian", "seconds": 0.2},),
    "Sound Colour": ({"step": "gaussian", "seconds": 0.2},),
    "Harmony": ({"step": "gaussian", "seconds": 0.2},),
}
"""What makes a curve of some feature move well where no default recipe says it, by the group of the feature."""


def add_envelope(scene: bpy.types.Scene, kind: str) -> SGR_Envelope:
    """Add an envelope for a kind of feature to the end of the scene's list, and select it."""
    settings = settings_of(scene)
    like = next((recipe for recipe in default_recipes() if kind_of(recipe["feature"]) == kind), None)
    steps = steps_of(like) if like is not None else STEPS_BY_GROUP.get(KINDS[kind]["group"], ())
    if kind in ("beats", "downbeats"):
        steps = STEPS_BY_GROUP["Rhythm"]
    several = KINDS[kind]["columns"] != 0
    ending = f"_{PITCHES[0]}" if kind == "chroma" else "_A" if kind == "sections" else ""
    envelope = settings.envelopes.add()
    envelope.set_recipe(
        {
            "name": unused_name(scene, f"audio_{kind}{ending}"),
            "feature": f"{kind}.0" if several else kind,
            "steps": list(steps),
        }
    )
    settings.envelope_index = len(settings.envelopes) - 1
    return envelope


def add_step(envelope: SGR_Envelope, kind: str) -> SGR_EnvelopeStep:
    """Add a step to the end of an envelope's chain."""
    step = envelope.steps.add()
    step.kind = kind
    return step
