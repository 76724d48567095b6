# SPDX-License-Identifier: GPL-3.0-or-later
"""More ways of writing a picture formula into a StyleGAN2: flowers of any symmetry, and strokes at several sizes.

`generator_builder` passes smooth fields through the network in pairs of channels. Here three things are added:

* **Ballast.** Demodulation undoes a style that scales everything a row reads. A weight on two channels that say the
  same (their difference is nothing) makes the row's norm, and so the factor, nearly the same whatever the style does.
* **Flowers.** After ``Y = |y|`` the hinges ``lrelu(m_j . (x, Y))`` with lines through the centre at angles between 0
  and pi add up to any function ``r g(theta)`` that is mirrored at the x axis and straight between the lines: a cone,
  ``r cos(5 theta)``, petals. The weights are found by least squares; all of one set's functions are read off the same
  channels. If a latent scales x and y beforehand, it scales the flower.
* **Strokes** at any size: hinges of a signal times colours that latents scale, by the toRGB layer of that size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from generator_builder import CONSTANT, PAIR_DIFFERENCE, PAIR_SUM, Builder, Signal, Style, Terms, unit, write_style
from torch import Tensor

from stylegan_reactive.generator.layers import LRELU_GAIN, LRELU_SLOPE
from stylegan_reactive.generator.stylegan2 import SynthesisLayer, ToRGB

RIDGE = 1e-5  # of the least squares for a flower: keeps the weights small
STRONGEST = 1000.0  # weight of a colour


@dataclass(frozen=True)
class Output:
    """One signal of a layer.

    Attributes
    ----------
    terms : mapping of str to float
        What it adds up: ``name``, ``|name|`` (fold), ``name+`` or ``name-`` (the positive or the negative part).
    kind : str
        "pair": two channels, it can be folded. "positive": one channel, for what is never below zero. "hinge": one
        channel that holds its leaky rectifier.
    kernel : Tensor or None
        3x3 weights in place of the middle one alone.
    offset : float
        Added by the bias. (A term ``one`` would drown in half precision where the others are as small as noise.)
    """

    terms: Terms
    kind: str = "pair"
    kernel: Tensor | None = None
    offset: float = 0.0


@dataclass(frozen=True)
class Stroke:
    """A piecewise linear function of a sum of signals, in colours: ``values`` at ``knots``, constant outside."""

    terms: Terms
    knots: tuple[float, ...]
    values: tuple[float, ...]
    colours: Sequence[tuple[Tensor, Style]]
    kernel: Tensor | None = None


@dataclass
class HingeSet:
    """The channels that hold the hinges of one pair of coordinates, and how they are added up."""

    angles: Tensor
    names: list[str] = field(default_factory=list)

    def weights(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Weights of x's two halves, Y and the hinges, for ``r function(theta)``."""
        theta = torch.linspace(0, math.pi, 721, dtype=torch.float64)
        x, y = torch.cos(theta), torch.sin(theta)
        lines = [x, -x, y] + [torch.sin(theta - angle) for angle in self.angles.double()]
        basis = torch.stack([torch.nn.functional.leaky_relu(line, LRELU_SLOPE) for line in lines], dim=1)
        wanted = function(theta)
        gram = basis.T @ basis / len(theta)
        solution = torch.linalg.solve(
            gram + RIDGE * torch.eye(len(gram), dtype=gram.dtype), basis.T @ wanted / len(theta)
        )
        return solution.float()


class BloomBuilder(Builder):
    """A `Builder` with layers of mixed kinds of signals."""

    def constant_channels(self, layer: SynthesisLayer, made: dict[str, Signal], names: Sequence[str]) -> int:
        """Also ``ballast``: two channels that hear only the noise, and hear the same."""
        width = layer.weight.shape[0]
        made["zero"] = Signal((0,), unit(width, 0))
        made["noise"] = Signal((0,), unit(width, 0) / LRELU_GAIN)
        made["ballast"] = Signal((0, 1), (unit(width, 0) - unit(width, 1)) / math.sqrt(2))
        for channel, name in enumerate(("one", *names), 2):
            layer.bias[channel] = CONSTANT
            made[name] = Signal((channel,), unit(width, channel) / (CONSTANT * LRELU_GAIN))
        return 3 + len(names)

    def read(self, terms: Terms) -> Tensor:
        """Also knows ``name+`` and ``name-``."""
        plain: dict[str, float] = {}
        for name, coefficient in terms.items():
            if name[-1] in "+-":
                sign = 1.0 if name[-1] == "+" else -1.0
                plain[name[:-1]] = plain.get(name[:-1], 0.0) + sign * coefficient / 2
                plain[f"|{name[:-1]}|"] = plain.get(f"|{name[:-1]}|", 0.0) + coefficient / 2
            else:
                plain[name] = plain.get(name, 0.0) + coefficient
        return super().read(plain)

    def layer(
        self,
        outputs: Mapping[str, Output],
        styles: Mapping[str, Style] | None = None,
        *,
        strokes: Sequence[Stroke] = (),
        constants: Sequence[str] = (),
        base: Sequence[tuple[Tensor, Style]] | None = None,
        copies: int = 1,
        noise_strength: float = 0.0,
    ) -> None:
        """Any layer: signals, and strokes for the toRGB layer of this size.

        `copies` of each signal keep it large in its channels. `noise_strength` is in units of channels.
        """
        layer, width = self.open_layer(styles or {})
        made: dict[str, Signal] = {}
        channel = self.constant_channels(layer, made, constants)
        places: dict[str, int] = {}
        sizes: dict[int, float] = {}  # norms of rows before they were made 1
        for name, output in outputs.items():
            row, kernel = self.read(output.terms), output.kernel
            sizes[channel] = float(row.norm())
            row = row / row.norm()
            places[name] = channel
            for sign in ((1, -1) if output.kind == "pair" else (1,)) * copies:
                if kernel is None:
                    layer.weight[channel, :, 1, 1] = sign * row
                else:
                    layer.weight[channel] = sign * row[:, None, None] * kernel
                channel += 1
        painted: list[tuple[Stroke, Style, Tensor, int]] = []
        for stroke in strokes:
            row = self.read(stroke.terms)
            size, row = float(row.norm()), row / row.norm()
            kernel = torch.zeros(3, 3) if stroke.kernel is None else stroke.kernel
            if stroke.kernel is None:
                kernel[1, 1] = 1.0
            for colour, style in stroke.colours:
                painted.append((stroke, style, colour, channel))
                sizes[channel] = size
                layer.weight[channel : channel + len(stroke.knots)] = row[:, None, None] * kernel
                channel += len(stroke.knots)
        assert channel <= width, f"layer {self.index} has {width} channels, not {channel}"
        factors = self.factors(layer)
        for name, output in outputs.items():
            first, scale = places[name], float(factors[places[name]]) / sizes[places[name]]
            each = 2 if output.kind == "pair" else 1
            layer.bias[first : first + each * copies : each] = output.offset * scale
            if each == 2:
                layer.bias[first + 1 : first + 2 * copies : 2] = -output.offset * scale
            one, other = torch.zeros(width), torch.zeros(width)
            if output.kind == "pair":
                one[first : first + 2 * copies : 2] = 1 / copies
                other[first + 1 : first + 2 * copies : 2] = 1 / copies
                made[name] = Signal(
                    tuple(range(first, first + 2 * copies)),
                    (one - other) / (PAIR_DIFFERENCE * scale),
                    (one + other) / (PAIR_SUM * scale),
                )
            else:
                one[first : first + copies] = 1 / copies
                made[name] = Signal(tuple(range(first, first + copies)), one / (LRELU_GAIN * scale))
        if painted:
            self.write_strokes(layer, painted, {first: float(factors[first]) / size for first, size in sizes.items()})
        if base is not None:
            self.write_base(made, base)
        self.close_layer(layer, made, noise_strength)

    def write_strokes(
        self, layer: SynthesisLayer, painted: Sequence[tuple[Stroke, Style, Tensor, int]], scales: Mapping[int, float]
    ) -> None:
        """Thresholds and colours."""
        torgb = self.torgb()
        for stroke, style, colour, first in painted:
            knots, values, scale = stroke.knots, stroke.values, scales[first]
            assert values[0] == values[-1], "what the rectifiers leak would be a constant, lost at the border"
            slopes = [
                (v1 - v0) / (k1 - k0) for k0, k1, v0, v1 in zip(knots, knots[1:], values, values[1:], strict=False)
            ]
            bends = [b - a for a, b in zip([0.0, *slopes], [*slopes, 0.0], strict=True)]
            gain = 1 / (LRELU_GAIN * (1 - LRELU_SLOPE) * scale)
            strong = max(1.0, gain * max(map(abs, bends)) / STRONGEST)  # goes into the style: half precision is bounded
            for index, (knot, bend) in enumerate(zip(knots, bends, strict=True)):
                layer.bias[first + index] = -knot * scale
                torgb.weight[:, first + index, 0, 0] = colour * bend * gain / strong / torgb.style_gain
            amounts = {latent: amount * strong for latent, amount in style.directions.items()}
            write_style(torgb.affine, range(first, first + len(knots)), Style(style.base * strong, amounts))

    def write_base(self, made: Mapping[str, Signal], base: Sequence[tuple[Tensor, Style]]) -> None:
        """The background. Upsampled, it loses as much at the border as ``edge0`` says, and gets it back.

        The first colour is really there. The others stand for what the strokes of smaller sizes lose on average; each
        has a channel of its own, ``edge1`` and so on.
        """
        torgb = self.torgb()
        if "edge0" not in made:
            torgb.bias.copy_(base[0][0])
            return
        for index, (colour, style) in enumerate(base):
            signal = made[f"edge{index}"]
            torgb.weight[:, :, 0, 0] += colour[:, None] * signal.value / torgb.style_gain
            write_style(torgb.affine, signal.channels, style)

    def torgb(self) -> ToRGB:
        """That of the current block."""
        torgb: ToRGB = self.generator.synthesis.blocks[(self.index + 1) // 2].torgb
        return torgb

    def hinge_set(
        self, name: str, x: str, y: str, count: int, ballast: float = 0.0
    ) -> tuple[HingeSet, dict[str, Output]]:
        """Outputs that hold the hinges of the coordinates named x and y (y is folded): `count` lines."""
        angles = torch.arange(1, count + 1) * math.pi / (count + 1)
        lines = {"right": {x: 1.0}, "left": {x: -1.0}, "up": {f"|{y}|": 1.0}}
        for index, angle in enumerate(angles.tolist()):
            # sin(theta - angle) = Y cos(angle) - x sin(angle)
            lines[str(index)] = {f"|{y}|": math.cos(angle), x: -math.sin(angle)}
        outputs = {f"{name}.{key}": Output({**terms, "ballast": ballast}, "hinge") for key, terms in lines.items()}
        return HingeSet(angles, list(outputs)), outputs

    def flower(self, hinges: HingeSet, function: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The terms that read ``r function(theta)`` off a set of hinges."""
        return dict(zip(hinges.names, hinges.weights(function).tolist(), strict=True))
