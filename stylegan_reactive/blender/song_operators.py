# SPDX-License-Identifier: GPL-3.0-or-later
"""Buttons for what the artist knows of the song: taps, markers, sections, and stems."""

from typing import Any

import bpy
from bpy.props import BoolProperty

from ..engine.protocol import Analysed
from .hearing import add_section_envelopes, mark_steps, separate_steps, tap
from .markers import mark_song
from .operators import Answer, LongOperator
from .properties import settings_of
from .session import Notice, session
from .steps import Steps


class SGR_OT_tap(bpy.types.Operator):
    """Press in time with the beat while the song plays; any part of it will do"""

    bl_idname = "stylegan_reactive.tap"
    bl_label = "Tap"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        tap(context.scene)
        return {"FINISHED"}


class SGR_OT_tap_clear(bpy.types.Operator):
    """Forget the taps"""

    bl_idname = "stylegan_reactive.tap_clear"
    bl_label = "Forget Taps"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        settings_of(context.scene).hearing.taps = ""
        return {"FINISHED"}


class SGR_OT_mark_song(LongOperator, bpy.types.Operator):
    """Mark sections, bars or beats on the timeline. Your own markers stay, and so do sections that you have moved"""

    bl_idname = "stylegan_reactive.mark_song"
    bl_label = "Mark the Timeline"
    bl_options = {"REGISTER", "UNDO"}

    replace: BoolProperty(
        name="Replace Moved Sections", default=False, description="Replace section markers that you have moved, too"
    )

    def steps(self, scene: bpy.types.Scene) -> Steps[Analysed]:
        """The work."""
        return mark_steps(scene)

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Mark, and say what was kept."""
        notes = mark_song(scene, result, replace=self.replace)
        if notes:
            session.tell(scene, Notice(" ".join(notes)))


class SGR_OT_add_section_envelopes(LongOperator, bpy.types.Operator):
    """Add an envelope for each kind of section: 1 while it is heard, faded over half a bar, and bake them"""

    bl_idname = "stylegan_reactive.add_section_envelopes"
    bl_label = "Add Section Envelopes"
    bl_options = {"REGISTER", "UNDO"}

    def steps(self, scene: bpy.types.Scene) -> Steps[int]:
        """The work."""
        return add_section_envelopes(scene)

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Say how many there are."""
        session.tell(scene, Notice(f"{result} kinds of section have an envelope each."))


class SGR_OT_separate_stems(LongOperator, bpy.types.Operator):
    """Let a network take the song apart into drums, bass, vocals and the rest. It takes minutes, the first time"""

    bl_idname = "stylegan_reactive.separate_stems"
    bl_label = "Separate Stems"
    bl_options = {"REGISTER", "UNDO"}

    def steps(self, scene: bpy.types.Scene) -> Steps[str]:
        """The work."""
        return separate_steps(scene)

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Say where the stems are."""
        session.tell(scene, Notice(f"The stems are in {result}"))


CLASSES = (
    SGR_OT_tap,
    SGR_OT_tap_clear,
    SGR_OT_mark_song,
    SGR_OT_add_section_envelopes,
    SGR_OT_separate_stems,
)
