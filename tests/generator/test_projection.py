# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection: from a picture to the ws of which the network paints it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config
from stylegan_reactive.generator.directions import seeded_ws
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.projection import ProjectionState, project


def small_generator(img_channels: int = 3) -> StyleGAN2:
    """A network of random weights whose pictures have contrasts as photographs do."""
    torch.manual_seed(0)
    mapping = MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16, 16))
    generator = StyleGAN2(StyleGAN2Config(mapping, 32, (16, 16, 12, 8), img_channels=img_channels)).eval()
    contrast = generator.synthesis(seeded_ws(generator, 8, 0)).std()
    for block in generator.synthesis.blocks:
        block.torgb.weight.mul_(0.4 / contrast)
    generator.mapping.w_avg.copy_(seeded_ws(generator, 512, 1)[:, 0].mean(dim=0))
    return generator


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return small_generator()


def error(one: Tensor, other: Tensor) -> float:
    """Mean difference as a screen shows it."""
    return float((one.clamp(-1, 1) - other.clamp(-1, 1)).abs().mean())


@pytest.mark.parametrize("seed", [77, 78])
def test_a_picture_of_the_network_is_found_again(generator: StyleGAN2, seed: int) -> None:
    wanted = generator.synthesis(seeded_ws(generator, 1, seed))
    first: list[Tensor] = []
    found = project(generator, wanted, steps=50, progress=lambda state: first.append(state.picture))
    assert error(found.picture, wanted) < 0.15 * error(first[0][None], wanted)
    assert torch.equal(generator.synthesis(found.ws), found.picture)
    assert found.finished


def test_each_layer_may_find_a_w_of_its_own(generator: StyleGAN2) -> None:
    ws = seeded_ws(generator, 2, 5)
    mixed = torch.cat([ws[:1, :3], ws[1:, 3:]], dim=1)
    wanted = generator.synthesis(mixed)
    free = project(generator, wanted, steps=40)
    bound = project(generator, wanted, steps=40, layers=(0, 0))
    assert error(free.picture, wanted) < 0.6 * error(bound.picture, wanted)
    assert torch.equal(bound.ws[:, 1:], bound.ws[:, 1:2].expand_as(bound.ws[:, 1:]))


def test_a_picture_from_elsewhere_leaves_the_network_as_it_was(generator: StyleGAN2) -> None:
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    shown = generator.synthesis(seeded_ws(generator, 1, 3))
    ramp = torch.linspace(-1, 1, 50).expand(1, 3, 40, 50)
    states: list[ProjectionState] = []
    found = project(generator, ramp, steps=20, progress=states.append)
    assert [state.step for state in states] == list(range(1, 21))
    assert found.loss == min(state.loss for state in states) < states[0].loss
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())
    assert torch.equal(generator.synthesis(seeded_ws(generator, 1, 3)), shown)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in generator.parameters())


def test_stopping_gives_the_best_until_then(generator: StyleGAN2) -> None:
    wanted = generator.synthesis(seeded_ws(generator, 1, 77))
    states: list[ProjectionState] = []

    def stop_at_seven(state: ProjectionState) -> bool:
        states.append(state)
        return state.step == 7

    found = project(generator, wanted, steps=50, progress=stop_at_seven)
    assert len(states) == 7
    assert not found.finished
    assert found.loss == min(state.loss for state in states)


def test_the_same_picture_gives_the_same_ws(generator: StyleGAN2) -> None:
    wanted = generator.synthesis(seeded_ws(generator, 1, 77))
    assert torch.equal(project(generator, wanted, steps=5).ws, project(generator, wanted, steps=5).ws)


@pytest.mark.parametrize(("network", "channels"), [(1, 3), (3, 1), (4, 3), (3, 4), (4, 4)])
def test_pictures_of_other_channels_and_sizes_fit(network: int, channels: int) -> None:
    other = small_generator(network)
    found = project(other, torch.rand(channels, 20, 70) * 2 - 1, steps=2, candidates=1)
    assert found.picture.shape == (1, network, 32, 32)
    assert found.ws.shape == (1, other.num_ws, other.w_dim)


@pytest.mark.parametrize(
    "picture", [torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8), torch.full((3, 8, 8), torch.nan), torch.zeros(3, 0, 8)]
)
def test_what_is_no_picture_is_refused(generator: StyleGAN2, picture: Tensor) -> None:
    with pytest.raises(ValueError, match="picture to project"):
        project(generator, picture, steps=1)
