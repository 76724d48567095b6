# SPDX-License-Identifier: GPL-3.0-or-later
"""The latent palette: rolled, kept, painted by the network, and given to layers."""

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.palette import SIDE, paint_steps, thumbnails, to_paint
from stylegan_reactive.blender.patches import patch_of
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.steps import finish

ops = bpy.ops.stylegan_reactive


@pytest.fixture
def palette(scene: bpy.types.Scene) -> bpy.types.Scene:
    """A scene with a palette and a latent layer."""
    thumbnails.clear()
    assert ops.palette_roll() == {"FINISHED"}
    ops.add_layer(collection="latent_layers", kind="static")
    return scene


def seeds(scene: bpy.types.Scene) -> list[int]:
    """The palette's seeds."""
    return [entry.seed for entry in settings_of(scene).palette]


def test_rolling_fills_an_empty_palette_with_one_picture_for_each_note(palette: bpy.types.Scene) -> None:
    assert len(set(seeds(palette))) == 12
    assert to_paint(palette) == []


def test_rolling_again_keeps_what_has_a_star_or_a_lock(palette: bpy.types.Scene) -> None:
    settings = settings_of(palette)
    settings.palette[2].starred = True
    settings.palette[5].locked = True
    before = seeds(palette)
    ops.palette_roll()
    kept = [index for index, (old, new) in enumerate(zip(before, seeds(palette), strict=True)) if old == new]
    assert kept == [2, 5]
    for entry in settings.palette:
        entry.locked = True
    with pytest.raises(RuntimeError, match="star or a lock"):
        ops.palette_roll()


def test_thumbnails_are_the_network_s_own_pictures(palette: bpy.types.Scene) -> None:
    pictures = finish(paint_steps(palette, [1, 2, 1]))
    assert {each.shape for each in pictures} == {(SIDE, SIDE, 4)}
    np.testing.assert_array_equal(pictures[0], pictures[2])
    assert np.any(pictures[0] != pictures[1])
    assert pictures[0][..., :3].std() > 5


def test_another_network_or_class_makes_the_thumbnails_stale(palette: bpy.types.Scene) -> None:
    settings = settings_of(palette)
    settings.label = 3
    assert len(to_paint(palette)) == 12
    assert all(thumbnails.find(entry) is not None for entry in settings.palette)  # the old ones are still shown
    ops.palette_paint()
    assert to_paint(palette) == []
    settings.checkpoint = "//another.pkl"
    assert len(to_paint(palette)) == 12


def test_esc_while_thumbnails_are_made_changes_nothing(scene: bpy.types.Scene, dump: Callable) -> None:
    before = dump()
    steps = paint_steps(scene, list(range(200)))
    next(steps)
    steps.close()
    assert dump() == before


def test_picture_is_given_to_the_selected_layer(palette: bpy.types.Scene) -> None:
    settings = settings_of(palette)
    source = settings.latent_layers[0].source
    all_seeds = seeds(palette)
    settings.palette_index = 3
    ops.palette_assign(target="STILL")
    assert patch_of(palette)["latent_layers"][0]["source"]["latents"] == [all_seeds[3]]
    settings.palette_index = 4
    ops.palette_assign(target="APPEND")
    assert source.kind == "loop"
    assert patch_of(palette)["latent_layers"][0]["source"]["latents"] == all_seeds[3:5]
    ops.palette_assign(target="LOOP")
    assert patch_of(palette)["latent_layers"][0]["source"]["latents"] == all_seeds
    settings.palette_index = 0
    ops.palette_assign(target="PITCH", pitch="A#")
    assert source.kind == "chroma"
    assert [latent.seed for latent in source.latents][10] == all_seeds[0]
    assert len(source.latents) == 12


def test_without_a_layer_the_button_says_what_to_do(palette: bpy.types.Scene) -> None:
    settings_of(palette).latent_layers.clear()
    with pytest.raises(RuntimeError, match="no latent layer"):
        ops.palette_assign(target="STILL")
    settings_of(palette).palette.clear()
    with pytest.raises(RuntimeError, match="palette is empty"):
        ops.palette_assign(target="STILL")


def test_each_row_of_a_file_becomes_a_picture_and_reaches_the_patch(palette: bpy.types.Scene, tmp_path: Path) -> None:
    width = 64  # of the z of the built-in network
    random = np.random.default_rng(1)
    np.save(tmp_path / "faces.npy", random.normal(size=(3, width)).astype(np.float32))
    settings = settings_of(palette)
    ops.palette_import(filepath=str(tmp_path / "faces.npy"), space="z")
    assert len(settings.palette) == 15
    assert [entry.title for entry in settings.palette][-3:] == ["faces.npy 0", "faces.npy 1", "faces.npy 2"]
    assert to_paint(palette) == []
    ops.palette_assign(target="STILL")
    found = patch_of(palette)["latent_layers"][0]["source"]["latents"]
    assert found == [{"file": str(tmp_path / "faces.npy"), "index": 2, "space": "z"}]
    assert settings.latent_layers[0].source.seeds == "faces.npy 2"


def test_file_without_latents_is_refused(palette: bpy.types.Scene, tmp_path: Path, dump: Callable) -> None:
    (tmp_path / "text.npy").write_text("no latents")
    before = dump()
    for name in ("text.npy", "missing.npy"):
        with pytest.raises(RuntimeError, match=name):
            ops.palette_import(filepath=str(tmp_path / name))
    assert dump() == before


def test_pictures_are_added_by_seed_and_moved(palette: bpy.types.Scene) -> None:
    settings = settings_of(palette)
    ops.palette_add(seeds="10001-10003")
    assert seeds(palette)[-3:] == [10001, 10002, 10003]
    ops.list_edit(collection="palette", action="MOVE", step=-1)
    assert seeds(palette)[-3:] == [10001, 10003, 10002]
    assert settings.palette[settings.palette_index].seed == 10003
    ops.list_edit(collection="palette", action="REMOVE")
    assert seeds(palette)[-2:] == [10001, 10002]
    with pytest.raises(RuntimeError, match="256"):
        ops.palette_add(seeds="1-250")
