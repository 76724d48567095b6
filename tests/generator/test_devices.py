# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks on other devices than the CPU. PyTorch's "meta" has no numbers, but it is one: what is mixed, fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.stylegan3 import random_network
from stylegan_reactive.generator import (
    OPERATIONS,
    Bend,
    Canvas,
    Channels,
    Generator,
    Lucidrains,
    LucidrainsConfig,
    Rewrite,
    StyleGAN1,
    StyleGAN1Config,
    StyleGAN2,
    StyleGAN2Config,
    find_clusters,
    project,
    rank_one_edit,
    seeded_direction,
    sefa,
    transform_matrix,
)
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.rewriting import layer_weight, weighted_layers

MAPPING = MappingConfig(z_dim=6, c_dim=0, w_dim=8, widths=(8,))
MAKERS: dict[str, Callable[[], Generator]] = {
    "stylegan1": lambda: StyleGAN1(StyleGAN1Config(MAPPING, 16, (8, 6, 4))),
    "stylegan2": lambda: StyleGAN2(StyleGAN2Config(MAPPING, 16, (8, 6, 4))),
    "resnet": lambda: StyleGAN2(StyleGAN2Config(MAPPING, 16, (8, 6, 4), connection="resnet")),
    "stylegan3": lambda: random_network(32, radial=False, base=256, widest=16, w_dim=16),
    "lucidrains": lambda: Lucidrains(
        LucidrainsConfig(MAPPING, 16, (8, 6, 4), 8, attention=(1,), attention_width=16, constant=False)
    ),
}


class NoDoublePrecision(TorchDispatchMode):
    """Fails where a tensor elsewhere than on the CPU has 64 bits per number, which Apple's devices do not know."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "cpu":
                assert tensor.dtype != torch.float64, f"{func} in double precision on {tensor.device}"
        return result


@pytest.fixture(params=MAKERS)
def network(request: pytest.FixtureRequest) -> Iterator[Generator]:
    with NoDoublePrecision():
        yield MAKERS[request.param]().requires_grad_(False).to("meta")


@pytest.fixture
def ws(network: Generator) -> torch.Tensor:
    return network.mapping(torch.zeros(2, network.z_dim, device="meta"), truncation_psi=0.7)


def test_pictures_are_painted_where_the_network_is(network: Generator, ws: torch.Tensor) -> None:
    assert network.synthesis(ws).device.type == "meta"
    assert all(kept.device.type == "meta" for kept in network.features(ws).values())
    for mode in ("tile", "reflect", "stretch", "zero"):
        assert network.synthesis(ws, canvas=Canvas(50, 20, mode=mode)).shape[2:] == (20, 50)
    if network.architecture == "stylegan3":
        network.synthesis(ws, transform=transform_matrix((0.1, 0.0), 20.0))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_bends_take_their_numbers_along(network: Generator, ws: torch.Tensor, operation: str) -> None:
    acting = next(each for each in OPERATIONS[operation].parameters if each.acts)
    values = {acting.name: torch.tensor([0.75, 0.5])}
    bend = Bend(network.layer_names[3], operation, values, channels=Channels(fraction=0.6))
    assert network.synthesis(ws, bends=[bend]).device.type == "meta"


def test_rewrites_take_their_numbers_along(network: Generator, ws: torch.Tensor) -> None:
    layer = weighted_layers(network)[2]
    delta = torch.zeros(layer_weight(network, layer).shape)
    assert network.synthesis(ws, rewrites=[Rewrite(layer, delta, torch.tensor([0.1, 0.2]))]).device.type == "meta"


def test_searches_leave_double_precision_to_the_cpu(network: Generator, ws: torch.Tensor) -> None:
    """As far as they come without numbers, which is to where they fetch the first ones."""
    layer = weighted_layers(network)[2]
    for search in (
        lambda: sefa(network),
        lambda: seeded_direction(network, layer, 1),
        lambda: rank_one_edit(network, layer, ws[:1], (0.2, 0.2, 0.5, 0.5), ws[1:]),
        lambda: find_clusters(network, layer, 2, samples=2),
        lambda: project(network, torch.zeros(3, 16, 16), steps=1),
    ):
        with contextlib.suppress(NotImplementedError, RuntimeError):
            search()


class Witness:
    """A bend that changes nothing and tells how convolutions are computed meanwhile."""

    side = "output"

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.rounded: bool | None = None

    def __call__(self, x: torch.Tensor, margin: int = 0) -> torch.Tensor:
        self.rounded = torch.backends.cudnn.allow_tf32
        return x

    def sample(self, index: int) -> Witness:
        return self


@pytest.mark.parametrize("name", ["stylegan1", "stylegan3", "lucidrains"])
def test_convolutions_are_not_rounded_on_cuda_devices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    network = MAKERS[name]()
    witness = Witness(network.layer_names[2])
    network.synthesis(network.mapping(torch.randn(1, network.z_dim)), bends=[witness])
    assert witness.rounded is False
    assert torch.backends.cudnn.allow_tf32
