# SPDX-License-Identifier: GPL-3.0-or-later
"""A rewrite from a choice: "what is drawn here shall be drawn like that".

Bau et al., "Rewriting a Deep Generative Model", ECCV 2020, sections 3.1 to 3.3, https://arxiv.org/abs/2007.15646. A
layer is a memory: at each place it reads a key k (the channels of its input, scaled by the style) and gives a value
v = W k. The weight that stores a new value for the key k*, and otherwise changes least over all that the network
paints, is W + L dᵀ with d = C⁻¹ k* and C = E[k kᵀ]. Of a kernel of 3 x 3 only the tap in the middle is changed: all
nine come a little nearer to what is wanted, but cancel each other, and that draws a frame at the border of the picture,
where some of them read nothing.

Between W k and the map that a layer gives lie demodulation, noise, bias and activation. L is therefore found by a few
Gauss-Newton steps on the layer's own output; the layer is asked, not described, so this holds for every architecture.
An output channel depends on its own number in L alone, so each step is a division.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Generator
from .directions import seeded_ws
from .keys import BATCH, key_statistics, keys_at, map_at
from .rewriting import Rewrite, layer_weight
from .seeds import folded_seed

MOST_VALUES = 48  # per side: as much of a map says enough about how its values vary
Region = tuple[float, float, float, float] | Tensor


@dataclass(frozen=True)
class Edit:
    """What `rank_one_edit` found.

    Attributes
    ----------
    layer : str
        The layer to rewrite.
    delta : Tensor
        For `rewriting.Rewrite`.
    before, after : float
        Root mean square distance from the wanted values in the region, without and with the delta, in units of the
        layer's own standard deviation. Where `after` is not much below `before`, another layer does better.
    elsewhere : float
        Root mean square change outside of the region of the picture, in the same units.
    """

    layer: str
    delta: Tensor
    before: float
    after: float
    elsewhere: float


def rank_one_edit(
    generator: Generator,
    layer: str,
    key_ws: Tensor,
    region: Region,
    value_ws: Tensor,
    value_region: Region | None = None,
    *,
    samples: int = 32,
    seed: int = 0,
    keep: float = 0.1,
) -> Edit:
    """The delta that makes a layer draw in one place what it draws in another place, or for another latent.

    Parameters
    ----------
    layer : str
        A layer with a weight. Early ones change shapes, late ones colours and grain.
    key_ws : Tensor
        [1, num_ws, w_dim] of the picture that was picked from. What is like the key in other pictures changes too.
    region : tuple or Tensor
        Left, top, right and bottom as fractions of the picture; or a mask [h, w] of any size, 0 to 1.
    value_ws : Tensor
        [1, num_ws, w_dim] of the picture that shows what is wanted.
    value_region : tuple, Tensor or None
        Where in that picture it is, laid over the region of the key; None: at the same place.
    samples, seed
        How many pictures the statistics of the keys are taken from, and which.
    keep : float
        How much staying the same elsewhere counts beside the change in the region, per pixel on average. 0 to 1.

    Raises
    ------
    ValueError
        If the layer has no weight, or a region holds nothing of the picture.
    """
    weight = layer_weight(generator, layer)
    for ws in (key_ws, value_ws):
        if ws.ndim != 3 or len(ws) != 1:
            raise ValueError(f"an edit takes one latent [1, num_ws, w_dim], not {list(ws.shape)}")
    with torch.no_grad():
        pattern = key_pattern(generator, layer, key_ws, region, samples, seed).to(weight)  # d, [channels in]
        start = map_at(generator, key_ws, layer, "output")[0]  # [channels, h, w]
        wanted = map_at(generator, value_ws, layer, "output")
        margin = generator.synthesis.margin(layer)
        inside = region_weights(region, start.shape[-2:], margin).to(start)
        if value_region is not None:
            there = region_weights(value_region, start.shape[-2:], margin)
            wanted = moved_box(wanted, box_of(there), box_of(inside))
        outside = picture_weights(start.shape[-2:], margin).to(start) - inside.clamp(max=1)
        outside = outside.clamp(min=0) / outside.clamp(min=0).sum().clamp(min=1)
        inside = inside / inside.sum()
        search = Search(generator, layer, key_ws, weight, pattern, start, wanted[0], inside, keep * outside)
        delta = search.delta(search.solve())
        end = map_at(generator, key_ws, layer, "output", (Rewrite(layer, delta),))[0]
        spread = start.std().clamp(min=1e-12)
        before, after, elsewhere = (
            float((place * difference.square()).sum(dim=(1, 2)).mean().sqrt() / spread)
            for place, difference in ((inside, start - wanted[0]), (inside, end - wanted[0]), (outside, end - start))
        )
    return Edit(layer, delta, before, after, elsewhere)


def key_pattern(generator: Generator, layer: str, key_ws: Tensor, region: Region, samples: int, seed: int) -> Tensor:
    """d = C⁻¹ k* for the mean key k* of a region, scaled so that d · k* = 1.  [channels in], on the CPU"""
    keys = keys_at(generator, key_ws, layer)[0].cpu().double()  # [channels, h, w]
    margin = input_margin(generator, layer)
    place = region_weights(region, keys.shape[-2:], margin).to(keys)
    key = (keys * place).sum(dim=(1, 2)) / place.sum()
    moment = key_statistics(generator, layer, samples, seed).moment
    # What this very picture shows elsewhere counts as much as all other pictures do: the artist looks at it. (In the
    # built-in network that halves what the edit does there.)
    rest = (picture_weights(keys.shape[-2:], margin).to(keys) - place).clamp(min=0).flatten()
    seen = keys.flatten(1)
    moment = moment + (seen * rest) @ seen.T / rest.sum().clamp(min=1)
    pattern = listener(moment, key)
    if not bool(pattern.any()):
        raise ValueError(f"layer {layer} reads nothing in this region; choose another layer or region")
    return pattern


def listener(moment: Tensor, key: Tensor) -> Tensor:
    """d = C⁻¹ k, scaled so that d · k = 1: it hears this key and as little as it can of all others.  [channels]"""
    # Directions that hardly ever occur must not be trusted: they would cost nothing and mean nothing.
    ridge = 1e-4 * moment.diagonal().mean().clamp(min=1e-30)
    pattern = torch.linalg.solve(moment + ridge * torch.eye(len(moment)).to(moment), key)
    strength = pattern @ key
    return (pattern / strength if float(strength) > 0 else torch.zeros_like(pattern)).float()


def seeded_direction(generator: Generator, layer: str, seed: int, rank: int = 4, *, samples: int = 16) -> Tensor:
    """A random edit: at places of the kind of some random ones, a layer's values go some random way.

    Amount 1 moves the values there as far as they usually are from their mean, in every layer of every network alike.
    (A delta of random numbers answers most to what all keys have in common: the picture drowns in one colour.)

    Parameters
    ----------
    seed : int
        Any whole number. The same seed gives another direction in each layer.
    rank : int
        How many kinds of places are changed.
    samples : int
        How many pictures the keys are known from.

    Returns
    -------
    Tensor
        The shape of the layer's weight.
    """
    weight = layer_weight(generator, layer)
    if rank < 1:
        raise ValueError(f"the rank of a direction is at least 1, not {rank}")
    numbers = np.random.RandomState(
        [folded_seed(seed), generator.layer_names.index(layer)]
    )  # the same on every machine
    statistics = key_statistics(generator, layer, samples)
    spread = value_spread(generator, layer, weight, statistics.mean)
    rows, row, column = weight.new_zeros(weight.shape[:2]), weight.shape[2] // 2, weight.shape[3] // 2
    for ws in seeded_ws(generator, rank, int(numbers.randint(2**31))).split(1):
        keys = keys_at(generator, ws, layer)[0]
        margin = input_margin(generator, layer)
        height, width = keys.shape[1] - 2 * margin, keys.shape[2] - 2 * margin
        y, x = numbers.randint(height) + margin, numbers.randint(width) + margin
        pattern = listener(statistics.moment, keys[:, y, x].cpu().double())
        way = torch.from_numpy(numbers.standard_normal(len(weight))).float()
        rows += torch.outer(way.to(spread) * spread, pattern.to(spread)).to(rows)
    delta = torch.zeros_like(weight)
    delta[:, :, row, column] = rows
    return delta


def value_spread(generator: Generator, layer: str, weight: Tensor, mean: Tensor) -> Tensor:
    """Standard deviation of each output channel of W k over the places of a few pictures.  [channels out]"""
    keys = keys_at(generator, seeded_ws(generator, BATCH, 0), layer)
    keys = keys - mean.float().to(keys)[:, None, None]  # else the border, where W reads zeros, would be all that counts
    return F.conv2d(keys[..., :MOST_VALUES, :MOST_VALUES], weight.float()).std(dim=(0, 2, 3))


@dataclass(frozen=True, eq=False)
class Search:
    """The Gauss-Newton steps, with damping for each output channel by itself (Levenberg and Marquardt)."""

    generator: Generator
    layer: str
    ws: Tensor
    weight: Tensor
    pattern: Tensor  # [channels in]
    start: Tensor  # [channels, h, w]
    wanted: Tensor  # [channels, h, w]
    inside: Tensor  # [h, w], its sum one
    outside: Tensor  # [h, w], its sum `keep`
    steps: int = 10

    def delta(self, change: Tensor) -> Tensor:
        """L dᵀ in the middle of the kernel.  [channels out] -> the shape of the weight"""
        delta = torch.zeros_like(self.weight)
        delta[:, :, delta.shape[2] // 2, delta.shape[3] // 2] = torch.outer(change, self.pattern)
        return delta

    def painted(self, change: Tensor) -> Tensor:
        """The layer's output with this L.  [channels, h, w]"""
        rewrites = (Rewrite(self.layer, self.delta(change)),)
        return map_at(self.generator, self.ws, self.layer, "output", rewrites)[0]

    def loss(self, x: Tensor) -> Tensor:
        """Squared distance from what is wanted in the region, and from the start elsewhere.  [channels out]"""
        inside = (self.inside * (x - self.wanted).square()).sum(dim=(1, 2))
        return inside + (self.outside * (x - self.start).square()).sum(dim=(1, 2))

    def solve(self) -> Tensor:
        """L.  [channels out]"""
        change = self.weight.new_zeros(len(self.weight))
        x = self.start
        loss = self.loss(x)
        damping = torch.full_like(loss, 1e-3)
        probe = 1e-2 * float(self.weight.square().sum().sqrt()) / float(self.pattern.norm()) / len(change) ** 0.5
        for _ in range(self.steps):
            slope = (self.painted(change + probe) - x) / probe  # [channels out, h, w]
            pull = self.inside * (self.wanted - x) + self.outside * (self.start - x)
            along = ((self.inside + self.outside) * slope.square()).sum(dim=(1, 2))
            step = (slope * pull).sum(dim=(1, 2)) / (along * (1 + damping)).clamp(min=1e-20)
            tried = change + step
            there = self.painted(tried)
            tried_loss = self.loss(there)
            better = tried_loss < loss
            change = torch.where(better, tried, change)
            x = torch.where(better[:, None, None], there, x)
            loss = torch.where(better, tried_loss, loss)
            damping = torch.where(better, damping / 3, damping * 10 + 0.1)
        return change


def input_margin(generator: Generator, layer: str) -> int:
    """How many pixels of what a layer reads lie beyond each border of the picture."""
    before = [name for name in generator.layer_names if generator.synthesis.follows(layer, name)]
    before = [name for name in before if name in generator.synthesis.canvas_layers]
    return generator.synthesis.margin(before[-1]) if before else 0


def picture_weights(size: tuple[int, ...], margin: int) -> Tensor:
    """1 where a map shows the picture, 0 in its margin.  [h, w]"""
    height, width = size[0] - 2 * margin, size[1] - 2 * margin
    return F.pad(torch.ones(height, width), (margin, margin, margin, margin))


def region_weights(region: Region, size: tuple[int, ...], margin: int) -> Tensor:
    """How much of each pixel of a map belongs to a region of the picture, 0 to 1.  [h, w]"""
    height, width = size[0] - 2 * margin, size[1] - 2 * margin
    if isinstance(region, Tensor):
        if region.ndim != 2 or not bool(region.isfinite().all()):
            raise ValueError(f"a region is a mask [h, w] of finite numbers, not {list(region.shape)}")
        mask = region.detach().float().cpu().clamp(0, 1)
        weights = F.interpolate(mask[None, None], size=(height, width), mode="area")[0, 0]
    else:
        left, top, right, bottom = region
        rows, columns = coverage(top, bottom, height), coverage(left, right, width)
        weights = torch.outer(rows, columns)
    if not float(weights.sum()) > 0:
        raise ValueError("a region holds nothing of the picture; its sides are fractions from 0 to 1")
    return F.pad(weights, (margin, margin, margin, margin))


def coverage(first: float, last: float, count: int) -> Tensor:
    """How much of each of `count` equal parts of 0 to 1 lies between two numbers.  [count]"""
    edges = torch.arange(count + 1) / count
    return ((edges[1:].clamp(max=last) - edges[:-1].clamp(min=first)) * count).clamp(0, 1)


def box_of(weights: Tensor) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is not zero, in pixels of the map."""
    rows, columns = (weights.sum(dim=dim).nonzero().flatten() for dim in (1, 0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def moved_box(x: Tensor, box: tuple[float, float, float, float], to: tuple[float, float, float, float]) -> Tensor:
    """A map that shows at one box what it showed at another one.  [batch, channels, h, w] -> the same"""
    axes = []
    for side, count in ((0, x.shape[-1]), (1, x.shape[-2])):
        scale = (box[side + 2] - box[side]) / (to[side + 2] - to[side])
        place = (torch.arange(count, device=x.device) + 0.5 - to[side]) * scale + box[side]
        axes.append(place / count * 2 - 1)
    grid = torch.stack(torch.meshgrid(axes[0], axes[1], indexing="xy"), dim=-1)[None]  # [1, h, w, 2]
    return F.grid_sample(x, grid.expand(len(x), -1, -1, -1), padding_mode="border", align_corners=False)
