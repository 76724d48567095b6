# SPDX-License-Identifier: GPL-3.0-or-later
"""The StyleGAN tab of the sidebar: the artist's steps from top to bottom, then the lists behind them."""

from typing import Any

import bpy

from .envelope_panels import SGR_PT_envelopes, SGR_UL_envelopes
from .panel_parts import draw_list, draw_text
from .patches import LAYERS, NOISE
from .picture_panels import SGR_PT_picture
from .properties import selected, settings_of
from .session import session
from .timing import song_strip

TAB = "StyleGAN"
EDITORS = ("VIEW_3D", "GRAPH_EDITOR", "IMAGE_EDITOR", "SEQUENCE_EDITOR", "NODE_EDITOR")


class SGR_UL_layers(bpy.types.UIList):
    """Latent or noise layers; the lowest entry of the list is the top of the stack."""

    def draw_item(self, _c: Any, layout: Any, _d: Any, item: Any, _i: Any, _a: Any, _p: Any) -> None:
        """Called by Blender for each row."""
        row = layout.row(align=True)
        row.prop(item, "name", text="", emboss=False)
        row.label(text=item.envelope.removeprefix("audio_").title() if item.envelope else "")
        row.prop(item, "enabled", text="", icon="HIDE_OFF" if item.enabled else "HIDE_ON", emboss=False)


class Panel:
    """What all panels of the tab share."""

    bl_region_type = "UI"
    bl_category = TAB


class SGR_PT_film:
    """Song, network, set up, bake, render: the whole way in five steps."""

    bl_label = "StyleGAN Reactive"

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, scene = self.layout, context.scene  # type: ignore[attr-defined]
        settings = settings_of(scene)
        column = layout.column(align=True)
        column.label(text="1. Song", icon="SOUND")
        column.prop(settings, "song", text="")
        if not settings.song:
            column.operator("stylegan_reactive.use_builtin_song")

        column = layout.column(align=True)
        column.label(text="2. Network", icon="NODETREE")
        column.prop(settings, "checkpoint", text="", placeholder="Built-in")
        if settings.checkpoint:
            column.prop(settings, "label")

        column = layout.column(align=True)
        column.label(text="3. Scene", icon="SCENE_DATA")
        column.row(align=True).prop(settings, "size", text="")
        column.prop(settings, "match_render_size")
        row = column.row()
        row.enabled = bool(settings.song)
        row.operator("stylegan_reactive.set_up")

        ready = settings.image is not None and song_strip(scene) is not None
        column = layout.column(align=True)
        column.label(text="4. Curves", icon="FCURVE")
        row = column.row()
        row.enabled = bool(settings.song and settings.envelopes)
        row.operator("stylegan_reactive.bake")

        column = layout.column(align=True)
        column.label(text="5. Film", icon="RENDER_ANIMATION")
        column.enabled = ready
        column.operator("stylegan_reactive.show_frame", icon="IMAGE_DATA")
        column.operator("stylegan_reactive.render", icon="RENDER_ANIMATION")

        row = layout.row()
        row.scale_y = 1.4
        row.enabled = bool(settings.song)
        row.operator("stylegan_reactive.make_film", icon="PLAY")

        # Last, so that no button moves under the mouse when a notice comes.
        notice = session.notice(scene)
        if notice is not None:
            box = layout.box()
            if notice.progress is not None:
                box.progress(factor=notice.progress, text=notice.text)
            else:
                box.alert = notice.is_error
                draw_text(box, notice.text, context.region.width, "ERROR" if notice.is_error else "INFO")


def _draw_layer(
    layout: bpy.types.UILayout, scene: bpy.types.Scene, layer: bpy.types.PropertyGroup, amount: str
) -> None:
    """The part that latent and noise layers share: where, how much, and what moves it."""
    layout.prop(layer, "range")
    if layer.range == "custom":
        row = layout.row(align=True)
        row.prop(layer, "first")
        row.prop(layer, "last")
    layout.prop(layer, amount)
    layout.prop_search(layer, "envelope", settings_of(scene), "envelopes", icon="FCURVE")
    if layer.envelope:
        layout.prop(layer, "gain")
        layout.prop(layer, "offset")


class SGR_PT_latents:
    """The latent stack."""

    bl_label = "Latent Layers"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, scene = self.layout, context.scene  # type: ignore[attr-defined]
        settings = settings_of(scene)
        layout.operator_menu_enum("stylegan_reactive.apply_preset", "name", text="Presets")
        draw_list(layout, settings, "SGR_UL_layers", LAYERS)
        layout.use_property_split = True
        layout.prop(settings, "truncation")
        layer = selected(settings, LAYERS)
        if layer is not None:
            column = layout.column()
            column.prop(layer, "kind")
            column.prop(layer, "seeds", text="Seed" if layer.kind == "static" else "Seeds")
            if layer.kind == "loop":
                column.prop(layer, "bars")
                column.prop_search(layer, "clock", settings, "envelopes", icon="TIME")
            _draw_layer(column, scene, layer, "influence")


class SGR_PT_noise:
    """The noise stack."""

    bl_label = "Noise Layers"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, scene = self.layout, context.scene  # type: ignore[attr-defined]
        settings = settings_of(scene)
        draw_list(layout, settings, "SGR_UL_layers", NOISE)
        layout.use_property_split = True
        layer = selected(settings, NOISE)
        if layer is not None:
            column = layout.column()
            column.prop(layer, "kind")
            if layer.kind != "own":
                column.prop(layer, "seed")
            if layer.kind == "evolving":
                column.prop(layer, "seconds")
                column.prop_search(layer, "clock", settings, "envelopes", icon="TIME")
            _draw_layer(column, scene, layer, "amplitude")


def _in_each_editor() -> tuple[type, ...]:
    """The same panels in the sidebars where an artist works on a film."""
    panels = []
    for editor in EDITORS:
        for content in (SGR_PT_film, SGR_PT_picture, SGR_PT_envelopes, SGR_PT_latents, SGR_PT_noise):
            name = f"{content.__name__}_{editor.lower()}"
            panels.append(type(name, (Panel, content, bpy.types.Panel), {"bl_space_type": editor, "bl_idname": name}))
    return tuple(panels)


CLASSES = (SGR_UL_layers, SGR_UL_envelopes, *_in_each_editor())
