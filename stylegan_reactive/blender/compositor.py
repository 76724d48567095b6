# SPDX-License-Identifier: GPL-3.0-or-later
"""The compositor's nodes that bring the image to the render, the same on Blender 4.5 and 5.x.

What the artist has built stays: our nodes are known by their names, are added beside, and come between the artist's
last node and the output where that is what was asked for.
"""

import bpy

IMAGE_NODE = "StyleGAN Reactive"
FIT_NODE = "StyleGAN Reactive Fit"
SCENE_NODE = "StyleGAN Reactive 3D Scene"
MIX_NODE = "StyleGAN Reactive Over"
MASK_NODE = "StyleGAN Reactive Mask"
CHANNEL_NODE = "StyleGAN Reactive Channel"
OURS = (IMAGE_NODE, FIT_NODE, SCENE_NODE, MIX_NODE, MASK_NODE, CHANNEL_NODE)
CHANNELS = (
    ("LUMINANCE", "Luminance", "How bright the picture is"),
    ("RED", "Red", "The red part"),
    ("GREEN", "Green", "The green part"),
    ("BLUE", "Blue", "The blue part"),
    ("ALPHA", "Alpha", "How opaque the picture is"),
)

Socket = bpy.types.NodeSocket


def tree_of(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    """The scene's compositor tree, None where it has none."""
    if hasattr(scene, "compositing_node_group"):  # 5.0 and later
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def _tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor tree; an empty one where it has none."""
    if hasattr(scene, "compositing_node_group"):  # 5.0 and later
        tree = scene.compositing_node_group
        if tree is not None:
            return tree
        tree = bpy.data.node_groups.new(f"{scene.name} StyleGAN", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        scene.compositing_node_group = tree
        return tree
    made = scene.node_tree is None
    scene.use_nodes = True
    if made:
        scene.node_tree.nodes.clear()  # Blender's own default renders the 3D scene too
    return scene.node_tree


def _output(tree: bpy.types.NodeTree) -> bpy.types.Node:
    """The node whose first input becomes the picture; made where missing."""
    is_group = "compositing_node_group" in bpy.types.Scene.bl_rna.properties
    kind = "NodeGroupOutput" if is_group else "CompositorNodeComposite"
    found = [node for node in tree.nodes if node.bl_idname == kind]
    active = next((node for node in found if getattr(node, "is_active_output", True)), None)
    return active or tree.nodes.new(kind)


def _node(tree: bpy.types.NodeTree, kind: str, name: str, label: str, place: tuple[float, float]) -> bpy.types.Node:
    """One of our nodes, made where it is missing; one of another kind is exchanged."""
    node: bpy.types.Node | None = tree.nodes.get(name)
    if node is not None and node.bl_idname != kind:
        tree.nodes.remove(node)
        node = None
    if node is None:
        node = tree.nodes.new(kind)
        node.name, node.label, node.location = name, label, place
    return node


def _fit_to_render(node: bpy.types.Node, *, stretch: bool) -> None:
    """Scale to the size of the render: cropped so that nothing is stretched, unless the picture is made for it."""
    if "Type" in node.inputs:  # 5.0 and later
        node.inputs["Type"].default_value = "Render Size"
        node.inputs["Frame Type"].default_value = "Stretch" if stretch else "Crop"
        node.inputs["Interpolation"].default_value = "Bilinear"  # Blender's bicubic blurs
    else:
        node.space = "RENDER_SIZE"
        node.frame_method = "STRETCH" if stretch else "CROP"
        node.interpolation = "BILINEAR"


def fit_again(scene: bpy.types.Scene, *, stretch: bool) -> None:
    """Let our node scale as it is wanted now, where it is there."""
    tree = tree_of(scene)
    node = tree.nodes.get(FIT_NODE) if tree is not None else None
    if node is not None:
        _fit_to_render(node, stretch=stretch)


def _picture(tree: bpy.types.NodeTree, image: bpy.types.Image, *, stretch: bool) -> Socket:
    """The nodes that give the picture in the size of the render."""
    source = _node(tree, "CompositorNodeImage", IMAGE_NODE, IMAGE_NODE, (-420, 0))
    source.image = image
    fit = _node(tree, "CompositorNodeScale", FIT_NODE, "Fit to Render", (-180, 0))
    if not fit.inputs["Image"].is_linked:
        tree.links.new(source.outputs["Image"], fit.inputs["Image"])
    _fit_to_render(fit, stretch=stretch)
    return fit.outputs["Image"]


def _images(node: bpy.types.Node) -> list[Socket]:
    """The two picture inputs of Alpha Over, the lower one first; their names differ from version to version."""
    return [socket for socket in node.inputs if socket.type == "RGBA"]


def _factor(node: bpy.types.Node) -> Socket:
    return next(socket for socket in node.inputs if socket.name in ("Fac", "Factor"))


def artists_end(tree: bpy.types.NodeTree) -> Socket | None:
    """The end of what the artist has built: what goes into the output, with our nodes taken away. None: nothing."""
    output = _output(tree)
    socket = output.inputs[0]
    for _ in range(8):
        if not socket.is_linked:
            return None
        end = socket.links[0].from_socket
        if end.node.name not in OURS:
            return end
        if end.node.name == MIX_NODE:
            lower, upper = _images(end.node)
            is_picture = upper.is_linked and upper.links[0].from_node.name == FIT_NODE
            socket = lower if is_picture else upper
        elif end.node.name == MASK_NODE:
            socket = end.node.inputs["Image"]
        else:
            return None
    return None


def set_up(scene: bpy.types.Scene, image: bpy.types.Image, *, stretch: bool = False) -> bool:
    """Bring an image to the scene's render through the compositor, as the whole frame.

    What the artist has built in the compositor stays: there the nodes are added, and connected only where the output
    has nothing yet. A picture that stands behind, over or as a mask stays so.

    Returns
    -------
    bool
        Whether the image reaches the output through these nodes.
    """
    tree = _tree(scene)
    picture = _picture(tree, image, stretch=stretch)
    output = _output(tree)
    if not output.inputs[0].is_linked:
        output.location = (60, 0)
        tree.links.new(picture, output.inputs[0])
    _enable(scene)
    return output.inputs[0].is_linked and output.inputs[0].links[0].from_node.name in OURS


def _enable(scene: bpy.types.Scene) -> None:
    scene.render.use_compositing = True
    if bpy.app.background:
        scene.render.compositor_device = "CPU"


def _below(scene: bpy.types.Scene, tree: bpy.types.NodeTree) -> Socket:
    """What the picture is joined with: what the artist has built, or else the 3D scene as it is rendered."""
    end = artists_end(tree)
    if end is not None:
        return end
    node = _node(tree, "CompositorNodeRLayers", SCENE_NODE, "3D Scene", (-420, 320))
    node.scene = scene
    return node.outputs["Image"]


def _clear(tree: bpy.types.NodeTree, *names: str) -> None:
    for name in names:
        node: bpy.types.Node | None = tree.nodes.get(name)
        if node is not None:
            tree.nodes.remove(node)


def full_frame(scene: bpy.types.Scene, image: bpy.types.Image, *, stretch: bool = False) -> bool:
    """Let the picture alone be the frame; False where the artist's own nodes go into the output, which are kept."""
    tree = _tree(scene)
    end = artists_end(tree)
    picture = _picture(tree, image, stretch=stretch)
    output = _output(tree)
    tree.links.new(end or picture, output.inputs[0])
    _clear(tree, MIX_NODE, MASK_NODE, CHANNEL_NODE, SCENE_NODE)
    output.location.x = max(output.location.x, 60)
    _enable(scene)
    return end is None


def join(
    scene: bpy.types.Scene, image: bpy.types.Image, *, behind: bool, opacity: float = 1.0, stretch: bool = False
) -> None:
    """Put the picture behind or over the 3D scene, or what the artist has made of it in the compositor."""
    tree = _tree(scene)
    below = _below(scene, tree)
    picture = _picture(tree, image, stretch=stretch)
    _clear(tree, MASK_NODE, CHANNEL_NODE)
    mix = _node(tree, "CompositorNodeAlphaOver", MIX_NODE, "Behind" if behind else "Over", (60, 160))
    mix.label = "Behind" if behind else "Over"
    lower, upper = _images(mix)
    tree.links.new(picture if behind else below, lower)
    tree.links.new(below if behind else picture, upper)
    _factor(mix).default_value = 1.0 if behind else opacity
    output = _output(tree)
    output.location.x = max(output.location.x, 300)
    tree.links.new(mix.outputs["Image"], output.inputs[0])
    scene.render.film_transparent = scene.render.film_transparent or behind
    _enable(scene)


def _channel(tree: bpy.types.NodeTree, picture: Socket, channel: str) -> Socket:
    """One channel of the picture as a value."""
    kind = "CompositorNodeRGBToBW" if channel == "LUMINANCE" else "CompositorNodeSeparateColor"
    node = _node(tree, kind, CHANNEL_NODE, channel.title(), (60, -120))
    node.label = channel.title()
    tree.links.new(picture, node.inputs["Image"])
    return node.outputs[0 if channel == "LUMINANCE" else channel.title()]


def mask(scene: bpy.types.Scene, image: bpy.types.Image, channel: str, *, stretch: bool = False) -> None:
    """Let a channel of the picture be the mask of the 3D scene, or of what the artist has made of it."""
    tree = _tree(scene)
    below = _below(scene, tree)
    picture = _picture(tree, image, stretch=stretch)
    _clear(tree, MIX_NODE)
    value = _channel(tree, picture, channel)
    node = _node(tree, "CompositorNodeSetAlpha", MASK_NODE, "Mask", (300, 160))
    if "Type" in node.inputs:  # 5.0 and later
        node.inputs["Type"].default_value = "Apply Mask"
    else:
        node.mode = "APPLY"
    tree.links.new(below, node.inputs["Image"])
    tree.links.new(value, node.inputs["Alpha"])
    output = _output(tree)
    output.location.x = max(output.location.x, 540)
    tree.links.new(node.outputs["Image"], output.inputs[0])
    _enable(scene)


def remove(scene: bpy.types.Scene) -> bool:
    """Take the picture out of the compositor; what the artist has built goes to the output as before.

    Returns
    -------
    bool
        Whether there was anything of ours.
    """
    tree = tree_of(scene)
    if tree is None or not any(node.name in OURS for node in tree.nodes):
        return False
    end = artists_end(tree)
    output = _output(tree)
    if end is not None:
        tree.links.new(end, output.inputs[0])
    _clear(tree, *OURS)
    if all(node == output for node in tree.nodes):  # nothing of the artist's: the 3D scene is the frame again
        if hasattr(scene, "compositing_node_group"):
            scene.compositing_node_group = None
            if tree.users == 0:
                bpy.data.node_groups.remove(tree)
        else:
            scene.use_nodes = False
    return True
