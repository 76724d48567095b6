# SPDX-License-Identifier: GPL-3.0-or-later
"""From the generator's picture to the memory that Blender reads: float32 RGBA, scene-linear, bottom row first."""

import torch
import torch.nn.functional as F


def resized(picture: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A picture [1, channels, h, w] in another size; the same tensor where it has that size already."""
    if tuple(picture.shape[-2:]) == (height, width):
        return picture
    return F.interpolate(picture, size=(height, width), mode="bicubic", align_corners=False, antialias=True)


def fitted(picture: torch.Tensor, size: tuple[int, int], fit: str) -> torch.Tensor:
    """A picture in a size that may have another shape.

    Parameters
    ----------
    picture : float tensor [1, channels, h, w]
    size : (int, int)
        Width and height in pixels.
    fit : str
        "stretch" to the size; "crop": as the artist sees it, filled and centred; "contain": all of it, centred, the
        result may be smaller than the size on one axis.

    Returns
    -------
    float tensor [1, channels, height, width]
        The same tensor where the size is right already.
    """
    width, height = size
    rows, columns = picture.shape[-2:]
    if (columns, rows) == (width, height):
        return picture
    if fit == "stretch":
        return resized(picture, height, width)
    if fit == "contain":
        scale = min(width / columns, height / rows)
        return resized(picture, min(height, max(1, round(rows * scale))), min(width, max(1, round(columns * scale))))
    scale = max(width / columns, height / rows)
    inner = (max(height, round(rows * scale)), max(width, round(columns * scale)))
    scaled = resized(picture, *inner)
    top, left = (inner[0] - height) // 2, (inner[1] - width) // 2
    return scaled[..., top : top + height, left : left + width]


def linear_from_srgb(value: torch.Tensor) -> torch.Tensor:
    """IEC 61966-2-1, for values in 0..1."""
    return torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def to_blender(picture: torch.Tensor, size: tuple[int, int], fit: str = "stretch") -> torch.Tensor:
    """The picture as Blender's float image buffer wants it.

    Parameters
    ----------
    picture : float tensor [1, channels, h, w]
        About -1..1, sRGB; 1 (grey), 2 (grey and alpha), 3 or 4 channels.
    size : (int, int)
        Width and height in pixels.
    fit : str
        See `fitted`; the bars of "contain" are transparent black.

    Returns
    -------
    float32 tensor [height, width, 4] on the picture's device
    """
    display = ((fitted(picture.float(), size, fit)[0] + 1) / 2).clamp(0, 1)
    alpha = display[-1:] if len(display) in (2, 4) else torch.ones_like(display[:1])
    color = display[:3] if len(display) >= 3 else display[:1].expand(3, -1, -1)
    rgba = torch.cat((linear_from_srgb(color) * alpha, alpha))  # associated alpha, as Blender's float images
    if rgba.shape[1:] != (size[1], size[0]):
        above, left = (size[1] - rgba.shape[1]) // 2, (size[0] - rgba.shape[2]) // 2
        rgba = F.pad(rgba, (left, size[0] - rgba.shape[2] - left, above, size[1] - rgba.shape[1] - above))
    return rgba.flip(1).permute(1, 2, 0)
