# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture on objects, on a screen and around the 3D scene, as plain functions that change the file at once.

The compositor's targets are in `compositor`, shapes in `displacement`, strips in `edits`.
"""

from collections.abc import Sequence
from typing import Any

import bpy

from ..errors import ReactiveError
from .properties import settings_of

NAME = "StyleGAN Picture"


class TargetError(ReactiveError):
    """The picture cannot be put where the artist wants it."""


def image_of(scene: bpy.types.Scene) -> bpy.types.Image:
    """The scene's image; raises `TargetError` where it has none yet."""
    image = settings_of(scene).image
    if image is None:
        raise TargetError("This scene has no picture yet. Press Set Up Scene first.")
    return image


# Surfaces


def emission_material(image: bpy.types.Image) -> bpy.types.Material:
    """A new material that shines with the picture, in its exact colours whatever light falls on it."""
    material = bpy.data.materials.new(NAME)
    if not material.node_tree:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    texture = _texture(tree, image, (-300, 0))
    emission = tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    output.location.x = 200
    tree.links.new(texture.outputs["Color"], emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    return material


def _texture(tree: bpy.types.NodeTree, image: bpy.types.Image, place: tuple[float, float]) -> bpy.types.Node:
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image, texture.location, texture.label = image, place, NAME
    texture.extension = "EXTEND"  # no line of the other edge at the border
    return texture


def on_objects(scene: bpy.types.Scene, objects: Sequence[Any]) -> str:
    """Let objects shine with the picture.

    A material that is there keeps its look and gets the picture as its emission; an object without one gets a material
    that shows nothing but the picture.

    Raises
    ------
    TargetError
        No object can have a material, or a material's emission is in use already.
    """
    image = image_of(scene)
    able = [owner for owner in objects if hasattr(owner.data, "materials")]
    if not able:
        raise TargetError("Select an object that can have a material, such as a mesh, and try again.")
    materials = {owner.active_material for owner in able} - {None}
    sockets = {material: _free_emission(material) for material in materials}
    taken = next((material for material, socket in sockets.items() if socket is None), None)
    if taken is not None:
        raise TargetError(
            f"The material {taken.name!r} has no free emission for the picture. "
            f"Connect the image {image.name!r} in the Shader Editor, or give the object a new material slot."
        )
    for tree, color in filter(None, sockets.values()):
        place = color.node.location
        tree.links.new(_texture(tree, image, (place.x - 320, place.y - 200)).outputs["Color"], color)
        color.node.inputs["Emission Strength"].default_value = 1.0
    fresh = None
    for owner in able:
        if owner.active_material is None:
            fresh = fresh or emission_material(image)
            owner.active_material = fresh
    flat = [owner.name for owner in able if owner.type == "MESH" and not owner.data.uv_layers]
    if flat:
        return f"{flat[0]!r} has no UV map yet, so the picture has one colour there. Unwrap it in Edit Mode."
    return ""


def _free_emission(material: bpy.types.Material) -> tuple[bpy.types.NodeTree, bpy.types.NodeSocket] | None:
    """The emission of a material's Principled BSDF, None where there is none or something is connected to it."""
    tree = material.node_tree
    if tree is None or material.library is not None:
        return None
    node = next((node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled"), None)
    color = node.inputs.get("Emission Color") if node is not None else None
    return (tree, color) if color is not None and not color.is_linked else None


def screen(scene: bpy.types.Scene, place: Sequence[float]) -> bpy.types.Object:
    """A new upright plane in the picture's shape, two metres high, that shines with the picture."""
    image = image_of(scene)
    half = image.size[0] / image.size[1]
    mesh = bpy.data.meshes.new("StyleGAN Screen")
    mesh.from_pydata([(-half, 0, -1), (half, 0, -1), (half, 0, 1), (-half, 0, 1)], [], [(0, 1, 2, 3)])
    corners = mesh.uv_layers.new(name="UVMap")
    corners.data.foreach_set("uv", [0, 0, 1, 0, 1, 1, 0, 1])
    mesh.materials.append(emission_material(image))
    made = bpy.data.objects.new("StyleGAN Screen", mesh)
    made.location = place
    scene.collection.objects.link(made)
    return made


def world(scene: bpy.types.Scene) -> None:
    """Put the picture around the 3D scene, where it also lights it.

    Raises
    ------
    TargetError
        The world has something of the artist's already.
    """
    image = image_of(scene)
    if scene.world is None:
        scene.world = bpy.data.worlds.new("StyleGAN World")
    if scene.world.library is not None:
        raise TargetError(
            f"The world {scene.world.name!r} is linked from another file. Make it local, or choose another."
        )
    if scene.world.node_tree is None:
        scene.world.use_nodes = True
    tree = scene.world.node_tree
    background = next((node for node in tree.nodes if node.bl_idname == "ShaderNodeBackground"), None)
    if background is None:
        background = tree.nodes.new("ShaderNodeBackground")
        output = next((node for node in tree.nodes if node.bl_idname == "ShaderNodeOutputWorld"), None)
        output = output or tree.nodes.new("ShaderNodeOutputWorld")
        if not output.inputs["Surface"].is_linked:
            tree.links.new(background.outputs["Background"], output.inputs["Surface"])
    color = background.inputs["Color"]
    if color.is_linked:
        node = color.links[0].from_node
        if getattr(node, "image", None) == image:
            return
        raise TargetError(
            f"The world {scene.world.name!r} has a colour of its own ({node.name!r}). Disconnect it in the Shader "
            "Editor, or choose another world, and try again."
        )
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image, texture.label = image, NAME
    texture.location = (background.location.x - 320, background.location.y)
    tree.links.new(texture.outputs["Color"], color)
