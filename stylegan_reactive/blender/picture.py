# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a frame, written into an image while Blender renders: ``picture(frame) = f(patch, values(frame))``."""

import sys
import traceback

import bpy
import numpy as np
from bpy.app.handlers import persistent

from ..engine.client import FrameRequest
from ..errors import PatchError, ReactiveError
from .curves import SceneCurves, property_path
from .patches import envelopes_read, number_at, patch_of
from .properties import settings_of
from .session import Notice, session
from .timing import time_of

LOOK_AHEAD = 2


class PictureError(ReactiveError):
    """The picture cannot be handed to Blender."""


def request_at(scene: bpy.types.Scene, frame: float, patch: dict[str, object], curves: SceneCurves) -> FrameRequest:
    """What the engine needs for the picture of a frame.

    Raises
    ------
    PatchError
        The patch reads an envelope that the scene does not have.
    CurveError
        A value cannot be known at this frame.
    """
    time = time_of(scene, frame)
    values: dict[str, float] = {}
    for name in envelopes_read(patch):
        path = property_path(name)
        if name not in scene and path not in curves.curves:
            raise PatchError(
                f"The layers read the curve {name!r}, which the scene does not have. "
                "Press Bake, or choose another envelope."
            )
        values[name] = curves.value(path, time, float(scene.get(name, 0.0)))
    for path in curves.animated():
        number = number_at(scene, path)
        if number is not None:
            values[number[0]] = curves.value(path, time, number[1])
    return FrameRequest(patch, values, tuple(settings_of(scene).size))


def picture_at(scene: bpy.types.Scene, frame: float, *, up_to_date: bool = True, ahead: int = 0) -> np.ndarray:
    """The picture of a frame, float32 [height, width, 4], scene-linear, bottom row first; valid until the next call.

    Parameters
    ----------
    up_to_date : bool
        See `SceneCurves`.
    ahead : int
        How many of the following frames the engine shall go on with meanwhile.
    """
    patch = patch_of(scene)
    curves = SceneCurves(scene, up_to_date=up_to_date)
    request = request_at(scene, frame, patch, curves)
    upcoming = []
    for step in range(1, ahead + 1):
        later = frame + step * scene.frame_step
        if later > scene.frame_end or any(map(curves.driven, curves.drivers)):
            break  # what a driver will give is known only when Blender gets there
        upcoming.append(request_at(scene, later, patch, curves))
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
    width, height = settings.size
    image = settings.image
    if image is None or image.library is not None:
        image = bpy.data.images.new(f"{scene.name} StyleGAN", width, height, alpha=True, float_buffer=True)
        image.use_fake_user = True
        settings.image = image
    elif tuple(image.size) != (width, height):
        image.scale(width, height)
    return image


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


class RenderWatch:
    """What a render in progress has met: how deep in scene strips it is, and which frames failed and why."""

    def __init__(self) -> None:
        self.depth = 0
        self.failed: dict[int, tuple[bpy.types.Scene, list[int], str]] = {}

    def fail(self, scene: bpy.types.Scene, frame: int, text: str) -> None:
        """Remember a frame that failed."""
        entry = self.failed.setdefault(scene.session_uid, (scene, [], text))
        entry[1].append(frame)

    def report(self) -> None:
        """Tell the panel and the console what failed."""
        for scene, frames, text in self.failed.values():
            count = f"Frame {frames[0]}" if len(frames) == 1 else f"{len(frames)} frames, the first is {frames[0]},"
            message = f"{count} could not be made and shows stripes instead. {text}"
            session.tell(scene, Notice(message, is_error=True))
            print(f"StyleGAN Reactive: {message}", file=sys.stderr, flush=True)
        self.failed.clear()


watch = RenderWatch()


def show(scene: bpy.types.Scene, frame: float, *, up_to_date: bool, ahead: int) -> None:
    """Write the picture of a frame into the scene's image; stripes, and the error raised, where that fails."""
    image = settings_of(scene).image
    try:
        write(image, picture_at(scene, frame, up_to_date=up_to_date, ahead=ahead))
    except BaseException:
        image.pixels.foreach_set(error_card(*image.size).ravel())
        image.update()
        raise


@persistent
def on_render_init(_scene: bpy.types.Scene, _: object = None) -> None:
    """A render begins, or a scene strip inside one."""
    watch.depth += 1


@persistent
def on_render_pre(scene: bpy.types.Scene, _: object = None) -> None:
    """Blender is about to render a frame: make its picture. Never raises: Blender would keep the old pixels."""
    if settings_of(scene).image is None:
        return
    try:
        show(scene, scene.frame_current + scene.frame_subframe, up_to_date=watch.depth <= 1, ahead=LOOK_AHEAD)
    except ReactiveError as error:
        watch.fail(scene, scene.frame_current, str(error))
    except Exception as fault:
        traceback.print_exc()
        watch.fail(scene, scene.frame_current, f"The add-on met a fault of its own: {fault!r}. See the console.")


@persistent
def on_render_end(_scene: bpy.types.Scene, _: object = None) -> None:
    """A render is complete or was cancelled, or a scene strip inside one."""
    watch.depth = max(0, watch.depth - 1)
    if watch.depth == 0:
        watch.report()


HANDLERS = (
    ("render_init", on_render_init),
    ("render_pre", on_render_pre),
    ("render_complete", on_render_end),
    ("render_cancel", on_render_end),
)


def register() -> None:
    """Listen to Blender's renders."""
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).append(handler)


def unregister() -> None:
    """Stop listening."""
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).remove(handler)
