# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist does next: one sentence in the panel while the film is not ready."""

import bpy

from ..errors import EngineError
from .bake import missing_envelopes
from .envelope_features import title_of
from .preferences import engine_python
from .properties import settings_of
from .timing import song_strip


def next_step(scene: bpy.types.Scene) -> str:
    """The next step of this scene, in words; at the end, what can be done with what is there."""
    settings = settings_of(scene)
    try:
        engine_python()
    except EngineError as error:
        return str(error)
    if not settings.song:
        return "Choose a sound file, or take the built-in song to look around."
    if settings.image is None or song_strip(scene) is None:
        return "Press Set Up Scene: it makes the picture, the sound strip, the frame range and the output."
    missing = missing_envelopes(scene)
    if missing and not any(envelope.name in scene for envelope in settings.envelopes):
        return "Press Bake: it listens to the song and writes what it hears into curves."
    if missing:
        return f"The layers follow {title_of(min(missing))}, which has no curve yet. Press Missing under Envelopes."
    return "Press Show Frame, or choose a Preview and play. Render Film makes the film."
