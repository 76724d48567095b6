# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: the envelopes that a scene gets, and their way to JSON and back."""

import json

import numpy as np
import pytest

from stylegan_reactive.audio import DEFAULT_RECIPES, Recipe, analyse, bake, features_of
from stylegan_reactive.errors import PatchError

NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]


def recipe(name: str) -> Recipe:
    return next(recipe for recipe in DEFAULT_RECIPES if recipe.name == name)


def test_default_recipes_make_the_envelopes_that_the_presets_read():
    names = ["onset", "kick", "snare", "hats", "rms", "bars", "seconds"]
    names += [*(f"chroma_{note}" for note in NOTES), *(f"section_{kind}" for kind in "ABCD")]
    assert {recipe.name for recipe in DEFAULT_RECIPES} == {f"audio_{name}" for name in names}


CHAIN = [
    {"step": "delay", "seconds": 0.1},
    {"step": "gate", "threshold": 0.2, "hysteresis": 0.1, "hold": 0.0},
    {"step": "expand", "threshold": 0.5, "ratio": 2.0, "knee": 6.0},
    {"step": "follower", "attack": 0.02, "hold": 0.1, "release": 0.3},
    {"step": "normalise", "percentile": 90.0},
]


def test_recipes_survive_json():
    made_here = (
        Recipe("mine", "kick", smooth=0.1, future=0.5, power=2, gain=1.5, release=0.3),
        Recipe.from_dict({"name": "chain", "feature": "percussive:onset@60-250", "steps": CHAIN}),
        Recipe("bare", "drums:rms~2"),
    )
    for made in (*DEFAULT_RECIPES, *made_here):
        assert Recipe.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert Recipe.from_dict({"name": "short", "feature": "rms"}) == Recipe("short", "rms")


def test_the_short_form_of_older_files_becomes_the_same_chain():
    old = {"name": "a", "feature": "rms", "smooth": 0.2, "future": 0.3, "renormalise": True}
    old |= {"power": 2.0, "gain": 1.5, "release": 0.4}
    chain = [step["step"] for step in Recipe.from_dict(old).to_dict()["steps"]]
    assert [name for name in chain if name not in ("release", "follower")] == [
        "gaussian",
        "normalise",
        "power",
        "gain_and_clip",
    ]
    assert chain[-1] in ("release", "follower")
    assert Recipe.from_dict({**old, "smooth": 0, "renormalise": False, "power": 1, "gain": 1, "release": 0}).steps == ()


def test_steps_are_taken_in_their_order(builtin_song):
    analysis = analyse(builtin_song, 30, ["rms"])
    halve = {"step": "gain_and_clip", "gain": 0.5, "low": 0.0, "high": 1.0}
    cut = {"step": "gain_and_clip", "gain": 1.0, "low": 0.0, "high": 0.4}
    first_cut, first_halved = (
        bake(analysis, Recipe.from_dict({"name": "a", "feature": "rms", "steps": steps}))
        for steps in ([cut, halve], [halve, cut])
    )
    assert first_cut.max() == pytest.approx(0.2)
    assert first_halved.max() == pytest.approx(0.4)


def test_a_chain_of_any_steps_gives_an_envelope_between_zero_and_one(builtin_song):
    made = Recipe.from_dict({"name": "chain", "feature": "percussive:onset@60-250", "steps": CHAIN})
    envelope = bake(analyse(builtin_song, 30, features_of([made])), made)
    assert envelope.dtype == np.float32
    assert envelope.min() >= 0.0
    assert envelope.max() == 1.0


def test_recipes_tell_what_must_be_listened_for_and_each_thing_once():
    made = [Recipe("a", "chroma.1"), Recipe("b", "chroma.2"), Recipe("c", "mix:rms@60-250"), Recipe("d", "rms@60-250")]
    assert features_of(made) == ("chroma", "rms@60-250")


def test_a_kind_of_section_that_a_song_lacks_is_never_heard(write_song):
    analysis = analyse(write_song(np.zeros(44100, np.float32)), 30, ["sections"])
    assert not bake(analysis, Recipe("a", "sections.9")).any()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"name": "a", "feature": "tuba"}, "no feature “tuba”"),
        ({"name": "a", "feature": "chroma.12"}, "no feature"),
        ({"name": "a", "feature": "chroma"}, "several columns"),
        ({"name": "a", "feature": "onset@9-3"}, "low to high"),
        ({"name": "a", "feature": "kick", "steps": 3}, "“a”"),
        ({"name": "a", "feature": "kick", "steps": [{"step": "paint"}]}, "“a”.*paint"),
        ({"name": "a", "feature": "kick", "steps": [{"step": "release", "hours": 1}]}, "“a”"),
        ({"name": "a", "feature": "kick", "steps": [{"step": "delay", "seconds": -1}]}, "“a”.*-1"),
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
