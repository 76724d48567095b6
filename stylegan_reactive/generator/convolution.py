# SPDX-License-Identifier: GPL-3.0-or-later
"""3x3 convolutions of one picture on a CPU, by several algorithms that give the same; the shape decides the quickest.

A strip of a feature map is a tensor [rows, width, channels], so that the channels of a pixel lie side by side. What a
convolution reads has a border of one pixel all around ([rows + 2, width + 2, channels]); what lies outside the picture
is zero there.

direct
    The weights are multiplied by the style and the demodulation of this picture (Karras et al., CVPR 2020, equations 1
    and 3): cheap where there are few channels and many pixels. The library reorders them at each call.
packed
    The weights lie in the library's own order, once and for all; the style multiplies what is read and the demodulation
    what is written: cheap where there are many channels and few pixels.
winograd
    F(4x4, 3x3): each 4x4 pixels are computed from 36 products in place of 144 per pair of channels. Lavin and Gray,
    "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, https://arxiv.org/abs/1509.09308.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .workspace import Workspace

SAME_ALGORITHMS = ("direct", "packed", "winograd")
UP_ALGORITHMS = ("direct", "packed")
TILE = 4  # pixels that Winograd's algorithm computes at once, in each direction
POINTS = TILE + 2

# The filter at the points 0, 1, -1, 2, -2 and infinity.  [points, taps]
FILTER_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def as_map(rows: Tensor) -> Tensor:
    """[rows, width, channels] -> [1, channels, rows, width], the same memory (channels last)."""
    return rows[None].permute(0, 3, 1, 2)  # in this order: torch looks at the stride of the batch, too


def as_rows(feature_map: Tensor) -> Tensor:
    """[1, channels, rows, width] -> [rows, width, channels], the same memory if its channels lie last."""
    return feature_map[0].permute(1, 2, 0).contiguous()


@dataclass(frozen=True)
class Modulation:
    """What one picture's w makes of a layer: ``out = factor * convolution(styles * x) + offset``.

    Attributes
    ----------
    styles : Tensor
        [channels_in].
    factor, offset : Tensor
        [channels_out]; the demodulation and the bias, the activation's gain included.
    """

    styles: Tensor
    factor: Tensor
    offset: Tensor


@dataclass(frozen=True)
class Ready:
    """A convolution for one picture.

    Attributes
    ----------
    scale : Tensor or None
        [channels_in]: what it reads must have been multiplied by this.
    run : callable
        Padded strip [rows + 2, width + 2, channels_in] -> new strip [rows, width, channels_out], which may be
        changed in place and holds until the next call. An upsampling convolution reads a strip without a border and
        gives [2 rows + 1, 2 width + 1, channels_out], without factor and offset.
    """

    scale: Tensor | None
    run: Callable[[Tensor], Tensor]


# --------------------------------------------------------------------------------------------- the library's own order


def mkldnn_works() -> bool:
    """Whether the operations that read packed weights are there; they are private to torch, so they are tried."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):  # type: ignore[attr-defined]
        return False
    try:
        x = torch.ones(1, 16, 4, 4).contiguous(memory_format=torch.channels_last)
        same, up = pack_same(torch.ones(16, 16, 3, 3), (4, 4)), pack_up(torch.ones(16, 16, 3, 3), (4, 4))
        linear = pack_linear(torch.ones(16, 16), 8)
        good = convolve_packed(x, same)[0, 0, 0, 0] == 144 and transpose_packed(x, up).shape[2] == 9
        return bool(good and multiply_packed(torch.ones(8, 16), linear)[0, 0] == 16)
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):
        return False


def pack_same(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights [channels_out, channels_in, 3, 3] for `convolve_packed` of a padded map of about this size."""
    shape = [1, weight.shape[1], *size]
    reorder = torch._C._nn.mkldnn_reorder_conv2d_weight
    return reorder(weight.detach().to_mkldnn(), [0, 0], [1, 1], [1, 1], 1, shape)  # type: ignore[call-arg]


def convolve_packed(x: Tensor, packed: Tensor) -> Tensor:
    """Convolve a padded map with weights from `pack_same`."""
    return torch.ops.mkldnn._convolution_pointwise(x, packed, None, [0, 0], [1, 1], [1, 1], 1, "none", [], "")


def pack_up(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights [channels_out, channels_in, 3, 3] for `transpose_packed` of a map of about this size."""
    turned = weight.detach().transpose(0, 1).contiguous()
    shape = [1, weight.shape[1], *size]
    return torch.ops.mkldnn._reorder_convolution_transpose_weight(turned, [0, 0], [0, 0], [2, 2], [1, 1], 1, shape)


def transpose_packed(x: Tensor, packed: Tensor) -> Tensor:
    """Upsample a map by a transposed convolution of stride 2 with weights from `pack_up`."""
    return torch.ops.mkldnn._convolution_transpose_pointwise(
        x, packed, None, [0, 0], [0, 0], [2, 2], [1, 1], 1, "none", [], ""
    )


def pack_linear(weight: Tensor, rows: int) -> Tensor:
    """Weights [features_out, features_in] for `multiply_packed` of about so many rows."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)


def multiply_packed(x: Tensor, packed: Tensor) -> Tensor:
    """[rows, features_in] -> [rows, features_out], with weights from `pack_linear`."""
    return torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")


# ------------------------------------------------------------------------------------------------- a layer of its size


def direct_same(weight: Tensor, modulation: Modulation) -> Ready:
    """The 3x3 convolution with the weights of this picture."""
    factor = modulation.factor[:, None, None, None]
    weight = (weight * modulation.styles[:, None, None] * factor).contiguous(memory_format=torch.channels_last)
    return Ready(None, lambda padded: as_rows(F.conv2d(as_map(padded), weight, modulation.offset)))


def direct_up(weight: Tensor, modulation: Modulation) -> Ready:
    """The upsampling convolution with the weights of this picture, the demodulation left to the filter."""
    turned = (weight * modulation.styles[:, None, None]).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    return Ready(None, lambda strip: as_rows(F.conv_transpose2d(as_map(strip), turned, stride=2)))


def packed_same(packed: Tensor, modulation: Modulation) -> Ready:
    """The 3x3 convolution with weights from `pack_same`."""

    def run(padded: Tensor) -> Tensor:
        strip = as_rows(convolve_packed(as_map(padded), packed))
        return torch.addcmul(modulation.offset, strip, modulation.factor, out=strip)

    return Ready(modulation.styles, run)


def packed_up(packed: Tensor, modulation: Modulation) -> Ready:
    """The upsampling convolution with weights from `pack_up`."""
    return Ready(modulation.styles, lambda strip: as_rows(transpose_packed(as_map(strip), packed)))


# ------------------------------------------------------------------------------------------------------------ Winograd


@dataclass(frozen=True)
class WinogradWeights:
    """The 36 matrices of a 3x3 convolution, in the library's order (`packed`) or as [36, channels_in, channels_out]."""

    channels_out: int
    packed: tuple[Tensor, ...]
    plain: Tensor | None


def winograd_weights(weight: Tensor, tiles: int, pack: bool) -> WinogradWeights:
    """Transform weights [channels_out, channels_in, 3, 3] for strips of about so many tiles."""
    transform = torch.tensor(FILTER_TRANSFORM, dtype=torch.float64)
    parts = torch.empty(POINTS, POINTS, *weight.shape[:2])
    for start in range(0, len(weight), 64):  # in parts, since float64 takes much memory
        some = weight[start : start + 64].detach().double()
        parts[:, :, start : start + 64] = torch.einsum("ia,ocab,jb->ijoc", transform, some, transform)
    parts = parts.flatten(0, 1)
    if pack:
        return WinogradWeights(len(weight), tuple(pack_linear(part, tiles) for part in parts), None)
    return WinogradWeights(len(weight), (), parts.transpose(1, 2).contiguous())


def winograd_same(weights: WinogradWeights, modulation: Modulation, room: Workspace) -> Ready:
    """The 3x3 convolution; width and rows of the strips must be multiples of 4."""

    def run(padded: Tensor) -> Tensor:
        strip = winograd(padded, weights, room)
        return torch.addcmul(modulation.offset, strip, modulation.factor, out=strip)

    return Ready(modulation.styles, run)


def winograd(padded: Tensor, weights: WinogradWeights, room: Workspace) -> Tensor:
    """Convolve a padded strip.  [rows + 2, width + 2, channels_in] -> [rows, width, channels_out]"""
    rows, width, channels = padded.shape[0] - 2, padded.shape[1] - 2, padded.shape[2]
    down, across, channels_out = rows // TILE, width // TILE, weights.channels_out
    # Along the rows, then along the columns; each view steps over the tiles.
    columns = [padded[:, j : j + width - TILE + 1 : TILE] for j in range(POINTS)]
    half = room.take("winograd a", POINTS, rows + 2, across, channels)
    transform_input(columns, half, room)
    lines = [half[:, i : i + rows - TILE + 1 : TILE] for i in range(POINTS)]
    tiles = room.take("winograd b", POINTS, POINTS, down, across, channels)
    transform_input(lines, tiles, room)
    products = multiply(tiles.view(POINTS**2, down * across, channels), weights, room)
    products = products.view(POINTS, POINTS, down, across, channels_out)
    half = room.take("winograd a", POINTS, rows, across, channels_out)
    transform_output(products, [half[:, i::TILE] for i in range(TILE)], room)
    strip = room.take("winograd d", rows, width, channels_out)
    transform_output(half, [strip[:, j::TILE] for j in range(TILE)], room)
    return strip


def multiply(tiles: Tensor, weights: WinogradWeights, room: Workspace) -> Tensor:
    """The 36 matrix products.  [36, tiles, channels_in] -> [36, tiles, channels_out]"""
    products = room.take("winograd c", *tiles.shape[:2], weights.channels_out)
    if weights.plain is not None:
        return torch.bmm(tiles, weights.plain, out=products)
    for product, tile, packed in zip(products, tiles, weights.packed, strict=True):
        product.copy_(multiply_packed(tile, packed))
    return products


def transform_input(x: Sequence[Tensor], out: Tensor, room: Workspace) -> None:
    """Six pixels in a line to the values at the six points, which are written to out[0] ... out[5]."""
    a, b = room.take("winograd t", 2, *out.shape[1:])
    torch.sub(x[4], x[2], alpha=4, out=a)
    torch.sub(x[3], x[1], alpha=4, out=b)
    torch.add(a, b, out=out[1])
    torch.sub(a, b, out=out[2])
    torch.sub(x[4], x[2], out=a)
    torch.sub(x[3], x[1], out=b)
    torch.add(a, b, alpha=2, out=out[3])
    torch.sub(a, b, alpha=2, out=out[4])
    torch.sub(x[0], x[2], out=out[0])
    torch.add(a, out[0], alpha=4, out=out[0])  # 4 x0 - 5 x2 + x4
    torch.sub(x[5], x[3], out=out[5])
    out[5].sub_(b, alpha=4)  # 4 x1 - 5 x3 + x5


def transform_output(x: Tensor, out: Sequence[Tensor], room: Workspace) -> None:
    """The values x[0] ... x[5] at the six points to four pixels in a line, which are written to out."""
    a, b, c, d = room.take("winograd t", 4, *x.shape[1:])
    torch.add(x[1], x[2], out=a)
    torch.sub(x[1], x[2], out=b)
    torch.add(x[3], x[4], out=c)
    torch.sub(x[3], x[4], out=d)
    torch.add(b, d, alpha=2, out=out[1])
    torch.add(a, c, alpha=4, out=out[2])
    b.add_(d, alpha=8)
    torch.add(b, x[5], out=out[3])
    a.add_(c)
    torch.add(a, x[0], out=out[0])
