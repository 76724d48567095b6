# SPDX-License-Identifier: GPL-3.0-or-later
"""The sheet of pictures by which a training is judged: seeds beside the formula, and each role moved alone.

The same latents on every sheet, so that two sheets of one training can be laid side by side.
"""

from __future__ import annotations

import io

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from stylegan_reactive.generator import StyleGAN2

from .data import paint
from .latents import NOISE_DIM, Z_DIM, latents_of
from .networks import mixed_ws, roles
from .settings import Settings

SEED = 7701
COLUMNS = 8
LABEL_WIDTH = 76  # pixels
SMALLEST_CELL = 96  # smaller pictures are enlarged
DIFFERENCE_GAIN = 3  # of the pictures that show what noise does
GREY = (24, 24, 24)


@torch.no_grad()
def sheet(average: StyleGAN2, settings: Settings, size: int) -> Image.Image:
    """Seven labelled rows of eight pictures of the average network, as it paints `size` px."""
    device = average.device
    random = torch.Generator().manual_seed(SEED)
    seeds = torch.randn(2 * COLUMNS, Z_DIM, generator=random)
    others = torch.randn(3, COLUMNS, Z_DIM, generator=random).to(device)
    still = torch.randn(1, Z_DIM, generator=random).expand(COLUMNS, -1).to(device)
    chance = torch.randn(COLUMNS, NOISE_DIM, generator=random).to(device)
    maps = [
        [torch.randn(1, 1, *shape, generator=random).to(device) for shape in average.noise_shapes]
        for _ in range(COLUMNS // 2)
    ]
    seeds = seeds.to(device)
    counts = roles(settings, size)

    def painted(z_coarse: Tensor, z_medium: Tensor, z_fine: Tensor) -> Tensor:
        ws = mixed_ws((average.mapping(z)[:, 0] for z in (z_coarse, z_medium, z_fine)), counts)
        return torch.cat([average.synthesis(one[None], stop=size) for one in ws])

    first = seeds[:COLUMNS]
    ws = average.mapping(still[:1])
    drawn = torch.cat([average.synthesis(ws, noise, stop=size) for noise in maps])
    rows = {
        "formula": paint(settings.data, latents_of(first, first, first, chance), size),
        "seeds": painted(first, first, first),
        "more seeds": painted(*[seeds[COLUMNS:]] * 3),
        "coarse": painted(others[0], still, still),
        "medium": painted(still, others[1], still),
        "fine": painted(still, still, others[2]),
        "noise, and\nwhat it does": torch.cat([drawn, (drawn - drawn.mean(0)) * DIFFERENCE_GAIN]),
    }
    return arranged(rows, size)


def arranged(rows: dict[str, Tensor], size: int) -> Image.Image:
    """Rows of pictures [pictures, 3, size, size] with their labels."""
    cell = size * -(-SMALLEST_CELL // size)
    page = Image.new("RGB", (LABEL_WIDTH + COLUMNS * cell, len(rows) * cell), GREY)
    draw = ImageDraw.Draw(page)
    for row, (label, pictures) in enumerate(rows.items()):
        draw.text((4, row * cell + 4), label, fill="white")
        for column, picture in enumerate(pictures):
            tile = as_image(picture).resize((cell, cell), Image.Resampling.NEAREST)
            page.paste(tile, (LABEL_WIDTH + column * cell, row * cell))
    return page


def as_image(picture: Tensor) -> Image.Image:
    """A picture [3, h, w] of -1 to 1."""
    return Image.fromarray((picture.clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(1, 2, 0).cpu().numpy())


def png(page: Image.Image) -> bytes:
    """The page as a PNG file."""
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()
