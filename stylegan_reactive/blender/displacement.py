# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture as a shape: geometry nodes that move a surface by one of its channels."""

from collections.abc import Sequence
from typing import Any

import bpy

from .targets import TargetError, image_of

SHAPE = "StyleGAN Displacement"


def displace(scene: bpy.types.Scene, objects: Sequence[Any], channel: str, strength: float) -> str:
    """Push the surface of objects out and in with a channel of the picture, by a Geometry Nodes modifier."""
    image = image_of(scene)
    meshes = [owner for owner in objects if owner.type == "MESH"]
    if not meshes:
        raise TargetError("Select a mesh object, and try again.")
    group = displacement_group(image, channel, strength)
    for owner in meshes:
        modifier = owner.modifiers.new(SHAPE, "NODES")
        modifier.node_group = group
    flat = [owner.name for owner in meshes if not owner.data.uv_layers]
    return f"{flat[0]!r} has no UV map: the picture was laid on it from above." if flat else ""


def displacement_group(image: bpy.types.Image, channel: str, strength: float) -> bpy.types.NodeTree:
    """Geometry nodes: subdivide, then move each point along its normal by the channel at its place in the UV map."""
    tree = bpy.data.node_groups.new(f"{SHAPE} ({channel.title()})", "GeometryNodeTree")
    tree.is_modifier = True
    face: Any = tree.interface
    face.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    detail: Any = face.new_socket("Detail", in_out="INPUT", socket_type="NodeSocketInt")
    detail.default_value, detail.min_value, detail.max_value = 6, 0, 11
    detail.description = "How often each face is divided before it is moved"
    amount: Any = face.new_socket("Strength", in_out="INPUT", socket_type="NodeSocketFloat")
    amount.default_value, amount.subtype = strength, "DISTANCE"
    amount.description = "How far the brightest point moves"
    uv: Any = face.new_socket("UV Map", in_out="INPUT", socket_type="NodeSocketString")
    uv.default_value = "UVMap"
    face.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")

    def node(kind: str, column: int, row: int = 0) -> Any:
        made = tree.nodes.new(kind)
        made.location = (column * 200 - 800, -row * 220)
        return made

    link = tree.links.new
    start, end = node("NodeGroupInput", 0), node("NodeGroupOutput", 8)
    divide = node("GeometryNodeSubdivideMesh", 1)
    link(start.outputs["Geometry"], divide.inputs["Mesh"])
    link(start.outputs["Detail"], divide.inputs["Level"])
    # Where a point is in the picture: its UV, or without a UV map its place in the box round the object.
    named = node("GeometryNodeInputNamedAttribute", 1, 1)
    named.data_type = "FLOAT_VECTOR"
    link(start.outputs["UV Map"], named.inputs["Name"])
    box, position = node("GeometryNodeBoundBox", 1, 3), node("GeometryNodeInputPosition", 1, 2)
    link(start.outputs["Geometry"], box.inputs["Geometry"])
    range_ = node("ShaderNodeMapRange", 2, 2)
    range_.data_type = "FLOAT_VECTOR"
    vectors = [socket for socket in range_.inputs if socket.type == "VECTOR"]
    link(position.outputs["Position"], vectors[0])
    link(box.outputs["Min"], vectors[1])
    link(box.outputs["Max"], vectors[2])
    choose = node("GeometryNodeSwitch", 3, 1)
    choose.input_type = "VECTOR"
    link(named.outputs["Exists"], choose.inputs["Switch"])
    link(next(socket for socket in range_.outputs if socket.type == "VECTOR"), choose.inputs["False"])
    link(
        next(socket for socket in named.outputs if socket.name == "Attribute" and socket.enabled), choose.inputs["True"]
    )
    texture = node("GeometryNodeImageTexture", 4, 1)
    texture.inputs["Image"].default_value, texture.extension = image, "EXTEND"
    link(choose.outputs["Output"], texture.inputs["Vector"])
    value = _channel_value(tree, texture, channel, node)
    scale = node("ShaderNodeMath", 6, 1)
    scale.operation = "MULTIPLY"
    link(value, scale.inputs[0])
    # The time takes no part in the result, but lets Blender look at the picture again on every frame.
    still, add = node("GeometryNodeInputSceneTime", 4, 3), node("ShaderNodeMath", 5, 2)
    add.operation = "MULTIPLY_ADD"
    link(still.outputs["Frame"], add.inputs[0])
    add.inputs[1].default_value = 0.0
    link(start.outputs["Strength"], add.inputs[2])
    link(add.outputs[0], scale.inputs[1])
    along, normal = node("ShaderNodeVectorMath", 7, 1), node("GeometryNodeInputNormal", 6, 2)
    along.operation = "SCALE"
    link(normal.outputs["Normal"], along.inputs["Vector"])
    link(scale.outputs[0], along.inputs["Scale"])
    move = node("GeometryNodeSetPosition", 7)
    link(divide.outputs["Mesh"], move.inputs["Geometry"])
    link(along.outputs["Vector"], move.inputs["Offset"])
    link(move.outputs["Geometry"], end.inputs["Geometry"])
    return tree


def _channel_value(tree: bpy.types.NodeTree, texture: Any, channel: str, node: Any) -> Any:
    """One channel of an image texture, in geometry nodes."""
    if channel == "ALPHA":
        return texture.outputs["Alpha"]
    if channel == "LUMINANCE":
        weigh = node("ShaderNodeVectorMath", 5, 1)
        weigh.operation = "DOT_PRODUCT"
        weigh.inputs[1].default_value = (0.2126, 0.7152, 0.0722)  # Rec. 709
        tree.links.new(texture.outputs["Color"], weigh.inputs[0])
        return weigh.outputs["Value"]
    separate = node("FunctionNodeSeparateColor", 5, 1)
    tree.links.new(texture.outputs["Color"], separate.inputs["Color"])
    return separate.outputs[channel.title()]
