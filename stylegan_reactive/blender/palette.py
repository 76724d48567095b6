# SPDX-License-Identifier: GPL-3.0-or-later
"""The latent palette: pictures that the artist keeps at hand, as small images made by the scene's network.

The entries are stored on the scene; their thumbnails are not, for they can be made again.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np
from bpy.props import BoolProperty

from ..errors import PatchError
from .keying import FIXED
from .layer_properties import MOST_LATENTS, PITCH_ENVELOPES, Latent
from .patch_parts import checkpoint_of
from .session import session
from .steps import Steps, in_background

SIDE = 96  # pixels
ROLLED = 12  # entries of a new palette: one for each note
SMALL_SEEDS = 9999  # what is rolled: numbers that can be read and remembered


class SGR_PaletteEntry(Latent, bpy.types.PropertyGroup):
    """One picture of the palette."""

    starred: BoolProperty(
        name="Star", default=False, options=FIXED, description="A favourite: rolling the palette keeps it"
    )
    locked: BoolProperty(
        name="Lock", default=False, options=FIXED, description="Rolling the palette keeps this picture in its place"
    )


CLASSES = (SGR_PaletteEntry,)


# Thumbnails


@dataclass(frozen=True)
class Thumbnail:
    """The icon of a latent, and the network and class that painted it."""

    icon: int
    painted_by: tuple[str, int]


class Thumbnails:
    """The thumbnails of this session, by latent; Blender draws them as icons."""

    def __init__(self) -> None:
        self._previews: Any = None
        self._made: dict[str, Thumbnail] = {}

    def find(self, latent: Latent) -> Thumbnail | None:
        """The thumbnail of a latent, whichever network painted it; quick enough to be called while drawing."""
        return self._made.get(key_of(latent))

    def keep(self, latent: Any, pixels: np.ndarray, painted_by: tuple[str, int]) -> None:
        """Keep pixels, uint8 [SIDE, SIDE, 4], top row first, as the icon of a latent."""
        if self._previews is None:
            self._previews = bpy.utils.previews.new()
        key = key_of(latent)
        if key in self._previews:
            del self._previews[key]
        preview = self._previews.new(key)
        preview.image_size = pixels.shape[1], pixels.shape[0]
        preview.image_pixels_float.foreach_set((pixels[::-1] / np.float32(255)).astype(np.float32).ravel())
        self._made[key] = Thumbnail(preview.icon_id, painted_by)

    def clear(self) -> None:
        """Give the icons back."""
        self._made.clear()
        if self._previews is not None:
            bpy.utils.previews.remove(self._previews)
            self._previews = None


thumbnails = Thumbnails()


def key_of(latent: Any) -> str:
    """A latent by its content: a property group, or the data of a patch."""
    if isinstance(latent, Latent):
        if not latent.file:
            return str(latent.seed)
        latent = {"file": latent.file, "index": None if latent.use_all else latent.index, "space": latent.space}
    return str(latent) if isinstance(latent, int) else json.dumps(latent, sort_keys=True)


def painter(scene: bpy.types.Scene) -> tuple[str, int]:
    """What a thumbnail depends on besides its latent: the network, and the class."""
    return checkpoint_of(scene), scene.stylegan_reactive.label


def to_paint(scene: bpy.types.Scene) -> list[Any]:
    """The palette's latents that have no thumbnail by the scene's network, as data of the patch."""
    now = painter(scene)
    found = []
    for entry in scene.stylegan_reactive.palette:
        made = thumbnails.find(entry)
        if made is None or made.painted_by != now:
            found.append(stored(entry))
    return found


def stored(latent: Latent) -> Any:
    """A latent as data, its file as it is stored, which may be relative to the .blend file."""
    if not latent.file:
        return latent.seed
    return {"file": latent.file, "index": None if latent.use_all else latent.index, "space": latent.space}


def paint_steps(scene: bpy.types.Scene, latents: Sequence[Any]) -> Steps[list[np.ndarray]]:
    """Let the engine paint some latents; the file is not touched."""
    if not latents:
        return []
    checkpoint, label = painter(scene)
    library = scene.library
    asked = [
        {**each, "file": bpy.path.abspath(each["file"], library=library)} if isinstance(each, dict) else each
        for each in latents
    ]
    engine = session.engine()
    yield from in_background("Starting the engine", lambda _report: engine.start())
    pictures = yield from in_background(
        "Painting thumbnails", lambda report: engine.thumbnails(checkpoint, label, asked, SIDE, report)
    )
    return list(pictures)


def keep_all(latents: Sequence[Any], pictures: Sequence[np.ndarray], painted_by: tuple[str, int]) -> None:
    """Keep what `paint_steps` has painted."""
    for latent, pixels in zip(latents, pictures, strict=True):
        thumbnails.keep(latent, pixels, painted_by)


# Editing


def rolled(settings: Any) -> list[int | None]:
    """New seeds for the palette, none that is in it already; None where an entry stays. Twelve for an empty one."""
    entries = list(settings.palette)
    taken = {entry.seed for entry in entries if not entry.file}
    draw = random.SystemRandom()
    found: list[int | None] = []
    for entry in entries or [None] * ROLLED:
        if entry is not None and (entry.starred or entry.locked):
            found.append(None)
            continue
        seed = draw.randint(1, SMALL_SEEDS)
        while seed in taken:
            seed = draw.randint(1, SMALL_SEEDS)
        taken.add(seed)
        found.append(seed)
    return found


def apply_roll(settings: Any, seeds: Sequence[int | None]) -> None:
    """Put rolled seeds into the palette."""
    while len(settings.palette) < len(seeds):
        settings.palette.add()
    for entry, seed in zip(settings.palette, seeds, strict=False):
        if seed is not None and not (entry.starred or entry.locked):
            entry.take(seed)


def add_latents(settings: Any, latents: Sequence[Any]) -> None:
    """More entries at the end of the palette, the last one selected; raises `PatchError` where it is full."""
    if len(settings.palette) + len(latents) > MOST_LATENTS:
        raise PatchError(
            f"A palette holds {MOST_LATENTS} pictures at most, and these would be "
            f"{len(settings.palette) + len(latents)}. Remove some first, or choose a smaller file."
        )
    for latent in latents:
        settings.palette.add().take(latent)
    settings.palette_index = max(0, len(settings.palette) - 1)


def assign(layer: Any, latents: Sequence[Any], target: str, pitch: int = 0) -> None:
    """Give latents, as data, to a latent layer.

    Parameters
    ----------
    target : str
        ``STILL``: the layer shows the first of them. ``APPEND``: its loop goes on to them. ``LOOP``: its loop, or its
        notes, are they. ``PITCH``: the first of them is shown with a note.
    """
    source = layer.source
    held = [stored(latent) for latent in source.latents]
    if target == "STILL":
        source.kind = "static"
        held = list(latents[:1])
    elif target == "APPEND":
        if source.kind not in ("loop", "chroma"):
            source.kind = "loop"
        held = [*held, *latents]
    elif target == "LOOP":
        if source.kind != "chroma":
            source.kind = "loop"
        held = list(latents)
    elif target == "PITCH":
        source.kind = "chroma"
        count = max(pitch + 1, len(source.envelopes) or len(PITCH_ENVELOPES))
        held = [held[place % len(held)] if held else latents[0] for place in range(count)]
        held[pitch] = latents[0]
    source.take_value("latents", held[:MOST_LATENTS])
