# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist knows of the song, put to use: taps, markers of its form, envelopes of its sections, its stems."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from ..engine.protocol import Analysed
from .bake import listen_steps, write_envelopes
from .envelope_curves import curve_of, is_edited
from .preferences import PACKAGE
from .properties import settings_of
from .session import session
from .sound import for_engine, song_of
from .steps import Steps, in_background, scene_again
from .timing import first_frame_of_song, fps_of

SECTION_FADE = "~0.5bars"
"""Half a bar: short enough to be of the new section, long enough to be no cut."""


def tap(scene: bpy.types.Scene) -> float:
    """Note a tap at the playhead; its time in seconds of the song."""
    hearing = settings_of(scene).hearing
    seconds = (scene.frame_current_final - first_frame_of_song(scene)) / float(fps_of(scene))
    hearing.taps = " ".join(f"{time:.4g}" for time in sorted({*hearing.tapped(), seconds}))
    return seconds


def mark_steps(scene: bpy.types.Scene) -> Steps[Analysed]:
    """Listen for beats, bars and sections; the file is not touched. See `markers.mark_song`."""
    recipes = [{"name": "bars", "feature": "bars"}, {"name": "sections", "feature": "sections.0"}]
    return (yield from listen_steps(scene, recipes))


def add_section_envelopes(scene: bpy.types.Scene) -> Steps[int]:
    """Add and bake ``audio_section_A``, ``audio_section_B`` ..., one for each kind of section that the song has.

    Those that are in the list already are baked again, unless they were edited by hand.

    Returns
    -------
    int
        How many kinds of section there are.
    """
    uid = scene.session_uid
    analysed = yield from mark_steps(scene)
    labels = list(dict.fromkeys(label for _, _, label in analysed.sections))
    scene = scene_again(uid)
    features = {f"audio_section_{label}": f"sections.{number}{SECTION_FADE}" for number, label in enumerate(labels)}
    recipes = [{"name": name, "feature": feature} for name, feature in features.items()]
    if not recipes:
        return 0
    baked = yield from listen_steps(scene, recipes)
    scene = scene_again(uid)
    settings = settings_of(scene)
    for recipe in recipes:
        if recipe["name"] not in settings.envelopes:
            settings.envelopes.add().set_recipe(recipe)
    names = [name for name in features if not is_edited(scene, settings.envelopes[name])]
    write_envelopes(scene, [(name, baked.envelopes[name]) for name in names])
    settings.hearing.section_labels = ",".join(labels)
    assert all(curve_of(scene, name) is not None for name in names)
    return len(labels)


def stems_folder() -> str:
    """Where separated stems are kept: the extension's own folder where it is installed."""
    try:
        return str(bpy.utils.extension_path_user(PACKAGE, path="stems", create=True))
    except ValueError:  # not installed as an extension
        return str(Path(tempfile.gettempdir()) / "stylegan_reactive_stems")


def separate_steps(scene: bpy.types.Scene) -> Steps[str]:
    """Let the engine separate the song into stems, and use them from then on; the folder they are in.

    Weights are downloaded only where Blender may go online; else a file with them has to be chosen.
    """
    engine = session.engine()  # first of all: a stranger's song is not even decoded by Blender
    uid, song = scene.session_uid, for_engine(song_of(scene))
    weights = bpy.path.abspath(settings_of(scene).hearing.separation_weights, library=scene.library)
    online = bool(bpy.app.online_access)
    folder = stems_folder()
    yield from in_background("Starting the engine", lambda _report: engine.start())

    def work(report: Callable[[float, str], None]) -> Any:
        pending = engine.separate(song, folder, weights=weights or None, online=online)
        try:
            while not pending.wait(0.1):
                report(*pending.progress)
        except BaseException:
            pending.cancel()
            raise
        return pending.result()

    answer = yield from in_background("Separating stems", work)
    paths = [Path(path) for path in answer["stems"].values()]
    found = str(paths[0].parent)
    settings_of(scene_again(uid)).hearing.stems = found
    return found
