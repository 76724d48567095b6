# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the film of the built-in song with the built-in network, from an empty scene, as `make demo` does.

Every step is what the panel's buttons do; here they are pressed by a script, with Blender as a Python module.
"""

import argparse
import os
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="stylegan_reactive_demo_"))
sys.path.insert(0, str(REPOSITORY))

import bpy  # noqa: E402

import stylegan_reactive  # noqa: E402
from stylegan_reactive.blender.curves import SceneCurves, property_path  # noqa: E402
from stylegan_reactive.blender.envelope_features import PITCHES  # noqa: E402
from stylegan_reactive.blender.session import session  # noqa: E402
from stylegan_reactive.blender.set_up import BUILTIN_SONG  # noqa: E402
from stylegan_reactive.blender.timing import fps_of  # noqa: E402
from stylegan_reactive.errors import ReactiveError  # noqa: E402

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


class Progress:
    """Says after each frame how far the render is and how long it still takes; Blender's own lines go to a file."""

    def __init__(self, scene: bpy.types.Scene, log: Path) -> None:
        self.first, self.last = scene.frame_start, scene.frame_end
        self.began = time.monotonic()
        self.output = os.fdopen(os.dup(1), "w")
        self.in_place = self.output.isatty()
        self.told = 0.0
        sys.stdout.flush()
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)

    def after_frame(self, scene: bpy.types.Scene, _: object = None) -> None:
        """Called by Blender when a frame was rendered."""
        now = time.monotonic()
        done, count = scene.frame_current - self.first + 1, self.last - self.first + 1
        if not self.in_place and now - self.told < 10 and done < count:
            return
        self.told = now
        rate = done / (now - self.began)
        minutes, seconds = divmod(round((count - done) / rate), 60)
        text = f"  frame {done} of {count}, {rate:.1f} a second, {minutes}:{seconds:02d} left"
        self.output.write(f"\r{text}   " if self.in_place else f"{text}\n")
        self.output.flush()

    def end(self) -> None:
        """Give the output back."""
        sys.stdout.flush()
        os.dup2(self.output.fileno(), 1)
        if self.in_place:
            print()


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


def strip(film: Path, path: Path, *, columns: int = 6, rows: int = 2, width: int = 320) -> None:
    """Put pictures from all over a film side by side."""
    import av
    from PIL import Image

    with av.open(str(film)) as container:
        count = container.streams.video[0].frames
        wanted = {round((i + 0.5) * count / (columns * rows)) for i in range(columns * rows)}
        pictures = [frame.to_image() for i, frame in enumerate(container.decode(video=0)) if i in wanted]
    height = round(width * pictures[0].height / pictures[0].width)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for i, picture in enumerate(pictures):
        sheet.paste(
            picture.resize((width, height), Image.Resampling.LANCZOS), (i % columns * width, i // columns * height)
        )
    sheet.save(path, quality=90)


def make_film(options: argparse.Namespace) -> None:
    """The whole way: empty scene, set up, bake, save, render, plot."""
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    film, blend, curves, pictures = (out / name for name in ("demo.mp4", "demo.blend", "curves.png", "strip.jpg"))

    bpy.ops.wm.read_factory_settings(use_empty=True)
    stylegan_reactive.register()
    scene = bpy.context.scene
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
    progress = Progress(scene, out / "render.log")
    bpy.app.handlers.render_post.append(progress.after_frame)
    began = time.monotonic()
    try:
        bpy.ops.stylegan_reactive.render()
    finally:
        progress.end()
    notice = session.notice(scene)
    if notice is not None and notice.is_error:
        raise ReactiveError(notice.text)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    strip(film, pictures)
    print(f"Rendered in {minutes}:{seconds:02d}.")
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
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a render leaves threads of Blender behind that can keep the interpreter from ending
