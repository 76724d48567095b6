# SPDX-License-Identifier: GPL-3.0-or-later
"""Any whole number is a seed, wherever the generator takes one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config
from stylegan_reactive.generator.bending import Channels
from stylegan_reactive.generator.clusters import find_clusters
from stylegan_reactive.generator.directions import seeded_ws, sefa
from stylegan_reactive.generator.editing import rank_one_edit, seeded_direction
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.projection import project

LAYER = "b8.conv1"


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    torch.manual_seed(1)
    mapping = MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16,))
    return StyleGAN2(StyleGAN2Config(mapping, 16, (16, 12, 8)))


def edit(generator: StyleGAN2, seed: int) -> Tensor:
    one, other = seeded_ws(generator, 2, 0).split(1)
    return rank_one_edit(generator, LAYER, one, (0, 0, 0.5, 0.5), other, samples=2, seed=seed).delta


def projected(generator: StyleGAN2, seed: int) -> Tensor:
    target = generator.synthesis(3 * seeded_ws(generator, 1, 7))
    return project(generator, target, steps=2, seed=seed, candidates=16).ws


# Each gives something that another seed gives otherwise.
SEEDED: dict[str, Callable[[StyleGAN2, int], Tensor]] = {
    "latents": lambda generator, seed: seeded_ws(generator, 2, seed),
    "directions": lambda generator, seed: sefa(generator, count=2, seed=seed).spread,
    "edits": edit,
    "random edits": lambda generator, seed: seeded_direction(generator, LAYER, seed, 1, samples=2),
    "projections": projected,
    "clusters": lambda generator, seed: torch.from_numpy(
        find_clusters(generator, LAYER, 2, samples=2, seed=seed).pictures
    ),
    "channels": lambda generator, seed: Channels(fraction=0.3, seed=seed).weights(200),
}


@pytest.mark.parametrize("name", SEEDED)
def test_any_whole_number_is_a_seed(generator: StyleGAN2, name: str) -> None:
    seeds = (0, -1, 2**32 - 1, 2**32, -(2**70), np.int64(-5))
    found = [SEEDED[name](generator, seed) for seed in seeds]
    again = SEEDED[name](generator, -1)
    assert torch.equal(found[1], again)
    for index, one in enumerate(found):
        assert bool(one.isfinite().all())
        assert not any(torch.equal(one, other) for other in found[:index])


@pytest.mark.parametrize("name", SEEDED)
def test_what_is_no_whole_number_is_refused(generator: StyleGAN2, name: str) -> None:
    with pytest.raises(ValueError, match=r"a seed is a whole number, not 1\.5"):
        SEEDED[name](generator, 1.5)  # type: ignore[arg-type]
