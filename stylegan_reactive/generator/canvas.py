# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of any width and height: at one layer the feature map is laid out anew on a larger or smaller grid.

A convolution does not ask how large its input is, so whatever follows that layer paints the whole grid. The earlier the
layer, the more the new room is filled with new content; the later, the more it is repeated or stretched.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .layers import whole

MODES = ("tile", "reflect", "stretch", "zero")


@dataclass(frozen=True)
class Canvas:
    """The size of the picture, and how the network is made to fill it.

    Attributes
    ----------
    width, height : int
        Of the picture, in pixels.
    layer : str
        The layer whose output is laid out anew; "input" is the learned constant (StyleGAN 3: the Fourier features,
        which are simply sampled further out).
    mode : str
        "tile" repeats the map, "reflect" mirrors it, "zero" surrounds it with nothing, "stretch" resizes it. What is
        smaller than the map is its middle, or all of it, shrunk, with "stretch".
    shrink_at : str or None
        For a quick preview: a layer whose output is shrunk, so that all that follows paints fewer pixels. The picture
        then has `share` of width and height. Only for a canvas that begins at the input.
    share : float
        Above 0, at most 1.
    """

    width: int
    height: int
    layer: str = "input"
    mode: str = "tile"
    shrink_at: str | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if not whole(getattr(self, name), 1, 16384):
                raise ValueError(f"a canvas has a {name} from 1 to 16384 px, not {getattr(self, name)!r}")
        if self.mode not in MODES:
            raise ValueError(f"a canvas is filled by one of {', '.join(MODES)}, not {self.mode!r}")
        if not 0 < self.share <= 1 or (self.shrink_at is None) != (self.share == 1):
            raise ValueError(
                f"a canvas is shrunk at a layer to a share below 1, not at {self.shrink_at} to {self.share}"
            )
        if self.shrink_at is not None and self.layer != "input":
            raise ValueError(f"a canvas that is shrunk begins at the input, not at {self.layer}")

    def grid(self, layer_size: tuple[int, int], resolution: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the laid-out map of a layer whose map usually has `layer_size`.

        The smallest grid that covers the picture; what it covers beyond is cut off at the end.
        """
        rows = -(-self.height * layer_size[0] // resolution[0])
        columns = -(-self.width * layer_size[1] // resolution[1])
        return max(1, rows), max(1, columns)

    def shrunk(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a map of this size after it was shrunk."""
        return max(1, round(size[0] * self.share)), max(1, round(size[1] * self.share))

    def crop(self, picture: Tensor) -> Tensor:
        """The middle of the picture, in the size asked for.  [..., h, w] -> [..., height, width]"""
        height, width = self.shrunk((self.height, self.width))
        top = (picture.shape[-2] - height) // 2
        left = (picture.shape[-1] - width) // 2
        return picture[..., max(0, top) : max(0, top) + height, max(0, left) : max(0, left) + width]


def lay_out(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """A feature map on another grid, centred.  [batch, channels, h, w] -> [batch, channels, *size]"""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if mode == "stretch":
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
    if mode == "zero":
        spare = [new - old for new, old in zip(size, x.shape[-2:], strict=True)]
        top, left = spare[0] // 2, spare[1] // 2
        return F.pad(x, (left, spare[1] - left, top, spare[0] - top))
    for dim, new in zip((-2, -1), size, strict=True):
        old = x.shape[dim]
        index = torch.arange(new, device=x.device) - (new - old) // 2
        if mode == "tile":
            index = index % old
        else:  # there and back, with the pixels at the border twice
            index = index % (2 * old)
            index = torch.minimum(index, 2 * old - 1 - index)
        x = x.index_select(dim, index)
    return x
