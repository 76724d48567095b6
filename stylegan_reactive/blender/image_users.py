# SPDX-License-Identifier: GPL-3.0-or-later
"""Who shows an image: the node trees of a scene, of its world, of the materials and modifiers of its objects."""

from collections.abc import Iterator

import bpy

from .compositor import tree_of


def trees_of(scene: bpy.types.Scene) -> Iterator[bpy.types.NodeTree]:
    """All node trees that a render of the scene may use, groups inside groups too, each once."""
    found = [tree_of(scene), scene.world.node_tree if scene.world is not None else None]
    for owner in scene.objects:
        found += [slot.material.node_tree for slot in owner.material_slots if slot.material is not None]
        found += [modifier.node_group for modifier in owner.modifiers if modifier.type == "NODES"]
        found.append(getattr(owner.data, "node_tree", None))  # lights
    seen: set[bpy.types.NodeTree] = set()
    while found:
        tree = found.pop()
        if tree is not None and tree not in seen:
            seen.add(tree)
            found += [node.node_tree for node in tree.nodes if getattr(node, "node_tree", None) is not None]
            yield tree


def nodes_showing(scene: bpy.types.Scene, image: bpy.types.Image) -> list[bpy.types.Node]:
    """The nodes in a scene's trees that show an image by a property of theirs."""
    return [node for tree in trees_of(scene) for node in tree.nodes if getattr(node, "image", None) == image]


def images_shown(scene: bpy.types.Scene) -> set[bpy.types.Image]:
    """All images that the scene's node trees show, as a property of a node or in a socket of it."""
    found = set()
    for tree in trees_of(scene):
        for node in tree.nodes:
            found.add(getattr(node, "image", None))
            found |= {socket.default_value for socket in node.inputs if socket.type == "IMAGE"}
    return found - {None}
