# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture while the artist listens: asked for as the playhead moves, shown when it is ready, never waited for.

While the scene plays, a picture that takes 100 ms is asked for 100 ms before its frame: it is shown with its sound or
left out, so that the picture never runs behind the song. What was made stays in a cache, so that a second round through
the same bars shows more of it, and the whole of it in the end.
"""

import math
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..engine.client import Asked, FrameRequest
from ..errors import EngineError, ReactiveError
from .picture import Source, request_at, source_of, spoil, write
from .picture_cache import PictureCache, enlarge
from .preferences import preferences
from .properties import settings_of
from .session import Notice, session
from .shape import fit_image
from .timing import fps_of

QUALITIES = {"OFF": 0.0, "QUARTER": 0.25, "HALF": 0.5, "FULL": 1.0}
AT_ONCE = 2  # pictures that are under way together: the engine goes on with one while Blender takes the other
LATE = 0.12  # seconds; a picture that comes later than this after its sound is not shown any more
SEARCH = 16  # frames ahead in which one is looked for that is not made yet
MOST_AHEAD = 150  # frames; a machine that needs longer for a picture is better left alone
TICK = 0.01
DEFAULT_MEMORY = 512  # megabytes


@dataclass
class Order:
    """A picture that is under way."""

    asked: Asked
    key: Hashable
    frame: float
    began: float
    playing: bool


@dataclass
class View:
    """What the preview of one scene is doing."""

    orders: list[Order] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)  # frames for which there may be a picture
    shown: Hashable = None
    shown_frame: float = -math.inf
    last: float = -math.inf  # when that was
    seconds: float = 0.1  # how long a picture takes, from the question to the answer
    jitter: float = 0.05  # and how much that varies
    failed: Hashable = None
    failing: bool = False
    times: deque[float] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def lead(self) -> float:
        """Seconds before its frame at which a picture has to be asked for, so that it is nearly always in time."""
        return self.seconds + 2 * self.jitter

    def learn(self, seconds: float) -> None:
        """Learn how long a picture took, as a network learns when an answer is overdue (RFC 6298)."""
        self.jitter += 0.25 * (abs(seconds - self.seconds) - self.jitter)
        self.seconds += 0.25 * (seconds - self.seconds)

    def cancel(self) -> None:
        """Nobody waits for what is under way any more."""
        for order in self.orders:
            order.asked.cancel()
        self.orders.clear()


class Preview:
    """Previews of all scenes, as long as Blender runs. What it keeps can be forgotten at any time."""

    def __init__(self, playing: Callable[[bpy.types.Scene], bool] | None = None) -> None:
        self.cache = PictureCache(DEFAULT_MEMORY << 20)
        self._playing = playing or is_playing
        self._views: dict[int, View] = {}
        self._due: set[int] = set()

    # What others call

    def poke(self, scene: bpy.types.Scene) -> None:
        """Something about a scene may have changed: look after it soon."""
        if QUALITIES[settings_of(scene).preview] and settings_of(scene).image is not None:
            self._due.add(scene.session_uid)
            if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
                bpy.app.timers.register(_tick, first_interval=0.0)

    def tick(self) -> float | None:
        """Look after every scene that is due; seconds until the next look, None when all is settled."""
        if bpy.app.is_job_running("RENDER"):
            self.halt()
            return None
        found = preferences()
        self.cache.limit = int(getattr(found, "preview_memory", DEFAULT_MEMORY)) << 20
        for scene in bpy.data.scenes:
            if scene.session_uid in self._due and self.look(scene):
                self._due.discard(scene.session_uid)
        self._due &= {scene.session_uid for scene in bpy.data.scenes}
        return TICK if self._due else None

    def halt(self) -> None:
        """Give way to a render, or to another file."""
        for view in self._views.values():
            view.cancel()
        self._due.clear()

    def forget(self) -> None:
        """Another file takes the place of this one."""
        self.halt()
        self._views.clear()

    def forget_shown(self) -> None:
        """The images may hold something else now, as after an undo or a render."""
        for view in self._views.values():
            view.shown = view.failed = None
            view.shown_frame = -math.inf

    def rate(self, scene: bpy.types.Scene) -> float:
        """Different pictures a second that the scene showed when it last played, 0 where it did not."""
        view = self._views.get(scene.session_uid)
        if view is None or len(view.times) < 3:
            return 0.0
        return (len(view.times) - 1) / max(1e-6, view.times[-1] - view.times[0])

    # The work

    def look(self, scene: bpy.types.Scene) -> bool:
        """Take what is ready, show what belongs to the playhead, ask for what comes; whether all is settled."""
        settings = settings_of(scene)
        quality, image = QUALITIES[settings.preview], settings.image
        view = self._views.setdefault(scene.session_uid, View())
        if not quality or image is None or not image.size[0]:
            view.cancel()
            return True
        self._take(scene, view)
        try:
            fit_image(scene)
            source = source_of(scene)
            now, playing = scene.frame_current + scene.frame_subframe, self._playing(scene)
            if playing:
                self._show_latest(source, view, quality)
                self._ask_ahead(source, view, quality)
                return False
            request = request_at(source, now)
            settled = self._show(scene, view, request, quality, now)
            if not settled:
                self._ask(view, preview_of(request, quality), now, playing=False)
                return view.failed == preview_of(request, quality).key
            if settings.preview_settle and quality < 1.0:
                if self._show(scene, view, request, 1.0, now, only=True):
                    return True
                self._ask(view, request, now, playing=False)
                return view.failed == request.key
        except ReactiveError as error:
            self._fail(scene, view, error)
        return True

    def _take(self, scene: bpy.types.Scene, view: View) -> None:
        """Put pictures that are ready into the cache."""
        for order in [order for order in view.orders if order.asked.ready()]:
            view.orders.remove(order)
            try:
                self.cache.put(order.key, order.asked.pixels())
            except ReactiveError as error:
                view.failed = order.key
                self._fail(scene, view, error)
                continue
            if order.playing:
                view.learn(time.monotonic() - order.began)

    def _show(
        self,
        scene: bpy.types.Scene,
        view: View,
        request: FrameRequest,
        quality: float,
        now: float,
        *,
        only: bool = False,
    ) -> bool:
        """Show the picture of the playhead where it is there; whether it is. The better of two where both are."""
        for share in (quality,) if only else (1.0, quality):
            key = preview_of(request, share).key
            if view.shown == key:
                return True
            pixels = self.cache.get(key)
            if pixels is not None:
                image = settings_of(scene).image
                write(image, enlarge(pixels, *image.size))
                image.update_tag()
                view.shown, view.shown_frame, view.last = key, now, time.monotonic()
                if view.failing:
                    view.failing = False
                    session.tell(scene, None)
                if self._playing(scene):
                    if view.times and time.monotonic() - view.times[-1] > 1.0:
                        view.times.clear()  # another time of playing
                    view.times.append(time.monotonic())
                redraw(image)
                return True
        return False

    def _show_latest(self, source: Source, view: View, quality: float) -> None:
        """While the scene plays: the newest picture that is there, unless it is too old or shown already."""
        scene, now = source.scene, source.scene.frame_current
        # After a second without any picture a late one is better than none: the machine is slow, or busy otherwise.
        late = LATE if time.monotonic() - view.last < 1.0 else 1.0
        oldest = 0 if is_driven(source) else int(late * float(fps_of(scene)))
        for frame in range(now, max(now - oldest, scene.frame_start) - 1, -1):
            if frame == view.shown_frame:
                return
            if frame in view.asked and self._show(scene, view, request_at(source, frame), quality, frame):
                return

    def _ask_ahead(self, source: Source, view: View, quality: float) -> None:
        """While the scene plays: the first frame that can be ready in time and is not there yet."""
        scene, now = source.scene, source.scene.frame_current
        if len(view.orders) >= AT_ONCE:
            return
        lead = min(math.ceil(view.lead * float(fps_of(scene))), MOST_AHEAD)
        under_way = {order.key for order in view.orders}
        for frame in [now] if is_driven(source) else frames_after(scene, now + lead, SEARCH):
            request = preview_of(request_at(source, frame), quality)
            key = request.key
            if key not in self.cache and key not in under_way and key != view.failed:
                self._ask(view, request, frame, playing=True)
                return

    def _ask(self, view: View, request: FrameRequest, frame: float, *, playing: bool) -> None:
        """Ask the engine for a picture, without waiting."""
        key = request.key
        if key == view.failed or any(order.key == key for order in view.orders):
            return
        if not playing:
            view.cancel()  # the playhead is somewhere else by now
        view.asked.add(int(frame))
        view.orders.append(Order(session.engine().ask(request), key, frame, time.monotonic(), playing))

    def _fail(self, scene: bpy.types.Scene, view: View, error: ReactiveError) -> None:
        """Show stripes, so that nobody takes the old picture for this one, and say why."""
        if not any(envelope.name in scene for envelope in settings_of(scene).envelopes):
            return  # nothing is baked yet: no fault, the panel says what comes next
        image = settings_of(scene).image
        if image is not None and not (isinstance(error, EngineError) and "cancelled" in str(error).lower()):
            spoil(image)
            redraw(image)
            view.shown, view.failing = None, True
            session.tell(scene, Notice(str(error), is_error=True))


def preview_of(request: FrameRequest, quality: float) -> FrameRequest:
    """The request for a smaller, quicker picture of the same frame."""
    if quality >= 1.0:
        return request
    width, height = request.size
    size = (_part(width, quality), _part(height, quality))
    return request.variant(size=size, quality=quality, tag="preview")


def _part(length: int, share: float) -> int:
    return max(1, round(length * share))


def is_playing(scene: bpy.types.Scene) -> bool:
    """Whether a window plays the scene."""
    return any(
        window.screen.is_animation_playing and not window.screen.is_scrubbing
        for window in bpy.context.window_manager.windows
        if window.scene == scene
    )


def is_driven(source: Source) -> bool:
    """Whether a driver has a say: what it will give is known only when Blender gets there."""
    return any(map(source.curves.driven, source.curves.drivers))


def frames_after(scene: bpy.types.Scene, first: int, count: int) -> Iterator[int]:
    """Frames in the order in which they will be played, round the end to the start."""
    preview = scene.use_preview_range
    start = scene.frame_preview_start if preview else scene.frame_start
    end = scene.frame_preview_end if preview else scene.frame_end
    for frame in range(first, first + min(count, max(1, end - start + 1))):
        yield frame if frame <= end else start + (frame - start) % max(1, end - start + 1)


def redraw(image: bpy.types.Image) -> None:
    """Let every editor that may show the image draw it; the compositor only where somebody looks at it."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("IMAGE_EDITOR", "VIEW_3D", "NODE_EDITOR"):
                area.tag_redraw()
            tree = getattr(area.spaces.active, "edit_tree", None) if area.type == "NODE_EDITOR" else None
            if tree is not None and any(getattr(node, "image", None) == image for node in tree.nodes):
                tree.update_tag()


preview = Preview()


def _tick() -> float | None:
    """The timer; it ends when all previews are settled."""
    try:
        return preview.tick()
    except Exception:
        traceback.print_exc()
        preview.halt()
        return None


@persistent
def on_frame_change(scene: bpy.types.Scene, _: object = None) -> None:
    """The playhead moved."""
    if not bpy.app.background and not bpy.app.is_job_running("RENDER"):
        preview.poke(scene)


@persistent
def on_edit(scene: bpy.types.Scene, _: object = None) -> None:
    """Something was edited: perhaps what the picture is made from."""
    if not bpy.app.background and not bpy.app.is_job_running("RENDER"):
        preview.poke(scene)


@persistent
def on_undo(scene: bpy.types.Scene, _: object = None) -> None:
    """An undo may have put another picture into the image, or none."""
    preview.forget_shown()
    on_edit(scene)


@persistent
def on_render(_scene: bpy.types.Scene, _: object = None) -> None:
    """A render begins and writes into the images."""
    preview.halt()
    preview.forget_shown()


@persistent
def on_load(_path: Any, _: object = None) -> None:
    """Another file is about to be opened."""
    preview.forget()


HANDLERS = (
    ("frame_change_post", on_frame_change),
    ("depsgraph_update_post", on_edit),
    ("undo_post", on_undo),
    ("redo_post", on_undo),
    ("render_init", on_render),
    ("load_pre", on_load),
)


def register() -> None:
    """Listen to the playhead."""
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).append(handler)


def unregister() -> None:
    """Stop listening, and let go of all pictures."""
    preview.forget()
    preview.cache.clear()
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).remove(handler)
