# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a frame, written into an image while Blender renders: ``picture(frame) = f(patch, values(frame))``."""

import contextlib
import traceback
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent

from ..engine.client import FrameRequest
from ..errors import PatchError, ReactiveError
from ..files import Stamp
from .curves import SceneCurves, property_path
from .patches import Number, envelopes_read, number_at, patch_of, without_numbers
from .properties import settings_of
from .render_watch import watch
from .session import Notice, session
from .shape import fit_image, picture_size
from .timing import time_of

LOOK_AHEAD = 2


class PictureError(ReactiveError):
    """The picture cannot be handed to Blender."""


@dataclass(frozen=True)
class Source:
    """What the pictures of a scene are made from: its patch, its curves, and the numbers of the patch that they move.

    Attributes
    ----------
    numbers : dict of str to Number
        By data path.
    known : dict of str to Stamp, optional
        See `FrameRequest`.
    """

    scene: bpy.types.Scene
    patch: dict[str, Any]
    curves: SceneCurves
    numbers: dict[str, Number]
    known: dict[str, Stamp] | None = None

    @cached_property
    def request(self) -> FrameRequest:
        """The request for a picture, without the values of a frame."""
        return FrameRequest(
            self.patch,
            {},
            picture_size(self.scene),
            settings_of(self.scene).fit,
            tag=str(self.scene.session_uid),
            known=self.known,
        )


def source_of(scene: bpy.types.Scene, *, up_to_date: bool = True, known: dict[str, Stamp] | None = None) -> Source:
    """Read a scene; raises `PatchError` or `CurveError` where it cannot be followed. See `SceneCurves`."""
    curves = SceneCurves(scene, up_to_date=up_to_date)
    found = {path: number_at(scene, path) for path in curves.animated()}
    numbers = {path: number for path, number in found.items() if number is not None}
    patch = without_numbers(patch_of(scene), numbers.values())
    return Source(scene, patch, curves, numbers, known)


def request_at(source: Source, frame: float) -> FrameRequest:
    """What the engine needs for the picture of a frame.

    Raises
    ------
    PatchError
        The patch reads an envelope that the scene does not have.
    CurveError
        A value cannot be known at this frame.
    """
    scene, curves = source.scene, source.curves
    time = time_of(scene, frame)
    values: dict[str, float] = {}
    for name in envelopes_read(source.patch):
        path = property_path(name)
        if name not in scene:  # Blender does not move a property that is gone, whatever curve is left of it
            raise PatchError(
                f"The layers read the curve {name!r}, which the scene does not have. "
                "Press Bake, or choose another envelope."
            )
        values[name] = curves.value(path, time, float(scene.get(name, 0.0)))
    for path, number in source.numbers.items():
        values[number.dotted] = curves.value(path, time, number.present)
    return source.request.variant(values=values)


def picture_at(
    scene: bpy.types.Scene,
    frame: float,
    *,
    up_to_date: bool = True,
    ahead: int = 0,
    known: dict[str, Stamp] | None = None,
) -> np.ndarray:
    """The picture of a frame, float32 [height, width, 4], scene-linear, bottom row first; valid until the next call.

    Parameters
    ----------
    up_to_date : bool
        See `SceneCurves`.
    ahead : int
        How many of the following frames the engine shall go on with meanwhile.
    known : dict of str to Stamp, optional
        See `FrameRequest`.
    """
    source = source_of(scene, up_to_date=up_to_date, known=known)
    request = request_at(source, frame)
    upcoming = []
    for step in range(1, ahead + 1):
        later = frame + step * scene.frame_step
        if later > scene.frame_end or any(map(source.curves.driven, source.curves.drivers)):
            break  # what a driver will give is known only when Blender gets there
        upcoming.append(request_at(source, later))
    return session.engine().picture(request, upcoming)


def error_card(width: int, height: int) -> np.ndarray:
    """Diagonal stripes, magenta and black, that nobody takes for a picture; float32 [height, width, 4]."""
    stripe = max(8, min(width, height) // 12)
    y, x = np.mgrid[:height, :width]
    card = np.zeros((height, width, 4), np.float32)
    card[..., (0, 2)] = (((x + y) // stripe) % 2)[..., None]
    card[..., 3] = 1.0
    return card


def make_image(scene: bpy.types.Scene) -> bpy.types.Image:
    """The scene's image, in the size of the picture; made or made anew where it does not fit. For operators only."""
    settings = settings_of(scene)
    width, height = picture_size(scene)
    image = settings.image
    if image is None or image.library is not None:
        image = bpy.data.images.new(f"{scene.name} StyleGAN", width, height, alpha=True, float_buffer=True)
        image.use_fake_user = True
        settings.image = image
    if image.alpha_mode != "PREMUL":
        image.alpha_mode = "PREMUL"  # as a float image is kept; Cycles of 5.2 believes this word alone
    if tuple(image.size) != (width, height):
        image.generated_width, image.generated_height = width, height  # unlike scale(), this is kept in the file
    return image


def make_twin(scene: bpy.types.Scene) -> None:
    """A second image for `Swap`, where this Blender needs one. For operators only."""
    settings = settings_of(scene)
    if bpy.app.version >= (5, 2) or settings.image is None:
        return
    width, height = settings.image.size
    twin = settings.image_twin
    if twin is None or twin.library is not None or tuple(twin.size) != (width, height):
        twin = bpy.data.images.new(f"{settings.image.name} (Persistent Data)", width, height, float_buffer=True)
        twin.alpha_mode = "PREMUL"
        settings.image_twin = twin


def write(image: bpy.types.Image, pixels: np.ndarray) -> None:
    """Put pixels into an image of their size; raises `PictureError` where it has another."""
    height, width = pixels.shape[:2]
    if tuple(image.size) != (width, height):
        raise PictureError(
            f"The image {image.name!r} has {image.size[0]} x {image.size[1]} pixels, but the picture size is "
            f"{width} x {height}. Press Set Up Scene again."
        )
    image.pixels.foreach_set(pixels.ravel())
    image.update()


def spoil(image: bpy.types.Image) -> None:
    """Fill an image with stripes, so that no picture of another frame stays in it."""
    image.pixels.foreach_set(error_card(*image.size).ravel())
    image.update()


@persistent
def on_render_init(scene: bpy.types.Scene, _: object = None) -> None:
    """A render begins, or a scene strip inside one."""
    watch.begin(scene)
    for source in watch.sources[scene.session_uid]:
        fit_image(source)


@persistent
def on_render_pre(scene: bpy.types.Scene, _: object = None) -> None:
    """Blender is about to render a frame: make its pictures. Never raises: Blender would keep the old pixels."""
    frame = scene.frame_current + scene.frame_subframe
    if not watch.nested:
        watch.frame = scene.frame_current
    for source in watch.sources.get(scene.session_uid, [scene]):
        image = settings_of(source).image
        if image is not None:
            up_to_date = source == scene and not watch.nested
            _make(source, image, frame, up_to_date=up_to_date, ahead=LOOK_AHEAD)
    for swap in watch.swaps.get(scene.session_uid, ()):
        swap.turn()


def _make(source: bpy.types.Scene, image: bpy.types.Image, frame: float, *, up_to_date: bool, ahead: int) -> None:
    """Write a scene's picture of a frame into its image, or stripes."""
    try:
        write(image, picture_at(source, frame, up_to_date=up_to_date, ahead=ahead, known=watch.files))
    except ReactiveError as error:
        spoil(image)
        watch.fail(source, int(frame), str(error))
    except Exception as fault:
        spoil(image)
        with contextlib.suppress(OSError):  # the console may be a file on a full disk
            traceback.print_exc()
        watch.fail(source, int(frame), f"The add-on met a fault of its own: {fault!r}. See the console.")
    image.update_tag()


@persistent
def on_render_write(scene: bpy.types.Scene, _: object = None) -> None:
    """Blender says that it has written a frame."""
    watch.written(scene)


@persistent
def on_render_complete(scene: bpy.types.Scene, _: object = None) -> None:
    """A render is complete, or a scene strip inside one."""
    watch.end(scene)


@persistent
def on_render_cancel(scene: bpy.types.Scene, _: object = None) -> None:
    """A render was stopped by the artist."""
    watch.end(scene)
    notice = session.notice(scene)
    if settings_of(scene).image is not None and (notice is None or not notice.is_error):
        session.tell(scene, Notice(f"The render was stopped at frame {watch.frame}."))


@persistent
def on_load(_path: str, _: object = None) -> None:
    """Another file is about to be opened."""
    watch.forget()


HANDLERS = (
    ("render_init", on_render_init),
    ("render_pre", on_render_pre),
    ("render_write", on_render_write),
    ("render_complete", on_render_complete),
    ("render_cancel", on_render_cancel),
    ("load_pre", on_load),
)


def register() -> None:
    """Listen to Blender's renders."""
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).append(handler)


def unregister() -> None:
    """Stop listening."""
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).remove(handler)
