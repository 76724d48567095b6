# SPDX-License-Identifier: GPL-3.0-or-later
"""A patch travels as JSON: exactly there and back, and a wrong one is refused with the place of the fault."""

from __future__ import annotations

import copy
import json
import math
import re
from typing import Any

import pytest

from stylegan_reactive.choreography import (
    ChromaLatent,
    EvolvingNoise,
    LatentLayer,
    LoopLatent,
    Patch,
    Signal,
    StaticLatent,
    load_preset,
    preset_names,
)
from stylegan_reactive.choreography.checks import line_of
from stylegan_reactive.choreography.seeds import parse_seeds, seeds_text
from stylegan_reactive.errors import PatchError

PLAIN: dict[str, Any] = {
    "version": 2,
    "checkpoint": "builtin",
    "truncation": 0.9,
    "truncation_cutoff": {"amount": 8.0, "envelope": "audio_rms"},
    "latent_layers": [
        {
            "name": "Kick \u00fc\ud800",
            "enabled": True,
            "source": {"kind": "static", "latents": "7", "position": 0.0},
            "range": "coarse",
            "influence": {"amount": 0.1 + 0.2, "envelope": "audio_kick", "offset": 0.5, "maximum": 0.75},
        },
        {"source": {"kind": "loop", "latents": [1, 2, 3], "bars": 8, "method": "geodesic"}, "range": [2, 5]},
        {"source": {"kind": "chroma", "latents": "1-3,7,9-16"}, "range": "medium", "enabled": False},
        {"source": {"kind": "static", "latents": [5, {"file": "/nets/faces.npz", "index": 2}]}},
        {"source": {"kind": "direction", "index": 3, "amount": {"amount": 2.0, "envelope": "audio_rms"}}},
    ],
    "noise_layers": [
        {"source": {"kind": "own"}, "amplitude": {"amount": 0.5}},
        {"source": {"kind": "fixed", "seed": 2**31 - 1}, "range": [4, 32], "mask": {"shape": "disc", "size": 0.4}},
        {"source": {"kind": "evolving", "seed": 1, "seconds": 0.5}, "range": "fine"},
        {"source": {"kind": "loop", "seed": 1, "bars": 2.0, "patterns": 6}, "mask": {"shape": "edges"}},
        {"source": {"kind": "gradient", "seed": 1, "cells": 3, "clock": {"envelope": "clock"}}},
    ],
    "bends": [
        {
            "layer": "16 px",
            "operation": "rotate",
            "parameters": {"angle": {"amount": 40.0, "envelope": "audio_kick"}},
            "channels": {"which": "cluster", "cluster": 1, "fraction": 0.5},
        }
    ],
    "rewrites": [
        {"source": {"kind": "seeded", "seed": 3}, "amount": {"amount": 1.0, "envelope": "audio_rms"}},
        {"source": {"kind": "network", "file": "C:\\nets\\b.pkl"}, "range": "fine", "amount": 0.25},
    ],
}


def changed(path: str, value: Any, patch: dict[str, Any] = PLAIN) -> dict[str, Any]:
    """A patch, as a rule the one above, with one value replaced, or added, at a dotted path."""
    plain = copy.deepcopy(patch)
    *parents, leaf = path.split(".")
    holder: Any = plain
    for part in parents:
        if isinstance(holder, list):
            holder = holder[int(part)]
        else:
            if not isinstance(holder.get(part), (dict, list)):
                holder[part] = {}  # a number stands for an object with that amount
            holder = holder[part]
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
    assert json.loads(patch.to_json())["latent_layers"][0] == PLAIN["latent_layers"][0]


def test_the_order_of_keys_in_a_file_does_not_change_the_content_hash() -> None:
    backwards = dict(reversed(PLAIN.items()))
    assert Patch.from_json(backwards).content_hash == Patch.from_json(PLAIN).content_hash


def test_equal_patches_have_the_same_text_however_their_numbers_were_written() -> None:
    def patch(bars: float, zero: float) -> Patch:
        source = LoopLatent(latents=(1, 2), bars=bars, phase=Signal(1, "audio_bars", offset=zero))
        return Patch(truncation=Signal(zero), latent_layers=(LatentLayer(source=source),))

    one, other = patch(8.0, 0.0), patch(8, -0.0)
    assert one == other
    assert one.to_json() == other.to_json()
    assert Patch.from_json(other.to_json().replace("0.0", "-0.0")).content_hash == one.content_hash


def test_any_changed_number_changes_the_content_hash() -> None:
    before = Patch.from_json(PLAIN).content_hash
    assert Patch.from_json(changed("latent_layers.1.source.bars", 8.000001)).content_hash != before


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("version", 3, "the number 3"),
        ("version", 0, "the number 0"),
        ("version", "1", 'the text "1"'),
        ("version", True, "true"),
        ("checkpoint", "networks/mine.safetensors", "networks/mine"),
        ("checkpoint", 7, "the number 7"),
        ("checkpoint", "builtin:velvet", "builtin:silk"),
        ("checkpoint", "built", "builtin:silk"),
        ("truncation", "0.9", 'the text "0.9"'),
        ("truncation", True, "true"),
        ("truncation", None, "null"),
        ("truncation", 2.5, "2.5"),
        ("truncation.amount", 2.5, "2.5"),
        ("truncation", math.nan, "nan"),
        ("truncation", math.inf, "inf"),
        ("truncation", 10**400, "digits"),
        ("truncation_cutoff", -1, "-1"),
        ("latent_layers", {}, "an object"),
        ("latent_layers", [{"source": {"kind": "static", "latents": "1"}}] * 65, "a list of 65"),
        ("latent_layers.0", None, "null"),
        ("latent_layers.0", "kick", 'the text "kick"'),
        ("latent_layers.0.name", 5, "the number 5"),
        ("latent_layers.0.enabled", 1, "the number 1"),
        ("latent_layers.0.source", "static", 'the text "static"'),
        ("latent_layers.0.source.kind", "walk", 'the text "walk"'),
        ("latent_layers.0.source.kind", ["static"], "a list of 1"),
        ("latent_layers.0.source.kind", "own", 'the text "own"'),
        ("latent_layers.0.source.latents", 7.0, "7.0"),
        ("latent_layers.0.source.latents", [7.0], "7.0"),
        ("latent_layers.0.source.latents", [-1], "-1"),
        ("latent_layers.0.source.latents", [2**32], str(2**32)),
        ("latent_layers.0.source.latents", "1-", "1-"),
        ("latent_layers.0.source.latents", "12-1", "12-1"),
        ("latent_layers.0.source.latents", "1-4000000000", "1-4000000000"),
        ("latent_layers.0.source.latents", "", 'the text ""'),
        ("latent_layers.0.range", "rough", 'the text "rough"'),
        ("latent_layers.0.range", [1, 2, 3], "a list of 3"),
        ("latent_layers.0.range", [5, 2], "5 to 2"),
        ("latent_layers.1.range.1", True, "true"),
        ("latent_layers.0.influence", "0.5", "0.5"),
        ("latent_layers.0.influence.amount", "1", 'the text "1"'),
        ("latent_layers.0.influence.gain", 1e6, "1000000.0"),
        ("latent_layers.0.influence.minimum", None, "null"),
        ("latent_layers.0.influence.envelope", None, "null"),
        ("latent_layers.0.influence.envelope", "truncation", 'the text "truncation"'),
        ("latent_layers.1.source.latents", [], "a list of 0"),
        ("latent_layers.1.source.latents.2", "3", 'the text "3"'),
        ("latent_layers.1.source.bars", 0, "the number 0"),
        ("latent_layers.1.source.method", "linear", "spline, gaussian, geodesic"),
        ("latent_layers.2.source.envelopes", [], "a list of 0"),
        ("latent_layers.2.source.envelopes", ["a"] * 257, "a list of 257"),
        ("latent_layers.3.source.latents.1.file", "faces.npz", "faces.npz"),
        ("latent_layers.3.source.latents.1.index", -1, "-1"),
        ("latent_layers.3.source.latents.1.space", "x", 'the text "x"'),
        ("latent_layers.4.source.index", 1.5, "1.5"),
        ("noise_layers.1.source.seed", None, "null"),
        ("noise_layers.2.source.seconds", -0.5, "-0.5"),
        ("noise_layers.2.range", [0, 64], "the number 0"),
        ("noise_layers.2.amplitude.offset", math.nan, "nan"),
        ("noise_layers.1.mask.shape", "star", 'the text "star"'),
        ("noise_layers.1.mask.size", -1, "-1"),
        ("noise_layers.3.source.patterns", 2, "the number 2"),
        ("bends.0.channels.fraction", 1.5, "1.5"),
        ("bends.0.channels.which", "some", 'the text "some"'),
        ("bends.0.parameters", [], "a list of 0"),
        ("bends.0.parameters.angle", "40", 'the text "40"'),
        ("bends.0.border", "mirror", 'the text "mirror"'),
        ("rewrites.0.source.kind", "rank", 'the text "rank"'),
        ("rewrites.1.source.file", "b.pkl", "b.pkl"),
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
        ("bend", "top level"),
        ("latent_layers.0.colour", "latent_layers.0"),
        ("latent_layers.0.source.bars", "latent_layers.0.source"),
        ("bends.0.channels.kind", "bends.0.channels"),
        ("noise_layers.0.amplitude.Amount", "noise_layers.0.amplitude"),
        ("noise_layers.0.influence", "noise_layers.0"),
    ],
)
def test_an_unknown_key_is_refused_with_its_name_and_place(path: str, holder: str) -> None:
    with pytest.raises(PatchError) as caught:
        Patch.from_json(changed(path, 1))
    assert f"{holder}:" in str(caught.value)
    assert f'"{path.rsplit(".")[-1]}"' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"version": 2,\n"truncation": "half"}',
            'line 2, truncation: found the text "half", expected a number, or an',
        ),
        ("[1]", "top level: found a list of 1, expected an object with the keys version, checkpoint"),
    ],
)
def test_all_that_could_stand_there_is_named(text: str, said: str) -> None:
    with pytest.raises(PatchError, match=re.escape(said)):
        Patch.from_json(text)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(PatchError, match=r"latent_layers\.0: .*'source'"):
        Patch.from_json({"version": 2, "latent_layers": [{"name": "Kick"}]})
    with pytest.raises(PatchError, match=r"latent_layers\.0\.source: .*'latents'"):
        Patch.from_json({"version": 2, "latent_layers": [{"source": {"kind": "static"}}]})
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
        '{"version": 2, "version": 2}',
        '{"version": 2, "truncation": NaN}',
        '{"version": 2, "truncation": -Infinity}',
        '{"version": 2, "truncation": 1e999}',
        '{"version": 2, "truncation": ' + "9" * 5000 + "}",
        '{"version": 2, "latent_layers": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"version": 2, "latent_layers": ' + "[" * 200 + "]" * 200 + "}",
        '{"a":' * 100_000,
    ],
    ids=range(13),
)
def test_text_that_is_no_patch_is_refused(text: str) -> None:
    with pytest.raises(PatchError, match="expected"):
        Patch.from_json(text)


def test_an_object_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {"version": 2}
    endless["latent_layers"] = [endless]
    with pytest.raises(PatchError, match=r"latent_layers\.0"):
        Patch.from_json(endless)


def test_a_wrong_value_in_a_text_is_refused_with_its_line() -> None:
    lines = Patch.from_json(PLAIN).to_json().splitlines()
    number = next(i for i, line in enumerate(lines) if '"patterns": 6' in line)
    lines[number] = lines[number].replace("6", '"six"')
    with pytest.raises(PatchError, match=rf"line {number + 1}, noise_layers\.3\.source\.patterns: .*six"):
        Patch.from_json("\n".join(lines))
    with pytest.raises(PatchError, match=r"line 3, latent_layers\.0\.source: .*'latents'"):
        Patch.from_json('{"version": 2, "noise_layers":\n [], "latent_layers":\n [{"source": {"kind": "loop"}}]}')


def test_a_key_that_is_there_twice_is_refused_with_its_line() -> None:
    text = '{"version": 2,\n"bends": [{"name": "A"},\n{"name": "B",\n"layer": "8 px",\n"name": "C"}'  # and no end
    with pytest.raises(PatchError, match=r"line 5, bends\.1\.name: .*twice.*expected it once"):
        Patch.from_json(text)


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ('{"a": "b\\",\n{", \n"b": [1,\n 2]}', "b.1", 4),
        ('{"b": {"c": 1},\n"c":\n2}', "c", 3),
        ('[1,\n{"x": 5},\n 3]', "1.x", 2),
        ('[1,\n{"x": 5},\n 3]', "1.y", 2),
        ('{"a": {"0": 1,\n "b": [[], {},\n [7]]}}', "a.b.2.0", 3),
    ],
)
def test_the_line_of_a_value_is_found_wherever_it_stands(text: str, path: str, line: int) -> None:
    assert line_of(text, path) == line


def test_values_override_numbers_by_their_path_and_leave_the_patch_as_it_is() -> None:
    patch = Patch.from_json(PLAIN)
    bent = patch.with_values(
        {
            "truncation.amount": 0.7,
            "truncation_cutoff.amount": 5.5,
            "latent_layers.0.influence.amount": 0.3,
            "latent_layers.0.enabled": 0.0,
            "latent_layers.1.source.latents.2": 41.7,
            "latent_layers.1.range.0": 3.0,
            "noise_layers.1.mask.size.amount": 0.2,
            "noise_layers.2.source.seconds": 2.0,
            "bends.0.parameters.angle.gain": 0.5,
            "audio_kick": 0.4,
            "clock": 3.0,
        }
    )
    assert bent.truncation.amount == 0.7
    assert bent.truncation_cutoff.amount == 5.5
    assert bent.latent_layers[0].influence.amount == 0.3
    assert bent.latent_layers[0].enabled is False
    assert bent.to_plain()["latent_layers"][1]["source"]["latents"] == "1-2,42"
    assert bent.latent_layers[1].range == (3, 5)
    assert bent.noise_layers[1].mask.size.amount == 0.2
    assert bent.to_plain()["noise_layers"][2]["source"]["seconds"] == 2.0
    assert dict(bent.bends[0].parameters)["angle"].gain == 0.5
    assert patch == Patch.from_json(PLAIN)


@pytest.mark.parametrize(
    "path",
    [
        "truncaton",
        "truncation",
        "bends.0.parameters.turns.amount",
        "latent_layers.3.source.latents.1",
        "version",
        "checkpoint",
        "latent_layers",
        "latent_layers.5.influence.amount",
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
        ("truncation.amount", 5.0),
        ("truncation.amount", math.nan),
        ("latent_layers.1.source.bars", 0.0),
        ("latent_layers.0.source.latents.0", -3.0),
        ("latent_layers.1.range.0", 9.0),
    ],
)
def test_an_override_out_of_range_is_refused_by_name(path: str, value: float) -> None:
    with pytest.raises(PatchError, match=path.removesuffix(".0")):
        Patch.from_json(PLAIN).with_values({path: value})


def test_the_envelopes_of_a_patch_are_those_of_its_enabled_layers() -> None:
    assert Patch.from_json(PLAIN).envelopes == (
        "audio_rms",
        "audio_kick",
        "audio_bars",
        "audio_seconds",
        "clock",
    )


OLD: dict[str, Any] = {
    "version": 1,
    "truncation": 0.9,
    "truncation_cutoff": None,
    "latent_layers": [
        {"name": "A", "source": {"kind": "static", "seed": 7}, "influence": {"amount": 0.3, "envelope": "audio_kick"}},
        {"source": {"kind": "loop", "seeds": [1, 2, 3], "bars": 8, "clock": "audio_bars"}, "range": [2, 5]},
        {"source": {"kind": "chroma", "seeds": list(range(12))}, "range": "medium", "enabled": False},
    ],
    "noise_layers": [
        {"source": {"kind": "own"}, "amplitude": {"amount": 0.5}},
        {"source": {"kind": "evolving", "seed": 1, "seconds": 0.5, "clock": "my_clock"}, "range": "fine"},
    ],
}


def test_a_patch_of_the_first_version_is_read_as_what_it_meant() -> None:
    before = copy.deepcopy(OLD)
    patch = Patch.from_json(OLD)
    assert before == OLD
    assert patch.truncation == Signal(0.9)
    assert patch.truncation_cutoff.amount >= 100
    still, loop, chroma = (layer.source for layer in patch.latent_layers)
    assert still == StaticLatent(latents=(7,))
    assert loop == LoopLatent(latents=(1, 2, 3), bars=8.0, phase=Signal(envelope="audio_bars"))
    assert chroma == ChromaLatent(latents=tuple(range(12)))
    assert patch.noise_layers[1].source == EvolvingNoise(seed=1, seconds=0.5, clock=Signal(envelope="my_clock"))
    assert Patch.from_json({**OLD, "truncation_cutoff": 5}).truncation_cutoff == Signal(5.0)
    assert Patch.from_json(patch.to_json()) == patch


@pytest.mark.parametrize(
    ("path", "value"),
    [("latent_layers", 5), ("latent_layers.0", 5), ("latent_layers.0.source", 5), ("latent_layers.0.source.seed", "x")],
)
def test_what_is_wrong_in_a_patch_of_the_first_version_is_refused_too(path: str, value: Any) -> None:
    with pytest.raises(PatchError, match=r"latent_layers.*expected"):
        Patch.from_json(changed(path, value, OLD))


def test_every_preset_loads_and_is_written_as_the_code_would_write_it() -> None:
    assert {"reference", "kick_and_chords", "noise_only"} <= set(preset_names())
    for name in preset_names():
        patch = load_preset(name)
        assert Patch.from_json(patch.to_json()) == patch
        assert all(envelope.startswith("audio_") for envelope in patch.envelopes)


def test_a_preset_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(PatchError, match="reference"):
        load_preset("../presets/reference")


def test_seeds_are_read_as_artists_write_them_and_written_as_short() -> None:
    assert parse_seeds("1-4, 24 ,7", "x") == (1, 2, 3, 4, 24, 7)
    assert seeds_text((1, 2, 3, 4, 24, 7)) == "1-4,24,7"
