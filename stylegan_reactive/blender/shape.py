# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the picture is: what the artist chose, or what is really rendered."""

import bpy

from . import compositor
from .properties import settings_of

SMALLEST = 16  # pixels; a network has no picture for less


def render_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """Width and height of the frames that Blender renders, its percentage counted in."""
    render = scene.render
    share = render.resolution_percentage / 100
    return max(SMALLEST, int(render.resolution_x * share)), max(SMALLEST, int(render.resolution_y * share))


def picture_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """Width and height of the scene's picture.

    Where it follows the render and that has pixels that are not square, it has as many square ones as show the same
    shape, and the compositor pulls it into the pixels of the render.
    """
    settings = settings_of(scene)
    if not settings.follow_render:
        return int(settings.size[0]), int(settings.size[1])
    width, height = render_size(scene)
    across, up = scene.render.pixel_aspect_x, scene.render.pixel_aspect_y
    least = min(across, up)
    return max(SMALLEST, round(width * across / least)), max(SMALLEST, round(height * up / least))


def fit_image(scene: bpy.types.Scene) -> None:
    """Let the scene's image have the size of a picture that follows the render. Keeps the image itself."""
    settings = settings_of(scene)
    for image in (settings.image, settings.image_twin):
        if image is None or image.library is not None or not settings.follow_render:
            continue
        width, height = picture_size(scene)
        if tuple(image.size) != (width, height):
            image.generated_width, image.generated_height = width, height
    compositor.fit_again(scene, stretch=settings.follow_render)
