# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a scene ready for a song: layers, image, compositor, sound strip, frame range and output."""

import math
from pathlib import Path

import bpy

from . import compositor
from .bake import default_recipes
from .patches import DEFAULT_PRESET, PACKAGE, apply_patch, patch_of, read_preset
from .picture import make_image
from .properties import settings_of
from .session import session
from .sound import for_engine, play_in_step, song_of
from .steps import Steps, in_background, scene_again
from .timing import STRIP_TAG, first_frame_of_song, fps_of, song_strip, strip_start, strips_of

BUILTIN_SONG = PACKAGE / "assets" / "song.ogg"


def check_steps(scene: bpy.types.Scene) -> Steps[int]:
    """Find out whether song, network and engine are usable; the file is not touched.

    Returns
    -------
    int
        Frames that the song lasts.
    """
    song, fps, patch = song_of(scene), fps_of(scene), patch_of(scene)
    if not patch["latent_layers"] and not patch["noise_layers"]:
        patch = {**read_preset(DEFAULT_PRESET), "checkpoint": patch["checkpoint"]}
    engine = session.engine()
    yield from in_background("Starting the engine", lambda _report: engine.start())
    facts = yield from in_background("Opening the song", lambda _report: engine.song(for_engine(song)))
    network = yield from in_background("Loading the network", lambda report: engine.check_patch(patch, report))
    session.networks[patch["checkpoint"]] = network
    return math.ceil(facts["duration"] * fps)


def apply_set_up(scene: bpy.types.Scene, frames: int) -> list[str]:
    """Make a scene ready: layers, image, compositor, sound strip, frame range, MP4 output.

    What depends on the song is set when the song is new, the output once; after that they are the artist's.

    Returns
    -------
    list of str
        What the artist should know, such as a compositor that was left as it is.
    """
    settings = settings_of(scene)
    first_time = settings.image is None
    notes = []
    if not settings.envelopes:
        for recipe in default_recipes():
            settings.envelopes.add().set_recipe(recipe)
    if not settings.latent_layers and not settings.noise_layers:
        apply_patch(settings, read_preset(DEFAULT_PRESET))
    image = make_image(scene)
    if settings.match_render_size and not settings.follow_render:
        scene.render.resolution_x, scene.render.resolution_y = settings.size
        scene.render.resolution_percentage = 100
    if not compositor.set_up(scene, image, stretch=settings.follow_render):
        notes.append(
            "Your compositor was kept. Connect its new node 'Fit to Render' where you want the picture to appear."
        )
    if _set_up_sound(scene, song_of(scene)) or first_time:
        scene.frame_start = first_frame_of_song(scene)
        scene.frame_end = scene.frame_start + frames - 1
        scene.frame_set(scene.frame_start)
    if first_time:
        _set_up_output(scene)
    return notes


def set_up_steps(scene: bpy.types.Scene) -> Steps[list[str]]:
    """Check everything, then set the scene up: `check_steps` and `apply_set_up`.

    Raises
    ------
    ReactiveError
        The song, the network or the engine is not usable; the scene is as it was.
    """
    uid = scene.session_uid
    frames = yield from check_steps(scene)
    return apply_set_up(scene_again(uid), frames)


def _set_up_sound(scene: bpy.types.Scene, song: str) -> bool:
    """Put the song into the sequencer where it is not there yet; whether a strip is new.

    A strip of this song that the artist has placed is used as it is. A strip of another song, which an earlier set-up
    made, gives its place to this one.
    """

    def plays(strip: bpy.types.Strip) -> bool:
        return strip.type == "SOUND" and strip.sound and Path(bpy.path.abspath(strip.sound.filepath)) == Path(song)

    strips = strips_of(scene)
    old = song_strip(scene)
    if old is not None and plays(old):
        return False
    own = next((strip for strip in strips if plays(strip)), None)
    frame = round(strip_start(old)) if old is not None else scene.frame_start
    if old is not None:
        strips.remove(old)
    if own is None:
        channel = max((other.channel for other in strips), default=0) + 1
        own = strips.new_sound(Path(song).stem, song, channel, frame)
        play_in_step(own)
    own[STRIP_TAG] = True
    scene.sync_mode = "AUDIO_SYNC"
    scene.use_audio_scrub = True
    workspace = bpy.context.workspace
    if workspace is not None and getattr(workspace, "sequencer_scene", scene) is None:  # 5.0 and later
        workspace.sequencer_scene = scene
    return True


def _set_up_output(scene: bpy.types.Scene) -> None:
    """H.264 and AAC in an MP4, exact colours."""
    render = scene.render
    render.use_lock_interface = True
    render.use_sequencer = True
    if hasattr(render.image_settings, "media_type"):  # 5.0 and later
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format = "MPEG4"
    render.ffmpeg.codec = "H264"
    render.ffmpeg.constant_rate_factor = "HIGH"
    render.ffmpeg.ffmpeg_preset = "GOOD"
    render.ffmpeg.gopsize = max(1, round(fps_of(scene) / 2))  # easy to scrub
    render.ffmpeg.audio_codec = "AAC"
    render.ffmpeg.audio_bitrate = 256
    if not render.filepath or render.filepath in ("/tmp/", "/tmp\\"):  # Blender's default, on every system
        render.filepath = str(_default_film(Path(song_of(scene)).stem))
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"


def _default_film(title: str) -> str | Path:
    """Where the film goes: beside the .blend file, or to the artist's videos while there is none."""
    if bpy.data.filepath:
        return f"//{title}.mp4"
    videos = next((folder for name in ("Videos", "Movies") if (folder := Path.home() / name).is_dir()), Path.home())
    return videos / f"{title}.mp4"
