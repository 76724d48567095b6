# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of another size than the network's own, its inner features, and early stops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config
from stylegan_reactive.generator.canvas import MODES, Canvas
from stylegan_reactive.generator.mapping import MappingConfig

CONFIG = StyleGAN2Config(MappingConfig(8, 0, 16, (16, 16)), 32, (16, 16, 12, 8))


@pytest.fixture(scope="module", params=["skip", "orig", "resnet"])
def network(request: pytest.FixtureRequest) -> StyleGAN2:
    torch.manual_seed(0)
    generator = StyleGAN2(StyleGAN2Config(CONFIG.mapping, 32, CONFIG.channels, connection=request.param))
    for layer in generator.synthesis.layers:
        layer.noise_strength.fill_(0.3)
    return generator


@pytest.fixture(scope="module")
def ws(network: StyleGAN2) -> torch.Tensor:
    return network.mapping(torch.randn(2, 8, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layer", ["input", "b8.conv0", "b16.conv1"])
@pytest.mark.parametrize("size", [(57, 32), (7, 45)])
def test_a_canvas_has_the_size_asked_for(
    network: StyleGAN2, ws: torch.Tensor, layer: str, mode: str, size: tuple[int, int]
) -> None:
    picture = network.synthesis(ws, canvas=Canvas(*size, layer, mode))
    assert picture.shape == (2, 3, size[1], size[0])
    assert bool(picture.isfinite().all())
    assert float(picture.std()) > 0.01


@pytest.mark.parametrize("mode", MODES)
def test_a_canvas_of_the_own_size_changes_nothing(network: StyleGAN2, ws: torch.Tensor, mode: str) -> None:
    assert torch.allclose(network.synthesis(ws, canvas=Canvas(32, 32, "b8.conv1", mode)), network.synthesis(ws))


def test_a_tiled_input_repeats_the_picture(network: StyleGAN2, ws: torch.Tensor) -> None:
    wide = network.synthesis(ws, "none", canvas=Canvas(160, 32))
    left, right = wide[..., 32:64], wide[..., 96:128]  # away from the borders all tiles see the same
    assert torch.allclose(left, right, atol=1e-4)


def test_a_mirrored_input_mirrors_what_the_network_sees(network: StyleGAN2) -> None:
    maps = network.features(
        torch.zeros(1, network.num_ws, 16), "none", ["input"], canvas=Canvas(64, 32, "b4.conv1", "reflect")
    )
    assert maps["input"].shape == (1, 16, 4, 4)  # laid out only at the chosen layer
    maps = network.features(
        torch.zeros(1, network.num_ws, 16), "none", ["b4.conv1"], canvas=Canvas(64, 32, "input", "reflect")
    )
    assert maps["b4.conv1"].shape == (1, 16, 4, 8)


def test_noise_fits_the_canvas(network: StyleGAN2, ws: torch.Tensor) -> None:
    canvas = Canvas(64, 48, "b8.conv1")
    shapes = network.synthesis.noise_shapes_on(canvas)
    assert shapes == ((4, 4), (8, 8), (8, 8), (24, 32), (24, 32), (48, 64), (48, 64))
    own = network.synthesis(ws, canvas=canvas)
    given = network.synthesis(ws, [torch.randn(1, 1, *shape) for shape in shapes], canvas=canvas)
    assert own.shape == given.shape
    assert not torch.allclose(own, given)
    with pytest.raises(ValueError, match="noise 3"):
        network.synthesis(ws, [torch.randn(1, 1, *shape) for shape in network.noise_shapes], canvas=canvas)


def test_an_impossible_canvas_is_refused(network: StyleGAN2, ws: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="canvas at layer"):
        network.synthesis(ws, canvas=Canvas(64, 64, "b32.torgb"))
    with pytest.raises(ValueError, match="width"):
        Canvas(0, 64)
    with pytest.raises(ValueError, match="stretch"):
        Canvas(64, 64, mode="squeeze")


def test_an_early_stop_gives_the_picture_so_far() -> None:
    torch.manual_seed(0)
    network = StyleGAN2(CONFIG)
    ws = network.mapping(torch.randn(2, 8))
    small = network.synthesis(ws, stop=16)
    assert small.shape == (2, 3, 16, 16)
    colours = network.features(ws, names=["b32.torgb"])["b32.torgb"]
    whole = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False) + colours
    inside = (..., slice(2, -2), slice(2, -2))  # the filter of the network is the bilinear one; borders differ
    assert torch.allclose(whole[inside], network.synthesis(ws)[inside], atol=1e-5)
    with pytest.raises(ValueError, match="24 px"):
        network.synthesis(ws, stop=24)


def test_a_network_without_colours_inside_cannot_stop_early() -> None:
    network = StyleGAN2(StyleGAN2Config(CONFIG.mapping, 32, CONFIG.channels, connection="orig"))
    with pytest.raises(ValueError, match="early stop"):
        network.synthesis(torch.zeros(1, 8, 16), stop=16)


def test_features_can_be_read_and_change_nothing(network: StyleGAN2, ws: torch.Tensor) -> None:
    features = network.features(ws)
    assert tuple(features) == network.layer_names
    for name, map_ in features.items():
        assert map_.shape[-2:] == network.synthesis.map_size(name)
        assert map_.shape[0] == 2
    with pytest.raises(ValueError, match="b99"):
        network.features(ws, names=["b99.conv1"])


def test_a_picture_can_be_asked_for_its_gradient(network: StyleGAN2, ws: torch.Tensor) -> None:
    wanted = ws[:1].clone().requires_grad_()
    network.synthesis(wanted).square().mean().backward()
    assert wanted.grad is not None
    assert bool((wanted.grad.abs().amax(dim=(0, 2)) > 0).all())  # every layer's w has a say
    assert not network.synthesis(ws).requires_grad
