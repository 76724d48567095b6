# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks: where in the picture a noise layer is, the same at every resolution and in every shape of picture."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import torch

from stylegan_reactive.choreography import Choreographer, FixedNoise, Mask, MaskImage, NoiseLayer, Patch, Signal, masks
from stylegan_reactive.choreography.masks import View
from stylegan_reactive.errors import PatchError


def picture(grey: Any) -> MaskImage:
    pixels = np.asarray(grey, dtype=np.uint8)
    return MaskImage(width=pixels.shape[1], height=pixels.shape[0], pixels=base64.b64encode(pixels).decode())


BRIGHT_TOP_LEFT = picture([[255, 40, 0], [90, 10, 0]])
SHAPES = {
    "disc": Mask(shape="disc"),
    "hard disc": Mask(shape="disc", softness=0.0, x=0.31, y=0.62),
    "edges": Mask(shape="edges", size=Signal(0.2)),
    "linear": Mask(shape="linear", size=Signal(0.8), angle=30.0),
    "radial": Mask(shape="radial", size=Signal(0.6)),
    "checker": Mask(shape="checker", size=Signal(0.23), angle=20.0),
    "image": Mask(shape="image", image=BRIGHT_TOP_LEFT),
}


def mask_map(mask: Mask, size: float, view: View) -> Any:
    return masks.shade(mask, size, view, masks.ground(mask, view))


def square(mask: Mask, side: int = 64) -> Any:
    return mask_map(mask, mask.size.amount, View((side, side)))


def noise_of(network: Any, *layers: NoiseLayer, **values: float) -> list[torch.Tensor]:
    maps = Choreographer(Patch(noise_layers=layers), network).inputs(values).noise
    assert not isinstance(maps, str)
    return maps


def layer(mask: Mask, **settings: Any) -> NoiseLayer:
    return NoiseLayer(source=FixedNoise(seed=1), mask=mask, **settings)


@pytest.mark.parametrize("mask", SHAPES.values(), ids=SHAPES.keys())
def test_a_mask_and_its_inverse_are_one_together(mask: Mask) -> None:
    inverse = Mask(**{**vars(mask), "invert": True})
    for side in (4, 8, 64, 100):
        for size in (0.0, 0.01, mask.size.amount, 3.0):
            shown, rest = (mask_map(each, size, View((side, side))) for each in (mask, inverse))
            assert shown.min() >= 0.0
            assert shown.max() <= 1.0
            assert np.all(shown + rest == np.float32(1.0))


@pytest.mark.parametrize("mask", SHAPES.values(), ids=SHAPES.keys())
def test_every_resolution_sees_the_same_mask_averaged_over_its_pixels(mask: Mask) -> None:
    finest = square(mask, 256)
    for side in (4, 8, 16, 32, 64, 128):
        step = 256 // side
        averaged = finest.reshape(side, step, side, step).mean(axis=(1, 3))
        rim = 0.05 if mask.softness else 0.12  # of a hard edge, a pixel has more or less, but never all or nothing
        assert np.abs(square(mask, side) - averaged).max() < rim


def test_a_disc_is_round_in_any_picture_and_as_large_as_asked() -> None:
    mask = Mask(shape="disc", size=Signal(0.25))
    wide = mask_map(mask, 0.25, View((90, 160), sides=(1.0, 160 / 90)))
    assert (wide[45] > 0.5).sum() == pytest.approx(45, abs=2)
    assert (wide[:, 80] > 0.5).sum() == pytest.approx(45, abs=2)
    assert wide[45, 80] == 1.0
    assert wide[0, 0] == 0.0


def test_a_canvas_that_is_cut_off_moves_no_mask() -> None:
    whole = View((96, 96), seen=(0.5, 1.0), sides=(1.0, 2.0))  # only the middle half of the rows is in the picture
    seen = View((48, 96), sides=(1.0, 2.0))
    for mask in SHAPES.values():
        middle = mask_map(mask, mask.size.amount, whole)[24:72]
        assert np.abs(middle - mask_map(mask, mask.size.amount, seen)).max() < 0.12


def test_shapes_are_where_an_artist_expects_them() -> None:
    edges = square(SHAPES["edges"])
    assert edges[0].min() == edges[:, -1].min() == 1.0
    assert edges[32, 32] == 0.0
    right = square(Mask(shape="linear", size=Signal(1.0)))
    assert np.all(np.diff(right, axis=1) > 0)
    top = square(Mask(shape="linear", size=Signal(1.0), angle=90.0))
    assert np.all(np.diff(top, axis=0) < 0)
    corner = square(Mask(shape="disc", x=1.0, y=1.0))
    assert corner[0, 63] == 1.0  # up and to the right
    assert corner[:, :32].max() == corner[32:].max() == 0.0
    checker = square(Mask(shape="checker", size=Signal(0.25), softness=0.0))
    assert checker[32, 32] == 1.0
    assert checker[32, 32 + 16] == checker[32 + 16, 32] == 0.0
    assert checker[32 + 16, 32 + 16] == 1.0
    image = square(SHAPES["image"])
    assert image[0, 0] == 1.0  # rows from the top
    assert image[0, -1] == image[-1, -1] == 0.0


def test_softness_is_the_width_of_the_rim() -> None:
    for softness in (0.1, 0.4):
        row = mask_map(Mask(shape="disc", softness=softness), 0.3, View((256, 256)))[128, 128:]
        rim = ((row > 0.0) & (row < 1.0)).sum() / 256
        assert rim == pytest.approx(softness, abs=0.02)
    hard = mask_map(Mask(shape="disc", softness=0.0), 0.3, View((256, 256)))[128, 128:]
    assert ((hard > 0.0) & (hard < 1.0)).sum() <= 2


def test_a_size_of_zero_is_nowhere_and_grows_without_a_jump() -> None:
    for shape in ("disc", "edges", "radial"):
        areas = [mask_map(Mask(shape=shape), size, View((64, 64))).mean() for size in np.linspace(0.0, 0.4, 81)]
        assert areas[0] == 0.0
        assert np.all(np.diff(areas) >= 0)
        assert np.diff(areas).max() < 0.03


def test_a_size_follows_its_envelope(network: Any) -> None:
    mask = Mask(shape="disc", size=Signal(0.5, "audio_kick"))
    loud = [int((noise_of(network, layer(mask), audio_kick=kick)[-1] != 0).sum()) for kick in (0.0, 0.3, 0.8)]
    assert loud[0] == 0 < loud[1] < loud[2]


def test_the_centre_moves_with_the_kick_and_the_edges_with_the_hats(network: Any) -> None:
    centre, rest = Mask(shape="disc", size=Signal(0.3)), Mask(shape="disc", size=Signal(0.3), invert=True)
    layers = (
        layer(centre, amplitude=Signal(1.0, "audio_kick")),
        NoiseLayer(source=FixedNoise(seed=2), mask=rest, amplitude=Signal(1.0, "audio_hats")),
    )
    kick = noise_of(network, *layers, audio_kick=1.0, audio_hats=0.0)[-1][0, 0]
    hats = noise_of(network, *layers, audio_kick=0.0, audio_hats=1.0)[-1][0, 0]
    assert kick[24:40, 24:40].std() > 0.8
    assert not kick[:8].any()
    assert hats[:8].std() > 0.8
    assert not hats[28:36, 28:36].any()


def test_two_layers_of_one_noise_and_complementary_masks_are_that_noise(network: Any) -> None:
    mask = Mask(shape="checker", softness=0.2)
    both = noise_of(network, layer(mask), layer(Mask(**{**vars(mask), "invert": True})))
    for together, alone in zip(both, noise_of(network, layer(Mask())), strict=True):
        assert torch.allclose(together, alone, atol=1e-6)


def test_a_mask_moves_by_keys_and_a_frame_forgets_the_one_before(network: Any) -> None:
    patch = Patch(noise_layers=(layer(Mask(shape="disc", size=Signal(0.2))),))
    choreographer = Choreographer(patch, network)
    still = choreographer.inputs({}).noise[-1].clone()
    for x in np.linspace(0.0, 1.0, 9):
        moved = choreographer.inputs({"noise_layers.0.mask.x": x}).noise[-1][0, 0]
        columns = moved.abs().sum(dim=0)
        assert abs(float((columns * torch.arange(64)).sum() / columns.sum()) / 64 - np.clip(x, 0.07, 0.93)) < 0.06
    assert torch.equal(choreographer.inputs({}).noise[-1], still)


def test_everywhere_is_everywhere_and_its_inverse_nowhere(network: Any) -> None:
    plain = noise_of(network, layer(Mask()))
    unchosen = noise_of(network, layer(Mask(shape="image")))
    assert all(torch.equal(a, b) for a, b in zip(plain, unchosen, strict=True))
    assert not any(each.any() for each in noise_of(network, layer(Mask(invert=True))))


@pytest.mark.parametrize("pixels", ["", "AAAA", "not base64!", "AAAAAAA="])
def test_a_damaged_picture_is_refused_with_its_place(pixels: str) -> None:
    patch = Patch(noise_layers=(layer(Mask(shape="image", image=BRIGHT_TOP_LEFT)),))
    assert Patch.from_json(patch.to_json()) == patch
    damaged = patch.to_plain()
    damaged["noise_layers"][0]["mask"]["image"]["pixels"] = pixels
    with pytest.raises(PatchError, match=r"noise_layers\.0\.mask\.image\.pixels.*choose the picture again"):
        Patch.from_json(damaged)


@pytest.mark.parametrize("mask", SHAPES.values(), ids=SHAPES.keys())
def test_a_graphics_card_works_out_the_same_mask(mask: Mask) -> None:
    for side in (8, 64):
        view = View((side, side), sides=(1.0, 1.5))
        arrays = masks.ground(mask, view)
        for size in (0.0, 0.2):
            here = masks.shade(mask, size, view, arrays)
            there = masks.shade(mask, size, view, [torch.from_numpy(each) for each in arrays])
            assert torch.allclose(torch.from_numpy(np.ascontiguousarray(here)), there, atol=1e-6)
