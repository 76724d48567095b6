# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the built-in network "silk": a StyleGAN2 whose weights are written down instead of trained.

Nobody's pictures are in it. A formula for folded, veined silk is put into the layers with `generator_builder`: smooth
fields from the coarse latents are folded at 16 px, their sums folded again with offsets from the medium ones at 32, 64
and 128 px, which gives a height; a light from the upper left falls on it, and height and light together choose between
dark and bright, and between two hues that depend on the fine latents. A third, across the circle, is for the veins. All
chance comes from `SEED`.

    python tools/make_generator.py                   writes stylegan_reactive/assets/silk.safetensors
    python tools/make_generator.py --sheet some.png  also draws the pictures of 24 seeds
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from generator_builder import CONSTANT, PAIR_DIFFERENCE, Builder, Ramp, Style  # noqa: E402

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, builtin_checkpoint, save_generator  # noqa: E402
from stylegan_reactive.generator.layers import LRELU_GAIN, LRELU_SLOPE  # noqa: E402
from stylegan_reactive.generator.mapping import MappingConfig  # noqa: E402

SEED = 20
CONFIG = StyleGAN2Config(
    mapping=MappingConfig(z_dim=48, c_dim=0, w_dim=128, widths=(128, 128)),
    resolution=512,
    channels=(64, 64, 64, 64, 64, 64, 48, 32),
)
COARSE, MEDIUM, FINE, HUES = range(0, 16), range(16, 36), range(36, 44), range(44, 48)  # parts of z
HINGES = 10  # for each hue
BALLAST = 1.5
NOISE = (
    0.004,
    0.004,
    0.004,
    0.003,
    0.003,
    0.002,
    0.002,
    0.002,
    0.002,
    0.003,
    0.003,
    0.006,
    0.006,
    0.03,
    0.03,
)  # by layer
HUE_LATENTS = 44  # latents from here on: cosine and sine of each hue


def oklch_to_srgb(lightness: Tensor, chroma: Tensor, hue: Tensor) -> Tensor:
    """OKLCh to sRGB (https://bottosson.github.io/posts/oklab/).  [...] -> [..., 3]"""
    a, b = chroma * torch.cos(hue), chroma * torch.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = torch.stack(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ],
        dim=-1,
    )
    return torch.where(linear < 0.0031308, linear * 12.92, 1.055 * linear.clamp_min(1e-6) ** (1 / 2.4) - 0.055)


def write_mapping(generator: StyleGAN2, hue_mix: Tensor, hue_offset: Tensor) -> None:
    """z passes through as pairs; each hue angle, a sum of normals, becomes its cosine and sine by ten hinges."""
    first, second = generator.mapping.layers
    passed = len(COARSE) + len(MEDIUM) + len(FINE)
    w_dim, half = CONFIG.mapping.w_dim, CONFIG.mapping.w_dim // 2
    weight, bias = torch.zeros(w_dim, CONFIG.mapping.z_dim), torch.zeros(w_dim)
    rows = torch.zeros(half, w_dim)
    offsets = torch.zeros(half)
    for latent in range(passed):
        weight[2 * latent, latent], weight[2 * latent + 1, latent] = 1, -1
        rows[latent, 2 * latent], rows[latent, 2 * latent + 1] = 1 / PAIR_DIFFERENCE, -1 / PAIR_DIFFERENCE
    for index in range(len(HUES)):
        spread = float(hue_mix[index].norm())
        knots = torch.linspace(-2.8, 2.8, HINGES) * spread
        units = range(2 * passed + index * HINGES, 2 * passed + (index + 1) * HINGES)
        weight[units.start : units.stop, HUES.start : HUES.stop] = hue_mix[index]
        bias[units.start : units.stop] = -knots
        angles = torch.linspace(-3.5 * spread, 3.5 * spread, 400)
        hinges = torch.nn.functional.leaky_relu(angles[:, None] - knots, LRELU_SLOPE) * LRELU_GAIN
        basis = torch.cat([hinges, torch.ones(400, 1)], dim=1)
        importance = torch.exp(-0.15 * (angles / spread) ** 2)[:, None]
        wanted = torch.stack([torch.cos(angles + hue_offset[index]), torch.sin(angles + hue_offset[index])], dim=1)
        solution = torch.linalg.lstsq(basis * importance, wanted * importance).solution
        for part in range(2):
            rows[HUE_LATENTS + 2 * index + part, units.start : units.stop] = solution[:HINGES, part]
            offsets[HUE_LATENTS + 2 * index + part] = solution[HINGES, part]
    first.weight.copy_(weight / first.weight_gain)
    first.bias.copy_(bias / first.bias_gain)
    second.weight.copy_(torch.cat([rows, -rows]) / second.weight_gain)
    second.bias.copy_(torch.cat([offsets, -offsets]) / second.bias_gain)


def along(random: torch.Generator, latents: range, amount: float) -> dict[int, float]:
    """A random direction of this length among latents."""
    direction = torch.randn(len(latents), generator=random)
    direction = direction / direction.norm() * amount
    return {latent: float(value) for latent, value in zip(latents, direction, strict=True)}


def write_synthesis(generator: StyleGAN2, samples: Tensor, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    ws = generator.mapping(samples)
    size = CONSTANT / 8  # with the large one, folds of folds lose digits that can be seen
    builder = Builder(generator, ws, size)
    std, level = builder.standard, builder.level
    axis = torch.linspace(-0.75, 0.75, 4)
    y, x = torch.meshgrid(axis, axis, indexing="ij")

    def coarse(base: float, amount: float) -> Style:
        return Style(base, along(random, COARSE, amount))

    def medium(base: float, amount: float) -> Style:
        return Style(base, along(random, MEDIUM, amount))

    def keep(*names: str) -> dict[str, dict[str, float]]:
        return {name: {name: 1.0} for name in names}

    # 4 px: smooth fields, sums of waves whose amounts are latents
    fields = {"F0": 14, "F1": 14, "F2": 10, "F3": 12, "F4": 10}
    constant = {"one": torch.ones(4, 4)}
    styles: dict[str, Style] = {}
    for name, waves in fields.items():
        for wave in range(waves):
            frequency = torch.randn(2, generator=random)
            frequency = frequency / frequency.norm() * (1.5 + 3.5 * wave / waves)
            phase = torch.rand(1, generator=random) * math.tau
            picture = torch.sin(frequency[0] * x + frequency[1] * y + phase)
            picture = picture - picture.mean()  # so that every picture has all of the folds
            constant[f"{name}.{wave}"] = picture / picture.std()
            styles[f"{name}.{wave}"] = coarse(0.0, 1.0)
    builder.start(constant)
    outputs = {name: std({f"{name}.{wave}": 1.0 for wave in range(waves)}) for name, waves in fields.items()}
    builder.pairs(outputs, styles, constants=("phase",), noise_strength=NOISE[0])
    # 8 px
    everything = keep(*fields)
    builder.pairs(everything, {}, constants=(), noise_strength=NOISE[1])
    builder.mended(everything, {}, constants=("phase",), noise_strength=NOISE[2])
    # 16 px: the first folds
    builder.pairs(
        everything
        | fan("S", level({"F1": 1.0}) | {"phase": 0.7}, knots(4, 1.5))
        | fan("T", level({"F4": 1.0, "F2": 0.7}), knots(4, 1.5)),
        {"phase": coarse(0, 1)},
        ballast=BALLAST,
        noise_strength=NOISE[3],
    )
    builder.mended(
        keep("F0", "F2", "F3", "F4") | {"S": std(zigzag("S", 4)), "T": std(zigzag("T", 4))},
        {},
        constants=("phase", "phase2"),
        noise_strength=NOISE[4],
    )
    # 32 px: sums of the folds, folded again
    builder.pairs(
        fan("U", level({"F0": 1.0, "S": 0.45, "F2": 0.5}) | {"phase": 0.5}, knots(8, 1.4))
        | fan("V", level({"F3": 1.0, "T": 0.7, "F0": 0.5}) | {"phase2": 0.5}, knots(8, 1.4))
        | {"E": level({"F4": 1.0, "F3": 0.6, "S": 0.4})},
        {
            "F0": medium(1, 0.4),
            "S": medium(1, 0.7),
            "F2": medium(1, 0.6),
            "T": medium(1, 0.9),
            "F3": medium(1, 0.4),
            "phase": medium(0, 1),
            "phase2": medium(0, 1),
        },
        ballast=BALLAST,
        noise_strength=NOISE[5],
    )
    builder.mended(
        {
            "U": {"U1": 1.0},
            "E": {"E": 1.0},
            "H": level(zigzag("U", 8)),
            "V": level(zigzag("V", 8)),
            "rim": {"edge": 1.5 / size},
        },
        {},
        constants=("phase", "phase2"),
        noise_strength=NOISE[6],
    )
    grey = torch.ones(3)
    builder.tint({"H": (grey, Style(0.03))})
    # 64 px
    builder.pairs(
        keep("H", "E", "V", "rim")
        | fan("G", level({"U": 1.2, "V": 0.7, "H": 0.5, "E": 0.3}) | {"phase": 0.5}, knots(8, 0.7))
        | fan("W", level({"V": 1.0, "U": 0.5}) | {"phase2": 0.5}, knots(6, 0.9)),
        {"V": medium(1, 0.7), "E": medium(1, 0.5), "U": medium(1, 0.6), "phase": medium(0, 1), "phase2": medium(0, 1)},
        ballast=BALLAST,
        noise_strength=NOISE[7],
    )
    builder.mended(
        keep("H", "E", "rim") | {"G": level(zigzag("G", 8)), "W": level(zigzag("W", 6))},
        {},
        constants=("cosine", "sine"),
        noise_strength=NOISE[8],
    )
    hue = hue_colours()
    builder.tint(
        {
            "cosine": (hue[0], Style(0, {HUE_LATENTS: 0.12})),
            "sine": (hue[1], Style(0, {HUE_LATENTS + 1: 0.12})),
        }
    )
    # 128 px
    builder.pairs(
        keep("H", "G", "W", "E", "rim")
        | fan("B", level({"H": 1.0, "E": 0.5}), knots(6, 0.8))
        | {"D": level({"H": 1.0, "E": 0.8})},
        {},
        noise_strength=NOISE[9],
    )
    builder.mended(
        {
            "H": std({"H": 1.0, "G": 0.6, "W": 0.3} | zigzag("B", 6, 0.1)),
            "B": level(zigzag("B", 6)),
            "E": std({"E": 1.0, "|D|": -0.5}),
            "E2": std({"E": 1.0, "|D|": -0.5}),
            "rim": {"rim": 0.015, "edge": 1.5 / size},
        },
        {},
        noise_strength=NOISE[10],
    )
    builder.tint({"E": (hue[0], Style(0, {HUE_LATENTS + 4: 0.02})), "E2": (hue[1], Style(0, {HUE_LATENTS + 5: 0.02}))})
    # 256 px: veins, and a soft fold
    builder.pairs(
        keep("E", "H", "rim") | {"R": level({"B": 1.0, "H": 0.3})},
        {},
        noise_strength=NOISE[11],
    )
    builder.mended(
        keep("E")
        | {
            "H": std({"H": 1.0, "|R|": 0.06}),
            "R": level({"|R|": 1.0}, 1.0, 0.1),
            "rim": {"rim": 1.0},
        },
        {},
        noise_strength=NOISE[12],
    )
    builder.tint({"H": (grey, Style(0.03))})
    # 512 px: light and paint
    builder.pairs(keep("E", "H", "R"), {}, slopes={"L": {"H": 1.0}}, noise_strength=NOISE[13])
    builder.paint(ramps(builder, random), {}, noise_strength=NOISE[14])


def fan(name: str, terms: dict[str, float], knots: tuple[float, ...]) -> dict[str, dict[str, float]]:
    """A sum less each of the knots, as signals ``name0``, ``name1``, ..., which `zigzag` makes a folded line of."""
    constant = "mask" if "mask" in terms else "one"
    return {f"{name}{index}": terms | {constant: terms.get(constant, 0.0) - knot} for index, knot in enumerate(knots)}


def knots(count: int, distance: float) -> tuple[float, ...]:
    """Evenly spaced ones around zero, an even number of them."""
    return tuple(distance * (index - (count - 1) / 2) for index in range(count))


def zigzag(name: str, turns: int, amount: float = 1.0) -> dict[str, float]:
    """The line that turns at every knot of a `fan`."""
    folded = {f"|{name}{index}|": amount * (-1) ** index for index in range(turns)}
    return folded | {f"{name}0": -amount / 2, f"{name}{turns - 1}": -amount / 2}  # the sum itself, without a knot


def hue_colours() -> Tensor:
    """What the cosine and the sine of a hue add to a grey of middle lightness, in sRGB from -1 to 1.  [2, 3]"""
    angle = torch.linspace(0, math.tau, 65)[:-1]
    tint = oklch_to_srgb(torch.full((64,), 0.63), torch.full((64,), 0.12), angle) * 2
    circle = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    return torch.linalg.lstsq(circle, tint - tint.mean(0)).solution


def ramps(builder: Builder, random: torch.Generator) -> list[Ramp]:
    def shares(terms: dict[str, float], *wanted: float) -> tuple[float, ...]:
        return builder.quantiles(terms, wanted)

    grey, hue = torch.ones(3), hue_colours()
    slope = 1 / float(builder.picture({"L": 1.0}).std())
    lit = builder.standard({"H": 1.0, "L": 0.9 * slope})
    veins = {"|R|": 1.0}
    v = shares(veins, 0.02, 0.14)
    zone = {"E": 1.0}
    painted = [
        Ramp(lit, shares(lit, 0.01, 0.2, 0.5, 0.8, 0.985), (-0.86, -0.68, -0.38, -0.02, 0.27), grey, Style(1)),
        Ramp({"L": slope}, (1.4, 4.0), (0, 0.3), grey, Style(1)),
        Ramp(veins, v, (0.3, 0), grey, Style(0.5)),
    ]
    for part in range(2):
        painted += [
            Ramp(lit, shares(lit, 0.03, 0.4, 0.75), (0.0, 0.82, 0.0), hue[part], Style(0, {HUE_LATENTS + part: 1.0})),
            Ramp(lit, shares(lit, 0.35, 0.8, 0.995), (0, 0.9, 0.0), hue[part], Style(0, {HUE_LATENTS + 2 + part: 1.0})),
            Ramp(veins, v, (0.45, 0), hue[part], Style(0, {HUE_LATENTS + 4 + part: 1.0})),
            Ramp(zone, shares(zone, 0.6, 0.9), (0, 0.45), hue[part], Style(0, {HUE_LATENTS + 4 + part: 1.0})),
        ]
    return painted


@torch.no_grad()
def make_generator(seed: int = SEED) -> StyleGAN2:
    """The generator, the same for the same seed."""
    torch.manual_seed(seed)  # the constant noise
    generator = StyleGAN2(CONFIG)
    for parameter in generator.parameters():
        parameter.zero_()
    # shadow hue, then the light's, the accent's: each a normal turn away from the one before
    mix = torch.tensor([[1.6, 0.0, 0.0, 0.0], [1.6, 0.6, 0.0, 0.0], [1.6, 0.3, 0.8, 0.0], [0.0, 0.0, 0.0, 1.0]])
    offset = torch.tensor([4.9, 4.9 + 1.8, 4.9 + 3.7, 1.2])
    write_mapping(generator, mix, offset)
    samples = torch.randn(10, CONFIG.mapping.z_dim, generator=torch.Generator().manual_seed(seed + 1))
    write_synthesis(generator, samples, seed + 2)
    many = torch.randn(8192, CONFIG.mapping.z_dim, generator=torch.Generator().manual_seed(seed + 3))
    generator.mapping.w_avg.copy_(generator.mapping(many)[:, 0].mean(dim=0))
    return generator


def draw_sheet(generator: StyleGAN2, path: Path, columns: int = 6, rows: int = 4) -> None:
    """Half-size pictures of seeds 0, 1, ..., row by row."""
    from PIL import Image

    size = CONFIG.resolution // 2
    sheet = Image.new("RGB", (columns * size, rows * size))
    for seed in range(columns * rows):
        z = torch.randn(1, CONFIG.mapping.z_dim, generator=torch.Generator().manual_seed(seed))
        picture = torch.nn.functional.avg_pool2d(generator.synthesis(generator.mapping(z)), 2)[0]
        pixels = ((picture * 0.5 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(pixels), (seed % columns * size, seed // columns * size))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=builtin_checkpoint("silk"), help="the file to write")
    parser.add_argument("--sheet", type=Path, help="where pictures of 24 seeds are drawn, as PNG")
    arguments = parser.parse_args()
    generator = make_generator()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    save_generator(generator, arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 2**20:.2f} MiB")
    if arguments.sheet:
        draw_sheet(generator, arguments.sheet)


if __name__ == "__main__":
    main()
