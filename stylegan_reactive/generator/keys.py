# SPDX-License-Identifier: GPL-3.0-or-later
"""What a layer's weights meet: the keys of Bau et al., "Rewriting a Deep Generative Model", ECCV 2020, section 3.1.

A layer reads at each place a key, the channels of its input scaled by the style, and multiplies it with its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Generator
from .controls import Rewrite
from .directions import seeded_ws

BATCH = 4
MOST_PLACES = 32  # per side: as many keys of one picture say enough about their statistics


class Reached(Exception):
    """A network came to the place whose map was wanted; painting on would be in vain."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x


@dataclass(frozen=True)
class Tap:
    """A bend that ends the painting with the map that it was given."""

    layer: str
    side: str

    def __call__(self, x: Tensor, margin: int = 0) -> Tensor:
        raise Reached(x.float().clone(memory_format=torch.contiguous_format))

    def sample(self, index: int) -> Tap:
        return self


def map_at(generator: Generator, ws: Tensor, layer: str, side: str, rewrites: Sequence[Rewrite] = ()) -> Tensor:
    """What a layer reads ("input") or gives ("output"), painted no further than that.  [batch, channels, h, w]"""
    try:
        generator.synthesis(ws, bends=(Tap(layer, side),), rewrites=rewrites)
    except Reached as reached:
        return reached.x
    raise ValueError(f"layer {layer!r} is never used by this network")


def keys_at(generator: Generator, ws: Tensor, layer: str) -> Tensor:
    """What a layer's weight is multiplied with, at each place of its input.  [batch, channels, h, w]"""
    x = map_at(generator, ws, layer, "input")
    scale = generator.synthesis.modulation(layer, ws)
    return x if scale is None else x * scale.float()[:, :, None, None]


@dataclass(frozen=True, eq=False)
class KeyStatistics:
    """What a layer's weight usually meets.

    Attributes
    ----------
    mean : Tensor
        [channels], float64, on the CPU: other devices may know no such numbers.
    moment : Tensor
        C = E[k kᵀ].  [channels, channels], likewise.
    """

    mean: Tensor
    moment: Tensor


def key_statistics(generator: Generator, layer: str, samples: int = 32, seed: int = 0) -> KeyStatistics:
    """Mean and second moment of a layer's keys over all places of many pictures."""
    count = 0
    total, moment = torch.zeros([], dtype=torch.float64), torch.zeros([], dtype=torch.float64)
    for ws in seeded_ws(generator, samples, seed).split(BATCH):
        keys = keys_at(generator, ws, layer)
        step = max(1, min(keys.shape[-2:]) // MOST_PLACES)
        # The border is few places and odd ones, for there zeros were read; overlooked, it would become a frame.
        parts = (keys[..., ::step, ::step], keys[..., [0, -1], ::step], keys[..., ::step, [0, -1]])
        rows = torch.cat([part.movedim(1, -1).flatten(0, 2) for part in parts]).cpu().double()  # [places, channels]
        total = total + rows.sum(dim=0)
        moment = moment + rows.T @ rows
        count += len(rows)
    return KeyStatistics(total / count, moment / count)
