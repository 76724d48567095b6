# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of envelopes: what is listened for, how it is shaped, named, muted and soloed."""

from typing import Any

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.curves import SceneCurves, property_path
from stylegan_reactive.blender.envelope_curves import MODIFIERS, add_modifier, curve_of, modifiers_there
from stylegan_reactive.blender.envelope_features import KINDS
from stylegan_reactive.blender.envelope_list import add_envelope, add_step
from stylegan_reactive.blender.picture import request_at, source_of
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.shape_preview import GROUND, picture_of
from stylegan_reactive.errors import PatchError

TEXTS = (
    "onset",
    "percussive:onset@60-250",
    "drums:rms@60-250~2",
    "rms@62.5-8000",
    "mystem:flux",
    "harmonic:chroma/24.5",
    "chroma.11",
    "tonnetz.3",
    "contrast.6",
    "vocals:pitch",
    "loudness~3",
    "sections/4.0~0.5bars",
    "sections.2~2",
    "bars",
    "downbeats",
)


@pytest.mark.parametrize("text", TEXTS)
def test_feature_comes_back_from_the_panel_as_it_was_written(scene: bpy.types.Scene, text: str) -> None:
    envelope = settings_of(scene).envelopes.add()
    envelope.feature = text
    assert envelope.feature == text
    audio = pytest.importorskip("stylegan_reactive.audio")
    assert str(audio.Feature.parse(envelope.feature)) == text


def test_every_feature_and_step_of_the_menus_is_one_that_the_engine_knows(scene: bpy.types.Scene) -> None:
    audio = pytest.importorskip("stylegan_reactive.audio")
    for kind in KINDS:
        recipe = audio.Recipe.from_dict(add_envelope(scene, kind).recipe())
        assert audio.Feature.parse(recipe.feature).kind == kind
    envelope = add_envelope(scene, "onset")
    envelope.steps.clear()
    for kind in audio.STEPS:
        add_step(envelope, kind)
    made = audio.Recipe.from_dict(envelope.recipe()).steps
    assert [step.kind for step in made] == list(audio.STEPS)
    for step in made:  # in single precision, as Blender keeps numbers
        for parameter in audio.STEPS[step.kind].parameters:
            assert getattr(step, parameter.name) == pytest.approx(parameter.default, rel=1e-6)


def test_settings_that_a_feature_does_not_have_are_left_out_of_it(scene: bpy.types.Scene) -> None:
    envelope = settings_of(scene).envelopes.add()
    envelope.feature = "percussive:onset@60-250"
    envelope.kind = "bars"
    assert envelope.feature == "bars"
    envelope.kind = "sections"
    envelope.bins, envelope.part, envelope.length, envelope.length_in_bars = 4, 9, 0.5, True
    assert envelope.feature == "sections/4.3~0.5bars"


def test_unknown_feature_is_refused_and_changes_nothing(scene: bpy.types.Scene) -> None:
    envelope = settings_of(scene).envelopes.add()
    envelope.feature = "rms~2"
    with pytest.raises(PatchError, match="tuba"):
        envelope.feature = "tuba"
    assert envelope.feature == "rms~2"


def test_short_form_of_a_recipe_becomes_the_same_steps_as_in_the_engine(scene: bpy.types.Scene) -> None:
    audio = pytest.importorskip("stylegan_reactive.audio")
    short = {"name": "a", "feature": "onset", "smooth": 0.5, "future": 0.25, "renormalise": True, "power": 2.0}
    short |= {"gain": 0.5, "release": 0.125, "steps": [{"step": "gate", "threshold": 0.25}]}
    envelope = settings_of(scene).envelopes.add()
    envelope.set_recipe(short)
    ours, theirs = audio.Recipe.from_dict(envelope.recipe()).steps, audio.Recipe.from_dict(short).steps
    assert [step.kind for step in ours] == [step.kind for step in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        for key, value in other.to_plain().items():
            assert mine.to_plain()[key] == (value if key == "step" else pytest.approx(value, rel=1e-6))


def test_a_step_that_is_switched_off_is_not_taken_but_kept(scene: bpy.types.Scene) -> None:
    envelope = add_envelope(scene, "onset")
    count = len(envelope.steps)
    add_step(envelope, "gate").enabled = False
    assert len(envelope.steps) == count + 1
    assert "gate" not in [step["step"] for step in envelope.recipe()["steps"]]


def test_steps_are_moved_and_removed(scene: bpy.types.Scene) -> None:
    envelope = add_envelope(scene, "onset")
    envelope.steps.clear()
    for kind in ("gate", "power", "delay"):
        bpy.ops.stylegan_reactive.step_add(kind=kind)
    envelope.steps[2].delay_seconds = 0.75
    bpy.ops.stylegan_reactive.step_edit(index=2, action="UP")
    bpy.ops.stylegan_reactive.step_edit(index=0, action="REMOVE")
    assert [step.kind for step in envelope.steps] == ["delay", "power"]
    assert envelope.steps[0].delay_seconds == 0.75


def test_list_is_edited_by_its_buttons(scene: bpy.types.Scene) -> None:
    settings = settings_of(scene)
    for kind in ("onset", "rms", "onset"):
        bpy.ops.stylegan_reactive.envelope_add(kind=kind)
    assert [each.name for each in settings.envelopes] == ["audio_onset", "audio_rms", "audio_onset_2"]
    settings.envelope_index = 1
    settings.envelopes[1].steps[0].gaussian_seconds = 0.625
    bpy.ops.stylegan_reactive.envelope_duplicate()
    copy = settings.envelopes[2]
    assert (copy.name, copy.feature, copy.steps[0].gaussian_seconds) == ("audio_rms_2", "rms", 0.625)
    assert settings.envelope_index == 2
    bpy.ops.stylegan_reactive.envelope_move(step=-1)
    assert [each.name for each in settings.envelopes][1] == "audio_rms_2"
    bpy.ops.stylegan_reactive.envelope_remove()
    assert [each.name for each in settings.envelopes] == ["audio_onset", "audio_rms", "audio_onset_2"]


def test_removed_envelope_takes_its_curve_along(film: bpy.types.Scene) -> None:
    settings = settings_of(film)
    settings.envelope_index = settings.envelopes.find("audio_hats")
    bpy.ops.stylegan_reactive.envelope_remove()
    assert "audio_hats" not in film
    assert curve_of(film, "audio_hats") is None
    assert curve_of(film, "audio_kick") is not None


def names_in(owner: Any, name: str) -> int:
    """How many texts below some settings are a name."""
    count = 0
    for rna in owner.bl_rna.properties:
        if rna.identifier in ("rna_type", "envelopes"):
            continue
        value = getattr(owner, rna.identifier)
        if rna.type == "STRING":
            count += value == name
        elif rna.type == "COLLECTION":
            count += sum(names_in(item, name) for item in value if isinstance(item, bpy.types.PropertyGroup))
        elif isinstance(value, bpy.types.PropertyGroup):
            count += names_in(value, name)
    return count


def test_rename_takes_curve_drivers_keys_and_layers_along(film: bpy.types.Scene) -> None:
    settings = settings_of(film)
    read = names_in(settings, "audio_bars") + names_in(settings, "audio_kick")
    assert read
    cube = bpy.data.objects.new("Cube", None)
    film.collection.objects.link(cube)
    variable = cube.driver_add("location", 0).driver.variables.new()
    variable.targets[0].id_type, variable.targets[0].id = "SCENE", film
    variable.targets[0].data_path = property_path("audio_kick")
    film.driver_add(property_path("audio_kick")).driver.expression = "0.75"
    before = request_at(source_of(film), 16).values
    keys = len(curve_of(film, "audio_kick").keyframe_points)
    settings.envelopes["audio_kick"].name = "audio_thump"
    settings.envelopes["audio_bars"].name = 'my "bars"'
    assert "audio_kick" not in film
    assert len(curve_of(film, "audio_thump").keyframe_points) == keys
    assert variable.targets[0].data_path == property_path("audio_thump")
    assert [driver.data_path for driver in film.animation_data.drivers] == [property_path("audio_thump")]
    assert names_in(settings, "audio_thump") + names_in(settings, 'my "bars"') == read
    after = request_at(source_of(film), 16).values
    assert sorted(after.values()) == sorted(before.values())


def test_a_name_that_is_taken_or_empty_is_not_given(film: bpy.types.Scene) -> None:
    film["mine"] = 5.0
    kick = settings_of(film).envelopes["audio_kick"]
    kick.name = "audio_snare"
    assert kick.name == "audio_snare_2"
    kick.name = "mine"
    assert kick.name == "mine_2"
    kick.name = ""
    assert kick.name == "mine_2"
    assert film["mine"] == 5.0
    assert curve_of(film, "mine_2") is not None


def test_muted_envelope_rests_at_zero_in_the_picture_and_in_blender(film: bpy.types.Scene) -> None:
    settings = settings_of(film)
    film.frame_set(16)
    kick = settings.envelopes["audio_kick"]
    kick.mute = True
    assert curve_of(film, "audio_kick").mute
    assert request_at(source_of(film), 16).values["audio_kick"] == film["audio_kick"] == 0.0
    bpy.ops.stylegan_reactive.bake()
    assert kick.mute
    assert film["audio_kick"] == 0.0
    kick.mute = False
    assert request_at(source_of(film), 16).values["audio_kick"] > 0.5
    assert film["audio_kick"] > 0.5


def test_curve_that_is_muted_in_the_graph_editor_shows_as_muted(film: bpy.types.Scene) -> None:
    curve_of(film, "audio_kick").mute = True
    assert settings_of(film).envelopes["audio_kick"].mute
    assert not settings_of(film).envelopes["audio_snare"].mute


def test_solo_mutes_all_others_but_the_clocks_and_gives_back_what_was(film: bpy.types.Scene) -> None:
    envelopes = settings_of(film).envelopes
    curve_of(film, "audio_snare").mute = True
    envelopes["audio_kick"].solo = True
    playing = {each.name for each in envelopes if not curve_of(film, each.name).mute}
    assert playing == {"audio_kick", "audio_bars", "audio_seconds"}
    envelopes["audio_rms"].solo = True
    envelopes["audio_kick"].mute = True
    playing = {each.name for each in envelopes if not curve_of(film, each.name).mute}
    assert playing == {"audio_rms", "audio_bars", "audio_seconds"}
    envelopes["audio_rms"].solo = envelopes["audio_kick"].solo = False
    muted = {each.name for each in envelopes if curve_of(film, each.name).mute}
    assert muted == {"audio_snare", "audio_kick"}


@pytest.mark.parametrize("kind", [kind for kind, *_ in MODIFIERS])
def test_one_click_adds_a_modifier_that_changes_the_curve(film: bpy.types.Scene, kind: str) -> None:
    if kind not in [name for name, *_ in modifiers_there()]:
        assert kind == "SMOOTH"
        assert bpy.app.version < (5, 1)
        return
    envelope = settings_of(film).envelopes["audio_kick"]
    curve = curve_of(film, "audio_kick")
    frames = np.arange(-100, 500)
    before = np.array([curve.evaluate(frame) for frame in frames])
    modifier = add_modifier(film, envelope, kind)
    assert modifier is not None
    after = np.array([SceneCurves(film).value(property_path("audio_kick"), frame, 0.0) for frame in frames])
    assert np.ptp(after) > 0.3
    assert np.abs(after - before).max() > 0.05
    if kind == "CYCLES":
        inside = (frames >= 1) & (frames <= 240)
        np.testing.assert_allclose(after[inside], before[inside], atol=1e-5)
        assert np.abs(after[frames > 240]).max() > 0.5
    if kind in ("LIMITS", "ENVELOPE", "SMOOTH", "STEPPED"):
        assert after.min() > -0.1
        assert after.max() < 1.1


def test_choosing_an_envelope_selects_its_curve(film: bpy.types.Scene) -> None:
    settings = settings_of(film)
    settings.envelope_index = settings.envelopes.find("audio_hats")
    assert [each.name for each in settings.envelopes if curve_of(film, each.name).select] == ["audio_hats"]


def test_drawn_shape_shows_the_hit_at_the_playhead(film: bpy.types.Scene) -> None:
    picture = picture_of(curve_of(film, "audio_kick").evaluate, 16, 30)
    heights = (np.abs(picture - np.array(GROUND, np.float32)).max(2) > 0.1).sum(0)
    middle = picture.shape[1] // 2
    assert heights[middle + 1 : middle + 8].max() > 0.7 * picture.shape[0]
    assert heights[middle - 20 : middle - 6].max() < 0.3 * picture.shape[0]


def test_modifier_on_a_curve_that_is_not_baked_says_so(scene: bpy.types.Scene) -> None:
    add_envelope(scene, "onset")
    with pytest.raises(RuntimeError, match="no curve yet"):
        bpy.ops.stylegan_reactive.modifier_add(kind="LIMITS")


def test_an_envelope_is_shown_and_renamed_by_its_title(film: bpy.types.Scene) -> None:
    kick = settings_of(film).envelopes["audio_kick"]
    assert kick.title == "Kick"
    assert settings_of(film).envelopes["audio_chroma_C#"].title == "Chroma C#"
    kick.title = "Big Drum"
    assert kick.name == "audio_Big_Drum"
    assert kick.title == "Big Drum"
    assert "audio_Big_Drum" in film
    assert "audio_kick" not in film


def test_an_envelope_is_chosen_from_a_menu_and_taken_away_again(film: bpy.types.Scene) -> None:
    influence = settings_of(film).latent_layers[0].influence
    path = influence.path_from_id()
    bpy.ops.stylegan_reactive.choose_envelope(envelope="audio_snare", signal=path)
    assert influence.envelope == "audio_snare"
    bpy.ops.stylegan_reactive.choose_envelope(envelope="NONE", signal=path)
    assert influence.envelope == ""
