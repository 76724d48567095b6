# SPDX-License-Identifier: GPL-3.0-or-later
"""How many different pictures a second the preview shows while the built-in song plays, at each quality.

The playhead moves with the clock at 30 frames a second as it does in the window, round eight bars; what a window costs
to draw is not in it. The second round shows what the cache gives.

    python benchmarks/preview.py [width [seconds]]
"""

import os
import sys
import time
from pathlib import Path

import bpy
import numpy as np

import stylegan_reactive
from stylegan_reactive.blender.preview import Preview
from stylegan_reactive.blender.properties import settings_of

FPS = 30


def play(preview: Preview, scene: bpy.types.Scene, first: int, seconds: float) -> tuple[float, float, float]:
    """Play some seconds; different pictures a second, the longest and the mean time that a frame was held up."""
    frames, shown, held = int(seconds * FPS), [], []
    began = time.perf_counter()
    for frame in range(first, first + frames):
        time.sleep(max(0.0, began + (frame - first) / FPS - time.perf_counter()))
        if time.perf_counter() > began + (frame - first + 1) / FPS:
            continue  # the player drops frames to keep with the sound
        scene.frame_set(frame)
        stopped = time.perf_counter()
        preview.poke(scene)
        preview.tick()
        held.append(time.perf_counter() - stopped)
        view = preview._views[scene.session_uid]
        shown.append(view.shown)
    return len(set(shown) - {None}) / seconds, max(held), float(np.mean(held))


def main() -> None:
    """Print one line for each quality."""
    width = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
    stylegan_reactive.register()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = FPS
    settings = settings_of(scene)
    settings.size = (width, width)
    bpy.ops.stylegan_reactive.use_builtin_song()
    bpy.ops.stylegan_reactive.set_up()
    bpy.ops.stylegan_reactive.bake()
    bpy.ops.stylegan_reactive.show_frame()
    print(f"built-in network in a picture of {width} x {width}, {os.cpu_count()} cores, {seconds:.0f} s at {FPS} fps")
    for quality in os.environ.get("Q", "QUARTER HALF FULL").split():
        settings.preview = quality
        preview = Preview(playing=lambda _scene: True)
        rate, longest, mean = play(preview, scene, 60, seconds)
        again, _, _ = play(preview, scene, 60, seconds)
        print(
            f"{quality.lower():8} {rate:5.1f} pictures/s, second round {again:5.1f}; the interface is held up for "
            f"{mean * 1000:.1f} ms a frame, {longest * 1000:.0f} ms at most"
        )
        preview.forget()
    stylegan_reactive.unregister()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
    sys.stdout.flush()
    os._exit(0)  # leaving the interpreter after Blender has drawn can hang
