# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the lists of packages, with the hashes of their files, from which Blender installs the engine's Python.

    python tools/lock_engine.py        needs the program `uv` and an index; asks it for what the pins bring along

The pins are those of `stylegan_reactive/blender/engine_locks.py`, and everything else keeps to ``requirements.lock``.
For builds of torch that the configured indexes do not hold no hash can be had: these are pinned by version alone.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "stylegan_reactive" / "blender" / "locks"
OF_TORCH = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
HEAD = "# Written by tools/lock_engine.py: exact versions, and the SHA-256 of each file that may be installed.\n"


def pins() -> list[str]:
    """What the installer asks for, for all Pythons."""
    place = ROOT / "stylegan_reactive" / "blender" / "engine_locks.py"
    spec = importlib.util.spec_from_file_location("engine_locks", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["engine_locks"] = module
    spec.loader.exec_module(module)
    numpy = [f'numpy=={module.NUMPY[3, 11]} ; python_version < "3.12"']
    numpy += [f'numpy=={module.NEWER_NUMPY} ; python_version >= "3.12"']
    return [*numpy, *(f"{name}=={version}" for name, version in module.PINS.items())]


def constraints() -> list[str]:
    """The versions that the development environment has, where they are the same for all Pythons."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.fullmatch(r"[\w.-]+==[\w.]+", line) and not line.startswith("bpy")]


def entries(text: str) -> list[str]:
    """Each package of a lock with its hashes, which stand on lines of their own below it."""
    return [entry for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if "==" in entry]


def main() -> None:
    """Ask for everything at once, and write it in two parts."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, within, found = (Path(folder, name) for name in ("wanted.txt", "within.txt", "found.txt"))
        wanted.write_text("\n".join(pins()) + "\n", encoding="utf-8")
        within.write_text("\n".join(constraints()) + "\n", encoding="utf-8")
        command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"]
        command += ["--no-header", "--no-annotate", "--constraints", str(within), str(wanted), "-o", str(found)]
        subprocess.run(command, check=True)
        everything = entries(found.read_text(encoding="utf-8"))
    FOLDER.mkdir(exist_ok=True)
    for name, of_torch in (("packages", False), ("torch", True)):
        lines = [entry for entry in everything if bool(OF_TORCH.match(entry)) == of_torch]
        (FOLDER / f"{name}.txt").write_text(HEAD + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
