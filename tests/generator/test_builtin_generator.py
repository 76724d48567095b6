# SPDX-License-Identifier: GPL-3.0-or-later
"""The built-in generator: what a newcomer sees first, and that its layers mean what the interface says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylegan_reactive.generator import StyleGAN2, builtin_checkpoint, load_generator

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 16
COARSE, MEDIUM, FINE = slice(0, 5), slice(5, 9), slice(9, None)  # ws up to 16 px, 32 and 64 px, 128 px and up


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return load_generator(builtin_checkpoint("silk"))


def latent(generator: StyleGAN2, seed: int) -> Tensor:
    return torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pictures(generator: StyleGAN2) -> np.ndarray:
    """[seeds, h, w, 3], sRGB from 0 to 1."""
    images = [generator.synthesis(generator.mapping(latent(generator, seed)))[0] for seed in range(SEEDS)]
    return (torch.stack(images) * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def oklab(picture: np.ndarray) -> np.ndarray:
    """sRGB to OKLab (https://bottosson.github.io/posts/oklab/).  [..., 3] -> [..., 3]"""
    linear = np.where(picture < 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )


def has_two_hues(picture: np.ndarray) -> bool:
    """Whether two ranges of 50 degrees, 50 or more apart, hold 15 % each of the pixels, weighted by chroma."""
    _, a, b = np.moveaxis(oklab(picture[::2, ::2]), -1, 0)
    hue = np.degrees(np.arctan2(b, a)) % 360
    share = np.histogram(hue, 36, (0, 360), weights=np.hypot(a, b))[0]
    share = share / share.sum()
    around = sum(np.roll(share, shift) for shift in (-2, -1, 0, 1, 2))
    rich = np.flatnonzero(around >= 0.15)
    return any(5 <= abs(int(i) - int(j)) <= 31 for i in rich for j in rich)


def step_inwards(picture: np.ndarray, inset: int) -> float:
    """Mean difference between two rows of pixels and those 4 px further in, along the four sides of a square."""
    inner = picture[inset : picture.shape[0] - inset, inset : picture.shape[1] - inset]
    sides = [np.rot90(inner, turn) for turn in range(4)]
    return float(np.mean([np.abs(side[:2].mean(axis=0) - side[4:6].mean(axis=0)).mean() for side in sides]))


def test_it_is_small_enough_to_ship(generator: StyleGAN2) -> None:
    assert builtin_checkpoint("silk").stat().st_size <= 3 * 2**20
    assert generator.resolution == (512, 512)
    assert generator.img_channels == 3


def test_no_picture_has_a_frame(pictures: np.ndarray) -> None:
    border = [step_inwards(picture, 0) for picture in pictures]
    inside = [np.mean([step_inwards(picture, inset) for inset in (40, 80, 120, 160)]) for picture in pictures]
    assert np.mean(border) < 1.25 * np.mean(inside)
    lines = [np.mean([np.abs(p[row] - p[row + 1]).mean() for p in pictures]) for row in (0, 100, 200, 300, 400)]
    assert lines[0] < 1.8 * np.mean(lines[1:]) + 0.01  # a line of one pixel would be seen from there on


def test_most_pictures_have_two_hues(pictures: np.ndarray) -> None:
    assert sum(has_two_hues(picture) for picture in pictures) > 0.7 * SEEDS


def test_no_picture_is_blown_out(pictures: np.ndarray) -> None:
    blown = (pictures.max(axis=-1) > 0.98).mean(axis=(1, 2))
    assert blown.mean() < 0.01
    assert blown.max() < 0.05


def test_no_picture_is_murky_grey_or_flat(pictures: np.ndarray) -> None:
    for picture in pictures:
        lightness, a, b = np.moveaxis(oklab(picture), -1, 0)
        assert 0.25 < lightness.mean() < 0.8
        assert lightness.std() > 0.04
        assert 0.03 < np.hypot(a, b).mean() < 0.15


def low_share(difference: Tensor, cycles: float) -> float:
    """The share of a picture's energy in waves that fit at most `cycles` times into it."""
    grey = difference.mean(dim=1)
    energy = torch.fft.fft2(grey - grey.mean()).abs().square().sum(dim=0)
    frequency = torch.fft.fftfreq(grey.shape[-1]) * grey.shape[-1]
    radius = (frequency[:, None].square() + frequency.square()).sqrt()
    return float(energy[radius < cycles].sum() / energy.sum())


def structure(picture: Tensor) -> Tensor:
    """Light and dark without the large areas: what is drawn, whatever its colours."""
    grey = picture.mean(dim=1, keepdim=True)
    return (grey - torch.nn.functional.avg_pool2d(grey, 33, 1, 16)).flatten()


def mixed(generator: StyleGAN2, layers: slice) -> tuple[Tensor, Tensor]:
    """A picture, and the same with some of its ws taken from another seed, for two seeds."""
    here = torch.cat([generator.mapping(latent(generator, 300 + seed)) for seed in range(2)])
    there = torch.cat([generator.mapping(latent(generator, 400 + seed)) for seed in range(2)])
    changed = here.clone()
    changed[:, layers] = there[:, layers]
    return generator.synthesis(here), generator.synthesis(changed)


def alike(first: Tensor, second: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([structure(first), structure(second)]))[0, 1])


def test_coarse_and_medium_layers_change_the_forms(generator: StyleGAN2) -> None:
    for layers in (COARSE, MEDIUM):
        before, after = mixed(generator, layers)
        assert low_share(after - before, 8) > 0.5
        assert alike(before, after) < 0.6


def test_fine_layers_change_the_colours_and_keep_the_forms(generator: StyleGAN2) -> None:
    before, after = mixed(generator, FINE)
    assert alike(before, after) > 0.7
    assert float((after - before).square().mean().sqrt()) > 0.15


def test_fine_noise_changes_only_the_finest_detail(generator: StyleGAN2) -> None:
    ws = generator.mapping(latent(generator, 5))
    random = torch.Generator().manual_seed(1)
    noise = [torch.randn(1, 1, *size, generator=random) if size[0] >= 128 else None for size in generator.noise_shapes]
    difference = generator.synthesis(ws, noise) - generator.synthesis(ws)
    assert low_share(difference, 32) < 0.2
    assert float(difference.square().mean().sqrt()) > 0.005


def test_a_path_between_two_seeds_has_no_jumps(generator: StyleGAN2) -> None:
    here, there = (generator.mapping(latent(generator, seed)) for seed in (7, 8))
    film = torch.cat([generator.synthesis(here.lerp(there, step / 7)) for step in range(8)])
    steps = (film[1:] - film[:-1]).abs().mean(dim=(1, 2, 3))
    assert float(steps.max()) < 3 * float(steps.mean())


def test_the_same_seed_gives_the_same_pixels(generator: StyleGAN2) -> None:
    again = load_generator(builtin_checkpoint("silk"))
    ws = generator.mapping(latent(generator, 3))
    assert torch.equal(ws, again.mapping(latent(generator, 3)))
    assert torch.equal(generator.synthesis(ws), again.synthesis(ws))


def test_the_script_makes_the_file_that_is_shipped(generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import make_generator

    made = make_generator.make_generator()
    assert made.config == generator.config
    ws = generator.mapping(latent(generator, 9))
    assert torch.allclose(made.mapping(latent(generator, 9)), ws, atol=0.01)
    assert (made.synthesis(ws) - generator.synthesis(ws)).abs().mean() < 0.02
    sys.modules.pop("make_generator", None)
