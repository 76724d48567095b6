# SPDX-License-Identifier: GPL-3.0-or-later
"""A small drawing of an envelope's shape around the playhead, for the sidebar.

Panels cannot draw, but they show icons: the curve is painted into a row of square icons, which the sidebar sets side by
side. It is painted when the panel is drawn, from the curve as it is then, in less than a millisecond.
"""

from collections.abc import Callable
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np

from .timing import fps_of

TILES = 5
"""Icons in a row; the playhead is in the middle of the middle one."""

PIXELS = 64
"""Of one icon, square."""

SECONDS = 5.0
"""Shown in all, so that one icon is one second."""

SCALE = 2.6
"""Size of an icon in Blender's unit of buttons."""

WIDTH, HEIGHT = TILES * PIXELS, PIXELS

LINE = (0.40, 0.70, 1.0, 1.0)
BELOW = (0.25, 0.45, 0.70, 0.55)
PLAYHEAD = (1.0, 1.0, 1.0, 0.55)
GROUND = (0.09, 0.09, 0.10, 1.0)


def picture_of(evaluate: Callable[[float], float], frame: float, fps: float, *, endless: bool = False) -> np.ndarray:
    """Paint a curve around a frame: float32 [HEIGHT, WIDTH, 4], bottom row first.

    Parameters
    ----------
    evaluate : callable
        Value of the curve at a frame.
    frame : float
        Of the playhead, in the middle.
    fps : float
    endless : bool
        Whether the curve counts on: then what is shown is stretched, instead of 0 to 1.
    """
    frames = frame + (np.arange(WIDTH) - WIDTH // 2) / WIDTH * SECONDS * fps
    values = np.array([evaluate(each) for each in frames])
    low, high = (float(values.min()), float(values.max())) if endless else (0.0, max(1.0, float(values.max())))
    top = 2 + (values - low) / max(high - low, 1e-9) * (HEIGHT - 6)
    rows = np.arange(HEIGHT)[:, None]
    before = np.append(top[:1], top[:-1])
    picture = np.empty((HEIGHT, WIDTH, 4), np.float32)
    picture[:] = GROUND
    picture[rows < top] = BELOW
    picture[:, WIDTH // 2 - 1 : WIDTH // 2 + 1] = PLAYHEAD
    line = (rows >= np.minimum(top, before) - 1) & (rows <= np.maximum(top, before) + 1)
    picture[line] = LINE
    return picture


class ShapePreview:
    """The icons of this Blender, made at the first drawing and given back when the extension is switched off."""

    def __init__(self) -> None:
        self._icons: Any = None
        self._painted: dict[str, bytes] = {}

    def icon(self, name: str, pixels: np.ndarray) -> int:
        """The number of an icon that shows some pixels, float32 [PIXELS, PIXELS, 4]."""
        if self._icons is None:
            self._icons = bpy.utils.previews.new()
        packed = (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8).tobytes()
        icon = self._icons.get(name) or self._icons.new(name)
        if self._painted.get(name) != packed:
            icon.image_size = (PIXELS, PIXELS)
            icon.image_pixels.foreach_set(np.frombuffer(packed, np.int32))
            self._painted[name] = packed
        return int(icon.icon_id)

    def close(self) -> None:
        """Give the icons back."""
        if self._icons is not None:
            bpy.utils.previews.remove(self._icons)
        self._icons = None
        self._painted.clear()


shapes = ShapePreview()


def draw_shape(layout: bpy.types.UILayout, scene: bpy.types.Scene, curve: bpy.types.FCurve, *, endless: bool) -> None:
    """Show a curve of a scene around the playhead, across the panel."""
    picture = picture_of(curve.evaluate, scene.frame_current_final, float(fps_of(scene)), endless=endless)
    row = layout.row(align=True)
    row.alignment = "CENTER"
    for tile in range(TILES):
        part = picture[:, tile * PIXELS : (tile + 1) * PIXELS]
        row.template_icon(icon_value=shapes.icon(f"shape {tile}", part), scale=SCALE)
