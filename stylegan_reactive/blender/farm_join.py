# SPDX-License-Identifier: GPL-3.0-or-later
"""The last task of a farm: the finished frames and the scene's sound become the film, by Blender's own sequencer.

The frames hold the bytes that Blender hands its encoder when it renders in one go, so the film is the same.
"""

import os
import platform
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from ..farm.manifest import BundleError, Manifest
from . import picture
from .timing import strips_of
from .written import is_whole

if TYPE_CHECKING:
    from .farm_worker import Job

IN_A_STRIP = 500  # pictures: a strip takes longer for each one the more it has
HIGHEST = 128  # channel of Blender's sequencer


def show_only(scene: bpy.types.Scene, size: tuple[int, int]) -> int:
    """Let a scene render what will lie on top of its strips, as it is; the channel for that. Its sound stays."""
    picture.unregister()  # nothing is painted any more
    render = scene.render
    render.use_sequencer, render.use_compositing = True, False
    render.use_border = False
    render.resolution_x, render.resolution_y = size
    render.resolution_percentage = 100
    render.use_stamp = False
    scene.display_settings.display_device = "sRGB"
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"
    scene.view_settings.exposure, scene.view_settings.gamma = 0.0, 1.0
    scene.view_settings.use_curve_mapping = False
    scene.sequencer_colorspace_settings.name = "sRGB"
    channel = max((strip.channel for strip in strips_of(scene)), default=0) + 1
    if channel > HIGHEST:
        raise BundleError("All channels of the sequencer are in use. Move the strips of the highest one down.")
    return channel


def lay_out(scene: bpy.types.Scene, job: "Job", channel: int) -> None:
    """Put all frames on a channel, each where it was rendered."""
    files = job.manifest.frame_files(job.output)
    film = job.manifest.range
    shown = [files.path(film.first + (frame - film.first) // film.step * film.step) for frame in _all(job.manifest)]
    for start in range(0, len(shown), IN_A_STRIP):
        part = shown[start : start + IN_A_STRIP]
        strip = strips_of(scene).new_image("Frames", str(part[0]), channel, film.first + start)
        for path in part[1:]:
            strip.elements.append(path.name)
        strip.frame_final_duration = len(part)
        strip.blend_type = "REPLACE"


def _all(manifest: Manifest) -> range:
    return range(manifest.range.first, manifest.range.last + 1)


def join(job: "Job") -> Path:
    """Make the film of a bundle, or find that its frames are all there where they are the result.

    Returns
    -------
    pathlib.Path
        The film, or the folder of the frames.

    Raises
    ------
    BundleError
        Frames are missing, or Blender cannot write the film.
    """
    files = job.manifest.frame_files(job.output)
    missing = [frame for frame in job.manifest.range.frames() if not is_whole(files.path(frame))]
    if missing:
        raise BundleError(
            f"{len(missing)} frames are not there yet, the first is {missing[0]}. "
            "Let the farm render them, then join the film."
        )
    for folder in (files.folder, job.output):  # of workers and joins that were killed
        for left in folder.glob(".partial-*"):
            shutil.rmtree(left, ignore_errors=True)
    if not job.manifest.film_name:
        return files.folder
    first = bpy.data.images.load(str(files.path(job.manifest.range.first)))
    size = (int(first.size[0]), int(first.size[1]))
    bpy.data.images.remove(first)
    lay_out(job.scene, job, show_only(job.scene, size))
    partial = job.output / f".partial-{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
    film = job.output / job.manifest.film_name
    try:
        partial.mkdir(parents=True, exist_ok=True)
        os.replace(_written(job.scene, partial, job.manifest), film)
    except OSError as fault:
        raise BundleError(
            f"The film cannot be written to {film} ({fault.strerror or fault}). Make room there."
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return film


def _written(scene: bpy.types.Scene, folder: Path, manifest: Manifest) -> Path:
    """Let Blender write the film into a folder; raises `BundleError` where it does not."""
    scene.render.filepath = str(folder / manifest.film_name)
    try:
        bpy.ops.render.render(animation=True, scene=scene.name)
    except RuntimeError as fault:
        reason = str(fault).removeprefix("Error: ").strip()
        raise BundleError(
            f"Blender cannot write {manifest.film_name} ({manifest.video}) here: {reason}. "
            "Use a Blender that has the codec, or choose another codec."
        ) from None
    found = [path for path in folder.iterdir() if is_whole(path)]
    if len(found) != 1:
        raise BundleError(f"Blender wrote no film {manifest.film_name} ({manifest.video}) here. Read the log above.")
    return found[0]


def encoder_error(scene: bpy.types.Scene, manifest: Manifest) -> str:
    """Why this Blender cannot write films like this one; "" where it can. Tries it with two frames of one colour."""
    copy = scene.copy()
    try:
        while copy.sequence_editor is not None and copy.sequence_editor.strips:
            strips_of(copy).remove(copy.sequence_editor.strips[0])
        _try_encoder(copy, manifest)
    except BundleError as error:
        return str(error)
    finally:
        bpy.data.scenes.remove(copy)
        picture.register()
    return ""


def _try_encoder(scene: bpy.types.Scene, manifest: Manifest) -> None:
    channel = show_only(scene, (manifest.width, manifest.height))
    scene.frame_start, scene.frame_end = 1, 2
    length = {"length": 2} if bpy.app.version >= (5, 0) else {"frame_end": 3}
    strips_of(scene).new_effect("Colour", "COLOR", channel, 1, **length)
    with tempfile.TemporaryDirectory() as folder:
        _written(scene, Path(folder), manifest)
