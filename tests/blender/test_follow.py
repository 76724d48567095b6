# SPDX-License-Identifier: GPL-3.0-or-later
"""Any property of the file can follow an envelope, frame by frame, also where the extension is not there."""

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.envelope_curves import curve_of
from stylegan_reactive.blender.follow import Following, Place, follow, following, suggest, unfollow
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.errors import ReactiveError

FRAMES = (14, 16, 18, 31)


def kick_at(scene: bpy.types.Scene, frame: int) -> float:
    """The curve that is followed."""
    return float(curve_of(scene, "audio_kick").evaluate(frame))


def a_cube(scene: bpy.types.Scene) -> Place:
    cube = bpy.data.objects.new("Cube", bpy.data.meshes.new("Cube"))
    scene.collection.objects.link(cube)
    return Place(cube, "scale")


def one_axis(scene: bpy.types.Scene) -> Place:
    return Place(a_cube(scene).owner, "scale", 2)


def a_light(scene: bpy.types.Scene) -> Place:
    light = bpy.data.lights.new("Lamp", "POINT")
    scene.collection.objects.link(bpy.data.objects.new("Lamp", light))
    return Place(light, "energy")


def a_material(scene: bpy.types.Scene) -> Place:
    material = bpy.data.materials.new("Paint")
    material.use_nodes = True
    cube = a_cube(scene).owner
    cube.data.materials.append(material)
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    return Place(material.node_tree, f'nodes["{shader.name}"].inputs["Roughness"].default_value')


def a_custom_property(scene: bpy.types.Scene) -> Place:
    cube = a_cube(scene).owner
    cube["wobble"] = 0.5
    return Place(cube, '["wobble"]')


def one_of_the_scene(scene: bpy.types.Scene) -> Place:
    return Place(scene, "audio_volume")


@pytest.mark.parametrize("make", [a_cube, one_axis, a_light, a_material, a_custom_property, one_of_the_scene])
def test_property_moves_with_the_envelope_and_rests_when_it_is_let_go(
    film: bpy.types.Scene, make: Callable[[bpy.types.Scene], Place]
) -> None:
    place = make(film)
    rest = float(np.ravel(np.array(place.value, float))[0])
    follow(film, place, "audio_kick", 0.5, 0.25)
    assert following(place) == Following("audio_kick", 0.5, 0.25)
    for frame in FRAMES:
        film.frame_set(frame)
        expected = 0.25 + 0.5 * kick_at(film, frame)
        np.testing.assert_allclose(np.array(place.value, float), expected, atol=1e-4, err_msg=str(frame))
    follow(film, place, "audio_snare", 1.0, rest)
    assert following(place) == Following("audio_snare", 1.0, rest)
    unfollow(place)
    assert following(place) is None
    film.frame_set(16)
    np.testing.assert_allclose(np.array(place.value, float), rest, atol=1e-6)


def test_only_the_element_that_was_chosen_moves(film: bpy.types.Scene) -> None:
    place = one_axis(film)
    follow(film, place, "audio_kick", 1.0, 0.0)
    film.frame_set(16)
    assert tuple(place.owner.scale)[:2] == (1.0, 1.0)
    assert place.owner.scale[2] > 0.5


def test_suggestion_swings_up_from_what_the_property_is(film: bpy.types.Scene) -> None:
    place = a_light(film)
    place.owner.energy = 1000.0
    assert suggest(place) == (1000.0, 1000.0)


def test_driver_is_blender_s_own_and_needs_no_python(film: bpy.types.Scene) -> None:
    place = one_axis(film)
    follow(film, place, "audio_kick", -1.5, 0.1)
    driver = place.owner.animation_data.drivers[0].driver
    assert driver.is_simple_expression
    assert driver.is_valid


def test_what_cannot_follow_says_so(film: bpy.types.Scene) -> None:
    place = a_cube(film)
    with pytest.raises(ReactiveError, match="nothing"):
        follow(film, place, "nothing", 1.0, 0.0)
    with pytest.raises(ReactiveError, match="name"):
        follow(film, Place(place.owner, "name"), "audio_kick", 1.0, 0.0)
    with pytest.raises(ReactiveError, match="itself"):
        follow(film, Place(film, '["audio_kick"]'), "audio_kick", 1.0, 0.0)
    assert place.owner.animation_data is None


def test_driver_of_another_kind_is_left_alone(film: bpy.types.Scene) -> None:
    place = one_axis(film)
    place.owner.driver_add("scale", 2).driver.expression = "frame / 100"
    assert following(place) is None
    unfollow(place)
    assert len(place.owner.animation_data.drivers) == 1


def test_3d_scene_moves_in_the_render_with_the_same_curve(film: bpy.types.Scene, render: Callable) -> None:
    """A plane that glows as strongly as the kick, seen from above by Cycles."""
    scene = film
    settings_of(scene).image = None
    for name in ("node_tree", "compositing_node_group"):
        if getattr(scene, name, None) is not None:
            (scene.node_tree if name == "node_tree" else scene.compositing_node_group).nodes.clear()
    if bpy.app.version < (5, 0):
        scene.use_nodes = False
    else:
        scene.compositing_node_group = None
    scene.render.use_sequencer = False
    mesh = bpy.data.meshes.new("Plane")
    mesh.from_pydata([(-9, -9, 0), (9, -9, 0), (9, 9, 0), (-9, 9, 0)], [], [(0, 1, 2, 3)])
    plane = bpy.data.objects.new("Plane", mesh)
    scene.collection.objects.link(plane)
    material = bpy.data.materials.new("Glow")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    glow, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(glow.outputs[0], output.inputs[0])
    mesh.materials.append(material)
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.camera.location = (0, 0, 3)
    scene.collection.objects.link(scene.camera)
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.resolution_x = scene.render.resolution_y = 8
    scene.render.dither_intensity = 0
    scene.view_settings.view_transform = "Raw"
    follow(scene, Place(tree, f'nodes["{glow.name}"].inputs["Strength"].default_value'), "audio_kick", 0.8, 0.1)
    for frame, picture in render(scene, 15, 18).items():
        expected = 255 * (0.1 + 0.8 * kick_at(scene, frame))
        np.testing.assert_allclose(picture.astype(float), expected, atol=1.5, err_msg=str(frame))


def test_file_without_the_extension_would_keep_the_driver(film: bpy.types.Scene, tmp_path: Path) -> None:
    place = one_axis(film)
    follow(film, place, "audio_kick", 1.0, 0.0)
    name = place.owner.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "film.blend"))
    scene = bpy.context.scene
    scene.frame_set(16)
    assert bpy.data.objects[name].scale[2] == pytest.approx(kick_at(scene, 16), abs=1e-4)
