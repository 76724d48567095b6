# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist prefers, for other files to ask: which Python runs the engine, on which device, in how much memory.

What the preferences look like is in `preferences_panel`.
"""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import bpy

from ..errors import EngineError
from . import installer

PACKAGE = __package__.rpartition(".")[0]  # the name under which Blender installed the extension
ENVIRONMENT = "STYLEGAN_REACTIVE_PYTHON"  # names the engine's Python where there are no preferences: scripts, farms
DEVICE_ENVIRONMENT = "STYLEGAN_REACTIVE_DEVICE"  # the kind of device that a farm's job demands, before all preferences


def preferences() -> Any:
    """The preferences, or None where the package runs without being installed as an extension."""
    addon: bpy.types.Addon | None = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon is not None else None


def own_folder(name: str, create: bool = True) -> Path | None:
    """A folder of the extension's own that outlives updates; None where it is not installed as an extension."""
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE, path=name, create=create))
    except ValueError:
        return None


def chosen_device() -> str:
    """The device that a farm's job demands, else the one that the artist chose."""
    demanded = os.environ.get(DEVICE_ENVIRONMENT, "")
    if demanded:
        return demanded
    found = preferences()
    return found.device if found is not None else "auto"


def memory_limit() -> int:
    """Bytes that networks and what belongs to them may take; 0: no limit."""
    found = preferences()
    return int(found.engine_memory) << 20 if found is not None else 0


def fixed_path(path: str, name: str) -> str:
    """A path of the preferences; raises `EngineError` where it depends on which file is open.

    A stranger's folder could then bring a program of its own along, which would be started.
    """
    if (path and not Path(path).is_absolute()) or path.startswith("//"):
        raise EngineError(
            f"{name} in the preferences of this add-on, {path}, is relative to the file that is open, and another file "
            "may lie beside another program. Choose it again, with Relative Path off."
        )
    return path


def engine_python() -> str:
    """The Python that runs the engine: the one that is chosen, else the installed one, else Blender's own with torch.

    Raises
    ------
    EngineError
        There is none, or the one that was chosen is not there.
    """
    found = preferences()
    chosen = fixed_path(found.engine_python, "Engine Python") if found is not None else ""
    chosen = chosen or os.environ.get(ENVIRONMENT, "")
    if chosen:
        if not Path(chosen).is_file():
            raise EngineError(
                f"The engine's Python is not there: {chosen}. Choose another in the preferences of this add-on."
            )
        return chosen
    folder = own_folder("engine", create=False)
    installed = installer.installed_python(folder) if folder is not None else ""
    if installed:
        return installed
    if importlib.util.find_spec("torch") is not None:  # found, not imported
        return sys.executable
    raise EngineError(
        "The engine is not installed yet. "
        "Open Preferences > Add-ons > StyleGAN Reactive and press Install Engine, or choose a Python that has torch."
    )


def has_engine() -> bool:
    """Whether there is a Python for the engine."""
    try:
        engine_python()
    except EngineError:
        return False
    return True
