# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a render takes, against the engine alone and Blender alone: the two should work at the same time.

The scene of the demo is rendered three times: as it is; with pictures that were made before, so that Blender only
composites and encodes; and by the engine alone, with nobody to encode. Each is done twice and the better time counts.
Beside the ratio it prints what Blender's own thread spends on a frame: reading the curves, asking, copying, waiting.

    python benchmarks/render.py --frames 120 --size 512 --threads 0
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="stylegan_reactive_benchmark_"))
sys.path.insert(0, str(REPOSITORY))

import bpy  # noqa: E402
import numpy as np  # noqa: E402

import stylegan_reactive  # noqa: E402
from stylegan_reactive.blender import picture  # noqa: E402
from stylegan_reactive.blender.session import session  # noqa: E402
from stylegan_reactive.blender.set_up import BUILTIN_SONG  # noqa: E402
from stylegan_reactive.engine.client import FrameRequest, Settings  # noqa: E402

FIRST = 300  # of the frames that are rendered: the song is under way
KEPT = 24  # pictures that stand in for the engine's, forwards and backwards, so that they move as much as the film
MOST = 1.15


class Still:
    """An engine whose pictures are there already."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.pictures = [*pictures, *pictures[-2:0:-1]]
        self.count = 0

    def picture(self, _request: FrameRequest, _upcoming: Iterable[FrameRequest] = ()) -> np.ndarray:
        """One after the other."""
        self.count += 1
        return self.pictures[self.count % len(self.pictures)]


class Clock:
    """Adds up the time of some calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timing(self, call: Any) -> Any:
        """The same function, timed."""

        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - began

        return timed


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Blender's own lines go nowhere."""
    sys.stdout.flush()
    output = os.dup(1)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(output, 1)
        os.close(output)


def make_scene(size: int, frames: int, film: Path) -> bpy.types.Scene:
    """The demo's scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    stylegan_reactive.register()
    scene = bpy.context.scene
    scene.render.fps = 30
    settings = scene.stylegan_reactive
    settings.song = str(BUILTIN_SONG)
    settings.size = (size, size)
    bpy.ops.stylegan_reactive.set_up()
    bpy.ops.stylegan_reactive.bake()
    scene.frame_start, scene.frame_end = FIRST, FIRST + frames - 1
    scene.render.filepath = str(film)
    return scene


def processor_seconds() -> tuple[float, float]:
    """What Blender's process and the engine's have spent on processors so far; the engine's is known on Linux alone."""
    times = os.times()
    try:
        fields = Path(f"/proc/{session.engine().pid}/stat").read_text().rpartition(")")[2].split()
        engine = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        engine = float("nan")
    return times.user + times.system, engine


@dataclass(frozen=True, order=True)
class Render:
    """One render: seconds in all, in our handler, of those waiting for the engine; and of processors."""

    total: float
    handler: float
    waiting: float
    blender: float
    engine: float


def render(scene: bpy.types.Scene, engine: Any) -> Render:
    """Render the range with an engine."""
    handler, waiting = Clock(), Clock()
    own, own_engine = picture.on_render_pre, session.engine
    handlers = bpy.app.handlers.render_pre
    place = handlers[:].index(own)
    before = processor_seconds()
    engine.picture = waiting.timing(type(engine).picture.__get__(engine))
    handlers[place] = handler.timing(own)
    session.engine = lambda: engine  # type: ignore[method-assign]
    try:
        began = time.perf_counter()
        bpy.ops.render.render(animation=True)
        total = time.perf_counter() - began
    finally:
        handlers[place] = own
        session.engine = own_engine  # type: ignore[method-assign]
        del engine.picture
    spent = [after - start for start, after in zip(before, processor_seconds(), strict=True)]
    return Render(total, handler.seconds, waiting.seconds, *spent)


def engine_alone(scene: bpy.types.Scene, keep: int = 0) -> tuple[float, list[np.ndarray]]:
    """The same pictures with nobody to encode them: seconds, and copies of the first few."""
    source = picture.source_of(scene)
    requests = [picture.request_at(source, frame) for frame in range(scene.frame_start, scene.frame_end + 1)]
    kept = []
    began = time.perf_counter()
    for index, request in enumerate(requests):
        pixels = session.engine().picture(request, requests[index + 1 : index + 1 + picture.LOOK_AHEAD])
        if index < keep:
            kept.append(pixels.copy())
    return time.perf_counter() - began, kept


def main() -> int:
    """Exit status for the shell: 1 where the ratio is too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--size", type=int, default=512, help="width and height in pixels")
    parser.add_argument("--threads", type=int, default=0, help="of the engine; 0: as many as torch thinks right")
    parser.add_argument("--times", type=int, default=2, help="how often each is measured; the best counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, quiet():
        scene = make_scene(options.size, options.frames, Path(folder, "film.mp4"))
        engine = session.engine()
        engine.configure(Settings(threads=options.threads))
        _, pictures = engine_alone(scene, KEPT)  # everything is loaded and warm
        elsewhere = picture.request_at(picture.source_of(scene), 1)
        whole, blender, alone = [], [], []
        for _ in range(options.times):
            alone.append(engine_alone(scene)[0])
            engine.picture(elsewhere)  # so that nothing of the film is there yet
            whole.append(render(scene, engine))
            blender.append(render(scene, Still(pictures)))
    best, engine_seconds, blender_seconds = min(whole), min(alone), min(blender).total
    longer, both = max(engine_seconds, blender_seconds), (best.blender + best.engine) / (os.cpu_count() or 1)
    print(f"{options.frames} frames of {options.size} px, {os.cpu_count()} processors, the best of {options.times}")
    for what, seconds in (
        ("the whole render", best.total),
        ("the engine alone", engine_seconds),
        ("Blender alone", blender_seconds),
        ("in our handler", best.handler),
        ("  waiting for the engine", best.waiting),
        ("the engine's processor time", best.engine),
        ("Blender's processor time", best.blender),
        ("both, over all processors", both),
    ):
        print(f"  {what:28}{seconds:8.2f} s {1000 * seconds / options.frames:8.1f} ms a frame")
    print(f"  {best.total / longer:.3f} times the longer one (at most {MOST} where processors are left for both)")
    print(f"  {best.total / max(longer, both):.3f} times what the processors can do")
    session.close()
    return int(best.total / max(longer, both) > MOST)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # a render leaves threads of Blender behind that can keep the interpreter from ending
