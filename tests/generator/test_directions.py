# SPDX-License-Identifier: GPL-3.0-or-later
"""SeFa: directions of w that change a range of layers most."""

from __future__ import annotations

import pytest
import torch

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config
from stylegan_reactive.generator.directions import seeded_ws, sefa
from stylegan_reactive.generator.mapping import MappingConfig


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    torch.manual_seed(1)
    mapping = MappingConfig(z_dim=8, c_dim=3, w_dim=16, widths=(24, 16), embed_dim=4)
    return StyleGAN2(StyleGAN2Config(mapping, 32, (16, 16, 12, 8))).eval()


def test_directions_are_unit_vectors_at_right_angles(generator: StyleGAN2) -> None:
    found = sefa(generator)
    torch.testing.assert_close(found.vectors @ found.vectors.T, torch.eye(16), atol=1e-5, rtol=0)
    assert bool((found.strengths.diff() <= 0).all())


def test_what_one_w_makes_is_known(generator: StyleGAN2) -> None:
    """Put one strong direction into the styles that read the ws 3 and 4: it is found there and nowhere else."""
    planted = torch.nn.functional.normalize(torch.arange(1.0, 17.0), dim=0)
    changed = StyleGAN2(generator.config)
    changed.load_state_dict(generator.state_dict())
    for layer in (changed.synthesis.b16.conv0, changed.synthesis.b16.conv1, changed.synthesis.b8.torgb):
        layer.affine.weight.copy_(0.1 * layer.affine.weight + torch.outer(torch.ones(len(layer.weight[0])), planted))
    found = sefa(changed, 3, 4, count=1)
    assert float(found.vectors[0] @ planted) > 0.98
    assert abs(float(sefa(changed, 5, 7, count=1).vectors[0] @ planted)) < 0.9


def test_the_first_direction_changes_styles_most(generator: StyleGAN2) -> None:
    affine = generator.synthesis.b4.conv1.affine
    changes = (sefa(generator, 0, 0).vectors @ torch.nn.functional.normalize(affine.weight, dim=1).T).norm(dim=1)
    assert int(changes.argmax()) == 0
    assert int(changes.argmin()) == 15


def test_only_the_ws_of_the_range_are_moved(generator: StyleGAN2) -> None:
    ws = seeded_ws(generator, 2, 0)
    kept = ws.clone()
    moved = sefa(generator, 2, 4, count=3).moved(ws, torch.tensor([[1.0, 0, 0], [0, 0, 0]]))
    assert torch.equal(ws, kept)
    changed = (moved != ws).any(dim=2)
    assert changed.tolist() == [[index in (2, 3, 4) for index in range(8)], [False] * 8]


def test_amount_one_is_as_far_as_latents_usually_are(generator: StyleGAN2) -> None:
    found = sefa(generator, count=4)
    others = seeded_ws(generator, 4096, 99)[:, 0]
    for index in range(4):
        amounts = torch.zeros(4)
        amounts[index] = 1.0
        way = (found.moved(others[:1, None].repeat(1, 8, 1), amounts)[:, 0] - others[:1]).norm()
        assert float(way) == pytest.approx(float((others @ found.vectors[index]).std()), rel=0.1)


def test_directions_are_the_same_each_time(generator: StyleGAN2) -> None:
    one, other = sefa(generator, 1, 3), sefa(generator, 1, 3)
    assert torch.equal(one.vectors, other.vectors)
    assert torch.equal(one.spread, other.spread)


@pytest.mark.parametrize(("first", "last", "count"), [(-1, 2, 1), (3, 2, 1), (0, 8, 1), (0, 2, 0), (0, 2, 17)])
def test_ranges_that_do_not_exist_are_refused(generator: StyleGAN2, first: int, last: int, count: int) -> None:
    with pytest.raises(ValueError, match="this network"):
        sefa(generator, first, last, count)
