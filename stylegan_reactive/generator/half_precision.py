# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers in 16 bits per value, so that nothing overflows and nothing becomes NaN: what all architectures share.

float16 ends at 65504. Weights and styles are therefore divided by their largest values before they meet (as published:
Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020, appendix D), and what was
divided is multiplied back, in float32, by the factor of the demodulation. A network whose activations are not clamped
gets its maps scaled in the same way, and a clamp at the end of the range. Colours are summed up in float32.

Only what reads and gives the large maps is in half precision: convolutions, filters, activations. Styles, demodulation,
the statistics of a normalisation, attention, waves and colours are not, and neither is anything of which a gradient is
asked for.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .controls import Controls
from .layers import LRELU_GAIN, LRELU_SLOPE, filter_channels
from .plan import PreparedWeights

if TYPE_CHECKING:
    from .stylegan2 import SynthesisLayer

SAFE_ACTIVATION = 256.0  # the clamp of published networks: up to it no convolution of a scaled map overflows
TINY = 1e-30
SMALLEST_UNIT = 2.0**-15  # one over it is still below the end of float16


@dataclass(frozen=True)
class HalfWeight:
    """Weights in 16 bits.

    Attributes
    ----------
    weight : Tensor
        [channels_out, channels_in, taps, taps], divided by `scale`.
    scale : Tensor
        [channels_out], float32: the largest weight times the square root of the number of inputs.
    power : Tensor
        [channels_out, channels_in], float32: the squares of the full weights, summed over the taps.
    """

    weight: Tensor
    scale: Tensor
    power: Tensor


def half_weight(
    weight: Tensor, dtype: torch.dtype, memory_format: torch.memory_format = torch.channels_last
) -> HalfWeight:
    """Scale weights [channels_out, channels_in, taps, taps] and round them."""
    weight = weight.float()
    scale = weight.abs().amax(dim=(1, 2, 3)).clamp_min(TINY) * math.sqrt(weight[0].numel())
    scaled = (weight / scale[:, None, None, None]).to(dtype).contiguous(memory_format=memory_format)
    return HalfWeight(scaled, scale, weight.square().sum(dim=(2, 3)))


def layer_half_weight(
    prepared: PreparedWeights,
    controls: Controls,
    layer: str,
    weight: Tensor,
    dtype: torch.dtype,
    memory_format: torch.memory_format = torch.channels_last,
) -> HalfWeight:
    """A layer's weights, rewrites included; made anew only if they have changed."""
    if controls.rewritten(layer):
        return half_weight(controls.weight(layer, weight), dtype, memory_format)
    make = functools.partial(half_weight, dtype=dtype, memory_format=memory_format)
    half: HalfWeight = prepared.get(layer, f"half {dtype}", weight, make)
    return half


def finite(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The same in another precision, what is beyond its range at its end."""
    end = torch.finfo(dtype).max
    return x.clamp(-end, end).to(dtype)


def unit_of(x: Tensor) -> Tensor:
    """The power of two that, divided by, brings each sample's largest value to about `SAFE_ACTIVATION`.  [batch, 1]

    A power of two costs no digits. Small maps are made larger: near nought float16 has few digits.
    """
    largest = torch.linalg.vector_norm(x.detach(), math.inf, dim=(1, 2, 3)).float()[:, None]
    unit = (largest / SAFE_ACTIVATION).clamp_min(SMALLEST_UNIT)
    return torch.exp2(torch.ceil(torch.log2(unit)))


def scaled_input(x: Tensor, styles: Tensor | None = None, clamp: float | None = None) -> tuple[Tensor, Tensor]:
    """x times styles, so small that no convolution of it overflows, and what to multiply the result with [batch, 1].

    x [batch, channels, h, w]; styles [batch, channels], float32, or None; clamp: what is known to be x's largest value.
    """
    if styles is None:
        styles = scale = x.new_ones(len(x), 1, dtype=torch.float32)
    else:
        scale = styles.abs().amax(dim=1, keepdim=True).clamp_min(TINY)
        styles = styles / scale
    if x.dtype == torch.float16 and (clamp is None or clamp > SAFE_ACTIVATION):
        unit = unit_of(x)
        styles, scale = styles / unit, scale * unit
    return x * styles.to(x.dtype)[:, :, None, None], scale


def activated(
    x: Tensor, factor: Tensor, bias: Tensor, noise: Tensor | None, noise_strength: Tensor, clamp: float | None = None
) -> Tensor:
    """Demodulation, bias, noise, leaky rectifier and clamp of a map in half precision.

    factor [batch, channels]; bias [channels]; noise_strength [] or [channels]; all float32.
    """
    dtype, end = x.dtype, torch.finfo(x.dtype).max
    x = torch.addcmul(finite(bias, dtype)[:, None, None], x, finite(factor, dtype)[:, :, None, None])
    if noise is not None:
        x = torch.addcmul(x, finite(noise, dtype), finite(noise_strength, dtype)[..., None, None])
    x = F.leaky_relu(x, LRELU_SLOPE)
    limit = end if clamp is None else min(end, clamp)
    return x.clamp(-limit, limit)


def half_layer(
    layer: SynthesisLayer,
    x: Tensor,
    w: Tensor,
    noise: Tensor | None,
    weight: HalfWeight,
    gain: float,
    *,
    bounded: bool = True,
) -> Tensor:
    """A StyleGAN2's ``layer(x, w, noise)`` for an x in half precision; bounded: whether x is known to be clamped."""
    styles = layer.affine(w)  # [batch, channels_in], float32
    x, scale = scaled_input(x, styles, layer.clamp if bounded else None)
    if layer.up:
        taps = len(layer.kernel)
        x = F.conv_transpose2d(x, weight.weight.transpose(0, 1), stride=2)
        x = filter_channels(x, 4 * layer.kernel, ((taps + 1) // 2 - 1, (taps - 2) // 2))
    else:
        x = F.conv2d(x, weight.weight, padding=1)
    clamp = None if layer.clamp is None else layer.clamp * gain
    gain *= LRELU_GAIN
    factor = layer.demodulation(styles, weight.power) * (weight.scale * gain) * scale
    strength = layer.noise_strength * gain if noise is not None else factor
    return activated(x, factor, layer.bias * gain, noise, strength, clamp)


def half_colours(x: Tensor, styles: Tensor | None, weight: HalfWeight, clamp: float | None = None) -> Tensor:
    """The 1x1 convolution of an x in half precision to colours, which are float32."""
    x, scale = scaled_input(x, styles, clamp)
    return F.conv2d(x, weight.weight).float() * (weight.scale * scale)[:, :, None, None]
