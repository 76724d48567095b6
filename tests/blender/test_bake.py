# SPDX-License-Identifier: GPL-3.0-or-later
"""Baking: sparse keys that are true at every frame, and no work of the artist is lost."""

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.bake import bake_steps, chosen_envelopes, edited_envelopes, listen_steps
from stylegan_reactive.blender.curves import property_path
from stylegan_reactive.blender.envelope_curves import curve_of, is_edited
from stylegan_reactive.blender.envelope_list import add_envelope
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.steps import finish
from stylegan_reactive.errors import ReactiveError

KICK = "audio_kick"


def keys_of(scene: bpy.types.Scene, name: str = KICK) -> list[tuple[float, float]]:
    """Frame and value of an envelope's keys."""
    return [tuple(key.co) for key in curve_of(scene, name).keyframe_points]


def move_a_key(scene: bpy.types.Scene, name: str = KICK) -> None:
    """What an artist does by hand."""
    curve = curve_of(scene, name)
    curve.keyframe_points[2].co[1] = 0.4375
    curve.update()


def test_sparse_curve_is_true_at_every_frame_and_attacks_are_keyed(scene: bpy.types.Scene, builtin_song: Path) -> None:
    settings = settings_of(scene)
    settings.song = str(builtin_song)
    for kind in ("kick", "onset", "rms", "chroma", "seconds"):
        add_envelope(scene, kind)
    analysed = finish(listen_steps(scene, [each.recipe() for each in settings.envelopes]))
    finish(bake_steps(scene))
    frames = keys = 0
    for name, values in analysed.envelopes.items():
        curve = curve_of(scene, name)
        drawn = np.array([curve.evaluate(scene.frame_start + frame) for frame in range(len(values))])
        allowed = 0.002 if name == "audio_seconds" else 0.01 * np.ptp(values)
        assert np.abs(drawn - values).max() <= allowed, name
        rise = np.diff(values, prepend=values[:1])
        attacks = np.flatnonzero((rise > 0.3) & (np.append(rise[1:], 0) <= 0)) + scene.frame_start
        assert set(attacks) <= {round(frame) for frame, _ in keys_of(scene, name)}, name
        frames, keys = frames + len(values), keys + len(curve.keyframe_points)
    assert frames > 5 * keys


def test_dense_keys_are_one_for_each_frame(film: bpy.types.Scene) -> None:
    settings_of(film).envelopes[KICK].dense = True
    finish(bake_steps(film))
    assert [frame for frame, _ in keys_of(film)] == list(range(1, 241))
    assert len(keys_of(film, "audio_snare")) < 240


def test_fresh_bake_is_not_edited_and_stays_so_when_saved_undone_or_looked_at(
    film: bpy.types.Scene, tmp_path: Path
) -> None:
    assert edited_envelopes(film) == []
    for envelope in settings_of(film).envelopes:
        curve = curve_of(film, envelope.name)
        curve.update()
        curve.select = True
        curve.mute = True
        for key in curve.keyframe_points[:3]:
            key.select_control_point = True
    assert edited_envelopes(film) == []
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "film.blend"))
    assert edited_envelopes(bpy.context.scene) == []
    assert chosen_envelopes(bpy.context.scene, "MISSING") == []


def move(curve: bpy.types.FCurve) -> None:
    curve.keyframe_points[2].co[1] += 0.001


def bend(curve: bpy.types.FCurve) -> None:
    curve.keyframe_points[2].handle_right[1] += 0.01


def insert(curve: bpy.types.FCurve) -> None:
    curve.keyframe_points.insert(33.5, 0.5)


def delete(curve: bpy.types.FCurve) -> None:
    curve.keyframe_points.remove(curve.keyframe_points[2])


def straighten(curve: bpy.types.FCurve) -> None:
    curve.keyframe_points[2].interpolation = "LINEAR"


@pytest.mark.parametrize("edit", [move, bend, insert, delete, straighten])
def test_every_edit_by_hand_is_noticed(film: bpy.types.Scene, edit: Callable) -> None:
    edit(curve_of(film, KICK))
    assert edited_envelopes(film) == [KICK]


def test_edit_that_is_taken_back_is_none(film: bpy.types.Scene) -> None:
    key = curve_of(film, KICK).keyframe_points[2]
    value = key.co[1]
    key.co[1] = 0.9
    key.co[1] = value
    assert edited_envelopes(film) == []


@pytest.mark.parametrize("how", ["KEEP", "BESIDE", "REPLACE"])
def test_edited_keys_are_kept_replaced_or_baked_beside(film: bpy.types.Scene, how: str) -> None:
    fresh = keys_of(film)
    move_a_key(film)
    curve = curve_of(film, KICK)
    curve.modifiers.new("NOISE")
    curve.extrapolation = "LINEAR"
    curve.color_mode = "CUSTOM"
    mine = keys_of(film)
    count = len(settings_of(film).envelopes)
    baked = finish(bake_steps(film, edited=how))
    curve = curve_of(film, KICK)
    assert [modifier.type for modifier in curve.modifiers] == ["NOISE"]
    assert (curve.extrapolation, curve.color_mode) == ("LINEAR", "CUSTOM")
    assert keys_of(film) == (fresh if how == "REPLACE" else mine)
    assert is_edited(film, settings_of(film).envelopes[KICK]) == (how != "REPLACE")
    if how == "KEEP":
        assert baked.kept == (KICK,)
        assert KICK in str(baked)
    if how == "BESIDE":
        assert baked.beside == ("audio_kick_2",)
        assert keys_of(film, "audio_kick_2") == fresh
        assert settings_of(film).envelopes.find("audio_kick_2") == settings_of(film).envelopes.find(KICK) + 1
    assert len(settings_of(film).envelopes) == count + (how == "BESIDE")


def test_button_in_a_script_keeps_edited_keys_and_says_so(film: bpy.types.Scene, notice: Callable) -> None:
    move_a_key(film)
    mine = keys_of(film)
    bpy.ops.stylegan_reactive.bake()
    assert keys_of(film) == mine
    assert "kept: audio_kick" in notice(film)


def test_curve_that_the_artist_drew_under_an_envelope_s_name_is_not_lost(film: bpy.types.Scene) -> None:
    film["audio_drop"] = 0.5
    film.keyframe_insert(property_path("audio_drop"), frame=10)
    envelope = add_envelope(film, "drop")
    finish(bake_steps(film))
    assert envelope.name == "audio_drop_2"
    assert keys_of(film, "audio_drop") == [(10.0, 0.5)]


def test_missing_bakes_what_is_new_or_changed_and_nothing_else(film: bpy.types.Scene) -> None:
    assert chosen_envelopes(film, "MISSING") == []
    add_envelope(film, "flux")
    settings_of(film).envelopes["audio_snare"].steps[0].power_exponent = 3.0
    assert [each.name for each in chosen_envelopes(film, "MISSING")] == ["audio_snare", "audio_flux"]
    move_a_key(film)
    mine = keys_of(film)
    bpy.ops.stylegan_reactive.bake(which="MISSING", edited="REPLACE")
    assert keys_of(film) == mine
    assert chosen_envelopes(film, "MISSING") == []
    film.render.fps = 25
    assert len(chosen_envelopes(film, "MISSING")) == len(settings_of(film).envelopes)


def test_property_of_another_kind_is_not_overwritten(film: bpy.types.Scene) -> None:
    film["audio_flux"] = "a note of mine"
    envelope = settings_of(film).envelopes.add()
    envelope.known_name = "audio_flux"
    envelope.set_recipe({"name": "audio_flux", "feature": "flux"})
    with pytest.raises(ReactiveError, match="audio_flux"):
        finish(bake_steps(film))
    assert film["audio_flux"] == "a note of mine"


def test_bake_that_is_stopped_leaves_everything_as_it_was(film: bpy.types.Scene, dump: Callable) -> None:
    add_envelope(film, "centroid")
    before = dump()
    steps = bake_steps(film)
    next(steps)
    steps.close()
    assert dump() == before


def test_fixed_tempo_moves_the_bars(film: bpy.types.Scene) -> None:
    hearing = settings_of(film).hearing
    hearing.tempo_from, hearing.fixed_bpm, hearing.beats_per_bar = "FIXED", 90.0, 3
    hearing.use_first_beat, hearing.first_beat = True, 0.0
    finish(bake_steps(film))
    bars = curve_of(film, "audio_bars")
    per_second = bars.evaluate(1 + 90) - bars.evaluate(1 + 60)
    assert per_second == pytest.approx(0.5, abs=0.01)


def test_taps_are_noted_at_the_playhead(film: bpy.types.Scene) -> None:
    for frame in (16, 31, 46, 61):
        film.frame_set(frame)
        bpy.ops.stylegan_reactive.tap()
    hearing = settings_of(film).hearing
    assert hearing.tapped() == [0.5, 1.0, 1.5, 2.0]
    hearing.tempo_from = "TAPPED"
    finish(bake_steps(film))
    assert hearing.tempo == pytest.approx(120, abs=3)


def test_own_stem_is_listened_to(film: bpy.types.Scene, write_sound: Callable, tmp_path: Path) -> None:
    time = np.arange(8 * 22050) / 22050
    stems = tmp_path / "stems"
    stems.mkdir()
    pulse = np.exp(-((time - 3.0) % 8) * 20) * (time >= 3.0)
    write_sound(stems / "bell.wav", 0.7 * pulse * np.sin(6000 * time))
    settings_of(film).hearing.stems = str(stems)
    envelope = settings_of(film).envelopes.add()
    envelope.set_recipe({"name": "audio_bell", "feature": "bell:onset"})
    finish(bake_steps(film))
    curve = curve_of(film, "audio_bell")
    heights = [curve.evaluate(frame) for frame in range(1, 241)]
    assert int(np.argmax(heights)) == 90
