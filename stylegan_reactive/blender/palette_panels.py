# SPDX-License-Identifier: GPL-3.0-or-later
"""The palette in the sidebar: a grid of thumbnails, and what can be done with the selected one."""

from typing import Any

import bpy

from .palette import painter, thumbnails, to_paint
from .panel_parts import draw_text
from .properties import selected, settings_of

CELL = 54  # pixels of the sidebar for one thumbnail, at a scale of 1
ICONS = bpy.types.UILayout.bl_rna.functions["prop"].parameters["icon"].enum_items


def draw_thumbnail(layout: bpy.types.UILayout, latent: Any, painted_by: tuple[str, int], scale: float) -> bool:
    """A latent's thumbnail, or an empty frame; whether it is up to date."""
    made = thumbnails.find(latent)
    column = layout.column()
    current = made is not None and made.painted_by == painted_by
    column.active = current  # stale ones are drawn pale
    column.template_icon(made.icon if made is not None else ICONS["IMAGE_PLANE"].value, scale=scale)
    return current


class SGR_PT_palette:
    """Pictures at hand."""

    bl_label = "Latent Palette"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, scene = self.layout, context.scene  # type: ignore[attr-defined]
        settings = settings_of(scene)
        row = layout.row(align=True)
        row.operator("stylegan_reactive.palette_roll", icon="FILE_REFRESH")
        row.operator("stylegan_reactive.palette_add", text="", icon="ADD")
        row.operator("stylegan_reactive.palette_import", text="", icon="IMPORT")
        if not settings.palette:
            draw_text(
                layout, "Roll to see pictures of the network, and give those you like to layers.", context.region.width
            )
            return
        width = context.region.width / context.preferences.system.ui_scale - 40
        columns = max(2, int(width / CELL))
        grid = layout.grid_flow(row_major=True, columns=columns, even_columns=True, even_rows=True, align=True)
        now = painter(scene)
        for number, entry in enumerate(settings.palette):
            cell = grid.column(align=True)
            current = draw_thumbnail(cell, entry, now, 2.5)
            mark = "LOCKED" if entry.locked else "SOLO_ON" if entry.starred else "NONE" if current else "ERROR"
            active = number == settings.palette_index
            cell.operator(
                "stylegan_reactive.palette_select", text=entry.title, icon=mark, depress=active
            ).index = number
        if to_paint(scene):
            draw_text(layout, "Pale pictures are not by this network and class.", context.region.width, "ERROR")
            layout.operator("stylegan_reactive.palette_paint", icon="RENDER_STILL")
        entry = selected(settings, "palette")
        if entry is not None:
            self.draw_entry(layout, entry)

    def draw_entry(self, layout: bpy.types.UILayout, entry: Any) -> None:
        """What can be done with the selected picture."""
        row = layout.row(align=True)
        row.prop(entry, "starred", text="Star", icon="SOLO_ON" if entry.starred else "SOLO_OFF", toggle=True)
        row.prop(entry, "locked", text="Lock", icon="LOCKED" if entry.locked else "UNLOCKED", toggle=True)
        for action, icon, step in (("MOVE", "TRIA_LEFT", -1), ("MOVE", "TRIA_RIGHT", 1), ("REMOVE", "X", 0)):
            button = row.operator("stylegan_reactive.list_edit", text="", icon=icon)
            button.collection, button.action, button.step = "palette", action, step
        column = layout.column(align=True)
        column.label(text="Use in the Selected Latent Layer")
        row = column.row(align=True)
        for target, text in (("STILL", "Still"), ("APPEND", "Add to Loop")):
            row.operator("stylegan_reactive.palette_assign", text=text).target = target
        row = column.row(align=True)
        row.menu("SGR_MT_palette_pitch", text="With a Note")
        row.operator("stylegan_reactive.palette_assign", text="Whole Palette").target = "LOOP"
