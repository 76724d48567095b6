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
        "crop": as the artist sees it, filled and centred; "contain": all of it, centred, which may be smaller than
        the size on one axis; "stretch", and "canvas", which has the shape already: just so.

    Returns
    -------
    float tensor [1, channels, height, width]
        The same tensor where the size is right already.
    """
    width, height = size
    rows, columns = picture.shape[-2:]
    if (columns, rows) == (width, height):
        return picture
    if fit == "contain":
        scale = min(width / columns, height / rows)
        return resized(picture, min(height, max(1, round(rows * scale))), min(width, max(1, round(columns * scale))))
    if fit == "crop":
        scale = max(width / columns, height / rows)
        inner = (max(height, round(rows * scale)), max(width, round(columns * scale)))
        scaled = resized(picture, *inner)
        top, left = (inner[0] - height) // 2, (inner[1] - width) // 2
        return scaled[..., top : top + height, left : left + width]
    return resized(picture, height, width)


def linear_from_srgb(value: torch.Tensor) -> torch.Tensor:
    """IEC 61966-2-1, for values in 0..1."""
    return torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def display_rgba(picture: torch.Tensor, size: tuple[int, int], fit: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour [3, h, w] and alpha [1, h, w] of a picture in a size, sRGB, straight alpha, 0 to 1.

    It is resized with its colours multiplied by alpha: what is transparent has a colour, too, which must not bleed.
    """
    picture = picture.float()
    if picture.shape[1] not in (2, 4):
        color = ((fitted(picture, size, fit)[0] + 1) / 2).clamp(0, 1)
        return color.expand(3, -1, -1), torch.ones_like(color[:1])
    display = ((picture + 1) / 2).clamp(0, 1)
    if tuple(display.shape[-2:]) == (size[1], size[0]):
        color, alpha = display[0, :-1], display[0, -1:]
    else:
        display = fitted(torch.cat((display[:, :-1] * display[:, -1:], display[:, -1:]), dim=1), size, fit)
        alpha = display[0, -1:].clamp(0, 1)
        color = torch.where(alpha > 0, display[0, :-1] / alpha.clamp_min(1e-6), 0.0).clamp(0, 1)
    return color.expand(3, -1, -1), alpha


def to_blender(picture: torch.Tensor, size: tuple[int, int], fit: str = "stretch") -> torch.Tensor:
    """The picture as Blender's float image buffer wants it: the colours of its light, multiplied by alpha.

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
    color, alpha = display_rgba(picture, size, fit)
    rgba = torch.cat((linear_from_srgb(color) * alpha, alpha))
    if rgba.shape[1:] != (size[1], size[0]):
        above, left = (size[1] - rgba.shape[1]) // 2, (size[0] - rgba.shape[2]) // 2
        rgba = F.pad(rgba, (left, size[0] - rgba.shape[2] - left, above, size[1] - rgba.shape[1] - above))
    return rgba.flip(1).permute(1, 2, 0)


def to_bytes(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The picture cropped to a size, uint8 [height, width, 4], sRGB, straight alpha, top row first."""
    rgba = torch.cat(display_rgba(picture, size, "crop"))
    return (rgba * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
