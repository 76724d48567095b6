# SPDX-License-Identifier: GPL-3.0-or-later
"""The formula "silk": folds of agate and liquid silk, over the whole picture.

Made to be easily learnt: the folds are sines of three smooth fields that are linear in the coarse latents, the medium
latents say how often and how deep they fold, the fine ones give colours and light. It is local: each pixel needs to
know nothing but these fields and the height beside it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from .colour import read_ramp
from .fields import grid, normals, points_of_light
from .latents import COARSE, Latents, Reader

SEED = 5
FIELDS = 3
ELEVATION = 0.75  # of the light, in radians


@lru_cache(maxsize=4)
def basis(size: int, device: torch.device) -> Tensor:
    """The waves that the coarse latents mix into each field.  [fields, latents, size, size]"""
    random = torch.Generator().manual_seed(SEED)
    count = COARSE.stop - COARSE.start
    frequency = torch.linspace(0.5, 1.35, count).repeat(FIELDS)[:, None] * 1.25 * 0.6 * math.pi
    waves = (torch.randn(FIELDS * count, 2, generator=random) * frequency).to(device)
    phases = (torch.rand(FIELDS * count, generator=random) * math.tau).to(device)
    x, y = grid(size, device)
    values = torch.sin(waves[:, 0, None, None] * x + waves[:, 1, None, None] * y + phases[:, None, None])
    return values.view(FIELDS, count, size, size) * (1.35 / math.sqrt(count))


def silk(latents: Latents, size: int) -> Tensor:
    """Paint folded silk in linear light.  [batch, 3, size, size]"""
    device = latents.coarse.device
    medium, fine = Reader(latents.medium), Reader(latents.fine)
    first, second, third = torch.einsum("bd,fdhw->fbhw", latents.coarse, basis(size, device))

    # The folds: sines of sums, and sines of those.
    amount, bend = medium.number(0.8, 1.9), medium.number(0.4, 1.5)
    frequency, start, turn = medium.number(0.8, 2.2), medium.angle(), medium.angle()
    folded = torch.sin(frequency * second + turn)
    phase = amount * first + bend * folded + 0.35 * third + start
    large = torch.sin(phase)
    small = torch.sin(medium.number(1.0, 2.2) * phase + medium.number(0.5, 2.0) * third + 2 * folded)
    veins = torch.sin(medium.number(4, 9) * phase + 1.5 * small) * medium.number(0, 0.14)
    height = 0.55 * large + 0.30 * small * medium.number(0.3, 1.0) + veins
    nx, ny, nz = normals(height, medium.number(0.10, 0.24))

    # Colours by height, and a light from any side.
    ramp = read_ramp(fine, device)
    gloss = read_ramp(fine, device, hue=ramp.hue + fine.number(-2.4, 2.4)[:, :, 0], dark=(0.55, 0.75))
    azimuth = fine.angle()
    across, up = math.cos(ELEVATION), math.sin(ELEVATION)
    towards = (nx * azimuth.cos() + ny * azimuth.sin()) * across
    diffuse = (towards + nz * up).clamp_min(0)
    specular = ((towards + nz * (up + 1)) / math.sqrt(2 + 2 * up)).clamp_min(0) ** 22
    position = (0.5 + 0.45 * torch.tanh(0.9 * large + 0.5 * small + 1.2 * veins)) * (0.55 + 0.45 * nz)
    light = ramp.at(position) * (0.22 + 1.05 * diffuse)[:, None]
    light = light + gloss.at(nz.square()) * (specular * fine.number(0.35, 1.0))[:, None]
    light = light + ramp.at(1 - position) * ((1 - nz).square() * 0.4)[:, None]
    glitter = points_of_light(latents.noise, size) * (0.15 + specular)
    return (light + glitter[:, None]) * 1.2
