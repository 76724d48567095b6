# SPDX-License-Identifier: GPL-3.0-or-later
"""A patch travels as JSON: exactly there and back, and a wrong one is refused with the place of the fault."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest

from stylegan_reactive.choreography import Patch, load_preset, preset_names
from stylegan_reactive.errors import PatchError

PLAIN: dict[str, Any] = {
    "version": 1,
    "checkpoint": "builtin",
    "truncation": 0.9,
    "truncation_cutoff": None,
    "latent_layers": [
        {
            "name": "Kick \u00fc\ud800",
            "enabled": True,
            "source": {"kind": "static", "seed": 7},
            "range": "coarse",
            "influence": {"amount": 0.1 + 0.2, "envelope": "audio_kick", "gain": 1.0, "offset": -0.0},
        },
        {"source": {"kind": "loop", "seeds": [1, 2, 3], "bars": 8, "clock": "audio_bars"}, "range": [2, 5]},
        {"source": {"kind": "chroma", "seeds": list(range(12))}, "range": "medium", "enabled": False},
    ],
    "noise_layers": [
        {"source": {"kind": "own"}, "amplitude": {"amount": 0.5}},
        {"source": {"kind": "fixed", "seed": 2**32 - 1}, "range": [4, 32]},
        {"source": {"kind": "evolving", "seed": 1, "seconds": 0.5, "clock": "audio_seconds"}, "range": "fine"},
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The patch above with one value replaced, or added, at a dotted path."""
    plain = copy.deepcopy(PLAIN)
    *parents, leaf = path.split(".")
    holder: Any = plain
    for part in parents:
        holder = holder[int(part)] if isinstance(holder, list) else holder.setdefault(part, {})
    if isinstance(holder, list):
        holder[int(leaf)] = value
    else:
        holder[leaf] = value
    return plain


def test_a_patch_comes_back_from_its_json_exactly() -> None:
    patch = Patch.from_json(PLAIN)
    again = Patch.from_json(patch.to_json())
    assert again == patch
    assert again.to_json() == patch.to_json()
    assert again.content_hash == patch.content_hash
    assert math.copysign(1.0, again.latent_layers[0].influence.offset) == -1.0
    assert json.loads(patch.to_json())["latent_layers"][0] == PLAIN["latent_layers"][0]


def test_the_order_of_keys_in_a_file_does_not_change_the_content_hash() -> None:
    backwards = dict(reversed(PLAIN.items()))
    assert Patch.from_json(backwards).content_hash == Patch.from_json(PLAIN).content_hash


def test_any_changed_number_changes_the_content_hash() -> None:
    before = Patch.from_json(PLAIN).content_hash
    assert Patch.from_json(changed("latent_layers.1.source.bars", 8.000001)).content_hash != before


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("version", 2, "the number 2"),
        ("version", "1", 'the text "1"'),
        ("version", True, "true"),
        ("checkpoint", "networks/mine.safetensors", "networks/mine"),
        ("checkpoint", 7, "the number 7"),
        ("truncation", "0.9", 'the text "0.9"'),
        ("truncation", True, "true"),
        ("truncation", None, "null"),
        ("truncation", 2.5, "2.5"),
        ("truncation", math.nan, "nan"),
        ("truncation", math.inf, "inf"),
        ("truncation", 10**400, "digits"),
        ("truncation_cutoff", 3.5, "3.5"),
        ("truncation_cutoff", -1, "-1"),
        ("latent_layers", {}, "an object"),
        ("latent_layers", [{"source": {"kind": "static", "seed": 1}}] * 65, "a list of 65"),
        ("latent_layers.0", None, "null"),
        ("latent_layers.0", "kick", 'the text "kick"'),
        ("latent_layers.0.name", 5, "the number 5"),
        ("latent_layers.0.enabled", 1, "the number 1"),
        ("latent_layers.0.source", "static", 'the text "static"'),
        ("latent_layers.0.source.kind", "walk", 'the text "walk"'),
        ("latent_layers.0.source.kind", ["static"], "a list of 1"),
        ("latent_layers.0.source.kind", "own", 'the text "own"'),
        ("latent_layers.0.source.seed", 7.0, "7.0"),
        ("latent_layers.0.source.seed", -1, "-1"),
        ("latent_layers.0.source.seed", 2**32, str(2**32)),
        ("latent_layers.0.range", "rough", 'the text "rough"'),
        ("latent_layers.0.range", [1, 2, 3], "a list of 3"),
        ("latent_layers.0.range", [5, 2], "5 to 2"),
        ("latent_layers.1.range.1", True, "true"),
        ("latent_layers.0.influence", 0.5, "0.5"),
        ("latent_layers.0.influence.amount", "1", 'the text "1"'),
        ("latent_layers.0.influence.gain", 1e6, "1000000.0"),
        ("latent_layers.0.influence.envelope", None, "null"),
        ("latent_layers.0.influence.envelope", "truncation", 'the text "truncation"'),
        ("latent_layers.1.source.seeds", [], "a list of 0"),
        ("latent_layers.1.source.seeds.2", "3", 'the text "3"'),
        ("latent_layers.1.source.bars", 0, "the number 0"),
        ("latent_layers.1.source.clock", "", 'the text ""'),
        ("latent_layers.2.source.seeds", list(range(11)), "a list of 11"),
        ("latent_layers.2.source.envelopes", ["a"] * 13, "a list of 13"),
        ("noise_layers.1.source.seed", None, "null"),
        ("noise_layers.2.source.seconds", -0.5, "-0.5"),
        ("noise_layers.2.range", [0, 64], "the number 0"),
        ("noise_layers.2.amplitude.offset", math.nan, "nan"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path_and_what_was_found(path: str, value: Any, found: str) -> None:
    with pytest.raises(PatchError) as caught:
        Patch.from_json(changed(path, value))
    message = str(caught.value)
    assert path in message
    assert found in message
    assert "expected" in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("path", "holder"),
    [
        ("bends", "top level"),
        ("latent_layers.0.colour", "latent_layers.0"),
        ("latent_layers.0.source.bars", "latent_layers.0.source"),
        ("noise_layers.0.amplitude.Amount", "noise_layers.0.amplitude"),
        ("noise_layers.0.influence", "noise_layers.0"),
    ],
)
def test_an_unknown_key_is_refused_with_its_name_and_place(path: str, holder: str) -> None:
    with pytest.raises(PatchError) as caught:
        Patch.from_json(changed(path, 1))
    assert f"{holder}:" in str(caught.value)
    assert f'"{path.rsplit(".")[-1]}"' in str(caught.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(PatchError, match=r"latent_layers\.0: .*'source'"):
        Patch.from_json({"version": 1, "latent_layers": [{"name": "Kick"}]})
    with pytest.raises(PatchError, match=r"latent_layers\.0\.source: .*'seed'"):
        Patch.from_json({"version": 1, "latent_layers": [{"source": {"kind": "static"}}]})
    with pytest.raises(PatchError, match="version"):
        Patch.from_json({})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"builtin"',
        '{"version": 1, "version": 1}',
        '{"version": 1, "truncation": NaN}',
        '{"version": 1, "truncation": -Infinity}',
        '{"version": 1, "truncation": 1e999}',
        '{"version": 1, "truncation": ' + "9" * 5000 + "}",
        '{"version": 1, "latent_layers": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"version": 1, "latent_layers": ' + "[" * 200 + "]" * 200 + "}",
        '{"a":' * 100_000,
    ],
    ids=range(13),
)
def test_text_that_is_no_patch_is_refused(text: str) -> None:
    with pytest.raises(PatchError, match="expected"):
        Patch.from_json(text)


def test_an_object_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {"version": 1}
    endless["latent_layers"] = [endless]
    with pytest.raises(PatchError, match=r"latent_layers\.0"):
        Patch.from_json(endless)


def test_values_override_numbers_by_their_path_and_leave_the_patch_as_it_is() -> None:
    patch = Patch.from_json(PLAIN)
    bent = patch.with_values(
        {
            "truncation": 0.7,
            "truncation_cutoff": 8,
            "latent_layers.0.influence.amount": 0.3,
            "latent_layers.0.enabled": 0.0,
            "latent_layers.1.source.seeds.2": 41.7,
            "latent_layers.1.range.0": 3.0,
            "noise_layers.2.source.seconds": 2.0,
            "audio_kick": 0.4,
        }
    )
    assert bent.truncation == 0.7
    assert bent.truncation_cutoff == 8
    assert bent.latent_layers[0].influence.amount == 0.3
    assert bent.latent_layers[0].enabled is False
    assert bent.to_plain()["latent_layers"][1]["source"]["seeds"] == [1, 2, 42]
    assert bent.latent_layers[1].range == (3, 5)
    assert bent.to_plain()["noise_layers"][2]["source"]["seconds"] == 2.0
    assert patch == Patch.from_json(PLAIN)


@pytest.mark.parametrize(
    "path",
    [
        "truncaton",
        "version",
        "checkpoint",
        "latent_layers",
        "latent_layers.3.influence.amount",
        "latent_layers.-1.influence.amount",
        "latent_layers.00.influence.amount",
        "latent_layers.0.influence",
        "latent_layers.0.influence.amount.real",
        "latent_layers.0.influence.envelope",
        "latent_layers.0.range",
        "latent_layers.0.source.bars",
        "noise_layers.0.source.seed",
        "noise_layers..amplitude",
        "",
    ],
)
def test_an_override_of_no_number_is_refused_by_name(path: str) -> None:
    with pytest.raises(PatchError, match="names no number") as caught:
        Patch.from_json(PLAIN).with_values({path: 0.5})
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("truncation", 5.0),
        ("truncation", math.nan),
        ("latent_layers.1.source.bars", 0.0),
        ("latent_layers.0.source.seed", -3.0),
        ("latent_layers.1.range.0", 9.0),
    ],
)
def test_an_override_out_of_range_is_refused_by_name(path: str, value: float) -> None:
    with pytest.raises(PatchError, match=path.removesuffix(".0")):
        Patch.from_json(PLAIN).with_values({path: value})


def test_the_envelopes_of_a_patch_are_those_of_its_enabled_layers() -> None:
    assert Patch.from_json(PLAIN).envelopes == ("audio_kick", "audio_bars", "audio_seconds")


def test_every_preset_loads_and_is_written_as_the_code_would_write_it() -> None:
    assert {"reference", "kick_and_chords", "noise_only"} <= set(preset_names())
    for name in preset_names():
        patch = load_preset(name)
        assert Patch.from_json(patch.to_json()) == patch
        assert all(envelope.startswith("audio_") for envelope in patch.envelopes)


def test_a_preset_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(PatchError, match="reference"):
        load_preset("../presets/reference")
