# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN 1: the official network, and the PyTorch versions of it whose arithmetic differs in small ways.

Read it from top to bottom: a configuration, one layer, one block, synthesis, generator.

Paper: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019,
https://arxiv.org/abs/1812.04948. Each layer is a convolution, noise, bias and a leaky rectifier, whose output is
brought to mean zero and variance one in every channel and then given the mean and the spread that the style asks for.

The weights are stored as they are used; the reader of a file puts its gains (equalised learning rates) into them. At
the first layer of a resolution every pixel is doubled and a 3x3 convolution follows: together they are one transposed
convolution with a 4x4 kernel, which is stored, and which takes less than half of the multiplications.
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
from .half_precision import HalfWeight, finite, half_colours, layer_half_weight, scaled_input
from .layers import (
    LRELU_SLOPE,
    FullyConnected,
    channels_are_possible,
    check_config,
    filter_is_possible,
    filter_kernel,
    positive,
    power_of_two,
    single_precision,
    whole,
)
from .mapping import MappingConfig
from .plan import PreparedWeights


@dataclass(frozen=True)
class StyleGAN1Config(BlockConfig):
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
    resample_taps : tuple of float
        The one-dimensional low-pass filter after the upsampling, an odd number of taps.
    norm_epsilon : float
        Added to a channel's variance before it is divided by (official: 1e-8; ports: 1e-5).
    bias_before_filter : bool
        Whether the bias of an upsampling layer is added before its low-pass filter, which tells at the border.
    shared_noise : bool
        Whether both layers of a resolution read the same noise input.
    every_torgb : bool
        Whether each resolution can give a picture of its own, as in a network that has grown while it learned. These
        pictures are used for an early stop alone.
    """

    mapping: MappingConfig
    resolution: int
    channels: tuple[int, ...]
    img_channels: int = 3
    resample_taps: tuple[float, ...] = (1.0, 2.0, 1.0)
    norm_epsilon: float = 1e-8
    bias_before_filter: bool = False
    shared_noise: bool = False
    every_torgb: bool = False

    def __post_init__(self) -> None:
        check_config(
            self,
            {
                "mapping": isinstance(self.mapping, MappingConfig),
                "resolution": power_of_two(self.resolution, 8, 8192),
                "channels": channels_are_possible(self.channels, self.resolution),
                "img_channels": whole(self.img_channels, 1, 64),
                "resample_taps": filter_is_possible(self.resample_taps, 1, 63) and len(self.resample_taps) % 2 == 1,
                "norm_epsilon": positive(self.norm_epsilon),
                "bias_before_filter": isinstance(self.bias_before_filter, bool),
                "shared_noise": isinstance(self.shared_noise, bool),
                "every_torgb": isinstance(self.every_torgb, bool),
            },
        )


class SynthesisLayer(nn.Module):
    """What happens to a map: a convolution (or none, or one that doubles the size), noise, bias, rectifier, style.

    Parameters
    ----------
    channels_in : int or None
        None for the layer that reads the learned constant, which has no convolution.
    own_noise : bool
        Whether the layer keeps the constant noise of a noise input.
    """

    weight: nn.Parameter | None
    noise_const: Tensor
    kernel: Tensor

    def __init__(
        self,
        channels_in: int | None,
        channels_out: int,
        config: StyleGAN1Config,
        resolution: int,
        *,
        up: bool,
        own_noise: bool,
    ) -> None:
        super().__init__()
        self.up = up
        self.epsilon = config.norm_epsilon
        self.bias_before_filter = config.bias_before_filter
        # What the affine layer gives is first the spread of each channel, then its mean.
        self.affine = FullyConnected(config.mapping.w_dim, 2 * channels_out, activate=False)
        with torch.no_grad():
            self.affine.bias[:channels_out] = 1
        if channels_in is None:
            self.register_parameter("weight", None)
        else:
            size = 4 if up else 3
            gain = math.sqrt(2 / (9 * channels_in))
            self.weight = nn.Parameter(torch.randn(channels_out, channels_in, size, size).mul_(gain))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.noise_strength = nn.Parameter(torch.zeros(channels_out))
        if own_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
        if up:
            self.register_buffer("kernel", filter_kernel(config.resample_taps), persistent=False)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, weight: Tensor | None = None) -> Tensor:
        """x [batch, channels_in, h, w] with one w [batch, w_dim] each -> [batch, channels_out, h or 2h, w or 2w].

        weight stands for the layer's own.
        """
        weight = self.weight if weight is None else weight
        if weight is None:
            x = x + self.bias[:, None, None]
        elif self.up:
            before, after = (self.bias, None) if self.bias_before_filter else (None, self.bias)
            x = F.conv_transpose2d(x, weight.transpose(0, 1), before, stride=2, padding=1)
            x = self.filtered(x, after)
        else:
            x = F.conv2d(x, weight, self.bias, padding=1)
        if noise is not None:
            x = x.addcmul_(noise, self.noise_strength[:, None, None])
        return self.styled(F.leaky_relu_(x, LRELU_SLOPE), w)

    def forward_in_half(self, x: Tensor, w: Tensor, noise: Tensor | None, weight: HalfWeight) -> Tensor:
        """`forward` for an x in half precision: convolution and filter are, all else is in single precision."""
        dtype = x.dtype
        x, scale = scaled_input(x)
        factor, bias = (weight.scale * scale)[:, :, None, None], self.bias[:, None, None]
        if self.up:
            x = F.conv_transpose2d(x, weight.weight.transpose(0, 1), stride=2, padding=1)
        else:
            x = F.conv2d(x, weight.weight, padding=1)
        if self.up and self.bias_before_filter:
            x = self.filtered(torch.addcmul(bias, x, factor), None)
        else:
            x = torch.addcmul(bias, self.filtered(x, None) if self.up else x, factor)
        if noise is not None:
            x = x.addcmul_(noise, self.noise_strength[:, None, None])
        return finite(self.styled(F.leaky_relu_(x, LRELU_SLOPE), w), dtype)

    def filtered(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The low-pass filter of an upsampled map, then the bias."""
        kernel = self.kernel.flip(0, 1).expand(x.shape[1], 1, *self.kernel.shape)
        return F.conv2d(x, kernel.to(x.dtype), bias, padding=len(self.kernel) // 2, groups=x.shape[1])

    def styled(self, x: Tensor, w: Tensor) -> Tensor:
        """Every channel with the spread and the mean that its style asks for; in single precision inside."""
        spread, mean = self.affine(w)[:, :, None, None].float().chunk(2, dim=1)  # [batch, channels_out, 1, 1] each
        dtype, own = x.dtype, not torch.is_grad_enabled()  # without gradients nobody else needs the map as it was
        x, centre = x.float(), x.mean(dim=(2, 3), keepdim=True, dtype=torch.float32)
        x = x.sub_(centre) if own else x - centre
        spread = spread * (x.square().mean(dim=(2, 3), keepdim=True) + self.epsilon).rsqrt()
        return torch.addcmul(mean, x, spread, out=x if own else None).to(dtype)


class ToRGB(nn.Module):
    """1x1 convolution to the picture's channels, without a style."""

    def __init__(self, channels: int, img_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(img_channels, channels, 1, 1).div_(math.sqrt(channels)))
        self.bias = nn.Parameter(torch.zeros(img_channels))

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, self.bias)


class SynthesisBlock(nn.Module):
    """All that happens at one resolution. At 4 px ``conv0`` has no convolution: it reads a learned constant."""

    def __init__(self, channels_in: int, channels_out: int, config: StyleGAN1Config, resolution: int) -> None:
        super().__init__()
        first = resolution == 4
        if first:
            self.const = nn.Parameter(torch.randn(channels_out, 4, 4))
        self.conv0 = SynthesisLayer(
            None if first else channels_in, channels_out, config, resolution, up=not first, own_noise=True
        )
        self.conv1 = SynthesisLayer(
            channels_out, channels_out, config, resolution, up=False, own_noise=not config.shared_noise
        )
        if config.every_torgb or resolution == config.resolution:
            self.torgb = ToRGB(channels_out, config.img_channels)


class StyleGAN1Synthesis(BlockSynthesis):
    """ws and noise to a picture.

    The layers are used in the order of their w: ``b4.conv0``, ``b4.conv1``, ``b8.conv0``, ``b8.conv1``, ... The colours
    have no style.
    """

    block_class = SynthesisBlock
    parts = ("conv0", "conv1", "torgb")

    def __init__(self, config: StyleGAN1Config) -> None:
        super().__init__(config)
        self.prepared = PreparedWeights()

    @property
    def canvas_layers(self) -> tuple[str, ...]:
        """All but colours; and where two layers share their noise, no layer between them."""
        names = super().canvas_layers
        return tuple(name for name in names if not (self.config.shared_noise and name.endswith("conv0")))

    @property
    def noise_names(self) -> tuple[str, ...]:
        """For each noise input the first layer that reads it."""
        parts = ("conv0",) if self.config.shared_noise else ("conv0", "conv1")
        return tuple(f"b{r}.{part}" for r in self.config.block_resolutions for part in parts)

    @property
    def noise_constants(self) -> tuple[Tensor, ...]:
        return tuple(self.get_submodule(name).noise_const for name in self.noise_names)  # type: ignore[misc]

    def noise_layer(self, index: int) -> str:
        return self.noise_names[index]

    def modulation(self, layer: str, ws: Tensor) -> Tensor | None:
        """None: a style works on what its layer gives."""
        return None

    @single_precision()
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
            raise ValueError("a StyleGAN 1 has no input transform; only a StyleGAN 3 can be moved as a whole")
        last = self.config.resolution if stop is None else stop
        givers = resolutions if self.config.every_torgb else resolutions[-1:]
        if last not in givers:
            raise ValueError(f"an early stop at {stop} px: this network can give {', '.join(map(str, givers))}")
        x = self.blocks[0].const.expand(len(ws), -1, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.laid_out("input", controls.leave("input", x), canvas)
        w = iter(ws.unbind(dim=1))
        noises = iter([m for m in noise for _ in range(2)] if self.config.shared_noise else noise)
        for resolution, block in zip(resolutions, self.blocks, strict=True):
            if self.half_dtype is not None and self.in_half(resolution):
                x = finite(x, self.half_dtype)
            for part, layer in (("conv0", block.conv0), ("conv1", block.conv1)):
                where = f"b{resolution}.{part}"
                x = controls.enter(where, x)
                if x.dtype == self.half_dtype and layer.weight is not None:
                    half = layer_half_weight(self.prepared, controls, where, layer.weight, x.dtype)
                    x = layer.forward_in_half(x, next(w), next(noises), half)
                else:
                    weight = None if layer.weight is None else controls.weight(where, layer.weight)
                    x = layer(x, next(w), next(noises), weight)
                x = self.laid_out(where, controls.leave(where, x), canvas)
            where = f"b{resolution}.torgb"
            if resolution == last or where in controls.keep:
                image = controls.leave(where, self.coloured(where, block.torgb, controls.enter(where, x), controls))
            if resolution == last:
                break
        return image

    def coloured(self, name: str, torgb: ToRGB, x: Tensor, controls: Controls) -> Tensor:
        """A toRGB layer's output for an x of any precision."""
        if x.dtype == self.half_dtype:
            half = layer_half_weight(self.prepared, controls, name, torgb.weight, x.dtype)
            return half_colours(x, None, half) + torgb.bias[:, None, None]
        return torgb(x, controls.weight(name, torgb.weight))


class StyleGAN1(Generator):
    """The generator: ``synthesis(mapping(z))`` is a picture of about -1 to 1.

    Published pictures were made with ``truncation_psi=0.7, truncation_cutoff=8``.

    Examples
    --------
    >>> generator = load_generator("karras2019stylegan-ffhq-1024x1024.pkl")
    >>> ws = generator.mapping(torch.randn(1, generator.z_dim), truncation_psi=0.7, truncation_cutoff=8)
    >>> generator.synthesis(ws).shape
    torch.Size([1, 3, 1024, 1024])
    """

    architecture = "stylegan1"
    config_class = StyleGAN1Config
    synthesis_class = StyleGAN1Synthesis
    config: StyleGAN1Config
    synthesis: StyleGAN1Synthesis
