# SPDX-License-Identifier: GPL-3.0-or-later
"""The compositor's nodes that bring the image to the render, the same on Blender 4.5 and 5.x."""

import bpy

IMAGE_NODE = "StyleGAN Reactive"
FIT_NODE = "StyleGAN Reactive Fit"


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


def _fit_to_render(node: bpy.types.Node) -> None:
    """Scale to the size of the render, cropped so that nothing is stretched."""
    if "Type" in node.inputs:  # 5.0 and later
        node.inputs["Type"].default_value = "Render Size"
        node.inputs["Frame Type"].default_value = "Crop"
        node.inputs["Interpolation"].default_value = "Bilinear"  # Blender's bicubic blurs
    else:
        node.space = "RENDER_SIZE"
        node.frame_method = "CROP"
        node.interpolation = "BILINEAR"


def set_up(scene: bpy.types.Scene, image: bpy.types.Image) -> bool:
    """Bring an image to the scene's render through the compositor.

    What the artist has built in the compositor stays: there the nodes are added, and connected only where the output
    has nothing yet.

    Returns
    -------
    bool
        Whether the image reaches the output through these nodes.
    """
    tree = _tree(scene)
    source = tree.nodes.get(IMAGE_NODE) or tree.nodes.new("CompositorNodeImage")
    source.name = source.label = IMAGE_NODE
    source.image = image
    fit: bpy.types.Node | None = tree.nodes.get(FIT_NODE)
    if fit is None:
        fit = tree.nodes.new("CompositorNodeScale")
        fit.name = FIT_NODE
        fit.label = "Fit to Render"
        source.location, fit.location = (-420, 0), (-180, 0)
        tree.links.new(source.outputs["Image"], fit.inputs["Image"])
    _fit_to_render(fit)
    output = _output(tree)
    if not output.inputs[0].is_linked:
        output.location = (60, 0)
        tree.links.new(fit.outputs["Image"], output.inputs[0])
    scene.render.use_compositing = True
    if bpy.app.background:
        scene.render.compositor_device = "CPU"
    return output.inputs[0].is_linked and output.inputs[0].links[0].from_node == fit
