# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2 as published, in its three connections (skip, orig, resnet), in plain PyTorch.

Read it from top to bottom: a configuration, one layer, one block, synthesis, generator.

Paper: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, https://arxiv.org/abs/1912.04958.
The names of the tensors are those of the published PyTorch checkpoints (``mapping.fc0.weight``,
``synthesis.b8.conv0.affine.bias``, ...), so a state dictionary from one of them fits without renaming.

Three choices make it quick on a CPU and change nothing in the result. A convolution is never given its own weights per
sample: the style scales the input's channels, all samples share one weight, and the demodulation scales the output's
channels (equation 3 of the paper, factored). The gain of the leaky rectifier goes into the factor of the demodulation,
because ``lrelu(g * x) == g * lrelu(x)`` for a positive g. Feature maps lie in memory with their channels last, which
made the upsampling convolution seven times faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Generator
from .blocks import BlockConfig, BlockSynthesis
from .canvas import Canvas
from .controls import Controls
from .half_precision import HalfWeight, finite, half_colours, half_layer, layer_half_weight
from .layers import (
    LRELU_GAIN,
    LRELU_SLOPE,
    FullyConnected,
    channels_are_possible,
    check_config,
    filter_channels,
    filter_is_possible,
    filter_kernel,
    positive,
    power_of_two,
    single_precision,
    upsample,
    whole,
)
from .mapping import MappingConfig
from .strips import StripPainter

DEMODULATION_EPSILON = 1e-8
CONNECTIONS = ("skip", "orig", "resnet")


@dataclass(frozen=True)
class StyleGAN2Config(BlockConfig):
    """The architecture: everything that is not a weight.

    Attributes
    ----------
    mapping : MappingConfig
        The mapping network.
    resolution : int
        Height and width of the picture, a power of two from 8 on.
    channels : tuple of int
        Channels of the feature maps at 4, 8, ..., `resolution` px.
    img_channels : int
        3 for colours, 4 with transparency, 1 for grey.
    conv_clamp : float or None
        Activations are clamped to plus and minus this value; None leaves them alone.
    connection : str
        "skip": each resolution adds its colours to the picture. "orig": only the last gives colours. "resnet": so too,
        and each block's input is added to its output.
    resample_taps : tuple of float
        The one-dimensional low-pass filter of the upsampling.
    noise : bool
        Whether the layers have noise inputs.
    """

    mapping: MappingConfig
    resolution: int
    channels: tuple[int, ...]
    img_channels: int = 3
    conv_clamp: float | None = None
    connection: str = "skip"
    resample_taps: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0)
    noise: bool = True

    def __post_init__(self) -> None:
        check_config(
            self,
            {
                "mapping": isinstance(self.mapping, MappingConfig),
                "resolution": power_of_two(self.resolution, 8, 8192),
                "img_channels": whole(self.img_channels, 1, 64),
                "conv_clamp": self.conv_clamp is None or positive(self.conv_clamp),
                "connection": self.connection in CONNECTIONS,
                "channels": channels_are_possible(self.channels, self.resolution),
                "resample_taps": filter_is_possible(self.resample_taps, 2, 64),
                "noise": isinstance(self.noise, bool),
            },
        )


class SynthesisLayer(nn.Module):
    """Style, 3x3 convolution (which may double the size), demodulation, noise, bias, leaky rectifier."""

    noise_const: Tensor
    kernel: Tensor

    def __init__(
        self, channels_in: int, channels_out: int, config: StyleGAN2Config, resolution: int, *, up: bool
    ) -> None:
        super().__init__()
        self.up = up
        self.clamp = config.conv_clamp
        self.affine = FullyConnected(config.mapping.w_dim, channels_in, activate=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        if config.noise:
            self.noise_strength = nn.Parameter(torch.zeros([]))
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("kernel", filter_kernel(config.resample_taps), persistent=False)

    def forward(
        self, x: Tensor, w: Tensor, noise: Tensor | None, weight: Tensor | None = None, gain: float = 1.0
    ) -> Tensor:
        """x [batch, channels_in, h, w] with one w [batch, w_dim] each -> [batch, channels_out, h or 2h, w or 2w].

        weight stands for the layer's own; gain, above zero, scales what comes out.
        """
        weight = self.weight if weight is None else weight
        gain *= LRELU_GAIN
        styles = self.affine(w)  # [batch, channels_in]
        power = weight.square().sum(dim=(2, 3))  # [channels_out, channels_in]
        demodulation = self.demodulation(styles, power)  # [batch, channels_out]
        x = x * styles[:, :, None, None]
        if self.up:
            taps = len(self.kernel)
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # [batch, channels_out, 2h + 1, 2w + 1]
            x = filter_channels(x, 4 * self.kernel, ((taps + 1) // 2 - 1, (taps - 2) // 2))
        else:
            x = F.conv2d(x, weight, padding=1)
        x = torch.addcmul((self.bias * gain)[:, None, None], x, (demodulation * gain)[:, :, None, None])
        if noise is not None:
            x = x + noise * (self.noise_strength * gain)
        x = F.leaky_relu(x, LRELU_SLOPE)
        return x if self.clamp is None else x.clamp(-self.clamp * gain / LRELU_GAIN, self.clamp * gain / LRELU_GAIN)

    def demodulation(self, styles: Tensor, power: Tensor) -> Tensor:
        """One over the standard deviation of what the convolution gives.  [batch, channels_out]

        styles [batch, channels_in]; power [channels_out, channels_in]: the weights' squares, summed over the taps.
        """
        return (styles.square() @ power.T + DEMODULATION_EPSILON).rsqrt()


class ToRGB(nn.Module):
    """Style and 1x1 convolution to the picture's channels, without demodulation."""

    def __init__(self, channels: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.style_gain = 1 / math.sqrt(channels)
        self.affine = FullyConnected(config.mapping.w_dim, channels, activate=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(config.img_channels, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.img_channels))

    def forward(self, x: Tensor, w: Tensor, weight: Tensor | None = None) -> Tensor:
        weight = self.weight if weight is None else weight
        styles = self.affine(w) * self.style_gain
        image = F.conv2d(x * styles[:, :, None, None], weight, self.bias)
        return image if self.clamp is None else image.clamp(-self.clamp, self.clamp)


class ResidualSkip(nn.Module):
    """The short way around a block of the resnet connection: 1x1 convolution, twice the size."""

    kernel: Tensor

    def __init__(self, channels_in: int, channels_out: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, 1, 1))
        self.gain = math.sqrt(0.5 / channels_in)  # the equalised learning rate's, and half of the sum's power
        self.register_buffer("kernel", filter_kernel(config.resample_taps), persistent=False)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        around = F.conv2d(x, (weight * self.gain).to(x.dtype))
        return upsample(around if x.dtype == torch.float32 else finite(around, x.dtype), self.kernel)


class SynthesisBlock(nn.Module):
    """All that happens at one resolution. The block at 4 px starts from a learned constant and has no ``conv0``."""

    def __init__(self, channels_in: int, channels_out: int, config: StyleGAN2Config, resolution: int) -> None:
        super().__init__()
        if resolution == 4:
            self.const = nn.Parameter(torch.randn(channels_out, 4, 4))
        else:
            self.conv0 = SynthesisLayer(channels_in, channels_out, config, resolution, up=True)
        self.conv1 = SynthesisLayer(channels_out, channels_out, config, resolution, up=False)
        if config.connection == "skip" or resolution == config.resolution:
            self.torgb = ToRGB(channels_out, config)
        if config.connection == "resnet" and resolution > 4:
            self.skip = ResidualSkip(channels_in, channels_out, config)


class StyleGAN2Synthesis(BlockSynthesis):
    """ws and noise to a picture.

    The layers are used in the order of their w: ``b4.conv1``, ``b8.conv0``, ``b8.conv1``, ``b16.conv0``, ... Each
    block's ``torgb`` shares its w with the first convolution of the next block; the last one has a w of its own.
    """

    kernel: Tensor

    block_class = SynthesisBlock
    parts = ("skip", "conv0", "conv1", "torgb")

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__(config)
        self.register_buffer("kernel", filter_kernel(config.resample_taps), persistent=False)
        self.painter = StripPainter()

    @property
    def conv_names(self) -> tuple[str, ...]:
        """The convolutions in order; number i reads ``ws[:, i]`` and noise input i."""
        names = [f"b{r}.conv{index}" for r in self.config.block_resolutions for index in (0, 1)]
        return tuple(names[1:])

    @property
    def layers(self) -> tuple[SynthesisLayer, ...]:
        """The convolutions of `conv_names`."""
        return tuple(self.get_submodule(name) for name in self.conv_names)  # type: ignore[misc]

    @property
    def noise_constants(self) -> tuple[Tensor, ...]:
        return tuple(layer.noise_const for layer in self.layers) if self.config.noise else ()

    def noise_layer(self, index: int) -> str:
        return self.conv_names[index]

    def in_strips(self, ws: Tensor) -> bool:
        """Whether `painter` does the work: on a CPU, in single precision, and if no gradient is asked for."""
        const = self.blocks[0].const
        single = const.dtype == ws.dtype == torch.float32 and self.half_dtype is None
        return const.device.type == "cpu" and single and not torch.is_grad_enabled()

    def dtype(self, resolution: int) -> torch.dtype:
        """The precision of a block's maps: half precision, if wanted, is for the highest resolutions only."""
        if self.half_dtype is None or not self.in_half(resolution):
            return self.blocks[0].const.dtype
        return self.half_dtype

    def half_weight(self, layer: str, weight: Tensor, dtype: torch.dtype, controls: Controls) -> HalfWeight:
        """A layer's weights in half precision, made anew only if they have changed."""
        return layer_half_weight(self.painter.prepared, controls, layer, weight, dtype)

    def bounded(self, controls: Controls) -> bool:
        """Whether every map is clamped if the layers do so: a bend or the sum with a map around can go beyond."""
        return not controls.bends and self.config.connection != "resnet"

    def convolved(
        self,
        name: str,
        layer: SynthesisLayer,
        x: Tensor,
        w: Tensor,
        noise: Tensor | None,
        gain: float,
        controls: Controls,
    ) -> Tensor:
        """A layer's output, in the precision of x."""
        if x.dtype == self.half_dtype:
            half = self.half_weight(name, layer.weight, x.dtype, controls)
            return half_layer(layer, x, w, noise, half, gain, bounded=self.bounded(controls))
        return layer(x, w, noise, controls.weight(name, layer.weight), gain)

    def coloured(self, name: str, torgb: ToRGB, x: Tensor, w: Tensor, controls: Controls) -> Tensor:
        """A toRGB layer's output for an x of any precision."""
        if x.dtype == self.half_dtype:
            half, styles = self.half_weight(name, torgb.weight, x.dtype, controls), torgb.affine(w) * torgb.style_gain
            colours = half_colours(x, styles, half, torgb.clamp if self.bounded(controls) else None)
            colours = colours + torgb.bias[:, None, None]
            return colours if torgb.clamp is None else colours.clamp(-torgb.clamp, torgb.clamp)
        return torgb(x, w, controls.weight(name, torgb.weight))

    def paint(
        self,
        ws: Tensor,
        noise: list[Tensor | None],
        controls: Controls,
        canvas: Canvas | None,
        stop: int | None,
        transform: Tensor | None,
    ) -> Tensor:
        resolutions = self.config.block_resolutions
        if transform is not None:
            raise ValueError("a StyleGAN2 has no input transform; only a StyleGAN 3 can be moved as a whole")
        if stop is not None and (self.config.connection != "skip" or stop not in resolutions):
            known = ", ".join(map(str, resolutions)) if self.config.connection == "skip" else "no lower resolution"
            raise ValueError(f"an early stop at {stop} px: this network can give {known}")
        if self.in_strips(ws):
            return self.painter.paint(self, ws, noise, controls, canvas, stop)
        if ws.device.type == "cuda" and (self.half_dtype is None or torch.is_grad_enabled()):
            with single_precision():
                return self.paint_whole(ws, noise, controls, canvas, stop)
        return self.paint_whole(ws, noise, controls, canvas, stop)

    def paint_whole(
        self, ws: Tensor, noise: list[Tensor | None], controls: Controls, canvas: Canvas | None, stop: int | None
    ) -> Tensor:
        """`paint` on any device and in any precision, by whole maps; a gradient can be taken of it."""
        resolutions = self.config.block_resolutions
        noises = iter(noise if noise else [None] * len(self.layers))
        w = iter(ws.unbind(dim=1))
        x = self.blocks[0].const.expand(len(ws), -1, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.laid_out("input", controls.leave("input", x), canvas)
        image: Tensor | None = None
        layer_w = next(w)
        for resolution, block in zip(resolutions, self.blocks, strict=True):
            name, dtype = f"b{resolution}", self.dtype(resolution)
            x = x if x.dtype == dtype else finite(x, dtype)
            around: Tensor | None = None
            if hasattr(block, "skip"):
                where = f"{name}.skip"
                around = block.skip(controls.enter(where, x), controls.weight(where, block.skip.weight))
                around = controls.leave(where, around)
            for part in ("conv0", "conv1") if hasattr(block, "conv0") else ("conv1",):
                where, layer = f"{name}.{part}", getattr(block, part)
                x = controls.enter(where, x)
                gain = math.sqrt(0.5) if part == "conv1" and around is not None else 1.0
                x = self.convolved(where, layer, x, layer_w, next(noises), gain, controls)
                x = self.laid_out(where, controls.leave(where, x), canvas)
                layer_w = next(w)
            if around is not None:
                x = x + self.fitted(around, x, canvas)
                x = finite(x, dtype) if dtype == self.half_dtype else x
            if hasattr(block, "torgb"):
                where = f"{name}.torgb"
                colours = self.coloured(where, block.torgb, controls.enter(where, x), layer_w, controls)
                colours = controls.leave(where, colours)
                image = colours if image is None else self.fitted(upsample(image, self.kernel), x, canvas) + colours
            if stop == resolution:
                break
        assert image is not None
        return image


class StyleGAN2(Generator):
    """The generator: ``synthesis(mapping(z))`` is a picture of about -1 to 1.

    Examples
    --------
    >>> generator = load_generator(builtin_checkpoint())
    >>> ws = generator.mapping(torch.randn(1, generator.z_dim), truncation_psi=0.7)
    >>> generator.synthesis(ws).shape
    torch.Size([1, 3, 512, 512])
    """

    architecture = "stylegan2"
    config_class = StyleGAN2Config
    synthesis_class = StyleGAN2Synthesis
    config: StyleGAN2Config
    synthesis: StyleGAN2Synthesis
