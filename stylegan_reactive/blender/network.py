# SPDX-License-Identifier: GPL-3.0-or-later
"""Look into the scene's network: what its layers are called and what they paint, for the menus that offer them."""

import bpy

from ..engine.protocol import NetworkFacts
from .patch_parts import checkpoint_of
from .patches import VERSION
from .properties import settings_of
from .session import session
from .steps import Steps, in_background, scene_again


def read_network_steps(scene: bpy.types.Scene) -> Steps[NetworkFacts]:
    """Load the scene's network and keep what the engine says of it; the layers may be unfinished."""
    uid = scene.session_uid
    patch = {"version": VERSION, "checkpoint": checkpoint_of(scene), "label": settings_of(scene).label}
    engine = session.engine()
    yield from in_background("Starting the engine", lambda _report: engine.start())
    facts = yield from in_background("Loading the network", lambda report: engine.check_patch(patch, report))
    session.networks[checkpoint_of(scene_again(uid))] = facts
    return facts
