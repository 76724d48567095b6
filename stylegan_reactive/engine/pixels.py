# SPDX-License-Identifier: GPL-3.0-or-later
"""From the generator's picture to the memory that Blender reads: float32 RGBA, scene-linear, bottom row first."""

import torch
import torch.nn.functional as F


def fit(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Scale and crop a picture so that it covers a size, as the artist sees it: centred, nothing stretched.

    Parameters
    ----------
    picture : float tensor [1, channels, h, w]
    size : (int, int)
        Width and height in pixels.

    Returns
    -------
    float tensor [1, channels, height, width]
        The same tensor where the size is right already.
    """
    width, height = size
    rows, columns = picture.shape[-2:]
    if (columns, rows) == (width, height):
        return picture
    scale = max(width / columns, height / rows)
    inner = (max(height, round(rows * scale)), max(width, round(columns * scale)))
    scaled = F.interpolate(picture, size=inner, mode="bicubic", align_corners=False, antialias=True)
    top, left = (inner[0] - height) // 2, (inner[1] - width) // 2
    return scaled[..., top : top + height, left : left + width]


def linear_from_srgb(value: torch.Tensor) -> torch.Tensor:
    """IEC 61966-2-1, for values in 0..1."""
    return torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def to_blender(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The picture as Blender's float image buffer wants it.

    Parameters
    ----------
    picture : float tensor [1, channels, h, w]
        About -1..1, sRGB; 1 (grey), 2 (grey and alpha), 3 or 4 channels.
    size : (int, int)
        Width and height in pixels; the picture is cropped to cover it.

    Returns
    -------
    float32 tensor [height, width, 4] on the picture's device
    """
    display = ((fit(picture.float(), size)[0] + 1) / 2).clamp(0, 1)
    alpha = display[-1:] if len(display) in (2, 4) else torch.ones_like(display[:1])
    color = display[:3] if len(display) >= 3 else display[:1].expand(3, -1, -1)
    rgba = torch.cat((linear_from_srgb(color) * alpha, alpha))  # associated alpha, as Blender's float images
    return rgba.flip(1).permute(1, 2, 0)
