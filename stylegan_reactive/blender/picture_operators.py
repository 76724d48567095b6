# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that show a picture."""

from typing import Any

import bpy

from .film import show_steps
from .operators import LongOperator
from .properties import settings_of
from .steps import Steps


class SGR_OT_show_frame(LongOperator, bpy.types.Operator):
    """Make the picture of the current frame now, and show it in the image"""

    bl_idname = "stylegan_reactive.show_frame"
    bl_label = "Show Frame"
    bl_options = {"REGISTER"}

    def steps(self, scene: bpy.types.Scene) -> Steps[None]:
        """The work."""
        return show_steps(scene)

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Bring the image to open image editors that show none."""
        screen = bpy.context.screen
        for area in screen.areas if screen is not None else ():
            if area.type == "IMAGE_EDITOR" and area.spaces.active.image is None:
                area.spaces.active.image = settings_of(scene).image


CLASSES = (SGR_OT_show_frame,)
