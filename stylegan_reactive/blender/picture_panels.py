# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel of the picture: its preview, its shape, and where it goes."""

import bpy

from .compositor import OURS, tree_of
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
        column = layout.column(align=True)
        column.use_property_split = False
        row = column.row()
        row.label(text="Preview")
        rate = preview.rate(scene)
        if rate:
            quiet = row.row()
            quiet.active, quiet.alignment = False, "RIGHT"
            quiet.label(text=f"{rate:.0f} pictures/s" if rate > 1.5 else f"{rate:.1f} pictures/s")
        column.row(align=True).prop(settings, "preview", expand=True)
        row = column.row()
        row.enabled = settings.preview in ("QUARTER", "HALF")
        row.prop(settings, "preview_settle")
        column = layout.column(heading="Size")
        column.prop(settings, "follow_render")
        column.prop(settings, "fit")
        column = layout.column(align=True)
        column.enabled = settings.image is not None
        column.operator_menu_enum("stylegan_reactive.place", "where", text="Use the Picture", icon="IMAGE_DATA")
        tree = tree_of(scene)
        if tree is not None and any(node.name in OURS for node in tree.nodes):
            column.operator("stylegan_reactive.unplace", icon="X")
