# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels as Blender's float images want them."""

import pytest
import torch

from stylegan_reactive.engine.pixels import fitted, linear_from_srgb, to_blender


def test_row_of_the_bottom_comes_first() -> None:
    picture = -torch.ones(1, 3, 4, 4)
    picture[0, 0, 0] = 1.0  # red on the top row
    pixels = to_blender(picture, (4, 4))
    assert pixels[-1, 0].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert pixels[0, 0].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_middle_grey_of_srgb_becomes_a_fifth_of_the_light() -> None:
    assert linear_from_srgb(torch.tensor(0.5)).item() == pytest.approx(0.21404, abs=1e-5)  # IEC 61966-2-1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_grey_and_alpha_networks_give_rgba(channels: int) -> None:
    picture = torch.zeros(1, channels, 4, 4)
    pixels = to_blender(picture, (4, 4))
    alpha = 0.5 if channels in (2, 4) else 1.0
    assert pixels[0, 0, 3].item() == pytest.approx(alpha)
    assert pixels[0, 0, :3].tolist() == pytest.approx([0.21404 * alpha] * 3, abs=1e-4)


def test_wide_picture_is_cropped_not_stretched() -> None:
    picture = torch.zeros(1, 1, 64, 64)
    picture[..., 24:40, 24:40] = 1.0  # a square in the middle
    wide = fitted(picture, (128, 64), "crop")
    assert wide.shape[-2:] == (64, 128)
    inside = wide[0, 0] > 0.5
    assert abs(int(inside.any(0).sum()) - int(inside.any(1).sum())) <= 2


def test_right_size_is_left_alone() -> None:
    picture = torch.rand(1, 3, 8, 8)
    assert all(fitted(picture, (8, 8), fit) is picture for fit in ("crop", "contain", "stretch"))
