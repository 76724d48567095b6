# SPDX-License-Identifier: GPL-3.0-or-later
"""What the formulas are made of: a grid, smooth random fields that a few latents move, slopes, and points of light.

All of it is written for pictures of any size: a coordinate goes from -1 to 1 across the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .latents import POINTS, uniform

PHASE_REACH = 1.98  # standard deviation of a wave's phase over all latents, in radians


def grid(size: int, device: torch.device) -> Tensor:
    """The coordinates (x, y) of the pixels' middles.  [2, size, size]"""
    axis = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y])


@dataclass(frozen=True)
class SineField:
    """Sums of plane waves whose phases are linear in some latents: smooth in the place, and in the latents.

    Attributes
    ----------
    waves : Tensor
        [waves, 2], radians per unit of x and y.
    phases : Tensor
        [waves], for latents that are all zero.
    reach : Tensor
        [waves, latents], what each latent adds to each phase.
    amounts : Tensor
        [channels, waves], of each wave in each channel; a channel's power is one half.
    """

    waves: Tensor
    phases: Tensor
    reach: Tensor
    amounts: Tensor

    def __call__(self, place: Tensor, latents: Tensor) -> Tensor:
        """[batch, 2, h, w] and [batch, latents] -> [batch, channels, h, w], about -1 to 1."""
        batch, _, height, width = place.shape
        angles = torch.matmul(self.waves, place.reshape(batch, 2, -1))  # [batch, waves, h * w]
        angles = angles + (self.phases + latents @ self.reach.T)[:, :, None]
        return torch.matmul(self.amounts, angles.sin()).view(batch, -1, height, width)


def sine_field(seed: int, channels: int, waves: int, frequency: float, latents: int, device: torch.device) -> SineField:
    """A field with random directions; `frequency`: waves across the picture, about, each `waves` per channel."""
    random = torch.Generator().manual_seed(seed)
    count = channels * waves
    direction = torch.rand(count, generator=random) * math.tau
    spread = torch.exp(torch.randn(count, generator=random) * 0.3)
    unit = torch.stack([direction.cos(), direction.sin()], dim=1)
    phases = torch.rand(count, generator=random) * math.tau
    reach = torch.randn(count, latents, generator=random) * PHASE_REACH / math.sqrt(latents)
    amounts = torch.zeros(channels, count)
    for channel in range(channels):
        own = slice(channel * waves, (channel + 1) * waves)
        amounts[channel, own] = 1 / spread[own] / (1 / spread[own]).norm()
    parts = (unit * (spread * frequency * math.pi)[:, None], phases, reach, amounts)
    return SineField(*(part.to(device) for part in parts))


def normals(height: Tensor, steepness: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The x, y and z of the normals of a height map.  [batch, h, w] each"""
    size = height.shape[-1]
    padded = F.pad(height[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    slope_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * (size / 4) * steepness
    slope_y = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * (size / 4) * steepness
    length = torch.rsqrt(1 + slope_x.square() + slope_y.square())
    return -slope_x * length, -slope_y * length, length


def points_of_light(noise: Tensor, size: int) -> Tensor:
    """Small stars with a faint halo, each as bright in a small picture as in a large one.

    A star is a Gaussian, so it is made of one row and one column. One that is smaller than a pixel is spread over it,
    and keeps its light.

    [batch, 96] -> [batch, size, size], linear light
    """
    place_x, place_y, chance = uniform(noise).view(len(noise), 3, POINTS).unbind(1)
    magnitude = chance**4
    axis = (torch.arange(size, device=noise.device) + 0.5) / size * 2 - 1
    pixel = 2 / size
    light = torch.zeros(len(noise), size, size, device=noise.device)
    for widening, share in ((1.0, 1.0), (3.5, 0.07)):  # the star, its halo
        width = (0.008 + 0.009 * magnitude) * widening
        drawn = (width.square() + pixel**2 / 4).sqrt()
        brightness = share * (0.35 + 2.6 * magnitude) * (width / drawn).square()
        row = torch.exp(-(((axis - place_x[..., None] * 2 + 1) / drawn[..., None]) ** 2))
        column = torch.exp(-(((axis - place_y[..., None] * 2 + 1) / drawn[..., None]) ** 2))
        light = light + torch.einsum("bph,bpw->bhw", column * brightness[..., None], row)
    return light
