# SPDX-License-Identifier: GPL-3.0-or-later
"""What a formula's picture depends on: numbers for large forms, for structure, for colour and light, and for chance.

The network's z holds the first three, side by side. It is only known up to its length (the mapping network normalises
it), so the formulas read the normalised z too. What is chance to a picture (where a star stands) has no place in z: the
network has noise inputs for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan_reactive.generator.layers import normalise_second_moment

COARSE, MEDIUM, FINE = slice(0, 16), slice(16, 40), slice(40, 64)  # parts of z
Z_DIM = 64
POINTS = 32  # of light in a picture
NOISE_DIM = 3 * POINTS  # place and size of each


@dataclass(frozen=True)
class Latents:
    """Normally distributed numbers for a batch of pictures.

    Attributes
    ----------
    coarse, medium, fine, noise : Tensor
        [batch, 16], [batch, 24], [batch, 24] and [batch, 96].
    """

    coarse: Tensor
    medium: Tensor
    fine: Tensor
    noise: Tensor

    def __len__(self) -> int:
        return len(self.coarse)

    def part(self, start: int, stop: int) -> Latents:
        """Some pictures of the batch."""
        return Latents(*(values[start:stop] for values in (self.coarse, self.medium, self.fine, self.noise)))


def latents_of(z_coarse: Tensor, z_medium: Tensor, z_fine: Tensor, noise: Tensor) -> Latents:
    """What a picture depends on if its large forms, structure and colours come from three z, each [batch, 64]."""
    return Latents(
        normalise_second_moment(z_coarse)[:, COARSE],
        normalise_second_moment(z_medium)[:, MEDIUM],
        normalise_second_moment(z_fine)[:, FINE],
        noise,
    )


def uniform(values: Tensor) -> Tensor:
    """Normally distributed numbers as ones that are spread evenly from 0 to 1."""
    return 0.5 * (1 + torch.erf(values / math.sqrt(2)))


class Reader:
    """Takes one parameter after the other from a block of latents [batch, latents]; each is [batch, 1, 1]."""

    def __init__(self, latents: Tensor, first: int = 0) -> None:
        self._latents = latents
        self._next = first

    def number(self, low: float, high: float) -> Tensor:
        """Spread evenly from low to high."""
        value = uniform(self._latents[:, self._next]) * (high - low) + low
        self._next += 1
        return value[:, None, None]

    def angle(self) -> Tensor:
        """Any direction, from two latents, so that there is no place where it jumps but the origin."""
        x, y = self._latents[:, self._next], self._latents[:, self._next + 1]
        self._next += 2
        return torch.atan2(y, x)[:, None, None]
