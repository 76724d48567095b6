# SPDX-License-Identifier: GPL-3.0-or-later
"""The StyleGAN tab of the sidebar: the artist's steps from top to bottom, then the lists behind them."""

import textwrap
from typing import Any

import bpy

from .patches import LAYERS, NOISE
from .properties import INDEX_OF, RECIPE_KEYS, selected, settings_of
from .session import session
from .timing import song_strip

TAB = "StyleGAN"
EDITORS = ("VIEW_3D", "GRAPH_EDITOR", "IMAGE_EDITOR", "SEQUENCE_EDITOR", "NODE_EDITOR")


def draw_text(layout: bpy.types.UILayout, text: str, width: float, icon: str = "NONE") -> None:
    """A text over as many lines as the sidebar's width in pixels needs."""
    characters = max(20, int(width / (7 * bpy.context.preferences.system.ui_scale)) - 6)
    column = layout.column(align=True)
    column.scale_y = 0.85
    for number, line in enumerate(textwrap.wrap(text, characters)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE")


class SGR_UL_layers(bpy.types.UIList):
    """Latent or noise layers; the lowest entry of the list is the top of the stack."""

    def draw_item(self, _c: Any, layout: Any, _d: Any, item: Any, _i: Any, _a: Any, _p: Any) -> None:
        """Called by Blender for each row."""
        row = layout.row(align=True)
        row.prop(item, "name", text="", emboss=False)
        row.label(text=item.envelope.removeprefix("audio_").title() if item.envelope else "")
        row.prop(item, "enabled", text="", icon="HIDE_OFF" if item.enabled else "HIDE_ON", emboss=False)


class SGR_UL_envelopes(bpy.types.UIList):
    """Envelopes, each with its present value once it is baked."""

    def draw_item(self, context: Any, layout: Any, _d: Any, item: Any, _i: Any, _a: Any, _p: Any) -> None:
        """Called by Blender for each row."""
        row = layout.split(factor=0.7, align=True)
        row.prop(item, "name", text="", emboss=False)
        if item.name in context.scene:
            row.prop(context.scene, f'["{bpy.utils.escape_identifier(item.name)}"]', text="")


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


def _list(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, kind: str, collection: str) -> None:
    row = layout.row()
    row.template_list(kind, collection, settings, collection, settings, INDEX_OF[collection], rows=4)
    buttons = row.column(align=True)
    for action, icon, step in (
        ("ADD", "ADD", 0),
        ("REMOVE", "REMOVE", 0),
        ("MOVE", "TRIA_UP", -1),
        ("MOVE", "TRIA_DOWN", 1),
    ):
        button = buttons.operator("stylegan_reactive.list_edit", text="", icon=icon)
        button.collection, button.action, button.step = collection, action, step


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


class SGR_PT_envelopes:
    """What is heard, and how it is made into curves."""

    bl_label = "Envelopes"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, settings = self.layout, settings_of(context.scene)  # type: ignore[attr-defined]
        _list(layout, settings, "SGR_UL_envelopes", "envelopes")
        layout.use_property_split = True
        envelope = selected(settings, "envelopes")
        if envelope is not None:
            column = layout.column()
            for name in ("feature",) if envelope.is_clock else RECIPE_KEYS:
                column.prop(envelope, name)
            column.operator("stylegan_reactive.bake", text="Bake This One").only_active = True
        layout.prop(settings, "tolerance")


class SGR_PT_latents:
    """The latent stack."""

    bl_label = "Latent Layers"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, scene = self.layout, context.scene  # type: ignore[attr-defined]
        settings = settings_of(scene)
        layout.operator_menu_enum("stylegan_reactive.apply_preset", "name", text="Presets")
        _list(layout, settings, "SGR_UL_layers", LAYERS)
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
        _list(layout, settings, "SGR_UL_layers", NOISE)
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
    """The same four panels in the sidebars where an artist works on a film."""
    panels = []
    for editor in EDITORS:
        for content in (SGR_PT_film, SGR_PT_envelopes, SGR_PT_latents, SGR_PT_noise):
            name = f"{content.__name__}_{editor.lower()}"
            panels.append(type(name, (Panel, content, bpy.types.Panel), {"bl_space_type": editor, "bl_idname": name}))
    return tuple(panels)


CLASSES = (SGR_UL_layers, SGR_UL_envelopes, *_in_each_editor())
