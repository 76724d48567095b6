# SPDX-License-Identifier: GPL-3.0-or-later
"""Feature maps read between their pixels and beyond their borders, blurred, and widened to their neighbours' maximum.

Rows and columns count from the middle of the first pixel, which is 0. Results have the shape of the map unless said
otherwise, and lie in memory with their channels last, where all this is several times faster on a CPU.

Papers: Keys, "Cubic convolution interpolation for digital image processing", 1981 (a = -1/2); Lindeberg, "Scale-space
for discrete signals", 1990 (the Gaussian of a row of pixels).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

BORDERS = ("reflect", "repeat", "wrap", "zero")

# Up to this many pixels a map is read with the cubic kernel. A pixel is then a visible part of the picture, and with
# the linear one whatever moves slowly would lose and regain its contrast with every pixel that it passes.
CUBIC_SIZE = 64


def fold(index: Tensor, size: int, border: str) -> Tensor:
    """The pixel inside a row of `size` pixels that stands for one outside of it.

    "reflect": the row is mirrored, its outermost pixels twice, as a `Canvas` does. "wrap": it begins anew.
    "repeat" and "zero": the nearest pixel; with "zero", see to it that it does not count.
    """
    if border == "reflect":
        index = index % (2 * size)
        return torch.minimum(index, 2 * size - 1 - index)
    return index % size if border == "wrap" else index.clamp(0, size - 1)


def extend(x: Tensor, dim: int, amount: int, border: str) -> Tensor:
    """A map with `amount` more pixels before and after, along rows (dim 2) or columns (dim 3)."""
    if border == "zero":
        edges = (0, 0, amount, amount) if dim == 2 else (amount, amount, 0, 0)
        return F.pad(x, edges).contiguous(memory_format=torch.channels_last)
    index = torch.arange(-amount, x.shape[dim] + amount, device=x.device)
    return x.index_select(dim, fold(index, x.shape[dim], border)).contiguous(memory_format=torch.channels_last)


def linear_weights(fraction: Tensor) -> list[tuple[int, Tensor]]:
    """Which neighbours, counted from the pixel before, count how much."""
    return [(0, 1 - fraction), (1, fraction)]


def cubic_weights(fraction: Tensor) -> list[tuple[int, Tensor]]:
    """The same for the cubic kernel, which goes through the pixels and is right for whatever is quadratic."""
    t = fraction
    return [
        (-1, ((-0.5 * t + 1.0) * t - 0.5) * t),
        (0, (1.5 * t - 2.5) * t * t + 1.0),
        (1, ((-1.5 * t + 2.0) * t + 0.5) * t),
        (2, (0.5 * t - 0.5) * t * t),
    ]


def read_at(x: Tensor, rows: Tensor, columns: Tensor, border: str) -> Tensor:
    """What a map has at these places.

    Parameters
    ----------
    x : Tensor
        [batch, channels, h, w], float32 or float64.
    rows, columns : Tensor
        [h', w'], or [h', 1] and [1, w'], in pixels; whole numbers give exactly what is there.
    border : str
        What lies beyond, of `BORDERS`.

    Returns
    -------
    Tensor
        [batch, channels, h', w'].
    """
    batch, channels, height, width = x.shape
    kernel = cubic_weights if max(height, width) <= CUBIC_SIZE else linear_weights
    down = neighbours(rows, height, border, kernel, x.dtype)
    right = neighbours(columns, width, border, kernel, x.dtype)
    shape = torch.broadcast_shapes(rows.shape, columns.shape)
    index = torch.stack([(r * width + c).expand(shape).flatten() for r, _ in down for c, _ in right], dim=1)
    weight = torch.stack([(a * b).expand(shape).flatten() for _, a in down for _, b in right], dim=1)
    pixels = x.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
    read = torch.stack([weighted_sum(sample, index, weight) for sample in pixels])
    return read.reshape(batch, *shape, channels).permute(0, 3, 1, 2)


def neighbours(
    places: Tensor,
    size: int,
    border: str,
    kernel: Callable[[Tensor], list[tuple[int, Tensor]]],
    dtype: torch.dtype,
) -> list[tuple[Tensor, Tensor]]:
    """For places along one direction, the pixels to read and what each counts."""
    before = places.floor()
    result = []
    for offset, weight in kernel((places - before).to(dtype)):
        index = before.long() + offset
        if border == "zero":
            weight = weight * ((index >= 0) & (index < size))
        result.append((fold(index, size, border), weight))
    return result


def weighted_sum(pixels: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """For each place, the sum of some pixels.  [pixels, channels], [places, taps] twice -> [places, channels]"""
    if pixels.device.type in ("cpu", "cuda"):  # one kernel, five times as fast as the loop
        return F.embedding_bag(index, pixels, per_sample_weights=weight, mode="sum")
    taps = [pixels.index_select(0, index[:, tap]) * weight[:, tap, None] for tap in range(index.shape[1])]
    return torch.stack(taps).sum(dim=0)


def gaussian(deviation: float) -> Tensor:
    """The Gaussian of a row of pixels; its standard deviation is right however small.  [taps], float64, sum one

    Its Fourier transform is ``exp(deviation ** 2 * (cos - 1))``. A sampled Gaussian would do nothing below a third of
    a pixel and then set in.
    """
    reach = math.ceil(4 * deviation) + 3
    taps = 2 * reach + 1
    angle = torch.arange(reach + 1, dtype=torch.float64) * (2 * math.pi / taps)
    return torch.fft.irfft(torch.exp(deviation**2 * (angle.cos() - 1)), n=taps).roll(reach)


def blur(x: Tensor, rows: float, columns: float, border: str) -> Tensor:
    """A map with each pixel spread out by these standard deviations, in pixels."""
    for dim, deviation in ((2, rows), (3, columns)):
        if deviation > 0:
            taps = gaussian(deviation).to(x.device, x.dtype)
            x = extend(x, dim, len(taps) // 2, border)
            weight = taps[:, None] if dim == 2 else taps[None]
            x = F.conv2d(x, weight.expand(x.shape[1], 1, *weight.shape), groups=x.shape[1])
    return x


def largest_within(x: Tensor, radius: float, border: str) -> Tensor:
    """For each pixel the largest of those within a radius, in pixels.

    The disc is a regular octagon: a square widened along both diagonals, which is quick at any radius. Between two
    whole sizes it is a blend of both, so that the result follows the radius without a jump.
    """
    straight = radius * math.tan(math.pi / 8)  # half of an edge
    for direction in ((1, 0), (0, 1)):
        x = largest_along(x, direction, straight, border)
    for direction in ((1, 1), (1, -1)):
        x = largest_along(x, direction, (radius - straight) / 2, border)
    return x


def largest_along(x: Tensor, direction: tuple[int, int], reach: float, border: str) -> Tensor:
    """The largest in a line through each pixel, of `reach` steps down and right in this direction and as many back."""
    lower = math.floor(reach)
    for dim, step in zip((2, 3), direction, strict=True):
        if step:
            x = extend(x, dim, lower + 1, border)
    narrower = running_maximum(x, direction, 2 * lower + 1)  # one more line than the map at either side
    near, middle, far = (moved(narrower, direction, steps, 2) for steps in (0, 1, 2))
    return torch.lerp(middle, torch.maximum(torch.maximum(near, far), middle), reach - lower)


def running_maximum(x: Tensor, direction: tuple[int, int], length: int) -> Tensor:
    """The largest of each `length` pixels in a line; the map loses as many less one. Its cost is its logarithm."""
    done = 1
    while done < length:
        jump = min(done, length - done)
        x = torch.maximum(moved(x, direction, 0, jump), moved(x, direction, jump, jump))
        done += jump
    return x


def moved(x: Tensor, direction: tuple[int, int], steps: int, most: int) -> Tensor:
    """The map from some steps on in this direction, cut to what there is of it for any number of steps up to `most`."""
    for dim, step in zip((2, 3), direction, strict=True):
        if step:
            x = x.narrow(dim, steps if step > 0 else most - steps, x.shape[dim] - most)
    return x
