# SPDX-License-Identifier: GPL-3.0-or-later
"""How long 25 envelopes of a four-minute song take to become curves once it was heard, and how many keys they have.

PYTHONPATH=. python benchmarks/bake.py
"""

import os
import sys
import tempfile
import time
import wave
from pathlib import Path

import bpy
import numpy as np

import stylegan_reactive
from stylegan_reactive.blender.bake import apply_bake, bake_steps, listen_steps
from stylegan_reactive.blender.curves import SceneCurves, property_path
from stylegan_reactive.blender.envelope_list import add_envelope
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.session import session
from stylegan_reactive.blender.set_up import BUILTIN_SONG, default_recipes
from stylegan_reactive.blender.steps import finish

MINUTES = 4
CURVES = 25
SECONDS = 2.0
KINDS = ("centroid", "flux", "flatness", "voicing", "pitch", "build", "drop", "sections", "rms", "onset")


def long_song(folder: Path) -> Path:
    """The built-in song, over and over, as a wave file of four minutes."""
    import soundfile

    sound, rate = soundfile.read(BUILTIN_SONG, dtype="float32", always_2d=True)
    count = MINUTES * 60 * rate
    sound = np.tile(sound, (-(-count // len(sound)), 1))[:count]
    path = folder / "song.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def fresh_scene(song: Path) -> bpy.types.Scene:
    """A new file whose scene has a song and the default envelopes."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = 30
    settings_of(scene).song = str(song)
    for recipe in default_recipes():
        settings_of(scene).envelopes.add().set_recipe(recipe)
    return scene


def print_keys(scene: bpy.types.Scene) -> None:
    """Frames, keys and their ratio for each envelope of a scene, and the largest miss in per cent of the range."""
    recipes = [envelope.recipe() for envelope in settings_of(scene).envelopes]
    analysed = finish(listen_steps(scene, recipes))
    apply_bake(scene, analysed)
    curves, frames, keys = SceneCurves(scene).curves, 0, 0
    print(f"\n{'envelope':24}{'frames':>8}{'keys':>8}{'ratio':>8}{'miss, % of range':>18}")
    for name, values in analysed.envelopes.items():
        curve = curves[property_path(name)]
        drawn = np.array([curve.evaluate(scene.frame_start + frame) for frame in range(len(values))])
        miss = np.abs(drawn - values).max() / max(float(np.ptp(values)), 1e-9)
        count = len(curve.keyframe_points)
        print(f"{name:24}{len(values):8}{count:8}{len(values) / count:8.1f}{miss * 100:18.2f}")
        frames, keys = frames + len(values), keys + count
    print(f"{'all':24}{frames:8}{keys:8}{frames / keys:8.1f}")


def main() -> int:
    """Measure; 1 where it took longer than wanted."""
    stylegan_reactive.register()
    with tempfile.TemporaryDirectory() as folder:
        scene = fresh_scene(long_song(Path(folder)))
        settings = settings_of(scene)
        for kind in KINDS:
            if len(settings.envelopes) < CURVES:
                add_envelope(scene, kind)
        began = time.perf_counter()
        finish(bake_steps(scene))
        first = time.perf_counter() - began
        for envelope in settings.envelopes:
            if not envelope.is_clock:
                envelope.steps.add().set_plain({"step": "follower", "release": 0.03})
        began = time.perf_counter()
        baked = finish(bake_steps(scene))
        again = time.perf_counter() - began
        print(f"{len(settings.envelopes)} curves of {MINUTES} minutes at 30 fps, {baked.keys} keys:")
        print(f"  with listening to the song   {first:7.2f} s")
        print(f"  with other post-processing   {again:7.2f} s   (wanted: under {SECONDS:.0f})")
        print_keys(fresh_scene(BUILTIN_SONG))
        session.close()
    return int(again > SECONDS)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # Blender's threads can keep the interpreter from ending
