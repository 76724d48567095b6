# SPDX-License-Identifier: GPL-3.0-or-later
"""Coarse, medium and fine: which generator layers and noise inputs a range of the patch reaches.

The paper (section 3, "Mixing") splits both hierarchies into about three levels: large structure, medium structure and
colour, fine detail. Here a level is a run of *blocks*, a block being all layers of one resolution. From 256 px on the
split is the same for all networks: coarse up to 16 px, medium 32 and 64 px, fine from 128 px. Smaller networks, and
those whose layers have no resolution of their own (StyleGAN3 has no noise), are split into thirds of their depth.
"""

from __future__ import annotations

from itertools import pairwise

from ..errors import PatchError
from .patch import Range

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


def latent_range(wanted: Range, num_ws: int, noise_shapes: Shapes, path: str = "range") -> range:
    """Indices into ws that a latent layer acts on.

    Parameters
    ----------
    wanted
        "all", "coarse", "medium", "fine", or the first and last index, both included.
    num_ws, noise_shapes
        Of the network. In StyleGAN 1 and 2 the layer that reads ``ws[i]`` also reads noise input ``i``.
    path
        Where the range stands in the patch, for the error.

    Raises
    ------
    PatchError
        If the network has no such layer.
    """
    if isinstance(wanted, tuple):
        reached = range(wanted[0], min(wanted[1] + 1, num_ws))
        if not reached:
            raise PatchError(
                f"Patch, {path}: found layers {wanted[0]} to {wanted[1]}, "
                f"but this network's layers are 0 to {num_ws - 1}."
            )
        return reached
    if wanted == "all":
        return range(num_ws)
    level = _LEVELS.index(wanted)
    if noise_shapes and num_ws - len(noise_shapes) in (0, 1):  # StyleGAN 1; StyleGAN 2, whose last ws is for colour
        blocks = _blocks(noise_shapes) + [_blocks(noise_shapes)[-1]] * (num_ws - len(noise_shapes))
        if blocks[-1] >= 2:
            inside = [i for i, block in enumerate(blocks) if block in _levels(blocks[-1] + 1, blocks=True)[level]]
            return range(inside[0], inside[-1] + 1)
    return _levels(num_ws, blocks=False)[level]


def noise_range(wanted: Range, noise_shapes: Shapes, path: str = "range") -> range:
    """Indices of the noise inputs that a noise layer acts on.

    A range of two numbers is the lowest and the highest resolution in pixels; an input's resolution is its longer side.

    Raises
    ------
    PatchError
        If the network has noise inputs, but none of this resolution.
    """
    if not noise_shapes or wanted == "all":
        return range(len(noise_shapes))
    if isinstance(wanted, tuple):
        inside = [i for i, shape in enumerate(noise_shapes) if wanted[0] <= max(shape) <= wanted[1]]
        if not inside:
            sizes = ", ".join(str(size) for size in sorted({max(shape) for shape in noise_shapes}))
            raise PatchError(
                f"Patch, {path}: found {wanted[0]} to {wanted[1]} px, but this network's noise is {sizes} px."
            )
    else:
        blocks = _blocks(noise_shapes)
        level = _levels(blocks[-1] + 1, blocks=True)[_LEVELS.index(wanted)]
        inside = [i for i, block in enumerate(blocks) if block in level]
    return range(inside[0], inside[-1] + 1)
