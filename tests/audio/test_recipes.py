# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: the envelopes that a scene gets, and their way to JSON and back."""

import json

import numpy as np
import pytest

from stylegan_reactive.audio import DEFAULT_RECIPES, Recipe, analyse, bake
from stylegan_reactive.errors import PatchError

NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]


def recipe(name: str) -> Recipe:
    return next(recipe for recipe in DEFAULT_RECIPES if recipe.name == name)


def test_default_recipes_make_the_envelopes_that_the_presets_read():
    names = ["onset", "kick", "snare", "hats", "rms", "bars", "seconds", *(f"chroma_{note}" for note in NOTES)]
    assert {recipe.name for recipe in DEFAULT_RECIPES} == {f"audio_{name}" for name in names}


def test_recipes_survive_json():
    for made in (*DEFAULT_RECIPES, Recipe("mine", "kick", smooth=0.1, future=0.5, power=2, gain=1.5, release=0.3)):
        assert Recipe.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert Recipe.from_dict({"name": "short", "feature": "rms"}) == Recipe("short", "rms")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"name": "a", "feature": "tuba"}, "no feature “tuba”"),
        ({"name": "a", "feature": "chroma.12"}, "no feature"),
        ({"name": "a", "feature": "kick", "colour": 1}, "“colour” is unknown"),
        ({"feature": "kick"}, "has no name"),
        ({"name": "a"}, "has no feature"),
        ({"name": "a", "feature": "kick", "release": -1}, "release is -1"),
        ({"name": "a", "feature": "kick", "smooth": "long"}, "smooth is 'long'"),
        ({"name": "a", "feature": "kick", "power": float("nan")}, "power is nan"),
    ],
)
def test_wrong_recipes_say_what_is_wrong(data, complaint):
    with pytest.raises(PatchError, match=complaint):
        Recipe.from_dict(data)


def test_kick_jumps_to_one_on_its_frame_and_falls_within_a_fifth_of_a_second(write_song, drum_loop):
    times = np.arange(0.5, 10.0, 0.5)
    analysis = analyse(write_song(drum_loop({"kick": times.tolist()}, 10)), 30)
    kick = bake(analysis, recipe("audio_kick"))
    frames = (times * 30).astype(int)
    assert kick.dtype == np.float32
    assert (kick[frames] > 0.8).all()
    assert (kick[frames] > 4 * kick[frames + 6]).all()
    assert (kick[frames - 1] < 0.1).all()


def test_same_envelope_in_seconds_at_every_frame_rate(builtin_song):
    slow, fast = (analyse(builtin_song, fps) for fps in (30, 60))
    for made in DEFAULT_RECIPES:
        at_30 = bake(slow, made)
        at_60 = bake(fast, made)[: 2 * len(at_30)].reshape(-1, 2).max(axis=1)[: len(at_30)]
        close = np.abs(at_30 - at_60) < 0.12
        assert close.mean() > 0.97, made.name


def test_chroma_envelopes_share_one_and_the_clocks_run_on(builtin_song):
    analysis = analyse(builtin_song, 30)
    total = sum(bake(analysis, recipe(f"audio_chroma_{note}")) for note in NOTES)
    np.testing.assert_allclose(total, 1.0, atol=1e-4)
    seconds = bake(analysis, recipe("audio_seconds"))
    assert seconds[-1] == pytest.approx((analysis.frames - 1) / 30)
    assert bake(analysis, recipe("audio_bars"))[-1] > 14


def test_baking_changes_nothing_in_the_analysis(builtin_song):
    analysis = analyse(builtin_song, 30)
    before = {name: values.copy() for name, values in analysis.features.items()}
    for made in DEFAULT_RECIPES:
        bake(analysis, made)[:] = -1
    for name, values in before.items():
        np.testing.assert_array_equal(analysis[name], values)
