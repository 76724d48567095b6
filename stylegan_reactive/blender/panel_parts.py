# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that several panels draw."""

import textwrap
from typing import Any

import bpy

from .properties import INDEX_OF


def draw_text(layout: bpy.types.UILayout, text: str, width: float, icon: str = "NONE") -> None:
    """A text over as many lines as the sidebar's width in pixels needs."""
    characters = max(20, int(width / (7 * bpy.context.preferences.system.ui_scale)) - 6)
    column = layout.column(align=True)
    column.scale_y = 0.85
    for number, line in enumerate(textwrap.wrap(text, characters)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE")


def draw_list(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, kind: str, collection: str) -> None:
    """A list of `SGR_Settings` with its buttons."""
    row = layout.row()
    row.template_list(kind, collection, settings, collection, settings, INDEX_OF[collection], rows=4)
    buttons = row.column(align=True)
    for action, icon, step in (
        ("ADD", "ADD", 0),
        ("REMOVE", "REMOVE", 0),
        ("MOVE", "TRIA_UP", -1),
        ("MOVE", "TRIA_DOWN", 1),
    ):
        button = buttons.operator("stylegan_reactive.list_edit", text="", icon=icon)
        button.collection, button.action, button.step = collection, action, step


def draw_notice(layout: bpy.types.UILayout, notice: Any, width: float) -> None:
    """A `session.Notice`: a bar while something is under way, else a text, red where it is an error."""
    if notice.progress is not None:
        layout.progress(factor=notice.progress, text=notice.text)
    else:
        layout.alert = notice.is_error
        draw_text(layout, notice.text, width, "ERROR" if notice.is_error else "INFO")
