# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker starts: hands its arguments to the add-on that is installed there, and says so where there is none.

    blender --background --python-exit-code 1 --python run.py -- render BUNDLE --frames 1-50
    python run.py render BUNDLE --frames 1-50        with Blender as the Python module bpy

It is copied into every job bundle, beside the film.
"""

import importlib
import os
import sys
from types import ModuleType

NAME = "stylegan_reactive"


def installed() -> ModuleType | None:
    """The add-on, under whatever name this Blender knows it; None where there is none."""
    import bpy

    known = bpy.context.preferences.addons if bpy.context.preferences is not None else ()
    for addon in known:
        name = addon.module
        if name.rpartition(".")[2] == NAME and name in sys.modules:
            return sys.modules[name]
    try:
        package = importlib.import_module(NAME)  # beside the module bpy, where nothing is installed as an extension
    except ImportError:
        return None
    if not hasattr(bpy.types.Scene, NAME):
        package.register()
    return package


def main() -> int:
    """Exit status for the farm: 0 where all is well."""
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    package = installed()
    if package is None:
        print(
            "STOP: StyleGAN Reactive is not installed and switched on in this worker's Blender. Install the zip that "
            "the film was made with: Edit > Preferences > Get Extensions > Install from Disk.",
            file=sys.stderr,
        )
        return 1
    command = importlib.import_module(f"{package.__name__}.blender.farm_command")
    return int(command.main(arguments))


if __name__ == "__main__":
    status = 1
    try:
        status = main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # Blender ends with 0 otherwise, and its interpreter can hang after a render
