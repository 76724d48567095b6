# SPDX-License-Identifier: GPL-3.0-or-later
"""A network of a few numbers with the attributes of a real one, so that these tests need no checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stylegan_reactive.generator import Generator, StyleGAN2, StyleGAN2Config, load_generator
from stylegan_reactive.generator.mapping import MappingConfig

NETWORKS = Path(os.environ.get("SGR_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "reference" / "networks"


class TinyNetwork:
    """The inputs of a StyleGAN2 of a given size; its mapping is one small fixed layer."""

    def __init__(self, resolution: int = 256, w_dim: int = 64) -> None:
        self.z_dim = 32
        self.w_dim = w_dim
        self.c_dim = 0
        self.device = torch.device("cpu")
        self.resolution = (resolution, resolution)
        blocks = resolution.bit_length() - 2
        self.num_ws = 2 * blocks
        sides = [4] + [2**power for power in range(3, blocks + 2) for _ in range(2)]
        self.noise_shapes = tuple((side, side) for side in sides)
        numbers = torch.Generator().manual_seed(0)
        self._weight = torch.randn(w_dim, self.z_dim, generator=numbers)
        constants = [torch.randn(shape, generator=numbers) for shape in self.noise_shapes]
        self.synthesis = SimpleNamespace(noise_constants=constants)
        self.w_avg = torch.randn(w_dim, generator=numbers) * 0.1

    def mapping(self, z: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        assert (c is None) == (self.c_dim == 0)
        if c is not None:
            z = z + c.argmax(dim=1, keepdim=True)
        w = self.w_avg + torch.tanh(z @ self._weight.T * 0.2)
        return w[:, None].expand(-1, self.num_ws, -1)


def small_network(seed: int, channels: tuple[int, ...] = (16, 16, 12, 8), w_dim: int = 16) -> Generator:
    """A real StyleGAN2 with random weights, of 32 px where no other channels are asked for."""
    torch.manual_seed(seed)
    mapping = MappingConfig(z_dim=16, c_dim=0, w_dim=w_dim, widths=(16, w_dim))
    return StyleGAN2(StyleGAN2Config(mapping, 4 << len(channels) - 1, channels)).eval()


@pytest.fixture(scope="session")
def make_small_network() -> Callable[..., Generator]:
    return small_network


@pytest.fixture(scope="session")
def reference_network() -> Callable[[str], Generator]:
    """One of the networks that other programs wrote, by its file's name; they are no part of the repository."""

    def load(name: str) -> Generator:
        path = NETWORKS / name
        if not path.is_file():
            pytest.skip(f"no reference networks: {path} is missing (SGR_SHARED names their folder)")
        return load_generator(path)

    return load


@pytest.fixture
def make_network() -> Callable[[int], TinyNetwork]:
    return TinyNetwork


@pytest.fixture
def network() -> TinyNetwork:
    return TinyNetwork(64)
