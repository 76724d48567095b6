# SPDX-License-Identifier: GPL-3.0-or-later
"""The song as the engine can read it, and as Blender plays it in step with what the engine hears."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import aud
import bpy

from ..errors import SongError
from ..files import stamp
from .properties import settings_of

ENGINE_READS = (
    ".wav",
    ".wave",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aif",
    ".aiff",
    ".aifc",
    ".caf",
    ".au",
    ".w64",
)
"""Endings of files that every engine reads; what others hold, Blender can decode for it."""

LATE_START = (".mp3", ".ogg", ".oga")
"""Blender's sequencer skips the encoder's delay of these twice when it plays them from a file: 25 ms of an MP3 from its
start on, 2.7 ms of some Ogg files (measured with Blender 5.0.1). What it holds in memory it plays from its start."""

LONGEST_IN_MEMORY = 20 * 60.0
"""Seconds; a song of twenty minutes takes some 400 MB there."""


def song_of(scene: bpy.types.Scene) -> str:
    """The absolute path of the scene's song; raises `SongError` where none is chosen or it is not there."""
    song = settings_of(scene).song
    if not song:
        raise SongError("This scene has no song yet. Choose a sound file, or press Use Built-in Song.")
    path = bpy.path.abspath(song, library=scene.library)
    if not Path(path).is_file():
        raise SongError(f"The song is not there: {path}. Choose it again.")
    return path


def for_engine(song: str) -> str:
    """The path of a song for the engine: its own, or that of a flac copy that Blender makes of an m4a, aac or such.

    Copies lie in Blender's temporary folder until it is closed. A file that Blender cannot decode either is handed
    on as it is: the engine says what is wrong with it.
    """
    path = Path(song)
    if path.suffix.lower() in ENGINE_READS or not path.is_file():
        return song
    mark = hashlib.sha256(repr(stamp(song)).encode()).hexdigest()[:16]
    folder = Path(bpy.app.tempdir or tempfile.gettempdir()) / f"stylegan_reactive_{mark}"
    copy = folder / f"{path.stem}.flac"
    if copy.is_file():
        return str(copy)
    partial = folder / f"partial-{os.getpid()}.flac"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sound = aud.Sound(song)  # type: ignore[call-arg]  # the stubs know no constructor
        rate, channels = sound.specs
        sound.write(str(partial), int(rate), channels, aud.FORMAT_S16, aud.CONTAINER_FLAC, aud.CODEC_FLAC, 0, 1 << 15)
        os.replace(partial, copy)
    except (aud.error, OSError):
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        return song
    return str(copy)


def play_in_step(strip: bpy.types.SoundStrip) -> None:
    """Let Blender play a new strip of a song from its very start, as the engine hears it."""
    path = bpy.path.abspath(strip.sound.filepath)
    if Path(path).suffix.lower() in LATE_START and _seconds(path) <= LONGEST_IN_MEMORY:
        strip.sound.use_memory_cache = True


def _seconds(path: str) -> float:
    """How long a sound lasts; endless where Blender cannot tell."""
    try:
        sound = aud.Sound(path)  # type: ignore[call-arg]
        return float(sound.length / sound.specs[0]) if sound.length >= 0 else float("inf")
    except aud.error:
        return float("inf")
