# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferences > Add-ons > StyleGAN Reactive: the engine's Python, its device, and how much memory it may take."""

from collections.abc import Callable
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..errors import EngineError
from . import installer
from .manual import draw_help
from .panel_parts import draw_notice, draw_text
from .preferences import PACKAGE, engine_python, has_engine, own_folder
from .session import session
from .trust_operators import draw_allowed


def _make_absolute(name: str) -> Callable[[Any, bpy.types.Context], None]:
    """A function that Blender calls when a path was chosen: it shall lead to the same place from every file."""

    def changed(preferences: Any, _context: bpy.types.Context) -> None:
        path = getattr(preferences, name)
        if path.startswith("//"):
            setattr(preferences, name, bpy.path.abspath(path))

    return changed


class SGR_Preferences(bpy.types.AddonPreferences):
    """What holds for every file of this artist."""

    bl_idname = PACKAGE

    engine_python: StringProperty(
        name="Engine Python",
        subtype="FILE_PATH",
        update=_make_absolute("engine_python"),
        description="A Python of yours that has torch. Empty: the one that Install Engine makes",
    )
    device: EnumProperty(
        name="Device",
        default="auto",
        description="What the network runs on",
        items=(
            ("auto", "Automatic", "The graphics card where there is one that torch can use, else the processor"),
            ("cpu", "CPU", "The processor: works everywhere"),
            ("cuda", "CUDA or ROCm", "A graphics card of NVIDIA or AMD"),
            ("mps", "Apple GPU", "The graphics part of an Apple processor"),
        ),
    )
    build: EnumProperty(
        name="Build",
        default="cpu",
        description="What Install Engine installs: for which device",
        items=tuple((build.key, build.name, build.description) for build in installer.BUILDS),
    )
    base_python: StringProperty(
        name="Base Python",
        subtype="FILE_PATH",
        update=_make_absolute("base_python"),
        description="The Python to build the engine from, 3.11 to 3.14. Empty: Blender's own",
    )
    package_source: StringProperty(
        name="Package Source",
        description=(
            "Where to look for packages beside the usual place: the address that torch's site names for your graphics "
            "card, or a folder of wheels on a machine without network"
        ),
    )
    engine_memory: IntProperty(
        name="Network Memory (MB)",
        default=0,
        min=0,
        soft_max=65536,
        description="How much memory networks may take, in megabytes; those used longest ago go first. 0: no limit",
    )
    preview_memory: IntProperty(
        name="Preview Memory (MB)",
        default=512,
        min=16,
        soft_max=16384,
        description="How much memory pictures of the preview may take, in megabytes; the oldest go first",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout = self.layout
        layout.use_property_split = True
        width = context.region.width * 0.8
        _draw_state(layout, width)
        _draw_installation(layout, self, width)
        column = layout.column(heading="Engine")
        column.prop(self, "engine_python")
        column.prop(self, "device")
        column = layout.column()
        column.prop(self, "engine_memory")
        column.prop(self, "preview_memory")
        draw_allowed(layout, width)
        notice = session.notice(context.scene)
        if notice is not None:
            draw_notice(layout.box(), notice, width)


def _draw_state(layout: bpy.types.UILayout, width: float) -> None:
    """Which Python is used, what the last test found, and the buttons that ask it."""
    box = layout.box()
    try:
        draw_text(box, f"Engine: {engine_python()}", width, "CHECKMARK")
    except EngineError as error:
        draw_text(box, str(error), width, "ERROR")
    for line in session.report_lines:
        draw_text(box, line, width, "BLANK1")
    row = box.row(align=True)
    row.operator("stylegan_reactive.test_engine", icon="CONSOLE")
    row.operator("stylegan_reactive.unload_networks", icon="TRASH")
    draw_help(row, "SGR_Preferences")


def _draw_installation(layout: bpy.types.UILayout, settings: SGR_Preferences, width: float) -> None:
    """What can be installed, how large it is, and what is installed."""
    folder = own_folder("engine", create=False)
    if folder is None:
        return
    build = installer.build_of(settings.build)
    facts = installer.installed_facts(folder)
    # Folded away at first where there is an engine already.
    header, column = layout.panel("stylegan_reactive_installation", default_closed=has_engine())
    header.label(text="Install the Engine")
    if column is None:
        return
    column.use_property_split = True
    column.prop(settings, "build")
    column.prop(settings, "base_python")
    column.prop(settings, "package_source")
    text = f"About {build.download:g} GB to download, {build.room:g} GB on disk, in a folder of this add-on"
    if facts:
        text = (
            f"Installed: torch {facts.get('torch')} on Python {facts.get('python')}. Again: {text[0].lower()}{text[1:]}"
        )
    draw_text(column, text, width, "INFO")
    if not bpy.app.online_access and not settings.package_source:
        draw_text(column, installer.OFFLINE, width, "INTERNET_OFFLINE")
    row = column.row(align=True)
    row.operator("stylegan_reactive.install_engine", icon="IMPORT")
    if facts:
        row.operator("stylegan_reactive.remove_engine", icon="X")
    log = installer.log_file(folder)
    if log.is_file():
        row.operator("wm.path_open", text="Show Log", icon="TEXT").filepath = str(log)


CLASSES = (SGR_Preferences,)
