# SPDX-License-Identifier: GPL-3.0-or-later
"""The only room that imports bpy: properties, curves, pictures, operators and panels."""

import bpy

from . import (
    engine_operators,
    envelope_operators,
    farm_command,
    farm_operators,
    film_mark,
    follow_operators,
    layer_operators,
    list_operators,
    manual,
    mask_images,
    network_menu,
    operators,
    palette,
    palette_operators,
    panels,
    patch_operators,
    picture,
    picture_operators,
    preferences_panel,
    preview,
    properties,
    resume,
    song_operators,
    trust,
    trust_operators,
)
from .session import session
from .shape_preview import shapes

_CLASSES = (
    *preferences_panel.CLASSES,
    *engine_operators.CLASSES,
    *trust_operators.CLASSES,
    *operators.CLASSES,
    *resume.CLASSES,
    *network_menu.CLASSES,
    *envelope_operators.CLASSES,
    *list_operators.CLASSES,
    *layer_operators.CLASSES,
    *patch_operators.CLASSES,
    *palette_operators.CLASSES,
    *song_operators.CLASSES,
    *follow_operators.CLASSES,
    *picture_operators.CLASSES,
    *farm_operators.CLASSES,
    *panels.CLASSES,
)


def register() -> None:
    """Add everything to Blender."""
    properties.register()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    trust.register()
    picture.register()
    film_mark.register()
    mask_images.register()
    preview.register()
    manual.register()
    follow_operators.register()
    farm_command.register()


def unregister() -> None:
    """Remove everything from Blender and stop the engine."""
    farm_command.unregister()
    follow_operators.unregister()
    shapes.close()
    manual.unregister()
    preview.unregister()
    session.close()
    mask_images.unregister()
    palette.thumbnails.clear()
    film_mark.unregister()
    picture.unregister()
    trust.unregister()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    properties.unregister()
