# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes several of the other rooms' steps: a whole film, and the picture of the current frame."""

import bpy

from ..errors import ReactiveError
from .bake import apply_bake, default_recipes, listen_steps, needs_bake
from .picture import make_image, request_at, source_of, spoil, write
from .properties import settings_of
from .session import session
from .set_up import apply_set_up, check_steps
from .steps import Steps, in_background, scene_again


def film_steps(scene: bpy.types.Scene) -> Steps[None]:
    """Set the scene up and bake the envelopes that need it; keys that were edited by hand stay."""
    uid = scene.session_uid
    envelopes = settings_of(scene).envelopes
    recipes = [envelope.recipe() for envelope in envelopes if needs_bake(scene, envelope)]
    if not envelopes:
        recipes = default_recipes()
    frames = yield from check_steps(scene)
    analysed = (yield from listen_steps(scene, recipes)) if recipes else None
    scene = scene_again(uid)
    apply_set_up(scene, frames)
    if analysed is not None:
        apply_bake(scene, analysed)


def show_steps(scene: bpy.types.Scene) -> Steps[None]:
    """Make the picture of the current frame and write it into the scene's image, or stripes where that fails."""
    uid = scene.session_uid
    request = request_at(source_of(scene), scene.frame_current + scene.frame_subframe)
    engine = session.engine()
    try:
        yield from in_background("Starting the engine", lambda _report: engine.start())
        pixels = yield from in_background("Making the picture", lambda _report: engine.picture(request).copy())
    except ReactiveError:
        image = settings_of(scene_again(uid)).image
        if image is not None:
            spoil(image)
        raise
    write(make_image(scene_again(uid)), pixels)
