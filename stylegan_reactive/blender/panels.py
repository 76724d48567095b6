# SPDX-License-Identifier: GPL-3.0-or-later
"""The StyleGAN tab of the sidebar: the artist's steps from top to bottom, then the lists behind them."""

import bpy

from ..builtin_networks import is_builtin
from . import layer_panels
from .envelope_panels import SGR_PT_envelopes, SGR_UL_envelopes
from .farm_operators import SGR_PT_farm
from .manual import draw_help
from .network_menu import draw_network
from .next_step import next_step
from .palette_panels import SGR_PT_palette
from .panel_parts import draw_notice, draw_text
from .picture_panels import SGR_PT_picture
from .preferences import has_engine
from .properties import settings_of
from .session import session
from .timing import song_strip
from .trust_operators import draw_question

TAB = "StyleGAN"
EDITORS = ("VIEW_3D", "GRAPH_EDITOR", "IMAGE_EDITOR", "SEQUENCE_EDITOR", "NODE_EDITOR")


class Panel:
    """What all panels of the tab share."""

    bl_region_type = "UI"
    bl_category = TAB

    def draw_header_preset(self, _context: bpy.types.Context) -> None:
        """Called by Blender: a button for the page that explains the panel, at the right of its title."""
        draw_help(self.layout, type(self).__mro__[2].__name__)  # type: ignore[attr-defined]


class SGR_PT_film:
    """Song, network, set up, bake, render: the whole way in five steps."""

    bl_label = "StyleGAN Reactive"

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, scene = self.layout, context.scene  # type: ignore[attr-defined]
        settings = settings_of(scene)
        draw_question(layout, context.region.width)
        column = layout.column(align=True)
        column.label(text="1. Song", icon="SOUND")
        column.prop(settings, "song", text="")
        if not settings.song:
            column.operator("stylegan_reactive.use_builtin_song")

        column = layout.column(align=True)
        column.label(text="2. Network", icon="NODETREE")
        draw_network(column, settings)
        if settings.checkpoint and not is_builtin(settings.checkpoint):
            column.prop(settings, "label")

        column = layout.column(align=True)
        column.label(text="3. Scene", icon="SCENE_DATA")
        own = column.column(align=True)
        own.enabled = not settings.follow_render
        own.label(text="Picture Size (px)")
        own.row(align=True).prop(settings, "size", text="")
        own.prop(settings, "match_render_size")
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
        if ready and not any(area.type == "IMAGE_EDITOR" for area in context.screen.areas):
            column.operator("stylegan_reactive.open_picture", icon="WINDOW")
        column.operator("stylegan_reactive.render", icon="RENDER_ANIMATION")
        if not scene.render.is_movie_format:
            column.operator("stylegan_reactive.resume", icon="FRAME_NEXT")

        column = layout.column(align=True)
        column.label(text="Or Steps 3 to 5 at Once")
        row = column.row()
        row.scale_y = 1.4
        row.enabled = bool(settings.song)
        row.operator("stylegan_reactive.make_film", icon="PLAY")

        # Last, so that no button moves under the mouse when a notice comes.
        notice = session.notice(scene)
        step = next_step(scene) if notice is None else ""
        if notice is not None:
            draw_notice(layout.box(), notice, context.region.width)
        elif step:
            box = layout.box()
            draw_text(box, step, context.region.width, "INFO")
            if not has_engine():
                box.operator("stylegan_reactive.show_preferences", icon="PREFERENCES")


def _in_each_editor() -> tuple[type, ...]:
    """The same panels in the sidebars where an artist works on a film."""
    panels = []
    for editor in EDITORS:
        for content in (
            SGR_PT_film,
            SGR_PT_picture,
            SGR_PT_envelopes,
            *layer_panels.CONTENTS,
            SGR_PT_palette,
            SGR_PT_farm,
        ):
            name = f"{content.__name__}_{editor.lower()}"
            panels.append(type(name, (Panel, content, bpy.types.Panel), {"bl_space_type": editor, "bl_idname": name}))
    return tuple(panels)


CLASSES = (*layer_panels.CLASSES, SGR_UL_envelopes, *_in_each_editor())
