# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel of the picture: its preview, its shape, and where it goes."""

import bpy

from .preview import preview
from .properties import settings_of


class SGR_PT_picture:
    """Preview, shape and places of the picture."""

    bl_label = "Picture"

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, scene = self.layout, context.scene  # type: ignore[attr-defined]
        settings = settings_of(scene)
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.row().prop(settings, "preview", expand=True)
        row = column.row()
        row.enabled = settings.preview in ("QUARTER", "HALF")
        row.prop(settings, "preview_settle")
        rate = preview.rate(scene)
        if rate:
            row = column.row()
            row.active = False
            row.alignment = "RIGHT"
            row.label(text=f"{rate:.0f} pictures per second")
        layout.column().prop(settings, "fit")
