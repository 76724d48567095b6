# SPDX-License-Identifier: GPL-3.0-or-later
"""The stacks in the sidebar: latents, noise, bends and rewrites, each layer drawn like a modifier."""

from collections.abc import Sequence
from typing import Any

import bpy

from .bend_properties import ICONS, operations
from .envelope_features import title_of
from .envelope_properties import PITCHES
from .layer_operators import ADD_MENUS, SCALE_MENUS, kinds_of
from .palette import painter, thumbnails
from .palette_panels import draw_thumbnail
from .panel_parts import draw_text
from .patches import BENDS, LAYERS, NOISE, REWRITES
from .properties import INDEX_OF, selected, settings_of

Layout = bpy.types.UILayout
STRENGTH = {LAYERS: "influence", NOISE: "amplitude", REWRITES: "amount"}
MOST_THUMBNAILS = 24
USED_BY_MASK = {
    "disc": ("x", "y", "size", "softness"),
    "edges": ("size", "softness"),
    "linear": ("x", "y", "size", "angle"),
    "radial": ("x", "y", "size"),
    "checker": ("x", "y", "size", "softness", "angle"),
    "image": ("image",),
}


def icon_of(collection: str, layer: Any) -> str:
    """The icon of a layer's kind."""
    if collection == BENDS:
        return ICONS.get(layer.operation, "MODIFIER")
    return next((each[3] for each in kinds_of(collection) if each[0] == layer.source.kind), "NONE")


class SGR_UL_layers(bpy.types.UIList):
    """Layers of a stack; as with modifiers, the last entry comes last."""

    def draw_item(self, _c: Any, layout: Any, _d: Any, item: Any, _i: Any, _a: Any, _p: Any) -> None:
        """Called by Blender for each row."""
        collection = self.list_id
        row = layout.row(align=True)
        row.active = item.enabled
        row.prop(item, "name", text="", emboss=False, icon=icon_of(collection, item))
        strength = STRENGTH.get(collection)
        envelope = getattr(item, strength).envelope if strength else ""
        if envelope:
            row.label(text=title_of(envelope))
        row.prop(item, "enabled", text="", icon="HIDE_OFF" if item.enabled else "HIDE_ON", emboss=False)


def draw_stack(layout: Layout, settings: Any, collection: str) -> Any:
    """A stack's list with its buttons; returns the selected layer."""
    items = getattr(settings, collection)
    row = layout.row()
    row.template_list(
        "SGR_UL_layers", collection, settings, collection, settings, INDEX_OF[collection], rows=5 if items else 3
    )
    buttons = row.column(align=True)
    buttons.menu(ADD_MENUS[collection].__name__, text="", icon="ADD")
    edits = buttons.column(align=True)
    edits.enabled = bool(items)
    for action, icon, step in (
        ("REMOVE", "REMOVE", 0),
        ("DUPLICATE", "DUPLICATE", 0),
        ("MOVE", "TRIA_UP", -1),
        ("MOVE", "TRIA_DOWN", 1),
    ):
        button = edits.operator("stylegan_reactive.list_edit", text="", icon=icon)
        button.collection, button.action, button.step = collection, action, step
    return selected(settings, collection)


def draw_signal(layout: Layout, settings: Any, owner: Any, name: str, text: str = "", *, clock: bool = False) -> None:
    """A number, the envelope that it follows, and folded away how that is shaped."""
    signal = getattr(owner, name)
    column = layout.column(align=True)
    words = {"text": text} if text else {}
    column.prop(signal, "amount", **words)
    row = column.split(factor=0.4)
    label = row.row()
    label.alignment = "RIGHT"
    label.label(text="Clock" if clock else "Envelope")
    choice = row.operator_menu_enum(
        "stylegan_reactive.choose_envelope",
        "envelope",
        text=title_of(signal.envelope) if signal.envelope else "None",
        icon="TIME" if clock else "FCURVE",
    )
    choice.signal = signal.path_from_id()
    if not signal.envelope:
        return
    header, body = layout.panel(f"SGR_shape_{type(owner).__name__}_{name}", default_closed=True)
    header.label(text="Shape of the Clock" if clock else "Shape of the Envelope")
    if body is not None:
        body.use_property_split = True
        body.prop(signal, "gain")
        body.prop(signal, "offset")
        for limit in ("minimum", "maximum"):
            row = body.row(align=True, heading=limit.title())
            row.prop(signal, f"use_{limit}", text="")
            field = row.row(align=True)
            field.active = getattr(signal, f"use_{limit}")
            field.prop(signal, limit, text="")


def draw_range(layout: Layout, layer: Any, collection: str) -> None:
    """Which layers of the network, or sizes, are reached."""
    row = layout.row(align=True)
    row.prop(layer.range, "which")
    if collection in SCALE_MENUS:
        row.menu(SCALE_MENUS[collection].__name__, text="", icon="DOWNARROW_HLT")
    if layer.range.which == "custom":
        column = layout.column(align=True)
        column.prop(layer.range, "first")
        column.prop(layer.range, "last")


def draw_latents(layout: Layout, source: Any, text: str = "Seeds", names: Sequence[str] = ()) -> None:
    """Which latents, with those thumbnails that are there; for notes, the name of each."""
    layout.prop(source, "seeds", text=text)
    draw_thumbnails(layout, source, names)
    body = draw_section(layout, "latents", "One by One", closed=True)
    for number, latent in enumerate(source.latents[:MOST_THUMBNAILS] if body is not None else ()):
        title = names[number % len(names)] if names else str(number + 1)
        if latent.file:
            column = body.column(align=True)
            column.prop(latent, "file", text=title)
            column.prop(latent, "space")
            column.prop(latent, "use_all")
            if not latent.use_all:
                column.prop(latent, "index")
        else:
            body.prop(latent, "seed", text=title)


def draw_thumbnails(layout: Layout, source: Any, names: Sequence[str]) -> None:
    """The thumbnails of a layer's latents, where the palette has painted some."""
    latents = source.latents[:MOST_THUMBNAILS]
    if not any(thumbnails.find(latent) for latent in latents):
        return
    count = max(len(latents), min(len(names), MOST_THUMBNAILS)) if len(latents) else 0
    grid = layout.grid_flow(row_major=True, columns=6, even_columns=True, even_rows=True, align=True)
    now = painter(source.id_data)
    for number in range(count):
        cell = grid.column(align=True)
        draw_thumbnail(cell, latents[number % len(latents)], now, 1.6)
        if names:
            row = cell.row()
            row.alignment = "CENTER"
            row.label(text=names[number % len(names)])


def draw_section(layout: Layout, name: str, title: str, *, closed: bool = False) -> Layout | None:
    """A part of a layer that can be folded; None while it is."""
    header, body = layout.panel(f"SGR_{name}", default_closed=closed)
    header.label(text=title)
    if body is not None:
        body.use_property_split = True
    return body


def acts(operation: str, parameter: str) -> bool:
    """Whether a parameter does something by itself; the others say how."""
    return bool(operations()[operation]["parameters"][parameter].get("acts", True))


class LayerPanel:
    """What the panels of the stacks share."""

    bl_options = {"DEFAULT_CLOSED"}
    collection = ""
    empty = ""

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout: Layout = self.layout  # type: ignore[attr-defined]
        settings = settings_of(context.scene)
        self.draw_top(layout, context)
        layer = draw_stack(layout, settings, self.collection)
        if layer is None:
            draw_text(layout, self.empty, context.region.width)
        else:
            column = layout.column()
            column.use_property_split = True
            column.active = layer.enabled
            self.draw_layer(column, settings, layer)
        self.draw_bottom(layout, settings)

    def draw_top(self, layout: Layout, context: bpy.types.Context) -> None:
        """What stands above the list."""

    def draw_bottom(self, layout: Layout, settings: Any) -> None:
        """What stands below the layer."""

    def draw_layer(self, layout: Layout, settings: Any, layer: Any) -> None:
        """The selected layer."""
        raise NotImplementedError


class SGR_PT_latents(LayerPanel):
    """The latent stack."""

    bl_label = "Latent Layers"
    collection = LAYERS

    def draw_top(self, layout: Layout, _context: bpy.types.Context) -> None:
        """Presets, and the whole mapping as a file."""
        row = layout.row(align=True)
        row.operator_menu_enum("stylegan_reactive.apply_preset", "name", text="Presets", icon="PRESET")
        row.menu("SGR_MT_patch", text="", icon="DOWNARROW_HLT")

    def draw_bottom(self, layout: Layout, settings: Any) -> None:
        """Truncation."""
        body = draw_section(layout, "truncation", "Truncation", closed=True)
        if body is not None:
            draw_signal(body, settings, settings, "truncation")
            draw_signal(body, settings, settings, "truncation_cutoff")

    empty = "No layer yet: the average picture is shown. Add one with +, or choose a preset."

    def draw_layer(self, layout: Layout, settings: Any, layer: Any) -> None:
        """Source, range, influence."""
        source = layer.source
        body = draw_section(layout, "latent_source", "Source")
        if body is not None:
            body.prop(source, "kind")
            getattr(self, f"draw_{source.kind}")(body, settings, source)
        body = draw_section(layout, "latent_influence", "Range and Influence")
        if body is not None:
            draw_range(body, layer, LAYERS)
            draw_signal(body, settings, layer, "influence")

    def draw_static(self, layout: Layout, settings: Any, source: Any) -> None:
        """One latent, or some."""
        draw_latents(layout, source, text="Seed" if len(source.latents) < 2 else "Seeds")
        if len(source.latents) > 1:
            draw_signal(layout, settings, source, "position")

    def draw_loop(self, layout: Layout, settings: Any, source: Any) -> None:
        """A path through latents in time with a clock."""
        draw_latents(layout, source)
        layout.prop(source, "bars")
        layout.prop(source, "method")
        if source.method == "gaussian":
            layout.prop(source, "smoothness")
            layout.prop(source, "space")
        draw_signal(layout, settings, source, "phase", clock=True)

    def draw_chroma(self, layout: Layout, settings: Any, source: Any) -> None:
        """A latent for each pitch."""
        draw_latents(layout, source, names=[title_of(each.name) for each in source.envelopes] or PITCHES)

    def draw_direction(self, layout: Layout, settings: Any, source: Any) -> None:
        """A push along a direction."""
        layout.prop(source, "direction")
        if source.direction == "file":
            layout.prop(source, "file")
        layout.prop(source, "index")
        draw_signal(layout, settings, source, "amount")


class SGR_PT_noise(LayerPanel):
    """The noise stack."""

    bl_label = "Noise Layers"
    collection = NOISE
    empty = "No layer yet: the picture has no fine grain. Add one with +."

    def draw_layer(self, layout: Layout, settings: Any, layer: Any) -> None:
        """Source, range, amplitude, mask."""
        source = layer.source
        body = draw_section(layout, "noise_source", "Source")
        if body is not None:
            body.prop(source, "kind")
            for key in source.patch_keys()[1:]:
                if key != "clock":
                    body.prop(source, key)
            if "clock" in source.patch_keys():
                draw_signal(body, settings, source, "clock", clock=True)
        body = draw_section(layout, "noise_amplitude", "Range and Amplitude")
        if body is not None:
            draw_range(body, layer, NOISE)
            draw_signal(body, settings, layer, "amplitude")
        body = draw_section(layout, "noise_mask", "Mask", closed=True)
        if body is not None:
            self.draw_mask(body, settings, layer.mask)

    def draw_mask(self, layout: Layout, settings: Any, mask: Any) -> None:
        """Where the layer is."""
        layout.prop(mask, "shape")
        used = USED_BY_MASK.get(mask.shape, ())
        if "image" in used:
            layout.template_ID(mask, "image", open="image.open", new="image.new")
        if "x" in used:
            column = layout.column(align=True)
            column.prop(mask, "x", text="Centre X")
            column.prop(mask, "y", text="Y")
        if "size" in used:
            draw_signal(layout, settings, mask, "size")
        for name in ("softness", "angle"):
            if name in used:
                layout.prop(mask, name)
        if used:
            layout.prop(mask, "invert")


class SGR_PT_bends(LayerPanel):
    """The bends."""

    bl_label = "Bends"
    collection = BENDS
    empty = "No bend yet. Add one with + to move, turn or distort what the network paints half way."

    def draw_layer(self, layout: Layout, settings: Any, layer: Any) -> None:
        """Operation, place, channels."""
        body = draw_section(layout, "bend_operation", "Operation")
        if body is not None:
            body.prop(layer, "operation")
            acting = [key for key in layer.parameters.KEYS if acts(layer.operation, key)]
            for key in acting:
                draw_signal(body, settings, layer.parameters, key)
            if layer.operation in ("translate", "scale", "rotate", "shear", "warp"):
                body.prop(layer, "border")
            others = [key for key in layer.parameters.KEYS if key not in acting]
            more = draw_section(body, "bend_more", "More", closed=True) if others else None
            for key in others if more is not None else ():
                draw_signal(more, settings, layer.parameters, key)
        body = draw_section(layout, "bend_place", "Layer of the Network")
        if body is not None:
            row = body.row(align=True)
            row.prop(layer, "layer")
            row.operator("stylegan_reactive.read_network", text="", icon="FILE_REFRESH")
            body.prop(layer, "side")
        body = draw_section(layout, "bend_channels", "Channels", closed=True)
        if body is not None:
            channels = layer.channels
            body.prop(channels, "which")
            names = {"range": ("first", "last"), "cluster": ("clusters", "cluster")}.get(channels.which, ())
            for name in names:
                body.prop(channels, name)
            draw_signal(body, settings, channels, "fraction")
            body.prop(channels, "seed")


class SGR_PT_rewrites(LayerPanel):
    """The rewrites."""

    bl_label = "Rewrites"
    collection = REWRITES
    empty = "No rewrite yet. Add one with + to change the network's own weights with the music."

    def draw_layer(self, layout: Layout, settings: Any, layer: Any) -> None:
        """Source, range, amount."""
        source = layer.source
        body = draw_section(layout, "rewrite_source", "Source")
        if body is not None:
            for key in source.patch_keys():
                body.prop(source, key)
        body = draw_section(layout, "rewrite_amount", "Range and Amount")
        if body is not None:
            if source.kind != "seeded":
                draw_range(body, layer, REWRITES)
            draw_signal(body, settings, layer, "amount")


CLASSES = (SGR_UL_layers,)
CONTENTS = (SGR_PT_latents, SGR_PT_noise, SGR_PT_bends, SGR_PT_rewrites)
