# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the built-in networks for docs/networks.md: seeds, what each kind of layer changes, and ways between seeds.

python tools/draw_networks.py        writes docs/networks/NAME_seeds.jpg, NAME_roles.jpg and NAME_path.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from stylegan_reactive.builtin_networks import BUILTIN_NETWORKS  # noqa: E402
from stylegan_reactive.generator import Generator, load_generator  # noqa: E402

FOLDER = ROOT / "docs" / "networks"
MOST_BYTES = 400_000
LAYERS = (slice(0, 5), slice(5, 9), slice(9, None))  # ws up to 16 px, of 32 and 64 px, from 128 px on
BASES = (5, 12)  # seeds whose layers are exchanged


def latent(generator: Generator, seed: int) -> Tensor:
    """The ws of a seed, without truncation."""
    return generator.mapping(torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(seed)))


def noise(generator: Generator, seed: int) -> list[Tensor | None]:
    """Other noise than the network's own, for all layers."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 1, *size, generator=random) for size in generator.noise_shapes]


def painted(generator: Generator, ws: Tensor, side: int, maps: list[Tensor | None] | None = None) -> Image.Image:
    """A picture, made smaller."""
    picture = generator.synthesis(ws, "const" if maps is None else maps)[0]
    pixels = ((picture * 0.5 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)


def sheet(pictures: list[Image.Image], columns: int, path: Path) -> None:
    """Pictures row by row, as a JPEG of the best quality that is not too large."""
    side = pictures[0].width
    whole = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * side))
    for index, picture in enumerate(pictures):
        whole.paste(picture, (index % columns * side, index // columns * side))
    for quality in range(92, 40, -4):
        whole.save(path, quality=quality, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            break
    print(f"{path.relative_to(ROOT)}: {whole.width} x {whole.height}, {path.stat().st_size // 1000} kB")


def draw_seeds(generator: Generator, path: Path) -> None:
    """Seeds 0 to 23."""
    sheet([painted(generator, latent(generator, seed), 224) for seed in range(24)], 6, path)


def draw_roles(generator: Generator, path: Path) -> None:
    """A row each for coarse, medium, fine layers and noise: two pictures, each followed by three changed ones."""
    pictures = []
    for layers in LAYERS:
        for base in BASES:
            for other in range(4):
                ws = latent(generator, base).clone()
                if other:
                    ws[:, layers] = latent(generator, 100 * base + other)[:, layers]
                pictures.append(painted(generator, ws, 168))
    for base in BASES:
        pictures += [painted(generator, latent(generator, base), 168, noise(generator, other)) for other in range(4)]
    sheet(pictures, 8, path)


def draw_path(generator: Generator, path: Path) -> None:
    """The straight way in w from one seed to another, in eight steps, for three pairs."""
    pictures = []
    for first, last in ((5, 23), (15, 12), (4, 1)):
        here, there = latent(generator, first), latent(generator, last)
        pictures += [painted(generator, here.lerp(there, step / 7), 168) for step in range(8)]
    sheet(pictures, 8, path)


@torch.no_grad()
def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for network in BUILTIN_NETWORKS:
        generator = load_generator(network.path)
        draw_seeds(generator, FOLDER / f"{network.name}_seeds.jpg")
        draw_roles(generator, FOLDER / f"{network.name}_roles.jpg")
        draw_path(generator, FOLDER / f"{network.name}_path.jpg")


if __name__ == "__main__":
    main()
