# SPDX-License-Identifier: GPL-3.0-or-later
"""The palette's buttons; each is a few lines over a plain function of `palette`."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ..errors import PatchError
from .asking import AskFirst
from .envelope_properties import PITCHES
from .keying import FILE
from .layer_properties import SPACES, parse_seeds
from .list_operators import Editable
from .operators import LongOperator, report_failure
from .palette import (
    add_latents,
    apply_roll,
    assign,
    keep_all,
    paint_steps,
    painter,
    rolled,
    stored,
    to_paint,
)
from .patches import LAYERS
from .properties import selected, settings_of
from .session import session
from .steps import Steps, in_background, scene_again

Answer = set[str]


class HasEntry(Editable):
    """What needs a selected picture."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Called by Blender."""
        if not super().poll(context):
            return False
        if selected(settings_of(context.scene), "palette") is None:
            cls.poll_message_set("The palette is empty. Press Roll to fill it")  # type: ignore[attr-defined]
            return False
        return True


class SGR_OT_palette_roll(Editable, LongOperator, bpy.types.Operator):
    """Fill the palette with new pictures. Those with a star or a lock stay"""

    bl_idname = "stylegan_reactive.palette_roll"
    bl_label = "Roll"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Called by Blender."""
        if not super().poll(context):
            return False
        entries = settings_of(context.scene).palette
        if len(entries) and all(entry.starred or entry.locked for entry in entries):
            cls.poll_message_set("Every picture has a star or a lock. Take some off first")
            return False
        return True

    def steps(self, scene: bpy.types.Scene) -> Steps[Any]:
        """The work."""
        seeds, now = rolled(settings_of(scene)), painter(scene)
        new = [seed for seed in seeds if seed is not None]
        pictures = yield from paint_steps(scene, new)
        keep_all(new, pictures, now)
        return seeds

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Put them in."""
        apply_roll(settings_of(scene), result)


class SGR_OT_palette_paint(LongOperator, bpy.types.Operator):
    """Let the network paint the small pictures that are missing, or that another network or class has painted"""

    bl_idname = "stylegan_reactive.palette_paint"
    bl_label = "Paint Thumbnails"
    bl_options = {"REGISTER"}

    def steps(self, scene: bpy.types.Scene) -> Steps[Any]:
        """The work."""
        latents, now = to_paint(scene), painter(scene)
        pictures = yield from paint_steps(scene, latents)
        keep_all(latents, pictures, now)


class SGR_OT_palette_add(Editable, AskFirst, bpy.types.Operator):
    """Add pictures by their numbers"""

    bl_idname = "stylegan_reactive.palette_add"
    bl_label = "Add by Seed"
    bl_options = {"REGISTER", "UNDO"}

    seeds: StringProperty(name="Seeds", default="1-4", description="Numbers of the pictures, such as 7 or 1-12,24")

    ARGUMENTS = ("seeds",)

    def ask(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        """A dialog."""
        return set(context.window_manager.invoke_props_dialog(self, width=260))

    def steps(self, scene: bpy.types.Scene) -> Steps[Any]:
        """The work."""
        seeds, now = parse_seeds(self.seeds), painter(scene)
        pictures = yield from paint_steps(scene, seeds)
        keep_all(seeds, pictures, now)
        return seeds

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Put them in."""
        _add(self, scene, result)


def _add(operator: bpy.types.Operator, scene: bpy.types.Scene, latents: Any) -> None:
    try:
        add_latents(settings_of(scene), latents)
    except PatchError as error:
        report_failure(operator, scene, error)


class SGR_OT_palette_import(Editable, AskFirst, bpy.types.Operator, ImportHelper):
    """Add the latents of a file: projected photographs, or what other tools have saved"""

    bl_idname = "stylegan_reactive.palette_import"
    bl_label = "Import Latents"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(name="File", subtype="FILE_PATH", options=FILE)
    filter_glob: StringProperty(default="*.npy;*.npz;*.safetensors", options={"HIDDEN"})
    space: EnumProperty(name="Kind", items=SPACES, default="w", description="What the numbers in the file are")

    ARGUMENTS = ("filepath", "space")

    def ask(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        """The file browser."""
        return set(ImportHelper.invoke(self, context, event))

    def steps(self, scene: bpy.types.Scene) -> Steps[Any]:
        """The work."""
        uid, now, space = scene.session_uid, painter(scene), self.space
        path = bpy.path.abspath(self.filepath)
        if not Path(path).is_file():
            raise PatchError(f"The file of latents is not there: {path}. Choose another one.")
        engine = session.engine()
        yield from in_background("Starting the engine", lambda _report: engine.start())
        count = yield from in_background("Reading the file", lambda _report: engine.count_latents(now[0], path, space))
        latents = [{"file": path, "index": index, "space": space} for index in range(count)]
        pictures = yield from paint_steps(scene_again(uid), latents)
        keep_all(latents, pictures, now)
        return latents

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Put them in."""
        _add(self, scene, result)


class SGR_OT_palette_select(Editable, bpy.types.Operator):
    """Select this picture, to star, lock, move or use it"""

    bl_idname = "stylegan_reactive.palette_select"
    bl_label = "Select Picture"
    bl_options = {"INTERNAL", "UNDO"}

    index: IntProperty(options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        settings_of(context.scene).palette_index = self.index
        return {"FINISHED"}


class SGR_OT_palette_assign(HasEntry, bpy.types.Operator):
    """Give pictures of the palette to the selected latent layer"""

    bl_idname = "stylegan_reactive.palette_assign"
    bl_label = "Use in Layer"
    bl_options = {"REGISTER", "UNDO"}

    target: EnumProperty(
        name="Use As",
        items=(
            ("STILL", "Still Picture", "The selected layer shows this picture"),
            ("APPEND", "Next in Its Loop", "The loop of the selected layer goes on to this picture"),
            (
                "LOOP",
                "Whole Palette",
                "The selected layer goes through the whole palette, or has it as its notes",
            ),
            ("PITCH", "Note", "The selected layer shows this picture with a note"),
        ),
    )
    pitch: EnumProperty(name="Note", items=tuple((pitch, pitch, f"With the note {pitch}") for pitch in PITCHES))

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        """What this button does."""
        if properties.target == "PITCH":
            return f"The selected layer shows this picture with the note {properties.pitch}"
        return str(cls.bl_rna.properties["target"].enum_items[properties.target].description)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Called by Blender."""
        if not super().poll(context):
            return False
        if selected(settings_of(context.scene), LAYERS) is None:
            cls.poll_message_set("There is no latent layer. Add one in the panel Latent Layers")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        settings = settings_of(context.scene)
        whole = self.target == "LOOP"
        entries = settings.palette if whole else [selected(settings, "palette")]
        latents = [stored(entry) for entry in entries]
        assign(selected(settings, LAYERS), latents, self.target, PITCHES.index(self.pitch))
        return {"FINISHED"}


class SGR_MT_palette_pitch(bpy.types.Menu):
    """The notes that a picture can be shown with"""

    bl_idname = "SGR_MT_palette_pitch"
    bl_label = "Show with a Note"

    def draw(self, _context: bpy.types.Context) -> None:
        """Called by Blender."""
        for pitch in PITCHES:
            button = self.layout.operator("stylegan_reactive.palette_assign", text=pitch)
            button.target, button.pitch = "PITCH", pitch


CLASSES = (
    SGR_OT_palette_roll,
    SGR_OT_palette_paint,
    SGR_OT_palette_add,
    SGR_OT_palette_import,
    SGR_OT_palette_select,
    SGR_OT_palette_assign,
    SGR_MT_palette_pitch,
)
