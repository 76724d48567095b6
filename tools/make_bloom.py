# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the built-in generator "bloom": luminous flowers in a dark nebula, its weights written down, not trained.

Nobody's pictures are in it. A formula is put into the layers with `bloom_builder`. The 4 px constant holds coordinates,
which coarse latents turn, twist, tilt and bend, and waves. At 64 px hinges of the coordinates add up to five kinds of
flowers, blended by coarse latents; a second, inner flower grows with medium ones. At 128 and 256 px outlines and the
gaps between petals meet in domes with luminous rims, and folds draw bands and veins. Folded waves are the nebula, noise
above a threshold the stars. Colours are hues from the fine latents, painted at 128, 256 and 512 px. All chance comes
from `SEED`.

    python tools/make_bloom.py        writes stylegan_reactive/assets/bloom.safetensors
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from bloom_builder import BloomBuilder, HingeSet, Output, Stroke  # noqa: E402
from generator_builder import LIGHT, PAIR_DIFFERENCE, Style  # noqa: E402

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, builtin_checkpoint, save_generator  # noqa: E402
from stylegan_reactive.generator.layers import LRELU_GAIN, LRELU_SLOPE  # noqa: E402
from stylegan_reactive.generator.mapping import MappingConfig  # noqa: E402

Sum = dict[str, float]  # signal -> coefficient

SEED = 7
CONFIG = StyleGAN2Config(
    mapping=MappingConfig(z_dim=64, c_dim=0, w_dim=104, widths=(192, 104)),
    resolution=512,
    channels=(48, 104, 104, 96, 184, 80, 64, 32),
)
BRUSH, DUST, STARS, GRAIN = 4e-4, 1.2e-4, 7e-6, 3e-7  # strength of the noise at 64, 128, 256 and 512 px
NIGHT = torch.tensor([-0.97, -0.975, -0.93])  # the background
SKY = 0.12  # what the nebula adds to it at the border, on average
RIM = 0.018  # half the width of the luminous rims
MASK = {"mask": {"one": 1.0}}  # 1, less what upsampling takes at the border
EDGE = {f"edge{index}": {"one": 1.0, "mask": -1.0} for index in range(3)}  # what it took, for each colour of the border
PETALS = (3, 5, 6, 8, 12)  # the kinds of flowers
LINES = {3: 5, 5: 9, 6: 11, 8: 15, 12: 23}  # hinges of each kind
INNER_LINES = {3: 5, 5: 9, 6: 11, 8: 7, 12: 11}


class Latents:
    """Names for the latents, and how each is made from z: passed on, or as a function of a direction of z."""

    def __init__(self) -> None:
        self.z_used = 0
        self.calm: list[int] = []  # parts of z that are 0 in the middle: all but the waves
        self.names: list[str] = []
        self.passed: list[tuple[int, int]] = []  # latent, z
        self.curves: list[tuple[list[int], Tensor, float, Tensor, Callable[[Tensor], Tensor]]] = []

    def new_z(self, count: int = 1) -> list[int]:
        self.z_used += count
        assert self.z_used <= CONFIG.mapping.z_dim
        return list(range(self.z_used - count, self.z_used))

    def plain(self, *names: str) -> None:
        """Each a normal number of its own."""
        for name in names:
            z = self.new_z()[0]
            self.passed.append((len(self.names), z))
            self.names.append(name)
            self.calm += [] if name.startswith("wave") else [z]

    def curve(
        self, names: list[str], direction: dict[int, float], knots: Tensor, function: Callable[[Tensor], Tensor]
    ) -> None:
        """Several functions [points] -> [points, names] of one direction of z, by hinges at knots."""
        latents = list(range(len(self.names), len(self.names) + len(names)))
        self.calm += list(direction)
        self.names += names
        row = torch.zeros(CONFIG.mapping.z_dim)
        for z, amount in direction.items():
            row[z] = amount
        self.curves.append((latents, row, float(row.norm()), knots, function))

    def __getitem__(self, name: str) -> int:
        return self.names.index(name)

    def write(self, generator: StyleGAN2) -> None:
        first, second = generator.mapping.layers
        half = CONFIG.mapping.w_dim // 2
        width = CONFIG.mapping.widths[0]
        weight, bias = torch.zeros(width, CONFIG.mapping.z_dim), torch.zeros(width)
        rows, offsets = torch.zeros(half, width), torch.zeros(half)
        unit = 0
        for latent, z in self.passed:
            weight[unit, z], weight[unit + 1, z] = 1, -1
            rows[latent, unit], rows[latent, unit + 1] = 1 / PAIR_DIFFERENCE, -1 / PAIR_DIFFERENCE
            unit += 2
        for latents, row, spread, knots, function in self.curves:
            units = range(unit, unit + len(knots))
            unit += len(knots)
            weight[units.start : units.stop] = row
            bias[units.start : units.stop] = -knots
            points = torch.linspace(-3.5 * spread, 3.5 * spread, 800)
            hinges = torch.nn.functional.leaky_relu(points[:, None] - knots, LRELU_SLOPE) * LRELU_GAIN
            basis = torch.cat([hinges, torch.ones(len(points), 1)], dim=1)
            solution = torch.linalg.lstsq(basis, function(points)).solution
            rows[latents, units.start : units.stop] = solution[: len(knots)].T
            offsets[latents] = solution[len(knots)]
        assert unit <= width
        assert len(self.names) <= half
        first.weight.copy_(weight / first.weight_gain)
        first.bias.copy_(bias / first.bias_gain)
        second.weight.copy_(torch.cat([rows, -rows]) / second.weight_gain)
        second.bias.copy_(torch.cat([offsets, -offsets]) / second.bias_gain)


def rising(points: Tensor) -> Tensor:
    """0 far below, 1 far above, straight between."""
    return ((points + 1.3) / 2.6).clamp(0, 1)[:, None]


def circle(offset: float) -> Callable[[Tensor], Tensor]:
    """Cosine and sine of an angle."""
    return lambda points: torch.stack([torch.cos(points + offset), torch.sin(points + offset)], dim=1)


def choose_latents() -> Latents:
    latents = Latents()
    # which flower: plateaus with short slopes between, in an order that puts the likeliest in the middle
    kind = latents.new_z()[0]
    borders = torch.tensor([-1.05, -0.32, 0.32, 1.05])
    slope = 0.16
    knots = torch.cat([borders - slope, borders + slope]).sort().values

    def kinds(points: Tensor) -> Tensor:
        rise = ((points[:, None] - borders + slope) / (2 * slope)).clamp(0, 1)
        rise = torch.cat([torch.ones(len(points), 1), rise, torch.zeros(len(points), 1)], dim=1)
        return rise[:, :-1] - rise[:, 1:]

    latents.curve([f"kind{n}" for n in (3, 8, 5, 6, 12)], {kind: 1.0}, knots, kinds)
    latents.plain("turn", "twist", "size", "shift_x", "shift_y", "tilt", "skew")
    latents.plain(*[f"bend{i}" for i in range(4)], *[f"wave{i}" for i in range(10)])
    # medium
    inner = latents.new_z()[0]
    latents.curve(["inner"], {inner: 1.0}, torch.tensor([-1.3, 1.3]), rising)
    latents.plain("m1", "m2", "m3", "m4", "m5", "cloud1", "cloud2")
    # fine: hues, each a normal turn from the one before
    hue = latents.new_z(5)
    turns = {
        "petal": ({hue[0]: 1.5}, 5.0),
        "inner": ({hue[0]: 1.5, hue[4]: 0.5}, 5.0 + 0.9),
        "rim": ({hue[0]: 1.5, hue[1]: 0.6}, 5.0 - 0.9),
        "heart": ({hue[0]: 1.5, hue[2]: 0.6}, 5.0 + 2.2),
        "sky": ({hue[0]: 1.5, hue[3]: 0.7}, 5.0 - 1.4),
    }
    for name, (direction, offset) in turns.items():
        spread = math.sqrt(sum(a * a for a in direction.values()))
        latents.curve(
            [f"{name}_cos", f"{name}_sin"],
            direction,
            torch.linspace(-2.8, 2.8, 14) * spread,
            circle(offset),
        )
    latents.plain("bright", "glow", "lines", "relief", "sky_light")
    return latents


def petals(count: int) -> Callable[[Tensor], Tensor]:
    """The outline of a kind of flower, from -1 (between petals) to 1 (tips)."""
    if count == 6:  # pointed
        return lambda theta: 1 - 2 * torch.sin(theta * count / 2).abs() ** 1.25
    return lambda theta: 2 * torch.cos(theta * count / 2).abs() ** 0.75 - 1


def between(count: int) -> Callable[[Tensor], Tensor]:
    """The same, turned by half a petal."""
    return lambda theta: 2 * torch.sin(theta * count / 2).abs() ** 0.75 - 1


def rippled(count: int) -> Callable[[Tensor], Tensor]:
    return lambda theta: torch.cos(theta * count)


def gap(shape: Callable[[Tensor], Tensor], count: int) -> Callable[[Tensor], Tensor]:
    """0 between petals, growing away from there as fast for any number of them."""
    return lambda theta: count * (1 + shape(theta))


DEPTH = {3: 0.28, 5: 0.31, 6: 0.38, 8: 0.31, 12: 0.22}


def write_synthesis(generator: StyleGAN2, latents: Latents, samples: Tensor, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    builder = BloomBuilder(generator, generator.mapping(samples))
    std = builder.standard

    def by(base: float = 1.0, **amounts: float) -> Style:
        return Style(base, {latents[name]: amount for name, amount in amounts.items()})

    hue = colour_tables()

    def coloured(name: str, **amounts: float) -> list[tuple[Tensor, Style]]:
        """Colours of this hue, brighter or darker with a latent."""
        return [
            (hue[0], by(**amounts)),
            (hue[1], by(0, **{f"{name}_cos": 1.0})),
            (hue[2], by(0, **{f"{name}_sin": 1.0})),
        ]

    dusk = coloured("sky", sky_light=0.15)
    border = [(NIGHT, by()), *((colour * SKY, style) for colour, style in dusk[1:])]

    def keep(*names: str) -> dict[str, dict[str, float]]:
        return {name: {name: 1.0} for name in names}

    def pair(terms: dict[str, dict[str, float]], kind: str = "pair") -> dict[str, Output]:
        return {name: Output(value, kind) for name, value in terms.items()}

    def along(prefix: str, count: int, base: float = 0.0) -> Style:
        direction = torch.randn(count, generator=random)
        direction = direction / direction.norm()
        return Style(base, {latents[f"{prefix}{i}"]: float(direction[i]) for i in range(count)})

    # ---- 4 px: coordinates, what moves them, and waves for the sky
    axis = torch.linspace(-0.75, 0.75, 4)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    fade = x * x + y * y
    constant = {"one": torch.ones(4, 4), "x": x, "y": y, "x.turn": x, "y.turn": y, "x.tilt": x, "y.tilt": y}
    constant |= {"x.twist": x * fade, "y.twist": y * fade, "x.skew": x, "y.skew": y, "to_x": torch.ones(4, 4)}
    constant["to_y"] = torch.ones(4, 4)
    constant["size"] = torch.ones(4, 4)
    constant["none"] = torch.zeros(4, 4)  # ballast: without it a strong twist would make the flower larger
    styles = {
        "x.turn": by(0, turn=0.30), "y.turn": by(0, turn=0.30),
        "x.tilt": by(0, tilt=0.06), "y.tilt": by(0, tilt=0.06),
        "x.skew": by(0, skew=0.05), "y.skew": by(0, skew=0.05),
        "x.twist": by(0.0, twist=0.8), "y.twist": by(0.0, twist=0.8),
        "to_x": by(0, shift_x=0.05), "to_y": by(0, shift_y=0.05), "size": by(0, size=1.0),
    }  # fmt: skip
    bends = (x * x - y * y, 2 * x * y)
    for i in range(4):
        constant[f"bend{i}"] = bends[i % 2]
        styles[f"bend{i}"] = by(0, **{f"bend{i}": 0.03})
    fields = {"n1": 10, "n2": 10, "n3": 8}
    for name, waves in fields.items():
        for wave in range(waves):
            frequency = torch.randn(2, generator=random)
            frequency = frequency / frequency.norm() * (1.0 + 3.4 * wave / waves)
            phase = torch.rand(1, generator=random) * math.tau
            constant[f"{name}.{wave}"] = torch.sin(frequency[0] * x + frequency[1] * y + phase)
            styles[f"{name}.{wave}"] = along("wave", 10)
    builder.start(constant)
    outputs: dict[str, dict[str, float]] = {
        "x": {
            "x": 1,
            "y.turn": -1,
            "x.tilt": 1,
            "y.skew": 1,
            "y.twist": -1,
            "to_x": 1,
            "bend0": 1,
            "bend1": 1,
            "none": 2,
        },
        "y": {
            "y": 1,
            "x.turn": 1,
            "y.tilt": -1,
            "x.skew": 1,
            "x.twist": 1,
            "to_y": 1,
            "bend2": 1,
            "bend3": -1,
            "none": 2,
        },
        "size": {"size": 1.0, "ballast": 1.0} if "ballast" in builder.signals else {"size": 1.0, "one": 2.0},
    }
    outputs |= {name: std({f"{name}.{wave}": 1.0 for wave in range(waves)}) for name, waves in fields.items()}
    builder.pairs(outputs, styles)
    # ---- 8 px: the coordinates once for each kind of flower
    sky = ("n1", "n2", "n3")
    everything = keep("x", "y", "size", *sky)
    builder.pairs(everything, {})
    copies = {f"{c}{n}": {c: 1.0} for n in (*PETALS, 0) for c in "xy"}
    builder.mended(copies | keep("size", *sky), {})
    # ---- 16 px: the kind of flower
    heavy = {name: {name: 1.0, "ballast": 4.0} for name in copies}
    builder.pairs(
        heavy | keep("size", *sky),
        {f"{c}{n}": by(0, **{f"kind{n}": 1.0}) for n in PETALS for c in "xy"},
    )
    builder.mended(keep(*copies, "size") | {"n1": std({"|n1|": 1.0})} | keep("n2", "n3"), {}, noise_strength=0.0)
    # ---- 32 px
    builder.layer(
        pair(keep(*copies, "size", "n3"))
        | pair({"full": {"one": 1.0}}, "positive")
        | pair({"U": std({"n2": 1.0, "n1": 1.0, "n3": 0.4}, 1.6)}),
        {"n2": by(1, cloud1=0.5)},
        constants=("m1", "m2", "m3", "m4", "m5", "cloud"),
        copies=2,
        noise_strength=0.0,
    )
    medium = ("m1", "m2", "m3", "m4", "m5")
    builder.layer(
        pair(keep(*copies, "size", "n3"))
        | pair(keep("full"), "positive")
        | pair({"H": std({"|U|": 1.0, "n3": 0.7}, 1.5) | {"cloud": 1.0}})
        | pair({name: {name: 1.0, "ballast": 1.0} for name in medium}),
        {name: by(0, **{name: 1.0}) for name in medium} | {"cloud": by(0, cloud2=0.8)},
        base=border,
        copies=2,
    )
    # ---- 64 px: petals
    inner = {f"{c}i{n}": {f"{c}{n}": 1.0} for n in PETALS for c in "xy"}
    builder.layer(
        pair(keep(*copies, "size", "n3", *medium))
        | pair(inner)
        | pair(keep("full") | MASK, "positive")
        | pair({"Q": std({"|H|": 1.0, "n3": 0.5})}),
        {},
        copies=2,
    )
    sets: dict[str, HingeSet] = {}
    outputs_64: dict[str, Output] = {}
    sets["cone"], new = builder.hinge_set("cone", "x0", "y0", 11)
    outputs_64 |= new
    for n in PETALS:
        sets[f"out{n}"], new = builder.hinge_set(f"out{n}", f"x{n}", f"y{n}", LINES[n])
        outputs_64 |= new
        sets[f"in{n}"], new = builder.hinge_set(f"in{n}", f"xi{n}", f"yi{n}", INNER_LINES[n], ballast=1.0)
        outputs_64 |= new
    builder.layer(
        outputs_64 | pair(keep("size", "n3", "Q", *medium)) | pair(keep("full") | EDGE, "positive"),
        {f"{c}i{n}": by(0, inner=1.0) for n in PETALS for c in "xy"},
        strokes=[
            Stroke(
                {"|Q|": -1.0, "n3": -0.2, "full": 0.1, "one": -0.1, "|x0|": -0.25, "|y0|": -0.25},
                (-0.95, 0.0, 1.5),
                (0, 0.17, 0),
                dusk,
            )
        ],
        base=border,
        noise_strength=BRUSH,
    )
    # ---- 128 px
    r = builder.flower(sets["cone"], torch.ones_like)

    def flowers(which: str, function: Callable[[int], Callable[[Tensor], Tensor]], amounts: dict[int, float]) -> Sum:
        """The same function of all kinds of flowers: only those that the latents scaled up will show."""
        total: Sum = {}
        for n in PETALS:
            total |= {k: v * amounts[n] for k, v in builder.flower(sets[f"{which}{n}"], function(n)).items()}
        return total

    alike = dict.fromkeys(PETALS, 1.0)
    outer, behind, rays = flowers("out", petals, DEPTH), flowers("out", between, alike), flowers("out", rippled, alike)
    gaps = flowers("out", lambda n: gap(petals(n), n), alike)
    gaps_within = flowers("out", lambda n: gap(between(n), n), alike)
    within = flowers("in", between, alike)

    def plus(*parts: tuple[float, Sum]) -> Sum:
        total: Sum = {}
        for factor, terms in parts:
            for name, value in terms.items():
                total[name] = total.get(name, 0.0) + factor * value
        return total

    soft = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    guard = {"one": -4.0, "full": 4.0}
    halo, shade = 0.25, 0.08  # what L and F reach beyond the petals
    builder.layer(
        pair(
            {
                "Y": plus((1, {"one": 0.49, "size": 0.03}), (-1, r), (0.3, behind), (1, guard)),
                "L": plus((1, {"one": 0.43 + halo, "size": 0.03}), (-1, r), (1, outer), (1, guard)),
                "F": plus((1, {"one": 0.24 + shade, "m1": 0.09}), (-1, r), (0.36, within), (1, guard)),
                "K": plus((1, {"one": 0.085, "m2": 0.02}), (-1, r), (0.15, rays)),
                "J": plus((1, {"one": -0.25, "m3": 0.16}), (1, r), (0.3, within)),
                "V": plus((1, rays)),
                "N": {"Q": 1.0},
                "P": plus((1, {"n3": 1.0}), (0.5, r)),
                "W": gaps,
                "X": gaps_within,
                "q": plus((1, r), (-1, {"one": 0.655})),
                "m4": {"m4": 1.0},
                "m5": {"m5": 1.0},
            }
        )
        | {"glow": Output({"noise": 1 / BRUSH / 0.375}, kernel=soft, offset=-2.7)}
        | pair({"r": r, "full": {"full": 1.0}} | MASK, "positive"),
        {},
        noise_strength=DUST,
    )
    steep = 0.16  # of the petals' sides
    builder.layer(
        pair(
            {
                "J": {"|J|": 1.0, "m4": 0.07, "one": -0.08, "V": 0.25},
                "V": {"|V|": 1.0, "r": -0.62, "m5": 0.12},
                "N": {"one": 0.50 - 0.1, "|N|": -1.0, "P": -0.14, "full": 0.1, "r": -0.30},
                "D": {"L+": 1.0, "q+": -4.0, "one": -halo, "W": -steep},
                "E": {"F+": 1.0, "one": -shade, "X": -steep},
            }
        )
        | {"S3": Output({"noise": 1 / DUST / 0.375, "L+": -0.8}, kernel=soft, offset=-2.65)}
        | pair({"L": {"L+": 1.0, "q+": -4.0}, "F": {"F+": 1.0}, "K": {"K+": 1.0}, "r": {"r": 1.0}} | EDGE, "positive"),
        {},
        strokes=[
            Stroke({"L+": 1.0, "q+": -4.0}, (0.0, halo, 0.5, 1.5), (0, 0.15, 0.26, 0), coloured("petal", bright=0.1)),
            Stroke({"glow+": 1.0}, (0.25, 1.2, 8.0), (0, 0.4, 0), coloured("rim", glow=0.2)),
            Stroke({"Y+": 1.0, "q+": -4.0}, (0.0, 0.03, 0.15, 0.5), (0, 0.2, 0.06, 0), coloured("rim")),
            Stroke(
                {"r": -1.0, "full": 2.0, "one": -2.0},
                (-0.35, -0.1, 0.0, 1.0),
                (0, 0.12, 0.4, 0),
                coloured("heart", glow=0.2),
            ),
            Stroke({"K+": 1.0}, (0.0, 0.03, 0.08, 0.3), (0, 0.3, 0.38, 0), coloured("heart", glow=0.2)),
        ],
        base=border,
    )
    # ---- 256 px
    builder.layer(
        pair(
            {
                "J": {"|J|": 1.0, "one": -0.05},
                "V": {"|V|": 1.0, "r": -0.3},
                "h": {"L": 1.0, "one": -halo - RIM, "D+": -1.0},
                "i": {"F": 1.0, "one": -shade - RIM, "E+": -1.0},
            }
        )
        | {"S3": Output({"S3+": 1.0}, "positive", soft)}
        | pair({"N": {"N+": 1.0}} | keep("L", "F", "K", "r") | MASK, "positive"),
        {},
        noise_strength=STARS,
    )
    builder.layer(
        pair(
            {
                "T": {"one": 0.02, "|V|": -1.0, "h-": -3.0},
                "rim": {"one": RIM, "|h|": -1.0, "F": -0.5},
                "brim": {"one": RIM, "|i|": -1.0, "K": -0.5},
                "h": {"h": 1.0, "one": RIM, "F": -1.5},
                "i": {"i": 1.0, "one": RIM, "K": -1.5},
            }
        )
        | {
            "S": Output({"noise": 1 / STARS / 0.375, "L": -1.0}, kernel=soft, offset=-2.5),
            "S2": Output({"noise": 1 / STARS, "L": -2.0}, offset=-2.9),
        }
        | pair(keep("S3") | EDGE, "positive"),
        {},
        strokes=[
            Stroke({"h": 1.0, "F": -1.5}, (-RIM, RIM, 0.18, 0.9), (0, 0.17, 0.47, 0), coloured("petal", bright=0.1)),
            Stroke({"i": 1.0, "K": -1.5}, (-RIM, RIM, 0.12, 0.6), (0, 0.16, 0.5, 0), coloured("inner")),
            Stroke({"N": 1.0, "L": -2}, (0.05, 0.45, 1.5), (0, 0.42, 0), dusk),
            Stroke({"|J|": -1.0, "h-": -2.0}, (-0.06, -0.01, 0.3), (0, 0.26, 0), coloured("rim", lines=0.2)),
        ],
        base=border,
    )
    # ---- 512 px
    builder.layer(
        pair(keep("T"))
        | pair(
            {name: {f"{name}+": 1.0} for name in ("S", "S2", "rim", "brim", "h", "i")} | keep("S3") | MASK,
            "positive",
        ),
        {},
        noise_strength=GRAIN,
    )
    grey, stars = [(torch.ones(3), by())], [(torch.tensor([0.92, 0.96, 1.0]), by())]
    relief = [(torch.ones(3), by(relief=0.25))]
    builder.layer(
        pair(EDGE, "positive"),
        {},
        strokes=[
            Stroke({"rim": 1.0}, (0.003, RIM, 0.2), (0, 0.75, 0), coloured("rim")),
            Stroke({"brim": 1.0}, (0.003, RIM, 0.2), (0, 0.5, 0), grey),
            Stroke({"h": 1.0, "i": 1.0}, (0.0, 0.03, 1.0), (0, 0.5, 0), relief, LIGHT),
            Stroke({"h": -1.0, "i": -1.0}, (0.0, 0.03, 1.0), (0, -0.5, 0), relief, LIGHT),
            Stroke({"T+": 1.0}, (0.0, 0.02, 0.2), (0, 0.32, 0), [(torch.ones(3), by(lines=0.3))]),
            Stroke({"S": 1.0, "S2": 1.2, "S3": 2.2}, (0.06, 1.1, 8.0), (0, 1.6, 0), stars),
        ],
        base=border,
    )


def colour_tables() -> tuple[Tensor, Tensor, Tensor]:
    """sRGB of grey, and of the cosine and the sine of a hue."""
    angle = torch.tensor([0.0, math.tau / 3, 2 * math.tau / 3])
    return torch.ones(3), 0.85 * torch.cos(angle), 0.85 * torch.sin(angle)


@torch.no_grad()
def make_bloom(seed: int = SEED) -> StyleGAN2:
    """The generator, the same for the same seed."""
    torch.manual_seed(seed)  # the constant noise
    generator = StyleGAN2(CONFIG)
    for parameter in generator.parameters():
        parameter.zero_()
    for block in generator.synthesis.blocks:
        block.torgb.affine.bias.fill_(1.0)
    latents = choose_latents()
    latents.write(generator)
    samples = torch.randn(12, CONFIG.mapping.z_dim, generator=torch.Generator().manual_seed(seed + 1))
    write_synthesis(generator, latents, samples, seed + 2)
    # The mean of all ws is a flower of all kinds at once, and grey. Truncation leads to this one instead.
    middle = torch.randn(1, CONFIG.mapping.z_dim, generator=torch.Generator().manual_seed(seed + 3))
    middle[:, latents.calm] = 0.0
    generator.mapping.w_avg.copy_(generator.mapping(middle)[0, 0])
    return generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=builtin_checkpoint("bloom"), help="the file to write")
    arguments = parser.parse_args()
    generator = make_bloom()
    save_generator(generator, arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
