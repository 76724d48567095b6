# SPDX-License-Identifier: GPL-3.0-or-later
"""What the readers of all StyleGAN 1 files share: our tensors and architecture out of theirs.

All that differs by a factor is put into the weights: with i inputs a weight is used times ``sqrt(2 / i)`` (a style and
the colours of the official network: ``sqrt(1 / i)``), as the equalised learning rate of the paper has it. What is left
is in `StyleGAN1Config`.
"""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ..mapping import MappingConfig
from ..stylegan1 import StyleGAN1, StyleGAN1Config
from .tensors import Reading, Tensors

TAPS = (1.0, 2.0, 1.0)
MAPPING_LR = 0.01
MOST_LEVELS = 12  # 8192 px
FIRST_FUSED = 128  # px; from here on the official network doubles its maps by transposed convolutions


def level_count(tensors: Tensors, pattern: str) -> int:
    """How many of 4, 8, 16, ... px have tensors; the pattern of their names has the size as {0}."""
    levels = 0
    while levels < MOST_LEVELS and tensors.names(pattern.format(4 << levels)):
        levels += 1
    return max(2, levels)  # that tensors are missing is said when they are asked for


def mapping_config(
    tensors: Tensors,
    z_dim: int,
    c_dim: int,
    widths: tuple[int, ...],
    lr: Any,
    labels: str = "embed",
    embed_dim: int = 0,
) -> MappingConfig:
    """A mapping network, if it is possible."""
    try:
        return MappingConfig(z_dim, c_dim, widths[-1], widths, lr, labels, embed_dim)
    except ValueError as error:
        raise tensors.error(f"its mapping network is none of a StyleGAN 1: {error}") from error


def mapping_tensors(index: int, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """One layer of the mapping network: StyleGAN 1 has the root of two before its rectifier, ours has it behind."""
    return {f"mapping.fc{index}.weight": weight, f"mapping.fc{index}.bias": bias / math.sqrt(2)}


def style_tensors(layer: str, weight: Tensor, bias: Tensor, *, spread_around_one: bool) -> dict[str, Tensor]:
    """The style of a layer; where the stored spread is the deviation from one, the one is put into the bias."""
    if spread_around_one:
        bias[: len(bias) // 2] += 1
    return {f"{layer}.affine.weight": weight.contiguous(), f"{layer}.affine.bias": bias}


def doubling(kernel: Tensor, flipped: bool) -> Tensor:
    """The kernel of the transposed convolution that is the same as doubling each pixel and then this kernel.

    [out, in, 3, 3] -> [out, in, 4, 4]. From 128 px on the official network doubles its maps by a transposed convolution
    with the sum of four shifted kernels: that is the same with the kernel turned by half a turn, `flipped`.
    """
    kernel = kernel.contiguous() if flipped else kernel.flip(2, 3)
    return F.avg_pool2d(kernel, 2, stride=1, padding=1, divisor_override=1).contiguous()


def reading(
    tensors: Tensors,
    state: dict[str, Tensor],
    mapping: MappingConfig,
    channels: tuple[int, ...],
    img_channels: int,
    *,
    taps: tuple[float, ...],
    epsilon: float,
    **traits: bool,
) -> Reading:
    """The result, with an architecture that is possible."""
    try:
        config = StyleGAN1Config(
            mapping=mapping,
            resolution=2 << len(channels),
            channels=channels,
            img_channels=img_channels,
            resample_taps=tuple(float(tap) for tap in taps),
            norm_epsilon=epsilon,
            **traits,
        )
    except (ValueError, TypeError) as error:
        raise tensors.error(f"it describes no StyleGAN 1: {error}") from error
    return Reading(StyleGAN1, config, state)
