# SPDX-License-Identifier: GPL-3.0-or-later
"""Loops: closed ways through latents, run at the same speed all the way round (paper, appendix B).

A loop through n latents is a curve over a *position* from 0 to n, which is at latent i (or, once filtered, nearest to
it) at position i. Run by its position, it would dwell at some places and rush through others, as latents are not
equally far apart. So its phase, 0 to 1, is the share of the whole way: lengths are measured in W, where the network's
layers read them, over a table of positions, and the table is read backwards. Phase 0 is the first latent; another one
is reached when its share of the way is, not at even parts of the turn.

- One latent stands still.
- Between two latents there is but one way, and a loop goes there and back on it without a stop at either end: an artist
  who names two pictures wants to see what lies between them, not what a rounder way would lead to.
- Latents that are equal to their neighbours take no time.

Everything here is a pure function of latents and positions; no frame depends on another one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Latent = npt.NDArray[np.float32]

_MOST_STEPS = 32768  # in the table of a loop in W; enough for a speed within 1 % (a step is a straight line there)
_STEPS = 512  # for each latent, as long as they are not too many
_MOST_TRACED = 4096  # the same for loops in Z, where each step is one pass of the mapping network
_TRACED = 128
# Share of their usual distance from the middle below which the filtered latents are no longer stretched to it in full:
# a way that leads through the very middle stays in one piece.
_MIDDLE = 0.25
# Where two great circles meet, the corner is rounded over this share of both: a sudden turn would be seen as a jerk.
_ROUNDED = 0.125


def turn(value: float, bars: float) -> float:
    """The phase, from 0 up to but not 1, of a loop of some bars.

    Whole turns are taken off first, without any rounding, so that a loop is the same after millions of bars.
    """
    rest = value % bars
    return 0.0 if rest >= bars else min(rest / bars, math.nextafter(1.0, 0.0))


# Curves


def spline_weights(count: int, positions: Array) -> Array:
    """Weights of `count` latents on the closed cubic spline through them.  [m] -> [m, count], sums 1

    Smooth to the second derivative everywhere, also where it closes. At a whole position all weight is on one latent,
    to the last bit.
    """
    here, after = _split(count, positions)
    before = 1.0 - after
    there = (here + 1) % count
    rows = np.arange(len(positions))
    weights = np.zeros((len(positions), count))
    if count > 2:  # between two, the spline is the straight line, but stops at its ends
        curvature = _second_derivatives(count)
        weights += ((before**3 - before) / 6)[:, None] * curvature[here]
        weights += ((after**3 - after) / 6)[:, None] * curvature[there]
    weights[rows, here] += before
    weights[rows, there] += after
    return weights


@functools.lru_cache(maxsize=64)
def _second_derivatives(count: int) -> Array:
    """Matrix from `count` values on a circle, one apart, to the second derivatives of the spline through them.

    The natural equations of a cubic spline, ``M[i-1] + 4 M[i] + M[i+1] = 6 (y[i-1] - 2 y[i] + y[i+1])``, with indices
    that wrap around (de Boor, A Practical Guide to Splines, chapter IV).
    """
    identity = np.eye(count)
    neighbours = np.roll(identity, 1, axis=1) + np.roll(identity, -1, axis=1)
    solution: Array = np.linalg.solve(4 * identity + neighbours, 6 * (neighbours - 2 * identity))
    return solution  # [count, count]


def gaussian_weights(count: int, smoothness: float, gram: Array) -> Callable[[Array], Array]:
    """What gives the weights of `count` latents after a Gaussian filter, with their spread restored.

    The filter goes round the circle, so it has no seam. It draws everything toward the middle of the latents; at every
    position alike, what it gives is put back to the distance from the middle that the latents have (as the root of the
    mean of squares). So the loop keeps to a sphere about the middle and its variety neither shrinks with a wide filter
    nor breathes between the latents. It passes the latents by.

    Parameters
    ----------
    smoothness
        Standard deviation of the filter, in latents. From about a quarter of their number on, it leaves a circle.
    gram
        Inner products of the latents' distances from their middle, [count, count].

    Returns
    -------
    callable
        [m] positions to [m, count] weights, sums 1.
    """
    if count <= 2:
        return functools.partial(spline_weights, count)

    first = _first_wave(count, gram)

    def distances(filtered: Array) -> Array:
        return np.sqrt(np.maximum(np.sum((filtered @ gram) * filtered, axis=1), 0.0))

    wanted = math.sqrt(np.trace(gram) / count)
    left = math.sqrt(np.mean(distances(_filtered(count, smoothness, first, np.arange(0, count, 0.5))) ** 2))

    def weights(positions: Array) -> Array:
        filtered = _filtered(count, smoothness, first, positions)
        if left > 0:  # else the latents are all the same
            distance = distances(filtered) / left
            near = np.minimum(distance, _MIDDLE)
            filtered *= (wanted / left * (2 - near / _MIDDLE) / np.maximum(distance, _MIDDLE))[:, None]
        result: Array = filtered + 1 / count
        return result

    return weights


def _filtered(count: int, smoothness: float, first: int, positions: Array) -> Array:
    """How far a Gaussian's weights on a circle are from equal ones, but for a factor.  [m] -> [m, count], sums 0

    `first` is the first wave that the latents make (see `_first_wave`).
    """
    away = positions[:, None] - np.arange(count)
    if smoothness < count / 4:
        away = (away + count / 2) % count - count / 2
        rounds = np.arange(-math.ceil(9 * smoothness / count), math.ceil(9 * smoothness / count) + 1) * count
        weights = sum(np.exp(-0.5 * ((away + there) / smoothness) ** 2) for there in rounds)
        weights /= weights.sum(axis=1, keepdims=True)
        difference: Array = weights - 1 / count
        return difference
    # Wider filters leave so little that it would drown in rounding: the same as a Fourier series, over its first term
    # that does not cancel out.
    angle = 2 * math.pi / count
    waves = np.arange(first, first + 7)
    parts = np.exp(-0.5 * (smoothness * angle) ** 2 * (waves**2 - first**2))
    series: Array = sum(part * np.cos(wave * angle * away) for wave, part in zip(waves, parts, strict=True))
    return series - series.mean(axis=1, keepdims=True)


def _first_wave(count: int, gram: Array) -> int:
    """The first of the Fourier terms of some latents that is there.

    As a rule the first of all; but latents 1, 2, 1, 2 are back where they began after half a turn.
    """
    turns = np.exp(2j * math.pi / count * np.outer(np.arange(1, count // 2 + 1), np.arange(count)))
    strength = np.sum((turns @ gram) * turns.conj(), axis=1).real
    return 1 + int(np.argmax(strength > 1e-6 * strength.max()))


def great_circles(z: Array, positions: Array) -> Array:
    """z on the great circles from each z to the next.  [count, z_dim], [m] -> [m, z_dim]

    Shoemake, "Animating Rotation with Quaternion Curves", SIGGRAPH 1985, in any number of dimensions; from z of one
    length to z of another, the length changes evenly. From a z to its very opposite all great circles are as short: it
    is one that this z alone decides on.
    """
    length = np.linalg.norm(z, axis=1, keepdims=True)
    unit = z / np.maximum(length, 1e-12)
    following = np.roll(unit, -1, axis=0)
    cosine = np.sum(unit * following, axis=1, keepdims=True)
    across = following - cosine * unit  # what of the next one is at right angles to this one
    sine = np.linalg.norm(across, axis=1, keepdims=True)
    any_way = np.zeros_like(unit)  # each pair of numbers turned by a right angle: a z that looks like any other
    pairs = z.shape[1] // 2 * 2
    any_way[:, 0:pairs:2], any_way[:, 1:pairs:2] = -unit[:, 1:pairs:2], unit[:, 0:pairs:2]
    any_way /= np.maximum(np.linalg.norm(any_way, axis=1, keepdims=True), 1e-12)
    across = np.where((sine < 1e-6) & (cosine < 0), any_way, across / np.maximum(sine, 1e-12))
    angle = np.arctan2(sine, cosine)  # [count, 1]
    here, after = _split(len(z), positions)
    there = after[:, None] * angle[here]
    lengths = length[here] + after[:, None] * (np.roll(length, -1, axis=0) - length)[here]
    points: Array = lengths * (np.cos(there) * unit[here] + np.sin(there) * across[here])
    return points


def geodesic_points(z: Array, positions: Array) -> Array:
    """z on the great circles from each z to the next, with rounded corners.  [count, z_dim], [m] -> [m, z_dim]

    At a corner the loop passes its z at a small distance, a twentieth of the way to the next one, or less. Where the
    way goes back as it came there is no corner, and it goes all the way.
    """
    points = great_circles(z, positions)
    count = len(z)
    corners = np.arange(count)
    before, after = (great_circles(z, (corners + there) % count) for there in (-_ROUNDED, _ROUNDED))
    turns_back = np.linalg.norm(after - before, axis=1) <= 1e-6 * np.linalg.norm(z, axis=1)
    nearest = np.round(positions)
    corner = nearest.astype(np.intp) % count
    share = ((positions - nearest) / _ROUNDED + 1) / 2  # of the corner, 0 to 1
    inside = (share > 0) & (share < 1) & ~turns_back[corner]
    corner, share = corner[inside], share[inside, None]
    # A parabola from leg to leg (de Casteljau), laid onto the sphere.
    curve = (1 - share) ** 2 * before[corner] + 2 * share * (1 - share) * z[corner] + share**2 * after[corner]
    length = np.linalg.norm(points[inside], axis=1, keepdims=True)
    points[inside] = curve * (length / np.maximum(np.linalg.norm(curve, axis=1, keepdims=True), 1e-12))
    return points


def filtered_points(z: Array, smoothness: float, positions: Array) -> Array:
    """z after a Gaussian filter, put back to the radius of z.  [count, z_dim], [m] -> [m, z_dim]"""
    if len(z) <= 2:
        return geodesic_points(z, positions)
    points = gaussian_weights(len(z), smoothness, centred_gram(z))(positions) @ z
    radius = math.sqrt(float(np.mean(np.sum(z * z, axis=1))))
    restored: Array = points * (radius / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12))
    return restored


def _split(count: int, positions: Array) -> tuple[npt.NDArray[np.intp], Array]:
    """The latent at or before each position, and how far after it the position is."""
    floor = np.floor(positions)
    return floor.astype(np.intp) % count, positions - floor


def centred_gram(latents: Array) -> Array:
    """Inner products of latents' distances from their middle.  [count, numbers] -> [count, count]"""
    centred = latents - latents.mean(axis=0)
    gram: Array = centred @ centred.T
    return gram


# Even speed


@dataclass(frozen=True, eq=False)
class Pace:
    """Where a loop is at a phase, so that it runs evenly: positions in a table, and the share of the way until each."""

    shares: Array  # [steps + 1], 0 to 1, rising
    positions: Array  # [steps + 1]

    @classmethod
    def of(cls, lengths: Array, positions: Array) -> Pace:
        """From the length of the way between each two positions.  [steps], [steps + 1]"""
        total = float(lengths.sum())
        # Where there is no way at all, time must pass all the same; where there is hardly any, the table must rise.
        lengths = np.maximum(lengths, 1e-12 * total / len(lengths)) if total > 0 else np.ones(len(lengths))
        shares = np.concatenate([[0.0], np.cumsum(lengths)])
        return cls(shares / shares[-1], positions)

    def at(self, phase: float) -> float:
        """The position at a phase of 0 to 1."""
        return float(np.interp(phase, self.shares, self.positions))


@dataclass(frozen=True, eq=False)
class WovenLoop:
    """A loop in W: a weighted sum of its latents at each moment.

    Attributes
    ----------
    latents
        [count, rows, w_dim]
    weights
        [m] positions to [m, count] weights.
    """

    latents: Latent
    weights: Callable[[Array], Array]
    pace: Pace

    def at(self, phase: float) -> Latent:
        """The latent at a phase, [rows, w_dim]."""
        return mixed(self.latents, self.weights(np.array([self.pace.at(phase)]))[0])


@dataclass(frozen=True, eq=False)
class TracedLoop:
    """A loop in Z: the w at many places on it, so near to each other that the way between them is straight.

    Attributes
    ----------
    points
        [steps + 1, w_dim]; the last is the first.
    """

    points: Latent
    pace: Pace

    def at(self, phase: float) -> Latent:
        """The latent at a phase, [1, w_dim]."""
        place = self.pace.at(phase)
        step = min(int(place), len(self.points) - 2)
        return lerp(self.points[step], self.points[step + 1], place - step)[None]


Loop = WovenLoop | TracedLoop


def loop_in_w(latents: Latent, method: str, smoothness: float) -> WovenLoop:
    """A "spline" or "gaussian" loop through latents [count, rows, w_dim]."""
    count = len(latents)
    gram = centred_gram(latents.reshape(count, -1).astype(np.float64))

    spline = functools.partial(spline_weights, count)
    weights = gaussian_weights(count, smoothness, gram) if method == "gaussian" else spline
    positions = np.linspace(0.0, count, count * min(_STEPS, max(1, _MOST_STEPS // count)) + 1)
    lengths = []
    for first in range(0, len(positions) - 1, 4096):  # in parts: 256 latents would take a quarter of a gigabyte
        steps = np.diff(weights(positions[first : first + 4097]), axis=0)
        lengths.append(np.sqrt(np.maximum(np.sum((steps @ gram) * steps, axis=1), 0.0)))
    return WovenLoop(latents, weights, Pace.of(np.concatenate(lengths), positions))


def loop_in_z(z: Array, method: str, smoothness: float, mapped: Callable[[Array], Latent]) -> TracedLoop:
    """A "geodesic" or "gaussian" loop through z [count, z_dim]; `mapped` takes z [m, z_dim] to w [m, w_dim]."""
    count = len(z)
    steps = count * min(_TRACED, max(1, _MOST_TRACED // count))
    positions = np.linspace(0.0, count, steps + 1)[:-1]
    way = filtered_points(z, smoothness, positions) if method == "gaussian" else geodesic_points(z, positions)
    w = mapped(way)
    points = np.concatenate([w, w[:1]])
    lengths = np.linalg.norm(np.diff(points.astype(np.float64), axis=0), axis=1)
    return TracedLoop(points, Pace.of(lengths, np.arange(steps + 1, dtype=np.float64)))


# Sums


def mixed(latents: Latent, weights: Array) -> Latent:
    """The weighted sum of latents [count, rows, w_dim], [rows, w_dim]; by no library whose sums depend on threads."""
    result: Latent = np.einsum("i,irw->rw", weights.astype(np.float32), latents)
    return result


def lerp(one: Latent, other: Latent, share: float) -> Latent:
    """From one latent to another; at a share of 0 or 1 either to the last bit."""
    result: Latent = one * np.float32(1.0 - share) + other * np.float32(share)
    return result
