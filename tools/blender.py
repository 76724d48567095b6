# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of Blender's command line that farms use, for the module bpy: so a farm's own commands can be run with it.

    python tools/blender.py --background film.blend --python-exit-code 1 --python script.py -- arguments

`write_launcher` makes the executable file that a farm can be told as its Blender.
"""

import os
import runpy
import shlex
import sys
import traceback
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def write_launcher(path: Path) -> Path:
    """An executable that behaves as Blender does for farms, with this Python's bpy."""
    if os.name == "nt":
        path = path.with_suffix(".bat")
        path.write_text(f'@"{sys.executable}" "{Path(__file__).resolve()}" %*\n', encoding="utf-8")
        return path
    command = shlex.join([sys.executable, str(Path(__file__).resolve())])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def main(arguments: list[str]) -> int:
    """Exit status as Blender's: that of ``--python-exit-code`` where a script raises."""
    import bpy

    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    exit_code = 0
    waiting = iter(ours)
    for argument in waiting:
        if argument == "--python-exit-code":
            exit_code = int(next(waiting))
        elif argument in ("--python", "-P"):
            sys.argv = ["blender", *arguments]
            try:
                runpy.run_path(next(waiting), run_name="__main__")
            except Exception:
                traceback.print_exc()
                return exit_code
        elif argument not in ("--background", "-b", "-y", "--factory-startup"):
            sys.path.insert(0, str(REPOSITORY))
            import stylegan_reactive

            stylegan_reactive.register()  # as an extension is that was switched on
            bpy.ops.wm.open_mainfile(filepath=argument)
    return 0


if __name__ == "__main__":
    sys.path[0] = str(REPOSITORY)  # in place of the folder of the tools
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
