# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that several panels draw."""

import textwrap
from typing import Any

import bpy


def draw_text(layout: bpy.types.UILayout, text: str, width: float, icon: str = "NONE") -> None:
    """A text over as many lines as the sidebar's width in pixels needs."""
    characters = max(20, int(width / (7 * bpy.context.preferences.system.ui_scale)) - 6)
    column = layout.column(align=True)
    column.scale_y = 0.85
    lines = [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, characters)]
    for number, line in enumerate(lines):
        column.label(text=line, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE")


def draw_notice(layout: bpy.types.UILayout, notice: Any, width: float) -> None:
    """A `session.Notice`: a bar while something is under way, else a text, red where it is an error."""
    if notice.progress is not None:
        layout.progress(factor=notice.progress, text=notice.text)
    else:
        layout.alert = notice.is_error
        draw_text(layout, notice.text, width, "ERROR" if notice.is_error else "INFO")
