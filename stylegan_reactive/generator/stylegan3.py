# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN 3, translation (T) and rotation (R) equivariant, in plain PyTorch.

Paper: Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021, https://arxiv.org/abs/2106.12423,
section 3 and appendix F. Read it from top to bottom: a configuration, the input, one layer, synthesis, generator.

The picture is treated as samples of a continuous signal. It starts as waves (Fourier features) that w can shift and
turn, each layer is a convolution and a rectifier that creates no frequency its grid cannot hold
(`generator.filtered_lrelu`), and every map has a margin beyond the picture, so that nothing sees where it ends. There
are neither noise inputs nor pictures at lower resolutions.

The names of the tensors are those of the published checkpoints (``synthesis.L0_36_512.affine.weight``, ...).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Generator, SynthesisNetwork
from .canvas import Canvas, lay_out
from .controls import Controls
from .filtered_lrelu import Resampling, filtered_lrelu
from .half_precision import HalfWeight, finite, layer_half_weight, scaled_input
from .layers import FullyConnected, check_config, positive, single_precision, whole
from .mapping import MappingConfig
from .plan import PreparedWeights

DEMODULATION_EPSILON = 1e-8
WINOGRAD_FROM = 48  # px; on smaller maps, transforming the weights takes longer than is won


@dataclass(frozen=True)
class StyleGAN3Config:
    """The architecture: everything that is not a weight. The last of the layers gives the picture's colours.

    Attributes
    ----------
    mapping : MappingConfig
        The mapping network.
    resolution : int
        Height and width of the picture.
    channels : tuple of int
        Channels of the input, then of each layer's output; the last are the picture's.
    sizes : tuple of int
        Height and width of the input, then of each layer's output, margins included; the last is `resolution`.
    input_sampling_rate : float
        Samples of the input per width of the picture.
    input_bandwidth : float
        The highest frequency of the input, in waves per width of the picture, before a transform.
    conv_kernels : tuple of int
        Per layer, the size of the convolution: 3 (T) or 1 (R).
    up, down : tuple of int
        Per layer, the factors around the rectifier.
    up_taps, down_taps : tuple of int
        Per layer, the lengths of the filters; 1 is none.
    down_radial : tuple of bool
        Per layer, whether the second filter is two-dimensional.
    pad_before, pad_after : tuple of int
        Per layer, zeros around the upsampled map; negative ones cut.
    conv_clamp : float or None
        Activations are clamped to plus and minus this value; None leaves them alone.
    output_scale : float
        Factor of the picture.
    """

    mapping: MappingConfig
    resolution: int
    channels: tuple[int, ...]
    sizes: tuple[int, ...]
    input_sampling_rate: float
    input_bandwidth: float
    conv_kernels: tuple[int, ...]
    up: tuple[int, ...]
    down: tuple[int, ...]
    up_taps: tuple[int, ...]
    down_taps: tuple[int, ...]
    down_radial: tuple[bool, ...]
    pad_before: tuple[int, ...]
    pad_after: tuple[int, ...]
    conv_clamp: float | None = 256.0
    output_scale: float = 0.25

    def __post_init__(self) -> None:
        layers = len(self.channels) - 1 if isinstance(self.channels, tuple) else 0

        def all_whole(values: object, lowest: int, highest: int, count: int = layers) -> bool:
            return (
                isinstance(values, tuple)
                and len(values) == count
                and all(whole(value, lowest, highest) for value in values)
            )

        check_config(
            self,
            {
                "mapping": isinstance(self.mapping, MappingConfig),
                "resolution": whole(self.resolution, 1, 8192),
                "channels": 1 <= layers <= 64 and all_whole(self.channels, 1, 65536, layers + 1),
                "sizes": all_whole(self.sizes, 1, 16384, layers + 1) and self.sizes[-1] == self.resolution,
                "input_sampling_rate": positive(self.input_sampling_rate),
                "input_bandwidth": positive(self.input_bandwidth)
                and self.input_bandwidth < self.input_sampling_rate / 2,
                "conv_kernels": all_whole(self.conv_kernels, 1, 15),
                "up": all_whole(self.up, 1, 16),
                "down": all_whole(self.down, 1, 16),
                "up_taps": all_whole(self.up_taps, 1, 1024),
                "down_taps": all_whole(self.down_taps, 1, 1024),
                "down_radial": isinstance(self.down_radial, tuple)
                and len(self.down_radial) == layers
                and all(isinstance(radial, bool) for radial in self.down_radial),
                "pad_before": all_whole(self.pad_before, -16384, 16384),
                "pad_after": all_whole(self.pad_after, -16384, 16384),
                "conv_clamp": self.conv_clamp is None or positive(self.conv_clamp),
                "output_scale": positive(self.output_scale),
            },
        )
        for index, name in enumerate(self.layer_names[1:]):
            convolved = self.sizes[index] + self.conv_kernels[index] - 1
            inner = self.resampling(index).inner_size(convolved, self.up_taps[index])
            size = self.resampling(index).size(convolved, self.up_taps[index], self.down_taps[index])
            if inner < self.down_taps[index] or size != self.sizes[index + 1]:
                raise ValueError(
                    f"layer {name} turns {self.sizes[index]} px into {size} px, not {self.sizes[index + 1]} px, "
                    f"with factors {self.up[index]} and {self.down[index]}, {self.up_taps[index]} and "
                    f"{self.down_taps[index]} taps and a padding of {self.pad_before[index]}, {self.pad_after[index]}"
                )

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The input, then number, size and channels of each layer: "L0_36_512", ..."""
        counted = enumerate(zip(self.sizes[1:], self.channels[1:], strict=True))
        return "input", *(f"L{index}_{size}_{channels}" for index, (size, channels) in counted)

    @property
    def num_ws(self) -> int:
        """One w for the input and one for each layer."""
        return len(self.channels)

    @property
    def img_channels(self) -> int:
        """3 for colours, 4 with transparency, 1 for grey."""
        return self.channels[-1]

    def is_torgb(self, index: int) -> bool:
        """Whether a layer gives the colours: neither demodulation nor rectifier."""
        return index == len(self.up) - 1

    def resampling(self, index: int) -> Resampling:
        """What happens after a layer's convolution."""
        pads = self.pad_before[index], self.pad_after[index]
        if self.is_torgb(index):
            return Resampling(self.up[index], self.down[index], *pads, 1.0, 1.0, self.conv_clamp)
        return Resampling(self.up[index], self.down[index], *pads, clamp=self.conv_clamp)

    def sampling_rate(self, layer: int) -> float:
        """Samples per width of the picture in the input (0) or in the output of layer ``layer - 1``."""
        rate = self.input_sampling_rate
        for up, down in zip(self.up[:layer], self.down[:layer], strict=True):
            rate = rate * up / down
        return rate


class SynthesisInput(nn.Module):
    """Waves over the plane, which w shifts and turns, mixed to the channels of the first map.

    A transform takes a position in the picture to the position that is seen there, both in widths of the picture from
    its middle, y downwards.
    """

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        channels = config.channels[0]
        self.rate, self.bandwidth = config.input_sampling_rate, config.input_bandwidth
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = FullyConnected(config.mapping.w_dim, 4, activate=False)
        # Evenly over the disc of the frequencies below the bandwidth; a checkpoint has its own.
        length, angle = torch.rand(channels).sqrt() * self.bandwidth, torch.rand(channels) * 2 * math.pi
        self.register_buffer("freqs", torch.stack([length * angle.cos(), length * angle.sin()], dim=1))
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))

    def placement(self, w: Tensor, transform: Tensor | None) -> Tensor:
        """Where each sample's plane lies: w's own shift and turn after the transforms.  [batch, 3, 3]"""
        cosine, sine, x, y = self.affine(w).unbind(dim=1)
        length = torch.hypot(cosine, sine)
        cosine, sine, x, y = cosine / length, sine / length, x / length, y / length
        one, zero = torch.ones_like(x), torch.zeros_like(x)
        turn = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], dim=1).view(-1, 3, 3)
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1).view(-1, 3, 3)
        placement = turn @ shift @ self.transform
        return placement if transform is None else placement @ transform.to(placement)

    def waves(self, w: Tensor, size: tuple[int, int], transform: Tensor | None) -> Tensor:
        """The waves of each sample on a grid of height and width `size`.  [batch, channels, h, w]"""
        placement = self.placement(w, transform)
        # Moving the grid is the same as moving the waves: their frequencies turn, their phases shift.
        phases = self.phases + (self.freqs @ placement[:, :2, 2:]).squeeze(2)  # [batch, channels]
        freqs = self.freqs @ placement[:, :2, :2]  # [batch, channels, 2]
        # A transform that makes the picture smaller makes waves finer than the grid can hold: they fade out.
        strength = (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        strength = (1 - strength).clamp(0, 1)
        y, x = ((torch.arange(n, device=w.device) + 0.5 - n / 2) / self.rate for n in size)
        along_x = freqs[:, :, 0, None, None] * x  # [batch, channels, 1, w]
        along_y = freqs[:, :, 1, None, None] * y[:, None]  # [batch, channels, h, 1]
        waves = torch.sin(2 * math.pi * (along_x + along_y + phases[:, :, None, None]))
        return waves * strength[:, :, None, None]

    def forward(self, waves: Tensor, weight: Tensor) -> Tensor:
        """Mix the waves.  [batch, channels, h, w] -> the same shape"""
        weight = weight / math.sqrt(weight.shape[1])
        return (weight @ waves.flatten(2)).view(len(waves), -1, *waves.shape[2:])


class SynthesisLayer(nn.Module):
    """Style, convolution, demodulation, bias, filtered leaky rectifier; the last layer: style, convolution, bias."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, config: StyleGAN3Config, index: int) -> None:
        super().__init__()
        channels_in, channels_out = config.channels[index : index + 2]
        kernel, up_taps, down_taps = config.conv_kernels[index], config.up_taps[index], config.down_taps[index]
        self.is_torgb = config.is_torgb(index)
        self.resampling = config.resampling(index)
        self.affine = FullyConnected(config.mapping.w_dim, channels_in, activate=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.register_buffer("magnitude_ema", torch.ones([]))  # mean square of what the layer read in training
        down_shape = (down_taps, down_taps) if config.down_radial[index] else (down_taps,)
        for name, shape in (("up_filter", (up_taps,)), ("down_filter", down_shape)):
            self.register_buffer(name, None if shape[0] == 1 else torch.full(shape, 1 / math.prod(shape)))

    def scales(self, w: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of what the convolution reads and of what it gives.  [batch, channels in], [batch, channels out]

        A style scales the channels that are read, so all samples share one weight (equation 3 of the StyleGAN2 paper,
        factored). Weights and styles are to have a mean square of one before they are multiplied, the styles over the
        whole batch. Demodulation divides every such factor out again, all but the epsilon's part of it, 1e-8 against a
        sum of hundreds: so the weights are left as they are, the styles are measured sample by sample, and a frame is
        the same alone and in any batch.
        """
        return self.scales_by_power(w, weight.square().sum(dim=(2, 3)))

    def scales_by_power(self, w: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
        """`scales` with the squares of the weights, summed over the taps [channels_out, channels_in]."""
        styles = self.affine(w)
        magnitude = self.magnitude_ema.rsqrt()
        if self.is_torgb:
            gain = magnitude / math.sqrt(power.shape[1])
            return styles * gain, torch.ones_like(styles[:, :1]).expand(-1, len(power))
        styles = styles * styles.square().mean(dim=1, keepdim=True).rsqrt()
        unit = power.mean(dim=1) / math.prod(self.weight.shape[2:])  # mean square of each output's weights
        demodulation = (styles.square() @ (power / unit[:, None]).T + DEMODULATION_EPSILON).rsqrt() * unit.rsqrt()
        return styles * magnitude, demodulation

    def forward(self, x: Tensor, w: Tensor, weight: Tensor | None = None) -> Tensor:
        """x [batch, channels_in, h, w] with one w [batch, w_dim] each -> [batch, channels_out, h', w'].

        weight stands for the layer's own.
        """
        weight = self.weight if weight is None else weight
        scale_in, scale_out = self.scales(w, weight)
        if x.device.type != "cpu" or (torch.is_grad_enabled() and (x.requires_grad or scale_in.requires_grad)):
            x = F.conv2d(x * scale_in[:, :, None, None], weight, padding=weight.shape[2] - 1)
            return self.rectified(x, scale_out)
        # One sample after the other: its weights are fewer than its map's values, and less memory is needed at once.
        pictures = []
        for index in range(len(x)):
            one = slice(index, index + 1)
            convolved = convolve(x[one], weight * scale_in[index][:, None, None])
            pictures.append(self.rectified(convolved, scale_out[one]))
        return pictures[0] if len(pictures) == 1 else torch.cat(pictures)

    def forward_in_half(self, x: Tensor, w: Tensor, weight: HalfWeight, *, bounded: bool) -> Tensor:
        """`forward` for an x in half precision; bounded: whether x is known to be clamped. Colours are float32."""
        dtype, clamp = x.dtype, self.resampling.clamp
        scale_in, scale_out = self.scales_by_power(w, weight.power)
        x, scale = scaled_input(x, scale_in, clamp if bounded else None)
        x = F.conv2d(x, weight.weight, padding=self.weight.shape[2] - 1)
        factor = scale_out * weight.scale * scale
        if self.is_torgb:
            return self.rectified(x.float(), factor)
        x = self.rectified(x, finite(factor, dtype))
        return x if clamp is not None else finite(x, dtype)

    def rectified(self, x: Tensor, scale: Tensor) -> Tensor:
        """Demodulation, bias and filtered rectifier, in the precision of x."""
        bias = self.bias if x.dtype == self.bias.dtype else finite(self.bias, x.dtype)
        return filtered_lrelu(x, scale, bias, self.up_filter, self.down_filter, self.resampling)


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolution on the CPU, without gradients; every output that reads any input is kept.

    [1, channels, h, w] -> [1, .., h + k - 1, w + k - 1]. 3x3 kernels can use NNPACK's Winograd algorithm, which needs
    half the products; torch has it on some platforms.
    """
    padding = weight.shape[2] - 1
    small = weight.shape[2] != 3 or x.dtype != torch.float32 or min(x.shape[2:]) < WINOGRAD_FROM
    if small or not torch.backends.nnpack.is_available():
        return F.conv2d(x, weight, padding=padding)
    return torch._nnpack_spatial_convolution(x, weight, None, padding=padding)


class StyleGAN3Synthesis(SynthesisNetwork):
    """ws to a picture: ``ws[:, 0]`` places the input, each layer reads the next one."""

    can_shrink = False

    input: SynthesisInput

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.config = config
        self.num_ws, self.w_dim = config.num_ws, config.mapping.w_dim
        self.size = (config.resolution, config.resolution)
        self.input = SynthesisInput(config)
        for index, name in enumerate(config.layer_names[1:]):
            self.add_module(name, SynthesisLayer(config, index))
        self.prepared = PreparedWeights()

    @property
    def layer_names(self) -> tuple[str, ...]:
        return self.config.layer_names

    @property
    def layers(self) -> tuple[SynthesisLayer, ...]:
        """All layers after the input."""
        return tuple(self.get_submodule(name) for name in self.layer_names[1:])  # type: ignore[misc]

    @property
    def half_from(self) -> int:
        """The lowest sampling rate that is painted in half precision, if any is; never that of the input."""
        rates = [self.config.sampling_rate(index) for index in range(self.num_ws)]
        possible = [rate for rate in rates[1:] if rate > rates[0] and rate >= super(StyleGAN3Synthesis, self).half_from]
        return math.ceil(min(possible, default=2 * self.size[0]))

    @property
    def canvas_layers(self) -> tuple[str, ...]:
        return self.layer_names[:-1]

    @property
    def noise_constants(self) -> tuple[Tensor, ...]:
        return ()

    @property
    def styles(self) -> dict[str, tuple[FullyConnected, int]]:
        # What the input makes of its w moves the picture and is no style of channels.
        named = zip(self.layer_names[1:], self.layers, strict=True)
        return {name: (layer.affine, index) for index, (name, layer) in enumerate(named, 1)}

    def modulation(self, layer: str, ws: Tensor) -> Tensor | None:
        if layer not in self.styles:
            return None
        index = self.styles[layer][1]
        module = self.layers[index - 1]
        return module.scales(ws[:, index], module.weight)[0]

    def margin(self, layer: str) -> int:
        index = self.layer_names.index(layer)
        return round((self.config.sizes[index] - self.config.sampling_rate(index)) / 2)

    def map_size(self, layer: str) -> tuple[int, int]:
        size = self.config.sizes[self.layer_names.index(layer)]
        return size, size

    def noise_layer(self, index: int) -> str:
        raise ValueError("a StyleGAN 3 has no noise inputs")

    def grid(self, layer: str, canvas: Canvas | None) -> tuple[int, int]:
        """Height and width of a layer's output, which begins the canvas if there is one.

        The margins stay as wide as they are; one sample more becomes the same number of pixels at every place.
        """
        index = self.layer_names.index(layer)
        size, rate = self.config.sizes[index], self.config.sampling_rate(index)
        if canvas is None:
            return size, size
        rows, columns = (math.ceil((pixels / self.size[0] - 1) * rate) for pixels in (canvas.height, canvas.width))
        return max(1, size + rows), max(1, size + columns)

    def laid_out(self, layer: str, x: Tensor, canvas: Canvas | None) -> Tensor:
        if canvas is None or canvas.layer != layer or layer == "input":  # the input is made in its size
            return x
        return lay_out(x, self.grid(layer, canvas), canvas.mode)

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
        if stop is not None:
            raise ValueError("a StyleGAN 3 gives no picture at a lower resolution: paint it whole and reduce it")
        if transform is not None and transform.shape not in ((3, 3), (len(ws), 3, 3)):
            raise ValueError(f"the transform has shape {list(transform.shape)}, not [3, 3] or [{len(ws)}, 3, 3]")
        size = self.grid("input", canvas if canvas is not None and canvas.layer == "input" else None)
        w = iter(ws.unbind(dim=1))
        x = controls.enter("input", self.input.waves(next(w), size, transform))
        x = controls.leave("input", self.input(x, controls.weight("input", self.input.weight)))
        for index, (name, layer) in enumerate(zip(self.layer_names[1:], self.layers, strict=True), 1):
            if self.half_dtype is not None and self.in_half(self.config.sampling_rate(index)):
                x = controls.enter(name, finite(x, self.half_dtype))
                half = layer_half_weight(
                    self.prepared, controls, name, layer.weight, self.half_dtype, torch.contiguous_format
                )
                x = layer.forward_in_half(x, next(w), half, bounded=index > 1 and not controls.bends)
            else:
                x = x.float() if x.dtype == self.half_dtype else x
                x = layer(controls.enter(name, x), next(w), controls.weight(name, layer.weight))
            x = self.laid_out(name, controls.leave(name, x), canvas)
        return x * self.config.output_scale


class StyleGAN3(Generator):
    """The generator: ``synthesis(mapping(z))`` is a picture of about -1 to 1.

    Examples
    --------
    >>> generator = load_generator("stylegan3-t-ffhq-1024x1024.pkl")
    >>> ws = generator.mapping(torch.randn(1, generator.z_dim), truncation_psi=0.7)
    >>> turned = generator.synthesis(ws, transform=transform_matrix(rotate=10))
    """

    architecture = "stylegan3"
    config_class = StyleGAN3Config
    synthesis_class = StyleGAN3Synthesis
    config: StyleGAN3Config
    synthesis: StyleGAN3Synthesis


Number = float | Tensor


def transform_matrix(translate: Sequence[Number] = (0.0, 0.0), rotate: Number = 0.0, scale: Number = 1.0) -> Tensor:
    """The transform that moves a StyleGAN 3 picture as a whole.

    The picture is scaled and turned about its middle, then shifted; what comes into view is painted, not repeated.

    Parameters
    ----------
    translate : (float, float)
        To the right and down, in widths of the picture.
    rotate : float
        Degrees, counter-clockwise.
    scale : float
        2 shows everything twice as large.

    Returns
    -------
    Tensor
        [3, 3]; or [batch, 3, 3] if an argument is a tensor [batch].

    Raises
    ------
    ValueError
        If scale is not above zero, or a number is not finite.
    """
    values = [torch.as_tensor(value, dtype=torch.float32) for value in (*translate, rotate, scale)]
    x, y, angle, factor = torch.broadcast_tensors(*values)
    if not bool((factor > 0).all()):
        raise ValueError(f"a picture is scaled by more than 0, not by {scale}")
    # The network asks the other way round: which place of the unmoved picture is seen here.
    cosine, sine = torch.cos(torch.deg2rad(angle)) / factor, torch.sin(torch.deg2rad(angle)) / factor
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    rows = [cosine, -sine, sine * y - cosine * x, sine, cosine, -sine * x - cosine * y, zero, zero, one]
    matrix = torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
    if not bool(matrix.isfinite().all()):
        raise ValueError(f"a transform of translate {translate}, rotate {rotate}, scale {scale} has no finite numbers")
    return matrix
