# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise: the network's fine grain, still or alive, loud with the drums.

Evolving noise is a function of its clock, not a film: knots stand at equal distances on the clock, each with a white
map of its own, and the map at any moment is the sum of the four nearest, weighted by the uniform cubic B-spline.
Divided by the root of the sum of the squared weights, its variance is one at every moment. Only four maps per noise
input are ever needed, so memory does not grow with the song, any moment can be asked for in any order, and the frame
rate changes nothing. (In the paper, section 3, standard deviation, place and smoothness over time are what is seen of
the noise: here they are amplitude, range and `seconds`.)
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch

from ..errors import PatchError
from .patch import NoiseLayer, Patch
from .ranges import Shapes, noise_range
from .signals import Values
from .sources import EvolvingNoise, FixedNoise

# Distance, in knots, after which evolving noise is half correlated with itself, averaged over where one starts between
# two knots. A test measures it again.
HALF_CORRELATION = 0.99153

_FIXED_DOMAIN, _EVOLVING_DOMAIN = 0, 1  # so that fixed noise is no knot of the evolving noise of the same seed


def white_map(key: tuple[int, int, int, int], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """White Gaussian noise, float32 [h, w], which depends on nothing but the key and the shape.

    The key is (domain, seed, noise input, knot); a knot may be negative. SeedSequence turns it into the state of an
    independent generator (O'Neill's seed_seq, see NumPy's documentation), on the CPU so that all devices agree.
    """
    words = np.array([number & 0xFFFFFFFFFFFFFFFF for number in key], dtype=np.uint64).view(np.uint32)
    generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(words.tolist())))
    return generator.standard_normal(shape, dtype=np.float32)


def evolving_weights(clock: float, seconds: float) -> tuple[int, tuple[float, float, float, float]]:
    """First of the four knots around a moment, and their weights, whose squares sum to one.

    Parameters
    ----------
    clock
        The moment, in seconds, may be negative.
    seconds
        Correlation time: how far apart two moments are whose maps correlate by one half.
    """
    position = clock / seconds * HALF_CORRELATION
    first = math.floor(position)
    u = position - first
    # Uniform cubic B-spline; its factor 1/6 falls out in the norm.
    weights = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
    norm = math.sqrt(sum(weight * weight for weight in weights))
    return first - 1, (weights[0] / norm, weights[1] / norm, weights[2] / norm, weights[3] / norm)


class NoiseMaps:
    """White maps of several noise inputs, end to end in one row, the newest rows kept.

    A cache of pure values, so what it holds never shows in a picture. The inputs share a row because a few long
    additions cost less than many short ones, on a GPU above all.

    Parameters
    ----------
    shapes
        (height, width) of each noise input of the network.
    device
        Where the maps are wanted.

    Attributes
    ----------
    capacity
        How many rows are kept.
    starts
        Where each input begins in a row of all inputs, and where the last one ends.
    """

    def __init__(self, shapes: Shapes, device: torch.device | str) -> None:
        self.shapes = shapes
        self.device = torch.device(device)
        self.capacity = 0
        self.starts = tuple(accumulate((height * width for height, width in shapes), initial=0))
        self._rows: OrderedDict[tuple[int, int, int, range], torch.Tensor] = OrderedDict()

    def row(self, domain: int, seed: int, knot: int, inputs: range) -> torch.Tensor:
        """The maps of consecutive inputs at one knot, [numbers]; it is shared, do not write to it."""
        key = (domain, seed, knot, inputs)
        if key in self._rows:
            self._rows.move_to_end(key)
            return self._rows[key]
        maps = [white_map((domain, seed, i, knot), self.shapes[i]).ravel() for i in inputs]
        self._rows[key] = made = torch.from_numpy(np.concatenate(maps)).to(self.device)
        while len(self._rows) > self.capacity:
            self._rows.popitem(last=False)
        return made


def add_scaled(total: torch.Tensor, row: torch.Tensor, factor: float) -> None:
    """``total += factor * row``, in place.

    On the CPU NumPy does it, in one thread. torch would share each of these short additions among all cores, and while
    Blender keeps those busy it waits for them many times longer than the addition takes.
    """
    if total.device.type == "cpu":
        sums = total.numpy()
        np.add(sums, np.multiply(row.numpy(), np.float32(factor)), out=sums)
    else:
        total.add_(row, alpha=factor)


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
        White maps for the network's noise inputs.
    own
        Gives the network's own noise of an input, [h, w].
    """
    if not maps.shapes or not any(layer.enabled for layer in patch.noise_layers):
        return "const"
    starts = maps.starts
    total = torch.from_numpy(np.zeros(starts[-1], dtype=np.float32)).to(maps.device)
    for layer in patch.noise_layers:
        amplitude = layer_amplitude(layer, values)
        if amplitude == 0.0:
            continue
        source = layer.source
        inputs = noise_range(layer.range, maps.shapes)
        reached = total[starts[inputs.start] : starts[inputs.stop]]
        if isinstance(source, EvolvingNoise):
            first, weights = evolving_weights(source.clock.at(values), source.seconds)
            for knot, weight in enumerate(weights, start=first):
                add_scaled(reached, maps.row(_EVOLVING_DOMAIN, source.seed, knot, inputs), amplitude * weight)
        elif isinstance(source, FixedNoise):
            add_scaled(reached, maps.row(_FIXED_DOMAIN, source.seed, 0, inputs), amplitude)
        else:
            for i in inputs:
                add_scaled(total[starts[i] : starts[i + 1]], own(i).flatten(), amplitude)
    spans = zip(starts, starts[1:], maps.shapes, strict=False)
    return [total[start:stop].view(1, 1, *shape) for start, stop, shape in spans]


def rows_needed(patch: Patch) -> int:
    """How many rows of white maps a frame of this patch reads at most."""
    counts = {EvolvingNoise: 4, FixedNoise: 1}
    return sum(counts.get(type(layer.source), 0) for layer in patch.noise_layers if layer.enabled)


def own_noise(buffer: torch.Tensor | None, index: int, shape: tuple[int, int]) -> torch.Tensor:
    """The network's saved noise of one input, checked; raises PatchError if the network has none."""
    if buffer is None:
        raise PatchError(
            f"The patch has a layer with the network's own noise, but this network was saved without noise {index} "
            f"({shape[1]} x {shape[0]} px). Choose fixed noise for that layer."
        )
    return buffer.reshape(shape)
