# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the zip that Blender installs: ``make extension`` runs this file in the environment that holds Blender.

Blender wants `__init__.py` beside `blender_manifest.toml`, so both are put into one folder, which is then built and
validated by Blender's own `blender_ext.py`. It comes with the `bpy` module and knows the tags of the official platform.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from help_pages import write_help

ROOT = Path(__file__).resolve().parent.parent
BESIDE_THE_PACKAGE = ("blender_manifest.toml", "LICENSE", "README.md")


class BuildError(Exception):
    """The zip cannot be built; the message says why."""


def package_files(package: Path) -> list[Path]:
    """Return the files of the package as relative paths, sorted, without caches and hidden files."""
    files = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
    return sorted(
        path
        for path in files
        if "__pycache__" not in path.parts and not any(part.startswith(".") for part in path.parts)
    )


def stage(root: Path, folder: Path) -> list[Path]:
    """Copy manifest and package into one empty folder and return the files there as relative paths, sorted."""
    if folder.exists():
        shutil.rmtree(folder)
    package = root / "stylegan_reactive"
    sources = {Path(name): root / name for name in BESIDE_THE_PACKAGE}
    sources.update({path: package / path for path in package_files(package)})
    for path, source in sources.items():
        if not source.is_file():
            raise BuildError(f"{source} is missing; the extension cannot be built without it.")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / path)
    write_help(root / "docs", folder / "help")
    return sorted(sources)


def blender_tool() -> tuple[Path, Path]:
    """Return Blender's ``blender_ext.py`` and its list of tags, found in the ``bpy`` module without loading it."""
    module = importlib.util.find_spec("bpy")
    folder = Path(module.origin).parent if module and module.origin else Path()
    tools = sorted(folder.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py")) if module else []
    if not tools:
        raise BuildError("This Python holds no Blender (the bpy module). Use the one of `make setup`: make extension")
    return tools[-1], tools[-1].parents[3] / "modules" / "_bpy_internal" / "extensions" / "tags.py"


def run_blender_tool(*arguments: str) -> None:
    """Run one command of ``blender_ext.py`` and hand on what it prints when it fails."""
    tool, tags = blender_tool()
    command = [sys.executable, str(tool), *arguments, f"--valid-tags={tags if tags.exists() else ''}"]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        raise BuildError(f"Blender's {tool.name} {arguments[0]} says:\n{answer.stdout}{answer.stderr}")


def build(root: Path, folder: Path) -> Path:
    """Stage, build and validate the extension of the repository ``root``, and return the path of the zip."""
    staged = folder / "stylegan_reactive"
    stage(root, staged)
    manifest = tomllib.loads((staged / "blender_manifest.toml").read_text(encoding="utf-8"))
    path = folder / f"{manifest['id']}-{manifest['version']}.zip"
    path.unlink(missing_ok=True)
    run_blender_tool("build", f"--source-dir={staged}", f"--output-filepath={path}")
    run_blender_tool("validate", str(path))
    return path


def main() -> int:
    """Build into the folder that the command line names and print what came out."""
    parser = argparse.ArgumentParser(description="Build and validate the zip that Blender installs.")
    parser.add_argument("--output", type=Path, default=ROOT / "build", help="folder for the zip")
    arguments = parser.parse_args()
    try:
        path = build(ROOT, arguments.output)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB, valid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
