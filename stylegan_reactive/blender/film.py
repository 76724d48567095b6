# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's steps as plain functions: set a scene up for a song, bake the curves.

Each is a generator of `Step`, so that the same code blocks in a script and keeps the window alive under an operator
(see `operators.LongOperator`). What can fail or be stopped is done first, in the engine; the file is changed after the
last `yield`, all at once, in the scene as it is found then.
"""

import json
import math
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import bpy

from ..engine.protocol import Analysed
from ..errors import ReactiveError, SongError
from . import compositor
from .curves import LONGEST_NAME, write_envelope
from .patches import DEFAULT_PRESET, PACKAGE, apply_patch, envelopes_read, patch_of, read_preset
from .picture import make_image, request_at, source_of, spoil, write
from .properties import CLOCKS, settings_of
from .session import session
from .sound import for_engine, play_in_step
from .timing import STRIP_TAG, first_frame_of_song, fps_of, song_strip, strip_start, strips_of

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


def scene_again(uid: int) -> bpy.types.Scene:
    """The scene of a session_uid, after a `yield`: the artist may have undone, deleted or loaded meanwhile."""
    for scene in bpy.data.scenes:
        if scene.session_uid == uid:
            return scene
    raise ReactiveError("The scene is no longer there. Nothing was changed.")


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


def missing_envelopes(scene: bpy.types.Scene) -> set[str]:
    """Names of envelopes that the layers read and the scene does not have."""
    return {name for name in envelopes_read(patch_of(scene)) if name not in scene}


# Set up


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
    yield from in_background("Loading the network", lambda _report: engine.check_patch(patch))
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
    if settings.match_render_size:
        scene.render.resolution_x, scene.render.resolution_y = settings.size
        scene.render.resolution_percentage = 100
    if not compositor.set_up(scene, image):
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


# Bake


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


def film_steps(scene: bpy.types.Scene) -> Steps[None]:
    """Set the scene up and bake the envelopes that have no curve yet; curves that are there may have been edited."""
    uid = scene.session_uid
    recipes = [envelope.recipe() for envelope in settings_of(scene).envelopes] or default_recipes()
    recipes = [recipe for recipe in recipes if recipe["name"] not in scene]
    frames = yield from check_steps(scene)
    analysed = (yield from listen_steps(scene, recipes)) if recipes else None
    scene = scene_again(uid)
    apply_set_up(scene, frames)
    if analysed is not None:
        apply_bake(scene, recipes, analysed)


# Show


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


def finish(steps: Steps[Result]) -> Result:
    """Run a generator of steps to its end, for scripts and background renders."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
