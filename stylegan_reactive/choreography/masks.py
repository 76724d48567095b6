# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks: where in the picture a noise layer is.

The paper (section 3, "Mixing"): noise maps have a spatial component, so different parts of the picture can be used by
different reactive components, the centre by the kick and the edges by the hats.

A mask is a shape in the picture, of which each resolution sees the same: what a pixel gets is the mask's average over
it, be it a quarter of the picture wide. Lengths are in units of the picture's shorter side, so a disc is round in any
picture. What does not change with a mask's size, such as the distance from its middle, is worked out once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .checks import Misfit
from .newest import Newest
from .ranges import Shapes
from .signals import Values
from .sources import Mask, MaskImage

Grey = npt.NDArray[np.float32]  # [h, w]

# A map of fewer pixels a side is averaged from a mask of at least so many. From here on a rim is soft over a pixel at
# least, which comes to the same.
_FINE = 64
_LARGEST_SIZE = 100.0


@dataclass(frozen=True)
class View:
    """What a noise input sees of the picture.

    Attributes
    ----------
    shape
        Height and width in pixels.
    seen
        How much of the height and of the width is in the picture: a canvas may cut something off on all sides.
    sides
        Height and width of the picture in lengths of its shorter side.
    """

    shape: tuple[int, int]
    seen: tuple[float, float] = (1.0, 1.0)
    sides: tuple[float, float] = (1.0, 1.0)

    @property
    def fineness(self) -> tuple[int, int]:
        """How many points each pixel is averaged from, down and across."""
        return -(-_FINE // self.shape[0]), -(-_FINE // self.shape[1])

    @property
    def spacing(self) -> float:
        """Distance of these points, the larger of the two."""
        points = (pixels * fine for pixels, fine in zip(self.shape, self.fineness, strict=True))
        return max(side / seen / count for side, seen, count in zip(self.sides, self.seen, points, strict=True))

    def points(self) -> tuple[Grey, Grey]:
        """Height above the picture's lower edge, [points, 1], and distance from its left edge, [1, points]."""
        axes = []
        for axis in (0, 1):
            count = self.shape[axis] * self.fineness[axis]
            place = ((np.arange(count) + 0.5) / count - 0.5) / self.seen[axis]  # 0 in the picture's middle
            axes.append((place * self.sides[axis]).astype(np.float32))
        return (np.float32(self.sides[0] / 2) - axes[0])[:, None], (axes[1] + np.float32(self.sides[1] / 2))[None, :]


def ground(mask: Mask, view: View, path: str = "mask") -> tuple[Grey, ...]:
    """What a mask's map is made from and its size does not change: pictures at the view's points.

    A disc and a radial ramp: the distance from the middle. Edges: how far beyond the sides of the picture's rectangle,
    moved to the middle. A linear ramp: the distance along its direction. A checker: along both of its directions. An
    image: the map itself.

    Parameters
    ----------
    path
        Where the mask stands in the patch, for the error.

    Raises
    ------
    PatchError
        If its picture is damaged.
    """
    if mask.shape == "image" and mask.image is not None:
        return (_image_map(mask.image, view, f"{path}.image"),)
    y, x = view.points()
    up, right = y - np.float32(mask.y * view.sides[0]), x - np.float32(mask.x * view.sides[1])
    if mask.shape in ("disc", "radial"):
        return (np.hypot(up, right),)
    if mask.shape == "edges":
        return (np.maximum(np.abs(up) - view.sides[0] / 2, np.abs(right) - view.sides[1] / 2).astype(np.float32),)
    angle = math.radians(mask.angle)
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    along = right * cosine + up * sine
    return (along,) if mask.shape == "linear" else (along, up * cosine - right * sine)


def shade(mask: Mask, size: float, view: View, grounds: Sequence[Any]) -> Any:
    """A mask on one noise input, float32 [h, w], 0 to 1, from its ground and its size in this frame.

    Arrays may be NumPy's or torch's: what is used of them here, both have.
    """
    size = min(max(size, 0.0), _LARGEST_SIZE)
    grey = grounds[0] if mask.shape == "image" else _averaged(_shape(mask, size, view.spacing, grounds), view)
    return 1 - grey if mask.invert else grey


def _shape(mask: Mask, size: float, spacing: float, grounds: Sequence[Any]) -> Any:
    """The mask at the view's points, which are `spacing` apart."""
    ground = grounds[0]
    if mask.shape == "linear":
        return (ground * (1 / max(size, spacing)) + 0.5).clip(0, 1)
    if mask.shape == "checker":
        if size < spacing:  # finer than can be seen
            return ground * 0 + 0.5
        rim = min(max(mask.softness, spacing), size)
        one, other = (_soft((abs(each % (2 * size) - size) - size / 2) * (1 / rim)) for each in grounds)
        return one * other + (1 - one) * (1 - other)
    if size == 0:
        return ground * 0
    if mask.shape == "radial":
        return (1 - ground * (1 / size)).clip(0, 1)
    # The rim narrows with the size, so that a disc's middle and the outermost edge are 1 as soon as they can be seen.
    rim = max(min(mask.softness, 2 * size), spacing)
    return _soft((ground + size if mask.shape == "edges" else size - ground) * (1 / rim))


def _soft(distance: Any) -> Any:
    """From 0 to 1 without a corner while a distance, in rims, goes from -1/2 to 1/2."""
    along = (distance + 0.5).clip(0, 1)
    return along * along * (3 - 2 * along)


def _averaged(points: Any, view: View) -> Any:
    """From the view's points to its pixels."""
    down, across = view.fineness
    if down == across == 1:
        return points
    return points.reshape(view.shape[0], down, view.shape[1], across).mean(axis=(1, 3))


def _image_map(image: MaskImage, view: View, path: str) -> Grey:
    """A grey picture, stretched over the seen part of a map; what lies beyond continues its border."""
    try:
        pixels = image.grey_bytes(path)
    except Misfit as misfit:
        raise misfit.error() from None
    grey = np.frombuffer(pixels, np.uint8).reshape(image.height, image.width) / 255.0
    down = _resampling(image.height, view.shape[0], view.seen[0])
    across = _resampling(image.width, view.shape[1], view.seen[1])
    return (down @ grey @ across.T).clip(0.0, 1.0).astype(np.float32)


def _resampling(old: int, new: int, seen: float) -> npt.NDArray[np.float64]:
    """Matrix from pixels to others, [new, old]: the averages over the new ones of what is linear between the old."""
    fine = -(-2 * old // new)
    place = ((np.arange(new * fine) + 0.5) / (new * fine) - 0.5) / seen + 0.5
    position = (place * old - 0.5).clip(0, old - 1)
    before = position.astype(np.intp)
    after = position - before
    matrix = np.zeros((new, old))
    rows = np.arange(new).repeat(fine)
    np.add.at(matrix, (rows, before), (1 - after) / fine)
    np.add.at(matrix, (rows, np.minimum(before + 1, old - 1)), after / fine)
    return matrix


class MaskMaps:
    """The masks of a frame, on all noise inputs; what is kept are pure values, the newest ones.

    Parameters
    ----------
    shapes
        (height, width) of each noise input.
    device
        Where the masks are wanted.
    picture
        (height, width) of what is seen of the finest noise input, its middle; None: all of it.
    """

    def __init__(self, shapes: Shapes, device: torch.device, picture: tuple[int, int] | None) -> None:
        finest = shapes[-1] if shapes else (1, 1)
        height, width = picture or finest
        self._device = device
        self._views = [
            View(
                shape,
                seen=(min(1.0, height / finest[0]), min(1.0, width / finest[1])),
                sides=(height / min(height, width), width / min(height, width)),
            )
            for shape in shapes
        ]
        self._rows: Newest[tuple[Hashable, ...], torch.Tensor] = Newest()
        self._grounds: Newest[tuple[Hashable, ...], tuple[Any, ...]] = Newest()

    def reserve(self, masks: int) -> None:
        """Keep what so many masks need."""
        self._rows.capacity = 2 * masks
        self._grounds.capacity = 2 * masks * len({view.shape for view in self._views})

    def row(self, mask: Mask, values: Values, inputs: range, path: str = "mask") -> torch.Tensor | None:
        """A mask on consecutive inputs, end to end, [numbers]; None where it is 1. It is shared, do not write to it."""
        everywhere = mask.shape == "none" or (mask.shape == "image" and mask.image is None)
        if everywhere and not mask.invert:
            return None
        size = 0.0 if everywhere else mask.size.at(values)
        key = (everywhere, *_place(mask), mask.softness, mask.invert, size, inputs)
        return self._rows.get(key, lambda: self._make_row(mask, everywhere, size, inputs, path))

    def _make_row(self, mask: Mask, everywhere: bool, size: float, inputs: range, path: str) -> torch.Tensor:
        views = [self._views[index] for index in inputs]
        if everywhere:
            return torch.zeros(sum(math.prod(view.shape) for view in views), device=self._device)
        maps = {view: shade(mask, size, view, self._ground(mask, view, path)).reshape(-1) for view in set(views)}
        if self._device.type == "cpu":
            return torch.from_numpy(np.concatenate([maps[view] for view in views]))
        return torch.cat([maps[view] for view in views])

    def _ground(self, mask: Mask, view: View, path: str) -> tuple[Any, ...]:
        return self._grounds.get((*_place(mask), view), lambda: self._make_ground(mask, view, path))

    def _make_ground(self, mask: Mask, view: View, path: str) -> tuple[Any, ...]:
        made = ground(mask, view, path)
        if self._device.type == "cpu":
            return made
        return tuple(torch.from_numpy(each).to(self._device) for each in made)


def _place(mask: Mask) -> tuple[Hashable, ...]:
    """What a mask's ground depends on."""
    return mask.shape, mask.x, mask.y, mask.angle, mask.image
