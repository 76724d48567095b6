# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the song lies on the scene's timeline."""

from fractions import Fraction

import bpy

STRIP_TAG = "stylegan_reactive_song"


def fps_of(scene: bpy.types.Scene) -> Fraction:
    """Frames per second, exactly: 24 / 1.001 is 24000/1001."""
    return Fraction(scene.render.fps) / Fraction(scene.render.fps_base).limit_denominator(1001)


def time_of(scene: bpy.types.Scene, frame: float) -> float:
    """The time at which Blender evaluates curves for a frame: its own number, unless Time Stretching is used."""
    return frame * scene.render.frame_map_old / scene.render.frame_map_new


def strips_of(scene: bpy.types.Scene) -> "bpy.types.StripsTopLevel":
    """The strips of the scene's sequencer, which is made where there is none."""
    return scene.sequence_editor_create().strips


def song_strip(scene: bpy.types.Scene) -> "bpy.types.Strip | None":
    """The sound strip that `Set Up Scene` made or found; the artist may have moved, renamed or trimmed it."""
    editor = scene.sequence_editor
    if editor is None:
        return None
    return next((strip for strip in editor.strips_all if strip.type == "SOUND" and STRIP_TAG in strip), None)


def strip_start(strip: "bpy.types.Strip") -> float:
    """The frame at which a strip's content begins, also where its beginning is trimmed away."""
    return float(strip.content_start if hasattr(strip, "content_start") else strip.frame_start)  # 5.2 renamed it


def first_frame_of_song(scene: bpy.types.Scene) -> int:
    """The frame at which the song's first sample sounds."""
    strip = song_strip(scene)
    return round(strip_start(strip)) if strip is not None else scene.frame_start
