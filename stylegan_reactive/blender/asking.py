# SPDX-License-Identifier: GPL-3.0-or-later
"""Long operators that first ask something: a file in the file browser, or a value in a dialog."""

from typing import Any

import bpy
from bpy.props import BoolProperty

from .operators import Answer, LongOperator


class AskFirst(LongOperator):
    """Asks, and begins its work when the answer is there.

    Blender frees an operator when its file browser or dialog closes, so it cannot become modal then: another one of
    its kind is started, which has the answer.
    """

    ARGUMENTS: tuple[str, ...] = ()  # the properties that are the answer

    asked: BoolProperty(options={"HIDDEN", "SKIP_SAVE"})

    def ask(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        """Open the browser or the dialog."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        """Ask first."""
        return LongOperator.invoke(self, context, event) if self.asked else self.ask(context, event)

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called with the answer, and by scripts."""
        if bpy.app.background or not self.options.is_invoke:  # type: ignore[attr-defined]
            return LongOperator.execute(self, context)
        name = self.bl_idname.rpartition("_OT_")[2]  # type: ignore[attr-defined]  # STYLEGAN_REACTIVE_OT_name here
        arguments = {argument: getattr(self, argument) for argument in self.ARGUMENTS}
        uid = context.scene.session_uid
        bpy.app.timers.register(lambda: _begin(name, uid, arguments))
        return {"CANCELLED"}  # nothing has changed yet: no step of undo


def _begin(name: str, uid: int, arguments: dict[str, Any]) -> None:
    """Start an operator in the window that shows a scene; a timer that runs once."""
    for window in bpy.context.window_manager.windows:
        if window.scene.session_uid == uid:
            with bpy.context.temp_override(window=window):
                getattr(bpy.ops.stylegan_reactive, name)("INVOKE_DEFAULT", asked=True, **arguments)
            return
