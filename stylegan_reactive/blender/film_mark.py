# SPDX-License-Identifier: GPL-3.0-or-later
"""What the frames in a folder were made from, so that a resumed film never mixes two versions of itself.

A small file beside the frames holds a fingerprint of the patch, the curves, the networks and the size. It is written
when a render begins with another fingerprint than the one it finds; frames that are older than it are of another film.
"""

import contextlib
import hashlib
import json
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from ..errors import ReactiveError
from ..files import write_whole
from .curves import fingerprint
from .picture import Source, source_of
from .render_watch import watch

ENDING = ".film.json"


def mark_file(scene: bpy.types.Scene) -> Path:
    """Where the mark of a film of single frames lies: hidden, beside its frames."""
    first = Path(bpy.path.abspath(scene.render.frame_path(frame=0)))
    return first.with_name(f".{first.stem}{ENDING}")


def film_fingerprint(scene: bpy.types.Scene) -> str:
    """What the pictures of a film are made from. The 3D scene and the compositor are no part of it.

    Raises
    ------
    ReactiveError
        A scene cannot be followed.
    """
    render = scene.render
    parts: list[object] = [render.resolution_x, render.resolution_y, render.resolution_percentage, render.fps]
    parts.append(render.fps_base)
    for other in watch.sources_of(scene):
        source = source_of(other)
        request = source.request
        # Name, time and size: what stays where a project is moved with its files.
        files = [(Path(path).name, changed, size) for path, changed, _since, size, _number in request.files]
        parts += [json.dumps(source.patch, sort_keys=True), tuple(request.size), request.fit, files]
        parts += _animation(source)
    text, home = repr(parts), str(Path(bpy.data.filepath).parent)
    if bpy.data.filepath:
        text = text.replace(home, "")
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _animation(source: Source) -> list[object]:
    """What moves a scene's numbers: keys, modifiers and drivers."""
    found: list[object] = []
    for path, curve in sorted(source.curves.curves.items()):
        modifiers = [
            [(rna.identifier, repr(getattr(each, rna.identifier))) for rna in each.bl_rna.properties if _is_plain(rna)]
            for each in curve.modifiers
        ]
        found.append((path, fingerprint(curve), curve.mute, curve.extrapolation, modifiers))
    for path, driver in sorted(source.curves.drivers.items()):
        found.append((path, driver.driver.type, driver.driver.expression))
    return found


def _is_plain(rna: bpy.types.Property) -> bool:
    """Whether a property holds a number, a choice or a text of the artist's."""
    return rna.type in ("BOOLEAN", "INT", "FLOAT", "ENUM", "STRING") and rna.identifier not in (
        "show_expanded",
        "active",
        "is_valid",
    )


def read_mark(scene: bpy.types.Scene) -> tuple[str, int] | None:
    """The fingerprint of the film whose frames lie there, and since when, in nanoseconds; None where there is none."""
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        file = mark_file(scene)
        status = file.stat()
        if status.st_size < 1000:
            return str(json.loads(file.read_text(encoding="utf-8"))["film"]), status.st_mtime_ns
    return None


def keep_mark(scene: bpy.types.Scene) -> None:
    """A render begins: note what its frames are made from, unless that is noted already."""
    if scene.render.is_movie_format or not watch.sources_of(scene):
        return
    with contextlib.suppress(OSError, ReactiveError):  # without a mark nothing is resumed
        film, found = film_fingerprint(scene), read_mark(scene)
        if found is None or found[0] != film:
            file = mark_file(scene)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps({"film": film}).encode(), durable=False)


def is_of_this_film(frame: Path, mark: tuple[str, int] | None) -> bool:
    """Whether a frame that is whole belongs to the film of a mark, by when it was written."""
    if mark is None:
        return False
    with contextlib.suppress(OSError):
        return frame.stat().st_mtime_ns >= mark[1]
    return False


@persistent
def on_render_init(scene: bpy.types.Scene, _: object = None) -> None:
    """A render begins; inside of one, that of a scene strip writes no frames of its own."""
    if not watch.nested:
        keep_mark(scene)


def register() -> None:
    """Listen to Blender's renders; after `picture`, which notes them."""
    bpy.app.handlers.render_init.append(on_render_init)


def unregister() -> None:
    """Stop listening."""
    bpy.app.handlers.render_init.remove(on_render_init)
