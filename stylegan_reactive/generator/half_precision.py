# SPDX-License-Identifier: GPL-3.0-or-later
"""A StyleGAN2's layers in 16 bits per value, so that nothing overflows and nothing becomes NaN.

float16 ends at 65504. Weights and styles are therefore divided by their largest values before they meet (as published:
Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020, appendix D), and what was
divided is multiplied back, in float32, by the factor of the demodulation. A network whose activations are not clamped
gets its maps scaled in the same way, and a clamp at the end of the range. Colours are summed up in float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .layers import LRELU_GAIN, LRELU_SLOPE, filter_channels

if TYPE_CHECKING:
    from .stylegan2 import SynthesisLayer, ToRGB

SAFE_ACTIVATION = 256.0  # the clamp of published networks: up to it no convolution of a scaled map overflows
TINY = 1e-30


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


def half_weight(weight: Tensor, dtype: torch.dtype) -> HalfWeight:
    """Scale weights [channels_out, channels_in, taps, taps] and round them."""
    weight = weight.float()
    scale = weight.abs().amax(dim=(1, 2, 3)).clamp_min(TINY) * math.sqrt(weight[0].numel())
    scaled = (weight / scale[:, None, None, None]).to(dtype).contiguous(memory_format=torch.channels_last)
    return HalfWeight(scaled, scale, weight.square().sum(dim=(2, 3)))


def finite(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The same in another precision, what is beyond its range at its end."""
    end = torch.finfo(dtype).max
    return x.clamp(-end, end).to(dtype)


def scaled_input(x: Tensor, styles: Tensor, clamp: float | None) -> tuple[Tensor, Tensor]:
    """x times styles, so small that no convolution of it overflows, and what to multiply the result with [batch, 1].

    x [batch, channels, h, w]; styles [batch, channels], float32.
    """
    scale = styles.abs().amax(dim=1, keepdim=True).clamp_min(TINY)
    shrunk = styles / scale
    if x.dtype == torch.float16 and (clamp is None or clamp > SAFE_ACTIVATION):
        too_large = (x.abs().amax(dim=(1, 2, 3)).float()[:, None] / SAFE_ACTIVATION).clamp_min(1)
        shrunk, scale = shrunk / too_large, scale * too_large
    return x * shrunk.to(x.dtype)[:, :, None, None], scale


def half_layer(
    layer: SynthesisLayer, x: Tensor, w: Tensor, noise: Tensor | None, weight: HalfWeight, gain: float
) -> Tensor:
    """``layer(x, w, noise)`` for an x in half precision."""
    dtype, gain = x.dtype, gain * LRELU_GAIN
    styles = layer.affine(w)  # [batch, channels_in], float32
    factor = layer.demodulation(styles, weight.power) * (weight.scale * gain)
    x, scale = scaled_input(x, styles, layer.clamp)
    if layer.up:
        taps = len(layer.kernel)
        x = F.conv_transpose2d(x, weight.weight.transpose(0, 1), stride=2)
        x = filter_channels(x, 4 * layer.kernel, ((taps + 1) // 2 - 1, (taps - 2) // 2))
    else:
        x = F.conv2d(x, weight.weight, padding=1)
    factor, offset = finite(factor * scale, dtype), finite(layer.bias * gain, dtype)
    x = torch.addcmul(offset[:, None, None], x, factor[:, :, None, None])
    if noise is not None:
        x = x + finite(noise.float() * (layer.noise_strength * gain), dtype)
    x = F.leaky_relu(x, LRELU_SLOPE)
    end = torch.finfo(dtype).max
    limit = end if layer.clamp is None else min(end, layer.clamp * gain / LRELU_GAIN)
    return x.clamp(-limit, limit)


def half_colours(torgb: ToRGB, x: Tensor, w: Tensor, weight: HalfWeight) -> Tensor:
    """``torgb(x, w)`` for an x in half precision; the colours are float32."""
    x, scale = scaled_input(x, torgb.affine(w) * torgb.style_gain, torgb.clamp)
    colours = F.conv2d(x, weight.weight).float() * (weight.scale * scale)[:, :, None, None]
    colours = colours + torgb.bias[:, None, None]
    return colours if torgb.clamp is None else colours.clamp(-torgb.clamp, torgb.clamp)
