# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of any shape, and previews that look like them."""

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.stylegan3 import random_network
from stylegan_reactive.choreography import Patch
from stylegan_reactive.engine.painting import HeldPatch, Network, paint
from stylegan_reactive.engine.pixels import to_blender
from stylegan_reactive.errors import PatchError
from stylegan_reactive.generator import (
    Generator,
    StyleGAN2,
    StyleGAN2Config,
    builtin_checkpoint,
    load_generator,
)
from stylegan_reactive.generator.mapping import MappingConfig

NOISE = {"name": "", "source": {"kind": "fixed", "seed": 5}, "amplitude": 0.5}


@pytest.fixture(scope="module")
def builtin() -> Network:
    """The network that comes with the extension."""
    return Network(load_generator(builtin_checkpoint()))


def held(network: Network, seed: int = 1, **more: Any) -> HeldPatch:
    """A patch of one latent."""
    layer = {"name": "", "source": {"kind": "static", "latents": [seed]}}
    return HeldPatch(Patch.from_json({"version": 2, "latent_layers": [layer], **more}), network)


def shown(patch: HeldPatch, size: tuple[int, int], fit: str = "stretch", quality: float = 1.0) -> np.ndarray:
    """The pixels that Blender gets."""
    return to_blender(paint(patch, {}, size, fit, quality), size, fit).numpy()


def display(pixels: np.ndarray) -> np.ndarray:
    """About as a screen shows them."""
    return pixels[..., :3] ** (1 / 2.2)


@pytest.mark.parametrize("more", [{}, {"noise_layers": [NOISE]}])
@pytest.mark.parametrize("fit", ["stretch", "canvas"])
@pytest.mark.parametrize(("quality", "most"), [(0.5, 0.04), (0.25, 0.08)])
def test_preview_looks_like_the_picture(
    builtin: Network, quality: float, most: float, fit: str, more: dict[str, Any]
) -> None:
    size = (192, 108)
    whole = display(shown(held(builtin, 3, **more), size, fit))
    preview = display(shown(held(builtin, 3, **more), size, fit, quality))
    other = display(shown(held(builtin, 4, **more), size, fit))
    assert np.abs(whole - preview).mean() < most
    assert np.abs(whole - other).mean() > 3 * np.abs(whole - preview).mean()


def test_preview_of_the_builtin_network_paints_fewer_pixels(builtin: Network) -> None:
    for quality in (0.5, 0.25):
        way = builtin.way(quality)
        assert way.stop is None  # it adds its colours in its last layer: stopped early, it shows nothing
        assert way.canvas is not None
        assert (way.canvas.width, way.canvas.height) == (512 * quality, 512 * quality)


def test_canvas_is_painted_around_the_networks_own_picture(builtin: Network) -> None:
    own = display(shown(held(builtin), (256, 256)))
    wide = display(shown(held(builtin), (456, 256), "canvas"))
    middle = wide[64:192, 100 + 64 : 100 + 192]  # away from the border, where the network pads with nothing
    assert np.abs(middle - own[64:192, 64:192]).mean() < 0.05
    high = display(shown(held(builtin), (256, 456), "canvas"))
    assert np.abs(high[100 + 64 : 100 + 192, 64:192] - own[64:192, 64:192]).mean() < 0.05
    sides = wide[:, :90]
    assert sides.std() > 0.05  # something is painted there


def test_canvas_depends_on_the_shape_and_not_on_the_size(builtin: Network) -> None:
    large, small = shown(held(builtin), (960, 540), "canvas"), shown(held(builtin), (480, 270), "canvas")
    assert np.abs(large.reshape(270, 2, 480, 2, 4).mean(axis=(1, 3)) - small).mean() < 0.02


def test_shape_that_no_network_can_paint_is_refused(builtin: Network) -> None:
    with pytest.raises(PatchError, match="5000 x 100"):
        shown(held(builtin), (5000, 100), "canvas")


def test_contained_picture_stands_between_transparent_bars(builtin: Network) -> None:
    pixels = shown(held(builtin), (120, 64), "contain")
    assert np.all(pixels[:, :28] == 0)
    assert np.all(pixels[:, -28:] == 0)
    assert np.all(pixels[:, 28:-28, 3] == 1)
    np.testing.assert_allclose(pixels[:, 28:-28], shown(held(builtin), (64, 64)), atol=1e-6)


def test_cropped_picture_is_the_middle_of_a_larger_one(builtin: Network) -> None:
    cropped = shown(held(builtin), (128, 64), "crop")
    np.testing.assert_allclose(cropped, shown(held(builtin), (128, 128))[32:96], atol=1e-6)


def small_stylegan2(channels: int) -> Generator:
    """Random weights."""
    torch.manual_seed(0)
    return StyleGAN2(StyleGAN2Config(MappingConfig(8, 0, 8, (8, 8)), 32, (8, 8, 8, 8), img_channels=channels))


@pytest.mark.parametrize("quality", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_kind_of_network_gives_a_picture_at_every_quality(channels: int, quality: float) -> None:
    network = Network(small_stylegan2(channels))
    for fit in ("canvas", "crop", "contain", "stretch"):
        pixels = shown(held(network), (40, 24), fit, quality)
        assert pixels.shape == (24, 40, 4)
        assert np.isfinite(pixels).all()
        if channels == 4 and fit == "stretch":
            assert 0.0 < pixels[..., 3].mean() < 1.0
            assert np.all(pixels[..., :3] <= pixels[..., 3:] + 1e-6)  # light of what is transparent is less


def test_network_without_a_quick_way_is_painted_whole_for_its_preview() -> None:
    network = Network(random_network(64, radial=False, base=512, widest=16, w_dim=32))
    whole, preview = shown(held(network), (8, 8)), shown(held(network), (8, 8), quality=0.5)
    assert np.abs(display(whole) - display(preview)).mean() < 0.1


def test_what_is_transparent_does_not_bleed_into_what_is_not() -> None:
    picture = torch.zeros(1, 4, 16, 16)
    picture[:, 3] = -1.0
    picture[:, 0] = 1.0  # transparent red ...
    picture[:, :, :, 8:] = torch.tensor([-1.0, -1.0, 1.0, 1.0])[None, :, None, None]  # ... beside opaque blue
    pixels = to_blender(picture, (4, 4)).numpy()
    assert pixels[..., 0].max() < 1e-3
