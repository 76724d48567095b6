# SPDX-License-Identifier: GPL-3.0-or-later
"""The render farm's buttons and panel: write the job of this film, and check this machine for one."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from .asking import AskFirst
from .farm_bundle import JobOptions, bundle_steps, check_steps
from .keying import FILE
from .operators import Answer
from .panel_parts import draw_text
from .properties import settings_of
from .session import Notice, session
from .steps import Steps

FARM_ITEMS = (
    ("openjd", "Open Job Description", "A job template that AWS Deadline Cloud and other farms read"),
    ("flamenco", "Flamenco", "A job for Blender's own farm manager, with its job type script"),
)
DEVICE_ITEMS = (
    ("here", "Same as Here", "The kind of device that the engine uses on this computer"),
    ("cpu", "Processor", "Every machine paints on its processor"),
    ("cuda", "NVIDIA or AMD Card", "Every machine paints on its graphics card, with CUDA or ROCm"),
    ("mps", "Apple", "Every machine paints on its Apple graphics processor"),
    ("any", "Any Device", "Machines may differ. Frames of unlike ones can differ by what is hardly seen"),
)
NEXT = {
    "openjd": "Copy or upload the folder, and give its template.json to your farm.",
    "flamenco": "The folder has to be where all workers see it. Install the script in its folder 'flamenco' in the "
    "manager once, then send job.json, or open film.blend and submit it.",
}


def place_for(context: bpy.types.Context) -> str:
    """Where a bundle is suggested: beside the .blend file."""
    folder = Path(bpy.data.filepath).parent if bpy.data.filepath else Path.home()
    stem, number = Path(bpy.data.filepath).stem or context.scene.name, 1
    while (folder / f"{stem}_farm_{number}").exists():
        number += 1
    return str(folder / f"{stem}_farm_{number}")


class SGR_OT_submit_to_farm(AskFirst, bpy.types.Operator):
    """Write a folder with the film, its song, its network and the job, for a render farm. This file stays as it is"""

    bl_idname = "stylegan_reactive.submit_to_farm"
    bl_label = "Submit to Farm"
    bl_options = {"REGISTER"}
    ARGUMENTS = ("filepath", "farm", "chunk", "device")

    filepath: StringProperty(
        name="Folder", subtype="FILE_PATH", options=FILE, description="The folder to make; it must be new"
    )
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    farm: EnumProperty(name="Farm", items=FARM_ITEMS, default="openjd", description="For which kind of farm the job is")
    chunk: IntProperty(
        name="Frames per Task",
        default=50,
        min=1,
        soft_max=1000,
        description="Frames that a machine renders before it asks for more. More cost less in starts of Blender, fewer "
        "spread better over many machines",
    )
    device: EnumProperty(
        name="Device",
        items=DEVICE_ITEMS,
        default="here",
        description="What every machine must paint with, so that all frames look the same",
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Called by Blender."""
        if settings_of(context.scene).image is None:
            cls.poll_message_set("Press Set Up Scene and Bake first")
            return False
        return True

    def ask(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        """In the file browser."""
        self.filepath = place_for(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, _context: bpy.types.Context) -> None:
        """Called by Blender for the side of the file browser."""
        layout = self.layout
        for name, title in (("farm", "Farm"), ("chunk", "Frames per Task"), ("device", "Device")):
            column = layout.column(align=True)
            column.label(text=title)  # the side of the browser is too narrow for a name beside
            column.prop(self, name, text="")
        draw_text(layout, NEXT[self.farm], 240, "INFO")

    def steps(self, scene: bpy.types.Scene) -> Steps[Path]:
        """The work."""
        device = "" if self.device == "any" else self.device
        return bundle_steps(scene, Path(bpy.path.abspath(self.filepath)), JobOptions(self.farm, self.chunk, device))

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Say where the job is and what comes next."""
        session.farm_bundle, session.farm_lines = str(result), ()
        session.tell(scene, Notice(f"The job is in {result}. {NEXT[self.farm]}"))


class SGR_OT_check_bundle(AskFirst, bpy.types.Operator):
    """Say what this computer lacks for a job, and whether it paints the same pictures as the others"""

    bl_idname = "stylegan_reactive.check_bundle"
    bl_label = "Check This Machine"
    bl_options = {"REGISTER"}
    ARGUMENTS = ("directory",)

    directory: StringProperty(
        name="Job", subtype="DIR_PATH", options=FILE, description="The folder that Submit to Farm has written"
    )
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def ask(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        """For the folder; the last one is suggested."""
        if session.farm_bundle:
            self.directory = session.farm_bundle
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def steps(self, scene: bpy.types.Scene) -> Steps[list[str]]:
        """The work."""
        session.farm_lines = ()
        session.farm_bundle = bpy.path.abspath(self.directory)
        return check_steps(Path(session.farm_bundle))

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Show the report."""
        session.farm_lines = tuple(result)
        session.tell(scene, Notice("This machine can render the film."))


class SGR_PT_farm:
    """Write the job of this film for a render farm, and check a machine for it."""

    bl_label = "Render Farm"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout = self.layout  # type: ignore[attr-defined]
        column = layout.column(align=True)
        column.operator("stylegan_reactive.submit_to_farm", text="Submit to Farm…", icon="EXPORT")
        column.operator("stylegan_reactive.check_bundle", text="Check This Machine…", icon="CHECKMARK")
        if session.farm_lines:
            box = layout.box()
            for line in session.farm_lines:
                note = line.startswith("NOTE: ")
                draw_text(box, line.removeprefix("NOTE: "), context.region.width, "INFO" if note else "NONE")


CLASSES = (SGR_OT_submit_to_farm, SGR_OT_check_bundle)
