# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole mapping as text: saved to a file, loaded from one, copied from scene to scene."""

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..errors import PatchError
from ..files import write_whole
from .asking import AskFirst
from .keying import FILE
from .layer_operators import clear_stacks
from .list_operators import Editable
from .operators import LongOperator, report_failure
from .patches import apply_patch, envelopes_read, patch_of
from .properties import settings_of
from .session import Notice, session
from .steps import Steps, in_background

Answer = set[str]
LARGEST_FILE = 64 * 1024 * 1024  # bytes: no patch comes near it


def patch_text(scene: bpy.types.Scene) -> str:
    """The scene's patch as the text of a file; raises `PatchError`."""
    return json.dumps(patch_of(scene), indent=2, allow_nan=False) + "\n"


def write_patch(scene: bpy.types.Scene, path: str) -> None:
    """Save the scene's patch; raises `PatchError` where the file cannot be written."""
    text = patch_text(scene)
    try:
        place = Path(path).resolve()  # what a link leads to
        if place.exists() and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is read-only")
        write_whole(place, text.encode())
    except OSError as fault:
        raise PatchError(
            f"The file {path} cannot be written ({fault.strerror or fault}). Choose another place."
        ) from None


def read_file(path: str) -> str:
    """The text of a file; raises `PatchError`."""
    try:
        if Path(path).stat().st_size > LARGEST_FILE:
            raise PatchError(f"The file {path} is too large for a patch. Choose another one.")
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise PatchError(f"The file {path} cannot be read ({fault.strerror or fault}). Choose another one.") from None
    except UnicodeDecodeError:
        raise PatchError(f"The file {path} is no text, so it is no patch. Choose another one.") from None


def read_steps(text: str, where: str) -> Steps[dict[str, Any]]:
    """A text as a patch of this version, checked by the engine; raises `PatchError` that says where it is wrong."""
    engine = session.engine()
    yield from in_background("Starting the engine", lambda _report: engine.start())
    try:
        return (yield from in_background("Reading the patch", lambda _report: engine.read_patch(text)))
    except PatchError as error:
        raise PatchError(f"{where}: {error} Nothing was changed.") from None


def take_patch(scene: bpy.types.Scene, patch: Mapping[str, Any], *, network: bool) -> str:
    """Put a patch in place of the scene's layers, and say what is to be done next."""
    settings = settings_of(scene)
    clear_stacks(scene)
    apply_patch(settings, dict(patch), network=network)
    known = {envelope.name for envelope in settings.envelopes} | set(scene.keys())
    missing = sorted(envelopes_read(dict(patch)) - known)
    if not missing:
        return ""
    names = ", ".join(missing[:4]) + (" and others" if len(missing) > 4 else "")
    return f"The layers listen to {names}, which this scene does not have. Add these envelopes, or choose others."


class PatchReader(Editable):
    """What loading and pasting share."""

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Replace the layers: one step of undo."""
        patch, network = result
        note = take_patch(scene, patch, network=network)
        if note:
            session.tell(scene, Notice(note))
            self.report({"WARNING"}, note)  # type: ignore[attr-defined]


class SGR_OT_save_patch(bpy.types.Operator, ExportHelper):
    """Save all layers as a file that other scenes and projects can load. Keys stay in this scene"""

    bl_idname = "stylegan_reactive.save_patch"
    bl_label = "Save Patch"
    bl_options = {"REGISTER", "INTERNAL"}

    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        try:
            write_patch(context.scene, self.filepath)
        except PatchError as error:
            return report_failure(self, context.scene, error)
        self.report({"INFO"}, f"Saved {self.filepath}")
        return {"FINISHED"}


class SGR_OT_load_patch(PatchReader, AskFirst, bpy.types.Operator, ImportHelper):
    """Replace all layers by those of a file. The song and the envelopes stay"""

    bl_idname = "stylegan_reactive.load_patch"
    bl_label = "Load Patch"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filename_ext = ".json"
    filepath: StringProperty(name="File", subtype="FILE_PATH", options=FILE)
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})
    network: BoolProperty(
        name="Load the Network Too", default=False, description="Also use the network that the patch was made with"
    )

    ARGUMENTS = ("filepath", "network")

    def ask(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        """The file browser."""
        return set(ImportHelper.invoke(self, context, event))

    def steps(self, scene: bpy.types.Scene) -> Steps[Any]:
        """The work."""
        network, path = self.network, bpy.path.abspath(self.filepath)
        patch = yield from read_steps(read_file(path), Path(path).name)
        return patch, network


class SGR_OT_copy_patch(bpy.types.Operator):
    """Copy all layers, to paste them into another scene or file. Keys are not copied"""

    bl_idname = "stylegan_reactive.copy_patch"
    bl_label = "Copy Patch"
    bl_options = {"REGISTER", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        try:
            session.clipboard = context.window_manager.clipboard = patch_text(context.scene)
        except PatchError as error:
            return report_failure(self, context.scene, error)
        self.report({"INFO"}, "Copied all layers")
        return {"FINISHED"}


class SGR_OT_paste_patch(PatchReader, LongOperator, bpy.types.Operator):
    """Replace all layers by those that were copied in another scene or file"""

    bl_idname = "stylegan_reactive.paste_patch"
    bl_label = "Paste Patch"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def steps(self, scene: bpy.types.Scene) -> Steps[Any]:
        """The work."""
        text = bpy.context.window_manager.clipboard or session.clipboard
        if not text.lstrip().startswith("{"):
            raise PatchError("The clipboard holds no patch. Press Copy Patch in another scene first.")
        patch = yield from read_steps(text, "The clipboard")
        return patch, False


class SGR_MT_patch(bpy.types.Menu):
    """Presets, files, copy and paste"""

    bl_idname = "SGR_MT_patch"
    bl_label = "Patch"

    def draw(self, _context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout = self.layout
        layout.operator("stylegan_reactive.load_patch", text="Load…", icon="FILE_FOLDER")
        layout.operator("stylegan_reactive.save_patch", text="Save As…", icon="FILE_TICK")
        layout.separator()
        layout.operator("stylegan_reactive.copy_patch", text="Copy", icon="COPYDOWN")
        layout.operator("stylegan_reactive.paste_patch", text="Paste", icon="PASTEDOWN")


CLASSES = (SGR_OT_save_patch, SGR_OT_load_patch, SGR_OT_copy_patch, SGR_OT_paste_patch, SGR_MT_patch)
