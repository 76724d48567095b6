# SPDX-License-Identifier: GPL-3.0-or-later
"""The question whether a file from elsewhere may use the engine, and the list of those that may."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ..errors import ReactiveError
from .panel_parts import draw_text
from .session import session
from .trust import trust

Answer = set[str]
SHOWN = 12  # entries of the list; more would fill the preferences


class SGR_OT_allow_file(bpy.types.Operator):
    """Let this file load its network and its song, now and whenever it is opened. Nothing in them is ever executed"""

    bl_idname = "stylegan_reactive.allow_file"
    bl_label = "Allow This File"

    whole_folder: BoolProperty(
        name="Whole Folder",
        description="Allow every file in its folder, and in the folders below",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Called by Blender."""
        if not trust.strangers():
            cls.poll_message_set("This file is allowed")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        files = [*trust.strangers(), bpy.data.filepath]  # it may have been saved under another name meanwhile
        try:
            for file in filter(None, files):
                trust.allow(str(Path(file).parent) if self.whole_folder else file)
        except OSError as error:
            self.report({"WARNING"}, f"Allowed until Blender is closed: the list cannot be written ({error})")
        session.tell(context.scene, None)
        return {"FINISHED"}


class SGR_OT_withdraw_file(bpy.types.Operator):
    """Ask again before this file, or a file in this folder, uses the engine"""

    bl_idname = "stylegan_reactive.withdraw_file"
    bl_label = "Allow No Longer"

    path: StringProperty(name="Path", description="The file or folder", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        try:
            trust.withdraw(self.path)
        except OSError as error:
            session.fail(context.scene, ReactiveError(f"The list of allowed files cannot be written: {error}"))
            return {"CANCELLED"}
        return {"FINISHED"}


def draw_question(layout: bpy.types.UILayout, width: float) -> None:
    """While the file is not allowed: what it is about, and the two answers."""
    strangers = trust.strangers()
    if not strangers:
        return
    box = layout.box()
    text = (
        f"{Path(strangers[0]).name} was not made in this Blender. Its network and song are not loaded until you allow "
        "it. Do so if you know where it is from."
    )
    draw_text(box, text, width, "LOCKED")
    column = box.column(align=True)
    column.operator("stylegan_reactive.allow_file", icon="CHECKMARK")
    row = column.row(align=True)
    row.operator("stylegan_reactive.allow_file", text="Allow Its Folder", icon="FILE_FOLDER").whole_folder = True


def draw_allowed(layout: bpy.types.UILayout, width: float) -> None:
    """The files and folders that were allowed, each with a button to take that back."""
    paths = trust.all_allowed()
    header, column = layout.panel("stylegan_reactive_allowed", default_closed=True)
    header.label(text=f"Allowed Files ({len(paths)})")
    if column is None:
        return
    draw_text(column, "Files that others made load nothing until you allow them in the StyleGAN tab.", width, "INFO")
    for path in paths[:SHOWN]:
        row = column.row(align=True)
        row.label(text=path, icon="FILE_FOLDER" if Path(path).suffix != ".blend" else "FILE_BLEND")
        row.operator("stylegan_reactive.withdraw_file", text="", icon="X", emboss=False).path = path
    if len(paths) > SHOWN:
        draw_text(column, f"And {len(paths) - SHOWN} more. Allow a whole folder to shorten the list.", width)


CLASSES = (SGR_OT_allow_file, SGR_OT_withdraw_file)
