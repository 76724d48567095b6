# SPDX-License-Identifier: GPL-3.0-or-later
"""The stacks of layers: they say what the patch says, their numbers can be keyed, and their curves stay with them."""

import base64
import time
from typing import Any

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.bend_properties import ICONS
from stylegan_reactive.blender.curves import SceneCurves
from stylegan_reactive.blender.layer_operators import kinds_of
from stylegan_reactive.blender.layer_properties import parse_seeds, seeds_text
from stylegan_reactive.blender.mask_images import grey_bytes, grey_image
from stylegan_reactive.blender.patches import apply_patch, number_at, patch_of, preset_names, read_preset
from stylegan_reactive.blender.picture import picture_at
from stylegan_reactive.blender.properties import INDEX_OF, settings_of
from stylegan_reactive.errors import PatchError


def as_read(patch: dict[str, Any]) -> Any:
    """A patch as the choreography room understands it."""
    return pytest.importorskip("stylegan_reactive.choreography").Patch.from_json(patch)


FULL: dict[str, Any] = {
    "version": 2,
    "label": 3,
    "truncation": {"amount": 0.7, "envelope": "audio_rms", "gain": 0.3, "offset": 0.25, "minimum": 0.1, "maximum": 0.9},
    "truncation_cutoff": 7.5,
    "latent_layers": [
        {"source": {"kind": "static", "latents": "7"}},
        {
            "name": "Where to",
            "enabled": False,
            "source": {"kind": "static", "latents": "3,1-2", "position": {"amount": 1.5, "envelope": "audio_bars"}},
            "range": [2, 5],
            "influence": {"amount": 0.5, "envelope": "audio_kick", "gain": 2.0, "offset": -0.1, "maximum": 0.8},
        },
        {
            "name": "Projected",
            "source": {
                "kind": "loop",
                "latents": [
                    4,
                    {"file": "/faces/one.npy", "index": None, "space": "w"},
                    {"file": "/faces/many.npz", "index": 12, "space": "z"},
                ],
                "method": "gaussian",
                "space": "z",
                "smoothness": 1.3,
                "bars": 0.001,
                "phase": {"amount": -2.0, "envelope": "my clock", "offset": 1234.5},
            },
            "range": "coarse",
            "influence": -1000.0,
        },
        {"source": {"kind": "loop", "latents": "1-256", "method": "geodesic", "phase": 3.25}, "range": "medium"},
        {"name": "Notes", "source": {"kind": "chroma", "latents": "1-12"}, "range": "fine"},
        {"source": {"kind": "chroma", "latents": "2147483647,5", "envelopes": ["drums", "bass", "voice"]}},
        {
            "source": {
                "kind": "direction",
                "method": "sefa",
                "index": 3,
                "amount": {"amount": 4, "envelope": "audio_rms"},
            }
        },
        {
            "source": {
                "kind": "direction",
                "method": "file",
                "file": "/directions/smile.npy",
                "index": 4095,
                "amount": 0,
            }
        },
    ],
    "noise_layers": [
        {"source": {"kind": "own"}, "amplitude": {"amount": 0.4, "envelope": "audio_hats"}},
        {"source": {"kind": "fixed", "seed": 2147483647}, "range": [4, 32], "mask": {"shape": "disc", "size": 0.4}},
        {
            "name": "Grain",
            "source": {
                "kind": "evolving",
                "seed": 0,
                "seconds": 0.01,
                "clock": {"amount": 2, "envelope": "audio_bars"},
            },
            "range": "fine",
            "mask": {
                "shape": "linear",
                "x": 0.2,
                "y": -3.0,
                "size": {"amount": 0.6, "envelope": "audio_kick", "gain": 0.5, "offset": 0.5},
                "angle": 33.3,
                "softness": 0.7,
                "invert": True,
            },
        },
        {"source": {"kind": "loop", "seed": 9, "bars": 2.5, "patterns": 16}, "mask": {"shape": "checker"}},
        {"source": {"kind": "loop", "clock": {"amount": 1.0, "envelope": "audio_seconds"}}},
        {"source": {"kind": "gradient", "seed": 5, "cells": 7}},
        {
            "source": {"kind": "gradient", "seconds": 0.5, "clock": 0.75},
            "mask": {"shape": "image", "image": {"width": 3, "height": 2, "pixels": "AAAA////"}},
            "enabled": False,
        },
    ],
    "bends": [
        {},
        {
            "name": "Spin",
            "layer": "b64.conv1",
            "side": "input",
            "channels": {
                "which": "range",
                "first": 3,
                "last": 40,
                "fraction": {"amount": 0.5, "envelope": "audio_rms"},
                "seed": 12,
            },
            "operation": "rotate",
            "parameters": {"angle": {"amount": 720.5, "envelope": "audio_bars"}, "centre_x": 0.25, "centre_y": 0.0},
            "border": "wrap",
        },
        {
            "enabled": False,
            "channels": {"which": "cluster", "cluster": 2, "clusters": 8},
            "operation": "noise",
            "parameters": {"amount": 0.125, "phase": {"amount": 4, "envelope": "audio_bars"}, "seed": 77},
        },
    ],
    "rewrites": [
        {"name": "Other", "source": {"kind": "network", "file": "/nets/other.pkl"}, "range": [0, 3], "amount": 0.5},
        {"source": {"kind": "file", "file": "/nets/edit.safetensors"}, "enabled": False},
        {
            "source": {"kind": "seeded", "seed": 21, "layer": "64 px", "rank": 16},
            "amount": {"amount": -3.5, "envelope": "audio_kick"},
        },
    ],
}


def full_in_parameters(patch: Any) -> dict[str, Any]:
    """The patch as plain data, every parameter of a bend written out: left out or at its default is the same."""
    from stylegan_reactive.generator.bend_operations import OPERATIONS

    plain: dict[str, Any] = patch.to_plain()
    for bend in plain["bends"]:
        defaults = {each.name: each.default for each in OPERATIONS[bend["operation"]].parameters}
        bend["parameters"] = {**defaults, **bend["parameters"]}
    return plain


def test_a_patch_that_uses_every_field_comes_back_from_the_panel_as_it_was(scene: bpy.types.Scene) -> None:
    apply_patch(settings_of(scene), FULL, network=True)
    assert full_in_parameters(as_read(patch_of(scene))) == full_in_parameters(as_read(FULL))


@pytest.mark.parametrize("name", preset_names())
def test_preset_comes_back_from_the_panel_as_it_was(scene: bpy.types.Scene, name: str) -> None:
    apply_patch(settings_of(scene), FULL)  # nothing of what was there before is left
    apply_patch(settings_of(scene), read_preset(name))
    assert full_in_parameters(as_read(patch_of(scene))) == full_in_parameters(as_read(read_preset(name)))


def test_seeds_are_read_as_artists_write_them() -> None:
    assert parse_seeds("1-4, 24 ,7") == [1, 2, 3, 4, 24, 7]
    assert seeds_text([1, 2, 3, 4, 24, 7]) == "1-4,24,7"
    for text in ("", "one", "4-1", "1;2", "-3", "1--2", "0x10", "1-99999999", "2147483648"):
        with pytest.raises(PatchError, match="eeds"):
            parse_seeds(text)


def numbers_in(value: Any, path: str = "") -> list[str]:
    """The dotted paths of all numbers in a patch that can move, as the choreography room declares them."""
    if isinstance(value, dict):
        return [each for key, item in value.items() for each in numbers_in(item, f"{path}.{key}" if path else key)]
    if isinstance(value, list):
        return [each for key, item in enumerate(value) for each in numbers_in(item, f"{path}.{key}")]
    return [path] if isinstance(value, int | float) else []


def animatable_paths(owner: Any, path: str) -> list[str]:
    """The data paths of all numbers below a property group that can be keyed."""
    found: list[str] = []
    for rna in owner.bl_rna.properties:
        value, here = getattr(owner, rna.identifier, None), f"{path}.{rna.identifier}"
        if rna.identifier == "rna_type":
            continue
        if rna.type == "COLLECTION":
            for number, item in enumerate(value):
                found += animatable_paths(item, f"{here}[{number}]")
        elif rna.type == "POINTER" and isinstance(value, bpy.types.PropertyGroup):
            found += animatable_paths(value, here)
        elif rna.type in ("FLOAT", "INT", "BOOLEAN") and rna.is_animatable and not rna.is_readonly:
            found.append(here)
    return found


def test_every_number_of_the_patch_can_be_keyed_and_reaches_the_engine_under_its_path(scene: bpy.types.Scene) -> None:
    apply_patch(settings_of(scene), FULL, network=True)
    patch = patch_of(scene)
    reached = {}
    for path in animatable_paths(settings_of(scene), "stylegan_reactive"):
        number = number_at(scene, path)
        if number is not None:
            reached[number.dotted] = number
    read = as_read(patch)
    read.with_values({dotted: number.present for dotted, number in reached.items()})  # raises for what is no number
    read.with_values({dotted: number.default for dotted, number in reached.items()})
    wanted = {
        path
        for path in numbers_in(patch)
        if path != "version" and ".mask.image." not in path and not (".latents." in path and path.endswith(".index"))
    }
    assert set(reached) == wanted
    for dotted, number in reached.items():
        held: Any = patch
        for step in dotted.split("."):
            held = held[int(step)] if isinstance(held, list) else held[step]
        assert held == number.present


@pytest.mark.parametrize(
    "path",
    [
        "stylegan_reactive.latent_layers[0].influence.envelope",
        "stylegan_reactive.latent_layers[0].source.phase.amount",  # of another kind of source
        "stylegan_reactive.latent_layers[99].influence.amount",
        'stylegan_reactive.latent_layers["nobody"].influence.amount',
        "stylegan_reactive.latent_layers[0].nothing",
        "stylegan_reactive.latent_layers[0].name",
        "stylegan_reactive.bends[0].rotate.angle.amount",  # it translates
        "stylegan_reactive.bends[0]..",
        "stylegan_reactive.size",
        "frame_current",
    ],
)
def test_what_is_no_number_of_the_patch_is_left_alone(scene: bpy.types.Scene, path: str) -> None:
    apply_patch(settings_of(scene), FULL)
    assert number_at(scene, path) is None


def test_layers_are_found_by_name_too(scene: bpy.types.Scene) -> None:
    apply_patch(settings_of(scene), FULL)
    number = number_at(scene, 'stylegan_reactive.latent_layers["Where to"].influence.gain')
    assert number is not None
    assert (number.dotted, number.present) == ("latent_layers.1.influence.gain", 2.0)


Declared = tuple[bpy.types.PropertyGroup, Any]


def pairs(scene: bpy.types.Scene) -> list[Declared]:
    """Property groups, and what the choreography room declares for them; one for each kind of source."""
    choreography = pytest.importorskip("stylegan_reactive.choreography.patch")
    settings = settings_of(scene)
    found: list[Declared] = []
    for stack, cls in (
        ("latent_layers", choreography.LatentLayer),
        ("noise_layers", choreography.NoiseLayer),
        ("rewrites", choreography.RewriteLayer),
    ):
        from stylegan_reactive.choreography.schema import checks_of

        layers, sources = getattr(settings, stack), checks_of(cls)["source"].classes  # type: ignore[attr-defined]
        layers.clear()
        for source in sources:
            layers.add().source.kind = source.kind
        # Only now: with every layer that is added, Blender may move those before it.
        for layer, source in zip(layers, sources, strict=True):
            found += [(layer, cls), (layer.source, source)]
            if stack == "noise_layers":
                found.append((layer.mask, choreography.Mask))
    bend = settings.bends.add()
    return [*found, (bend, choreography.BendLayer), (bend.channels, choreography.BendChannels)]


def test_limits_choices_and_defaults_are_those_that_the_patch_declares(scene: bpy.types.Scene) -> None:
    pytest.importorskip("stylegan_reactive.choreography.patch")
    from dataclasses import MISSING, fields

    from stylegan_reactive.choreography.checks import Misfit
    from stylegan_reactive.choreography.schema import Fixed, Number, Whole, checks_of
    from stylegan_reactive.choreography.signals import Signal, Signalled

    compared = 0
    settings = settings_of(scene)
    from stylegan_reactive.choreography import Patch

    for group, cls in [*pairs(scene), (settings, Patch)]:
        defaults = {each.name: each.default for each in fields(cls)}
        for key, check in checks_of(cls).items():
            where = f"{cls.__name__}.{key}"
            name = "direction" if where == "DirectionLatent.method" else key
            rna = group.bl_rna.properties.get(name)
            if isinstance(check, Signalled):
                signal = getattr(group, key)
                amount = signal.bl_rna.properties["amount"]
                assert (amount.hard_min, amount.hard_max) == pytest.approx((check.low, check.high)), where
                usual = defaults[key]
                assert usual == Signal(pytest.approx(amount.default), signal.envelope), where
                compared += 1
            elif isinstance(check, Number | Whole):
                assert (rna.hard_min, rna.hard_max) == pytest.approx((check.low, check.high)), where
                if defaults[key] is not MISSING and where != "GradientNoise.seconds":
                    assert rna.default == pytest.approx(defaults[key]), where
                compared += 1
            elif isinstance(check, Fixed) and rna is not None and rna.type == "ENUM" and key != "operation":
                offered = {item.identifier for item in rna.enum_items}
                for choice in offered:
                    check.read(choice, where)
                with pytest.raises(Misfit) as refused:
                    check.read("no such choice", where)
                assert set(str(refused.value).split("one of ")[1].rstrip(".").split(", ")) == offered, where
                assert rna.default == defaults[key], where
                compared += 1
    assert compared > 50


# Editing


def curves_of(scene: bpy.types.Scene) -> set[str]:
    """Data paths of the curves and drivers on layers."""
    drivers = scene.animation_data.drivers if scene.animation_data else ()
    return {
        path.removeprefix("stylegan_reactive.")
        for path in (*SceneCurves(scene).curves, *(d.data_path for d in drivers))
    }


STRENGTHS = {
    "latent_layers": "influence.amount",
    "noise_layers": "mask.size.gain",
    "bends": "translate.x.amount",
    "rewrites": "amount.offset",
}


@pytest.mark.parametrize("stack", STRENGTHS)
def test_curves_and_drivers_stay_with_their_layer(scene: bpy.types.Scene, stack: str) -> None:
    settings = settings_of(scene)
    number = STRENGTHS[stack]
    edit, index = bpy.ops.stylegan_reactive.list_edit, {"latent_layers": "latent_index", "noise_layers": "noise_index"}
    selected = index.get(stack, stack[:-1] + "_index")
    for name in ("one", "two", "three"):
        getattr(settings, stack).add().name = name
    scene.keyframe_insert(f"stylegan_reactive.{stack}[1].{number}", frame=1)
    scene.driver_add(f"stylegan_reactive.{stack}[2].{number}").driver.expression = "0.5"
    setattr(settings, selected, 2)
    edit(collection=stack, action="MOVE", step=-1)
    assert [layer.name for layer in getattr(settings, stack)] == ["one", "three", "two"]
    assert set(SceneCurves(scene).curves) == {f"stylegan_reactive.{stack}[2].{number}"}
    assert [driver.data_path for driver in scene.animation_data.drivers] == [f"stylegan_reactive.{stack}[1].{number}"]
    setattr(settings, selected, 0)
    edit(collection=stack, action="DUPLICATE")
    edit(collection=stack, action="ADD")
    assert set(SceneCurves(scene).curves) == {f"stylegan_reactive.{stack}[4].{number}"}
    setattr(settings, selected, 3)
    edit(collection=stack, action="REMOVE")
    assert curves_of(scene) == {f"{stack}[3].{number}"}  # the driver went with its layer


@pytest.mark.parametrize("stack", STRENGTHS)
def test_duplicate_is_equal_but_for_its_name(scene: bpy.types.Scene, stack: str) -> None:
    settings = settings_of(scene)
    apply_patch(settings, FULL)
    index = INDEX_OF[stack]
    for number in range(len(FULL[stack])):
        setattr(settings, index, 2 * number)
        bpy.ops.stylegan_reactive.list_edit(collection=stack, action="DUPLICATE")
        assert getattr(settings, index) == 2 * number + 1
    layers = patch_of(scene)[stack]
    assert len(layers) == 2 * len(FULL[stack])
    for original, copy in zip(layers[::2], layers[1::2], strict=True):
        assert original["name"] != copy["name"]
        assert {**original, "name": ""} == {**copy, "name": ""}


@pytest.mark.parametrize("stack", STRENGTHS)
def test_every_kind_of_layer_in_the_add_menu_is_a_layer_that_the_engine_takes(
    scene: bpy.types.Scene, stack: str
) -> None:
    for kind, *_ in kinds_of(stack):
        assert bpy.ops.stylegan_reactive.add_layer(collection=stack, kind=kind) == {"FINISHED"}
        layer = getattr(settings_of(scene), stack)[-1]
        if stack == "rewrites" and kind != "seeded":
            with pytest.raises(PatchError, match=layer.name):  # no file yet
                patch_of(scene)
            layer.source.file = "/nets/other.pkl"
    assert len(as_read(patch_of(scene)).layers) == len(kinds_of(stack))


def test_keyed_switch_turns_a_layer_off_and_on(film: bpy.types.Scene) -> None:
    layer = settings_of(film).latent_layers["Kick"]
    on = {frame: picture_at(film, frame).copy() for frame in (46, 61)}
    layer.enabled = False
    off = picture_at(film, 46).copy()
    layer.keyframe_insert("enabled", frame=10)
    layer.enabled = True
    layer.keyframe_insert("enabled", frame=50)
    assert np.any(off != on[46])
    np.testing.assert_array_equal(picture_at(film, 46), off)
    np.testing.assert_array_equal(picture_at(film, 61), on[61])


def test_bend_that_follows_the_kick_is_seen_when_it_sounds(film: bpy.types.Scene) -> None:
    loud, quiet = 46, 60  # the kick sounds at every half second
    plain = {frame: picture_at(film, frame).copy() for frame in (loud, quiet)}
    bpy.ops.stylegan_reactive.add_layer(collection="bends", kind="rotate")
    assert np.any(picture_at(film, quiet) != plain[quiet])  # a new bend is seen at once
    angle = settings_of(film).bends[0].rotate.angle
    angle.amount, angle.envelope = 90.0, "audio_kick"
    changed = {frame: float(np.abs(picture_at(film, frame) - plain[frame]).mean()) for frame in plain}
    assert changed[loud] > 0.01
    assert changed[loud] > 3 * changed[quiet]


# Masks


def test_image_becomes_a_grey_mask_the_right_way_up(scene: bpy.types.Scene) -> None:
    image = bpy.data.images.new("mask", 1024, 512, float_buffer=True)
    pixels = np.zeros((512, 1024, 4), np.float32)
    pixels[..., 3] = 1.0
    pixels[256:, :512] = 1.0  # Blender's rows go up: the upper left quarter
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    grey = grey_image(image)
    found = np.frombuffer(base64.b64decode(grey["pixels"]), np.uint8).reshape(grey["height"], grey["width"])
    assert found.shape == (256, 512)
    assert found[:128, :256].min() == 255
    assert found[128:].max() == found[:, 256:].max() == 0


def test_mask_image_that_is_smaller_by_a_part_keeps_its_mean(scene: bpy.types.Scene) -> None:
    random = np.random.default_rng(1).random((700, 900, 1), np.float32)
    grey = grey_bytes(random)
    assert grey.shape == (398, 512)
    assert grey.mean() == pytest.approx(random.mean() * 255, abs=0.3)


def test_mask_follows_the_image_when_it_is_painted_on(scene: bpy.types.Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    image = bpy.data.images.new("mask", 64, 64)
    mask = settings_of(scene).noise_layers.add().mask
    mask.shape, mask.image = "image", image
    seen = [patch_of(scene)["noise_layers"][0]["mask"]["image"]["pixels"]]
    moment = time.monotonic()
    for number, grey in enumerate((0.2, 0.7, 1.0)):
        image.pixels.foreach_set(np.full(64 * 64 * 4, grey, np.float32))
        image.update()
        monkeypatch.setattr(time, "monotonic", lambda passed=number: moment + 10 * (passed + 1))
        seen.append(patch_of(scene)["noise_layers"][0]["mask"]["image"]["pixels"])
    assert len(set(seen)) == 4


def test_mask_without_an_image_says_what_to_do(scene: bpy.types.Scene) -> None:
    layer = settings_of(scene).noise_layers.add()
    layer.name, layer.mask.shape = "Grain", "image"
    with pytest.raises(PatchError, match=r"Grain.*image"):
        patch_of(scene)


def test_mask_image_of_a_patch_is_made_once(scene: bpy.types.Scene) -> None:
    apply_patch(settings_of(scene), FULL)
    apply_patch(settings_of(scene), FULL)
    assert len([image for image in bpy.data.images if image.name.startswith("Mask ")]) == 1


# What the artist reads


def groups_of(owner: Any) -> list[Any]:
    """A property group and all groups inside it, one of each type."""
    found = {type(owner): owner}
    for rna in owner.bl_rna.properties:
        if rna.identifier == "rna_type":
            continue
        value = getattr(owner, rna.identifier, None)
        inside = [value] if isinstance(value, bpy.types.PropertyGroup) else []
        if rna.type == "COLLECTION":
            inside = [value.add()]
        for group in inside:
            found |= {type(each): each for each in groups_of(group)}
    return list(found.values())


def test_every_label_can_be_read_and_every_property_has_a_tooltip(scene: bpy.types.Scene) -> None:
    settings = settings_of(scene)
    owners = [getattr(settings, name).add() for name in (*STRENGTHS, "palette")]
    for group in (group for owner in owners for group in groups_of(owner)):
        for rna in group.bl_rna.properties:
            if rna.identifier in ("rna_type", "name", "latent_index") or rna.type in ("COLLECTION", "POINTER"):
                continue
            where = f"{type(group).__name__}.{rna.identifier}"
            assert rna.description, where
            assert not rna.description.endswith("."), where  # Blender's own manner
            assert "_" not in rna.name, where
            for item in rna.enum_items if rna.type == "ENUM" else ():
                assert item.description, where
                assert "_" not in item.name, where


def test_every_icon_is_one_of_blender_s() -> None:
    known = set(bpy.types.UILayout.bl_rna.functions["prop"].parameters["icon"].enum_items.keys())
    assert {*ICONS.values(), *(kind[3] for stack in STRENGTHS for kind in kinds_of(stack))} <= known
