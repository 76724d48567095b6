# SPDX-License-Identifier: GPL-3.0-or-later
"""The two networks: the project's own StyleGAN2, made trainable, and a residual discriminator.

Paper: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, https://arxiv.org/abs/1912.04958.
Both have equalised learning rates: weights are drawn with a deviation of one and scaled where they are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_reactive.generator import StyleGAN2
from stylegan_reactive.generator.canvas import Canvas
from stylegan_reactive.generator.controls import Controls
from stylegan_reactive.generator.half_precision import HalfWeight, half_weight
from stylegan_reactive.generator.layers import (
    LRELU_GAIN,
    LRELU_SLOPE,
    FullyConnected,
    filter_channels,
    filter_kernel,
    normalise_second_moment,
)
from stylegan_reactive.generator.stylegan2 import StyleGAN2Synthesis

from .settings import Settings

FEWEST_FINE = 3  # layers that read the fine w while the network is still small: its last block
FIRST_COLOURS = 0.01  # of what larger blocks add at first, so that growing does not disturb
GROUP = 4  # pictures whose spread the discriminator sees


def roles(settings: Settings, size: int) -> tuple[int, int, int]:
    """How many layers read the coarse, the medium and the fine w while the network paints `size` px.

    In the finished network they are those of the panel's Coarse, Medium and Fine; from 256 px on: up to 16 px, 32 and
    64 px, and the rest. A network that is stopped earlier would have no layers left for colour, so its last block has.
    """
    depth = len(settings.resolutions)
    first, second = (3, 5) if depth >= 7 else (round(depth / 3), round(2 * depth / 3))  # blocks
    used = 2 * settings.resolutions.index(size) + 2
    coarse, medium_end = 2 * first - 1, 2 * second - 1
    medium_end = max(coarse + 1, min(medium_end, used - FEWEST_FINE))
    return coarse, medium_end - coarse, 2 * depth - medium_end


class TrainableSynthesis(StyleGAN2Synthesis):
    """The same network, whose gradients pass through bfloat16: it has the range of float32, so none gets lost."""

    def in_half(self, resolution: float) -> bool:
        return self.half_dtype is not None and resolution >= self.half_from

    def half_weight(self, layer: str, weight: Tensor, dtype: torch.dtype, controls: Controls) -> HalfWeight:
        return half_weight(controls.weight(layer, weight), dtype)  # never kept: the next step has others

    def paint(
        self,
        ws: Tensor,
        noise: list[Tensor | None],
        controls: Controls,
        canvas: Canvas | None,
        stop: int | None,
        transform: Tensor | None,
    ) -> Tensor:
        # On a graphics card without the exactness that gradients otherwise ask for: it would cost the search for the
        # quickest convolutions.
        return self.paint_whole(ws, noise, controls, canvas, stop)


class TrainableGenerator(StyleGAN2):
    """The generator with parameters that learn.

    Convolutions, filters and activations from 8 px on are in `half` precision if it is given; styles, demodulation and
    colours never are.
    """

    synthesis_class = TrainableSynthesis

    def __init__(self, settings: Settings, half: torch.dtype | None = None) -> None:
        super().__init__(settings.network)
        self.requires_grad_(True)
        self.synthesis.half_dtype = half
        self.synthesis.half_levels = len(settings.resolutions) - 1
        with torch.no_grad():
            for block in self.synthesis.blocks[len(settings.resolutions) - growing_steps(settings) + 1 :]:
                block.torgb.weight.mul_(FIRST_COLOURS)

    def styles(self, z: Tensor) -> Tensor:
        """The mapping network, as `mapping` without truncation, but a gradient can be taken.  [batch, w_dim]"""
        x = normalise_second_moment(z)
        for layer in self.mapping.layers:
            x = layer(x)
        return x


def growing_steps(settings: Settings) -> int:
    """How many sizes the training goes through: 64, 128 and 256 px, or what there is of them."""
    return max(1, sum(size >= 64 for size in settings.resolutions))


def mixed_ws(ws: Iterable[Tensor], counts: tuple[int, int, int]) -> Tensor:
    """Three w [batch, w_dim] on the layers of their roles.  [batch, num_ws, w_dim]"""
    parts = [w[:, None].expand(-1, count, -1) for w, count in zip(ws, counts, strict=True)]
    return torch.cat(parts, dim=1)


class Convolution(nn.Module):
    """A convolution with equalised learning rate; `down` filters and halves the size first."""

    kernel: Tensor

    def __init__(
        self, channels_in: int, channels_out: int, taps: int, *, down: bool = False, activate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, taps, taps))
        self.bias = nn.Parameter(torch.zeros(channels_out)) if activate else None
        self.gain = 1 / math.sqrt(channels_in * taps**2)
        self.down, self.activate = down, activate
        self.register_buffer("kernel", filter_kernel((1.0, 3.0, 3.0, 1.0)), persistent=False)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """[batch, channels_in, h, w] -> [batch, channels_out, h or h / 2, w or w / 2], times gain."""
        weight = (self.weight * self.gain).to(x.dtype)
        taps = weight.shape[-1]
        if self.down:
            pad = taps // 2 + 1
            x = F.conv2d(filter_channels(x, self.kernel, (pad, pad)), weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=taps // 2)
        if self.bias is None:
            return x * gain
        x = x + self.bias.to(x.dtype)[:, None, None]
        return F.leaky_relu(x, LRELU_SLOPE) * (LRELU_GAIN * gain)


class ResidualBlock(nn.Module):
    """Two convolutions and a short way around them, to half the size."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv0 = Convolution(channels_in, channels_in, 3)
        self.conv1 = Convolution(channels_in, channels_out, 3, down=True)
        self.skip = Convolution(channels_in, channels_out, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(self.conv0(x), math.sqrt(0.5)) + self.skip(x, math.sqrt(0.5))


class Discriminator(nn.Module):
    """Pictures [batch, 3, size, size] to one number each: above zero where it takes a picture for the formula's."""

    def __init__(self, settings: Settings, half: torch.dtype | None = None) -> None:
        super().__init__()
        self.precision = half
        self.from_rgb = Convolution(3, settings.channels(settings.size), 1)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(settings.channels(size), settings.channels(size // 2))
                for size in reversed(settings.resolutions[1:])
            )
        )
        channels = settings.channels(4)
        self.last = Convolution(channels + 1, channels, 3)
        self.hidden = FullyConnected(channels * 16, channels, activate=True)
        self.out = FullyConnected(channels, 1, activate=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """[batch, 3, size, size] -> [batch]."""
        x = pictures if self.precision is None else pictures.to(self.precision)
        x = self.blocks(self.from_rgb(x.contiguous(memory_format=torch.channels_last))).to(pictures.dtype)
        x = self.last(torch.cat([x, spread(x)], dim=1))
        return self.out(self.hidden(x.flatten(1)))[:, 0]


def spread(x: Tensor) -> Tensor:
    """How much the pictures of a group differ, the same for all of them, as one more map.  [batch, 1, h, w]"""
    batch, channels, height, width = x.shape
    group = next(count for count in range(min(GROUP, batch), 0, -1) if batch % count == 0)
    grouped = x.reshape(group, -1, channels, height, width)
    deviation = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # [batch / group]
    return deviation.repeat(group)[:, None, None, None].expand(-1, -1, height, width)
