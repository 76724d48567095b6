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

import numpy as np
import torch

from ..errors import PatchError
from .patch import EvolvingNoise, FixedNoise, NoiseLayer, Patch, Values, envelope_at
from .ranges import Shapes, noise_range

# Distance, in knots, after which evolving noise is half correlated with itself, averaged over where one starts between
# two knots. A test measures it again.
HALF_CORRELATION = 0.99153

_FIXED_DOMAIN, _EVOLVING_DOMAIN = 0, 1  # so that fixed noise is no knot of the evolving noise of the same seed


def white_map(key: tuple[int, int, int, int], shape: tuple[int, int]) -> torch.Tensor:
    """White Gaussian noise, float32 [h, w], which depends on nothing but the key and the shape.

    The key is (domain, seed, noise input, knot); a knot may be negative. SeedSequence turns it into the state of an
    independent generator (O'Neill's seed_seq, see NumPy's documentation), on the CPU so that all devices agree.
    """
    words = np.array([number & 0xFFFFFFFFFFFFFFFF for number in key], dtype=np.uint64).view(np.uint32)
    generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(words.tolist())))
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


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
    """White maps by key, the newest kept: a cache of pure values, so what it holds never shows in a picture.

    Parameters
    ----------
    device
        Where the maps are wanted.

    Attributes
    ----------
    capacity
        How many maps are kept.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.capacity = 0
        self._maps: OrderedDict[tuple[tuple[int, int, int, int], tuple[int, int]], torch.Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._maps)

    def __call__(self, key: tuple[int, int, int, int], shape: tuple[int, int]) -> torch.Tensor:
        """The map of a key, [h, w]; it is shared, do not write to it."""
        entry = (key, shape)
        if entry in self._maps:
            self._maps.move_to_end(entry)
            return self._maps[entry]
        self._maps[entry] = made = white_map(key, shape).to(self.device)
        while len(self._maps) > self.capacity:
            self._maps.popitem(last=False)
        return made


def layer_amplitude(layer: NoiseLayer, values: Values) -> float:
    """A layer's amplitude (standard deviation) in a frame, at least 0; 0 for a layer that is switched off."""
    return max(0.0, layer.amplitude.at(values)) if layer.enabled else 0.0


def frame_noise(
    patch: Patch,
    values: Values,
    maps: Callable[[tuple[int, int, int, int], tuple[int, int]], torch.Tensor],
    noise_shapes: Shapes,
    own: Callable[[int], torch.Tensor],
    device: torch.device | str,
) -> list[torch.Tensor] | str:
    """The noise of one frame: one float32 [1, 1, h, w] per noise input, or "const" for the network's own.

    Without layers (or with all of them switched off) the network keeps its own noise. With layers, each input gets the
    sum of the layers that reach it, and zero where none does.

    Parameters
    ----------
    patch
        With the frame's overrides already in place.
    maps
        Gives the white map of a key.
    noise_shapes
        (height, width) of each noise input.
    own
        Gives the network's own noise of an input, [h, w].
    """
    if not noise_shapes or not any(layer.enabled for layer in patch.noise_layers):
        return "const"
    sums = [torch.zeros(shape, dtype=torch.float32, device=device) for shape in noise_shapes]
    for index, layer in enumerate(patch.noise_layers):
        amplitude = layer_amplitude(layer, values)
        if amplitude == 0.0:
            continue
        source = layer.source
        for i in noise_range(layer.range, noise_shapes, f"noise_layers.{index}.range"):
            if isinstance(source, EvolvingNoise):
                first, weights = evolving_weights(envelope_at(values, source.clock), source.seconds)
                for knot, weight in enumerate(weights, start=first):
                    white = maps((_EVOLVING_DOMAIN, source.seed, i, knot), noise_shapes[i])
                    sums[i].add_(white, alpha=amplitude * weight)
            elif isinstance(source, FixedNoise):
                sums[i].add_(maps((_FIXED_DOMAIN, source.seed, i, 0), noise_shapes[i]), alpha=amplitude)
            else:
                sums[i].add_(own(i), alpha=amplitude)
    return [total[None, None] for total in sums]


def maps_needed(patch: Patch, noise_shapes: Shapes) -> int:
    """How many white maps a frame of this patch reads at most: up to four per layer that is on and noise input."""
    count = 0
    for index, layer in enumerate(patch.noise_layers):
        if layer.enabled:
            inputs = len(noise_range(layer.range, noise_shapes, f"noise_layers.{index}.range"))
            count += inputs * {EvolvingNoise: 4, FixedNoise: 1}.get(type(layer.source), 0)
    return count


def own_noise(buffer: torch.Tensor | None, index: int, shape: tuple[int, int]) -> torch.Tensor:
    """The network's saved noise of one input, checked; raises PatchError if the network has none."""
    if buffer is None:
        raise PatchError(
            f"The patch has a layer with the network's own noise, but this network was saved without noise {index} "
            f"({shape[1]} x {shape[0]} px). Choose fixed noise for that layer."
        )
    return buffer.reshape(shape)
