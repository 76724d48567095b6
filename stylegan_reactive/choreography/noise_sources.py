# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of noise: each is a sum of a few maps that stay as they are, with weights that follow its clock.

The maps stand on *knots*, at equal distances on the clock. A knot is named by whole numbers alone, and its map is drawn
from nothing but that name and the size wanted. So any moment can be asked for in any order, a song has no end, and only
the maps of the knots around a moment are ever needed.

- Fixed noise has one knot.
- Evolving noise is white: four knots around the moment, weighted by the uniform cubic B-spline.
- Looping noise is the same with its knots on a circle.
- Gradient noise is Perlin's (Improving Noise, SIGGRAPH 2002) in x, y and time. At a moment between two planes of its
  lattice it is the sum of four pictures, two for each plane: the noise of the plane's gradients along x and y, and of
  those along time, which say how fast the first one is about to change.

Every map has mean 0 and standard deviation 1 to the last digit; what their sum has is seen to in `noise`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .loops import turn
from .patch import NoiseSource
from .signals import Values
from .sources import EvolvingNoise, FixedNoise, GradientNoise, LoopNoise

Map = npt.NDArray[np.float32]  # [h, w]

# Distance, in knots, after which evolving noise is half correlated with itself, averaged over where one starts between
# two knots. A test measures it again.
HALF_CORRELATION = 0.99153
# The same for gradient noise, in planes of its lattice.
HALF_CORRELATION_OF_CLOUDS = 0.43683
# How much stronger the gradients along time are than those along x and y, both measured as pictures. With this the
# clouds change equally fast at all times, within 6 per cent; otherwise they would pulse with the lattice.
_TIME_GRADIENTS = 2.65

# So that no source uses a map of another one with the same seed.
_FIXED, _EVOLVING, _LOOP, _CLOUDS, _CLOUDS_IN_TIME = range(5)


@dataclass(frozen=True)
class Knot:
    """The name of a map.

    Attributes
    ----------
    domain
        Which kind of map, so that sources share none.
    seed, number
        Of the source, and of the knot on its clock; it may be negative.
    cells
        Of gradient noise: fields of its lattice along the shorter side of the picture; 0: the map is white.
    """

    domain: int
    seed: int
    number: int
    cells: int = 0


Blend = tuple[tuple[Knot, float], ...]


def blend_of(source: NoiseSource, values: Values) -> Blend:
    """The knots that make up a source in the frame that has these values, and their weights.

    The network's own noise has none.
    """
    if isinstance(source, FixedNoise):
        return ((Knot(_FIXED, source.seed, 0), 1.0),)
    if isinstance(source, EvolvingNoise):
        first, weights = b_spline_weights(source.clock.at(values) / source.seconds * HALF_CORRELATION)
        return tuple((Knot(_EVOLVING, source.seed, first + i), weight) for i, weight in enumerate(weights))
    if isinstance(source, LoopNoise):
        first, weights = b_spline_weights(turn(source.clock.at(values), source.bars) * source.patterns)
        numbers = [(first + i) % source.patterns for i in range(4)]
        return tuple(
            (Knot(_LOOP, source.seed, number), weight) for number, weight in zip(numbers, weights, strict=True)
        )
    if isinstance(source, GradientNoise):
        return _clouds(source, source.clock.at(values) / source.seconds * HALF_CORRELATION_OF_CLOUDS)
    return ()


def b_spline_weights(position: float) -> tuple[int, tuple[float, float, float, float]]:
    """First of the four knots around a position, which counts knots, and their weights in a uniform cubic B-spline."""
    first = math.floor(position)
    u = position - first
    weights = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
    return first - 1, (weights[0] / 6, weights[1] / 6, weights[2] / 6, weights[3] / 6)


def _clouds(source: GradientNoise, position: float) -> Blend:
    plane = math.floor(position)
    after = position - plane
    fade = _fade(after)
    seed, cells = source.seed, source.cells
    return (
        (Knot(_CLOUDS, seed, plane, cells), 1 - fade),
        (Knot(_CLOUDS_IN_TIME, seed, plane, cells), (1 - fade) * after * _TIME_GRADIENTS),
        (Knot(_CLOUDS, seed, plane + 1, cells), fade),
        (Knot(_CLOUDS_IN_TIME, seed, plane + 1, cells), fade * (after - 1) * _TIME_GRADIENTS),
    )


def _fade(after: Any) -> Any:
    """Perlin's way from 0 to 1, flat to the second derivative at both ends; of a number or an array."""
    return after**3 * (after * (after * 6 - 15) + 10)


# Maps


def knot_map(knot: Knot, index: int, shape: tuple[int, int], sides: tuple[float, float]) -> Map:
    """A knot's map, float32 [h, w], mean 0, standard deviation 1.

    White maps are another one for each noise input. Clouds are the same at every resolution: they are seen as one
    thing in the picture, and independent ones would blur each other.

    Parameters
    ----------
    index, shape
        Of the noise input: its number, its height and width.
    sides
        Height and width of all that the noise inputs cover, in lengths of its shorter side.
    """
    if knot.cells:
        return standardised(_cloud_map(knot, shape, sides))
    return standardised(white_map((knot.domain, knot.seed, index, knot.number), shape))


def white_map(key: tuple[int, int, int, int], shape: tuple[int, int]) -> Map:
    """White Gaussian noise, float32 [h, w], which depends on nothing but the key and the shape.

    The key is (domain, seed, noise input, knot); a knot may be negative. SeedSequence turns it into the state of an
    independent generator (O'Neill's seed_seq, see NumPy's documentation), on the CPU so that all devices agree.
    """
    return _generator(key).standard_normal(shape, dtype=np.float32)


def _generator(key: tuple[int, int, int, int]) -> np.random.Generator:
    words = np.array([number & 0xFFFFFFFFFFFFFFFF for number in key], dtype=np.uint64).view(np.uint32)
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(words.tolist())))


def standardised(noise: Map) -> Map:
    """The map in place, shifted and scaled to mean 0 and standard deviation 1; a flat one becomes 0."""
    noise -= np.float32(noise.mean(dtype=np.float64))
    deviation = math.sqrt(np.square(noise).mean(dtype=np.float64))
    noise *= np.float32(1.0 / deviation if deviation > 1e-6 else 0.0)
    return noise


def lattice_size(cells: int, sides: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns of the lattice of clouds: as near to square fields as whole numbers allow."""
    return round(cells * sides[0]), round(cells * sides[1])


def _cloud_map(knot: Knot, shape: tuple[int, int], sides: tuple[float, float]) -> Map:
    """Perlin noise of one plane of the lattice, tileable, of any spread.

    A map of fewer pixels than fields has a lattice of its own, with a field for each pixel: what is smaller than a
    pixel cannot be painted.
    """
    rows, columns = (min(fields, pixels) for fields, pixels in zip(lattice_size(knot.cells, sides), shape, strict=True))
    angles = _generator((knot.domain, knot.seed, rows << 32 | columns, knot.number)).uniform(
        0, math.tau, (rows, columns)
    )
    y, x = _Axis.of(shape[0], rows), _Axis.of(shape[1], columns)
    gradients_x, gradients_y = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    if knot.domain == _CLOUDS_IN_TIME:
        return _between(gradients_x, y, y.fades, x, x.fades)
    return _between(gradients_x, y, y.fades, x, x.slopes) + _between(gradients_y, y, y.slopes, x, x.fades)


@dataclass(frozen=True)
class _Axis:
    """Where the pixels of one axis lie on the lattice.

    Attributes
    ----------
    ends
        The line before each pixel and the one after it, [2, pixels].
    fades
        How much each of these counts, [2, pixels].
    slopes
        The same times the distance from it, which is what a gradient of 1 has there.
    """

    ends: npt.NDArray[np.intp]
    fades: Map
    slopes: Map

    @classmethod
    def of(cls, pixels: int, fields: int) -> _Axis:
        positions = (np.arange(pixels) + 0.5) / pixels * fields
        before = positions.astype(np.intp)
        after = positions - before
        fade = _fade(after)
        fades = np.stack([1 - fade, fade])
        slopes = fades * np.stack([after, after - 1])
        ends = np.stack([before, (before + 1) % fields])  # the last field ends where the first begins
        return cls(ends, fades.astype(np.float32), slopes.astype(np.float32))


def _between(lattice: Map, y: _Axis, weights_y: Map, x: _Axis, weights_x: Map) -> Map:
    """The values of a lattice, weighted along both axes.  [rows, columns] -> [h, w]"""
    rows = lattice[y.ends[0]] * weights_y[0][:, None] + lattice[y.ends[1]] * weights_y[1][:, None]  # [h, columns]
    noise: Map = np.take(rows, x.ends[0], axis=1) * weights_x[0] + np.take(rows, x.ends[1], axis=1) * weights_x[1]
    return noise
