# SPDX-License-Identifier: GPL-3.0-or-later
"""The noise stack as properties, key for key as the patch has it (see `patch_parts`)."""

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..errors import PatchError
from .keying import FIXED
from .mask_images import grey_image, image_from_grey
from .patch_parts import LARGEST, LARGEST_SEED, NO_LIMIT, Layer, Part, Range, Signal, Source, range_items


class SGR_Amplitude(Signal, bpy.types.PropertyGroup):
    """How strong a noise layer is."""

    amount: FloatProperty(
        name="Amplitude",
        default=1.0,
        min=-LARGEST,
        max=LARGEST,
        soft_min=0.0,
        soft_max=4.0,
        description="Strength of the noise; 1 is what the network was made with",
    )


class SGR_Clock(Signal, bpy.types.PropertyGroup):
    """The clock of moving noise."""

    amount: FloatProperty(
        name="Speed",
        default=1.0,
        min=-NO_LIMIT,
        max=NO_LIMIT,
        soft_min=-4.0,
        soft_max=4.0,
        description="Multiplies the clock: 2 is twice as fast. Without a clock, the moment itself",
    )
    envelope: StringProperty(
        name="Clock",
        default="audio_seconds",
        options=FIXED,
        description="The curve that moves the noise; it counts seconds, or bars for a loop",
    )


class SGR_MaskSize(Signal, bpy.types.PropertyGroup):
    """How large a mask is."""

    amount: FloatProperty(
        name="Size",
        default=0.35,
        min=0.0,
        max=100.0,
        soft_max=1.0,
        description="Radius, depth or length of the shape, as a part of the picture's shorter side",
    )


class SGR_SizeRange(Range, bpy.types.PropertyGroup):
    """A range of resolutions."""

    which: EnumProperty(
        name="Range",
        default="all",
        options=FIXED,
        description="Which sizes of detail are reached",
        items=range_items(
            "Every size: from large spots to single pixels",
            "Large spots",
            "Sizes between",
            "The finest grain",
            "Sizes chosen by number, or from the network's own scales",
        ),
    )
    first: IntProperty(
        name="From",
        default=1,
        min=1,
        max=65536,
        soft_max=4096,
        subtype="PIXEL",
        description="Smallest resolution that is reached",
    )
    last: IntProperty(
        name="To",
        default=65536,
        min=1,
        max=65536,
        soft_max=4096,
        subtype="PIXEL",
        description="Largest resolution that is reached, itself included",
    )


# Sources


NOISE_KINDS = (
    ("own", "Network's Own", "The noise that is stored in the network: still", "PINNED", 0),
    ("fixed", "Still", "Noise from a seed: still", "TEXTURE", 1),
    ("evolving", "Evolving", "Noise that changes steadily and never comes back", "FORCE_TURBULENCE", 2),
    ("loop", "Loop", "Noise that comes back after some bars", "LOOP_FORWARDS", 3),
    ("gradient", "Clouds", "Soft drifting clouds whose edges fit together", "OUTLINER_OB_VOLUME", 4),
)
NOISE_KEYS: dict[str, tuple[str, ...]] = {
    "own": (),
    "fixed": ("seed",),
    "evolving": ("seed", "seconds", "clock"),
    "loop": ("seed", "bars", "patterns", "clock"),
    "gradient": ("seed", "cells", "seconds", "clock"),
}
CLOCK_OF_LOOP, CLOCK_OF_OTHERS = "audio_bars", "audio_seconds"


def _right_clock(source: "SGR_NoiseSource", _context: bpy.types.Context) -> None:
    """A loop counts bars and the others seconds, unless the artist has chosen another clock."""
    usual = CLOCK_OF_LOOP if source.kind == "loop" else CLOCK_OF_OTHERS
    if source.clock.envelope in (CLOCK_OF_LOOP, CLOCK_OF_OTHERS) and source.clock.envelope != usual:
        source.clock.envelope = usual


class SGR_NoiseSource(Source, bpy.types.PropertyGroup):
    """Where the noise of a layer comes from."""

    KEYS_OF_KIND = NOISE_KEYS

    kind: EnumProperty(
        name="Source",
        default="evolving",
        options=FIXED,
        items=NOISE_KINDS,
        update=_right_clock,
        description="Where the noise comes from",
    )
    seed: IntProperty(
        name="Seed", default=1, min=0, max=LARGEST_SEED, description="Number of the noise: another number, another one"
    )
    seconds: FloatProperty(
        name="Memory",
        default=0.5,
        min=1e-3,
        max=1e6,
        soft_min=0.01,
        soft_max=10.0,
        subtype="TIME_ABSOLUTE",
        unit="TIME_ABSOLUTE",
        description="How long the noise takes to become another one, in seconds",
    )
    bars: FloatProperty(
        name="Bars",
        default=4.0,
        min=1e-3,
        max=1e6,
        soft_min=0.25,
        soft_max=64.0,
        description="After how many bars the noise comes back",
    )
    patterns: IntProperty(
        name="Patterns",
        default=8,
        min=4,
        max=1024,
        soft_max=64,
        description="How many different patterns a round goes through: more is livelier",
    )
    cells: IntProperty(
        name="Clouds",
        default=4,
        min=2,
        max=256,
        soft_max=32,
        description="How many clouds lie side by side along the picture's shorter side",
    )
    clock: PointerProperty(type=SGR_Clock)

    def take(self, data: dict[str, Any]) -> None:
        """What a kind is not told has that kind's default, and two kinds share a property."""
        super().take(data)
        if self.kind == "gradient" and "seconds" not in data:
            self.seconds = 1.0
        if "clock" not in data:
            self.clock.property_unset("envelope")
            _right_clock(self, bpy.context)


# Masks


class SGR_Mask(Part, bpy.types.PropertyGroup):
    """Where in the picture a noise layer is."""

    KEYS = ("shape", "x", "y", "size", "softness", "angle", "invert", "image")

    shape: EnumProperty(
        name="Mask",
        default="none",
        options=FIXED,
        description="Where in the picture this layer is",
        items=(
            ("none", "Everywhere", "The whole picture"),
            ("disc", "Disc", "A round spot"),
            ("edges", "Edges", "A frame along the picture's edges"),
            ("linear", "Ramp", "From nothing to all along a line"),
            ("radial", "Round Ramp", "From all in the middle to nothing outside"),
            ("checker", "Checker", "Fields of a chessboard"),
            ("image", "Image", "Where an image of this file is bright"),
        ),
    )
    x: FloatProperty(
        name="X",
        default=0.5,
        min=-10.0,
        max=10.0,
        soft_min=0.0,
        soft_max=1.0,
        description="The shape's middle: 0 is the left edge of the picture, 1 the right",
    )
    y: FloatProperty(
        name="Y",
        default=0.5,
        min=-10.0,
        max=10.0,
        soft_min=0.0,
        soft_max=1.0,
        description="The shape's middle: 0 is the bottom of the picture, 1 the top",
    )
    size: PointerProperty(type=SGR_MaskSize)
    softness: FloatProperty(
        name="Softness",
        default=0.1,
        min=0.0,
        max=10.0,
        soft_max=1.0,
        description="Width of the soft rim, as a part of the picture's shorter side",
    )
    angle: FloatProperty(
        name="Angle (°)",
        default=0.0,
        min=-1e6,
        max=1e6,
        soft_min=-180.0,
        soft_max=180.0,
        description="Turns the shape, in degrees, counter-clockwise",
    )
    invert: BoolProperty(
        name="Invert",
        default=False,
        description="The rest of the picture instead. Two layers, one of them inverted, share the picture between them",
    )
    image: PointerProperty(
        name="Image",
        type=bpy.types.Image,
        options=FIXED,
        description="Bright is all, dark is nothing; it is stretched over the picture",
    )

    def plain_value(self, key: str) -> Any:
        """The image as grey pixels."""
        if key != "image":
            return super().plain_value(key)
        if self.image is None:
            if self.shape == "image":
                raise PatchError("The mask has no image yet. Choose one in the layer, or another shape.")
            return None
        return grey_image(self.image)

    def take_value(self, key: str, value: Any) -> None:
        """Grey pixels as an image of this file; one that is the same already is used again."""
        if key != "image":
            super().take_value(key, value)
            return
        self.image = image_from_grey(value) if value else None

    def dotted(self, name: str) -> str | None:
        """An image is no number."""
        return None if name == "image" else super().dotted(name)


# The stack


class SGR_NoiseLayer(Layer, bpy.types.PropertyGroup):
    """One entry of the noise stack: noise that is added at some sizes of detail."""

    KEYS = ("name", "enabled", "source", "range", "mask", "amplitude")

    source: PointerProperty(type=SGR_NoiseSource)
    range: PointerProperty(type=SGR_SizeRange)
    mask: PointerProperty(type=SGR_Mask)
    amplitude: PointerProperty(type=SGR_Amplitude)


CLASSES = (
    SGR_Amplitude,
    SGR_Clock,
    SGR_MaskSize,
    SGR_SizeRange,
    SGR_NoiseSource,
    SGR_Mask,
    SGR_NoiseLayer,
)
