# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: which Python runs the engine, and on which device."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import cast

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..errors import EngineError

PACKAGE = __package__.rpartition(".")[0]  # the name under which Blender installed the extension
ENVIRONMENT = "STYLEGAN_REACTIVE_PYTHON"  # names the engine's Python where there are no preferences: scripts, farms


class SGR_Preferences(bpy.types.AddonPreferences):
    """Preferences > Add-ons > StyleGAN Reactive."""

    bl_idname = PACKAGE

    engine_python: StringProperty(
        name="Engine Python",
        subtype="FILE_PATH",
        description="The Python that has torch; the engine runs there, beside Blender",
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

    preview_memory: IntProperty(
        name="Preview Memory",
        default=512,
        min=16,
        soft_max=8192,
        max=1 << 20,
        description="Megabytes for pictures that the preview has made already, so that it need not make them again",
    )

    def draw(self, _context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "engine_python")
        layout.prop(self, "device")
        layout.prop(self, "preview_memory", text="Preview Memory (MB)")
        layout.operator("stylegan_reactive.test_engine", icon="CONSOLE")
        column = layout.column(align=True)
        column.label(text="The engine needs a Python with torch. Make one once, in a terminal:", icon="INFO")
        column.label(text="python -m venv stylegan-engine", icon="BLANK1")
        column.label(text="stylegan-engine/bin/pip install torch librosa soundfile soxr safetensors", icon="BLANK1")
        column.label(text="Then choose stylegan-engine/bin/python above (Windows: Scripts/python.exe).", icon="BLANK1")


CLASSES = (SGR_Preferences,)


def preferences() -> SGR_Preferences | None:
    """The preferences, or None where the package runs without being installed as an extension."""
    addon: bpy.types.Addon | None = bpy.context.preferences.addons.get(PACKAGE)
    return cast(SGR_Preferences, addon.preferences) if addon is not None else None


def chosen_device() -> str:
    """The device that the artist chose."""
    found = preferences()
    return found.device if found is not None else "auto"


def engine_python() -> str:
    """The Python that runs the engine: the artist's choice, else Blender's own where that has torch.

    Raises
    ------
    EngineError
        There is none, or the one that was chosen is not there.
    """
    found = preferences()
    chosen = (bpy.path.abspath(found.engine_python) if found is not None else "") or os.environ.get(ENVIRONMENT, "")
    if chosen:
        if not Path(chosen).is_file():
            raise EngineError(
                f"The engine's Python is not there: {chosen}. Choose another in the preferences of this add-on."
            )
        return chosen
    if importlib.util.find_spec("torch") is not None:  # found, not imported
        return sys.executable
    raise EngineError(
        "No Python for the engine is chosen yet. "
        "Open Preferences > Add-ons > StyleGAN Reactive, which says how to make one."
    )
