# SPDX-License-Identifier: GPL-3.0-or-later
"""A patch fits any network: what one lacks moves to the nearest that it has, and a note says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from stylegan_reactive.choreography import (
    BendChannels,
    BendLayer,
    Choreographer,
    FixedNoise,
    LatentLayer,
    NoiseLayer,
    Patch,
    RewriteLayer,
    SeededRewrite,
    Signal,
    StaticLatent,
    load_preset,
    preset_names,
)
from stylegan_reactive.choreography.ranges import scales
from stylegan_reactive.generator import Canvas, Generator

FILES = (
    "sg2ada_r64_cond10.pkl",
    "sg2ada_r32_orig.pkl",
    "sg2ada_r32_rgba.pkl",
    "sg3t_r64.pkl",
    "sg3r_r64.pkl",
    "tf_sg2_r64_v4.pkl",
    "ros_r64_small_converted.pt",
    "lucid_r64.pt",
    "sg1lern_r128.pt",
)
FULL = Signal(1.0)


@pytest.fixture(scope="module", params=FILES)
def network(request: pytest.FixtureRequest, reference_network: Callable[[str], Generator]) -> Generator:
    return reference_network(request.param)


def painted(choreographer: Choreographer, level: float = 0.4) -> torch.Tensor:
    network: Any = choreographer.generator
    inputs = choreographer.inputs(dict.fromkeys(choreographer.patch.envelopes, level))
    picture = inputs.paint(network)
    assert picture.shape == (1, network.img_channels, *network.resolution)
    assert bool(picture.isfinite().all())
    return picture


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_makes_pictures_with_every_network(network: Generator, name: str) -> None:
    choreographer = Choreographer(load_preset(name), network)
    painted(choreographer)
    for note in choreographer.notes:
        assert note.endswith(".")
    if not network.noise_shapes and choreographer.patch.noise_layers:
        assert "Noise layers do nothing with this network: it has no noise." in choreographer.notes


# As somebody made it with a StyleGAN2 of 1024 px that knows a thousand classes.
LARGE = Patch(
    label=999,
    latent_layers=(
        LatentLayer(name="Base", source=StaticLatent(latents=(5,))),
        LatentLayer(name="Grain", source=StaticLatent(latents=(6,)), range=(16, 17)),
    ),
    noise_layers=(NoiseLayer(source=FixedNoise(seed=1), range=(256, 1024)),),
    bends=(
        BendLayer(layer="b512.conv0", operation="ablate", parameters=(("amount", Signal(0.5)),)),
        BendLayer(layer="b1024.torgb", operation="multiply", parameters=(("factor", Signal(0.5)),)),
        BendLayer(layer="L10_532_362", operation="translate", parameters=(("x", Signal(0.1)),)),
        BendLayer(layer="blocks.7.conv2", operation="invert", parameters=(("amount", Signal(0.1)),)),
        BendLayer(
            layer="1024 px",
            operation="blur",
            parameters=(("radius", Signal(0.01)),),
            channels=BendChannels(which="range", first=5000, last=5003),
        ),
        BendLayer(layer="input", side="input", operation="ablate", parameters=(("amount", Signal(0.1)),)),
    ),
    rewrites=(
        RewriteLayer(source=SeededRewrite(layer="b1024.conv1"), amount=Signal(0.2)),
        RewriteLayer(source=SeededRewrite(layer="8 px"), range=(20, 22), amount=Signal(0.2)),
    ),
)


def test_what_a_smaller_network_lacks_is_moved_and_said(network: Generator) -> None:
    choreographer = Choreographer(LARGE, network)
    painted(choreographer)
    about = {note.partition(":")[0] for note in choreographer.notes}
    noise = "Noise layer 1" if network.noise_shapes else "Noise layers do nothing with this network"
    assert {'Latent layer "Grain"', noise, "Rewrite 1", "Rewrite 2"} <= about
    assert {f"Bend {number}" for number in (1, 2, 3, 5)} <= about
    assert ("Class" in about) == bool(network.c_dim)
    bends = choreographer.inputs({}).bends
    assert max(network.tools.size(bend.layer) for bend in bends) == max(network.resolution)
    assert len(bends) == 6
    off = tuple(replace(bend, enabled=False) for bend in LARGE.bends)
    assert not any(note.startswith("Bend") for note in Choreographer(replace(LARGE, bends=off), network).notes)


@pytest.mark.parametrize("size", [4, 8, 16, 32, 64, 128, 1024])
def test_a_size_names_the_last_layer_of_that_size_that_paints_features(network: Generator, size: int) -> None:
    found = network.tools.find_layer(f"{size} px")
    assert found.name in network.synthesis.canvas_layers
    after = network.layer_names[network.layer_names.index(found.name) + 1 :]
    assert not [
        name for name in after if name in network.synthesis.canvas_layers and network.tools.size(name) == found.size
    ]
    assert found.exact == (found.size == size)
    there = sorted({network.tools.size(name) for name in network.layer_names})
    assert found.size == min(there, key=lambda side: max(side / size, size / side))


def test_coarse_medium_and_fine_weights_are_all_weights(network: Generator) -> None:
    def reached(level: str) -> set[str]:
        source = SeededRewrite(layer=layer)
        patch = Patch(rewrites=(RewriteLayer(source=source, range=level),))
        return {one.layer for one in Choreographer(patch, network).inputs({}).rewrites}

    for layer in (network.tools.weighted_layers[0], network.tools.weighted_layers[-1]):
        levels = [reached(level) for level in ("coarse", "medium", "fine")]
        assert [layer in level for level in levels].count(True) == 1
        assert layer in levels[0 if layer == network.tools.weighted_layers[0] else 2]


def test_the_scales_of_a_network_cover_its_layers_in_order(network: Generator) -> None:
    found = scales(network.tools.ws_sizes)
    assert [index for scale in found for index in range(scale.first, scale.last + 1)] == list(range(network.num_ws))
    sizes = [int(scale.label.removesuffix(" px")) for scale in found]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == max(network.resolution)


def test_a_patch_paints_on_a_canvas(network: Generator) -> None:
    width, height = 2 * network.resolution[1], network.resolution[0]
    canvas = Canvas(width, height, layer="input")
    small = replace(LARGE, label=0, rewrites=(), bends=LARGE.bends[:1])
    choreographer = Choreographer(small, network, canvas)
    assert choreographer.notes == Choreographer(small, network).notes
    picture = choreographer.inputs({}).paint(network, canvas=canvas)
    assert picture.shape == (1, network.img_channels, height, width)
    assert bool(picture.isfinite().all())


def test_ranges_of_noise_mean_the_same_on_a_canvas(make_small_network: Callable[..., Generator]) -> None:
    network = make_small_network(1)
    patch = Patch(noise_layers=(NoiseLayer(source=FixedNoise(seed=1), range=(8, 16)),))

    def reached(canvas: Canvas | None) -> list[bool]:
        noise = Choreographer(patch, network, canvas).inputs({}).noise
        return [bool(map_.any()) for map_ in noise if isinstance(map_, torch.Tensor)]

    assert reached(Canvas(96, 32)) == reached(Canvas(64, 64, layer="b8.conv1")) == reached(None)
    assert reached(None) == [False, True, True, True, True, False, False]
