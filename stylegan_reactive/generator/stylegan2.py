# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2, the skip generator, as published, in plain PyTorch.

Read it from top to bottom: a configuration, the few operations, mapping, one synthesis block, synthesis, generator.

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
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2)
DEMODULATION_EPSILON = 1e-8

Noise = str | Sequence[Tensor | None]


@dataclass(frozen=True)
class StyleGAN2Config:
    """The architecture: everything that is not a weight.

    Attributes
    ----------
    resolution : int
        Height and width of the picture, a power of two from 8 on.
    channels : tuple of int
        Channels of the feature maps at 4, 8, ..., `resolution` px.
    mapping_lr_multiplier : float
        The stored weights of the mapping network are divided by it (0.01 in published checkpoints).
    conv_clamp : float or None
        Activations are clamped to plus and minus this value; None leaves them alone.
    """

    z_dim: int
    c_dim: int
    w_dim: int
    mapping_layers: int
    mapping_lr_multiplier: float
    resolution: int
    channels: tuple[int, ...]
    img_channels: int = 3
    conv_clamp: float | None = None

    def __post_init__(self) -> None:
        def whole(value: object, lowest: int, highest: int) -> bool:
            return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest

        def positive(value: object) -> bool:
            return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf

        size = self.resolution
        checks = {
            "z_dim": whole(self.z_dim, 1, 65536),
            "c_dim": whole(self.c_dim, 0, 65536),
            "w_dim": whole(self.w_dim, 1, 65536),
            "mapping_layers": whole(self.mapping_layers, 1, 64),
            "mapping_lr_multiplier": positive(self.mapping_lr_multiplier),
            "resolution": whole(size, 8, 8192) and size & (size - 1) == 0,
            "img_channels": whole(self.img_channels, 1, 64),
            "conv_clamp": self.conv_clamp is None or positive(self.conv_clamp),
        }
        checks["channels"] = (
            checks["resolution"]
            and isinstance(self.channels, tuple)
            and len(self.channels) == int(math.log2(size)) - 1
            and all(whole(count, 1, 65536) for count in self.channels)
        )
        for name, good in checks.items():
            if not good:
                raise ValueError(f"{name} = {getattr(self, name)!r} is not possible for a StyleGAN2")

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """4, 8, ..., resolution."""
        return tuple(4 << level for level in range(len(self.channels)))

    @property
    def num_ws(self) -> int:
        """One w for each convolution, and one for the last toRGB."""
        return 2 * len(self.channels)


def normalise_second_moment(x: Tensor) -> Tensor:
    """Scale each row to a mean square of one.  [batch, features] -> [batch, features]"""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def upsampling_filter() -> Tensor:
    """The outer product of [1, 3, 3, 1], scaled so that a picture upsampled by 2 keeps its brightness.  [1, 1, 4, 4]"""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return (torch.outer(taps, taps) / 16).view(1, 1, 4, 4)


def filter_channels(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Filter every channel alike; kernel [1, 1, 4, 4]."""
    return F.conv2d(x, kernel.expand(x.shape[1], 1, 4, 4), padding=padding, groups=x.shape[1])


def upsample(image: Tensor, kernel: Tensor) -> Tensor:
    """Twice the size: zeros between the pixels, then the filter.  [batch, channels, h, w] -> [.., .., 2h, 2w]"""
    channels = image.shape[1]
    return F.conv_transpose2d(image, kernel.expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)


class FullyConnected(nn.Module):
    """A linear layer with equalised learning rate: the stored weight is scaled when it is used.

    ``gain * (x @ (weight * lr / sqrt(features_in)).T + bias * lr)``, then the leaky rectifier if `activate`.
    """

    def __init__(
        self, features_in: int, features_out: int, *, activate: bool, lr: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features_out, features_in) / lr)
        self.bias = nn.Parameter(torch.full((features_out,), bias))
        self.weight_gain = lr / math.sqrt(features_in)
        self.bias_gain = lr
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        x = torch.addmm(self.bias, x, self.weight.T, beta=self.bias_gain, alpha=self.weight_gain)
        return F.leaky_relu(x, LRELU_SLOPE) * LRELU_GAIN if self.activate else x


class MappingNetwork(nn.Module):
    """z, and the class c if there are classes, to one w for each layer; truncation pulls towards the average w."""

    w_avg: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        features = config.z_dim
        if config.c_dim:
            self.embed = FullyConnected(config.c_dim, config.w_dim, activate=False)
            features += config.w_dim
        for index in range(config.mapping_layers):
            layer = FullyConnected(features, config.w_dim, activate=True, lr=config.mapping_lr_multiplier)
            self.add_module(f"fc{index}", layer)
            features = config.w_dim
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    @property
    def layers(self) -> tuple[FullyConnected, ...]:
        """``fc0``, ``fc1``, ..."""
        return tuple(self.get_submodule(f"fc{index}") for index in range(self.config.mapping_layers))  # type: ignore[misc]

    @torch.no_grad()
    def forward(
        self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        """z [batch, z_dim], c [batch, c_dim] -> ws [batch, num_ws, w_dim], the first `truncation_cutoff` truncated."""
        x = normalise_second_moment(z)
        if self.config.c_dim:
            if c is None:
                raise ValueError(
                    f"this generator knows {self.config.c_dim} classes: pass c [batch, {self.config.c_dim}]"
                )
            x = torch.cat([x, normalise_second_moment(self.embed(c))], dim=1)
        for layer in self.layers:
            x = layer(x)
        ws = x[:, None].repeat(1, self.config.num_ws, 1)  # [batch, num_ws, w_dim]
        if truncation_psi != 1:
            ws[:, :truncation_cutoff] = self.w_avg.lerp(ws[:, :truncation_cutoff], truncation_psi)
        return ws


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
        self.affine = FullyConnected(config.w_dim, channels_in, activate=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("kernel", upsampling_filter(), persistent=False)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        styles = self.affine(w)  # [batch, channels_in]
        power = self.weight.square().sum(dim=(2, 3))  # [channels_out, channels_in]
        demodulation = (styles.square() @ power.T + DEMODULATION_EPSILON).rsqrt()  # [batch, channels_out]
        x = x * styles[:, :, None, None]
        if self.up:
            x = F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)  # [batch, channels_out, 2h + 1, 2w + 1]
            x = filter_channels(x, self.kernel, padding=1)
        else:
            x = F.conv2d(x, self.weight, padding=1)
        x = torch.addcmul((self.bias * LRELU_GAIN)[:, None, None], x, (demodulation * LRELU_GAIN)[:, :, None, None])
        if noise is not None:
            x += noise * (self.noise_strength * LRELU_GAIN)
        x = F.leaky_relu_(x, LRELU_SLOPE)
        return x if self.clamp is None else x.clamp_(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """Style and 1x1 convolution to the picture's channels, without demodulation."""

    def __init__(self, channels: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.style_gain = 1 / math.sqrt(channels)
        self.affine = FullyConnected(config.w_dim, channels, activate=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(config.img_channels, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.img_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.style_gain
        image = F.conv2d(x * styles[:, :, None, None], self.weight, self.bias)
        return image if self.clamp is None else image.clamp_(-self.clamp, self.clamp)


class SynthesisBlock(nn.Module):
    """All that happens at one resolution. The block at 4 px starts from a learned constant and has no ``conv0``."""

    def __init__(self, channels_in: int, channels_out: int, config: StyleGAN2Config, resolution: int) -> None:
        super().__init__()
        if resolution == 4:
            self.const = nn.Parameter(torch.randn(channels_out, 4, 4))
        else:
            self.conv0 = SynthesisLayer(channels_in, channels_out, config, resolution, up=True)
        self.conv1 = SynthesisLayer(channels_out, channels_out, config, resolution, up=False)
        self.torgb = ToRGB(channels_out, config)


class SynthesisNetwork(nn.Module):
    """ws and noise to a picture.

    The layers are used in the order of their w: ``b4.conv1``, ``b8.conv0``, ``b8.conv1``, ``b16.conv0``, ... Each
    block's ``torgb`` shares its w with the first convolution of the next block; the last one has a w of its own.
    """

    kernel: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        channels_in = 0
        for resolution, channels_out in zip(config.block_resolutions, config.channels, strict=True):
            self.add_module(f"b{resolution}", SynthesisBlock(channels_in, channels_out, config, resolution))
            channels_in = channels_out
        self.register_buffer("kernel", upsampling_filter(), persistent=False)

    @property
    def blocks(self) -> tuple[SynthesisBlock, ...]:
        """The blocks from 4 px to the full size."""
        return tuple(self.get_submodule(f"b{r}") for r in self.config.block_resolutions)  # type: ignore[misc]

    @property
    def layers(self) -> tuple[SynthesisLayer, ...]:
        """The convolutions in order; layer i reads ``ws[:, i]`` and noise input i."""
        return tuple(
            layer
            for block in self.blocks
            for layer in (getattr(block, "conv0", None), block.conv1)
            if layer is not None
        )

    @torch.no_grad()
    def forward(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        """ws [batch, num_ws, w_dim] -> picture [batch, img_channels, h, w], float32, about -1 to 1.

        noise is "const" (the checkpoint's own), "none", or a list with one tensor [batch or 1, 1, h, w] per noise
        input, where None stands for the checkpoint's own.
        """
        if ws.ndim != 3 or ws.shape[1:] != (self.config.num_ws, self.config.w_dim):
            raise ValueError(f"ws has shape {list(ws.shape)}, not [batch, {self.config.num_ws}, {self.config.w_dim}]")
        noises = iter(self.noise_inputs(noise, ws.shape[0]))
        w = iter(ws.unbind(dim=1))
        x = self.blocks[0].const.expand(ws.shape[0], -1, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        image: Tensor | None = None
        layer_w = next(w)
        for block in self.blocks:
            if hasattr(block, "conv0"):
                x = block.conv0(x, layer_w, next(noises))
                layer_w = next(w)
            x = block.conv1(x, layer_w, next(noises))
            layer_w = next(w)
            colours = block.torgb(x, layer_w)
            image = colours if image is None else upsample(image, self.kernel).add_(colours)
        assert image is not None
        return image.contiguous()

    def noise_inputs(self, noise: Noise, batch: int) -> list[Tensor | None]:
        """One tensor [batch or 1, 1, h, w] per layer, or None where no noise is to be added."""
        layers = self.layers
        if isinstance(noise, str):
            if noise == "none":
                return [None] * len(layers)
            if noise != "const":
                raise ValueError(f'noise is {noise!r}; it can be "const", "none" or a list of tensors')
            noise = [None] * len(layers)
        if len(noise) != len(layers):
            raise ValueError(f"noise has {len(noise)} tensors; this generator has {len(layers)} noise inputs")
        inputs: list[Tensor | None] = []
        for index, (tensor, layer) in enumerate(zip(noise, layers, strict=True)):
            size = layer.noise_const.shape
            if tensor is None:
                tensor = layer.noise_const[None, None]
            elif tensor.ndim != 4 or tensor.shape[1:] != (1, *size) or tensor.shape[0] not in (1, batch):
                raise ValueError(
                    f"noise {index} has shape {list(tensor.shape)}, not [1 or {batch}, 1, {size[0]}, {size[1]}]"
                )
            inputs.append(tensor)
        return inputs


class StyleGAN2(nn.Module):
    """The generator: ``synthesis(mapping(z))`` is a picture of about -1 to 1.

    Nothing here is differentiated, so both halves run without gradients; what they return may be changed in place.

    Examples
    --------
    >>> generator = load_generator(builtin_checkpoint())
    >>> ws = generator.mapping(torch.randn(1, generator.z_dim), truncation_psi=0.7)
    >>> generator.synthesis(ws).shape
    torch.Size([1, 3, 512, 512])
    """

    architecture = "stylegan2"

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)
        self.requires_grad_(False)

    @property
    def z_dim(self) -> int:
        return self.config.z_dim

    @property
    def c_dim(self) -> int:
        """Number of classes, 0 without."""
        return self.config.c_dim

    @property
    def w_dim(self) -> int:
        return self.config.w_dim

    @property
    def num_ws(self) -> int:
        """How many w a picture takes: one per layer."""
        return self.config.num_ws

    @property
    def img_channels(self) -> int:
        return self.config.img_channels

    @property
    def resolution(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        return self.config.resolution, self.config.resolution

    @property
    def w_avg(self) -> Tensor:
        """The average w, which truncation pulls towards.  [w_dim]"""
        return self.mapping.w_avg

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each noise input, in order."""
        return tuple(
            (int(layer.noise_const.shape[0]), int(layer.noise_const.shape[1])) for layer in self.synthesis.layers
        )

    @property
    def device(self) -> torch.device:
        return self.mapping.w_avg.device
