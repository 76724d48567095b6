# SPDX-License-Identifier: GPL-3.0-or-later
"""What the extension stores, all of it on the Scene: the song, the network, the envelopes and the layers.

What can be keyed is a plain number; what belongs to the patch (which seeds, which layers) cannot be animated and says
so by having no key dot.
"""

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    IntVectorProperty,
    PointerProperty,
    StringProperty,
)

from . import envelope_properties
from .envelope_properties import SGR_Envelope
from .keying import FIXED

RANGES = (
    ("all", "All", "The whole picture"),
    ("coarse", "Coarse", "Large structure: layers up to about 16 pixels"),
    ("medium", "Medium", "Medium structure and colour"),
    ("fine", "Fine", "Fine detail and colour: the last layers"),
    ("custom", "From – To", "Layers chosen by number"),
)


class Layer:
    """What latent and noise layers share: whether, where, and which envelope moves their strength."""

    enabled: BoolProperty(name="Enabled", default=True, options=FIXED, description="Use this layer")
    range: EnumProperty(
        name="Range",
        items=RANGES,
        default="all",
        options=FIXED,
        description="Which layers of the network, or sizes of detail, this layer reaches",
    )
    envelope: StringProperty(
        name="Envelope", default="", options=FIXED, description="The curve that the strength follows; empty: none"
    )
    gain: FloatProperty(name="Gain", default=1.0, soft_min=-4.0, soft_max=4.0, description="Multiplies the envelope")
    offset: FloatProperty(
        name="Offset", default=0.0, soft_min=-1.0, soft_max=1.0, description="Added to the envelope after the gain"
    )


class SGR_LatentLayer(Layer, bpy.types.PropertyGroup):
    """One entry of the latent stack: a source of `w`, mixed over what is below it."""

    kind: EnumProperty(
        name="Source",
        default="static",
        options=FIXED,
        description="Where the latent comes from",
        items=(
            ("static", "Static", "One latent: mixed in by an envelope, a picture that flashes up with the sound"),
            ("loop", "Loop", "A smooth round trip through some latents, in time with the bars"),
            ("chroma", "Chroma", "One latent for each of the twelve notes, mixed by how much of each note sounds"),
        ),
    )
    seeds: StringProperty(
        name="Seeds",
        default="1",
        options=FIXED,
        description="Numbers of the latents, such as 7 or 1-12,24. Chroma needs twelve, C first",
    )
    bars: FloatProperty(
        name="Bars",
        default=8.0,
        min=0.01,
        soft_max=64.0,
        options=FIXED,
        description="Length of one round of the loop, in bars",
    )
    clock: StringProperty(
        name="Clock", default="audio_bars", options=FIXED, description="The curve that moves the loop; it counts bars"
    )
    first: IntProperty(name="From", default=0, min=0, max=63, options=FIXED, description="First layer of the network")
    last: IntProperty(name="To", default=63, min=0, max=63, options=FIXED, description="Last layer of the network")
    influence: FloatProperty(
        name="Influence",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        description="How much this layer covers those below it",
    )


class SGR_NoiseLayer(Layer, bpy.types.PropertyGroup):
    """One entry of the noise stack: noise that is added at some sizes of detail."""

    kind: EnumProperty(
        name="Source",
        default="evolving",
        options=FIXED,
        description="Where the noise comes from",
        items=(
            ("own", "Own", "The noise that is stored in the network: still"),
            ("fixed", "Fixed", "Noise from a seed: still"),
            ("evolving", "Evolving", "Noise that never stands still"),
        ),
    )
    seed: IntProperty(name="Seed", default=1, min=0, options=FIXED, description="Number of the noise")
    seconds: FloatProperty(
        name="Memory",
        default=0.5,
        min=0.01,
        soft_max=10.0,
        subtype="TIME_ABSOLUTE",
        unit="TIME_ABSOLUTE",
        options=FIXED,
        description="How long the noise takes to become another one, in seconds",
    )
    clock: StringProperty(
        name="Clock",
        default="audio_seconds",
        options=FIXED,
        description="The curve that moves the noise; it counts seconds",
    )
    first: IntProperty(
        name="From",
        default=4,
        min=4,
        max=4096,
        subtype="PIXEL",
        options=FIXED,
        description="Smallest resolution that is reached",
    )
    last: IntProperty(
        name="To",
        default=4096,
        min=4,
        max=4096,
        subtype="PIXEL",
        options=FIXED,
        description="Largest resolution that is reached",
    )
    amplitude: FloatProperty(
        name="Amplitude",
        default=1.0,
        min=0.0,
        soft_max=4.0,
        description="Strength of the noise; 1 is what the network was made with",
    )


class SGR_Settings(bpy.types.PropertyGroup):
    """Everything of one scene: ``scene.stylegan_reactive``."""

    song: StringProperty(
        name="Song", subtype="FILE_PATH", options=FIXED, description="The sound file to make a film of"
    )
    checkpoint: StringProperty(
        name="Network",
        subtype="FILE_PATH",
        options=FIXED,
        description="The StyleGAN to make pictures with; empty: the built-in one",
    )
    size: IntVectorProperty(
        name="Picture Size",
        size=2,
        default=(1024, 1024),
        min=16,
        max=8192,
        options=FIXED,
        description="Width and height of the picture; the network's picture is cropped to fill it",
    )
    match_render_size: BoolProperty(
        name="Render at This Size",
        default=True,
        options=FIXED,
        description="Let Set Up Scene make the render as large as the picture",
    )
    tolerance: FloatProperty(
        name="Tolerance",
        default=1.0,
        min=0.0,
        max=20.0,
        subtype="PERCENTAGE",
        options=FIXED,
        description="How far a baked curve may be from the true one: more gives fewer keys to edit",
    )
    image: PointerProperty(
        name="Image", type=bpy.types.Image, options=FIXED, description="Where the pictures are written"
    )
    # The picture
    fit: EnumProperty(
        name="Fit",
        default="crop",
        options=FIXED,
        description="How the network's picture comes into a size of another shape",
        items=(
            ("canvas", "Paint", "The network paints the whole size: more of the same picture, nothing is cut off"),
            ("crop", "Crop", "Fill the size and cut off what stands out"),
            ("contain", "Fit", "Show the whole picture; what is left over stays transparent"),
            ("stretch", "Stretch", "Pull the picture into shape"),
        ),
    )
    preview: EnumProperty(
        name="Preview",
        default="HALF",
        options=FIXED,
        description="Show the picture while you scrub and play. Less detail gives more pictures per second",
        items=(
            ("OFF", "Off", "Show a picture only when Show Frame is pressed"),
            ("QUARTER", "Quarter", "A quarter of the width and height: the quickest"),
            ("HALF", "Half", "Half the width and height"),
            ("FULL", "Full", "The picture as it will be rendered"),
        ),
    )
    preview_settle: BoolProperty(
        name="Full When Still",
        default=True,
        options=FIXED,
        description="Show the picture as it will be rendered while the playhead stands still",
    )
    label: IntProperty(
        name="Class",
        min=0,
        max=65535,
        options=FIXED,
        description="What a network that was trained with classes is to paint, counted from 0; others ignore it",
    )
    truncation: FloatProperty(
        name="Truncation",
        default=0.9,
        soft_min=0.0,
        soft_max=1.5,
        min=-4.0,
        max=4.0,
        description="Below 1 pictures come closer to the network's average; above 1 they grow wilder",
    )
    envelopes: CollectionProperty(type=SGR_Envelope)
    envelope_index: IntProperty(options=FIXED)
    latent_layers: CollectionProperty(type=SGR_LatentLayer)
    latent_index: IntProperty(options=FIXED)
    noise_layers: CollectionProperty(type=SGR_NoiseLayer)
    noise_index: IntProperty(options=FIXED)


CLASSES = (*envelope_properties.CLASSES, SGR_LatentLayer, SGR_NoiseLayer, SGR_Settings)


INDEX_OF = {"envelopes": "envelope_index", "latent_layers": "latent_index", "noise_layers": "noise_index"}
"""The lists of `SGR_Settings`, and the property that holds which entry of each is selected."""


def selected(settings: SGR_Settings, collection: str) -> Any:
    """The selected entry of a list, or None where there is none."""
    items, index = getattr(settings, collection), getattr(settings, INDEX_OF[collection])
    return items[index] if 0 <= index < len(items) else None


def settings_of(scene: bpy.types.Scene) -> SGR_Settings:
    """The extension's settings on a scene."""
    return scene.stylegan_reactive


def register() -> None:
    """Put the settings on every scene."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.stylegan_reactive = PointerProperty(type=SGR_Settings)


def unregister() -> None:
    """Take them off again; what is stored in files stays there."""
    del bpy.types.Scene.stylegan_reactive
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
