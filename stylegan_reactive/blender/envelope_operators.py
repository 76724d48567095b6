# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons of the envelopes; each is a few lines over a plain function that scripts can call too."""

from typing import Any

import bpy

from .bake import bake_steps
from .operators import LongOperator
from .properties import settings_of
from .session import Notice, session
from .steps import Steps


class SGR_OT_bake(LongOperator, bpy.types.Operator):
    """Listen to the song and write what is heard into curves that you can edit in the Graph Editor"""

    bl_idname = "stylegan_reactive.bake"
    bl_label = "Bake"
    bl_options = {"REGISTER", "UNDO"}

    only_active: bpy.props.BoolProperty(name="Only the Active Envelope", default=False)

    def steps(self, scene: bpy.types.Scene) -> Steps[int]:
        """The work."""
        return bake_steps(scene, settings_of(scene).envelope_index if self.only_active else None)

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Say how many keys there are."""
        session.tell(scene, Notice(f"Baked {result} key frames. Edit them in the Graph Editor, channel group Audio."))
        self.report({"INFO"}, f"Baked {result} key frames")


CLASSES = (SGR_OT_bake,)
