# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's steps as plain functions: set a scene up for a song, bake the curves.

Each is a generator of `Step`, so that the same code blocks in a script and keeps the window alive under an operator
(see `operators.LongOperator`). What can fail is done first; only then is the file changed.
"""

import json
import math
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import bpy

from ..engine.client import Engine
from ..errors import ReactiveError, SongError
from . import compositor
from .curves import write_envelope
from .patches import DEFAULT_PRESET, PACKAGE, apply_patch, envelopes_read, patch_of, read_preset
from .picture import make_image
from .properties import SGR_Envelope, SGR_Settings, settings_of
from .session import session
from .timing import STRIP_TAG, first_frame_of_song, fps_of, song_strip, strips_of

BUILTIN_SONG = PACKAGE / "assets" / "song.ogg"
CLOCK_TOLERANCE = 0.002  # bars or seconds: a clock is never a matter of taste

Result = TypeVar("Result")


@dataclass(frozen=True)
class Step:
    """How far a long operation is: 0..1, and what it does now."""

    progress: float
    text: str


Steps = Generator[Step, None, Result]


class Stopped(Exception):
    """The artist pressed Esc."""


def in_background(text: str, work: Callable[[Callable[[float, str], None]], Result]) -> Steps[Result]:
    """Run some work of the engine in a thread and yield how far it is.

    `work` gets a function to report progress with; that function raises `Stopped` once this generator is closed.
    """
    box: dict[str, Any] = {"step": Step(0.0, text)}
    stop = threading.Event()

    def report(progress: float, detail: str) -> None:
        if stop.is_set():
            raise Stopped
        box["step"] = Step(progress, detail or text)

    def run() -> None:
        try:
            box["result"] = work(report)
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=run, name=text, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            yield box["step"]
            thread.join(0.02)
    finally:
        stop.set()
    if "error" in box:
        raise box["error"]
    return box["result"]  # type: ignore[no-any-return]


def song_of(scene: bpy.types.Scene) -> str:
    """The absolute path of the scene's song; raises `SongError` where none is chosen or it is not there."""
    song = settings_of(scene).song
    if not song:
        raise SongError("This scene has no song yet. Choose a sound file, or press Use Built-in Song.")
    path = bpy.path.abspath(song, library=scene.library)
    if not Path(path).is_file():
        raise SongError(f"The song is not there: {path}. Choose it again.")
    return path


def default_recipes() -> list[dict[str, Any]]:
    """The envelopes that a new scene gets, as data of the audio room."""
    return list(json.loads((PACKAGE / "audio" / "default_recipes.json").read_text(encoding="utf-8")))


def add_defaults(settings: SGR_Settings) -> None:
    """Fill empty lists: envelopes, and the layers of the default preset."""
    if not settings.envelopes:
        for recipe in default_recipes():
            settings.envelopes.add().set_recipe(recipe)
    if not settings.latent_layers and not settings.noise_layers:
        apply_patch(settings, read_preset(DEFAULT_PRESET))


def set_up_steps(scene: bpy.types.Scene) -> Steps[list[str]]:
    """Make a scene ready: layers, image, compositor, sound strip, frame range, MP4 output.

    Returns
    -------
    list of str
        What the artist should know, such as a compositor that was left as it is.

    Raises
    ------
    ReactiveError
        The song, the network or the engine is not usable; the scene is as it was.
    """
    song = song_of(scene)
    engine = session.engine()
    yield from in_background("Starting the engine", lambda _report: engine.start())
    facts = yield from in_background("Opening the song", lambda _report: engine.song(song))
    settings = settings_of(scene)
    patch = patch_of(scene)
    if not patch["latent_layers"] and not patch["noise_layers"]:
        patch = {**read_preset(DEFAULT_PRESET), "checkpoint": patch["checkpoint"]}
    yield from in_background("Loading the network", lambda _report: engine.check_patch(patch))

    notes = []
    add_defaults(settings)
    image = make_image(scene)
    if settings.match_render_size:
        scene.render.resolution_x, scene.render.resolution_y = settings.size
        scene.render.resolution_percentage = 100
    if not compositor.set_up(scene, image):
        notes.append(
            "Your compositor was kept. Connect its new node 'Fit to Render' where you want the picture to appear."
        )
    _set_up_sound(scene, song)
    first = first_frame_of_song(scene)
    scene.frame_start = first
    scene.frame_end = first + math.ceil(facts["duration"] * fps_of(scene)) - 1
    scene.frame_set(first)
    _set_up_output(scene, Path(song).stem)
    return notes


def _set_up_sound(scene: bpy.types.Scene, song: str) -> None:
    """Put the song into the sequencer, where the artist's own strip of it stays where it was moved to."""
    strip = song_strip(scene)
    if strip is not None and Path(bpy.path.abspath(strip.sound.filepath)) == Path(song):
        return
    frame = scene.frame_start
    strips = strips_of(scene)
    if strip is not None:
        frame = first_frame_of_song(scene)
        strips.remove(strip)
    channel = max((other.channel for other in strips), default=0) + 1
    new = strips.new_sound(Path(song).stem, song, channel, frame)
    new[STRIP_TAG] = True
    scene.sync_mode = "AUDIO_SYNC"
    scene.use_audio_scrub = True
    workspace = bpy.context.workspace
    if workspace is not None and getattr(workspace, "sequencer_scene", scene) is None:  # 5.0 and later
        workspace.sequencer_scene = scene


def _set_up_output(scene: bpy.types.Scene, title: str) -> None:
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
        render.filepath = f"//{title}.mp4"
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"


def bake_steps(scene: bpy.types.Scene, envelopes: Sequence[SGR_Envelope] | None = None) -> Steps[int]:
    """Listen to the song and write the envelopes into curves of the scene.

    Parameters
    ----------
    envelopes : sequence of SGR_Envelope, optional
        All of the scene by default.

    Returns
    -------
    int
        Key frames that were written.
    """
    song = song_of(scene)
    engine: Engine = session.engine()
    settings = settings_of(scene)
    chosen = list(settings.envelopes if envelopes is None else envelopes)
    if not chosen:
        raise ReactiveError("There is no envelope to bake. Press Set Up Scene, or add one to the list.")
    recipes = [envelope.recipe() for envelope in chosen]
    clocks = {envelope.name for envelope in chosen if envelope.is_clock}
    yield from in_background("Starting the engine", lambda _report: engine.start())
    analysed = yield from in_background(
        "Listening", lambda report: engine.analyse(song, fps_of(scene), recipes, progress=report)
    )
    first = first_frame_of_song(scene)
    keys = 0
    for name, values in analysed.envelopes.items():
        clock = name in clocks
        reach = float(values.max() - values.min())
        tolerance = CLOCK_TOLERANCE if clock else settings.tolerance / 100 * reach
        keys += write_envelope(scene, name, first, values, tolerance, endless=clock)
    scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)  # let the new curves take effect
    return keys


def missing_envelopes(scene: bpy.types.Scene) -> set[str]:
    """Names of envelopes that the layers read and the scene does not have."""
    return {name for name in envelopes_read(patch_of(scene)) if name not in scene}


def finish(steps: Steps[Result]) -> Result:
    """Run a generator of steps to its end, for scripts and background renders."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
