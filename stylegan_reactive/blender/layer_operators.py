# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons of the layers; each is a few lines over a plain function that scripts can call too."""

from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from .bend_properties import REWRITE_KINDS, SGR_BendLayer, operations
from .layer_properties import LATENT_KINDS
from .list_operators import Editable, add_entry, follow
from .noise_properties import NOISE_KINDS
from .patches import BENDS, LAYERS, NOISE, REWRITES, STACKS, SUGGESTED_SEEDS, apply_patch, preset_items, read_preset
from .properties import SGR_Settings, selected, settings_of
from .session import session

Answer = set[str]
MOST_LAYERS = 64


def kinds_of(collection: str) -> list[tuple[str, str, str, str, int]]:
    """What can be added to a stack: name, label, description, icon, number."""
    fixed = {LAYERS: LATENT_KINDS, NOISE: NOISE_KINDS, REWRITES: REWRITE_KINDS}
    if collection in fixed:
        return list(fixed[collection])
    items = SGR_BendLayer.bl_rna.properties["operation"].enum_items
    return [(item.identifier, item.name, item.description, item.icon, item.value) for item in items]


def add_layer(settings: SGR_Settings, collection: str, kind: str) -> Any:
    """A new layer of some kind above the selected one, ready to be seen."""
    label = next(each[1] for each in kinds_of(collection) if each[0] == kind)
    layer = add_entry(settings, collection, label)
    if collection == BENDS:
        layer.operation = kind
        open_a_little(layer)
    else:
        layer.source.take({"kind": kind})  # with what is usual for this kind
    if collection == LAYERS:
        layer.source.set_seeds(SUGGESTED_SEEDS[kind])
    return layer


def open_a_little(bend: Any) -> None:
    """Let a new bend be seen: at its defaults it does nothing."""
    for name, declared in operations()[bend.operation]["parameters"].items():
        if declared.get("acts", True):
            getattr(bend.parameters, name).amount += (declared["soft_high"] - declared["default"]) / 4
            return


def clear_stacks(scene: bpy.types.Scene) -> None:
    """Take the curves off all layers: they must not move those that take their places."""
    for stack in STACKS:
        follow(scene, stack, [None] * len(getattr(settings_of(scene), stack)))


class SGR_OT_add_layer(Editable, bpy.types.Operator):
    """Add a layer above the selected one"""

    bl_idname = "stylegan_reactive.add_layer"
    bl_label = "Add Layer"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    collection: StringProperty(options={"HIDDEN"})
    kind: StringProperty(options={"HIDDEN"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        """What this kind does."""
        return next((each[2] for each in kinds_of(properties.collection) if each[0] == properties.kind), cls.__doc__)

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        settings = settings_of(context.scene)
        if len(getattr(settings, self.collection)) >= MOST_LAYERS:
            self.report({"WARNING"}, f"A stack holds {MOST_LAYERS} layers at most. Remove one first")
            return {"CANCELLED"}
        add_layer(settings, self.collection, self.kind)
        return {"FINISHED"}


def _menu(name: str, label: str, collection: str) -> type[bpy.types.Menu]:
    """A menu of the kinds that can be added to a stack."""

    def draw(self: Any, _context: bpy.types.Context) -> None:
        for kind, title, _description, icon, _number in kinds_of(collection):
            button = self.layout.operator("stylegan_reactive.add_layer", text=title, icon=icon)
            button.collection, button.kind = collection, kind

    return type(name, (bpy.types.Menu,), {"bl_idname": name, "bl_label": label, "draw": draw, "__doc__": label})


ADD_MENUS = {
    LAYERS: _menu("SGR_MT_add_latent", "Add Latent Layer", LAYERS),
    NOISE: _menu("SGR_MT_add_noise", "Add Noise Layer", NOISE),
    BENDS: _menu("SGR_MT_add_bend", "Add Bend", BENDS),
    REWRITES: _menu("SGR_MT_add_rewrite", "Add Rewrite", REWRITES),
}


class SGR_OT_choose_scale(Editable, bpy.types.Operator):
    """Let this layer reach the layers of the network that paint this"""

    bl_idname = "stylegan_reactive.choose_scale"
    bl_label = "Choose Scale"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    collection: StringProperty(options={"HIDDEN"})
    first: IntProperty(options={"HIDDEN"})
    last: IntProperty(options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        layer = selected(settings_of(context.scene), self.collection)
        if layer is None:
            self.report({"WARNING"}, "Select a layer first")
            return {"CANCELLED"}
        layer.range.take((self.first, self.last))
        return {"FINISHED"}


def _scales_menu(name: str, collection: str) -> type[bpy.types.Menu]:
    """A menu of the ranges that the network suggests."""

    def draw(self: Any, context: bpy.types.Context) -> None:
        network = session.network(context.scene)
        for label, first, last in network.scales if network is not None else ():
            button = self.layout.operator("stylegan_reactive.choose_scale", text=label)
            button.collection, button.first, button.last = collection, first, last
        if network is None:
            self.layout.operator("stylegan_reactive.read_network", icon="FILE_REFRESH")

    return type(
        name,
        (bpy.types.Menu,),
        {"bl_idname": name, "bl_label": "Scales", "draw": draw, "__doc__": "What the network's layers paint"},
    )


SCALE_MENUS = {
    LAYERS: _scales_menu("SGR_MT_scales_latent", LAYERS),
    REWRITES: _scales_menu("SGR_MT_scales_rewrite", REWRITES),
}


class SGR_OT_apply_preset(Editable, bpy.types.Operator):
    """Replace all layers by those of a preset. The song, the network and the envelopes stay"""

    bl_idname = "stylegan_reactive.apply_preset"
    bl_label = "Preset"
    bl_options = {"REGISTER", "UNDO"}

    name: EnumProperty(
        name="Preset", items=lambda _self, _context: preset_items(), description="Which preset to start from"
    )

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        """What the preset shows."""
        return next((each[2] for each in preset_items() if each[0] == properties.name), "") or str(cls.__doc__)

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        clear_stacks(context.scene)
        apply_patch(settings_of(context.scene), read_preset(self.name))
        return {"FINISHED"}


CLASSES = (
    SGR_OT_add_layer,
    SGR_OT_choose_scale,
    SGR_OT_apply_preset,
    *ADD_MENUS.values(),
    *SCALE_MENUS.values(),
)
