# SPDX-License-Identifier: GPL-3.0-or-later
"""A farm's task: render some frames of a bundle as lossless pictures, each whole in its place or not there.

Blender writes a frame into a folder of this worker's own; once it is written it is moved among the finished ones. So a
worker that is killed leaves nothing behind that looks like a frame, frames that are there are not made again, and two
workers that were given the same frame do no harm. A frame that could not be painted ends the task: no stripes go into
the film.
"""

import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bpy

from ..farm.frames import runs_of
from ..farm.manifest import BundleError
from .farm_worker import Job, check, check_owner
from .render_watch import watch
from .written import is_whole

PARTIAL = ".partial-"


@dataclass(frozen=True)
class Rendered:
    """What a task did: frames made, frames that were there, and seconds that Blender rendered."""

    made: int
    kept: int
    seconds: float


def set_output(scene: bpy.types.Scene, folder: Path) -> None:
    """Let a scene write frames as pictures into a folder: lossless where its output is a film, else in its format."""
    settings = scene.render.image_settings
    if scene.render.is_movie_format:
        mode, depth = settings.color_mode, settings.color_depth
        if hasattr(settings, "media_type"):  # 5.0 and later
            settings.media_type = "IMAGE"
        settings.file_format = "PNG"
        settings.color_mode = mode
        settings.color_depth = "8" if depth == "8" else "16"
    scene.render.use_file_extension = True
    scene.render.use_overwrite = True
    scene.render.use_placeholder = False
    scene.render.filepath = str(folder / "frame_######")


class Keeper:
    """Moves each frame to its place once it is written, and ends the task at the first that could not be painted."""

    def __init__(self, job: Job, wanted: int, fail: Callable[[str], None]) -> None:
        self.files = job.manifest.frame_files(job.output)
        self.wanted = wanted
        self.made = 0
        self._fail = fail

    def on_write(self, scene: bpy.types.Scene, _: object = None) -> None:
        """Called by Blender when a frame was written."""
        frame = scene.frame_current
        written = Path(scene.render.frame_path(frame=frame))
        troubles = watch.troubles or ([] if is_whole(written) else [f"Frame {frame} was not written up to its end."])
        if troubles:
            written.unlink(missing_ok=True)
            self._fail("; ".join(troubles))
            return
        try:
            os.replace(written, self.files.path(frame))
        except OSError as fault:
            self._fail(f"Frame {frame} cannot be kept in {self.files.folder}: {fault.strerror or fault}.")
            return
        self.made += 1
        print(f"Saved: '{self.files.path(frame)}'")  # Flamenco shows it as preview
        print(f"openjd_progress: {100 * self.made / self.wanted:.1f}", flush=True)


def render(job: Job, frames: list[int], fail: Callable[[str], None], *, thorough: bool = False) -> Rendered:
    """Render those of some frames that belong to the film and are not there yet.

    Parameters
    ----------
    fail : callable
        Told why a frame could not be made, in the midst of Blender's render, which cannot be stopped from there: it
        should end the process.
    thorough : bool
        Check this machine as the job's check does, for farms whose workers do not begin with that.

    Raises
    ------
    BundleError
        This machine lacks something, or Blender could not write.
    """
    check_owner(job)
    stored = job.manifest.frame_files(job.output)
    wanted = job.manifest.range.among(frames)
    missing = [frame for frame in wanted if not is_whole(stored.path(frame))]
    if not missing:
        print(f"All {len(wanted)} frames are there already.", flush=True)
        return Rendered(0, len(wanted), 0.0)
    check(job, thorough=thorough, frames=wanted)
    check_owner(job, take=True)
    # Machines in containers can have one name and their processes one number.
    partial = stored.folder / f"{PARTIAL}{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise BundleError(
            f"{stored.folder} cannot be made ({fault.strerror or fault}). Choose another output."
        ) from None
    keeper = Keeper(job, len(missing), fail)
    set_output(job.scene, partial)
    bpy.app.handlers.render_write.append(keeper.on_write)
    began = time.monotonic()
    try:
        for first, last in runs_of(missing, job.manifest.range.step):
            job.scene.frame_start, job.scene.frame_end = first, last
            try:
                bpy.ops.render.render(animation=True, scene=job.scene.name)
            except RuntimeError as fault:  # Blender's own report
                reason = str(fault).removeprefix("Error: ").strip()
                raise BundleError(
                    f"Blender could not render frames {first} to {last}: {reason}. Make room, or mend the output."
                ) from None
    finally:
        bpy.app.handlers.render_write.remove(keeper.on_write)
        shutil.rmtree(partial, ignore_errors=True)
    seconds = time.monotonic() - began
    left = stored.missing(wanted)
    if left:
        raise BundleError(f"Blender rendered, but frame {left[0]} is not in {stored.folder}. Make room on the disk.")
    return Rendered(keeper.made, len(wanted) - len(missing), seconds)
