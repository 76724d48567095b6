# SPDX-License-Identifier: GPL-3.0-or-later
"""Set Up Scene makes one scene give picture and song, and respects what the artist has built already."""

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.compositor import tree_of
from stylegan_reactive.blender.curves import SceneCurves, property_path
from stylegan_reactive.blender.properties import settings_of


def test_one_button_prepares_picture_sound_range_and_file(film: bpy.types.Scene) -> None:
    settings = settings_of(film)
    assert tuple(settings.image.size) == tuple(settings.size) == (film.render.resolution_x, film.render.resolution_y)
    assert settings.image.is_float
    strips = [strip for strip in film.sequence_editor.strips if strip.type == "SOUND"]
    assert len(strips) == 1
    assert (film.frame_start, film.frame_end) == (1, 240)
    assert film.render.image_settings.file_format == "FFMPEG"
    assert (film.render.ffmpeg.codec, film.render.ffmpeg.audio_codec) == ("H264", "AAC")
    assert film.render.filepath.endswith("beat.mp4")
    assert film.view_settings.view_transform == "Standard"
    assert film.render.use_lock_interface
    assert settings.latent_layers
    assert settings.noise_layers
    assert settings.envelopes


def test_setting_up_twice_adds_nothing(film: bpy.types.Scene, dump: Callable) -> None:
    before = dump()
    nodes = len(tree_of(film).nodes)
    bpy.ops.stylegan_reactive.set_up()
    assert dump() == before
    assert len(tree_of(film).nodes) == nodes


def test_song_may_be_exchanged_and_its_strip_stays_where_it_was_put(film: bpy.types.Scene, builtin_song: Path) -> None:
    next(strip for strip in film.sequence_editor.strips).frame_start = 25
    settings_of(film).song = str(builtin_song)
    bpy.ops.stylegan_reactive.set_up()
    strips = list(film.sequence_editor.strips)
    assert [Path(bpy.path.abspath(strip.sound.filepath)).name for strip in strips] == [builtin_song.name]
    assert strips[0].frame_start == film.frame_start == 25


def test_compositor_that_the_artist_built_is_kept(
    scene: bpy.types.Scene, beat: Path, notice: Callable, own_compositor: Callable
) -> None:
    tree, output = own_compositor(scene)
    mine = tree.nodes.new("CompositorNodeBlur")
    link = tree.links.new(mine.outputs[0], output.inputs[0])
    settings_of(scene).song = str(beat)
    bpy.ops.stylegan_reactive.set_up()
    assert tree_of(scene) == tree
    assert output.inputs[0].links[0].from_node == mine
    assert link.is_valid
    assert "StyleGAN Reactive Fit" in tree.nodes
    assert "compositor was kept" in notice(scene)


def test_output_path_of_the_artist_is_kept(scene: bpy.types.Scene, beat: Path, tmp_path: Path) -> None:
    scene.render.filepath = str(tmp_path / "my film.mp4")
    settings_of(scene).song = str(beat)
    bpy.ops.stylegan_reactive.set_up()
    assert scene.render.filepath == str(tmp_path / "my film.mp4")


def test_render_of_another_shape_shows_the_middle_without_stretching(film: bpy.types.Scene, render: Callable) -> None:
    film.render.dither_intensity = 0
    square = render(film, 37)[37].astype(float)
    film.render.resolution_x, film.render.resolution_y = 64, 32
    np.testing.assert_allclose(render(film, 37)[37], square[16:48], atol=2)


def test_make_film_writes_a_film_and_says_where(
    scene: bpy.types.Scene, knock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notice: Callable
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    settings_of(scene).song = str(knock)
    assert bpy.ops.stylegan_reactive.make_film() == {"FINISHED"}
    assert (tmp_path / "knock.mp4").stat().st_size > 1000
    assert str(tmp_path / "knock.mp4") in notice(scene)
    assert (scene.frame_start, scene.frame_end) == (1, 15)


def test_make_film_keeps_the_curves_that_were_edited(scene: bpy.types.Scene, knock: Path, tmp_path: Path) -> None:
    scene.render.filepath = str(tmp_path / "film.mp4")
    settings_of(scene).song = str(knock)
    bpy.ops.stylegan_reactive.set_up()
    bpy.ops.stylegan_reactive.bake()
    key = SceneCurves(scene).curves[property_path("audio_kick")].keyframe_points[0]
    key.co[1] = 0.625
    del scene["audio_hats"]
    bpy.ops.stylegan_reactive.make_film()
    assert SceneCurves(scene).curves[property_path("audio_kick")].keyframe_points[0].co[1] == 0.625
    assert "audio_hats" in scene


def test_second_set_up_leaves_what_the_artist_changed(film: bpy.types.Scene) -> None:
    film.frame_end = 99
    film.view_settings.view_transform = "AgX"
    film.render.ffmpeg.constant_rate_factor = "LOSSLESS"
    bpy.ops.stylegan_reactive.set_up()
    assert film.frame_end == 99
    assert film.view_settings.view_transform == "AgX"
    assert film.render.ffmpeg.constant_rate_factor == "LOSSLESS"


def test_strip_of_the_song_that_is_there_already_is_used(scene: bpy.types.Scene, beat: Path) -> None:
    own = scene.sequence_editor_create().strips.new_sound("Mine", str(beat), 3, 20)
    settings_of(scene).song = str(beat)
    bpy.ops.stylegan_reactive.set_up()
    assert list(scene.sequence_editor.strips) == [own]
    assert scene.frame_start == 20


def test_changed_picture_size_survives_saving(
    film: bpy.types.Scene, tmp_path: Path, render: Callable, notice: Callable
) -> None:
    settings_of(film).size = (96, 80)
    bpy.ops.stylegan_reactive.set_up()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "film.blend"))
    scene = bpy.context.scene
    assert tuple(settings_of(scene).image.size) == (96, 80)
    assert render(scene, 20)[20].shape == (80, 96, 3)
    assert notice(scene) == ""


def test_scene_that_keeps_its_render_size(scene: bpy.types.Scene, beat: Path) -> None:
    scene.render.resolution_x, scene.render.resolution_y = 1920, 1080
    settings = settings_of(scene)
    settings.song, settings.match_render_size = str(beat), False
    bpy.ops.stylegan_reactive.set_up()
    assert (scene.render.resolution_x, scene.render.resolution_y) == (1920, 1080)
