# SPDX-License-Identifier: GPL-3.0-or-later
"""The formulas' pictures: the same for the same latents, smooth, with roles that can be told apart, without jaggies."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.bloom import shape_flower
from training.data import FORMULAS, paint
from training.errors import TrainingError
from training.fields import grid, points_of_light
from training.latents import COARSE, FINE, MEDIUM, latents_of

SIZE = 64
both = pytest.mark.parametrize("name", sorted(FORMULAS))


def changed(drawn: tuple[Tensor, Tensor], part: slice | None) -> tuple[Tensor, Tensor]:
    """The same latents, but one role's are those of another picture; None: chance."""
    z, noise = drawn[0].clone(), drawn[1]
    if part is None:
        return z, noise.roll(1, 0)
    # only z's length is normalised, so that a role's part is put in without disturbing the others' by more than that
    z[:, part] = drawn[0].roll(1, 0)[:, part]
    return z, noise


def picture(name: str, z: Tensor, noise: Tensor, size: int = SIZE, supersampling: int = 2) -> Tensor:
    return paint(name, latents_of(z, z, z, noise), size, supersampling)


def structure(pictures: Tensor) -> Tensor:
    """Where edges are, whatever the colours: the sum of the channels' slopes, evenly scaled.  [batch, pixels]"""
    grey = pictures.mean(dim=1)
    slope = (grey[:, 1:, 1:] - grey[:, :-1, 1:]).square() + (grey[:, 1:, 1:] - grey[:, 1:, :-1]).square()
    edges = F.avg_pool2d(slope.sqrt()[:, None], 3, 1).flatten(1)
    return edges - edges.mean(dim=1, keepdim=True)


def alike(first: Tensor, second: Tensor) -> float:
    return float(F.cosine_similarity(structure(first), structure(second)).mean())


def low_share(difference: Tensor, cycles: float = 4.0) -> float:
    """The share of a change in waves that fit at most so many times into the picture."""
    energy = torch.fft.fft2(difference.mean(dim=1)).abs().square().sum(dim=0)
    frequency = torch.fft.fftfreq(difference.shape[-1]) * difference.shape[-1]
    radius = (frequency[:, None].square() + frequency.square()).sqrt()
    return float(energy[radius <= cycles].sum() / energy.sum())


@both
def test_the_same_latents_give_the_same_picture_alone_or_in_a_batch(name: str, drawn: tuple[Tensor, Tensor]) -> None:
    all_at_once = picture(name, *drawn)
    assert torch.equal(all_at_once, picture(name, *drawn))
    alone = picture(name, drawn[0][3:4], drawn[1][3:4])
    assert (all_at_once[3:4] - alone).abs().max() < 2e-3


@both
def test_pictures_are_finite_colourful_and_of_the_range_of_a_screen(name: str, drawn: tuple[Tensor, Tensor]) -> None:
    pictures = picture(name, *drawn)
    assert pictures.shape == (8, 3, SIZE, SIZE)
    assert pictures.min() >= -1
    assert pictures.max() <= 1
    assert (pictures.amin(dim=1) > 0.95).float().mean() < 0.02  # burnt to white
    assert (pictures.amax(dim=1) - pictures.amin(dim=1)).mean() > 0.2  # no grey
    assert pictures.std(dim=(2, 3)).amin() > 0.05  # none is empty


@both
@pytest.mark.parametrize("part", [COARSE, MEDIUM, FINE], ids=["coarse", "medium", "fine"])
def test_half_a_step_in_the_latents_is_about_half_a_step_in_the_picture(
    name: str, part: slice, drawn: tuple[Tensor, Tensor]
) -> None:
    z, noise = drawn
    direction = torch.zeros_like(z)
    direction[:, part] = torch.randn(z[:, part].shape, generator=torch.Generator().manual_seed(2))
    start = picture(name, z, noise)
    steps = [(picture(name, z + length * direction, noise) - start).abs() for length in (0.005, 0.01)]
    small, large = (step.mean(dim=(1, 2, 3)) for step in steps)
    assert small.min() > 0
    ratio = large / small
    assert ratio.min() > 1.7
    assert ratio.max() < 2.3
    assert large.max() < 0.08  # a hundredth of a deviation does not turn one picture into another


@both
def test_coarse_and_medium_latents_move_edges_and_fine_ones_only_colours(
    name: str, drawn: tuple[Tensor, Tensor]
) -> None:
    before = picture(name, *drawn)
    after = {part.start: picture(name, *changed(drawn, part)) for part in (COARSE, MEDIUM, FINE)}
    kept = {start: alike(before, pictures) for start, pictures in after.items()}
    assert kept[FINE.start] > 0.5
    assert kept[COARSE.start] < kept[FINE.start] - 0.05
    assert kept[MEDIUM.start] < kept[FINE.start] - 0.2
    colours = [
        (before - pictures).mean(dim=(2, 3)).abs().mean() for pictures in (after[FINE.start], after[MEDIUM.start])
    ]
    assert colours[0] > 1.5 * colours[1]


@both
def test_latents_change_large_forms_and_chance_only_points(name: str, drawn: tuple[Tensor, Tensor]) -> None:
    before = picture(name, *drawn)
    coarse = picture(name, *changed(drawn, COARSE)) - before
    chance = picture(name, *changed(drawn, None)) - before
    assert low_share(coarse) > 0.35
    assert low_share(chance) < 0.2
    assert coarse.abs().mean() > 5 * chance.abs().mean()
    assert (chance.abs().amax(dim=1) > 0.1).float().mean() < 0.15  # of all pixels
    assert chance.abs().max() > 0.2


@both
def test_supersampled_pictures_come_nearer_to_the_true_ones(name: str, drawn: tuple[Tensor, Tensor]) -> None:
    z, noise = drawn[0][:4], drawn[1][:4]
    truth = picture(name, z, noise, SIZE, 8)
    plain, ours = (picture(name, z, noise, SIZE, count) - truth for count in (1, 2))
    assert ours.square().mean() < 0.4 * plain.square().mean()
    assert ours.abs().mean() < 0.02


@both
def test_a_large_picture_is_the_small_one_in_more_detail(name: str, drawn: tuple[Tensor, Tensor]) -> None:
    small, large = picture(name, *drawn, 32, 4), picture(name, *drawn, 128)
    assert (F.avg_pool2d(large, 4) - small).abs().mean() < 0.06


def test_the_outline_of_a_flower_is_a_matter_of_its_coarse_latents(drawn: tuple[Tensor, Tensor]) -> None:
    def silhouette(z: Tensor) -> Tensor:
        place = grid(SIZE, z.device).expand(len(z), -1, -1, -1)
        return shape_flower(latents_of(z, z, z, drawn[1]), place).outer > 0

    flower = silhouette(drawn[0])
    assert 0.1 < flower.float().mean() < 0.6  # in the middle of the picture, with room around it
    moved = [(silhouette(changed(drawn, part)[0]) != flower).float().mean() for part in (COARSE, MEDIUM, FINE)]
    assert moved[0] > 1.5 * moved[1]
    assert moved[2] < 0.25 * moved[1]


def test_a_star_sends_the_same_light_at_every_size(drawn: tuple[Tensor, Tensor]) -> None:
    light = [points_of_light(drawn[1], size).mean(dim=(1, 2)) for size in (32, 64, 256)]
    for one in light[:2]:
        assert torch.allclose(one, light[2], rtol=0.1)


def test_an_unknown_formula_is_named_with_those_that_there_are(drawn: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(TrainingError, match=r"no formula \"marble\". Choose one of bloom, silk"):
        picture("marble", *drawn)
