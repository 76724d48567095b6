# SPDX-License-Identifier: GPL-3.0-or-later
"""“Follow Envelope” in the menu that opens by a right click on any number."""

from typing import Any

import bpy
from bpy.props import FloatProperty, StringProperty

from ..errors import ReactiveError
from .follow import Place, can_follow, follow, following, suggest, unfollow
from .operators import Answer, report_failure
from .properties import settings_of


def place_under_mouse(context: bpy.types.Context) -> Place | None:
    """The property that a context menu was opened on; None where it is no number."""
    found = getattr(context, "property", None)
    if found is None:
        return None
    owner, data_path, index = found
    place = Place(owner, data_path, index)
    return place if can_follow(place) else None


class SGR_OT_follow_envelope(bpy.types.Operator):
    """Let this property move with an envelope of the song"""

    bl_idname = "stylegan_reactive.follow_envelope"
    bl_label = "Follow Envelope"
    bl_options = {"UNDO"}  # not REGISTER: to adjust it afterwards, Blender would undo the datablock from under it

    envelope: StringProperty(name="Envelope", description="The curve that moves the property")
    gain: FloatProperty(name="Gain", default=1.0, description="How far the property moves when the envelope is at 1")
    offset: FloatProperty(name="Offset", default=0.0, description="What the property is when the envelope is at 0")
    _place: Place | None = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Called by Blender."""
        return bool(settings_of(context.scene).envelopes)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        """Open the dialog, with what the property does now."""
        self._place = place_under_mouse(context)
        if self._place is None:
            self.report({"WARNING"}, "Put the mouse over a number, and choose this by a right click")
            return {"CANCELLED"}
        now = following(self._place)
        if now is not None:
            self.envelope, self.gain, self.offset = now.envelope, now.gain, now.offset
        else:
            self.gain, self.offset = suggest(self._place)
            settings = settings_of(context.scene)
            if self.envelope not in settings.envelopes:
                self.envelope = settings.envelopes[settings.envelope_index].name
        answer: Any = context.window_manager.invoke_props_dialog(self, confirm_text="Follow")
        return answer

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop_search(self, "envelope", settings_of(context.scene), "envelopes", icon="FCURVE")
        layout.prop(self, "gain")
        layout.prop(self, "offset")

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by the dialog's button."""
        place = self._place or place_under_mouse(context)
        try:
            if place is None:
                raise ReactiveError(
                    "There is no number under the mouse that could follow an envelope. Right-click one, and try again."
                )
            follow(context.scene, place, self.envelope, self.gain, self.offset)
        except ReactiveError as error:
            return report_failure(self, context.scene, error)
        return {"FINISHED"}


class SGR_OT_unfollow_envelope(bpy.types.Operator):
    """Let this property stand still again, at its offset"""

    bl_idname = "stylegan_reactive.unfollow_envelope"
    bl_label = "Stop Following Envelope"
    bl_options = {"UNDO"}  # not REGISTER: to adjust it afterwards, Blender would undo the datablock from under it

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by the menu."""
        place = place_under_mouse(context)
        if place is None:
            return {"CANCELLED"}
        unfollow(place)
        return {"FINISHED"}


def draw_menu(menu: Any, context: bpy.types.Context) -> None:
    """Added to the menu of a right click on a property."""
    place = place_under_mouse(context)
    if place is None or not settings_of(context.scene).envelopes:
        return
    menu.layout.separator()
    menu.layout.operator_context = "INVOKE_DEFAULT"
    menu.layout.operator("stylegan_reactive.follow_envelope", icon="FCURVE")
    if following(place) is not None:
        menu.layout.operator("stylegan_reactive.unfollow_envelope")


CLASSES = (SGR_OT_follow_envelope, SGR_OT_unfollow_envelope)


def register() -> None:
    """Add the menu's entries."""
    bpy.types.UI_MT_button_context_menu.append(draw_menu)


def unregister() -> None:
    """Take them away."""
    bpy.types.UI_MT_button_context_menu.remove(draw_menu)
