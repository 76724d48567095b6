# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's images as masks: grey, at most 512 pixels wide and high, as base64; kept until an image changes."""

import base64
import hashlib
import time
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent

from ..errors import PatchError

LONGEST_SIDE = 512
READ_EVERY = 0.2  # seconds
LUMA = (0.2126, 0.7152, 0.0722)


def area_means(pixels: np.ndarray, count: int, axis: int) -> np.ndarray:
    """Fewer values along an axis, each the mean of the stretch that it stands for, whole or in part."""
    length = pixels.shape[axis]
    if count >= length:
        return pixels
    summed = np.concatenate((np.zeros_like(pixels.take([0], axis)), np.cumsum(pixels, axis)), axis)
    edges = np.arange(count + 1) * (length / count)
    below = np.minimum(edges.astype(int), length - 1)
    part = (edges - below).astype(pixels.dtype)
    shape = [1, 1]
    shape[axis] = -1
    at = summed.take(below, axis) + pixels.take(below, axis) * part.reshape(shape)
    return np.diff(at, axis=axis) * (count / length)


def grey_bytes(rgba: np.ndarray) -> np.ndarray:
    """Grey, uint8 [height, width], at most 512 each, top row first, from float [height, width, channels], bottom first.

    Where the image is transparent the mask is dark.
    """
    channels = rgba.shape[2]
    grey = rgba[..., 0] if channels < 3 else rgba[..., :3] @ np.array(LUMA, rgba.dtype)
    if channels in (2, 4):
        grey = grey * rgba[..., -1]
    height, width = grey.shape
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    grey = grey.astype(np.float64)
    grey = area_means(grey, max(1, round(height * scale)), 0)
    grey = area_means(grey, max(1, round(width * scale)), 1)
    return np.rint(np.clip(grey[::-1], 0.0, 1.0) * 255).astype(np.uint8)


@dataclass
class _Kept:
    """What an image held when it was last read, when that was, and what it cost, both in seconds."""

    key: tuple[Any, ...]
    data: dict[str, Any]
    read_at: float
    cost: float

    @property
    def fresh(self) -> bool:
        """Blender does not tell when an image was painted on: it is read again now and then, for 5 % of the time."""
        return time.monotonic() - self.read_at < max(READ_EVERY, 20 * self.cost)


_kept: dict[int, _Kept] = {}  # by session_uid; a pure copy of what the image held


def _key(image: bpy.types.Image) -> tuple[Any, ...]:
    """What can be asked at no cost and changes with the image."""
    return (image.name, tuple(image.size), image.filepath, image.source, image.is_dirty, image.generated_type)


def grey_image(image: bpy.types.Image) -> dict[str, Any]:
    """An image as the patch's mask image; raises `PatchError` where it has no pixels."""
    key = _key(image)
    kept = _kept.get(image.session_uid)
    if kept is None or kept.key != key or not kept.fresh:
        began = time.monotonic()
        data = _read(image)
        now = time.monotonic()
        kept = _kept[image.session_uid] = _Kept(key, data, now, now - began)
    return dict(kept.data)


def _read(image: bpy.types.Image) -> dict[str, Any]:
    width, height = int(image.size[0]), int(image.size[1])
    if width * height == 0 or image.channels == 0:
        raise PatchError(f"The image {image.name!r} cannot be opened, so it is no mask. Choose another one.")
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    grey = grey_bytes(pixels.reshape(height, width, image.channels))
    return {
        "width": grey.shape[1],
        "height": grey.shape[0],
        "pixels": base64.b64encode(grey.tobytes()).decode("ascii"),
    }


def image_from_grey(data: dict[str, Any]) -> bpy.types.Image:
    """A packed image with the grey pixels of a patch, the one that is there already where it is the same."""
    name = "Mask " + hashlib.sha256(data["pixels"].encode("ascii")).hexdigest()[:8]
    for image in bpy.data.images:
        if (
            image.name.startswith(name)
            and image.library is None
            and tuple(image.size) == (data["width"], data["height"])
        ):
            return image
    grey = np.frombuffer(base64.b64decode(data["pixels"]), np.uint8)
    if grey.size != data["width"] * data["height"]:
        raise PatchError("The mask image of the patch has not as many pixels as it says. Save the patch again.")
    image = bpy.data.images.new(name, data["width"], data["height"], alpha=False)
    rgba = np.ones((data["height"], data["width"], 4), np.float32)
    rgba[..., :3] = (grey.reshape(data["height"], data["width"])[::-1] / 255.0)[..., None]
    image.pixels.foreach_set(rgba.ravel())
    image.update()
    image.pack()
    return image


def forget() -> None:
    """Read every image again when it is needed."""
    _kept.clear()


@persistent
def on_other_file(*_: object) -> None:
    """Another file, an undo or a redo, for what was kept may be another image's; and a render, which shall be exact."""
    forget()


HANDLERS = (
    ("undo_post", on_other_file),
    ("redo_post", on_other_file),
    ("load_post", on_other_file),
    ("render_init", on_other_file),
)


def register() -> None:
    """Hear of images that change."""
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).append(handler)


def unregister() -> None:
    """Stop, and let go of what was kept."""
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).remove(handler)
    forget()
