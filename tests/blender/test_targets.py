# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the picture goes: each place is one operator, is seen in the rendered pixels, and goes away by an undo."""

from collections.abc import Callable

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.compositor import tree_of
from stylegan_reactive.blender.picture import picture_at
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.session import session

GREY = 0.5


def display(linear: np.ndarray) -> np.ndarray:
    """Scene-linear pixels [h, w, 4], bottom row first, as the 8 bits of a PNG [h, w, 3], top row first."""
    linear = np.maximum(linear[::-1, :, :3], 1e-9)
    return np.clip(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055), 0, 1) * 255


@pytest.fixture
def stage(film: bpy.types.Scene) -> bpy.types.Scene:
    """A film with a camera before it that sees two by two metres, and Cycles that hits the middle of each pixel."""
    film.render.engine = "CYCLES"
    film.cycles.samples, film.cycles.use_denoising = 1, False
    film.cycles.pixel_filter_type, film.cycles.filter_width = "BOX", 0.01
    film.render.dither_intensity = 0
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 2.0
    camera.location, camera.rotation_euler = (0, -5, 0), (np.pi / 2, 0, 0)
    film.collection.objects.link(camera)
    film.camera = camera
    if bpy.data.worlds:
        film.world = None
    return film


def square(scene: bpy.types.Scene, size: float = 2.0, *, uv: bool = True, colour: bool = False) -> bpy.types.Object:
    """A plane that faces the camera, selected; with a material that shines grey where it shall have a colour."""
    mesh = bpy.data.meshes.new("Square")
    h = size / 2
    mesh.from_pydata([(-h, 0, -h), (h, 0, -h), (h, 0, h), (-h, 0, h)], [], [(0, 1, 2, 3)])
    if uv:
        mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", [0, 0, 1, 0, 1, 1, 0, 1])
    if colour:
        material = bpy.data.materials.new("Grey")
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        nodes.clear()
        shine, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
        shine.inputs["Color"].default_value = (GREY, GREY, GREY, 1)
        links.new(shine.outputs[0], output.inputs["Surface"])
        mesh.materials.append(material)
    made = bpy.data.objects.new("Square", mesh)
    scene.collection.objects.link(made)
    made.select_set(True)
    bpy.context.view_layer.objects.active = made
    return made


def place(where: str, **options: object) -> None:
    """Press the button."""
    assert bpy.ops.stylegan_reactive.place(where=where, **options) == {"FINISHED"}


def output_of(scene: bpy.types.Scene) -> bpy.types.Node:
    return next(n for n in tree_of(scene).nodes if n.bl_idname in ("NodeGroupOutput", "CompositorNodeComposite"))


def test_behind_the_scene_the_picture_is_seen_past_the_objects(stage: bpy.types.Scene, render: Callable) -> None:
    square(stage, 1.0, colour=True)
    place("BEHIND")
    pixels, picture = render(stage, 37)[37].astype(float), display(picture_at(stage, 37))
    np.testing.assert_allclose(pixels[24:40, 24:40], display(np.full((1, 1, 4), GREY))[0, 0, 0], atol=1)
    np.testing.assert_allclose(pixels[:15], picture[:15], atol=1)
    np.testing.assert_allclose(pixels[:, 50:], picture[:, 50:], atol=1)


def test_over_the_scene_the_picture_is_mixed_by_its_opacity(stage: bpy.types.Scene, render: Callable) -> None:
    square(stage, 3.0, colour=True)
    place("OVER", opacity=0.25)
    mixed = 0.25 * picture_at(stage, 37) + 0.75 * GREY
    np.testing.assert_allclose(render(stage, 37)[37], display(mixed), atol=1)
    place("OVER", opacity=1.0)
    np.testing.assert_allclose(render(stage, 37)[37], display(picture_at(stage, 37)), atol=1)


def test_mask_shows_the_scene_where_the_channel_is_bright(stage: bpy.types.Scene, render: Callable) -> None:
    square(stage, 3.0, colour=True)
    place("MASK", channel="RED")
    masked = GREY * picture_at(stage, 37)[..., :1].repeat(4, 2)
    np.testing.assert_allclose(render(stage, 37)[37], display(masked), atol=1)
    place("MASK", channel="LUMINANCE")
    luminance = picture_at(stage, 37)[..., :3] @ (0.2126, 0.7152, 0.0722)
    np.testing.assert_allclose(render(stage, 37)[37], display(GREY * luminance[..., None].repeat(4, 2)), atol=2)


@pytest.mark.parametrize("persistent", [False, True])
def test_screen_shows_each_frames_own_picture(stage: bpy.types.Scene, render: Callable, persistent: bool) -> None:
    stage.render.use_persistent_data = persistent
    bpy.ops.stylegan_reactive.unplace()
    place("SCREEN")
    shown = settings_of(stage).image
    for frame, pixels in render(stage, 36, 39).items():
        np.testing.assert_allclose(pixels, display(picture_at(stage, frame)), atol=2)
    users = [n.image for m in bpy.data.materials for n in m.node_tree.nodes if n.bl_idname == "ShaderNodeTexImage"]
    assert users == [shown], "after the render the file is as it was"


def test_selected_object_keeps_its_material_and_shines_with_the_picture(
    stage: bpy.types.Scene, render: Callable
) -> None:
    bpy.ops.stylegan_reactive.unplace()
    target = square(stage)
    target.data.materials.append(material := bpy.data.materials.new("Mine"))
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0, 0, 0, 1)
    place("SURFACE")
    assert target.active_material == material
    off = np.abs(render(stage, 37)[37] - display(picture_at(stage, 37)))  # its own shine is in the picture, too
    assert np.mean(off > 4) < 0.01
    assert off.max() < 10


def test_object_without_a_material_shows_nothing_but_the_picture(stage: bpy.types.Scene, render: Callable) -> None:
    bpy.ops.stylegan_reactive.unplace()
    square(stage)
    place("SURFACE")
    np.testing.assert_allclose(render(stage, 37)[37], display(picture_at(stage, 37)), atol=2)


def test_world_shows_the_picture_all_around(stage: bpy.types.Scene, render: Callable) -> None:
    bpy.ops.stylegan_reactive.unplace()
    place("WORLD")
    stage.camera.data.type = "PANO"
    if hasattr(stage.camera.data, "panorama_type"):
        stage.camera.data.panorama_type = "EQUIRECTANGULAR"
    else:
        stage.camera.data.cycles.panorama_type = "EQUIRECTANGULAR"
    frames = render(stage, 36, 37)
    assert np.any(frames[36] != frames[37])
    picture = display(picture_at(stage, 37))
    # The camera looks along Y, and the picture's middle lies along X: a quarter of the way round.
    errors = [np.abs(np.roll(frames[37].astype(float), turn, 1) - picture).mean() for turn in (16, 48)]
    assert min(errors) < 3


@pytest.mark.parametrize("channel", ["LUMINANCE", "GREEN"])
def test_displaced_surface_stands_out_where_the_picture_is_bright(stage: bpy.types.Scene, channel: str) -> None:
    target = square(stage)
    place("DISPLACE", channel=channel, strength=0.25)
    heights = {}
    for frame in (37, 60):
        stage.frame_set(frame)
        bpy.ops.stylegan_reactive.show_frame()
        stage.frame_set(frame)
        mesh = target.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        points = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", points)
        points = points.reshape(-1, 3)
        assert len(points) == 65 * 65
        picture = picture_at(stage, frame)
        weights = (0.2126, 0.7152, 0.0722) if channel == "LUMINANCE" else (0, 1, 0)
        value = picture[..., :3] @ np.array(weights)
        column = np.clip((points[:, 0] + 1) / 2 * 64 - 0.5, 0, 63).round().astype(int)
        row = np.clip((points[:, 2] + 1) / 2 * 64 - 0.5, 0, 63).round().astype(int)
        heights[frame] = -points[:, 1]
        assert np.corrcoef(heights[frame], value[row, column])[0, 1] > 0.93
        assert np.abs(heights[frame]).max() <= 0.2501 * value.max()
    assert np.abs(heights[37] - heights[60]).max() > 0.01


def test_displacement_moves_in_a_render(stage: bpy.types.Scene, render: Callable) -> None:
    bpy.ops.stylegan_reactive.unplace()
    target = square(stage, colour=True)
    place("DISPLACE", strength=2.0)
    target.rotation_euler = (0, 0, 1.4)  # seen from the side: its outline is the shape
    frames = render(stage, 36, 38)
    assert len({pixels.tobytes() for pixels in frames.values()}) == 3


def test_scene_strip_shows_each_frames_picture(stage: bpy.types.Scene, render: Callable) -> None:
    expected = render(stage, 35, 37)
    stage.frame_start, stage.frame_end = 1, 240
    place("SCENE_STRIP")
    edit = next(scene for scene in bpy.data.scenes if scene != stage)
    assert (edit.frame_start, edit.frame_end) == (1, 240)
    edit.render.dither_intensity = 0
    for frame, pixels in render(edit, 35, 37).items():
        np.testing.assert_allclose(pixels.astype(int), expected[frame].astype(int), atol=1)


def test_image_strip_shows_the_saved_frames(stage: bpy.types.Scene, render: Callable, notice: Callable) -> None:
    with pytest.raises(RuntimeError, match="saved frames"):
        place("IMAGE_STRIP")
    expected = render(stage, 35, 38)
    place("IMAGE_STRIP")
    edit = next(scene for scene in bpy.data.scenes if scene != stage)
    edit.render.dither_intensity = 0
    for frame, pixels in render(edit, 35, 38).items():
        np.testing.assert_allclose(pixels.astype(int), expected[frame].astype(int), atol=1)


def artists_nodes(scene: bpy.types.Scene, own_compositor: Callable) -> tuple[bpy.types.Node, bpy.types.Node]:
    """A compositor as an artist builds it: the 3D scene, darkened, into the output."""
    bpy.ops.stylegan_reactive.unplace()
    tree, output = own_compositor(scene)
    layers, mine = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("CompositorNodeFlip")
    tree.links.new(layers.outputs["Image"], mine.inputs["Image"])
    tree.links.new(mine.outputs["Image"], output.inputs[0])
    return mine, output


@pytest.mark.parametrize("where", ["BEHIND", "OVER", "MASK"])
def test_artists_compositor_is_joined_and_comes_back(
    stage: bpy.types.Scene, where: str, own_compositor: Callable
) -> None:
    mine, output = artists_nodes(stage, own_compositor)
    place(where)
    assert mine.outputs[0].links[0].to_node.name.startswith("StyleGAN Reactive")
    assert output.inputs[0].links[0].from_node.name.startswith("StyleGAN Reactive")
    place("BEHIND" if where == "OVER" else "OVER")
    bpy.ops.stylegan_reactive.unplace()
    assert output.inputs[0].links[0].from_node == mine
    assert not [node for node in tree_of(stage).nodes if node.name.startswith("StyleGAN Reactive")]


def test_full_frame_leaves_the_artists_compositor_and_says_so(
    stage: bpy.types.Scene, notice: Callable, own_compositor: Callable
) -> None:
    mine, output = artists_nodes(stage, own_compositor)
    place("FULL")
    assert output.inputs[0].links[0].from_node == mine
    assert "compositor was kept" in notice(stage)


def test_full_frame_comes_back_after_the_other_places(stage: bpy.types.Scene, render: Callable) -> None:
    expected = render(stage, 37)[37]
    for where in ("BEHIND", "MASK", "OVER", "FULL"):
        place(where)
    np.testing.assert_array_equal(render(stage, 37)[37], expected)


def test_world_and_material_of_the_artist_are_never_overwritten(stage: bpy.types.Scene, notice: Callable) -> None:
    stage.world = bpy.data.worlds.new("Mine")
    stage.world.use_nodes = True
    tree = stage.world.node_tree
    background = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBackground")
    sky = tree.nodes.new("ShaderNodeTexNoise")
    tree.links.new(sky.outputs[0], background.inputs["Color"])
    with pytest.raises(RuntimeError, match="Mine"):
        place("WORLD")
    assert background.inputs["Color"].links[0].from_node == sky
    square(stage, colour=True)
    with pytest.raises(RuntimeError, match="Grey"):
        place("SURFACE")


@pytest.mark.parametrize("where", ["SURFACE", "DISPLACE"])
def test_nothing_selected_is_said(stage: bpy.types.Scene, where: str) -> None:
    for each in bpy.context.selected_objects:
        each.select_set(False)
    with pytest.raises(RuntimeError, match="Select"):
        place(where)


def test_scene_without_a_picture_says_what_comes_first(scene: bpy.types.Scene, notice: Callable) -> None:
    with pytest.raises(RuntimeError, match="Set Up Scene"):
        place("SCREEN")
    assert session.notice(scene).is_error


def test_two_generators_in_one_picture(stage: bpy.types.Scene, render: Callable, own_compositor: Callable) -> None:
    first_image = settings_of(stage).image
    bpy.ops.scene.new(type="FULL_COPY")
    second = bpy.context.scene
    settings = settings_of(second)
    settings.image = None
    settings.latent_layers[0].source.seeds = "21-32"
    bpy.ops.stylegan_reactive.set_up()
    assert settings.image not in (None, first_image)
    outer = bpy.data.scenes.new("Outer")
    for name in ("engine", "resolution_x", "resolution_y", "dither_intensity"):
        setattr(outer.render, name, getattr(stage.render, name))
    outer.view_settings.view_transform = "Standard"
    bpy.context.window.scene = outer
    tree, output = own_compositor(outer)
    over = tree.nodes.new("CompositorNodeAlphaOver")
    sockets = [socket for socket in over.inputs if socket.type == "RGBA"]
    for socket, image in zip(sockets, (first_image, settings.image), strict=True):
        node = tree.nodes.new("CompositorNodeImage")
        node.image = image
        tree.links.new(node.outputs["Image"], socket)
    next(socket for socket in over.inputs if socket.name in ("Fac", "Factor")).default_value = 0.5
    tree.links.new(over.outputs[0], output.inputs[0])
    outer.render.compositor_device = "CPU"
    for frame, pixels in render(outer, 36, 38).items():
        pictures = [picture_at(scene, frame, up_to_date=False).copy() for scene in (stage, second)]
        assert np.abs(pictures[0] - pictures[1]).max() > 0.1
        np.testing.assert_allclose(pixels, display(sum(pictures) / 2), atol=1)


def test_edit_scene_goes_away_by_an_undo(stage: bpy.types.Scene) -> None:
    def content() -> list[list[str]]:
        return [sorted(item.name for item in each) for each in (bpy.data.scenes, bpy.data.sounds, bpy.data.images)]

    bpy.ops.ed.undo_push(message="Before")
    before = content()
    place("SCENE_STRIP")
    bpy.ops.ed.undo_push(message="After")
    assert content() != before
    bpy.ops.ed.undo()
    assert content() == before
