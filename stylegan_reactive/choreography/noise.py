# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise: the network's fine grain, still or alive, loud with the drums, each layer in its part of the picture.

In the paper, section 3, the standard deviation, the place and the smoothness over time are what is seen of the noise:
here they are amplitude, range and mask, and the source's clock. A source is a weighted sum of maps that stay as they
are (see `noise_sources`). Its standard deviation is 1 at every moment and on every map, be it of 4 x 4 pixels: the sum
is divided by the root of its variance, which follows from the covariances of its maps, no matter what was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, combinations

import numpy as np
import numpy.typing as npt
import torch

from ..errors import PatchError
from .masks import MaskMaps
from .newest import Newest
from .noise_sources import Blend, Knot, Map, blend_of, knot_map
from .patch import NoiseLayer, Patch
from .ranges import Shapes, noise_range
from .signals import Values
from .sources import EvolvingNoise, FixedNoise, GradientNoise, LoopNoise

# Numbers that are summed in one go: few enough that they stay in the processor's own memory.
_PIECE = 16384
# The least variance of a sum, as a share of what independent maps would have. Maps of a dozen pixels and more never
# come near it; on smaller ones, which only a network of a few pixels has, two can cancel each other.
_LEAST_VARIANCE = 0.05

Gains = npt.NDArray[np.float64]


class NoiseMaps:
    """What the noise of a frame is summed from: maps of knots, their covariances, masks.

    The maps of several noise inputs lie end to end in one row, because a few long additions cost less than many short
    ones, on a GPU above all. All that is kept are pure values, the newest ones, so none of it shows in a picture.

    Parameters
    ----------
    shapes
        (height, width) of each noise input of the network, of its canvas if it has one.
    device
        Where the maps are wanted.
    picture
        (height, width) of what is seen of the finest noise input, its middle; None: all of it.
    own_shapes
        (height, width) of each noise input without a canvas, by which the ranges of layers go; None: as `shapes`.

    Attributes
    ----------
    starts
        Where each input begins in a row of all inputs, and where the last one ends.
    masks
        The masks of the layers.
    """

    def __init__(
        self,
        shapes: Shapes,
        device: torch.device | str,
        picture: tuple[int, int] | None = None,
        own_shapes: Shapes | None = None,
    ) -> None:
        self.shapes = shapes
        self.own_shapes = shapes if own_shapes is None else own_shapes
        self.device = torch.device(device)
        self.starts = tuple(accumulate((height * width for height, width in shapes), initial=0))
        self.masks = MaskMaps(shapes, self.device, picture)
        finest = shapes[-1] if shapes else (1, 1)
        self._sides = (finest[0] / min(finest), finest[1] / min(finest))
        self._rows: Newest[tuple[Knot, range], torch.Tensor] = Newest()
        self._covariances: Newest[tuple[Knot, Knot, range], Gains] = Newest()
        self._matrices: Newest[tuple[tuple[Knot, ...], range], Gains] = Newest()

    @property
    def capacity(self) -> int:
        """How many rows are kept."""
        return self._rows.capacity

    @capacity.setter
    def capacity(self, rows: int) -> None:
        self._rows.capacity = self._matrices.capacity = rows
        self._covariances.capacity = 4 * rows

    def row(self, knot: Knot, inputs: range) -> torch.Tensor:
        """A knot's maps of consecutive inputs, [numbers]; it is shared, do not write to it."""
        return self._rows.get((knot, inputs), lambda: self._make_row(knot, inputs))

    def gains(self, blend: Blend, inputs: range) -> Gains:
        """What the weighted sum of some knots is to be multiplied with on each input, so that its variance is 1."""
        knots = tuple(knot for knot, _ in blend)
        weights = np.array([weight for _, weight in blend])
        matrix = self._matrices.get((knots, inputs), lambda: self._make_matrix(knots, inputs))
        variances = matrix @ weights @ weights
        gains: Gains = 1.0 / np.sqrt(np.maximum(variances, _LEAST_VARIANCE * float(weights @ weights)))
        return gains

    def _make_row(self, knot: Knot, inputs: range) -> torch.Tensor:
        made: dict[tuple[int, int] | int, Map] = {}
        maps = []
        for index in inputs:
            key = self.shapes[index] if knot.cells else index  # clouds are the same on all maps of one size
            if key not in made:
                made[key] = knot_map(knot, index, self.shapes[index], self._sides).ravel()
            maps.append(made[key])
        return torch.from_numpy(np.concatenate(maps)).to(self.device)

    def _make_matrix(self, knots: tuple[Knot, ...], inputs: range) -> Gains:
        """Covariances of some knots on each input, [inputs, knots, knots]."""
        matrix = np.ones((len(inputs), len(knots), len(knots)))
        for i, j in combinations(range(len(knots)), 2):
            pair = self._covariances.get(
                (knots[i], knots[j], inputs), partial(self._make_covariances, knots[i], knots[j], inputs)
            )
            matrix[:, i, j] = matrix[:, j, i] = pair
        return matrix

    def _make_covariances(self, first: Knot, second: Knot, inputs: range) -> Gains:
        """Covariance of two knots on each input, [inputs]."""
        products = self.row(first, inputs) * self.row(second, inputs)
        spans = self.spans(inputs)
        if self.device.type == "cpu":
            return np.array([products.numpy()[span].mean(dtype=np.float64) for span in spans])
        means: Gains = torch.stack([products[span].mean(dtype=torch.float64) for span in spans]).cpu().numpy()
        return means

    def spans(self, inputs: range) -> list[slice]:
        """Where each of some consecutive inputs lies in a row of theirs."""
        first = self.starts[inputs.start]
        return [slice(self.starts[i] - first, self.starts[i + 1] - first) for i in inputs]


def add_blend(
    total: torch.Tensor,
    rows: Sequence[torch.Tensor],
    weights: Gains,
    gains: Gains,
    spans: Sequence[slice],
    mask: torch.Tensor | None,
) -> None:
    """``total[span] += mask[span] * gain * sum(weight * row[span])`` for each input's span and gain, in place.

    On the CPU NumPy does it, in one thread, piece by piece. torch would share each of these short additions among all
    cores, and while Blender keeps those busy it waits for them many times longer than the addition takes.
    """
    if total.device.type == "cpu":
        arrays = [row.numpy() for row in rows]
        _add_pieces(total.numpy(), arrays, weights, gains, spans, None if mask is None else mask.numpy())
        return
    layer = rows[0] * float(weights[0])
    for row, weight in zip(rows[1:], weights[1:], strict=True):
        layer.add_(row, alpha=float(weight))
    counts = torch.tensor([span.stop - span.start for span in spans], device=total.device)
    on_device = torch.from_numpy(gains.astype(np.float32)).to(total.device)
    layer.mul_(on_device.repeat_interleave(counts, output_size=len(total)))
    if mask is not None:
        layer.mul_(mask)
    total.add_(layer)


def _add_pieces(
    total: Map, rows: Sequence[Map], weights: Gains, gains: Gains, spans: Sequence[slice], mask: Map | None
) -> None:
    longest = min(_PIECE, max(span.stop - span.start for span in spans))
    layer, product = np.empty(longest, np.float32), np.empty(longest, np.float32)
    for span, gain in zip(spans, gains, strict=True):
        factors = (weights * gain).astype(np.float32)
        for start in range(span.start, span.stop, _PIECE):
            piece = slice(start, min(start + _PIECE, span.stop))
            count = piece.stop - piece.start
            here, other = layer[:count], product[:count]
            np.multiply(rows[0][piece], factors[0], out=here)
            for row, factor in zip(rows[1:], factors[1:], strict=True):
                np.multiply(row[piece], factor, out=other)
                np.add(here, other, out=here)
            if mask is not None:
                np.multiply(here, mask[piece], out=here)
            np.add(total[piece], here, out=total[piece])


def layer_amplitude(layer: NoiseLayer, values: Values) -> float:
    """A layer's amplitude (standard deviation) in a frame, at least 0; 0 for a layer that is switched off."""
    return max(0.0, layer.amplitude.at(values)) if layer.enabled else 0.0


def frame_noise(
    patch: Patch, values: Values, maps: NoiseMaps, own: Callable[[int], torch.Tensor]
) -> list[torch.Tensor] | str:
    """The noise of one frame: one float32 [1, 1, h, w] per noise input, or "const" for the network's own.

    Without layers (or with all of them switched off) the network keeps its own noise. With layers, each input gets the
    sum of the layers that reach it, and zero where none does.

    Parameters
    ----------
    patch
        With the frame's overrides already in place.
    maps
        What noise is made of, for the network's noise inputs.
    own
        Gives the network's own noise of an input, [h, w].
    """
    if not maps.shapes or not any(layer.enabled for layer in patch.noise_layers):
        return "const"
    starts = maps.starts
    total = torch.from_numpy(np.zeros(starts[-1], dtype=np.float32)).to(maps.device)
    maps.masks.reserve(len(patch.noise_layers))
    for index, layer in enumerate(patch.noise_layers):
        amplitude = layer_amplitude(layer, values)
        if amplitude == 0.0:
            continue
        inputs = noise_range(layer.range, maps.own_shapes)
        mask = maps.masks.row(layer.mask, values, inputs, f"noise_layers.{index}.mask")
        blend = blend_of(layer.source, values)
        if blend:
            rows = [maps.row(knot, inputs) for knot, _ in blend]
            gains = maps.gains(blend, inputs)
        else:
            rows = [torch.cat([own(i).reshape(-1).to(maps.device, torch.float32) for i in inputs])]
            gains = np.ones(len(inputs))
        weights = np.array([weight for _, weight in blend] or [1.0]) * amplitude
        reached = total[starts[inputs.start] : starts[inputs.stop]]
        add_blend(reached, rows, weights, gains, maps.spans(inputs), mask)
    spans = zip(starts, starts[1:], maps.shapes, strict=False)
    return [total[start:stop].view(1, 1, *shape) for start, stop, shape in spans]


def rows_needed(patch: Patch) -> int:
    """How many rows of maps a frame of this patch reads at most."""
    counts = {EvolvingNoise: 4, LoopNoise: 4, GradientNoise: 4, FixedNoise: 1}
    return sum(counts.get(type(layer.source), 0) for layer in patch.noise_layers if layer.enabled)


def own_noise(buffer: torch.Tensor | None, index: int, shape: tuple[int, int]) -> torch.Tensor:
    """The network's saved noise of one input, checked; raises PatchError if the network has none."""
    if buffer is None:
        raise PatchError(
            f"The patch has a layer with the network's own noise, but this network was saved without noise {index} "
            f"({shape[1]} x {shape[0]} px). Choose fixed noise for that layer."
        )
    return buffer.reshape(shape)
