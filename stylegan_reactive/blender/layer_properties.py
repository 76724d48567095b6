# SPDX-License-Identifier: GPL-3.0-or-later
"""The latent stack as properties, key for key as the patch has it (see `patch_parts`)."""

import re
from collections.abc import Sequence
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..errors import PatchError
from .envelope_features import PITCHES
from .keying import FILE, FIXED
from .patch_parts import LARGEST, LARGEST_SEED, NO_LIMIT, Layer, Part, Range, Signal, Source, absolute_file, range_items
from .session import session

MOST_LATENTS = 256
PITCH_ENVELOPES = [f"audio_chroma_{pitch}" for pitch in PITCHES]
_RUN = re.compile(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?")


# Signals of layers. Each has a class of its own, for its limits and what a slider offers.


class SGR_Influence(Signal, bpy.types.PropertyGroup):
    """How much a latent layer covers those below it."""

    amount: FloatProperty(
        name="Influence",
        default=1.0,
        min=-LARGEST,
        max=LARGEST,
        soft_min=0.0,
        soft_max=1.0,
        description="How much this layer covers those below it: 0 not at all, 1 fully",
    )


class SGR_Truncation(Signal, bpy.types.PropertyGroup):
    """How far from the network's average pictures may go."""

    amount: FloatProperty(
        name="Truncation",
        default=1.0,
        min=-2.0,
        max=2.0,
        soft_min=0.0,
        soft_max=1.5,
        description="Below 1 pictures come closer to the network's average; above 1 they grow wilder",
    )


class SGR_TruncationCutoff(Signal, bpy.types.PropertyGroup):
    """How many layers truncation acts on."""

    amount: FloatProperty(
        name="Truncated Layers",
        default=1024.0,
        min=0.0,
        max=1024.0,
        soft_max=18.0,
        step=100,
        precision=1,
        description="On how many layers truncation acts, from the coarsest; 1024 is all of them",
    )


class SGR_Position(Signal, bpy.types.PropertyGroup):
    """Which of some latents."""

    amount: FloatProperty(
        name="Position",
        default=0.0,
        min=-NO_LIMIT,
        max=NO_LIMIT,
        soft_min=0.0,
        soft_max=16.0,
        description="Which of the latents: 0 is the first, 1.5 half way from the second to the third",
    )


class SGR_Phase(Signal, bpy.types.PropertyGroup):
    """Where a loop is."""

    amount: FloatProperty(
        name="Speed",
        default=1.0,
        min=-NO_LIMIT,
        max=NO_LIMIT,
        soft_min=-4.0,
        soft_max=4.0,
        description="Multiplies the clock: 2 is twice as fast. Without a clock, the position itself, in bars",
    )
    envelope: StringProperty(
        name="Clock",
        default="audio_bars",
        options=FIXED,
        description="The curve that moves the loop; it counts bars. Bend the curve to bend time",
    )


class SGR_Steps(Signal, bpy.types.PropertyGroup):
    """How far along a direction."""

    amount: FloatProperty(
        name="Amount",
        default=1.0,
        min=-LARGEST,
        max=LARGEST,
        soft_min=-5.0,
        soft_max=5.0,
        description="How far to go along the direction; negative goes the other way",
    )


class SGR_LayerRange(Range, bpy.types.PropertyGroup):
    """A range of the network's layers."""

    which: EnumProperty(
        name="Range",
        default="all",
        options=FIXED,
        description="Which layers of the network are reached: from shapes to colours",
        items=range_items(
            "Every layer: the whole picture",
            "The first layers: pose and large shapes",
            "The layers between: parts and patterns",
            "The last layers: texture and colour",
            "Layers chosen by number, or from the network's own scales",
        ),
    )
    first: IntProperty(
        name="From", default=0, min=0, max=1023, soft_max=31, description="First layer of the network, counted from 0"
    )
    last: IntProperty(
        name="To", default=1023, min=0, max=1023, soft_max=31, description="Last layer of the network, itself included"
    )


# Latents


SPACES = (
    ("w", "Ready to Use", "Latents as projection and most tools save them, w or w+"),
    ("z", "Before Mapping", "Random numbers that the network first makes a latent of, z"),
)


class Latent(Part):
    """A seed, or a row of a file (or all its rows)."""

    seed: IntProperty(
        name="Seed", default=1, min=0, max=LARGEST_SEED, description="Number of the latent: another number, another one"
    )
    file: StringProperty(
        name="File",
        subtype="FILE_PATH",
        options=FILE,
        description="A file of latents, .npy, .npz or .safetensors; empty: the seed is used",
    )
    use_all: BoolProperty(
        name="All of It", default=True, options=FIXED, description="Take every latent of the file, in its order"
    )
    index: IntProperty(
        name="Row", default=0, min=0, max=10**6, options=FIXED, description="Which latent of the file, counted from 0"
    )
    space: EnumProperty(
        name="Kind", default="w", options=FIXED, items=SPACES, description="What the numbers in the file are"
    )

    def plain(self) -> int | dict[str, Any]:
        """A seed, or a place in a file."""
        if not self.file:
            return self.seed
        index = None if self.use_all else self.index
        return {"file": absolute_file(self, self.file), "index": index, "space": self.space}

    def take(self, data: Any) -> None:
        """A seed, or a place in a file; another latent property group will do too."""
        if isinstance(data, int):
            self.seed, self.file = data, ""
            return
        self.file, self.space = data["file"], data.get("space", "w")
        index = data.get("index")
        self.use_all = index is None
        self.index = index or 0

    def dotted(self, name: str) -> str | None:
        """A seed is the latent itself."""
        return "" if name == "seed" and not self.file else None

    @property
    def title(self) -> str:
        """What a list shows."""
        if not self.file:
            return str(self.seed)
        name = bpy.path.basename(self.file)
        return name if self.use_all else f"{name} {self.index}"


class SGR_Latent(Latent, bpy.types.PropertyGroup):
    """One latent of a layer."""


def parse_seeds(text: str) -> list[int]:
    """The numbers in a text such as ``1-12,24``; raises `PatchError`."""
    seeds: list[int] = []
    for part in text.split(","):
        run = _RUN.fullmatch(part)
        if run is None:
            raise PatchError(f"Write seeds as numbers such as 7 or 1-12,24: {text!r} was given. Nothing was changed.")
        first, last = int(run[1]), int(run[2] or run[1])
        if last < first or last > LARGEST_SEED or len(seeds) + last - first >= MOST_LATENTS:
            raise PatchError(
                f"The seeds {part.strip()!r} cannot be used. Write the smaller number first, none above "
                f"{LARGEST_SEED}, and at most {MOST_LATENTS} of them. Nothing was changed."
            )
        seeds += range(first, last + 1)
    return seeds


def seeds_text(seeds: Sequence[int]) -> str:
    """The shortest text that `parse_seeds` reads back."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


class SGR_EnvelopeName(Part, bpy.types.PropertyGroup):
    """The name of an envelope, in a list of them."""

    def plain(self) -> str:
        """The name alone."""
        return self.name

    def take(self, data: str) -> None:
        """The name alone."""
        self.name = data


# Sources


LATENT_KINDS = (
    ("static", "Still", "One picture, mixed in by an envelope: it flashes up with the sound", "IMAGE_DATA", 0),
    ("loop", "Loop", "A smooth round trip through some pictures, in time with the bars", "LOOP_FORWARDS", 1),
    ("chroma", "Notes", "One picture for each note, mixed by how much of each note sounds", "COLOR", 2),
    ("direction", "Direction", "What is below, pushed one way: larger, brighter, turned", "EMPTY_SINGLE_ARROW", 3),
)
LATENT_KEYS = {
    "static": ("latents", "position"),
    "loop": ("latents", "method", "space", "smoothness", "bars", "phase"),
    "chroma": ("latents", "envelopes"),
    "direction": ("method", "index", "file", "amount"),
}


class SGR_LatentSource(Source, bpy.types.PropertyGroup):
    """Where the latents of a layer come from."""

    KEYS_OF_KIND = LATENT_KEYS

    kind: EnumProperty(
        name="Source", default="static", options=FIXED, items=LATENT_KINDS, description="Where the picture comes from"
    )
    latents: CollectionProperty(type=SGR_Latent)
    latent_index: IntProperty(name="Selected Latent", min=0, options=FIXED)
    position: PointerProperty(type=SGR_Position)
    method: EnumProperty(
        name="Path",
        default="spline",
        options=FIXED,
        description="How the loop travels from picture to picture",
        items=(
            ("spline", "Through Each", "A smooth curve through every one of the pictures"),
            ("gaussian", "Flowing", "A softer path that passes them by without stopping at any"),
            ("geodesic", "Even", "From one to the next on the shortest way, each as clear as the pictures themselves"),
        ),
    )
    space: EnumProperty(
        name="Blend",
        default="w",
        options=FIXED,
        description="Where the flowing path is smoothed",
        items=(
            ("w", "Looks", "Mix what the pictures look like: calm"),
            ("z", "Random Numbers", "Mix the random numbers behind them: livelier, further from the average"),
        ),
    )
    smoothness: FloatProperty(
        name="Smoothness",
        default=0.7,
        min=0.4,
        max=16.0,
        soft_max=4.0,
        description="How far the flowing path is blurred, counted in pictures",
    )
    bars: FloatProperty(
        name="Bars",
        default=8.0,
        min=1e-3,
        max=1e6,
        soft_min=0.25,
        soft_max=64.0,
        description="Length of one round, in bars of the song",
    )
    phase: PointerProperty(type=SGR_Phase)
    envelopes: CollectionProperty(type=SGR_EnvelopeName)
    direction: EnumProperty(
        name="From",
        default="sefa",
        options=FIXED,
        description="Where the direction comes from",
        items=(
            ("sefa", "Network", "A change that the network's own weights suggest, the strongest first"),
            ("file", "File", "A direction that was saved to a file by another tool"),
        ),
    )
    index: IntProperty(
        name="Number", default=0, min=0, max=4095, soft_max=31, description="Which direction, counted from 0"
    )
    file: StringProperty(
        name="File",
        subtype="FILE_PATH",
        options=FILE,
        description="A file of directions, .npy, .npz or .safetensors",
    )
    amount: PointerProperty(type=SGR_Steps)
    seeds: StringProperty(
        name="Seeds",
        options=FIXED,
        description="Numbers of the pictures, such as 7 or 1-12,24. Another number, another picture",
        get=lambda self: self.seeds_text(),
        set=lambda self, text: self.set_seeds(text),
    )

    def seeds_text(self) -> str:
        """The latents as an artist writes them; files are shown by their names."""
        parts: list[str] = []
        run: list[int] = []
        for latent in self.latents:
            if latent.file:
                parts += [seeds_text(run)] * bool(run) + [latent.title]
                run = []
            else:
                run.append(latent.seed)
        return ", ".join(parts + [seeds_text(run)] * bool(run)).replace(",", ", ").replace(",  ", ", ")

    def set_seeds(self, text: str) -> None:
        """Take seeds over; a text that is none is refused where the artist sees it, and changes nothing."""
        try:
            seeds = parse_seeds(text)
        except PatchError as error:
            if text != self.seeds_text():  # files in it: left as they are
                session.fail(self.id_data, error)
            return
        self.take_value("latents", seeds)

    def plain_value(self, key: str) -> Any:
        """Some keys mean different things in different kinds."""
        if key == "method" and self.kind == "direction":
            return self.direction
        if key == "file":
            return absolute_file(self, self.file) if self.direction == "file" else ""
        if key == "envelopes" and not self.envelopes:
            return list(PITCH_ENVELOPES)
        if key == "latents" and not self.latents:
            raise PatchError("No picture is chosen yet. Write a seed, such as 7, in the layer, or switch it off.")
        return super().plain_value(key)

    def take_value(self, key: str, value: Any) -> None:
        """Some keys mean different things in different kinds."""
        if key == "method" and self.kind == "direction":
            self.direction = value
        elif key == "envelopes" and list(value) == PITCH_ENVELOPES:
            self.envelopes.clear()
        else:
            super().take_value(key, parse_seeds(value) if key == "latents" and isinstance(value, str) else value)


class SGR_LatentLayer(Layer, bpy.types.PropertyGroup):
    """One entry of the latent stack: a source of `w`, mixed over what is below it."""

    KEYS = ("name", "enabled", "source", "range", "influence")

    source: PointerProperty(type=SGR_LatentSource)
    range: PointerProperty(type=SGR_LayerRange)
    influence: PointerProperty(type=SGR_Influence)


CLASSES = (
    SGR_Influence,
    SGR_Truncation,
    SGR_TruncationCutoff,
    SGR_Position,
    SGR_Phase,
    SGR_Steps,
    SGR_LayerRange,
    SGR_Latent,
    SGR_EnvelopeName,
    SGR_LatentSource,
    SGR_LatentLayer,
)
