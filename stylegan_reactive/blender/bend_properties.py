# SPDX-License-Identifier: GPL-3.0-or-later
"""The bends and rewrites as properties, key for key as the patch has them (see `patch_parts`).

The parameters of the operations are made from the generator's own table, so that each has its limits, its unit and its
description, and Blender's Reset to Default.
"""

import functools
import json
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..errors import PatchError
from .keying import FILE, FIXED
from .layer_properties import SGR_LayerRange
from .patch_parts import LARGEST_SEED, Layer, Part, Signal, Source, absolute_file
from .session import session

TABLE = Path(__file__).resolve().parent.parent / "generator" / "bend_operations.json"
UNITS = {
    "width": "of the picture's width",
    "height": "of the picture's height",
    "degrees": "in degrees",
    "turns": "in whole turns",
    "ticks": "in ticks",
    "deviations": "in standard deviations of the channel",
}
SIGNS = {"degrees": " (°)", "deviations": " (σ)", "turns": " (turns)"}
ICONS = {
    "translate": "EMPTY_ARROWS",
    "scale": "FULLSCREEN_ENTER",
    "rotate": "FILE_REFRESH",
    "shear": "MOD_LATTICE",
    "flip": "MOD_MIRROR",
    "warp": "MOD_WAVE",
    "erode": "REMOVE",
    "dilate": "ADD",
    "blur": "MOD_SMOOTH",
    "sharpen": "SHARPCURVE",
    "threshold": "IPO_CONSTANT",
    "invert": "MOD_MASK",
    "multiply": "FORCE_CHARGE",
    "noise": "MOD_NOISE",
    "ablate": "X",
}


@functools.cache
def operations() -> dict[str, dict[str, Any]]:
    """The generator's operations by name, each with a description and its parameters."""
    return dict(json.loads(TABLE.read_text(encoding="utf-8")))


def _title(name: str) -> str:
    return name.replace("_", " ").title()


def _sentence(*parts: str) -> str:
    text = ", ".join(part for part in parts if part)
    return text[:1].upper() + text[1:]


class SGR_Fraction(Signal, bpy.types.PropertyGroup):
    """How many of the chosen channels are bent."""

    amount: FloatProperty(
        name="Share",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        description="How many of these channels are bent: 1 is all of them",
    )


class SGR_RewriteAmount(Signal, bpy.types.PropertyGroup):
    """How far the weights are changed."""

    amount: FloatProperty(
        name="Amount",
        default=1.0,
        min=-100.0,
        max=100.0,
        soft_min=0.0,
        soft_max=1.0,
        description="0 is the network as it is, 1 the change as it was made; more exaggerates it",
    )


class SGR_BendChannels(Part, bpy.types.PropertyGroup):
    """Which channels of a layer are bent."""

    KEYS = ("which", "first", "last", "cluster", "clusters", "fraction", "seed")

    which: EnumProperty(
        name="Channels",
        default="all",
        options=FIXED,
        description="Which of the layer's channels are bent: each draws something of its own",
        items=(
            ("all", "All", "Every channel"),
            ("range", "From – To", "Channels chosen by number"),
            ("cluster", "Group", "Channels that draw similar things, found by looking at pictures of the network"),
        ),
    )
    first: IntProperty(name="From", default=0, min=0, max=65535, soft_max=511, description="First channel, from 0")
    last: IntProperty(
        name="To", default=65535, min=0, max=65535, soft_max=511, description="Last channel, itself included"
    )
    cluster: IntProperty(name="Group", default=0, min=0, max=63, description="Which group of channels, from 0")
    clusters: IntProperty(
        name="Groups", default=5, min=1, max=64, soft_max=16, description="Into how many groups they are sorted"
    )
    fraction: PointerProperty(type=SGR_Fraction)
    seed: IntProperty(
        name="Seed", default=0, min=0, max=LARGEST_SEED, description="Another number, another choice of channels"
    )


def _parameter_class(operation: str, name: str, declared: dict[str, Any]) -> type[bpy.types.PropertyGroup]:
    """The property group of one parameter of an operation."""
    whole = declared.get("whole", False)
    unit = UNITS.get(declared["unit"], "")
    amount = FloatProperty(
        name=_title(name) + SIGNS.get(declared["unit"], ""),
        description=_sentence(declared["description"], unit),
        default=declared["default"],
        min=declared["low"],
        max=declared["high"],
        soft_min=declared["soft_low"],
        soft_max=declared["soft_high"],
        step=100 if whole else 1 if declared["soft_high"] - declared["soft_low"] <= 4 else 100,
        precision=0 if whole else 3 if declared["unit"] in ("width", "height") else 2,
        subtype="FACTOR" if declared["unit"] == "amount" else "NONE",
    )
    return type(
        f"SGR_Bend_{operation}_{name}",
        (Signal, bpy.types.PropertyGroup),
        {"__doc__": f"{name} of {operation}.", "__annotations__": {"amount": amount}},
    )


def _operation_class(name: str, parameters: dict[str, type[bpy.types.PropertyGroup]]) -> type[bpy.types.PropertyGroup]:
    """The property group of one operation: a signal for each parameter."""
    pointers = {key: PointerProperty(type=cls) for key, cls in parameters.items()}
    return type(
        f"SGR_Bend_{name}",
        (Part, bpy.types.PropertyGroup),
        {"__doc__": f"Parameters of {name}.", "__annotations__": pointers, "KEYS": tuple(parameters)},
    )


PARAMETER_CLASSES = {
    operation: {name: _parameter_class(operation, name, each) for name, each in facts["parameters"].items()}
    for operation, facts in operations().items()
}
OPERATION_CLASSES = {name: _operation_class(name, parameters) for name, parameters in PARAMETER_CLASSES.items()}


def suggested_layers(self: Any, _context: bpy.types.Context, text: str) -> list[tuple[str, str]]:
    """Layers to choose from: sizes, which fit every network, then the names in the network that was opened last."""
    sizes = [(f"{2**power} px", "fits every network") for power in range(2, 11)]
    network = session.network(self.id_data)
    found = [*sizes, *((name, "of this network") for name in (network.layer_names if network is not None else ()))]
    return [each for each in found if text.lower() in each[0].lower()]


class LayerByName:
    """A layer of the network by its name or size; bends and rewrites have one."""

    layer: StringProperty(
        name="Layer",
        default="16 px",
        options=FIXED,
        search=suggested_layers,
        search_options={"SUGGESTION"},
        description="Where in the network: 8 px bends large shapes, 128 px fine ones. A size fits every network; "
        "names of layers belong to one",
    )


class SGR_BendLayer(Layer, LayerByName, bpy.types.PropertyGroup):
    """A change of what one layer of the network paints, before the next one reads it."""

    KEYS = ("name", "enabled", "layer", "side", "channels", "operation", "parameters", "border")

    side: EnumProperty(
        name="Side",
        default="output",
        options=FIXED,
        description="Whether what the layer gives or what it gets is bent",
        items=(
            ("output", "After", "What the layer has painted"),
            ("input", "Before", "What the layer is given to paint on"),
        ),
    )
    channels: PointerProperty(type=SGR_BendChannels)
    operation: EnumProperty(
        name="Operation",
        default="translate",
        options=FIXED,
        description="What is done",
        items=tuple(
            (name, _title(name), each["description"].rstrip("."), ICONS.get(name, "MODIFIER"), number)
            for number, (name, each) in enumerate(operations().items())
        ),
    )
    border: EnumProperty(
        name="Border",
        default="reflect",
        options=FIXED,
        description="What comes in from outside the picture when it is moved",
        items=(
            ("reflect", "Mirror", "The picture, mirrored"),
            ("repeat", "Stretch", "The pixels of the edge, drawn out"),
            ("wrap", "Wrap", "The other side of the picture"),
            ("zero", "Nothing", "Emptiness"),
        ),
    )

    @property
    def parameters(self) -> Any:
        """The parameters of the operation: a property group with a signal for each."""
        return getattr(self, self.operation)

    def take_value(self, key: str, value: Any) -> None:
        """The operation may be one that only a newer extension knows."""
        if key == "operation" and value not in operations():
            raise PatchError(
                f"The bend has the operation {value!r}, which this version does not know. Update the add-on."
            )
        super().take_value(key, value)

    def take(self, data: dict[str, Any]) -> None:
        """The operation first: it says what the parameters are."""
        super().take({"operation": data.get("operation", self.operation), **data})

    def dotted(self, name: str) -> str | None:
        """An operation's group stands for the parameters while it is the one that is chosen."""
        return "parameters" if name == self.operation else super().dotted(name)


SGR_BendLayer.__annotations__.update(
    {name: PointerProperty(type=cls, name=_title(name)) for name, cls in OPERATION_CLASSES.items()}
)


REWRITE_KINDS = (
    ("network", "Other Network", "The weights of another network of the same shape", "NODETREE", 0),
    ("file", "Edit File", "A change of the weights that was saved to a file", "FILE", 1),
    ("seeded", "Random", "A change that is drawn from a number: another texture of the same network", "SHADERFX", 2),
)
REWRITE_KEYS = {"network": ("file",), "file": ("file",), "seeded": ("seed", "layer", "rank")}


class SGR_RewriteSource(Source, LayerByName, bpy.types.PropertyGroup):
    """Where other weights come from."""

    KEYS_OF_KIND = REWRITE_KEYS

    kind: EnumProperty(
        name="Source", default="seeded", options=FIXED, items=REWRITE_KINDS, description="Where the change comes from"
    )
    file: StringProperty(
        name="File", subtype="FILE_PATH", options=FILE, description="A network file, or an edit that was saved"
    )
    seed: IntProperty(name="Seed", default=1, min=0, max=LARGEST_SEED, description="Another number, another change")
    layer: StringProperty(
        name="Layer",
        default="32 px",
        options=FIXED,
        search=suggested_layers,
        search_options={"SUGGESTION"},
        description="Where in the network: 8 px changes large shapes, 128 px fine ones",
    )
    rank: IntProperty(name="Richness", default=4, min=1, max=64, soft_max=16, description="How manifold the change is")

    def plain_value(self, key: str) -> Any:
        """Files by their absolute path."""
        return absolute_file(self, self.file) if key == "file" else super().plain_value(key)


class SGR_RewriteLayer(Layer, bpy.types.PropertyGroup):
    """Other weights in some layers of the network."""

    KEYS = ("name", "enabled", "source", "range", "amount")

    source: PointerProperty(type=SGR_RewriteSource)
    range: PointerProperty(type=SGR_LayerRange)
    amount: PointerProperty(type=SGR_RewriteAmount)


CLASSES = (
    SGR_Fraction,
    SGR_RewriteAmount,
    SGR_BendChannels,
    *(cls for parameters in PARAMETER_CLASSES.values() for cls in parameters.values()),
    *OPERATION_CLASSES.values(),
    SGR_BendLayer,
    SGR_RewriteSource,
    SGR_RewriteLayer,
)
