# SPDX-License-Identifier: GPL-3.0-or-later
"""The flowers of the built-in network "bloom": dark skies, clear roles of the layers, and noise that can be seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylegan_reactive.generator import StyleGAN2, builtin_checkpoint, load_generator

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 12
COARSE, MEDIUM, FINE = slice(0, 5), slice(5, 9), slice(9, None)  # ws up to 16 px, 32 and 64 px, 128 px and up


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return load_generator(builtin_checkpoint("bloom"))


def latent(generator: StyleGAN2, seed: int) -> Tensor:
    return generator.mapping(torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture(scope="module")
def pictures(generator: StyleGAN2) -> Tensor:
    """[seeds, 3, h, w] from 0 to 1."""
    images = torch.cat([generator.synthesis(latent(generator, seed)) for seed in range(SEEDS)])
    return (images * 0.5 + 0.5).clamp(0, 1)


def test_it_is_small_enough_to_ship(generator: StyleGAN2) -> None:
    assert builtin_checkpoint("bloom").stat().st_size <= 5 * 2**20
    assert generator.resolution == (512, 512)


def test_every_seed_is_a_bright_flower_in_a_dark_sky(pictures: Tensor) -> None:
    light = pictures.amax(dim=1)
    for seed, picture in enumerate(light):
        flower, corners = picture[192:320, 192:320].mean(), picture[:64, :64].mean()
        assert flower > 0.3, seed
        assert corners < 0.4, seed
        assert flower > 1.5 * corners, seed


def test_no_picture_is_blown_out(pictures: Tensor) -> None:
    blown = (pictures > 0.995).any(dim=1).float().mean(dim=(1, 2))
    assert blown.mean() < 0.01
    assert blown.max() < 0.02


def test_no_picture_has_a_frame(pictures: Tensor) -> None:
    border = torch.cat([pictures[:, :, 0], pictures[:, :, -1], pictures[..., 0], pictures[..., -1]], dim=2)
    inside = torch.cat([pictures[:, :, 24], pictures[:, :, -25], pictures[..., 24], pictures[..., -25]], dim=2)
    assert (border - inside).mean(dim=(1, 2)).abs().mean() < 0.05


def change(generator: StyleGAN2, layers: slice, seed: int) -> tuple[Tensor, Tensor]:
    """A picture, and the same with some of its ws from another seed."""
    here, there = latent(generator, seed), latent(generator, 500 + seed)
    changed = here.clone()
    changed[:, layers] = there[:, layers]
    return generator.synthesis(here), generator.synthesis(changed)


def outline(picture: Tensor) -> Tensor:
    """Light and dark, whatever the colours, coarsely."""
    grey = torch.nn.functional.avg_pool2d(picture.amax(dim=1), 8).flatten()
    return grey


def alike(before: Tensor, after: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([outline(before), outline(after)]))[0, 1])


def hue_moved(before: Tensor, after: Tensor) -> float:
    """How much the colours differ once their brightness is the same."""
    first, second = ((picture * 0.5 + 0.5).clamp(0.02, 1) for picture in (before, after))
    first, second = first / first.amax(dim=1, keepdim=True), second / second.amax(dim=1, keepdim=True)
    return float((first - second)[..., 192:320, 192:320].abs().mean())


def test_each_range_of_layers_has_a_role_of_its_own(generator: StyleGAN2) -> None:
    seeds = range(20, 23)
    coarse, medium, fine = ([change(generator, layers, seed) for seed in seeds] for layers in (COARSE, MEDIUM, FINE))
    likeness = [sum(alike(*pair) for pair in pairs) / len(seeds) for pairs in (coarse, medium, fine)]
    assert likeness[0] < 0.8  # another flower
    assert likeness[0] < likeness[1] < 0.98  # the same petals, other insides
    assert likeness[2] > 0.85  # the same flower
    hues = [sum(hue_moved(*pair) for pair in pairs) / len(seeds) for pairs in (coarse, medium, fine)]
    assert hues[2] > 0.1  # in other colours
    assert hues[2] > 1.5 * hues[1]


def test_noise_moves_the_stars_and_not_the_flower(generator: StyleGAN2) -> None:
    ws = latent(generator, 5)
    random = torch.Generator().manual_seed(1)
    noise = [torch.randn(1, 1, *size, generator=random) for size in generator.noise_shapes]
    before, after = generator.synthesis(ws), generator.synthesis(ws, noise)
    moved = (after - before).abs().amax(dim=1)
    assert 0.002 < float((moved > 0.3).float().mean()) < 0.05  # sparkles that can be seen
    assert alike(before, after) > 0.97


def test_a_path_between_two_seeds_has_no_jumps(generator: StyleGAN2) -> None:
    here, there = latent(generator, 7), latent(generator, 8)
    film = torch.cat([generator.synthesis(here.lerp(there, step / 11)) for step in range(12)])
    steps = (film[1:] - film[:-1]).abs().mean(dim=(1, 2, 3))
    assert float(steps.max()) < 3 * float(steps.mean())


def test_an_early_stop_already_shows_the_flower(generator: StyleGAN2) -> None:
    ws = latent(generator, 3)
    full = generator.synthesis(ws)
    for stop in (128, 256):
        early = generator.synthesis(ws, stop=stop)
        assert alike(torch.nn.functional.interpolate(early, size=(512, 512)), full) > 0.6


def test_the_script_makes_the_file_that_is_shipped(generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import make_bloom

    made = make_bloom.make_bloom()
    assert made.config == generator.config
    ws = latent(generator, 9)
    assert (made.synthesis(ws) - generator.synthesis(ws)).abs().mean() < 0.02
