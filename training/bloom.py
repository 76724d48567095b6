# SPDX-License-Identifier: GPL-3.0-or-later
"""The formula "bloom": a luminous flower in front of veils of nebula, in the middle of the picture as a face would be.

The coarse latents give the number of petals, their outline, size and twist; the medium ones bands, veins and the flow
of the background; the fine ones three ramps of colours, the light and its gloss; chance places the stars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .colour import Ramp, read_ramp
from .fields import SineField, grid, normals, points_of_light, sine_field
from .latents import Latents, Reader

SEED = 1000
PETALS = (3, 5, 7, 8, 6, 4)  # around a circle, so that neighbours differ by two at most
ELEVATION = 0.75  # of the light, in radians
# name: channels, waves, frequency, latents
FIELDS = {
    "lens": (2, 4, 0.6, 6),
    "warp": (2, 4, 1.0, 6),
    "relief": (1, 6, 1.25, 6),
    "edge": (1, 4, 1.2, 4),
    "flow": (2, 4, 0.7, 6),
    "eddies": (2, 4, 1.9, 4),
    "clouds": (1, 4, 0.6, 4),
    "ridge0": (1, 5, 1.2, 4),
    "ridge1": (1, 5, 2.5, 4),
    "ridge2": (1, 5, 5.1, 4),
}


@lru_cache(maxsize=4)
def fields(device: torch.device) -> dict[str, SineField]:
    """The random fields, the same for ever."""
    return {name: sine_field(SEED + index, *field, device) for index, (name, field) in enumerate(FIELDS.items())}


@dataclass(frozen=True)
class Flower:
    """The forms of a flower; each [batch, size, size].

    Attributes
    ----------
    radius, outline : Tensor
        The distance from its middle, and that of its edge in this direction.
    wave, cross_wave : Tensor
        -1 to 1 around the middle, once per petal, and the same a quarter further.
    outer, inner : Tensor
        How far inside the edge of the petals, and of the inner ring, a place is.
    core : Tensor
        1 in the middle, 0 away from it.
    """

    radius: Tensor
    outline: Tensor
    wave: Tensor
    cross_wave: Tensor
    outer: Tensor
    inner: Tensor
    core: Tensor


def shape_flower(latents: Latents, place: Tensor) -> Flower:
    """From the coarse latents; the medium ones only fray its edge and bend the space that it stands in."""
    coarse, known = Reader(latents.coarse), fields(place.device)
    flow, frayed = latents.medium[:, :6], latents.medium[:, 6:10]
    kind = (coarse.angle() / math.tau + 0.5) * len(PETALS)
    offset = torch.stack([coarse.number(-0.07, 0.07), coarse.number(-0.07, 0.07)], dim=1)
    zoom, twist, turn = coarse.number(0.90, 1.15), coarse.number(-1.5, 1.5), coarse.number(-0.35, 0.35)
    seen = (place - offset) * zoom[:, None] + known["lens"](place, flow) * coarse.number(0.0, 0.11)[:, None]
    radius = (seen.square().sum(dim=1) + 1e-5).sqrt()
    angle = torch.atan2(seen[:, 0], -seen[:, 1]) + turn + twist * radius
    # Between two numbers of petals their waves are mixed: a flower turns into the next without a jump.
    weights = [torch.exp(-4.5 * (torch.remainder(kind - index + 3, 6) - 3) ** 2) for index in range(len(PETALS))]
    total = torch.stack(weights).sum(dim=0)
    wave, cross_wave = torch.zeros_like(angle), torch.zeros_like(angle)
    for weight, petals in zip(weights, PETALS, strict=True):
        wave = wave + weight / total * torch.cos(petals * angle)
        cross_wave = cross_wave + weight / total * torch.sin(petals * angle)
    size, depth = coarse.number(0.52, 0.80), coarse.number(0.08, 0.42)
    pointed, ring = coarse.number(-0.5, 0.5), coarse.number(0.32, 0.60)
    petal = wave + pointed * (wave.square() - 0.5)
    outline = size * (1 + depth * petal) + 0.07 * known["edge"](place, frayed)[:, 0]
    inner_outline = ring * size * (1 - depth * petal)
    core = torch.exp(-((radius / (0.05 + 0.2 * (ring - 0.3))) ** 2))
    return Flower(radius, outline, wave, cross_wave, outline - radius, inner_outline - radius, core)


@dataclass(frozen=True)
class Relief:
    """The structure of a flower; each [batch, size, size].

    Attributes
    ----------
    petals, ring : Tensor
        1 where the flower, and its inner ring, is, 0 elsewhere.
    tone : Tensor
        0 to 1: where in the ramp of colours a place is.
    normal : tuple of Tensor
        x, y, z.
    """

    petals: Tensor
    ring: Tensor
    tone: Tensor
    normal: tuple[Tensor, Tensor, Tensor]


def emboss(latents: Latents, flower: Flower) -> Relief:
    """Bands, veins and relief, from the medium latents."""
    flow, known = latents.medium[:, :6], fields(flower.radius.device)
    medium = Reader(latents.medium, first=14)
    skew = medium.number(-0.5, 0.5)
    around = (0.55 * flower.wave + 0.5 * skew * flower.cross_wave) * (flower.radius / (flower.radius + 0.25))
    place = torch.stack([flower.radius * 1.9, around], dim=1) * medium.number(0.75, 1.35)[:, None]
    place = place + known["warp"](place, flow) * medium.number(0.15, 0.5)[:, None]
    relief = known["relief"](place, flow)[:, 0]
    hardness = medium.number(10, 34)
    petals, ring = torch.sigmoid(flower.outer * hardness), torch.sigmoid(flower.inner * hardness)
    outwards = flower.radius / flower.outline.clamp_min(0.12)
    bands = torch.sin(medium.number(3, 13) * outwards + 1.6 * relief + medium.angle())
    veins = torch.sin(
        medium.number(8, 18) * (flower.wave + 0.4 * skew * flower.cross_wave) * (flower.radius + 0.1) + 3.5 * relief
    ) * medium.number(0, 0.10)
    height = 0.32 * relief + 0.15 * bands + veins + 0.55 * flower.outer.clamp(-0.3, 0.35)
    height = height + 0.35 * ring * flower.inner.clamp(0, 0.3) + 0.05 * ring
    normal = normals(height, medium.number(0.15, 0.34))
    tone = 0.5 + 0.45 * torch.tanh(0.8 * relief + 0.6 * bands + 2 * veins + 1.5 * outwards - 0.8)
    tone = tone * (0.5 + 0.5 * normal[2]) * (0.6 + 0.4 * petals)
    return Relief(petals, ring, tone + 0.14 * ring * (1 - tone), normal)


def light_flower(flower: Flower, relief: Relief, ramp: Ramp, gloss: Ramp, azimuth: Tensor, shine: Tensor) -> Tensor:
    """The flower in a light from one side, with a glow at its edges and in its middle.  [batch, 3, size, size]"""
    nx, ny, nz = relief.normal
    across, up = math.cos(ELEVATION), math.sin(ELEVATION)
    towards = (nx * azimuth.cos() + ny * azimuth.sin()) * across
    diffuse = (towards + nz * up).clamp_min(0)
    specular = ((towards + nz * (up + 1)) / math.sqrt(2 + 2 * up)).clamp_min(0) ** 26
    rim = torch.exp(-((flower.outer * 22) ** 2)) + 0.7 * torch.exp(-((flower.inner * 26) ** 2))
    shadow = 1 - 0.45 * torch.exp(-(((flower.inner + 0.05) * 14) ** 2)) * (1 - relief.ring)  # below the inner ring
    light = ramp.at(relief.tone) * (0.34 + 1.15 * diffuse * shadow)[:, None]
    light = light + gloss.at(nz.square()) * (specular * shine)[:, None]
    return light + ramp.one(40) * (rim * 0.42)[:, None] + gloss.one(30) * (flower.core * 0.9)[:, None]


def veils(latents: Latents, place: Tensor, ramp: Ramp) -> Tensor:
    """Ridges of light that flow around the flower.  [batch, 3, size, size]"""
    known = fields(place.device)
    flow, cloud, ridged = latents.medium[:, :6], latents.medium[:, 6:10], latents.medium[:, 10:14]
    place = place * 1.3
    place = place + known["flow"](place, flow) * 0.5
    place = place + known["eddies"](place, ridged) * 0.15
    clouds = known["clouds"](place, cloud)[:, 0]
    ridges = torch.zeros_like(clouds)
    for name, amount in (("ridge0", 1.0), ("ridge1", 0.55), ("ridge2", 0.3)):
        wave = known[name](place, ridged)
        ridges = ridges + amount / 1.85 * (1 - wave[:, 0].abs().clamp_max(1.6) / 1.6) ** 2
        place = place + 0.06 * torch.cat([wave, -wave], dim=1)
    density = torch.sigmoid(2.2 * (clouds + 0.4 * latents.medium[:, 3, None, None])) * (ridges * 1.75) ** 2.8
    return ramp.at(density * 0.75) * (0.15 + density)[:, None] * 0.40


def bloom(latents: Latents, size: int) -> Tensor:
    """Paint a flower in linear light.  [batch, 3, size, size]"""
    device = latents.coarse.device
    place = grid(size, device).expand(len(latents), -1, -1, -1)
    flower = shape_flower(latents, place)
    relief = emboss(latents, flower)
    fine = Reader(latents.fine)
    ramp = read_ramp(fine, device)
    gloss = read_ramp(fine, device, hue=ramp.hue + fine.number(-3.1, 3.1)[:, :, 0], dark=(0.55, 0.75))
    azimuth, shine = fine.angle(), fine.number(0.3, 1.0)
    far = read_ramp(fine, device, hue=ramp.hue + fine.number(-1.6, 1.6)[:, :, 0], dark=(0.02, 0.06), light=(0.7, 0.9))
    front = light_flower(flower, relief, ramp, gloss, azimuth, shine)
    halo = torch.exp(-4.5 * flower.outer.clamp_max(0).abs())
    behind = veils(latents, place, far) + ramp.one(24) * (halo * 0.22)[:, None]
    behind = behind + points_of_light(latents.noise, size)[:, None] * 0.8
    petals = relief.petals[:, None]
    return behind * (1 - petals) + front * petals * 1.12
