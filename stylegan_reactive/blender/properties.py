# SPDX-License-Identifier: GPL-3.0-or-later
"""What the extension stores, all of it on the Scene: the song, the network, the envelopes and the layers.

Every number of the patch can be keyed; texts and choices cannot, and say so by having no key dot. The groups of the
layers are in files of their own.
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

from . import (
    bend_properties,
    envelope_curves,
    envelope_properties,
    hearing_properties,
    layer_properties,
    noise_properties,
    palette,
)
from .bend_properties import SGR_BendLayer, SGR_RewriteLayer
from .envelope_properties import SGR_Envelope
from .hearing_properties import SGR_Hearing
from .keying import FILE, FIXED
from .layer_properties import SGR_LatentLayer, SGR_Truncation, SGR_TruncationCutoff
from .noise_properties import SGR_NoiseLayer
from .palette import SGR_PaletteEntry


class SGR_Settings(bpy.types.PropertyGroup):
    """Everything of one scene: ``scene.stylegan_reactive``."""

    song: StringProperty(name="Song", subtype="FILE_PATH", options=FILE, description="The sound file to make a film of")
    checkpoint: StringProperty(
        name="Network",
        subtype="FILE_PATH",
        options=FILE,
        description="The StyleGAN to make pictures with: a file, or the name of a built-in one. Empty: a built-in one",
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
    image_twin: PointerProperty(
        name="Second Image", type=bpy.types.Image, options=FIXED, description="For renders with Persistent Data"
    )
    follow_render: BoolProperty(
        name="Same as Render",
        default=False,
        options=FIXED,
        description="Make the picture in the size that is rendered: resolution, percentage and pixel aspect",
    )
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
        description="What a network that was trained with classes is to paint, counted from 0; others ignore it",
    )
    truncation: PointerProperty(type=SGR_Truncation)
    truncation_cutoff: PointerProperty(type=SGR_TruncationCutoff)
    envelopes: CollectionProperty(type=SGR_Envelope)
    envelope_index: IntProperty(options=FIXED, update=envelope_curves.select_active)
    hearing: PointerProperty(type=SGR_Hearing)
    latent_layers: CollectionProperty(type=SGR_LatentLayer)
    latent_index: IntProperty(options=FIXED)
    noise_layers: CollectionProperty(type=SGR_NoiseLayer)
    noise_index: IntProperty(options=FIXED)
    bends: CollectionProperty(type=SGR_BendLayer)
    bend_index: IntProperty(options=FIXED)
    rewrites: CollectionProperty(type=SGR_RewriteLayer)
    rewrite_index: IntProperty(options=FIXED)
    palette: CollectionProperty(type=SGR_PaletteEntry)
    palette_index: IntProperty(name="Selected Picture", options=FIXED)


CLASSES = (
    *envelope_properties.CLASSES,
    *hearing_properties.CLASSES,
    *layer_properties.CLASSES,
    *noise_properties.CLASSES,
    *bend_properties.CLASSES,
    *palette.CLASSES,
    SGR_Settings,
)


INDEX_OF = {
    "envelopes": "envelope_index",
    "latent_layers": "latent_index",
    "noise_layers": "noise_index",
    "bends": "bend_index",
    "rewrites": "rewrite_index",
    "palette": "palette_index",
}
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
