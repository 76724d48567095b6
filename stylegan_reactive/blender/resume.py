# SPDX-License-Identifier: GPL-3.0-or-later
"""A film of single frames that was broken off, by whatever: make those that are missing, and no other one twice."""

from pathlib import Path

import bpy

from ..errors import ReactiveError
from .film_mark import film_fingerprint, is_of_this_film, mark_file, read_mark
from .operators import Answer, prepare_render, report_failure, start_render
from .render_watch import watch
from .session import Notice, session
from .written import is_whole


def frame_files(scene: bpy.types.Scene) -> dict[int, Path]:
    """Where Blender writes each frame of the range.

    Raises
    ------
    ReactiveError
        The film is one file, so nothing of it is kept when a render breaks off.
    """
    if scene.render.is_movie_format:
        raise ReactiveError(
            "A film in one file cannot be resumed, only rendered from its start. Choose PNG in the output properties "
            "to be able to resume, and make the film from the frames at the end."
        )
    frames = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
    return {frame: Path(bpy.path.abspath(scene.render.frame_path(frame=frame))) for frame in frames}


def unfinished_frames(scene: bpy.types.Scene) -> list[int]:
    """Frames of the range that are missing, cut off, striped since the last render here, or of another film."""
    striped = watch.striped.get(scene.session_uid, set())
    mark = read_mark(scene)
    return [
        frame
        for frame, path in frame_files(scene).items()
        if frame in striped or not is_whole(path) or not is_of_this_film(path, mark)
    ]


def check_same_film(scene: bpy.types.Scene) -> None:
    """Raise `ReactiveError` where frames would be kept that other layers, curves or networks have made."""
    mark, unfinished = read_mark(scene), unfinished_frames(scene)
    kept = [path for frame, path in frame_files(scene).items() if mark is None or frame not in unfinished]
    if (mark is None or mark[0] != film_fingerprint(scene)) and any(map(is_whole, kept)):
        raise ReactiveError(
            f"The frames in {mark_file(scene).parent} were made from something else: other layers, curves, another "
            "network or size. Press Render Film to make all of them anew, or choose another output path to keep them."
        )


def clear_unfinished(scene: bpy.types.Scene) -> list[int]:
    """Remove what is left of unfinished frames, so that Blender makes them again; which frames they are."""
    files, frames = frame_files(scene), unfinished_frames(scene)
    for frame in frames:
        try:
            files[frame].unlink(missing_ok=True)
        except OSError as fault:
            raise ReactiveError(
                f"The unfinished frame {files[frame]} cannot be replaced ({fault.strerror or fault}). "
                "Choose another output path, or make the folder writable."
            ) from None
    return frames


class SGR_OT_resume(bpy.types.Operator):
    """Render the frames that are missing or were cut off. Those that are whole are kept"""

    bl_idname = "stylegan_reactive.resume"
    bl_label = "Resume Film"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Called by Blender."""
        if context.scene.render.is_movie_format:
            cls.poll_message_set("Choose PNG in the output properties: a film in one file cannot be resumed")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Answer:
        """Blocking form."""
        return self._resume(context, "EXEC_DEFAULT")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        """With Blender's render window."""
        return self._resume(context, "EXEC_DEFAULT" if bpy.app.background else "INVOKE_DEFAULT")

    def _resume(self, context: bpy.types.Context, how: str) -> Answer:
        scene = context.scene
        try:
            prepare_render(scene)
            check_same_film(scene)
            frames = clear_unfinished(scene)
        except ReactiveError as error:
            return report_failure(self, scene, error)
        if not frames:
            session.tell(scene, Notice("Every frame is there. Nothing was rendered."))
            return {"FINISHED"}
        render = scene.render
        before = render.use_overwrite, render.use_placeholder
        uid = scene.session_uid
        # No placeholders: an empty file would be taken for a frame if this render is broken off, too.
        render.use_overwrite, render.use_placeholder = False, False

        def restore() -> float | None:
            if bpy.app.is_job_running("RENDER"):
                return 0.5
            for each in bpy.data.scenes:
                if each.session_uid == uid:
                    each.render.use_overwrite, each.render.use_placeholder = before
            return None

        try:
            return start_render(self, scene, how)
        finally:
            if how == "EXEC_DEFAULT":
                restore()
            else:
                bpy.app.timers.register(restore, first_interval=1.0)


CLASSES = (SGR_OT_resume,)
