# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole mapping travels: to files and back, from scene to scene, from file to file."""

import json
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.curves import SceneCurves
from stylegan_reactive.blender.patches import apply_patch, patch_of, preset_items, preset_names, read_preset
from stylegan_reactive.blender.picture import picture_at
from stylegan_reactive.blender.properties import settings_of

from .conftest import SIZE

ops = bpy.ops.stylegan_reactive


def test_saved_patch_is_loaded_as_it_was(scene: bpy.types.Scene, tmp_path: Path) -> None:
    settings = settings_of(scene)
    apply_patch(settings, read_preset("reference"))
    settings.bends.add().operation = "warp"
    settings.truncation.envelope = "audio_rms"
    before = patch_of(scene)
    ops.save_patch(filepath=str(tmp_path / "mine.json"))
    apply_patch(settings, read_preset("noise_only"))
    assert ops.load_patch(filepath=str(tmp_path / "mine.json")) == {"FINISHED"}
    assert patch_of(scene) == before


def test_network_comes_with_the_patch_only_when_it_is_asked_for(scene: bpy.types.Scene, tmp_path: Path) -> None:
    settings = settings_of(scene)
    settings.checkpoint, settings.label = str(tmp_path / "mine.pkl"), 4
    ops.save_patch(filepath=str(tmp_path / "mine.json"))
    settings.checkpoint, settings.label = "", 0
    ops.load_patch(filepath=str(tmp_path / "mine.json"))
    assert (settings.checkpoint, settings.label) == ("", 0)
    ops.load_patch(filepath=str(tmp_path / "mine.json"), network=True)
    assert (settings.checkpoint, settings.label) == (str(tmp_path / "mine.pkl"), 4)


def test_builtin_network_is_kept_by_name_so_that_every_machine_finds_it(scene: bpy.types.Scene, tmp_path: Path) -> None:
    settings = settings_of(scene)
    ops.use_builtin_network(network="silk")
    ops.save_patch(filepath=str(tmp_path / "mine.json"))
    saved = (tmp_path / "mine.json").read_text(encoding="utf-8")
    assert json.loads(saved)["checkpoint"] == settings.checkpoint == "builtin:silk"
    settings.checkpoint = ""
    ops.load_patch(filepath=str(tmp_path / "mine.json"), network=True)
    assert settings.checkpoint == "builtin:silk"


def test_builtin_network_that_is_not_there_is_told_which_there_are(scene: bpy.types.Scene, notice: Callable) -> None:
    settings_of(scene).checkpoint = "builtin:velvet"
    with pytest.raises(RuntimeError):
        ops.show_frame()
    assert "builtin:velvet" in notice(scene)
    assert "builtin:silk" in notice(scene)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("", "not JSON"),
        ("\x00\xff", ""),
        ('{"version": 2,\n "latent_layers": [\n  {"source": {"kind": "walk"}}]}', "line 3"),
        ('{"version": 99}', "version"),
        ('{"version": 2, "bends": [{"operation": "melt"}]}', "melt"),
        ("[1, 2]", ""),
    ],
)
def test_file_that_is_no_patch_changes_nothing_and_says_why(
    scene: bpy.types.Scene, tmp_path: Path, notice: Callable, dump: Callable, content: str | None, said: str
) -> None:
    settings = settings_of(scene)
    apply_patch(settings, read_preset("reference"))
    settings.latent_layers[1].influence.keyframe_insert("amount", frame=1)
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    before = dump()
    with pytest.raises(RuntimeError, match=r"bad\.json"):
        ops.load_patch(filepath=str(path))
    assert dump() == before
    assert said in notice(scene)


def test_patch_is_copied_from_scene_to_scene(scene: bpy.types.Scene, notice: Callable) -> None:
    apply_patch(settings_of(scene), read_preset("reference"))
    assert ops.copy_patch() == {"FINISHED"}
    wanted = patch_of(scene)
    other = bpy.data.scenes.new("Other")
    with bpy.context.temp_override(scene=other):
        assert ops.paste_patch() == {"FINISHED"}
    assert patch_of(other) == wanted
    assert "audio_" in notice(other)  # the other scene has no envelopes yet
    apply_patch(settings_of(other), read_preset("noise_only"))
    assert patch_of(scene) == wanted


def test_envelope_that_the_scene_lacks_is_named_after_loading(
    film: bpy.types.Scene, tmp_path: Path, notice: Callable
) -> None:
    ops.save_patch(filepath=str(tmp_path / "mine.json"))
    text = (tmp_path / "mine.json").read_text()
    ops.load_patch(filepath=str(tmp_path / "mine.json"))
    assert notice(film) == ""
    (tmp_path / "mine.json").write_text(text.replace("audio_kick", "audio_cowbell"))
    ops.load_patch(filepath=str(tmp_path / "mine.json"))
    assert "audio_cowbell" in notice(film)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_in_the_menu_with_a_title_and_makes_a_picture(film: bpy.types.Scene, name: str) -> None:
    title = next(title for found, title, _description in preset_items() if found == name)
    assert title
    assert "_" not in title
    ops.apply_preset(name=name)
    missing = {each for each in json.dumps(patch_of(film)).split('"') if each.startswith("audio_")} - set(film.keys())
    for each in missing:
        film[each] = 0.5
    picture = picture_at(film, 20)
    assert picture.shape == (SIZE, SIZE, 4)
    assert picture[..., :3].std() > 0.01


# Files


@pytest.fixture
def library(film: bpy.types.Scene, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A .blend file with a film, and what its frame 20 looks like."""
    layer = settings_of(film).latent_layers[1]
    layer.influence.amount = 0.3
    layer.influence.keyframe_insert("amount", frame=10)
    layer.influence.amount = 0.9
    layer.influence.keyframe_insert("amount", frame=30)
    film.name = "Film"
    path = tmp_path / "film.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path, picture_at(film, 20).copy()


@pytest.mark.parametrize("link", [False, True], ids=["appended", "linked"])
def test_scene_of_another_file_renders_as_it_did_there(
    library: tuple[Path, np.ndarray], render: Callable, link: bool
) -> None:
    path, wanted = library
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(path), link=link) as (there, here):
        here.scenes = list(there.scenes)
    scene = here.scenes[0]
    assert (scene.library is not None) == link
    np.testing.assert_array_equal(picture_at(scene, 20), wanted)
    with bpy.context.temp_override(scene=scene):
        for operator in (ops.list_edit, ops.add_layer, ops.apply_preset, ops.paste_patch, ops.palette_roll):
            assert operator.poll() != link  # one that is linked cannot be edited here
    if not link:
        frames = render(scene, 20)
        assert frames[20].std() > 5


def test_full_copy_of_a_scene_is_independent(film: bpy.types.Scene) -> None:
    settings = settings_of(film)
    settings.latent_layers[1].influence.keyframe_insert("amount", frame=1)
    before = picture_at(film, 20).copy()
    bpy.ops.scene.new(type="FULL_COPY")
    copy = bpy.context.scene
    assert copy != film
    np.testing.assert_array_equal(picture_at(copy, 20), before)
    other = settings_of(copy)
    other.latent_layers[0].source.seeds = "77"
    other.noise_layers.clear()
    SceneCurves(copy).curves["stylegan_reactive.latent_layers[1].influence.amount"].keyframe_points[0].co[1] = 0.0
    assert np.any(picture_at(copy, 20) != before)
    np.testing.assert_array_equal(picture_at(film, 20), before)
