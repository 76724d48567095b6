# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the film of the built-in song with the built-in network, from an empty scene, as `make demo` does.

Every step is what the panel's buttons do; here they are pressed by a script, with Blender as a Python module.
"""

import argparse
import sys
from fractions import Fraction
from pathlib import Path

from studio import REPOSITORY, bpy, empty_scene, leave, moments, pictures_of_film, render_film, save_strip

from stylegan_reactive.blender.curves import SceneCurves, property_path
from stylegan_reactive.blender.envelope_features import PITCHES
from stylegan_reactive.blender.session import session
from stylegan_reactive.blender.set_up import BUILTIN_SONG
from stylegan_reactive.blender.timing import fps_of
from stylegan_reactive.errors import ReactiveError

PLOTTED = ("audio_kick", "audio_snare", "audio_hats", "audio_rms")


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__.splitlines()[0])
    parser.add_argument("--song", type=Path, default=BUILTIN_SONG, help="sound file (default: the built-in song)")
    parser.add_argument("--network", type=Path, help="network file (default: the built-in one)")
    parser.add_argument("--preset", default="reference", help="layers to use (default: reference)")
    parser.add_argument("--size", type=int, default=768, help="width and height of the film in pixels (default: 768)")
    parser.add_argument("--fps", type=Fraction, default=Fraction(30), help="frames per second, such as 24000/1001")
    parser.add_argument("--frames", help="only these frames of the film, such as 30-60 (default: all)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "examples" / "out", help="folder for the results")
    return parser.parse_args()


def plot(scene: bpy.types.Scene, path: Path) -> None:
    """Draw the baked curves over the song's time."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    curves = SceneCurves(scene)
    frames = np.arange(scene.frame_start, scene.frame_end + 1)
    seconds = (frames - scene.frame_start) / float(fps_of(scene))

    def values(name: str) -> np.ndarray:
        return np.array([curves.value(property_path(name), frame, 0.0) for frame in frames])

    figure, axes = plt.subplots(len(PLOTTED) + 1, 1, figsize=(16, 10), sharex=True, layout="constrained")
    for axis, name, color in zip(axes, PLOTTED, ("#e4572e", "#29a19c", "#8d6cab", "#f3a712"), strict=False):
        axis.fill_between(seconds, values(name), color=color, linewidth=0)
        keys = curves.curves[property_path(name)].keyframe_points
        axis.plot(
            [(key.co[0] - scene.frame_start) / float(fps_of(scene)) for key in keys],
            [key.co[1] for key in keys],
            ".",
            color="black",
            markersize=1.5,
        )
        axis.set_ylabel(f"{name.removeprefix('audio_')}\n{len(keys)} keys")
        axis.set_ylim(0, 1.05)
    chroma = np.stack([values(f"audio_chroma_{pitch}") for pitch in PITCHES])
    axes[-1].imshow(chroma, aspect="auto", origin="lower", extent=(0, seconds[-1], -0.5, 11.5), cmap="magma")
    axes[-1].set_yticks(range(12), PITCHES)
    axes[-1].set_ylabel("chroma")
    axes[-1].set_xlabel("seconds")
    figure.suptitle("The curves that were baked from the song; dots are key frames")
    figure.savefig(path, dpi=90)


def make_film(options: argparse.Namespace) -> None:
    """The whole way: empty scene, set up, bake, save, render, plot."""
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    film, blend, curves, pictures = (out / name for name in ("demo.mp4", "demo.blend", "curves.png", "strip.jpg"))

    scene = empty_scene()
    scene.render.fps = -(-options.fps.numerator // options.fps.denominator)
    scene.render.fps_base = float(scene.render.fps / options.fps)
    settings = scene.stylegan_reactive
    settings.song = str(options.song.resolve())
    settings.checkpoint = str(options.network.resolve()) if options.network else ""
    settings.size = (options.size, options.size)

    print("Setting up the scene: starting the engine, loading the network ...", flush=True)
    bpy.ops.stylegan_reactive.apply_preset(name=options.preset)
    bpy.ops.stylegan_reactive.set_up()
    print(f"Listening to {options.song.name} ...", flush=True)
    bpy.ops.stylegan_reactive.bake()
    plot(scene, curves)
    if options.frames:
        first, _, last = options.frames.partition("-")
        scene.frame_start, scene.frame_end = int(first), int(last or first)
    scene.render.filepath = "//demo.mp4"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), relative_remap=True)

    print(f"Rendering {scene.frame_end - scene.frame_start + 1} frames on {session.engine().start().device_name} ...")
    print(f"Rendered in {render_film(scene, out / 'render.log')}.")
    shown = moments(0, scene.frame_end - scene.frame_start, 12)
    save_strip(pictures_of_film(film, shown), pictures, columns=6, width=320)
    for what, path in (("film", film), ("scene", blend), ("curves", curves), ("pictures", pictures)):
        print(f"  {what:10}{path}")


def main() -> int:
    """Exit status for the shell."""
    try:
        make_film(arguments())
    except (ReactiveError, RuntimeError) as error:  # RuntimeError: an operator's report, from Python
        print(f"\nThe demo stopped. {error}", file=sys.stderr)
        return 1
    finally:
        session.close()
    return 0


if __name__ == "__main__":
    leave(main())
