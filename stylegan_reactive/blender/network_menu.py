# SPDX-License-Identifier: GPL-3.0-or-later
"""The field that names the scene's network, and the menu beside it with the networks that come with the extension."""

from typing import Any

import bpy
from bpy.props import StringProperty

from ..builtin_networks import BUILTIN, BUILTIN_NETWORKS, find_builtin, is_builtin
from .properties import settings_of

Answer = set[str]


class SGR_OT_use_builtin_network(bpy.types.Operator):
    """Make pictures with a network that comes with the add-on"""

    bl_idname = "stylegan_reactive.use_builtin_network"
    bl_label = "Use Built-in Network"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    network: StringProperty(name="Network", description="Its name", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        """The tooltip."""
        found = find_builtin(f"{BUILTIN}:{properties.network}")
        return f"{found.title}: {found.description}" if found else str(cls.__doc__)

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        found = find_builtin(f"{BUILTIN}:{self.network}")
        if found is None:
            return {"CANCELLED"}
        settings_of(context.scene).checkpoint = found.checkpoint
        return {"FINISHED"}


class SGR_MT_builtin_networks(bpy.types.Menu):
    """Networks that come with the add-on"""

    bl_idname = "SGR_MT_builtin_networks"
    bl_label = "Built-in Networks"

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        chosen = settings_of(context.scene).checkpoint
        used = find_builtin(chosen) if not chosen or is_builtin(chosen) else None
        for network in BUILTIN_NETWORKS:
            icon = "RADIOBUT_ON" if network == used else "RADIOBUT_OFF"
            text = f"{network.title}: {network.description}"
            self.layout.operator("stylegan_reactive.use_builtin_network", text=text, icon=icon).network = network.name


def draw_network(layout: bpy.types.UILayout, settings: Any) -> None:
    """The field, which names the network in use even where none was chosen, and the menu's button."""
    default = find_builtin("")
    row = layout.row(align=True)
    row.prop(settings, "checkpoint", text="", placeholder=f"Built-in: {default.title}" if default else "Built-in")
    row.menu(SGR_MT_builtin_networks.bl_idname, text="", icon="DOWNARROW_HLT")


CLASSES = (SGR_OT_use_builtin_network, SGR_MT_builtin_networks)
