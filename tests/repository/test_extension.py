# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip is what Blender accepts, it installs, and it leaves nothing behind when it is switched off."""

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

LARGEST_ZIP = 10 * 2**20  # bytes; the two built-in networks are most of it

# Installs the zip as the button in Blender's preferences does, then switches it off and on again.
INSTALL = """
import json
import sys

import bpy

MODULE = "bl_ext.user_default.stylegan_reactive"


def traces():
    # Everything in Blender that an add-on can add itself to, as a set of lines.
    found = set()
    for name in dir(bpy.app.handlers):
        handlers = getattr(bpy.app.handlers, name)
        for handler in handlers if isinstance(handlers, list) else ():
            found.add(f"handler {name}: {getattr(handler, '__qualname__', handler)}")
    for name in dir(bpy.types):
        kind = getattr(bpy.types, name)
        for draw in getattr(getattr(kind, "draw", None), "_draw_funcs", ()):
            if draw.__module__.startswith("bl_ui"):
                continue  # Blender lists a menu's own part only once something was added to it
            found.add(f"menu {name}: {draw.__module__}.{draw.__qualname__}")
        for python_class in ("Panel", "Menu", "UIList", "Operator"):
            if isinstance(kind, type) and issubclass(kind, getattr(bpy.types, python_class)):
                found.add(f"{python_class}: {name}")
    for kind in (bpy.types.PropertyGroup, bpy.types.AddonPreferences):
        for name in {one.__name__ for one in kind.__subclasses__()}:
            if kind.bl_rna_get_subclass_py(name):
                found.add(f"{kind.__name__}: {name}")
    for name in ("Scene", "WindowManager", "Object", "Image", "Sound", "Action"):
        found |= {f"property: {name}.{one}" for one in getattr(bpy.types, name).bl_rna.properties.keys()}
    for module in dir(bpy.ops):
        found |= {f"operator: {module}.{one}" for one in dir(getattr(bpy.ops, module))}
    return found


before = traces()
result = bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
enabled = MODULE in bpy.context.preferences.addons
on = traces()
leftovers, changed = set(), set()
for _ in range(2):
    bpy.ops.preferences.addon_disable(module=MODULE)
    leftovers |= traces() ^ before
    bpy.ops.preferences.addon_enable(module=MODULE)
    changed |= traces() ^ on
print("ANSWER", json.dumps({
    "installed": result == {"FINISHED"}, "enabled": enabled, "new": sorted(on - before), "lost": sorted(before - on),
    "leftovers": sorted(leftovers), "changed": sorted(changed),
    "heavy": sorted({"torch", "librosa"} & set(sys.modules)),
}))
"""


@pytest.fixture(scope="module")
def extension(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip as `make extension` builds it."""
    return build(repository, tmp_path_factory.mktemp("extension"))


def build(repository: Path, folder: Path) -> Path:
    """Build into the folder and return the zip."""
    command = [sys.executable, str(repository / "tools" / "build_extension.py"), "--output", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (path,) = folder.glob("*.zip")
    return path


def names_in(path: Path) -> list[str]:
    """Return the sorted names of the files in a zip."""
    with zipfile.ZipFile(path) as archive:
        return sorted(name for name in archive.namelist() if not name.endswith("/"))


def test_zip_holds_the_package_its_licence_and_nothing_that_is_only_ours(extension: Path) -> None:
    names = names_in(extension)
    assert {"__init__.py", "blender_manifest.toml", "LICENSE", "README.md", "errors.py"} <= set(names)
    assert [
        name for name in names if "__pycache__" in name or name.startswith(("tests/", "tools/", "training", "."))
    ] == []
    assert extension.stat().st_size < LARGEST_ZIP


def test_zip_holds_the_same_files_when_it_is_built_again(repository: Path, extension: Path, tmp_path: Path) -> None:
    assert names_in(build(repository, tmp_path)) == names_in(extension)


def test_manifest_keeps_to_the_platform_s_rules_and_the_versions_agree(repository: Path) -> None:
    manifest = tomllib.loads((repository / "blender_manifest.toml").read_text("utf-8"))
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    assert len(manifest["tagline"]) <= 64
    assert not manifest["tagline"].endswith(".")
    assert set(manifest["permissions"]) == {"files", "network"}
    assert manifest["version"] == project["version"]
    assert f"## {manifest['version']}" in (repository / "CHANGELOG.md").read_text("utf-8")


@pytest.fixture(scope="module")
def answer(extension: Path, blender_in: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one installation into a fresh Blender did."""
    output = blender_in(tmp_path_factory.mktemp("installed"))(INSTALL, extension)
    (line,) = [line for line in output.splitlines() if line.startswith("ANSWER ")]
    return json.loads(line.removeprefix("ANSWER "))


def test_blender_installs_and_enables_it(answer: dict[str, Any]) -> None:
    assert answer["installed"]
    assert answer["enabled"]
    assert answer["lost"] == []


@pytest.mark.parametrize("kind", ["operator: ", "Panel: ", "PropertyGroup: ", "property: Scene", "handler "])
def test_what_the_artist_works_with_is_there(answer: dict[str, Any], kind: str) -> None:
    assert [line for line in answer["new"] if line.startswith(kind)]


def test_neither_torch_nor_librosa_enters_blender_s_process(answer: dict[str, Any]) -> None:
    assert answer["heavy"] == []


def test_switching_it_off_leaves_nothing_behind_and_on_again_brings_all_back(answer: dict[str, Any]) -> None:
    assert answer["leftovers"] == []
    assert answer["changed"] == []
