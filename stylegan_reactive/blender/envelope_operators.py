# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons of the envelopes; each is a few lines over a plain function that scripts can call too."""

import functools
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..errors import ReactiveError
from .bake import Baked, bake_steps, duplicate, edited_envelopes
from .envelope_curves import add_modifier, modifiers_there, remove_curve
from .envelope_features import title_of
from .envelope_list import add_envelope, add_step
from .envelope_properties import STEP_ITEMS, feature_items
from .list_operators import Editable, move_entry, remove_entry
from .next_step import next_step
from .operators import Answer, LongOperator, report_failure
from .properties import selected, settings_of
from .session import Notice, session
from .steps import Steps

WHICH = (
    ("ALL", "All", "Every envelope of the list"),
    ("ACTIVE", "Selected", "The envelope that is selected in the list"),
    ("MISSING", "Missing", "Envelopes without a curve, and those whose settings have changed since"),
)

EDITED = (
    ("KEEP", "Keep Mine", "Leave the curves as you have edited them"),
    ("REPLACE", "Replace", "Write the keys anew; your keys are lost, your modifiers stay"),
    ("BESIDE", "Bake Beside", "Leave your curves, and bake new envelopes beside them, named with _2"),
)


class SGR_OT_bake(LongOperator, bpy.types.Operator):
    """Listen to the song and write what is heard into curves that you can edit in the Graph Editor"""

    bl_idname = "stylegan_reactive.bake"
    bl_label = "Bake"
    bl_options = {"REGISTER", "UNDO"}

    which: EnumProperty(name="Envelopes", items=WHICH, default="ALL", description="Which envelopes to bake")
    edited: EnumProperty(
        name="Edited Keys",
        items=(("ASK", "Ask", "Ask in the window; keep them in a script"), *EDITED),
        default="ASK",
        options={"SKIP_SAVE"},
        description="What to do with keys that you have edited by hand",
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        """Called by the button: ask where keys were edited by hand."""
        if self.edited == "ASK" and not bpy.app.background and edited_envelopes(context.scene, self.which):
            return bpy.ops.stylegan_reactive.bake_edited("INVOKE_DEFAULT", which=self.which)
        return super().invoke(context, event)

    def steps(self, scene: bpy.types.Scene) -> Steps[Baked]:
        """The work."""
        return bake_steps(scene, self.which, "KEEP" if self.edited == "ASK" else self.edited)

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Say what was baked."""
        session.tell(scene, Notice(f"{result} {next_step(scene)}".strip()))
        self.report({"INFO"}, str(result))


def _envelope_choices(_self: Any, context: bpy.types.Context) -> tuple[tuple[str, str, str], ...]:
    envelopes = settings_of(context.scene).envelopes if context is not None else ()
    return _choices(tuple(envelope.name for envelope in envelopes))


@functools.lru_cache(maxsize=64)  # Blender keeps no copy of the texts of a menu
def _choices(names: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    nothing = ("NONE", "None", "Follow no envelope: the number alone counts")
    return (nothing, *((name, title_of(name), f"Follow the curve {name} of this scene") for name in names))


class SGR_OT_choose_envelope(bpy.types.Operator):
    """Choose the envelope that this number follows"""

    bl_idname = "stylegan_reactive.choose_envelope"
    bl_label = "Choose Envelope"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    envelope: EnumProperty(name="Envelope", items=_envelope_choices)
    signal: StringProperty(options={"HIDDEN"}, description="Data path, from the scene, of what follows it")

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        signal: Any = context.scene.path_resolve(self.signal)
        signal.envelope = "" if self.envelope == "NONE" else self.envelope
        return {"FINISHED"}


class SGR_OT_bake_edited(bpy.types.Operator):
    """Bake envelopes some of which hold keys of your own"""

    bl_idname = "stylegan_reactive.bake_edited"
    bl_label = "Some Curves Were Edited by Hand"

    which: EnumProperty(items=WHICH, options={"HIDDEN"})
    edited: EnumProperty(name="Edited Keys", items=EDITED, default="KEEP", description="What to do with your keys")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        """Open the dialog."""
        answer: Any = context.window_manager.invoke_props_dialog(self, width=360, confirm_text="Bake")
        return answer

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        names = edited_envelopes(context.scene, self.which)
        column = self.layout.column(align=True)
        for name in names[:8]:
            column.label(text=name, icon="FCURVE")
        if len(names) > 8:
            column.label(text=f"and {len(names) - 8} more", icon="BLANK1")
        self.layout.column().prop(self, "edited", expand=True)

    def execute(self, _context: bpy.types.Context) -> Answer:
        """Called by the dialog's button."""
        return bpy.ops.stylegan_reactive.bake("INVOKE_DEFAULT", which=self.which, edited=self.edited)


# The list


class SGR_OT_envelope_add(Editable, bpy.types.Operator):
    """Add an envelope to the list; bake it to make its curve"""

    bl_idname = "stylegan_reactive.envelope_add"
    bl_label = "Add Envelope"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(name="Feature", items=feature_items(), description="What to listen for")

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        add_envelope(context.scene, self.kind)
        return {"FINISHED"}


class _OnEnvelope(Editable):
    """An operator on the selected envelope."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Called by Blender: whether there is one."""
        return super().poll(context) and selected(settings_of(context.scene), "envelopes") is not None


class SGR_OT_envelope_duplicate(_OnEnvelope, bpy.types.Operator):
    """Add an envelope that is made like the selected one"""

    bl_idname = "stylegan_reactive.envelope_duplicate"
    bl_label = "Duplicate Envelope"

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        settings = settings_of(context.scene)
        duplicate(context.scene, settings.envelope_index)
        settings.envelope_index += 1
        return {"FINISHED"}


class SGR_OT_envelope_remove(_OnEnvelope, bpy.types.Operator):
    """Remove the selected envelope, and its curve with it"""

    bl_idname = "stylegan_reactive.envelope_remove"
    bl_label = "Remove Envelope"

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        settings = settings_of(context.scene)
        remove_curve(context.scene, settings.envelopes[settings.envelope_index].name)
        remove_entry(settings, "envelopes", settings.envelope_index)
        return {"FINISHED"}


class SGR_OT_envelope_move(_OnEnvelope, bpy.types.Operator):
    """Move the selected envelope up or down in the list"""

    bl_idname = "stylegan_reactive.envelope_move"
    bl_label = "Move Envelope"

    step: IntProperty(default=1)

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        settings = settings_of(context.scene)
        to = settings.envelope_index + self.step
        if not 0 <= to < len(settings.envelopes):
            return {"CANCELLED"}
        move_entry(settings, "envelopes", settings.envelope_index, to)
        settings.envelope_index = to
        return {"FINISHED"}


# Steps and modifiers


class SGR_OT_step_add(_OnEnvelope, bpy.types.Operator):
    """Add a step between what is heard and its curve"""

    bl_idname = "stylegan_reactive.step_add"
    bl_label = "Add Step"

    kind: EnumProperty(name="Step", items=STEP_ITEMS, description="What is done with the curve")

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        add_step(selected(settings_of(context.scene), "envelopes"), self.kind)
        return {"FINISHED"}


class SGR_OT_step_edit(_OnEnvelope, bpy.types.Operator):
    """Move this step up or down, or remove it"""

    bl_idname = "stylegan_reactive.step_edit"
    bl_label = "Edit Step"

    index: IntProperty()
    action: EnumProperty(items=(("REMOVE", "Remove", ""), ("UP", "Move Up", ""), ("DOWN", "Move Down", "")))

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        steps = selected(settings_of(context.scene), "envelopes").steps
        if self.action == "REMOVE":
            steps.remove(self.index)
        else:
            to = self.index + (1 if self.action == "DOWN" else -1)
            if not 0 <= to < len(steps):
                return {"CANCELLED"}
            steps.move(self.index, to)
        return {"FINISHED"}


class SGR_OT_modifier_add(_OnEnvelope, bpy.types.Operator):
    """Add one of Blender's curve modifiers to the selected envelope; find its settings in the Graph Editor's sidebar"""

    bl_idname = "stylegan_reactive.modifier_add"
    bl_label = "Add Modifier"

    kind: EnumProperty(name="Modifier", items=modifiers_there(), description="What it does")

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        envelope = selected(settings_of(context.scene), "envelopes")
        if add_modifier(context.scene, envelope, self.kind) is None:
            return report_failure(
                self,
                context.scene,
                ReactiveError(f"The envelope {envelope.name!r} has no curve yet. Press Bake first."),
            )
        return {"FINISHED"}


CLASSES = (
    SGR_OT_choose_envelope,
    SGR_OT_bake,
    SGR_OT_bake_edited,
    SGR_OT_envelope_add,
    SGR_OT_envelope_duplicate,
    SGR_OT_envelope_remove,
    SGR_OT_envelope_move,
    SGR_OT_step_add,
    SGR_OT_step_edit,
    SGR_OT_modifier_add,
)
