# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures that are learnt: formulas by name, and how one is rendered for the network.

They are painted while the training goes on, so no picture is ever seen twice, and nobody has a right in them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .bloom import bloom
from .colour import exposed, srgb_of_linear
from .errors import TrainingError
from .latents import Latents
from .silk import silk

Formula = Callable[[Latents, int], Tensor]  # latents and size -> linear light [batch, 3, size, size]
FORMULAS: dict[str, Formula] = {"bloom": bloom, "silk": silk}
SUPERSAMPLING = 2  # without it thin veins break up into dots
# Pixels that are painted at once: some sixty values are held for each.
PIXELS_AT_ONCE = {"cuda": 1 << 22, "cpu": 1 << 18}


def formula(name: str) -> Formula:
    """The formula of this name.

    Raises
    ------
    TrainingError
        If there is none.
    """
    if name not in FORMULAS:
        raise TrainingError(f'There is no formula "{name}". Choose one of {", ".join(FORMULAS)}.')
    return FORMULAS[name]


@torch.no_grad()
def paint(name: str, latents: Latents, size: int, supersampling: int = SUPERSAMPLING) -> Tensor:
    """Pictures as the network is to paint them.

    Each is painted `supersampling` times as large, brought to the range of a screen in linear light, and then averaged:
    in this order a highlight's edge stays smooth.

    Returns
    -------
    Tensor
        [batch, 3, size, size], sRGB from -1 to 1.

    Raises
    ------
    TrainingError
        If there is no such formula.
    """
    painter = formula(name)
    large = size * supersampling
    limit = PIXELS_AT_ONCE.get(latents.coarse.device.type, PIXELS_AT_ONCE["cpu"])
    at_once = max(1, limit // large**2)
    pictures = []
    for start in range(0, len(latents), at_once):
        light = exposed(painter(latents.part(start, start + at_once), large))
        pictures.append(srgb_of_linear(F.avg_pool2d(light, supersampling)) * 2 - 1)
    return torch.cat(pictures)
