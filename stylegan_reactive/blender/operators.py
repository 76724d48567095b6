# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's buttons. Each is a few lines over a plain function that scripts can call too."""

import contextlib
from pathlib import Path
from typing import Any

import bpy

from ..errors import ReactiveError
from ..files import Stamp, stamp
from .bake import missing_envelopes
from .film import film_steps
from .network import read_network_steps
from .properties import settings_of
from .render_watch import watch
from .session import Notice, session
from .set_up import BUILTIN_SONG, set_up_steps
from .sound import song_of
from .steps import Step, Steps, finish, scene_again
from .timing import song_strip
from .trust import trust

Answer = set[str]


def report_failure(operator: bpy.types.Operator, scene: bpy.types.Scene, error: ReactiveError) -> Answer:
    """Say what went wrong where the artist looks: in the panel and in the status bar."""
    session.fail(scene, error)
    operator.report({"ERROR"}, str(error))
    return {"CANCELLED"}


class LongOperator:
    """An operator whose work is a generator of steps: blocking from scripts, with progress and Esc in the window."""

    _steps: Steps[Any] | None = None
    _timer: bpy.types.Timer | None = None
    _scene_uid = 0

    def steps(self, scene: bpy.types.Scene) -> Steps[Any]:
        """The work."""
        raise NotImplementedError

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Called with what the steps returned."""

    def execute(self, context: bpy.types.Context) -> Answer:
        """Blocking form; called by scripts and in the background."""
        try:
            result = finish(self.steps(context.scene))
        except ReactiveError as error:
            return report_failure(self, context.scene, error)  # type: ignore[arg-type]
        session.tell(context.scene, None)
        self.done(context.scene, result)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        """Form with a living window; called by the button."""
        if bpy.app.background:
            return self.execute(context)
        if session.busy:
            self.report({"WARNING"}, "Something is still under way. Wait for it, or press Esc")  # type: ignore[attr-defined]
            return {"CANCELLED"}
        session.busy = True
        self._scene_uid = context.scene.session_uid
        self._steps = self.steps(context.scene)
        self._timer = context.window_manager.event_timer_add(0.1, window=context.window)
        context.window_manager.modal_handler_add(self)  # type: ignore[arg-type]
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        """Called by Blender with every event while the operator runs."""
        if event.type == "ESC":
            self.cancel(context)
            self._tell(Notice("Stopped. Nothing was changed."))
            return {"CANCELLED"}
        if event.type == "Z" and (event.ctrl or event.oskey):
            return {"RUNNING_MODAL"}  # an undo now would change what the work began with
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        if self._steps is None:
            return {"FINISHED"}
        try:
            step: Step = next(self._steps)
        except StopIteration as end:
            self._clean_up(context)
            self._tell(None)
            self.done(scene_again(self._scene_uid), end.value)
            return {"FINISHED"}
        except ReactiveError as error:
            self._clean_up(context)
            self._tell(Notice(str(error), is_error=True))
            self.report({"ERROR"}, str(error))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        except BaseException:
            self._clean_up(context)
            self._tell(Notice("The add-on met a fault of its own. See the console.", is_error=True))
            raise
        self._tell(Notice(step.text, progress=step.progress))
        context.workspace.status_text_set(f"{step.text}: {step.progress:.0%}   (Esc stops)")
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called on Esc, and by Blender when the window closes."""
        if self._steps is not None:
            self._steps.close()
        self._clean_up(context)

    def _tell(self, notice: Notice | None) -> None:
        """Show a notice, if the scene is still there."""
        with contextlib.suppress(ReactiveError):
            session.tell(scene_again(self._scene_uid), notice)

    def _clean_up(self, context: bpy.types.Context) -> None:
        session.busy = False
        self._steps = None
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if context.workspace is not None:  # none while another file is loaded
            context.workspace.status_text_set(None)


class SGR_OT_use_builtin_song(bpy.types.Operator):
    """Take the short song that comes with the add-on"""

    bl_idname = "stylegan_reactive.use_builtin_song"
    bl_label = "Use Built-in Song"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        settings_of(context.scene).song = str(BUILTIN_SONG)
        return {"FINISHED"}


class SGR_OT_set_up(LongOperator, bpy.types.Operator):
    """Make this scene ready: picture, compositor, sound strip, frame range and MP4 output"""

    bl_idname = "stylegan_reactive.set_up"
    bl_label = "Set Up Scene"
    bl_options = {"REGISTER", "UNDO"}

    def steps(self, scene: bpy.types.Scene) -> Steps[list[str]]:
        """The work."""
        return set_up_steps(scene)

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Show what the artist should know."""
        if result:
            session.tell(scene, Notice(" ".join(result)))


class SGR_OT_render(bpy.types.Operator):
    """Render the film with Blender, from the first frame to the last"""

    bl_idname = "stylegan_reactive.render"
    bl_label = "Render Film"

    def execute(self, context: bpy.types.Context) -> Answer:
        """Blocking form."""
        return self._render(context, "EXEC_DEFAULT")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        """With Blender's render window."""
        return self._render(context, "EXEC_DEFAULT" if bpy.app.background else "INVOKE_DEFAULT")

    def _render(self, context: bpy.types.Context, how: str) -> Answer:
        try:
            prepare_render(context.scene)
        except ReactiveError as error:
            return report_failure(self, context.scene, error)
        return start_render(self, context.scene, how)


def prepare_render(scene: bpy.types.Scene) -> None:
    """Raise `ReactiveError` where a scene is not ready to be rendered; else take away what an earlier render told."""
    if settings_of(scene).image is None:
        raise ReactiveError("This scene is not set up yet. Press Set Up Scene first.")
    missing = missing_envelopes(scene)
    if missing:
        raise ReactiveError(f"The curve {min(missing)!r} is not baked yet. Press Bake first.")
    trust.check()  # a film of stripes helps nobody
    if scene.render.is_movie_format and settings_of(scene).song and song_strip(scene) is not None:
        song_of(scene)  # Blender would make a silent film without a word
    session.tell(scene, None)
    watch.forget()


def start_render(operator: bpy.types.Operator, scene: bpy.types.Scene, how: str) -> Answer:
    """Let Blender render a scene's range, and tell how it went."""
    uid, before = scene.session_uid, film_stamp(scene)
    try:
        bpy.ops.render.render(how, animation=True)
    except RuntimeError as error:  # Blender's own report
        reason = str(error).removeprefix("Error: ").strip().rstrip(".")
        film = bpy.path.abspath(scene.render.filepath)
        failure = ReactiveError(f"Blender did not render to {film}: {reason}. Check the output path.")
        return report_failure(operator, scene, failure)
    if how == "EXEC_DEFAULT":
        tell_where_the_film_is(uid, before)
    else:
        bpy.app.timers.register(lambda: tell_where_the_film_is(uid, before), first_interval=1.0)
    notice = session.notice(scene)
    if notice is not None and notice.is_error:
        operator.report({"ERROR"}, notice.text)
        return {"CANCELLED"}
    return {"FINISHED"}


def film_stamp(scene: bpy.types.Scene) -> Stamp:
    """The file of a scene's film as it is now; the clock is not asked, which somebody may set."""
    return stamp(bpy.path.abspath(scene.render.frame_path(frame=scene.frame_start)))


def tell_where_the_film_is(uid: int, before: Stamp) -> float | None:
    """Once the render is over, say where its film lies, or that Blender could not write it.

    Returns
    -------
    float or None
        For a timer of Blender: seconds until it should ask again, None when all is said.
    """
    if bpy.app.is_job_running("RENDER"):
        return 0.5
    with contextlib.suppress(ReactiveError):
        scene = scene_again(uid)
        notice = session.notice(scene)
        if (notice is not None and notice.is_error) or not scene.render.is_movie_format:
            return None
        film = Path(before[0])
        if film.is_file() and film_stamp(scene) != before:
            also = "" if notice is None else f". {notice.text}"
            session.tell(scene, Notice(f"The film is in {film}{also}"))
        else:
            session.fail(scene, ReactiveError(f"Blender could not write the film {film}. Choose another output path."))
    return None


class SGR_OT_make_film(LongOperator, bpy.types.Operator):
    """Everything at once: set the scene up, bake the curves, and render the film"""

    bl_idname = "stylegan_reactive.make_film"
    bl_label = "Make Film"
    bl_options = {"REGISTER"}

    def steps(self, scene: bpy.types.Scene) -> Steps[None]:
        """The work."""
        return film_steps(scene)

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Render."""
        bpy.ops.ed.undo_push(message="Set Up and Bake")
        if bpy.app.background:
            with contextlib.suppress(RuntimeError):  # an error that render reports; it is reported again below
                bpy.ops.stylegan_reactive.render()
            notice = session.notice(scene)
            if notice is not None and notice.is_error:
                self.report({"ERROR"}, notice.text)
        else:
            uid = scene.session_uid
            bpy.app.timers.register(lambda: render_in_window(uid))


def render_in_window(uid: int) -> None:
    """Start a render in the window that shows a scene; a timer that runs once.

    Never from the modal operator itself: the render's window takes its handler along, and Blender then calls a modal
    operator again that has finished (seen on 5.2: the film was rendered over and over).
    """
    for window in bpy.context.window_manager.windows:
        if window.scene.session_uid == uid:
            with bpy.context.temp_override(window=window):
                bpy.ops.stylegan_reactive.render("INVOKE_DEFAULT")
            return


class SGR_OT_read_network(LongOperator, bpy.types.Operator):
    """Look into the network, so that menus can offer its layers"""

    bl_idname = "stylegan_reactive.read_network"
    bl_label = "Look into the Network"

    def steps(self, scene: bpy.types.Scene) -> Steps[Any]:
        """The work."""
        return read_network_steps(scene)

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Say what was found."""
        height, width = result.resolution
        self.report({"INFO"}, f"The network paints {width} x {height} pixels in {result.num_ws} layers")


CLASSES = (
    SGR_OT_use_builtin_song,
    SGR_OT_set_up,
    SGR_OT_render,
    SGR_OT_make_film,
    SGR_OT_read_network,
)
