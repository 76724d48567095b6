# SPDX-License-Identifier: GPL-3.0-or-later
"""The small operations that all StyleGANs share: linear layers, normalisation, filters. Plain PyTorch.

Paper: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019,
https://arxiv.org/abs/1812.04948.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2)
LARGEST_TAP = 1e6  # of a filter, as it is stored and as it is used; published ones have about 10


def whole(value: object, lowest: int, highest: int) -> bool:
    """Whether a value from a file is an integer of this range (True is none)."""
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def positive(value: object) -> bool:
    """Whether a value from a file is a finite number above zero (whole ones can be too large for a float)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= sys.float_info.max


def power_of_two(value: object, lowest: int, highest: int) -> bool:
    """Whether a value from a file is a power of two of this range."""
    return whole(value, lowest, highest) and isinstance(value, int) and value & (value - 1) == 0


def channels_are_possible(channels: object, resolution: int) -> bool:
    """Whether a value from a file is a tuple with a number of channels for each of 4, 8, ..., resolution."""
    if not isinstance(channels, tuple) or not all(whole(count, 1, 65536) for count in channels):
        return False
    return resolution == 2 << len(channels)


def filter_is_possible(taps: object, fewest: int, most: int) -> bool:
    """Whether a value from a file is a tuple of so many taps that can be scaled to a sum of one."""
    if not isinstance(taps, tuple) or not fewest <= len(taps) <= most:
        return False
    if not all(isinstance(tap, int | float) and abs(tap) <= LARGEST_TAP for tap in taps):
        return False
    return max(map(abs, taps)) <= LARGEST_TAP * abs(sum(taps)) and sum(taps) != 0


def check_config(config: object, checks: dict[str, bool]) -> None:
    """Raise a ValueError that names the first field of a configuration whose check failed."""
    for name, good in checks.items():
        if not good:
            raise ValueError(f"{name} = {getattr(config, name)!r} is not possible for a {type(config).__name__[:-6]}")


@contextmanager
def single_precision() -> Iterator[None]:
    """Within it convolutions are as exact on a CUDA device as elsewhere; around a function: ``@single_precision()``.

    By default cuDNN rounds what float32 convolutions read to ten bits (TF32), an error of a thousandth per layer.
    """
    with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
        yield


def normalise_second_moment(x: Tensor) -> Tensor:
    """Scale each row to a mean square of one.  [batch, features] -> [batch, features]"""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def filter_kernel(taps: Sequence[float]) -> Tensor:
    """The two-dimensional low-pass filter with these taps, its sum one.  [taps, taps]"""
    row = [tap / sum(taps) for tap in taps]
    return torch.tensor([[first * second for second in row] for first in row], dtype=torch.float32)


def filter_channels(x: Tensor, kernel: Tensor, padding: tuple[int, int]) -> Tensor:
    """Convolve every channel with one kernel [taps, taps]; padding (before, after) with zeros, in both directions."""
    before, after = padding
    if before != after:
        x = F.pad(x, (before, after, before, after))
        before = 0
    weight = kernel.flip(0, 1).expand(x.shape[1], 1, *kernel.shape)
    return F.conv2d(x, weight.to(x.dtype), padding=before, groups=x.shape[1])


def upsample(image: Tensor, kernel: Tensor) -> Tensor:
    """Twice the size: zeros between the pixels, then the filter.  [batch, channels, h, w] -> [.., .., 2h, 2w]"""
    channels, taps = image.shape[1], kernel.shape[0]
    weight = (4 * kernel).expand(channels, 1, taps, taps).to(image.dtype)
    image = F.conv_transpose2d(image, weight, stride=2, groups=channels)  # [.., .., 2h - 2 + taps, 2w - 2 + taps]
    # The zero-inserted picture is 2h wide and padded by (taps + 1) // 2 before and (taps - 2) // 2 after; a transposed
    # convolution pads by taps - 1 on either side and lacks the last row of zeros.
    before, after = taps - 1 - (taps + 1) // 2, taps - 2 - (taps - 2) // 2
    if before == after:
        return image[..., before : image.shape[-2] - after, before : image.shape[-1] - after]
    return F.pad(image, (-before, -after, -before, -after))


class FullyConnected(nn.Module):
    """A linear layer with equalised learning rate: the stored weight is scaled when it is used.

    ``x @ (weight * lr / sqrt(features_in)).T + bias * lr``, then the leaky rectifier times the square root of two if
    `activate`.
    """

    def __init__(
        self, features_in: int, features_out: int, *, activate: bool, lr: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        # In place, for a quotient without values (device "meta") would make torch load its compiler, for a second.
        self.weight = nn.Parameter(torch.randn(features_out, features_in).div_(lr))
        self.bias = nn.Parameter(torch.full((features_out,), bias))
        self.weight_gain = lr / math.sqrt(features_in)
        self.bias_gain = lr
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        x = torch.addmm(self.bias, x, self.weight.T, beta=self.bias_gain, alpha=self.weight_gain)
        return F.leaky_relu(x, LRELU_SLOPE) * LRELU_GAIN if self.activate else x
