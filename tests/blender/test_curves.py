# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's edits in the Graph Editor change the frames that they should and no others."""

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.curves import CurveError, SceneCurves, property_path
from stylegan_reactive.blender.picture import picture_at
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.sparse_keys import Keys, sparse_keys

KICK = property_path("audio_kick")
FRAMES = (3, 16, 22, 46, 61, 77)  # a kick sounds in 1, 16, 31, 46 ...


def curve_of(scene: bpy.types.Scene, path: str = KICK) -> bpy.types.FCurve:
    """The scene's curve of a data path."""
    return SceneCurves(scene).curves[path]


def kick(scene: bpy.types.Scene) -> dict[int, float]:
    """What the kick's curve gives at the frames that are looked at."""
    curves = SceneCurves(scene)
    return {frame: curves.value(KICK, frame, scene["audio_kick"]) for frame in FRAMES}


def pictures(scene: bpy.types.Scene) -> dict[int, np.ndarray]:
    """The pictures of the frames that are looked at."""
    return {frame: picture_at(scene, frame).copy() for frame in FRAMES}


def frames_that_differ(before: dict[int, np.ndarray], after: dict[int, np.ndarray]) -> set[int]:
    """Frames whose pixels are not the same."""
    return {frame for frame in before if not np.array_equal(before[frame], after[frame])}


def test_attack_is_keyed_on_its_frame_and_the_curve_falls_after_it(film: bpy.types.Scene) -> None:
    curves = SceneCurves(film)
    attack = [curves.value(KICK, frame, 0.0) for frame in (14, 15, 16, 17, 20)]
    assert attack[2] == max(attack)
    assert attack[2] > 0.8
    assert attack[0] < 0.1
    assert attack[1] < 0.1
    assert attack[3] < attack[2]
    assert attack[4] < attack[3]
    keys = {key.co[0] for key in curves.curves[KICK].keyframe_points}
    assert 16.0 in keys


def test_curves_are_grouped_and_editable(film: bpy.types.Scene) -> None:
    curve = curve_of(film)
    assert curve.group.name == "Audio"
    assert curve_of(film, property_path("audio_bars")).group.name == "Audio Clocks"
    assert not curve.lock
    assert len(curve.sampled_points) == 0


def test_every_baked_curve_stays_within_the_tolerance(film: bpy.types.Scene) -> None:
    sparse = {
        path: [curve.evaluate(frame) for frame in range(1, 241)] for path, curve in SceneCurves(film).curves.items()
    }
    settings_of(film).tolerance = 0.0
    bpy.ops.stylegan_reactive.bake()
    for path, curve in SceneCurves(film).curves.items():
        dense = np.array([curve.evaluate(frame) for frame in range(1, 241)])
        allowed = 0.003 if path in map(property_path, ("audio_bars", "audio_seconds")) else 0.011 * np.ptp(dense) + 1e-6
        assert np.abs(dense - sparse[path]).max() <= allowed, path


def test_limits_modifier_changes_only_the_frames_above_it(film: bpy.types.Scene) -> None:
    before, values = pictures(film), kick(film)
    limits = curve_of(film).modifiers.new("LIMITS")
    limits.use_max_y, limits.max_y = True, 0.3
    assert frames_that_differ(before, pictures(film)) == {frame for frame in FRAMES if values[frame] > 0.3} != set()


def test_muted_modifier_changes_nothing(film: bpy.types.Scene) -> None:
    before = pictures(film)
    limits = curve_of(film).modifiers.new("LIMITS")
    limits.use_max_y, limits.max_y, limits.mute = True, 0.3, True
    assert frames_that_differ(before, pictures(film)) == set()


def test_moved_key_changes_only_the_frames_around_it(film: bpy.types.Scene) -> None:
    before = pictures(film)
    key = next(key for key in curve_of(film).keyframe_points if key.co[0] == 46)
    key.co[1] = 0.2
    curve_of(film).update()
    assert frames_that_differ(before, pictures(film)) == {46}


def test_kick_that_is_drawn_by_hand_is_seen(film: bpy.types.Scene) -> None:
    before = pictures(film)
    curve = curve_of(film)
    for frame, value in ((76, 0.0), (77, 1.0), (79, 0.0)):
        curve.keyframe_points.insert(frame, value).interpolation = "LINEAR"
    assert frames_that_differ(before, pictures(film)) == {77}


@pytest.mark.parametrize("by_group", [False, True])
def test_muted_curve_holds_the_value_of_its_property(film: bpy.types.Scene, by_group: bool) -> None:
    before = pictures(film)
    curve = curve_of(film)
    if by_group:
        other = SceneCurves(film).curves[property_path("audio_bars")]
        other.group = None
        for path, each in SceneCurves(film).curves.items():
            if path != KICK and each.group is not None:
                each.group = None
        curve.group.mute = True
    else:
        curve.mute = True
    film["audio_kick"] = 0.0
    quiet = pictures(film)
    assert {16, 46, 61} <= frames_that_differ(before, quiet)
    film["audio_kick"] = 1.0
    assert len(frames_that_differ(quiet, pictures(film))) == len(FRAMES)


def test_keyed_truncation_is_followed(film: bpy.types.Scene) -> None:
    before = pictures(film)
    settings = settings_of(film)
    settings.truncation.keyframe_insert("amount", frame=50)
    settings.truncation.amount = 0.2
    settings.truncation.keyframe_insert("amount", frame=70)
    assert frames_that_differ(before, pictures(film)) == {61, 77}


def test_keyed_influence_follows_its_layer_when_layers_are_moved(film: bpy.types.Scene) -> None:
    settings = settings_of(film)
    top = len(settings.latent_layers) - 1
    settings.latent_layers[top].influence.amount = 0.0
    settings.latent_layers[top].influence.keyframe_insert("amount", frame=1)
    name = settings.latent_layers[top].name
    settings.latent_index = top
    bpy.ops.stylegan_reactive.list_edit(collection="latent_layers", action="MOVE", step=-1)
    assert settings.latent_layers[top - 1].name == name
    paths = [path for path in SceneCurves(film).curves if "latent_layers" in path]
    assert paths == [f"stylegan_reactive.latent_layers[{top - 1}].influence.amount"]
    settings.latent_index = 0
    bpy.ops.stylegan_reactive.list_edit(collection="latent_layers", action="REMOVE")
    paths = [path for path in SceneCurves(film).curves if "latent_layers" in path]
    assert paths == [f"stylegan_reactive.latent_layers[{top - 2}].influence.amount"]
    settings.latent_index = top - 2
    bpy.ops.stylegan_reactive.list_edit(collection="latent_layers", action="REMOVE")
    assert not [path for path in SceneCurves(film).curves if "latent_layers" in path]


def test_driver_on_an_envelope_is_followed_in_a_render(film: bpy.types.Scene, render: Callable) -> None:
    plain = render(film, 46)[46]
    driver = film.driver_add(KICK).driver
    driver.type = "SCRIPTED"
    driver.expression = "0.0 * frame"
    driven = render(film, 45, 46)[46]
    assert np.any(driven != plain)
    film.animation_data.drivers[0].mute = True
    np.testing.assert_array_equal(render(film, 46)[46], plain)


def test_driver_inside_a_scene_strip_is_refused_not_ignored(film: bpy.types.Scene) -> None:
    film.driver_add(KICK).driver.expression = "0.5"
    with pytest.raises(CurveError, match="audio_kick"):
        picture_at(film, 5, up_to_date=False)


def test_driver_that_reads_an_object_is_refused_for_it_would_come_late(film: bpy.types.Scene) -> None:
    cube = bpy.data.objects.new("Cube", None)
    film.collection.objects.link(cube)
    driver = film.driver_add(KICK).driver
    variable = driver.variables.new()
    variable.type = "SINGLE_PROP"
    variable.targets[0].id, variable.targets[0].data_path = cube, "location.x"
    driver.expression = variable.name
    with pytest.raises(CurveError, match="Cube"):
        picture_at(film, 5)


def test_preset_leaves_no_curve_of_the_layers_that_it_replaces(film: bpy.types.Scene) -> None:
    settings_of(film).latent_layers[1].influence.keyframe_insert("amount", frame=1)
    settings_of(film).noise_layers[0].amplitude.keyframe_insert("amount", frame=1)
    bpy.ops.stylegan_reactive.apply_preset(name="kick_and_chords")
    assert not [path for path in SceneCurves(film).curves if "layers" in path]
    assert KICK in SceneCurves(film).curves


def test_nla_strips_are_refused_not_ignored(film: bpy.types.Scene) -> None:
    track = film.animation_data.nla_tracks.new()
    track.strips.new("Strip", 1, film.animation_data.action)
    with pytest.raises(CurveError, match="NLA"):
        picture_at(film, 5)
    track.mute = True
    picture_at(film, 5)


def test_baking_again_keeps_the_modifiers_and_the_curve(film: bpy.types.Scene) -> None:
    curve_of(film).modifiers.new("NOISE").strength = 0.25
    curves = set(SceneCurves(film).curves)
    bpy.ops.stylegan_reactive.bake()
    assert set(SceneCurves(film).curves) == curves
    assert [modifier.type for modifier in curve_of(film).modifiers] == ["NOISE"]
    assert curve_of(film).modifiers[0].strength == 0.25


def test_baking_one_envelope_leaves_hand_edits_of_the_others(film: bpy.types.Scene) -> None:
    snare = curve_of(film, property_path("audio_snare"))
    snare.keyframe_points[0].co[1] = 0.77
    settings = settings_of(film)
    settings.envelope_index = settings.envelopes.find("audio_kick")
    settings.envelopes["audio_kick"].steps.add().set_plain({"step": "gain_and_clip", "gain": 0.5})
    bpy.ops.stylegan_reactive.bake(which="ACTIVE")
    assert curve_of(film, property_path("audio_snare")).keyframe_points[0].co[1] == pytest.approx(0.77)
    assert max(kick(film).values()) < 0.6


def test_other_animation_of_the_scene_survives_the_bake(scene: bpy.types.Scene, beat: Path) -> None:
    scene["mine"] = 1.0
    scene.keyframe_insert('["mine"]', frame=10)
    settings_of(scene).song = str(beat)
    bpy.ops.stylegan_reactive.set_up()
    bpy.ops.stylegan_reactive.bake()
    assert [key.co[0] for key in SceneCurves(scene).curves['["mine"]'].keyframe_points] == [10.0]


def test_song_strip_that_was_moved_moves_the_curves(film: bpy.types.Scene) -> None:
    before = kick(film)[16]
    strip = next(strip for strip in film.sequence_editor.strips if strip.type == "SOUND")
    strip.frame_start += 10
    bpy.ops.stylegan_reactive.bake()
    assert SceneCurves(film).value(KICK, 26, 0.0) == pytest.approx(before, abs=0.02)


def test_clock_runs_on_after_the_end_of_the_song(film: bpy.types.Scene) -> None:
    seconds = curve_of(film, property_path("audio_seconds"))
    assert seconds.evaluate(1) == pytest.approx(0.0, abs=1e-4)
    assert seconds.evaluate(31) == pytest.approx(1.0, abs=3e-3)
    assert seconds.evaluate(1201) == pytest.approx(40.0, abs=0.02)


def bezier_heights(keys: Keys, count: int) -> np.ndarray:
    """The curve through some keys at every sample, from the definition of a cubic Bezier curve."""
    heights = np.empty(count)
    for k in range(len(keys.index) - 1):
        first, last = keys.index[k], keys.index[k + 1]
        t = np.arange(last - first + 1) / (last - first)
        points = keys.value[k], keys.right[k], keys.left[k + 1], keys.value[k + 1]
        weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
        heights[first : last + 1] = sum(w * p for w, p in zip(weights, points, strict=True))
        if keys.hold[k]:
            heights[first:last] = keys.value[k]
            heights[last] = keys.value[k + 1]
    return heights


@pytest.mark.parametrize("tolerance", [0.0, 0.01, 0.1])
def test_curve_through_sparse_keys_stays_within_the_tolerance(tolerance: float) -> None:
    random = np.random.default_rng(1)
    hits = np.zeros(600)
    hits[random.integers(0, 600, 40)] = random.random(40)
    falling = np.convolve(hits, np.exp(-np.arange(60) / 6))[:600]
    for values in (falling, random.random(600), np.zeros(600), np.linspace(0, 1, 600), np.array([0.5, 0.2])):
        keys = sparse_keys(values, tolerance)
        assert np.abs(bezier_heights(keys, len(values)) - values).max() <= tolerance + 1e-9


def test_a_hit_that_fades_takes_few_keys_and_its_attack_is_one() -> None:
    hit = np.concatenate([np.zeros(30), np.exp(-np.arange(90) / 6)])
    keys = sparse_keys(hit, 0.01)
    assert {0, 30} <= set(keys.index)
    assert len(keys.index) <= 6


def test_nothing_rises_before_an_attack_not_even_between_frames(film: bpy.types.Scene) -> None:
    curve = curve_of(film)
    for attack in (16, 46, 61, 76):
        before = curve.evaluate(attack - 1)
        assert curve.evaluate(attack) > before + 0.5
        for part in (0.25, 0.5, 0.75, 0.99):
            assert curve.evaluate(attack - 1 + part) <= before + 0.01


def test_nothing_rises_before_an_attack() -> None:
    hit = np.concatenate([np.zeros(30), np.exp(-np.arange(90) / 6)])
    assert np.abs(bezier_heights(sparse_keys(hit, 0.01), 120)[:30]).max() < 1e-9


def test_one_sample_is_one_key() -> None:
    assert sparse_keys(np.array([0.5]), 0.1).index.tolist() == [0]
