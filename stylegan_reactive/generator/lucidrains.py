# SPDX-License-Identifier: GPL-3.0-or-later
"""The StyleGAN2 of lucidrains' ``stylegan2_pytorch``, which differs from the published one in nearly every detail.

Read it from top to bottom: a configuration, one layer, attention, one block, synthesis, generator.

After Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020,
https://arxiv.org/abs/1912.04958, with bilinear upsampling, one w for both convolutions and the colours of a resolution,
one picture of noise for all layers, and attention before some resolutions: Shen et al., "Efficient Attention: Attention
with Linear Complexities", WACV 2021, https://arxiv.org/abs/1812.01243.

The original's pictures are about 0 to 1. Here, as with every generator, they are about -1 to 1: twice as much, less
one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Generator, SynthesisNetwork
from .canvas import Canvas
from .controls import Controls
from .half_precision import HalfWeight, activated, finite, half_colours, layer_half_weight, scaled_input
from .layers import (
    LRELU_SLOPE,
    FullyConnected,
    channels_are_possible,
    check_config,
    filter_is_possible,
    filter_kernel,
    power_of_two,
    single_precision,
    whole,
)
from .mapping import MappingConfig
from .plan import PreparedWeights

DEMODULATION_EPSILON = 1e-8
NORM_EPSILON = 1e-5
ATTENTION_HEADS = 8


@dataclass(frozen=True)
class LucidrainsConfig:
    """The architecture: everything that is not a weight.

    Attributes
    ----------
    mapping : MappingConfig
        The mapping network.
    resolution : int
        Height and width of the picture, a power of two from 8 on.
    channels : tuple of int
        Channels of the feature maps at 4, 8, ..., `resolution` px.
    initial_channels : int
        Channels of the map that the first block reads.
    img_channels : int
        3 for colours, 4 with transparency.
    resample_taps : tuple of float
        The one-dimensional low-pass filter of the colours after their upsampling, an odd number of taps.
    constant : bool
        Whether the first map is learned; else it is made of the mean of all w.
    attention : tuple of int
        The blocks (0 is the one at 4 px) before which there is a layer of attention.
    attention_width : int
        Its queries' features, all heads together.
    """

    mapping: MappingConfig
    resolution: int
    channels: tuple[int, ...]
    initial_channels: int
    img_channels: int = 3
    resample_taps: tuple[float, ...] = (1.0, 2.0, 1.0)
    constant: bool = True
    attention: tuple[int, ...] = ()
    attention_width: int = 512

    def __post_init__(self) -> None:
        check_config(
            self,
            {
                "mapping": isinstance(self.mapping, MappingConfig),
                "resolution": power_of_two(self.resolution, 8, 8192),
                "channels": channels_are_possible(self.channels, self.resolution),
                "initial_channels": whole(self.initial_channels, 1, 65536),
                "img_channels": whole(self.img_channels, 1, 64),
                "resample_taps": filter_is_possible(self.resample_taps, 1, 5) and len(self.resample_taps) % 2 == 1,
                "constant": isinstance(self.constant, bool),
                "attention": isinstance(self.attention, tuple)
                and all(whole(block, 0, len(self.channels) - 1) for block in self.attention),
                "attention_width": whole(self.attention_width, ATTENTION_HEADS, 65536)
                and self.attention_width % ATTENTION_HEADS == 0,
            },
        )

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """4, 8, ..., resolution."""
        return tuple(4 << level for level in range(len(self.channels)))

    @property
    def num_ws(self) -> int:
        """One for each block."""
        return len(self.channels)


class SynthesisLayer(nn.Module):
    """Style, 3x3 convolution, demodulation, noise, bias, leaky rectifier."""

    def __init__(self, channels_in: int, channels_out: int, w_dim: int) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, channels_in, activate=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.noise_strength = nn.Parameter(torch.zeros(channels_out))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, weight: Tensor) -> Tensor:
        """x [batch, channels_in, h, w] with one w [batch, w_dim] each -> [batch, channels_out, h, w]."""
        styles = self.affine(w)  # [batch, channels_in]
        demodulation = self.demodulation(styles, weight.square().sum(dim=(2, 3)))  # [batch, channels_out]
        x = F.conv2d(x * styles[:, :, None, None], weight, padding=1)
        x = torch.addcmul(self.bias[:, None, None], x, demodulation[:, :, None, None])
        if noise is not None:
            x = x.addcmul_(noise, self.noise_strength[:, None, None])
        return F.leaky_relu_(x, LRELU_SLOPE)

    def forward_in_half(self, x: Tensor, w: Tensor, noise: Tensor | None, weight: HalfWeight) -> Tensor:
        """`forward` for an x in half precision."""
        styles = self.affine(w)
        x, scale = scaled_input(x, styles)
        x = F.conv2d(x, weight.weight, padding=1)
        factor = self.demodulation(styles, weight.power) * weight.scale * scale
        return activated(x, factor, self.bias, noise, self.noise_strength)

    def demodulation(self, styles: Tensor, power: Tensor) -> Tensor:
        """One over the standard deviation of what the convolution gives.  [batch, channels_out]

        styles [batch, channels_in]; power [channels_out, channels_in]: the weights' squares, summed over the taps.
        """
        return (styles.square() @ power.T + DEMODULATION_EPSILON).rsqrt()


class ToRGB(nn.Module):
    """Style and 1x1 convolution to the picture's channels, without demodulation or bias."""

    def __init__(self, channels: int, img_channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, channels, activate=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(img_channels, channels, 1, 1))

    def forward(self, x: Tensor, w: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x * self.affine(w)[:, :, None, None], weight)


class Convolution(nn.Module):
    """A plain convolution that keeps the size."""

    def __init__(self, channels_in: int, channels_out: int, size: int, *, groups: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in // groups, size, size))
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        weight = self.weight if weight is None else weight
        return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2, groups=self.groups)


class ChannelNorm(nn.Module):
    """Each pixel's channels to mean zero and variance one, then a learned gain and bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        return F.layer_norm(x, x.shape[-1:], self.gain, self.bias, NORM_EPSILON).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Attention whose cost grows as the number of pixels, and two pointwise layers; both add to what they read."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.query = Convolution(channels, width, 1, bias=False)
        self.surroundings = Convolution(channels, channels, 3, groups=channels, bias=False)
        self.key_value = Convolution(channels, 2 * width, 1, bias=False)
        self.out = Convolution(width, channels, 1)
        self.pointwise_norm = ChannelNorm(channels)
        self.expand = Convolution(channels, 2 * channels, 1)
        self.contract = Convolution(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, h, w] -> the same shape."""
        batch, _, height, width = x.shape
        normed = self.norm(x)
        maps = self.query(normed), *self.key_value(self.surroundings(normed)).chunk(2, dim=1)
        query, key, value = (m.reshape(batch, ATTENTION_HEADS, -1, height * width) for m in maps)
        query = query.softmax(dim=2) / math.sqrt(query.shape[2])  # over the features of a head
        key = key.softmax(dim=3)  # over the pixels
        read = (value @ key.transpose(2, 3)) @ query  # [batch, heads, features, pixels]
        x = x + self.out(F.gelu(read.reshape(batch, -1, height, width)))
        return x + self.contract(F.leaky_relu(self.expand(self.pointwise_norm(x)), LRELU_SLOPE))


class SynthesisBlock(nn.Module):
    """All that happens at one resolution."""

    def __init__(self, index: int, config: LucidrainsConfig) -> None:
        super().__init__()
        channels_in = config.channels[index - 1] if index else config.initial_channels
        channels_out, w_dim = config.channels[index], config.mapping.w_dim
        if index in config.attention:
            self.attention = Attention(channels_in, config.attention_width)
        self.conv1 = SynthesisLayer(channels_in, channels_out, w_dim)
        self.conv2 = SynthesisLayer(channels_out, channels_out, w_dim)
        self.torgb = ToRGB(channels_out, config.img_channels, w_dim)


class LucidrainsSynthesis(SynthesisNetwork):
    """ws and noise to a picture: block by block, each with a w of its own.

    There is one noise input, from whose upper left corner each layer takes as much as it needs. The original exchanges
    rows and columns when it does so: the noise [h, w] is for a picture of w rows and h columns.
    """

    can_shrink = False

    noise_const: Tensor
    kernel: Tensor

    def __init__(self, config: LucidrainsConfig) -> None:
        super().__init__()
        self.config = config
        self.num_ws, self.w_dim = config.num_ws, config.mapping.w_dim
        self.size = (config.resolution, config.resolution)
        if config.constant:
            self.const = nn.Parameter(torch.randn(config.initial_channels, 4, 4))
        else:
            self.const_of_w = nn.Parameter(torch.randn(self.w_dim, config.initial_channels, 4, 4))
        self.initial_conv = Convolution(config.initial_channels, config.initial_channels, 3)
        self.blocks = nn.ModuleList(SynthesisBlock(index, config) for index in range(len(config.channels)))
        self.register_buffer("noise_const", torch.rand(config.resolution, config.resolution))
        self.register_buffer("kernel", filter_kernel(config.resample_taps), persistent=False)
        self.prepared = PreparedWeights()

    @property
    def block_list(self) -> tuple[SynthesisBlock, ...]:
        """The blocks from 4 px to the full size."""
        return tuple(self.blocks)  # type: ignore[arg-type]

    @property
    def layer_names(self) -> tuple[str, ...]:
        names = ["input", "initial_conv"]
        for index, block in enumerate(self.block_list):
            parts = ("attention", "conv1", "conv2", "torgb")
            names += [f"blocks.{index}.{part}" for part in parts if hasattr(block, part)]
        return tuple(names)

    @property
    def styles(self) -> dict[str, tuple[FullyConnected, int]]:
        """All layers of a block read the same w."""
        return {
            f"blocks.{index}.{part}": (getattr(block, part).affine, index)
            for index, block in enumerate(self.block_list)
            for part in ("conv1", "conv2", "torgb")
        }

    @property
    def noise_constants(self) -> tuple[Tensor, ...]:
        return (self.noise_const,)

    def map_size(self, layer: str) -> tuple[int, int]:
        """Height and width of a layer's output, without a canvas; attention comes before a block's upsampling."""
        size = 4
        if layer.startswith("blocks."):
            index = int(layer.split(".")[1])
            size = 4 << (max(0, index - 1) if layer.endswith("attention") else index)
        return size, size

    def noise_layer(self, index: int) -> str:
        """All convolutions of the blocks read the one noise input; this is the last of them."""
        return f"blocks.{len(self.blocks) - 1}.conv2"

    def noise_shapes_on(self, canvas: Canvas | None) -> tuple[tuple[int, int], ...]:
        """Height and width of the noise input, so that every layer finds enough in it."""
        if canvas is None:
            return (self.size,)
        base = self.map_size(canvas.layer)
        grid = canvas.grid(base, self.size)
        rows, columns = 1, 1
        for layer in (f"blocks.{index}.{part}" for index in range(len(self.blocks)) for part in ("conv1", "conv2")):
            own = self.map_size(layer)
            laid_out = self.follows(layer, canvas.layer)
            rows = max(rows, own[0] // base[0] * grid[0] if laid_out else own[0])
            columns = max(columns, own[1] // base[1] * grid[1] if laid_out else own[1])
        return ((columns, rows),)

    def upsampled(self, image: Tensor) -> Tensor:
        """Twice the size: bilinear, then the low-pass filter, with the border mirrored."""
        image = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
        border = len(self.kernel) // 2
        image = F.pad(image, (border, border, border, border), mode="reflect")
        channels = image.shape[1]
        return F.conv2d(image, self.kernel.expand(channels, 1, *self.kernel.shape).to(image.dtype), groups=channels)

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
            raise ValueError("this network has no input transform; only a StyleGAN 3 can be moved as a whole")
        if stop is not None and stop not in resolutions:
            raise ValueError(f"an early stop at {stop} px: this network can give {', '.join(map(str, resolutions))}")
        grain = None if noise[0] is None else noise[0].transpose(2, 3)
        if self.config.constant:
            x = self.const.expand(len(ws), -1, -1, -1)
        else:
            x = torch.einsum("bl,lchw->bchw", ws.mean(dim=1), self.const_of_w)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.laid_out("input", controls.leave("input", x), canvas)
        weight = controls.weight("initial_conv", self.initial_conv.weight)
        x = self.initial_conv(controls.enter("initial_conv", x), weight)
        x = self.laid_out("initial_conv", controls.leave("initial_conv", x), canvas)
        image: Tensor | None = None
        for index, (block, w) in enumerate(zip(self.block_list, ws.unbind(dim=1), strict=True)):
            if hasattr(block, "attention"):
                where = f"blocks.{index}.attention"
                x = x.float() if x.dtype == self.half_dtype else x  # its sums over all pixels need the digits
                x = controls.leave(where, block.attention(controls.enter(where, x)))
                x = self.laid_out(where, x, canvas)
            if self.half_dtype is not None and self.in_half(resolutions[index]):
                x = finite(x, self.half_dtype)
            if index:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            for part, convolution in (("conv1", block.conv1), ("conv2", block.conv2)):
                where = f"blocks.{index}.{part}"
                x = controls.enter(where, x)
                own = None if grain is None else grain[..., : x.shape[2], : x.shape[3]]
                if x.dtype == self.half_dtype:
                    half = layer_half_weight(self.prepared, controls, where, convolution.weight, x.dtype)
                    x = convolution.forward_in_half(x, w, own, half)
                else:
                    x = convolution(x, w, own, controls.weight(where, convolution.weight))
                x = self.laid_out(where, controls.leave(where, x), canvas)
            where = f"blocks.{index}.torgb"
            colours = controls.leave(where, self.coloured(where, block.torgb, controls.enter(where, x), w, controls))
            image = colours if image is None else self.fitted(self.upsampled(image), x, canvas) + colours
            if stop == resolutions[index]:
                break
        assert image is not None
        return 2 * image - 1

    def coloured(self, name: str, torgb: ToRGB, x: Tensor, w: Tensor, controls: Controls) -> Tensor:
        """A toRGB layer's output for an x of any precision."""
        if x.dtype == self.half_dtype:
            half = layer_half_weight(self.prepared, controls, name, torgb.weight, x.dtype)
            return half_colours(x, torgb.affine(w), half)
        return torgb(x, w, controls.weight(name, torgb.weight))


class Lucidrains(Generator):
    """The generator: ``synthesis(mapping(z))`` is a picture of about -1 to 1.

    Examples
    --------
    >>> generator = load_generator("models/flowers/model_100.pt")
    >>> ws = generator.mapping(torch.randn(1, generator.z_dim), truncation_psi=0.75)
    >>> generator.synthesis(ws).shape
    torch.Size([1, 3, 128, 128])
    """

    architecture = "lucidrains"
    config_class = LucidrainsConfig
    synthesis_class = LucidrainsSynthesis
    config: LucidrainsConfig
    synthesis: LucidrainsSynthesis
