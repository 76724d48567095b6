# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the built-in generator: a StyleGAN2 whose weights are written down instead of trained.

Nobody's pictures are in it. A formula for folded silk is put into the layers with `generator_builder`: smooth fields
from the coarse latents, folded over and over with offsets from the medium ones, give a height; three hues that depend
on the fine latents are painted over it, and a light from the upper left falls on it. All chance comes from `SEED`.

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
    builder = Builder(generator, ws)
    axis = torch.linspace(-0.75, 0.75, 4)
    y, x = torch.meshgrid(axis, axis, indexing="ij")

    # 4 px: smooth fields, sums of waves whose amounts are latents
    fields = {"F0": 14, "F1": 14, "F2": 10, "F3": 12, "F4": 10}
    constant = {"one": torch.ones(4, 4), "glow": (torch.cos(x * 1.35) * torch.cos(y * 1.35) * 2 - 1)}
    styles: dict[str, Style] = {}
    for name, waves in fields.items():
        for wave in range(waves):
            frequency = torch.randn(2, generator=random)
            frequency = frequency / frequency.norm() * (1.2 + 3.2 * wave / waves)
            phase = torch.rand(1, generator=random) * math.tau
            constant[f"{name}.{wave}"] = torch.sin(frequency[0] * x + frequency[1] * y + phase)
            styles[f"{name}.{wave}"] = Style(0.0, along(random, COARSE, 1.0))
    builder.start(constant)
    noise = (0.02, 0.02, 0.02, 0.015, 0.015, 0.012, 0.012, 0.006, 0.006, 0.003, 0.003, 0.002, 0.002, 0.0015, 0.0015)
    std = builder.standard
    outputs = {name: std({f"{name}.{wave}": 1.0 for wave in range(waves)}) for name, waves in fields.items()}
    builder.pairs(outputs | {"glow": {"glow": 1.0}}, styles, constants=("phase",), noise_strength=noise[0])
    coarse = lambda base, amount: Style(base, along(random, COARSE, amount))  # noqa: E731
    medium = lambda base, amount: Style(base, along(random, MEDIUM, amount))  # noqa: E731

    def keep(*names: str) -> dict[str, dict[str, float]]:
        return {name: {name: 1.0} for name in names}

    # 8 px
    everything = keep(*fields, "glow")
    builder.pairs(everything, {}, constants=(), noise_strength=noise[1])
    builder.mended(everything, {}, constants=("phase",), noise_strength=noise[2])
    # 16 px: the first folds
    builder.pairs(
        everything | {"S": std({"F1": 1.0}, 1.4) | {"phase": 1.0}, "T": std({"F4": 1.0, "F2": 0.7}, 1.4)},
        {"phase": coarse(0, 1)},
        noise_strength=noise[3],
    )
    builder.mended(
        keep("F0", "F2", "F3", "F4", "glow") | {"S": std({"|S|": 1.0}), "T": std({"|T|": 1.0})},
        {},
        constants=("phase", "phase2"),
        noise_strength=noise[4],
    )
    # 32 px: u, the folded sum
    builder.pairs(
        {
            "U": std({"F0": 1.0, "S": 0.9, "F2": 0.5}, 2.0) | {"phase": 1.0},
            "V": std({"F3": 1.0, "T": 1.0, "F0": 0.5}, 2.0) | {"phase2": 1.0},
            "E": std({"F4": 1.0, "F3": 0.5, "S": 0.4}),
            "glow": {"glow": 1.0},
        },
        {
            "F0": medium(1, 0.3),
            "S": medium(1, 0.5),
            "F2": medium(1, 0.4),
            "T": medium(1, 0.5),
            "phase": medium(0, 1),
            "phase2": medium(0, 1),
        },
        noise_strength=noise[5],
    )
    builder.mended(
        keep("U", "E", "glow") | {"H": std({"|U|": 1.0}), "V": std({"|V|": 1.0})},
        {},
        constants=("phase", "phase2"),
        noise_strength=noise[6],
    )
    # 64 px
    builder.pairs(
        keep("H", "E", "glow")
        | {
            "G": std({"H": 1.0, "V": 0.8, "E": 0.3}, 2.0) | {"phase": 1.0},
            "W": std({"V": 1.0, "U": 0.6}, 1.8) | {"phase2": 1.0},
        },
        {"V": medium(1, 0.5), "E": medium(1, 0.5), "phase": medium(0, 1), "phase2": medium(0, 1)},
        noise_strength=noise[7],
    )
    builder.mended(
        keep("H", "E", "glow") | {"G": std({"|G|": -1.0}), "W": std({"|W|": 1.0}), "rim": {"edge": 1.5 / CONSTANT}},
        {"G": medium(1, 0.3)},
        noise_strength=noise[8],
    )
    # 128 px
    builder.pairs(
        keep("H", "G", "W", "E", "glow", "rim") | {"B": std({"G": 1.0, "W": 0.5}, 2.0)},
        {},
        noise_strength=noise[9],
    )
    builder.mended(
        {
            "H": std({"H": 0.45, "G": 0.7, "|B|": -0.5, "glow": 0.5}),
            "B": std({"|B|": 1.0}),
            "E": std({"E": 0.8, "W": 0.5}),
            "rim": {"rim": 1.0},
        },
        {},
        noise_strength=noise[10],
    )
    # 256 px: what lies too low is folded up
    builder.pairs(
        keep("E", "rim") | {"H": std({"H": 1.0}, 1.0, 1.3), "B": std({"B": 2.0, "H": 0.5})},
        {},
        noise_strength=noise[11],
    )
    builder.mended(keep("E", "rim") | {"H": std({"|H|": 1.0, "|B|": -0.3})}, {}, noise_strength=noise[12])
    # 512 px: what lies too high is folded down; painting
    builder.pairs(keep("E", "rim") | {"H": std({"H": 1.0}, 1.0, -1.5)}, {}, noise_strength=noise[13])
    builder.paint(ramps(builder, random), {}, noise_strength=noise[14])


def ramps(builder: Builder, random: torch.Generator) -> list[Ramp]:
    fine = lambda amount: along(random, FINE, amount)  # noqa: E731
    angle = torch.linspace(0, math.tau, 65)[:-1]
    tint = oklch_to_srgb(torch.full((64,), 0.63), torch.full((64,), 0.12), angle) * 2
    circle = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    hue = torch.linalg.lstsq(circle, tint - tint.mean(0)).solution  # [2, 3]: sRGB of the cosine and the sine of a hue
    grey = torch.ones(3)
    height, accent = {"|H|": -1.0}, {"E": 1.0}
    h = dict(
        zip(
            (2, 12, 25, 50, 65, 80, 98),
            builder.quantiles(height, (0.02, 0.12, 0.25, 0.5, 0.65, 0.8, 0.98)),
            strict=True,
        )
    )
    e = dict(zip((50, 85), builder.quantiles(accent, (0.5, 0.85)), strict=True))
    painted = [Ramp(height, (h[2], h[25], h[65], h[98]), (-0.66, -0.37, -0.07, 0.22), grey, Style(1, fine(0.1)))]
    for part in range(2):
        painted += [
            Ramp(height, (h[2], h[25], h[65]), (0, 1.0, 0), hue[part], Style(0, {HUE_LATENTS + part: 1.0})),
            Ramp(
                height, (h[25], h[80], h[98] + 1.0), (0, 1.0, 0.1), hue[part], Style(0, {HUE_LATENTS + 2 + part: 0.7})
            ),
            Ramp(accent, (e[50], e[85]), (0, 0.42), hue[part], Style(0, {HUE_LATENTS + 4 + part: 1.0})),
        ]
    down = {"|H|": 1.0}
    painted += [
        Ramp(height, (-1.5, 4.0), (0, 0.36), grey, Style(1, fine(0.2)), light=True),
        Ramp(down, (-1.5, 4.0), (0, -0.36), grey, Style(1, fine(0.2)), light=True),
        Ramp(height, (1.5, 5.0), (0, 0.1), grey, Style(1, fine(0.25)), light=True),
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
    offset = torch.tensor([4.9, 4.9 + 1.4, 4.9 + 3.0, 1.2])
    write_mapping(generator, mix, offset)
    samples = torch.randn(12, CONFIG.mapping.z_dim, generator=torch.Generator().manual_seed(seed + 1))
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
