# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of envelopes in the sidebar: what is heard, and how it is made into curves."""

from typing import Any

import bpy

from .envelope_properties import RECIPE_KEYS
from .panel_parts import draw_list
from .properties import selected, settings_of


class SGR_UL_envelopes(bpy.types.UIList):
    """Envelopes, each with its present value once it is baked."""

    def draw_item(self, context: Any, layout: Any, _d: Any, item: Any, _i: Any, _a: Any, _p: Any) -> None:
        """Called by Blender for each row."""
        row = layout.split(factor=0.7, align=True)
        row.prop(item, "name", text="", emboss=False)
        if item.name in context.scene:
            row.prop(context.scene, f'["{bpy.utils.escape_identifier(item.name)}"]', text="")


class SGR_PT_envelopes:
    """What is heard, and how it is made into curves."""

    bl_label = "Envelopes"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, settings = self.layout, settings_of(context.scene)  # type: ignore[attr-defined]
        draw_list(layout, settings, "SGR_UL_envelopes", "envelopes")
        layout.use_property_split = True
        envelope = selected(settings, "envelopes")
        if envelope is not None:
            column = layout.column()
            for name in ("feature",) if envelope.is_clock else RECIPE_KEYS:
                column.prop(envelope, name)
            column.operator("stylegan_reactive.bake", text="Bake This One").only_active = True
        layout.prop(settings, "tolerance")
