# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of envelopes in the sidebar: what is heard, and how it is made into curves."""

from typing import Any

import bpy

from .bake import needs_bake
from .curves import property_path
from .envelope_curves import curve_of, is_edited
from .envelope_features import KINDS
from .envelope_properties import STEP_KINDS, STEP_LABELS, SGR_Envelope
from .properties import selected, settings_of
from .shape_preview import draw_shape


class SGR_UL_envelopes(bpy.types.UIList):
    """Envelopes, each with its present value once it is baked."""

    def draw_item(self, context: Any, layout: Any, _d: Any, item: Any, _i: Any, _a: Any, _p: Any) -> None:
        """Called by Blender for each row."""
        scene = context.scene
        row = layout.split(factor=0.55, align=True)
        row.prop(item, "title", text="", emboss=False, icon=_state_icon(scene, item))
        right = row.row(align=True)
        if item.name in scene:
            right.prop(scene, property_path(item.name), text="", slider=True)
        else:
            right.label(text="Not baked")
        right.prop(item, "solo", text="", icon="SOLO_ON" if item.soloed else "SOLO_OFF", emboss=False)
        right.prop(item, "mute", text="", icon="HIDE_ON" if item.mute else "HIDE_OFF", emboss=False)


def _state_icon(scene: bpy.types.Scene, envelope: SGR_Envelope) -> str:
    """How a curve stands: not there, edited by hand, made with other settings, or as baked."""
    if curve_of(scene, envelope.name) is None:
        return "DOT"
    if is_edited(scene, envelope):
        return "GREASEPENCIL"
    return "FILE_REFRESH" if needs_bake(scene, envelope) else "FCURVE"


class SGR_PT_envelopes:
    """What is heard, and how it is made into curves."""

    bl_label = "Envelopes"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, scene = self.layout, context.scene  # type: ignore[attr-defined]
        settings = settings_of(scene)
        _draw_list(layout, settings)
        row = layout.row(align=True)
        row.label(text="Bake")
        for which, text in (("ALL", "All"), ("ACTIVE", "Selected"), ("MISSING", "Missing")):
            row.operator("stylegan_reactive.bake", text=text).which = which
        envelope = selected(settings, "envelopes")
        if envelope is not None:
            curve = curve_of(scene, envelope.name)
            if curve is not None:
                draw_shape(layout, scene, curve, endless=envelope.is_clock)
            _draw_state(layout, scene, envelope)
            _draw_feature(layout, envelope)
            if not envelope.is_clock:
                _draw_steps(layout, envelope)
            _draw_curve(layout, scene, envelope)
        _draw_song(layout, settings)


def _draw_list(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    row = layout.row()
    row.template_list(
        "SGR_UL_envelopes", "envelopes", settings, "envelopes", settings, "envelope_index", rows=7, sort_lock=True
    )
    buttons = row.column(align=True)
    buttons.operator_menu_enum("stylegan_reactive.envelope_add", "kind", text="", icon="ADD")
    buttons.operator("stylegan_reactive.envelope_remove", text="", icon="REMOVE")
    buttons.separator()
    buttons.operator("stylegan_reactive.envelope_duplicate", text="", icon="DUPLICATE")
    buttons.separator()
    for step, icon in ((-1, "TRIA_UP"), (1, "TRIA_DOWN")):
        buttons.operator("stylegan_reactive.envelope_move", text="", icon=icon).step = step


def _draw_state(layout: bpy.types.UILayout, scene: bpy.types.Scene, envelope: SGR_Envelope) -> None:
    """A line that says why a curve is not as its settings would make it."""
    if curve_of(scene, envelope.name) is None:
        return
    if is_edited(scene, envelope):
        layout.label(text="Edited by hand; baking asks first", icon="GREASEPENCIL")
    elif needs_bake(scene, envelope):
        layout.label(text="Settings changed; bake again", icon="FILE_REFRESH")


def _draw_feature(layout: bpy.types.UILayout, envelope: SGR_Envelope) -> None:
    header, body = layout.panel("stylegan_reactive_feature", default_closed=False)
    header.label(text="Listen For")
    if body is None:
        return
    body.use_property_split = True
    body.use_property_decorate = False
    column = body.column()
    column.prop(envelope, "kind")
    if envelope.kind == "chroma" and envelope.bins in (0, 12):
        column.prop(envelope, "note")
    elif envelope.kind == "tonnetz":
        column.prop(envelope, "axis")
    elif KINDS[envelope.kind]["columns"] != 0:
        column.prop(envelope, "part", text="Kind" if envelope.kind == "sections" else "Octave Band")
    if envelope.takes("bins"):
        column.prop(envelope, "bins", text="Kinds" if envelope.kind == "sections" else "Notes per Octave")
    if envelope.takes("source"):
        column.prop(envelope, "source")
        if envelope.source == "stem":
            column.prop(envelope, "stem")
    if envelope.takes("band"):
        row = column.row(heading="Band (Hz)", align=True)
        row.prop(envelope, "use_band", text="")
        sub = row.row(align=True)
        sub.active = envelope.use_band
        sub.prop(envelope, "band_low", text="")
        sub.prop(envelope, "band_high", text="")
    if envelope.takes("seconds"):
        bars = envelope.takes("bars")
        label = "Cross-Fade" if bars else "Average Over"
        column.prop(envelope, "length", text=f"{label} ({'Bars' if bars and envelope.length_in_bars else 'Seconds'})")
        if bars:
            column.prop(envelope, "length_in_bars")


def _draw_steps(layout: bpy.types.UILayout, envelope: SGR_Envelope) -> None:
    header, body = layout.panel("stylegan_reactive_steps", default_closed=False)
    header.label(text="Shape")
    if body is None:
        return
    body.operator_menu_enum("stylegan_reactive.step_add", "kind", text="Add Step", icon="ADD")
    for index, step in enumerate(envelope.steps):
        box = body.box()
        row = box.row(align=True)
        icon = "DOWNARROW_HLT" if step.expanded else "RIGHTARROW"
        row.prop(step, "expanded", text="", icon=icon, emboss=False)
        row.label(text=STEP_LABELS.get(step.kind, step.kind))
        row.prop(step, "enabled", text="", icon="HIDE_OFF" if step.enabled else "HIDE_ON", emboss=False)
        for action, icon in (("UP", "TRIA_UP"), ("DOWN", "TRIA_DOWN"), ("REMOVE", "X")):
            button = row.operator("stylegan_reactive.step_edit", text="", icon=icon, emboss=False)
            button.index, button.action = index, action
        if step.expanded:
            column = box.column()
            column.use_property_split = True
            column.use_property_decorate = False
            column.active = step.enabled
            for name in STEP_KINDS[step.kind]["parameters"]:
                column.prop(step, f"{step.kind}_{name}")


def _draw_curve(layout: bpy.types.UILayout, scene: bpy.types.Scene, envelope: SGR_Envelope) -> None:
    header, body = layout.panel("stylegan_reactive_curve", default_closed=True)
    header.label(text="Keys and Modifiers")
    if body is None:
        return
    column = body.column()
    column.use_property_split = True
    column.use_property_decorate = False
    sub = column.column()
    sub.active = not envelope.dense
    sub.prop(settings_of(scene), "tolerance")
    column.prop(envelope, "dense")
    curve = curve_of(scene, envelope.name)
    if curve is None:
        return
    count = len(curve.keyframe_points)
    frames = round(curve.keyframe_points[-1].co.x - curve.keyframe_points[0].co.x) + 1 if count else 0
    body.label(text=f"{count} keys for {frames} frames")
    body.operator_menu_enum("stylegan_reactive.modifier_add", "kind", text="Add Modifier", icon="MODIFIER")
    for modifier in curve.modifiers:
        row = body.row(align=True)
        row.label(text=modifier.name or modifier.type.title(), icon="MODIFIER")
        row.prop(modifier, "mute", text="", icon="HIDE_ON" if modifier.mute else "HIDE_OFF", emboss=False)


def _draw_song(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    hearing = settings.hearing
    header, body = layout.panel("stylegan_reactive_hearing", default_closed=True)
    header.label(text="Beat, Sections, Stems")
    if body is None:
        return
    body.use_property_split = True
    body.use_property_decorate = False
    column = body.column()
    column.prop(hearing, "tempo_from")
    if hearing.tempo_from == "FIXED":
        column.prop(hearing, "fixed_bpm")
        row = column.row(heading="First Beat At", align=True)
        row.prop(hearing, "use_first_beat", text="")
        sub = row.row(align=True)
        sub.active = hearing.use_first_beat
        sub.prop(hearing, "first_beat", text="")
    elif hearing.tempo_from == "TAPPED":
        row = column.row(align=True)
        row.operator("stylegan_reactive.tap", text=f"Tap ({len(hearing.tapped())})")
        row.operator("stylegan_reactive.tap_clear", text="", icon="X")
    if hearing.tempo_from != "FIXED":
        column.prop(hearing, "speed")
    column.prop(hearing, "beats_per_bar")
    column.prop(hearing, "bar_offset")
    column.separator()
    column.prop(hearing, "use_section_markers")
    sub = column.column()
    sub.active = not hearing.use_section_markers
    sub.prop(hearing, "section_kinds")
    sub.prop(hearing, "section_method")
    sub.prop(hearing, "shortest_bars")
    if hearing.section_labels:
        column.label(text=f"Sections: {hearing.section_labels.replace(',', ', ')}")
    column.operator("stylegan_reactive.add_section_envelopes")
    column.separator()
    row = column.row(heading="Markers", align=True)
    row.prop(hearing, "mark_sections", toggle=True)
    row.prop(hearing, "mark_downbeats", toggle=True)
    row.prop(hearing, "mark_beats", toggle=True)
    column.operator("stylegan_reactive.mark_song", icon="MARKER_HLT")
    column.separator()
    column.prop(hearing, "stems")
    column.prop(hearing, "separation_weights")
    column.operator("stylegan_reactive.separate_stems")
