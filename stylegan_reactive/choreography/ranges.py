# SPDX-License-Identifier: GPL-3.0-or-later
"""Coarse, medium and fine: which generator layers and noise inputs a range of the patch reaches.

The paper (section 3, "Mixing") splits both hierarchies into about three levels: large structure, medium structure and
colour, fine detail. Here a level is a run of *blocks*, a block being all layers of one resolution. From 256 px on the
split is the same for all networks: coarse up to 16 px, medium 32 and 64 px, fine from 128 px. Smaller networks, and
those whose layers have no resolution of their own (StyleGAN3 has no noise), are split into thirds of their depth.

A patch fits any network: what one network lacks is moved to what is nearest, and a note says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from .patch import LAST_LAYER, Range

Shapes = tuple[tuple[int, int], ...]

_LEVELS = ("coarse", "medium", "fine")
_BLOCKS_AT_256 = 7  # 4, 8, 16 | 32, 64 | 128, 256


def _levels(depth: int, *, blocks: bool) -> tuple[range, range, range]:
    """Split `depth` blocks (or layers) into three runs, none of them empty; below a depth of 3 they overlap."""
    if blocks and depth >= _BLOCKS_AT_256:
        first, second = 3, 5
    else:
        first = max(1, round(depth / 3))
        second = max(first + 1, round(2 * depth / 3))
    last = depth - 1
    return (
        range(first),
        range(min(first, last), min(second, depth)) or range(last, depth),
        range(min(second, last), depth),
    )


def _blocks(noise_shapes: Shapes) -> list[int]:
    """Number of the block (0 for the coarsest) that each noise input belongs to."""
    blocks = [0]
    for before, here in pairwise(noise_shapes):
        blocks.append(blocks[-1] + (here != before))
    return blocks


@dataclass(frozen=True)
class Fitted:
    """What a range of the patch comes to in a network.

    Attributes
    ----------
    reached
        Indices; never empty, but for the noise of a network without noise inputs.
    note
        What could not be as the patch says, and what is done instead; empty where nothing had to change.
    """

    reached: range
    note: str = ""


def moved_inside(first: int, last: int, count: int, to_the_end: int) -> range:
    """Those from `first` to `last`, both included, of `count` things.

    Where all of them lie beyond the end, the last ones, as many of them as there were; of a range up to `to_the_end`,
    which stands for the end, wherever it is, only the very last one.
    """
    if first < count:
        return range(first, min(last + 1, count))
    wanted = 1 if last == to_the_end else last - first + 1
    return range(max(0, count - wanted), count)


def fitted_layers(wanted: tuple[int, int], count: int) -> Fitted:
    """Layers from one to another, both included, in a network of `count` layers; see `moved_inside`."""
    first, last = wanted
    reached = moved_inside(first, last, count, LAST_LAYER)
    if first >= count:
        missing = f"{first} and above" if last == LAST_LAYER else f"{first} to {last}"
        instead = f"{reached.start} to {count - 1} are" if len(reached) > 1 else f"{count - 1} is"
        return Fitted(reached, f"there are no layers {missing}, the last is {count - 1}; {instead} used instead.")
    if last < count or last == LAST_LAYER:
        return Fitted(reached)
    return Fitted(reached, f"found layers {first} to {last}, but the last is {count - 1}; the range ends there.")


@lru_cache(maxsize=1024)
def fitted_latents(wanted: Range, num_ws: int, noise_shapes: Shapes) -> Fitted:
    """Which ws a latent layer acts on, and what had to be adapted; see `latent_range`."""
    if isinstance(wanted, tuple):
        return fitted_layers(wanted, num_ws)
    if wanted == "all":
        return Fitted(range(num_ws))
    level = _LEVELS.index(wanted)
    if noise_shapes and num_ws - len(noise_shapes) in (0, 1):  # StyleGAN 1; StyleGAN 2, whose last ws is for colour
        blocks = _blocks(noise_shapes) + [_blocks(noise_shapes)[-1]] * (num_ws - len(noise_shapes))
        if blocks[-1] >= 2:
            inside = [i for i, block in enumerate(blocks) if block in _levels(blocks[-1] + 1, blocks=True)[level]]
            return Fitted(range(inside[0], inside[-1] + 1))
    return Fitted(_levels(num_ws, blocks=False)[level])


def latent_range(wanted: Range, num_ws: int, noise_shapes: Shapes) -> range:
    """Indices into ws that a latent layer acts on.

    Parameters
    ----------
    wanted
        "all", "coarse", "medium", "fine", or the first and last index, both included.
    num_ws, noise_shapes
        Of the network. In StyleGAN 1 and 2 the layer that reads ``ws[i]`` also reads noise input ``i``.
    """
    return fitted_latents(wanted, num_ws, noise_shapes).reached


@lru_cache(maxsize=1024)
def fitted_noise(wanted: Range, noise_shapes: Shapes) -> Fitted:
    """Which noise inputs a noise layer acts on, and what had to be adapted; see `noise_range`."""
    if not noise_shapes:
        return Fitted(range(0))
    if wanted == "all":
        return Fitted(range(len(noise_shapes)))
    if not isinstance(wanted, tuple):
        blocks = _blocks(noise_shapes)
        if blocks[-1] == 0:
            return Fitted(range(len(noise_shapes)), "this network has one noise for all sizes, and all of it is used.")
        level = _levels(blocks[-1] + 1, blocks=True)[_LEVELS.index(wanted)]
        inside = [i for i, block in enumerate(blocks) if block in level]
        return Fitted(range(inside[0], inside[-1] + 1))
    low, high = wanted
    sides = [max(shape) for shape in noise_shapes]
    note = ""
    if not any(low <= side <= high for side in sides):
        nearest = min(reversed(sides), key=lambda side: max(low / side, side / high))
        note = f"this network has no noise of {low} to {high} px; that of {nearest} px is used instead."
        low = high = nearest
    inside = [i for i, side in enumerate(sides) if low <= side <= high]
    return Fitted(range(inside[0], inside[-1] + 1), note)


def noise_range(wanted: Range, noise_shapes: Shapes) -> range:
    """Indices of the noise inputs that a noise layer acts on; the nearest where there are none of that resolution.

    A range of two numbers is the lowest and the highest resolution in pixels; an input's resolution is its longer side.
    """
    return fitted_noise(wanted, noise_shapes).reached


def fitted_weights(wanted: Range, ws_of_layers: tuple[int, ...], num_ws: int, noise_shapes: Shapes) -> Fitted:
    """Which layers with weights a rewrite acts on.

    Parameters
    ----------
    wanted
        "coarse", "medium" and "fine" are the layers that latents of that range reach; two numbers count the layers
        with weights.
    ws_of_layers
        For each of these, in the order of their work, the index of the w that it reads.
    """
    if isinstance(wanted, tuple):
        return fitted_layers(wanted, len(ws_of_layers))
    level = latent_range(wanted, num_ws, noise_shapes)
    inside = [index for index, ws in enumerate(ws_of_layers) if ws in level]
    if not inside:  # a level of a network with very few layers
        return Fitted(range(len(ws_of_layers)), f"this network has no weights that are {wanted}; all are used instead.")
    return Fitted(range(inside[0], inside[-1] + 1))


class Scale(NamedTuple):
    """The layers of one size: what to suggest as a range. A label such as "16 px", the first and the last of ws."""

    label: str
    first: int
    last: int


def scales(ws_sizes: Sequence[int]) -> tuple[Scale, ...]:
    """The scales of a network, the coarsest first; a StyleGAN 1 or 2 of 1024 px has nine (paper, appendix A).

    Parameters
    ----------
    ws_sizes
        For each of its ws how large the picture is at the layer that reads it, in pixels (``generator.tools``).
    """
    found: list[Scale] = []
    for index, size in enumerate(ws_sizes):
        label = f"{size} px"
        if found and found[-1].label == label:
            found[-1] = found[-1]._replace(last=index)
        else:
            found.append(Scale(label, index, index))
    return tuple(found)
