# SPDX-License-Identifier: GPL-3.0-or-later
"""What all examples share: Blender with the extension, the way from an empty scene to a film, and a strip of pictures.

Every step is what the panel's buttons do; here they are pressed by a script, with Blender as a Python module.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="stylegan_reactive_example_"))
sys.path.insert(0, str(REPOSITORY))

import bpy  # noqa: E402

import stylegan_reactive  # noqa: E402
from stylegan_reactive.blender.follow import Place, follow  # noqa: E402
from stylegan_reactive.blender.session import session  # noqa: E402
from stylegan_reactive.errors import ReactiveError  # noqa: E402

OUT = REPOSITORY / "examples" / "out" / "films"
FLOWERS = REPOSITORY / "examples" / "films" / "bloom.json"  # layers for the network Bloom
FOLDS = FLOWERS.with_name("silk.json")  # and for the network Silk
DOCS = REPOSITORY / "docs" / "films"
LARGEST_STRIP = 390_000  # bytes, for strips are kept in the repository

Say = Callable[[str], None]


# Blender


def empty_scene(name: str = "Scene") -> bpy.types.Scene:
    """The scene of a new, empty file, with the extension registered."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if not hasattr(bpy.types.Scene, "stylegan_reactive"):
        stylegan_reactive.register()
    bpy.context.scene.name = name
    return bpy.context.scene


def set_up_and_bake(scene: bpy.types.Scene, layers: str | Path, *recipes: dict[str, Any]) -> None:
    """Press the buttons: a preset or a patch's file, Set Up Scene, Bake, and the markers of bars and sections.

    The song, the network and the size of the picture are chosen before. Recipes are of envelopes beside the usual ones.
    """
    bpy.context.window.scene = scene
    if isinstance(layers, Path):
        bpy.ops.stylegan_reactive.load_patch(filepath=str(layers))
    else:
        bpy.ops.stylegan_reactive.apply_preset(name=layers)
    bpy.ops.stylegan_reactive.set_up()
    for recipe in recipes:
        scene.stylegan_reactive.envelopes.add().set_recipe(recipe)
    bpy.ops.stylegan_reactive.bake()
    bpy.ops.stylegan_reactive.mark_song()


def let_follow(
    scene: bpy.types.Scene, owner: bpy.types.ID, path: str, envelope: str, *, low: float, high: float
) -> None:
    """*Follow Envelope* on a number of the file: `low` where the envelope is 0, `high` where it is 1."""
    follow(scene, Place(owner, path), f"audio_{envelope}", high - low, low)


def socket_path(node: bpy.types.Node, name: str) -> str:
    """The data path of the first usable input of a node with a name, in the node's tree."""
    index = next(i for i, socket in enumerate(node.inputs) if socket.name == name and socket.enabled)
    return f'nodes["{bpy.utils.escape_identifier(node.name)}"].inputs[{index}].default_value'


def bars_of(scene: bpy.types.Scene) -> dict[int, int]:
    """On which frame each bar begins, by its number, as the markers say."""
    found = [marker for marker in scene.timeline_markers if marker.name.startswith(("Bar ", "§"))]
    return {number: marker.frame for number, marker in enumerate(sorted(found, key=lambda each: each.frame), 1)}


# Rendering


class Progress:
    """Says after each frame how far the render is and how long it still takes; Blender's own lines go to a file."""

    def __init__(self, scene: bpy.types.Scene, log: Path) -> None:
        self.scene = scene.name
        self.first, self.last = scene.frame_start, scene.frame_end
        self.began = time.monotonic()
        self.output = os.fdopen(os.dup(1), "w")
        self.in_place = self.output.isatty()
        self.told = 0.0
        sys.stdout.flush()
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)

    def after_frame(self, scene: bpy.types.Scene, _: object = None) -> None:
        """Called by Blender when a frame was rendered, of the film or of a scene strip in it."""
        if scene.name != self.scene:
            return
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


@contextmanager
def progress_of(scene: bpy.types.Scene, log: Path) -> Iterator[None]:
    """Tell of a render while it lasts, and raise `ReactiveError` where a picture of it failed."""
    progress = Progress(scene, log)
    bpy.app.handlers.render_post.append(progress.after_frame)
    try:
        yield
    finally:
        progress.end()
        bpy.app.handlers.render_post.remove(progress.after_frame)
    for each in bpy.data.scenes:
        notice = session.notice(each)
        if notice is not None and notice.is_error:
            raise ReactiveError(notice.text)


def render_film(scene: bpy.types.Scene, log: Path) -> str:
    """Render the window's scene to its film; how long that took, as minutes and seconds."""
    began = time.monotonic()
    with progress_of(scene, log):
        if scene.stylegan_reactive.image is not None:
            bpy.ops.stylegan_reactive.render()  # the panel's button
        else:
            bpy.ops.render.render(animation=True)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    return f"{minutes}:{seconds:02d}"


# Strips of pictures


def moments(first: int, last: int, count: int) -> list[int]:
    """Frames all through a film, each in the middle of an equal part of it."""
    return [first + int((part + 0.5) * (last - first + 1) / count) for part in range(count)]


def pictures_of_film(film: Path, wanted: list[int]) -> "list[Image.Image]":
    """Some frames of a film, counted from 0."""
    import av

    with av.open(str(film)) as container:
        return [frame.to_image() for i, frame in enumerate(container.decode(video=0)) if i in wanted]


def pictures_rendered(scene: bpy.types.Scene, frames: list[int], log: Path) -> "list[Image.Image]":
    """Some frames of a scene, rendered one by one; the scene's own output stays as it is."""
    from PIL import Image

    image, path = scene.render.image_settings, scene.render.filepath
    before = [(name, getattr(image, name)) for name in ("media_type", "file_format") if hasattr(image, name)]
    pictures = []
    with tempfile.TemporaryDirectory() as folder, progress_of(scene, log):
        if hasattr(image, "media_type"):  # 5.0 and later
            image.media_type = "IMAGE"
        image.file_format = "PNG"
        for frame in frames:
            scene.render.filepath = str(Path(folder) / f"{frame}.png")
            scene.frame_set(frame)
            bpy.ops.render.render(write_still=True)
            pictures.append(Image.open(scene.render.filepath).convert("RGB"))
    scene.render.filepath = path
    for name, value in before:
        setattr(image, name, value)
    return pictures


def save_strip(pictures: "list[Image.Image]", path: Path, *, columns: int, width: int, gap: int = 0) -> None:
    """Put pictures side by side, row by row, as a JPEG that is light enough for a repository."""
    from PIL import Image

    height = round(width * pictures[0].height / pictures[0].width)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap))
    for i, picture in enumerate(pictures):
        place = (i % columns * (width + gap), i // columns * (height + gap))
        sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), place)
    for quality in range(90, 40, -5):
        sheet.save(path, quality=quality)
        if path.stat().st_size <= LARGEST_STRIP:
            return


# A film from the command line


@dataclass(frozen=True)
class Film:
    """One of the example films.

    Attributes
    ----------
    name : str
        Of its files.
    build : callable
        Makes the whole file from nothing and returns the scene to render, which the window shows. It is handed a
        function that says what is done.
    columns, rows : int
        Of the strip of pictures.
    """

    name: str
    build: Callable[[Say], bpy.types.Scene]
    columns: int = 4
    rows: int = 3


def arguments(film: Film, description: str) -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog=f"{film.name}.py", description=description)
    parser.add_argument("--frames", help="only these frames of the film, such as 190-260 (default: all)")
    parser.add_argument("--short", action="store_true", help="a quick draft: three seconds at half the size")
    parser.add_argument("--stills", action="store_true", help="only the pictures of the strip, and no film")
    parser.add_argument("--percent", type=int, default=100, help="size of the pictures in per cent (default: 100)")
    parser.add_argument("--build-only", action="store_true", help="make the .blend, and render nothing")
    parser.add_argument("--docs", action="store_true", help="put the strip into docs/films/, too")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the results (default: examples/out/films)")
    return parser.parse_args()


def make(film: Film, options: argparse.Namespace) -> None:
    """Build the file of a film, save it, render it, and put its pictures side by side."""
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    video, blend, strip = (out / f"{film.name}.{ending}" for ending in ("mp4", "blend", "jpg"))
    log = out / f"{film.name}.log"
    scene = film.build(lambda text: print(text, flush=True))
    scene.render.filepath = f"//{video.name}"
    scene.frame_set(scene.frame_start)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), relative_remap=True)
    print(f"  scene     {blend}", flush=True)
    if options.build_only:
        return

    scene.render.resolution_percentage = 50 if options.short else options.percent
    if options.short:
        middle = (scene.frame_start + scene.frame_end) // 2
        scene.frame_start, scene.frame_end = middle, middle + round(3 * scene.render.fps / scene.render.fps_base) - 1
    if options.frames:
        first, _, last = options.frames.partition("-")
        scene.frame_start, scene.frame_end = int(first), int(last or first)
    shown = moments(scene.frame_start, scene.frame_end, film.columns * film.rows)
    if options.stills:
        print(f"Rendering {len(shown)} pictures ...", flush=True)
        pictures = pictures_rendered(scene, shown, log)
    else:
        print(f"Rendering {scene.frame_end - scene.frame_start + 1} frames ...", flush=True)
        print(f"Rendered in {render_film(scene, log)}.\n  film      {video}", flush=True)
        pictures = pictures_of_film(video, [frame - scene.frame_start for frame in shown])
    for path in (strip, *((DOCS / strip.name,) if options.docs else ())):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_strip(pictures, path, columns=film.columns, width=1600 // film.columns, gap=4)
        print(f"  pictures  {path}", flush=True)


def run(film: Film, description: str) -> int:
    """The whole script of a film; exit status for the shell."""
    try:
        make(film, arguments(film, description))
    except (ReactiveError, RuntimeError) as error:  # RuntimeError: an operator's report, from Python
        print(f"\nThe film {film.name!r} stopped. {error}", file=sys.stderr)
        return 1
    finally:
        session.close()
    return 0


def leave(status: int) -> None:
    """End the script at once: a render leaves threads of Blender behind that can keep the interpreter from ending."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
