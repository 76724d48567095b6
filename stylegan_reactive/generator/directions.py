# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions of w that change a picture most, read off the network's own weights.

Shen and Zhou, "Closed-Form Factorization of Latent Semantics in GANs" (SeFa), CVPR 2021,
https://arxiv.org/abs/2007.06600. A style is A w + b; a unit vector n of w changes it by A n, most for the first right
singular vectors of A. A is that of all layers of a range, stacked, its rows scaled to unit length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .base import Generator
from .seeds import folded_seed

BATCH = 256


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions of w for one range of layers.

    Attributes
    ----------
    first, last : int
        The ws that they are for; `last` is among them.
    vectors : Tensor
        [count, w_dim], of unit length, at right angles to each other, the strongest first.
    strengths : Tensor
        [count], how much the styles of these layers change along each: the singular values.
    spread : Tensor
        [count], standard deviation of w along each.
    """

    first: int
    last: int
    vectors: Tensor
    strengths: Tensor
    spread: Tensor

    def moved(self, ws: Tensor, amounts: Tensor) -> Tensor:
        """ws with those of the range moved along the directions.

        Parameters
        ----------
        ws : Tensor
            [batch, num_ws, w_dim]; is not changed.
        amounts : Tensor
            [count] or [batch, count], or fewer for the first directions, in standard deviations of w: 1 is as far
            along a direction as latents usually are from the average, on either side.
        """
        count = amounts.shape[-1]
        if amounts.ndim not in (1, 2) or not 1 <= count <= len(self.vectors):
            raise ValueError(f"amounts has shape {list(amounts.shape)}; there are {len(self.vectors)} directions")
        way = (amounts.to(self.spread) * self.spread[:count]) @ self.vectors[:count]  # [w_dim] or [batch, w_dim]
        ws = ws.clone()
        ws[:, self.first : self.last + 1] += way.reshape(-1, 1, ws.shape[-1]).to(ws)
        return ws


def sefa(
    generator: Generator, first: int = 0, last: int | None = None, count: int | None = None, *, seed: int = 0
) -> Directions:
    """The directions that change the styles of a range of layers most.

    Parameters
    ----------
    first, last : int or None
        The ws whose layers count, `last` among them; None: to the finest. With the published networks 0 to 3 are the
        coarse ones (pose and shape), 4 to 7 the medium, the rest fine (colours and texture).
    count : int or None
        How many, the strongest first; None: w_dim of them.
    seed : int
        Any whole number: of the latents whose standard deviation makes amounts comparable.

    Raises
    ------
    ValueError
        If there are no such ws or not as many directions.
    """
    last = generator.num_ws - 1 if last is None else last
    count = generator.w_dim if count is None else count
    if not 0 <= first <= last < generator.num_ws:
        raise ValueError(f"layers {first} to {last}: this network has the ws 0 to {generator.num_ws - 1}")
    if not 1 <= count <= generator.w_dim:
        raise ValueError(f"{count} directions: this network can have 1 to {generator.w_dim}")
    rows = style_weights(generator, first, last)
    if not len(rows):
        raise ValueError(f"no layer reads the ws {first} to {last}")
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    # The eigenvectors of AᵀA are the right singular vectors of A, and there are w_dim of them however few rows A has.
    values, vectors = torch.linalg.eigh(rows.T @ rows)  # ascending
    vectors = vectors.T.flip(0)[:count]
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    vectors = vectors * largest.sign()  # an eigenvector has no sign of its own: its largest component is positive
    ws = seeded_ws(generator, 1024, seed)[:, first].cpu().double()
    return Directions(
        first,
        last,
        vectors.float().to(generator.device),
        values.flip(0)[:count].clamp(min=0).sqrt().float().to(generator.device),
        (ws @ vectors.T).std(dim=0).float().to(generator.device),
    )


def style_weights(generator: Generator, first: int, last: int) -> Tensor:
    """A: what makes styles of the ws of a range, all their layers stacked.  [styles, w_dim], float64, on the CPU"""
    parts = [
        affine.weight.detach().cpu().double() * affine.weight_gain
        for affine, index in generator.synthesis.styles.values()
        if first <= index <= last
    ]
    return torch.cat(parts) if parts else torch.zeros(0, generator.w_dim, dtype=torch.float64)


def seeded_ws(generator: Generator, count: int, seed: int) -> Tensor:
    """The ws of `count` random latents, without truncation, of random classes if the network knows classes.

    [count, num_ws, w_dim], the same on every machine. The seed may be any whole number.
    """
    numbers = np.random.RandomState(folded_seed(seed))
    z = torch.from_numpy(numbers.standard_normal((count, generator.z_dim))).float()
    c = torch.zeros(count, generator.c_dim)
    if generator.c_dim:
        c[torch.arange(count), torch.from_numpy(numbers.randint(generator.c_dim, size=count))] = 1
    z, c = z.to(generator.device), c.to(generator.device)
    pairs = zip(z.split(BATCH), c.split(BATCH), strict=True)
    return torch.cat([generator.mapping(some, classes if generator.c_dim else None) for some, classes in pairs])
