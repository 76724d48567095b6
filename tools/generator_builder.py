# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a picture formula into the weights of a StyleGAN2: signals, readouts, styles.

A *signal* is a picture that the formula talks about (a field, its fold, a constant). It lives in a few channels of the
current layer, and a *readout* - one weight per channel - gets it back:

* Two channels hold ``lrelu(+y)`` and ``lrelu(-y)``. Their difference is proportional to y, their sum to ``|y|``: the
  leaky rectifier passes a signal through unharmed, and folds it for nothing.
* Upsampling pads with zeros, so a signal loses a quarter of itself in the outermost row of pixels, again at each size,
  and the picture would get a dark frame. The mend: everything after the upsampling is kept proportional to that loss
  (thresholds come from a constant channel that is lost likewise, not from biases). Then the second convolution writes
  each signal several times: plainly, and *gated* by channels that are 0 inside and large at the edge or in the corner.
  Inside, all say the same; elsewhere they differ by known factors, so one combination of them is exact everywhere.

Demodulation divides each output by the norm of its weights, so signals keep about the same size at every layer,
whatever the styles do, and the builder measures by which factor a signal came out. Channels that are left over repeat
the signals, which makes up for what the gates take of the norm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from stylegan_reactive.generator.layers import LRELU_GAIN, LRELU_SLOPE, FullyConnected
from stylegan_reactive.generator.stylegan2 import StyleGAN2, SynthesisLayer

PAIR_DIFFERENCE = (1 + LRELU_SLOPE) * LRELU_GAIN  # lrelu(y) - lrelu(-y) = this * y
PAIR_SUM = (1 - LRELU_SLOPE) * LRELU_GAIN  # lrelu(y) + lrelu(-y) = this * |y|
# Value before the rectifier of constant channels: large, so that thresholds take little of a weight's norm. Times the
# rectifier's gain, the root of 2, it is 1393 / 8 within 0.00005, and both numbers survive half precision.
CONSTANT = 985 / 8
CONSTANT_AFTER = 1393 / 8
GATE = 0.6  # weight of the gates, for a row of weights of norm 1
LIGHT = torch.tensor([[-2.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]]) / 8  # slope towards the lower right
CORNER = 0.65  # of the constant: a threshold between what is kept in the corner, 0.75 squared, and at the edge, 0.75
SHARPENING = 0.3  # of the last convolution; zero padding makes it stronger at the edge, against the loss there
SHARPEN = torch.outer(*[torch.tensor([-SHARPENING, 1 + 2 * SHARPENING, -SHARPENING])] * 2)
SLOPE_GATE = 12.0  # how strongly the rim switches slopes off
LARGEST_WEIGHT = 2e4  # of the last convolution's rows
BORDER_KEPT = 0.75  # what zero padding leaves of a signal in the outermost row


@dataclass(frozen=True)
class Style:
    """How latents scale a signal on its way into the next layer: ``base + amount * (direction . latents)``."""

    base: float = 1.0
    directions: Mapping[int, float] = field(default_factory=dict)  # index of the latent -> amount


@dataclass(frozen=True)
class Signal:
    """Where a signal lives in the current layer.

    `value` and `fold` read the signal and its absolute value off the channels; `channels` lists those that it fills.
    """

    channels: tuple[int, ...]
    value: Tensor
    fold: Tensor | None = None


Terms = Mapping[str, float]  # signal name, or "|name|" for its fold -> coefficient


@dataclass(frozen=True)
class Ramp:
    """One stroke of the painting: a piecewise linear function of a signal, times a colour, times a style.

    The function goes through `values` at `knots` and is constant outside, so that nothing can blow out.
    """

    terms: Terms
    knots: tuple[float, ...]
    values: tuple[float, ...]
    colour: Tensor
    style: Style


class Builder:
    """Fills the layers of a synthesis network from 4 px upwards.

    Parameters
    ----------
    generator : StyleGAN2
        Its mapping network must already be written: the last layer holds latents as pairs (see `latent_rows`).
    ws : Tensor
        Samples [batch, num_ws, w_dim] over which factors are measured.
    constant : float
        Of the constant channels: small where signals become small, or they lose digits to it.
    """

    def __init__(self, generator: StyleGAN2, ws: Tensor, constant: float = CONSTANT) -> None:
        self.constant = constant
        self.generator = generator
        self.ws = ws
        self.layers = generator.synthesis.layers
        self.index = 0
        self.signals: dict[str, Signal] = {}
        self.x = torch.empty(0)

    def start(self, constant: Mapping[str, Tensor]) -> None:
        """Name the channels of the 4 px constant; those that are not named are zero."""
        const = self.generator.synthesis.blocks[0].const
        const.zero_()
        self.signals = {}
        for channel, (name, picture) in enumerate(constant.items()):
            const[channel] = picture
            self.signals[name] = Signal((channel,), unit(len(const), channel))
        self.x = const.expand(len(self.ws), -1, -1, -1)

    def pairs(
        self,
        outputs: Mapping[str, Terms],
        styles: Mapping[str, Style],
        *,
        constants: Sequence[str] = (),
        slopes: Mapping[str, Terms] = MappingProxyType({}),
        ballast: float = 0.0,
        noise_strength: float = 0.0,
    ) -> None:
        """A layer of signals in pairs of channels, as many pairs for each as fit.

        `slopes` are signals, too: how steeply a sum falls towards the lower right, which fades to zero where ``rim``
        says that the border is near. Where latents scale signals, `ballast`, the norm of a channel without one beside a
        row of norm 1, keeps the norm of the rows, and so the factor, from collapsing.

        After an upsampling it also makes ``mask`` (1, less what is lost), ``edge`` and ``corner``, for `mended`.
        `noise_strength` is in units of a signal's size.
        """
        layer, width = self.open_layer(styles)
        made: dict[str, Signal] = {}
        channel = self.constant_channels(layer, made, constants)
        if layer.up:
            layer.weight[channel, :, 1, 1] = self.signals["one"].value * self.constant
            layer.weight[channel + 1, :, 1, 1] = -self.signals["one"].value * self.constant
            layer.bias[channel + 1] = self.constant * CONSTANT_AFTER / CONSTANT
            made["mask"] = Signal((channel,), unit(width, channel) / (2 * self.constant))
            made["edge"] = Signal((channel + 1,), unit(width, channel + 1))
            # positive only in the corners, where the loss is squared; the leak of the rectifier elsewhere is subtracted
            layer.weight[channel + 2, :, 1, 1] = -self.signals["one"].value * self.constant
            layer.bias[channel + 2] = self.constant * LRELU_GAIN * CORNER
            corner = unit(width, channel + 2) - LRELU_SLOPE * unit(width, channel + 1)
            corner += LRELU_SLOPE * LRELU_GAIN * (1 - CORNER) * unit(width, made["one"].channels[0])
            made["corner"] = Signal((channel + 2,), corner)
            channel += 3
        copies = (width - channel - 4 * len(slopes)) // (2 * len(outputs))
        places = share_out(outputs, channel, 2 * copies)
        for name, terms in outputs.items():
            row = self.read(terms)
            rest = ballast * row.norm() * self.signals["zero"].value if ballast else 0.0
            for plus in places[name][::2]:
                layer.weight[plus, :, 1, 1] = row + rest
                layer.weight[plus + 1, :, 1, 1] = rest - row
        channel += 2 * copies * len(outputs)
        inclines = share_out(slopes, channel, 4)
        for name, terms in slopes.items():
            row = self.read(terms)
            gate = self.signals["rim"].value
            for at, sign, gated in zip(inclines[name], (1, -1, 1, -1), (0, 0, 1, 1), strict=True):
                layer.weight[at] = sign * row[:, None, None] * LIGHT
                layer.weight[at, :, 1, 1] -= gated * SLOPE_GATE * gate
        factors = self.factors(layer)
        for name, channels in inclines.items():
            # At the border both halves of the gated pair are negative and count a third: -1/2 + 3/2 * 1/3 = 0.
            s = 2 * LRELU_SLOPE / (1 + LRELU_SLOPE)
            value = torch.zeros(width)
            for at, sign, share in zip(channels, (1, -1, 1, -1), (-s, -s, 1.0, 1.0), strict=True):
                value[at] = sign * share / (1 - s) / (PAIR_DIFFERENCE * float(factors[at]))
            made[name] = Signal(tuple(channels), value)
        for name, channels in places.items():
            difference, total = torch.zeros(width), torch.zeros(width)
            for plus in channels[::2]:
                difference += unit(width, plus) - unit(width, plus + 1)
                total += unit(width, plus) + unit(width, plus + 1)
            scale = float(factors[channels.start]) * copies
            made[name] = Signal(tuple(channels), difference / (PAIR_DIFFERENCE * scale), total / (PAIR_SUM * scale))
        size = min(1 / float(made[name].value.norm()) for name in outputs)
        self.close_layer(layer, made, noise_strength * size)

    def mended(
        self,
        outputs: Mapping[str, Terms],
        styles: Mapping[str, Style],
        *,
        constants: Sequence[str] = (),
        noise_strength: float = 0.0,
    ) -> None:
        """The second layer of a size: each signal in six channels, with the loss at the border made good."""
        layer, width = self.open_layer(styles)
        made: dict[str, Signal] = {}
        channel = self.constant_channels(layer, made, constants)
        gates = (0 * self.signals["edge"].value, self.signals["edge"].value, self.signals["corner"].value)
        ballast = self.signals["zero"].value  # a channel without a signal: it only makes the norms of the rows equal
        heaviest = max(float(gate.norm()) for gate in gates)
        copies = (width - channel) // (6 * len(outputs))
        places = share_out(outputs, channel, 6 * copies)
        for name, terms in outputs.items():
            row = self.read(terms)
            row = row / row.norm()
            for plus, gate in zip(places[name][::2], gates * copies, strict=True):
                rest = ballast * math.sqrt(heaviest**2 - float(gate.norm()) ** 2) - gate
                layer.weight[plus, :, 1, 1] = row + GATE * rest
                layer.weight[plus + 1, :, 1, 1] = -row + GATE * rest
        factors = self.factors(layer)
        # Weights a, b, c of the plain pair, the one gated at the edge and the one gated in the corner, so that inside
        # a + b + c = 1, at the edge a + b s + c = 1 / kept, in the corner a + (b + c) s = 1 / kept^2, where a pair that
        # is gated, both halves being negative, still counts s = 2 slope / (1 + slope).
        s = 2 * LRELU_SLOPE / (1 + LRELU_SLOPE)
        at_edge = (1 - 1 / BORDER_KEPT) / (1 - s)
        in_corner = (1 / BORDER_KEPT - 1 / BORDER_KEPT**2) / (1 - s)
        shares = (1 - at_edge - in_corner, at_edge, in_corner)
        for name, channels in places.items():
            scale = float(factors[channels.start]) / float(self.read(outputs[name]).norm()) * copies
            value = torch.zeros(width)
            for plus, share in zip(channels[::2], shares * copies, strict=True):
                value[plus], value[plus + 1] = share, -share
            made[name] = Signal(tuple(channels), value / (PAIR_DIFFERENCE * scale))
        size = min(1 / float(made[name].value.norm()) for name in outputs)
        self.close_layer(layer, made, noise_strength * size)

    def tint(self, strokes: Mapping[str, tuple[Tensor, Style]]) -> None:
        """Let the toRGB of the block that was just finished add signals times colours to the picture."""
        resolution = self.x.shape[-1]
        torgb = self.generator.synthesis.blocks[int(math.log2(resolution)) - 2].torgb
        torgb.weight.zero_()
        torgb.affine.bias.fill_(1.0)
        for name, (colour, style) in strokes.items():
            signal = self.signals[name]
            for channel in signal.channels:
                torgb.weight[:, channel, 0, 0] = colour * float(signal.value[channel]) / torgb.style_gain
            write_style(torgb.affine, signal.channels, style)

    def paint(self, ramps: Sequence[Ramp], styles: Mapping[str, Style], *, noise_strength: float = 0.0) -> None:
        """The last convolution makes hinges of signals, and the last toRGB adds them up in colour.

        The knots come from ``mask``, not from biases: at the border they are lost as far as the signals are.
        """
        layer, _ = self.open_layer(styles)
        mask = self.signals["mask"].value
        channel = 0
        places: list[range] = []
        for ramp in ramps:
            row = self.read(ramp.terms)
            places.append(range(channel, channel := channel + len(ramp.knots)))
            for hinge, knot in zip(places[-1], ramp.knots, strict=True):
                shifted = row - knot * mask
                layer.weight[hinge] = (shifted * LARGEST_WEIGHT / shifted.abs().max())[:, None, None] * SHARPEN
        torgb = self.generator.synthesis.blocks[-1].torgb
        for parameter in (torgb.weight, torgb.bias, torgb.affine.weight, torgb.affine.bias):
            parameter.zero_()
        factors = self.factors(layer)
        smallest = math.inf
        wholes: dict[tuple[tuple[int, float], ...], int] = {}
        for ramp, place in zip(ramps, places, strict=True):
            slopes = [
                (v1 - v0) / (k1 - k0)
                for k0, k1, v0, v1 in zip(ramp.knots, ramp.knots[1:], ramp.values, ramp.values[1:], strict=False)
            ]
            bends = [b - a for a, b in zip([0.0, *slopes], [*slopes, 0.0], strict=True)]
            row = self.read(ramp.terms)
            for hinge, knot, bend in zip(place, ramp.knots, bends, strict=True):
                scale = float(factors[hinge]) * LARGEST_WEIGHT / float((row - knot * mask).abs().max())
                smallest = min(smallest, scale)
                gain = bend / (LRELU_GAIN * (1 - LRELU_SLOPE) * scale * torgb.style_gain)
                # Half of the gain, in powers, is left to the style, for 16 bits hold no number above 65504.
                share = math.sqrt(abs(gain)) + 1e-6
                torgb.weight[:, hinge, 0, 0] = ramp.colour * gain / share
                write_style(torgb.affine, (hinge,), ramp.style, share)
            # the leak of the rectifier adds a constant, the function starts at its first value: both go to the bias,
            leak = LRELU_SLOPE / (1 - LRELU_SLOPE) * (ramp.values[-1] - ramp.values[0])
            start = ramp.colour * (ramp.values[0] - leak)
            torgb.bias.add_(start * ramp.style.base)
            if float(start.abs().max()) < 1e-3 or not ramp.style.directions:
                continue
            # and as far as latents scale it, to a channel that is one everywhere.
            key = tuple(ramp.style.directions.items())
            if key not in wholes:
                wholes[key] = channel
                layer.bias[channel] = self.constant
                write_style(torgb.affine, (channel,), replace(ramp.style, base=0.0))
                channel += 1
            torgb.weight[:, wholes[key], 0, 0] += start / (self.constant * LRELU_GAIN * torgb.style_gain)
        self.close_layer(layer, {}, noise_strength * smallest)

    # ---- the parts of a layer

    def open_layer(self, styles: Mapping[str, Style]) -> tuple[SynthesisLayer, int]:
        layer = self.layers[self.index]
        for parameter in (layer.weight, layer.bias, layer.affine.weight, layer.affine.bias):
            parameter.zero_()
        layer.affine.bias.fill_(1.0)
        for name, style in styles.items():
            write_style(layer.affine, self.signals[name].channels, style)
        return layer, layer.weight.shape[0]

    def constant_channels(self, layer: SynthesisLayer, made: dict[str, Signal], names: Sequence[str]) -> int:
        """``zero`` (it hears only the noise), ``one``, and further constants, from biases alone."""
        width = layer.weight.shape[0]
        made["zero"] = Signal((0,), unit(width, 0))
        for channel, name in enumerate(("one", *names), 1):
            layer.bias[channel] = self.constant
            made[name] = Signal((channel,), unit(width, channel) / (self.constant * LRELU_GAIN))
        return 2 + len(names)

    def close_layer(self, layer: SynthesisLayer, made: dict[str, Signal], noise_strength: float) -> None:
        for parameter in layer.parameters():  # what half precision will make of it
            parameter.copy_(parameter.half().float())
        self.x = layer(self.x, self.ws[:, self.index], None)
        self.signals = made
        layer.noise_strength.fill_(noise_strength)
        self.index += 1

    def read(self, terms: Terms) -> Tensor:
        """The readout of a weighted sum of signals and folds."""
        total = torch.zeros(self.x.shape[1])
        for name, coefficient in terms.items():
            signal = self.signals[name.strip("|")]
            readout = signal.fold if name.startswith("|") else signal.value
            assert readout is not None, f"{name} cannot be folded here"
            total = total + coefficient * readout
        return total

    def factors(self, layer: SynthesisLayer) -> Tensor:
        """The mean factor of demodulation of each output over the samples.  [channels_out]"""
        styles = layer.affine(self.ws[:, self.index])
        power = layer.weight.square().sum(dim=(2, 3))
        return (styles.square() @ power.T + 1e-8).rsqrt().mean(dim=0)

    def standard(self, terms: Terms, deviation: float = 1.0, mean: float = 0.0) -> dict[str, float]:
        """The same sum, scaled and shifted to this deviation and mean over the samples."""
        picture = self.picture(terms)
        factor = deviation / float(picture.std(dim=(1, 2)).mean())
        scaled = {name: coefficient * factor for name, coefficient in terms.items()}
        constant = "mask" if "mask" in self.signals else "one"
        scaled[constant] = scaled.get(constant, 0.0) + mean - factor * float(picture.mean())
        return scaled

    def level(self, terms: Terms, deviation: float = 1.0, share: float = 0.5) -> dict[str, float]:
        """The same sum, scaled to this deviation over all pixels of all samples, and zero at this quantile of them.

        Folded there again and again, it stays bounded in every picture, and each fold doubles the number of bands.
        """
        picture = self.picture(terms)
        factor = deviation / float(picture.std())
        scaled = {name: coefficient * factor for name, coefficient in terms.items()}
        constant = "mask" if "mask" in self.signals else "one"
        middle = torch.quantile(picture.flatten()[:: max(1, picture.numel() // 200_000)], share)
        scaled[constant] = scaled.get(constant, 0.0) - factor * float(middle)
        return scaled

    def quantiles(self, terms: Terms, shares: Sequence[float]) -> tuple[float, ...]:
        """The values below which these shares of all pixels of the samples lie."""
        values = self.picture(terms)[:, ::3, ::3].flatten()
        return tuple(torch.quantile(values, torch.tensor(shares)).tolist())

    def picture(self, terms: Terms) -> Tensor:
        """The weighted sum itself, over the samples.  [batch, h, w]"""
        return torch.einsum("bchw,c->bhw", self.x, self.read(terms))


def share_out(names: Iterable[str], first: int, each: int) -> dict[str, range]:
    """Neighbouring ranges of channels, one for each name."""
    return {name: range(first + each * k, first + each * (k + 1)) for k, name in enumerate(names)}


def unit(length: int, index: int) -> Tensor:
    """A vector of zeros with a one."""
    vector = torch.zeros(length)
    vector[index] = 1.0
    return vector


def latent_rows(w_dim: int, latent: int) -> Tensor:
    """Reads a latent off w, which holds lrelu(+latents) in its first half and lrelu(-latents) in its second."""
    return (unit(w_dim, latent) - unit(w_dim, latent + w_dim // 2)) / PAIR_DIFFERENCE


def write_style(affine: FullyConnected, channels: Iterable[int], style: Style, times: float = 1.0) -> None:
    """Let latents scale these channels; those without a style keep 1."""
    w_dim = affine.weight.shape[1]
    row = torch.zeros(w_dim)
    for latent, amount in style.directions.items():
        row += amount * latent_rows(w_dim, latent)
    for channel in channels:
        affine.weight[channel] = row * times * math.sqrt(w_dim)  # the network divides by it
        affine.bias[channel] = style.base * times
