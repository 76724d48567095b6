# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours of the formulas: ramps in OKLCh, in linear light, and how light becomes the numbers of a picture.

OKLCh: Björn Ottosson, "A perceptual color space for image processing", 2020, https://bottosson.github.io/posts/oklab/.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .latents import Reader

RAMP_STEPS = 48
EXPOSURE_SHOULDER, EXPOSURE_SLOPE = 1 / 6, 0.85  # of the curve that keeps highlights from clipping at once


def linear_of_oklch(lightness: Tensor, chroma: Tensor, hue: Tensor) -> Tensor:
    """OKLCh to linear RGB, what is outside cut off.  [batch, steps] -> [batch, 3, steps]"""
    a, b = chroma * torch.cos(hue), chroma * torch.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    channels = [
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    ]
    return torch.stack(channels, dim=1).clamp(0, 1)


@dataclass(frozen=True)
class Ramp:
    """Colours from dark to light.

    Attributes
    ----------
    table : Tensor
        [batch, 3, `RAMP_STEPS`], linear light.
    hue : Tensor
        [batch, 1], radians, of the dark end.
    """

    table: Tensor
    hue: Tensor

    def at(self, position: Tensor) -> Tensor:
        """The colours at positions from 0 to 1.  [batch, h, w] -> [batch, 3, h, w]"""
        batch, height, width = position.shape
        scaled = position.clamp(0, 1) * (RAMP_STEPS - 1)
        below = scaled.floor().clamp(0, RAMP_STEPS - 2)
        fraction = (scaled - below)[:, None]
        index = below.long().view(batch, 1, -1).expand(-1, 3, -1)
        first = self.table.gather(2, index).view(batch, 3, height, width)
        second = self.table.gather(2, index + 1).view(batch, 3, height, width)
        return torch.lerp(first, second, fraction)

    def one(self, step: int) -> Tensor:
        """One of its colours for the whole picture.  [batch, 3, 1, 1]"""
        return self.table[:, :, step, None, None]


def read_ramp(
    reader: Reader,
    device: torch.device,
    hue: Tensor | None = None,
    dark: tuple[float, float] = (0.07, 0.22),
    light: tuple[float, float] = (0.84, 0.97),
) -> Ramp:
    """A ramp whose hue drifts, and turns once on its way to the light; reads five latents, seven without a hue."""
    position = torch.linspace(0, 1, RAMP_STEPS, device=device)[None]
    start = reader.angle()[:, :, 0] if hue is None else hue
    drift, turn = reader.number(-2.2, 2.2)[:, :, 0], reader.number(-1.8, 1.8)[:, :, 0]
    darkest, lightest = reader.number(*dark)[:, :, 0], reader.number(*light)[:, :, 0]
    colourful = reader.number(0.13, 0.24)[:, :, 0]
    lightness = darkest + (lightest - darkest) * position
    chroma = colourful * torch.sin(math.pi * (0.12 + 0.78 * position)) ** 0.8
    hues = start + drift * (position - 0.3) + turn * torch.sigmoid((position - 0.62) * 14)
    return Ramp(linear_of_oklch(lightness, chroma, hues), start)


def exposed(light: Tensor) -> Tensor:
    """Linear light of any strength to 0 to 1: straight in the dark, bent over in the highlights."""
    return (light * (1 + light * EXPOSURE_SHOULDER) / (1 + light * EXPOSURE_SLOPE)).clamp(0, 1)


def srgb_of_linear(light: Tensor) -> Tensor:
    """Linear light from 0 to 1 to sRGB from 0 to 1 (IEC 61966-2-1)."""
    return torch.where(light < 0.0031308, light * 12.92, 1.055 * light.clamp_min(1e-6) ** (1 / 2.4) - 0.055)
