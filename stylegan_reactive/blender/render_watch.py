# SPDX-License-Identifier: GPL-3.0-or-later
"""What a render in progress has met: which frames failed and why, what could not be written, what has changed."""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ..files import Stamp, stamp
from .image_users import images_shown, nodes_showing
from .properties import settings_of
from .session import Notice, session
from .written import FILM_ENDINGS, is_whole

UNWRITTEN = (
    "The disk is probably full: make room, or choose another output path, then press Resume Film. "
    "What was written in part was removed."
)


def needs_swap(scene: bpy.types.Scene) -> bool:
    """Whether Cycles would keep the first frame's picture for all: before 5.2, with Persistent Data."""
    cycles = str(scene.render.engine) == "CYCLES"
    return cycles and scene.render.use_persistent_data and bpy.app.version < (5, 2)


@dataclass(frozen=True)
class Swap:
    """Nodes that show an image and its twin by turns, so that Cycles with Persistent Data loads each picture."""

    image: bpy.types.Image
    twin: bpy.types.Image
    nodes: tuple[bpy.types.Node, ...]

    def turn(self) -> None:
        """Show the image's new pixels under the other name."""
        shown = self.twin if self.nodes[0].image == self.image else self.image
        if shown == self.twin:
            pixels = np.empty(self.image.size[0] * self.image.size[1] * 4, np.float32)
            self.image.pixels.foreach_get(pixels)
            self.twin.pixels.foreach_set(pixels)
            self.twin.update()
        for node in self.nodes:
            node.image = shown

    def restore(self) -> None:
        """Show the image itself again."""
        for node in self.nodes:
            node.image = self.image


class RenderWatch:
    """What a render in progress has met: how deep in scene strips it is, and which frames failed and why."""

    def __init__(self) -> None:
        self.open: list[int] = []  # session_uid of the scenes that are being rendered, outermost first
        self.failed: dict[int, tuple[bpy.types.Scene, list[int], str]] = {}
        self.striped: dict[int, set[int]] = {}  # of all renders so far, until they are made again: for a resumed render
        self.unwritten: list[int] = []
        self.sources: dict[int, list[bpy.types.Scene]] = {}  # by a scene that is rendered: whose pictures it shows
        self.swaps: dict[int, list[Swap]] = {}
        self.files: dict[str, Stamp] = {}  # that the pictures are made from, as they were when the render began
        self.incidents = 0  # that the engine had met by then
        self.frame = 0  # the one that was begun last: a stopped render goes back to where it came from

    @property
    def nested(self) -> bool:
        """Whether a scene strip is being rendered."""
        return len(self.open) > 1

    def begin(self, scene: bpy.types.Scene) -> None:
        """A render of a scene begins. One of the same scene that never ended, as when Blender cannot write, is over."""
        if scene.session_uid in self.open:
            del self.open[self.open.index(scene.session_uid) :]
        if not self.open:
            self.forget()
            self.incidents = session.incidents_met
        self.open.append(scene.session_uid)
        self.sources[scene.session_uid] = self.sources_of(scene)
        if needs_swap(scene):
            self.swaps[scene.session_uid] = [
                Swap(image, twin, tuple(nodes))
                for other in self.sources[scene.session_uid]
                if (image := settings_of(other).image) is not None
                and (twin := settings_of(other).image_twin) is not None
                and (nodes := nodes_showing(scene, image))
            ]

    def sources_of(self, scene: bpy.types.Scene) -> list[bpy.types.Scene]:
        """The scenes whose pictures a render of this one shows."""
        shown = images_shown(scene)
        return [
            other
            for other in bpy.data.scenes
            if (image := settings_of(other).image) is not None and (other == scene or image in shown)
        ]

    def end(self, scene: bpy.types.Scene) -> None:
        """A render of a scene is over; after the outermost one, tell what failed."""
        if scene.session_uid in self.open:
            del self.open[self.open.index(scene.session_uid) :]
        for swap in self.swaps.pop(scene.session_uid, ()):
            swap.restore()
        if not self.open:
            self.report(scene)

    def forget(self) -> None:
        """No render is in progress, whatever was noted."""
        self.open.clear()
        self.failed.clear()
        self.unwritten.clear()
        self.sources.clear()
        self.swaps.clear()
        self.files.clear()

    def fail(self, scene: bpy.types.Scene, frame: int, text: str) -> None:
        """Remember a frame that failed."""
        entry = self.failed.setdefault(scene.session_uid, (scene, [], text))
        entry[1].append(frame)

    @property
    def troubles(self) -> list[str]:
        """Why frames of the render in progress are not as they should be; empty if all are."""
        texts = [text for _scene, _frames, text in self.failed.values()]
        return [*texts, UNWRITTEN] if self.unwritten else texts

    def written(self, scene: bpy.types.Scene) -> None:
        """Blender says that it has written a frame: one that is not whole is removed, and noted."""
        frame = scene.frame_current
        striped = self.striped.setdefault(scene.session_uid, set())
        striped.discard(frame)
        if any(frame in frames for _scene, frames, _text in self.failed.values()):
            striped.add(frame)
        if scene.render.is_movie_format or not self.sources.get(scene.session_uid):
            return
        path = Path(bpy.path.abspath(scene.render.frame_path(frame=frame)))
        if path.is_file() and not is_whole(path):
            self.unwritten.append(frame)
            with contextlib.suppress(OSError):
                path.unlink()

    def film_written(self, scene: bpy.types.Scene) -> str:
        """Blender says that it has written a film: one that is not whole is removed. What to tell of it, or ""."""
        if not scene.render.is_movie_format or not self.sources.get(scene.session_uid):
            return ""
        path = Path(bpy.path.abspath(scene.render.frame_path(frame=scene.frame_start)))
        if path.suffix.lower() not in FILM_ENDINGS or not path.is_file() or is_whole(path):
            return ""
        with contextlib.suppress(OSError):
            path.unlink()
        return (
            f"The film {path} could not be written to its end, and what there was of it could not be played, so it was "
            "removed. The disk is probably full: make room, or choose another output path, then render again."
        )

    def report(self, outermost: bpy.types.Scene) -> None:
        """Tell the panel and the console what failed, and what went wrong and was mended."""
        mended = session.incidents_since(self.incidents)
        changed = [path for path, before in self.files.items() if stamp(path) != before]
        self.files.clear()
        if changed:
            mended.append(
                f"{Path(changed[0]).name} was replaced or taken away during the render. "
                "Frames that show no stripes were made with it as it was before."
            )
        for scene, frames, text in self.failed.values():
            message = f"{_counted(frames)} could not be made and shows stripes instead. {text}"
            session.tell(scene, Notice(message, is_error=True))
            _say(message)
        film = self.film_written(outermost)
        if self.unwritten:
            count = len(self.unwritten)
            frames = (
                f"Frame {self.unwritten[0]}" if count == 1 else f"{count} frames, the first is {self.unwritten[0]},"
            )
            film = f"{frames} could not be written. {UNWRITTEN}"
            self.unwritten.clear()
        if film:
            session.tell(outermost, Notice(film, is_error=True))
            _say(film)
        for text in mended:
            _say(text)
        if mended and not self.failed and not film:
            session.tell(outermost, Notice(mended[-1]))
        self.failed.clear()


def _say(text: str) -> None:
    """Tell the console, which may be a file on a full disk."""
    with contextlib.suppress(OSError):
        print(f"StyleGAN Reactive: {text}", file=sys.stderr, flush=True)


def _counted(frames: list[int]) -> str:
    """Some frames as the subject of a sentence."""
    return f"Frame {frames[0]}" if len(frames) == 1 else f"{len(frames)} frames, the first is {frames[0]},"


watch = RenderWatch()
