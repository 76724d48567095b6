# SPDX-License-Identifier: GPL-3.0-or-later
"""The film in the Sequencer of another scene, to be cut with other strips."""

from pathlib import Path

import bpy

from .targets import TargetError, image_of
from .timing import song_strip, strip_start


def _edit_scene(scene: bpy.types.Scene) -> bpy.types.Scene:
    """A new scene for the Sequencer, with the render settings of the film."""
    edit = bpy.data.scenes.new(f"{scene.name} Edit")
    for name in ("fps", "fps_base", "resolution_x", "resolution_y", "resolution_percentage"):
        setattr(edit.render, name, getattr(scene.render, name))
    edit.render.pixel_aspect_x, edit.render.pixel_aspect_y = scene.render.pixel_aspect_x, scene.render.pixel_aspect_y
    edit.frame_start, edit.frame_end = scene.frame_start, scene.frame_end
    edit.view_settings.view_transform = scene.view_settings.view_transform
    edit.view_settings.look = scene.view_settings.look
    edit.sequencer_colorspace_settings.name = "sRGB"
    edit.sync_mode, edit.use_audio_scrub = "AUDIO_SYNC", True
    edit.render.use_lock_interface = True
    song = song_strip(scene)
    if song is not None:
        sound = edit.sequence_editor_create().strips.new_sound(
            song.name, song.sound.filepath, 1, round(strip_start(song))
        )
        sound.sound.use_memory_cache = song.sound.use_memory_cache
    return edit


def scene_strip(scene: bpy.types.Scene) -> bpy.types.Scene:
    """A new scene whose Sequencer shows this one, song included, to be cut with other strips."""
    image_of(scene)
    edit = _edit_scene(scene)
    strip = edit.sequence_editor_create().strips.new_scene(scene.name, scene, 2, scene.frame_start)
    strip.scene_input = "CAMERA"
    strip.volume = 0.0  # the song has a strip of its own here
    return edit


def saved_frames(scene: bpy.types.Scene) -> list[Path]:
    """The pictures that were rendered into the scene's output folder, in the order of their frames."""
    if scene.render.is_movie_format:
        return []
    frames = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
    paths = (Path(bpy.path.abspath(scene.render.frame_path(frame=frame))) for frame in frames)
    return [path for path in paths if path.is_file()]


def image_strip(scene: bpy.types.Scene) -> bpy.types.Scene:
    """A new scene whose Sequencer shows the frames that were saved, song included."""
    image_of(scene)
    files = saved_frames(scene)
    if not files:
        raise TargetError(
            f"There are no saved frames in {bpy.path.abspath(scene.render.filepath)}. Choose PNG or another picture "
            "format in the output properties, render, and try again."
        )
    edit = _edit_scene(scene)
    strips = edit.sequence_editor_create().strips
    strip = strips.new_image(scene.name, str(files[0]), 2, scene.frame_start)
    for path in files[1:]:
        strip.elements.append(path.name)
    return edit
