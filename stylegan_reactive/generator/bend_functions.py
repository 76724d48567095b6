# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of bends: for each entry of `bend_operations.OPERATIONS` a function of that name in `FUNCTIONS`.

Each takes a map [batch, channels, h, w] in float32 or float64, the values of all parameters, which are the same for the
whole batch, and the `Place`; it gives a new map of the same shape. Positions are counted in pixels right of the middle
of the map and above it, which is between two pixels where their number is even.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .resampling import blur, largest_within, read_at


@dataclass(frozen=True)
class Place:
    """What an operation knows beside the map.

    Attributes
    ----------
    border : str
        What lies beyond the map, of `resampling.BORDERS`.
    height, width : int
        Of the picture, in pixels of the map.
    channels : Tensor
        Which of the layer's channels the map has.  [channels], on the CPU
    of : int
        How many the layer has.
    """

    border: str
    height: int
    width: int
    channels: Tensor
    of: int


def directions(x: Tensor) -> tuple[Tensor, Tensor]:
    """How far each pixel lies right of the middle [1, w] and above it [h, 1], in pixels."""
    height, width = x.shape[-2:]
    right = torch.arange(width, device=x.device, dtype=x.dtype) - (width - 1) / 2
    up = (height - 1) / 2 - torch.arange(height, device=x.device, dtype=x.dtype)
    return right[None], up[:, None]


def read_from(x: Tensor, right: Tensor, up: Tensor, place: Place) -> Tensor:
    """The map whose pixels come from these places, as `directions` counts them."""
    height, width = x.shape[-2:]
    return read_at(x, (height - 1) / 2 - up, (width - 1) / 2 + right, place.border)


def translate(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Each pixel comes from as far left and below as the map is moved right and up."""
    right, up = directions(x)
    return read_from(x, right - values["x"] * place.width, up - values["y"] * place.height, place)


def scale(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Around the centre. What becomes smaller than a pixel is averaged first, or it would flicker."""
    across, along = values["factor"] * values["x"], values["factor"] * values["y"]
    spread = [0.5 * math.sqrt(max(0.0, factor**-2 - 1)) for factor in (along, across)]
    x = blur(x, spread[0], spread[1], place.border)
    right, up = directions(x)
    centre_right, centre_up = values["centre_x"] * place.width, values["centre_y"] * place.height
    right = centre_right + (right - centre_right) / across
    return read_from(x, right, centre_up + (up - centre_up) / along, place)


def rotate(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Around the centre, in pixels, so that a circle stays one on a map of any shape."""
    angle = math.radians(math.fmod(values["angle"], 360.0))
    right, up = directions(x)
    centre_right, centre_up = values["centre_x"] * place.width, values["centre_y"] * place.height
    right, up = right - centre_right, up - centre_up
    source_right = centre_right + (math.cos(angle) * right + math.sin(angle) * up)
    return read_from(x, source_right, centre_up + (math.cos(angle) * up - math.sin(angle) * right), place)


def shear(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Along x, then along y; no area changes."""
    right, up = directions(x)
    centre_right, centre_up = values["centre_x"] * place.width, values["centre_y"] * place.height
    up = up - values["y"] * (right - centre_right)
    return read_from(x, right - values["x"] * (up - centre_up), up, place)


def flip(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """A blend of the map and its mirror image, in one direction, then in the other."""
    for dim, share in ((3, values["horizontal"]), (2, values["vertical"])):
        if share:
            x = torch.lerp(x, x.flip(dim), share)
    return x


def warp(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Each wave moves points along its crests, so nothing is squeezed or pulled apart, as in water."""
    waves = 8
    random = torch.rand(4, waves, generator=seeded(values["seed"]), dtype=torch.float64)
    direction = 2 * math.pi * (torch.arange(waves) + random[0]) / waves
    per_pixel = 2.0 ** (random[1] - 0.5) / (values["size"] * place.width)  # half an octave around the size asked for
    turns = (random[2] < 0.5).double() * 2 - 1
    right, up = directions(x)
    move_right, move_up = torch.zeros_like(right + up), torch.zeros_like(right + up)
    reach = values["strength"] * place.width * math.sqrt(2 / waves)  # so that the root mean square is the strength
    for angle, frequency, speed, start in zip(
        direction.tolist(), per_pixel.tolist(), turns.tolist(), random[3].tolist(), strict=True
    ):
        across = (math.cos(angle) * right + math.sin(angle) * up) * frequency
        wave = torch.sin(2 * math.pi * (across + (start + math.fmod(speed * values["phase"], 1.0)))) * reach
        move_right -= math.sin(angle) * wave
        move_up += math.cos(angle) * wave
    return read_from(x, right - move_right, up - move_up, place)


def erode(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """The smallest value within the radius."""
    return -largest_within(-x, values["radius"] * place.width, place.border)


def dilate(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """The largest value within the radius."""
    return largest_within(x, values["radius"] * place.width, place.border)


def soften(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """A Gaussian."""
    radius = values["radius"] * place.width
    return blur(x, radius, radius, place.border)


def sharpen(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """What a Gaussian takes away is added."""
    radius = max(1.0, values["radius"] * place.width)
    return torch.lerp(blur(x, radius, radius, place.border), x, 1 + values["amount"])


def threshold(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Broad's binary threshold, 1 above and 0 below, in the channel's own units: 1 is its root mean square."""
    mean, deviation = mean_and_deviation(x)
    above = x - (mean + values["level"] * deviation)
    softness = values["softness"] * deviation
    step = torch.where(softness > 0, (above / softness + 0.5).clamp(0, 1), (above > 0).to(x.dtype))
    size = x.square().mean(dim=(2, 3), keepdim=True).sqrt()
    return torch.lerp(x, step * size, values["amount"])


def invert(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Broad's 1 - x, around the channel's mean."""
    mean, _ = mean_and_deviation(x)
    return torch.lerp(x, 2 * mean - x, values["amount"])


def multiply(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Each value times the factor."""
    return x * values["factor"]


def noise(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Between two ticks both noises are seen, with weights whose squares sum to one: the variance stays."""
    tick = math.floor(values["phase"])
    angle = (values["phase"] - tick) * math.pi / 2
    pattern = noise_at(x, values["seed"], tick, place) * math.cos(angle)
    if angle:
        pattern = pattern + noise_at(x, values["seed"], tick + 1, place) * math.sin(angle)
    return torch.addcmul(x, pattern, values["amount"] * mean_and_deviation(x)[1])


def ablate(x: Tensor, values: Mapping[str, float], place: Place) -> Tensor:
    """Towards zero."""
    return x * (1 - values["amount"])


def noise_at(x: Tensor, seed: float, tick: int, place: Place) -> Tensor:
    """The noise of one tick for some channels; which others there are changes nothing.  [1, channels, h, w]

    All channels read one long row of numbers, each from a place of its own. In small maps they share none; in large
    ones they share some at shifted places, which cannot be seen and is many times faster.
    """
    height, width = x.shape[-2:]
    step = min(height * width, max(1, 2**20 // place.of))
    row = torch.randn(height * width + step * (place.of - 1), generator=seeded(seed, tick))
    maps = row.to(x.device, x.dtype).unfold(0, height * width, step)  # [channels of the layer, h * w], a view
    return maps[place.channels.to(x.device)].reshape(1, -1, height, width)


def seeded(seed: float, tick: int = 0) -> torch.Generator:
    """Random numbers, the same on every device."""
    mixed = int(seed) * 0x9E3779B97F4A7C15 + tick * 0xC2B2AE3D27D4EB4F
    return torch.Generator().manual_seed(mixed % 2**63)


def mean_and_deviation(x: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel over its map.  [batch, channels, 1, 1] twice"""
    deviation, mean = torch.std_mean(x, dim=(2, 3), keepdim=True, correction=0)
    return mean, deviation


FUNCTIONS: Mapping[str, Callable[[Tensor, Mapping[str, float], Place], Tensor]] = {
    "translate": translate,
    "scale": scale,
    "rotate": rotate,
    "shear": shear,
    "flip": flip,
    "warp": warp,
    "erode": erode,
    "dilate": dilate,
    "blur": soften,
    "sharpen": sharpen,
    "threshold": threshold,
    "invert": invert,
    "multiply": multiply,
    "noise": noise,
    "ablate": ablate,
}
