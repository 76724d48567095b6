# SPDX-License-Identifier: GPL-3.0-or-later
"""Baking: the engine listens to the song, and what it heard becomes curves of the scene."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import bpy

from ..engine.protocol import Analysed
from ..errors import ReactiveError
from .curves import LONGEST_NAME, write_envelope
from .envelope_properties import CLOCKS
from .patches import PACKAGE, envelopes_read, patch_of
from .properties import settings_of
from .session import session
from .sound import for_engine, song_of
from .steps import Steps, in_background, scene_again
from .timing import first_frame_of_song, fps_of

CLOCK_TOLERANCE = 0.002  # bars or seconds: a clock is never a matter of taste


def default_recipes() -> list[dict[str, Any]]:
    """The envelopes that a new scene gets, as data of the audio room."""
    return list(json.loads((PACKAGE / "audio" / "default_recipes.json").read_text(encoding="utf-8")))


def missing_envelopes(scene: bpy.types.Scene) -> set[str]:
    """Names of envelopes that the layers read and the scene does not have."""
    return {name for name in envelopes_read(patch_of(scene)) if name not in scene}


def checked_recipes(recipes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recipes, if their names can all be custom properties of one scene; raises `ReactiveError`."""
    if not recipes:
        raise ReactiveError("There is no envelope to bake. Press Set Up Scene, or add one to the list.")
    names = [recipe["name"] for recipe in recipes]
    for name in names:
        if not name or len(name.encode()) > LONGEST_NAME:
            raise ReactiveError(f"The envelope {name!r} needs a name of 1 to {LONGEST_NAME} letters. Rename it.")
        if names.count(name) > 1:
            raise ReactiveError(f"Two envelopes are named {name!r}, and one curve cannot hold both. Rename one.")
    return list(recipes)


def listen_steps(scene: bpy.types.Scene, recipes: Sequence[dict[str, Any]]) -> Steps[Analysed]:
    """Let the engine make envelopes from the song; the file is not touched. Raises `ReactiveError`."""
    song, fps, recipes = song_of(scene), fps_of(scene), checked_recipes(recipes)
    engine = session.engine()
    yield from in_background("Starting the engine", lambda _report: engine.start())

    def listen(report: Callable[[float, str], None]) -> Analysed:
        return engine.analyse(for_engine(song), fps, recipes, progress=report)

    return (yield from in_background("Listening", listen))


def apply_bake(scene: bpy.types.Scene, recipes: Sequence[dict[str, Any]], analysed: Analysed) -> int:
    """Write envelopes into curves of the scene, and return the number of keys."""
    clocks = {recipe["name"] for recipe in recipes if recipe["feature"] in CLOCKS}
    tolerance = settings_of(scene).tolerance / 100
    first = first_frame_of_song(scene)
    keys = 0
    for name, values in analysed.envelopes.items():
        clock = name in clocks
        allowed = CLOCK_TOLERANCE if clock else tolerance * float(values.max() - values.min())
        keys += write_envelope(scene, name, first, values, allowed, endless=clock)
    scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)  # let the new curves take effect
    return keys


def bake_steps(scene: bpy.types.Scene, index: int | None = None) -> Steps[int]:
    """Listen to the song and write the envelopes into curves: all of the scene's list, or the one at an index.

    Returns
    -------
    int
        Key frames that were written.

    Raises
    ------
    ReactiveError
        The song or the engine is not usable, or the list is not; the scene is as it was.
    """
    envelopes = list(settings_of(scene).envelopes)
    chosen = envelopes if index is None else envelopes[index : index + 1]
    uid, recipes = scene.session_uid, [envelope.recipe() for envelope in chosen]
    analysed = yield from listen_steps(scene, recipes)
    return apply_bake(scene_again(uid), recipes, analysed)
