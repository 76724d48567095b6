# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons of the preferences: install the engine, try it, and take its memory or its folder back."""

from pathlib import Path
from typing import Any

import bpy

from ..engine.protocol import Report
from ..errors import EngineError
from . import installer
from .operators import Answer, LongOperator, report_failure
from .preferences import PACKAGE, fixed_path, own_folder, preferences
from .session import Notice, session
from .steps import Step, Steps, in_background


def engine_folder() -> Path:
    """Where the engine is installed; raises `EngineError` where the package is not installed as an extension."""
    folder = own_folder("engine")
    if folder is None:
        raise EngineError("Only an installed extension has a folder of its own. Install it from its zip first.")
    return folder


def install_steps() -> Steps[str]:
    """Install the engine as the preferences say; the path of its Python."""
    chosen = preferences()
    source = chosen.package_source
    plan = installer.Plan(
        folder=engine_folder(),
        base=fixed_path(chosen.base_python, "Base Python"),
        build=chosen.build,
        source=source if "://" in source else fixed_path(source, "Package Source"),
        online=bpy.app.online_access,
    )
    session.close()  # no file of an environment in use may be moved away
    steps = installer.install(plan)
    try:
        while True:
            told = next(steps)
            yield Step(told.fraction, told.text)
    except StopIteration as end:
        return str(end.value)
    finally:
        steps.close()


def lines_of(report: Report) -> list[str]:
    """What the engine says of itself, as an artist reads it."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items() if version)
    memory = f"{report.resident / 1e6:.0f} MB of memory"
    if report.device_memory:
        memory += f", {report.device_memory / 1e6:.0f} MB on the graphics card"
    networks = ", ".join(Path(name).name or "built-in" for name, _size in report.networks)
    lines = [f"{report.device_name} ({report.device}); {memory}", versions]
    if report.pictures_per_second:
        lines.append(f"{report.pictures_per_second:.1f} pictures a second with the built-in network")
    return [*lines, f"Loaded: {networks}" if networks else "No network is loaded"]


class SGR_OT_install_engine(LongOperator, bpy.types.Operator):
    """Make a Python for the engine in this add-on's own folder and fill it with torch and what hears the music"""

    bl_idname = "stylegan_reactive.install_engine"
    bl_label = "Install Engine"

    def steps(self, scene: bpy.types.Scene) -> Steps[str]:
        """The work."""
        return install_steps()

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Say that it is there."""
        session.tell(scene, Notice("The engine is installed. Press Test Engine to see how fast it is."))


class SGR_OT_remove_engine(bpy.types.Operator):
    """Delete the installed engine from this add-on's folder"""

    bl_idname = "stylegan_reactive.remove_engine"
    bl_label = "Remove Engine"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        """Ask first: it takes a while to come back."""
        return context.window_manager.invoke_confirm(self, event)  # type: ignore[return-value]

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        try:
            folder = engine_folder()
        except EngineError as error:
            return report_failure(self, context.scene, error)
        session.close()
        installer.remove(folder)
        return {"FINISHED"}


class SGR_OT_test_engine(LongOperator, bpy.types.Operator):
    """Start the engine and say which versions and device it uses, how much memory, and how fast it paints"""

    bl_idname = "stylegan_reactive.test_engine"
    bl_label = "Test Engine"

    def steps(self, scene: bpy.types.Scene) -> Steps[Report]:
        """The work."""
        engine = session.engine(for_file=False)
        yield from in_background("Starting the engine", lambda _report: engine.start())
        return (yield from in_background("Painting for two seconds", lambda report: engine.report(2.0, report)))

    def done(self, scene: bpy.types.Scene, result: Any) -> None:
        """Say what was found."""
        session.report_lines = tuple(lines_of(result))
        self.report({"INFO"}, f"The engine works. {'; '.join(session.report_lines)}")


class SGR_OT_unload_networks(bpy.types.Operator):
    """Let go of the networks that are loaded, so that their memory is free; they are loaded again when needed"""

    bl_idname = "stylegan_reactive.unload_networks"
    bl_label = "Unload Networks"

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        try:
            session.engine(for_file=False).unload()
        except EngineError as error:
            return report_failure(self, context.scene, error)
        session.report_lines = ()
        return {"FINISHED"}


class SGR_OT_show_preferences(bpy.types.Operator):
    """Open this add-on's preferences, where the engine is installed"""

    bl_idname = "stylegan_reactive.show_preferences"
    bl_label = "Open Preferences"

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        try:
            bpy.ops.preferences.addon_show(module=PACKAGE)
        except RuntimeError as fault:  # not installed as an extension
            return report_failure(self, context.scene, EngineError(str(fault).strip()))
        return {"FINISHED"}


CLASSES = (
    SGR_OT_show_preferences,
    SGR_OT_install_engine,
    SGR_OT_remove_engine,
    SGR_OT_test_engine,
    SGR_OT_unload_networks,
)
