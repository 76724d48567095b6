# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and values in a stranger's file are data: they become no code, no program and no path of another kind."""

from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

from stylegan_reactive.blender import preferences
from stylegan_reactive.blender.curves import SceneCurves, property_path
from stylegan_reactive.blender.follow import Place, follow
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.errors import EngineError

NAMES = (
    """x"] + __import__("os").system("touch sprung") + ["y""",
    "__import__('os').system('touch sprung')",
    "a\\",
    "../../sprung",
    "'); open('sprung', 'w'); ('",
    "é" * 20,
)


@pytest.mark.parametrize("name", NAMES)
def test_name_of_an_envelope_never_becomes_part_of_an_expression(
    scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not bpy.context.preferences.filepaths.use_scripts_auto_execute
    scene[name] = 3.0
    follow(scene, Place(scene, "audio_volume"), name, gain=0.25, offset=0.1)
    (curve,) = scene.animation_data.drivers
    assert name not in curve.driver.expression
    assert curve.driver.is_simple_expression  # numbers and one variable: Blender runs no Python for it
    assert scene.path_resolve(property_path(name)) == 3.0
    film = tmp_path / "film.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(film))
    bpy.ops.wm.open_mainfile(filepath=str(film), use_scripts=False)
    again = bpy.context.scene
    again.frame_set(2)
    assert again.audio_volume == pytest.approx(0.85)
    SceneCurves(again)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.blend"]


@pytest.mark.parametrize("path", ["//python", "//../venv/bin/python", "python", "venv/bin/python", "./python3"])
def test_program_beside_a_strangers_file_is_not_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\ntouch sprung\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    monkeypatch.setattr(preferences, "preferences", lambda: SimpleNamespace(engine_python=path))
    with pytest.raises(EngineError, match="relative to the file that is open"):
        preferences.engine_python()


def test_paths_and_names_of_a_strangers_file_come_back_as_they_are(scene: bpy.types.Scene, tmp_path: Path) -> None:
    settings = settings_of(scene)
    settings.song = "//../../../etc/passwd"
    settings.checkpoint = "| touch sprung"
    film = tmp_path / "film.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(film), relative_remap=False)
    bpy.ops.wm.open_mainfile(filepath=str(film), use_scripts=False)
    assert settings_of(bpy.context.scene).checkpoint == "| touch sprung"
    assert [path.name for path in tmp_path.iterdir()] == ["film.blend"]
