# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that show a picture, and those that bring it somewhere."""

from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty

from ..errors import ReactiveError
from . import compositor, displacement, edits, targets
from .film import show_steps
from .operators import Answer, LongOperator, report_failure
from .picture import make_twin
from .properties import settings_of
from .session import Notice, session
from .steps import Steps

PLACES = (
    ("FULL", "Full Frame", "The picture alone is the frame", "IMAGE_DATA", 0),
    ("BEHIND", "Behind the 3D Scene", "The picture is the backdrop of what the camera sees", "IMAGE_BACKGROUND", 1),
    ("OVER", "Over the 3D Scene", "The picture lies over what the camera sees", "MOD_OPACITY", 2),
    ("SURFACE", "On the Selected Objects", "The selected objects shine with the picture", "MATERIAL", 3),
    ("SCREEN", "On a New Screen", "A plane in the picture's shape that shines with it", "MESH_PLANE", 4),
    ("WORLD", "Around the 3D Scene", "The picture is the world, and lights the scene", "WORLD", 5),
    ("DISPLACE", "As Displacement", "The picture moves the surface of the selected objects", "MOD_DISPLACE", 6),
    ("MASK", "As a Mask", "The 3D scene is seen only where the picture is bright", "MOD_MASK", 7),
    ("SCENE_STRIP", "As a Scene Strip", "A new scene to cut this one with other strips", "SEQ_SEQUENCER", 8),
    ("IMAGE_STRIP", "As an Image Strip", "A new scene to cut the frames that you have saved", "FILE_IMAGE", 9),
)


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


class SGR_OT_open_picture(bpy.types.Operator):
    """Open an Image Editor beside this editor, with the picture in it"""

    bl_idname = "stylegan_reactive.open_picture"
    bl_label = "Open Picture Beside"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Called by Blender."""
        if context.area is None:
            return False
        if settings_of(context.scene).image is None:
            cls.poll_message_set("There is no picture yet. Press Set Up Scene")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        known = set(context.screen.areas)
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.5)
        for area in set(context.screen.areas) - known:
            area.type = "IMAGE_EDITOR"
            area.spaces.active.image = settings_of(context.scene).image
        return {"FINISHED"}


class SGR_OT_place(bpy.types.Operator):
    """Bring the picture somewhere: the whole frame, a surface, the world, a shape, an edit"""

    bl_idname = "stylegan_reactive.place"
    bl_label = "Use the Picture"
    bl_options = {"REGISTER", "UNDO"}

    where: EnumProperty(name="Where", items=PLACES, default="FULL")
    channel: EnumProperty(name="Channel", items=compositor.CHANNELS, default="LUMINANCE")
    opacity: FloatProperty(
        name="Opacity", default=0.5, min=0.0, max=1.0, subtype="FACTOR", description="How much the picture covers"
    )
    strength: FloatProperty(
        name="Strength", default=0.5, unit="LENGTH", description="How far the brightest point of the surface moves"
    )

    def draw(self, _context: bpy.types.Context) -> None:
        """Called by Blender for the panel of the last operation: only what matters there."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "where")
        if self.where in ("DISPLACE", "MASK"):
            layout.prop(self, "channel")
        if self.where == "OVER":
            layout.prop(self, "opacity")
        if self.where == "DISPLACE":
            layout.prop(self, "strength")

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        scene = context.scene
        try:
            note = self._place(context, scene)
        except ReactiveError as error:
            return report_failure(self, scene, error)
        session.tell(scene, Notice(note) if note else None)
        return {"FINISHED"}

    def _place(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Do it; what the artist should know."""
        image, stretch = targets.image_of(scene), settings_of(scene).follow_render
        if self.where in ("SURFACE", "SCREEN", "WORLD"):
            make_twin(scene)
        if self.where == "FULL":
            if not compositor.full_frame(scene, image, stretch=stretch):
                return "Your compositor was kept. Connect its node 'Fit to Render' where you want the picture."
        elif self.where in ("BEHIND", "OVER"):
            compositor.join(scene, image, behind=self.where == "BEHIND", opacity=self.opacity, stretch=stretch)
        elif self.where == "MASK":
            compositor.mask(scene, image, self.channel, stretch=stretch)
        elif self.where == "SURFACE":
            return targets.on_objects(scene, context.selected_objects)
        elif self.where == "SCREEN":
            made = targets.screen(scene, scene.cursor.location)
            for other in context.selected_objects:
                other.select_set(False)
            made.select_set(True)
            context.view_layer.objects.active = made
        elif self.where == "WORLD":
            targets.world(scene)
        elif self.where == "DISPLACE":
            return displacement.displace(scene, context.selected_objects, self.channel, self.strength)
        else:
            edit = edits.scene_strip(scene) if self.where == "SCENE_STRIP" else edits.image_strip(scene)
            if context.window is not None:
                context.window.scene = edit
                if hasattr(context.workspace, "sequencer_scene"):  # 5.0 and later
                    context.workspace.sequencer_scene = edit
        return ""


class SGR_OT_unplace(bpy.types.Operator):
    """Take the picture out of the compositor: the 3D scene, or what you have built there, is the frame again"""

    bl_idname = "stylegan_reactive.unplace"
    bl_label = "Remove from the Frame"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        return {"FINISHED"} if compositor.remove(context.scene) else {"CANCELLED"}


CLASSES = (SGR_OT_show_frame, SGR_OT_open_picture, SGR_OT_place, SGR_OT_unplace)
