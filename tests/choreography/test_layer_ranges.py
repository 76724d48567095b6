# SPDX-License-Identifier: GPL-3.0-or-later
"""Coarse, medium and fine on networks of every size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stylegan_reactive.choreography.patch import LAST_LAYER
from stylegan_reactive.choreography.ranges import (
    Fitted,
    fitted_latents,
    fitted_noise,
    latent_range,
    noise_range,
    scales,
)

LEVELS = ("coarse", "medium", "fine")


@pytest.mark.parametrize("resolution", [256, 512, 1024])
def test_levels_of_large_networks_are_split_at_16_and_64_px(
    make_network: Callable[[int], Any], resolution: int
) -> None:
    network = make_network(resolution)
    sides = [{network.noise_shapes[i][0] for i in noise_range(level, network.noise_shapes)} for level in LEVELS]
    assert sides[0] == {4, 8, 16}
    assert sides[1] == {32, 64}
    assert min(sides[2]) == 128
    assert max(sides[2]) == resolution
    spans = [latent_range(level, network.num_ws, network.noise_shapes) for level in LEVELS]
    assert spans == [range(5), range(5, 9), range(9, network.num_ws)]


def test_levels_of_a_64_px_network_are_thirds_of_its_depth(make_network: Callable[[int], Any]) -> None:
    network = make_network(64)
    sides = [{network.noise_shapes[i][0] for i in noise_range(level, network.noise_shapes)} for level in LEVELS]
    assert sides == [{4, 8}, {16}, {32, 64}]
    assert [latent_range(level, 10, network.noise_shapes) for level in LEVELS] == [range(3), range(3, 5), range(5, 10)]


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256, 512, 1024, 2048])
def test_levels_cover_every_layer_once(make_network: Callable[[int], Any], resolution: int) -> None:
    network = make_network(resolution)
    latent = [i for level in LEVELS for i in latent_range(level, network.num_ws, network.noise_shapes)]
    noise = [i for level in LEVELS for i in noise_range(level, network.noise_shapes)]
    assert latent == list(latent_range("all", network.num_ws, network.noise_shapes)) == list(range(network.num_ws))
    assert noise == list(noise_range("all", network.noise_shapes)) == list(range(len(network.noise_shapes)))


@pytest.mark.parametrize("num_ws", [1, 2, 3, 4, 5, 16])
def test_a_network_without_noise_inputs_still_has_three_levels(num_ws: int) -> None:
    spans = [latent_range(level, num_ws, ()) for level in LEVELS]
    assert all(spans)
    assert spans[0].start == 0
    assert spans[2].stop == num_ws
    if num_ws >= 3:
        assert [i for span in spans for i in span] == list(range(num_ws))


@pytest.mark.parametrize("sides", [(4,), (4, 8, 8)])
def test_the_smallest_networks_have_no_empty_level(sides: tuple[int, ...]) -> None:
    shapes = tuple((side, side) for side in sides)
    for level in LEVELS:
        assert noise_range(level, shapes)
        assert latent_range(level, len(shapes) + 1, shapes)


def test_layers_from_to_include_both_ends_and_stop_at_the_last_layer(make_network: Callable[[int], Any]) -> None:
    network = make_network(256)
    assert latent_range((2, 4), 14, network.noise_shapes) == range(2, 5)
    assert latent_range((12, 99), 14, network.noise_shapes) == range(12, 14)
    assert noise_range((8, 32), network.noise_shapes) == range(1, 7)


def test_layers_beyond_the_last_one_become_the_last_ones_and_that_is_said(make_network: Callable[[int], Any]) -> None:
    shapes = make_network(64).noise_shapes
    moved = fitted_latents((10, 12), 10, shapes)
    assert moved.reached == range(7, 10)
    assert "no layers 10 to 12" in moved.note
    assert "7 to 9" in moved.note
    assert fitted_latents((40, 90), 10, shapes).reached == range(10)
    assert fitted_latents((17, 17), 10, shapes).reached == range(9, 10)
    assert "ends there" in fitted_latents((4, 17), 10, shapes).note
    assert fitted_latents((4, LAST_LAYER), 10, shapes) == Fitted(range(4, 10))  # to the end: as the artist wished


def test_all_layers_from_one_on_that_is_not_there_are_not_all_layers_of_the_network(
    make_network: Callable[[int], Any],
) -> None:
    moved = fitted_latents((14, LAST_LAYER), 10, make_network(64).noise_shapes)  # the finest four of a larger network
    assert moved.reached == range(9, 10)
    assert "no layers 14 and above, the last is 9; 9 is used instead" in moved.note


def test_noise_of_a_size_that_is_not_there_becomes_that_of_the_nearest(make_network: Callable[[int], Any]) -> None:
    shapes = make_network(64).noise_shapes
    for wanted, side in (((128, 1024), 64), ((1, 2), 4), ((5, 5), 4), ((6, 6), 8), ((33, 40), 32), ((20, 22), 16)):
        fitted = fitted_noise(wanted, shapes)
        assert {shapes[index][0] for index in fitted.reached} == {side}
        assert f"that of {side} px is used" in fitted.note
    assert fitted_noise((32, 1024), shapes) == Fitted(range(5, 9))  # some of it is there: nothing to say
    assert fitted_noise("fine", ()) == fitted_noise((4, 8), ()) == Fitted(range(0))
    assert "one noise for all sizes" in fitted_noise("coarse", ((64, 64),)).note


def test_a_network_of_1024_px_has_the_nine_scales_of_the_paper() -> None:
    sizes = [4, *(2**power for power in range(3, 11) for _ in range(2)), 1024]
    assert [tuple(scale) for scale in scales(sizes)] == [
        ("4 px", 0, 0),
        ("8 px", 1, 2),
        ("16 px", 3, 4),
        ("32 px", 5, 6),
        ("64 px", 7, 8),
        ("128 px", 9, 10),
        ("256 px", 11, 12),
        ("512 px", 13, 14),
        ("1024 px", 15, 17),
    ]


def test_networks_of_other_shapes_are_split_by_depth_too() -> None:
    wide = ((4, 8), (8, 16), (8, 16), (16, 32), (16, 32), (32, 64), (32, 64), (64, 128), (64, 128))
    assert [noise_range(level, wide) for level in LEVELS] == [range(3), range(3, 5), range(5, 9)]
    first_stylegan = tuple((side, side) for side in (4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256))
    assert latent_range("medium", 14, first_stylegan) == range(6, 10)
