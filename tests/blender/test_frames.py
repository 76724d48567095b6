# SPDX-License-Identifier: GPL-3.0-or-later
"""``picture(frame) = f(patch, values(frame))``: the same frame gives the same pixels, however it is reached."""

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.compositor import tree_of
from stylegan_reactive.blender.picture import picture_at, request_at, source_of
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.session import session


def test_frame_alone_in_a_range_and_after_another_is_the_same(film: bpy.types.Scene, render: Callable) -> None:
    alone = render(film, 37)[37]
    in_range = render(film, 30, 40)
    assert len({frame.tobytes() for frame in in_range.values()}) == 11, "each frame is another picture"
    np.testing.assert_array_equal(in_range[37], alone)
    render(film, 200)
    np.testing.assert_array_equal(render(film, 37)[37], alone)


def test_frame_is_the_same_from_another_process(
    film: bpy.types.Scene, render: Callable, tmp_path: Path, run_blender: Callable
) -> None:
    here = render(film, 37)[37]
    film.render.filepath = "//second/"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    run_blender(
        f"""
        import bpy, os, stylegan_reactive
        os.environ["STYLEGAN_REACTIVE_TRUST"] = {str(tmp_path)!r}
        stylegan_reactive.register()
        bpy.ops.wm.open_mainfile(filepath={str(tmp_path / "film.blend")!r})
        bpy.context.scene.render.filepath = {str(tmp_path / "second")!r} + "/"
        bpy.ops.render.render(animation=True)
        stylegan_reactive.unregister()
        """
    )
    from PIL import Image

    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "second" / "0037.png")), here)


def test_frames_backwards_are_those_forwards(film: bpy.types.Scene) -> None:
    forwards = {frame: picture_at(film, frame, ahead=2).copy() for frame in range(20, 30)}
    for frame in reversed(range(20, 30)):
        np.testing.assert_array_equal(picture_at(film, frame, ahead=2), forwards[frame])


def test_engine_that_was_restarted_gives_the_same_picture(film: bpy.types.Scene) -> None:
    before = picture_at(film, 50).copy()
    session.close()
    np.testing.assert_array_equal(picture_at(film, 50), before)


def test_render_shows_the_picture_of_the_engine_exactly(film: bpy.types.Scene, render: Callable) -> None:
    film.render.dither_intensity = 0
    shown = render(film, 60)[60]
    linear = picture_at(film, 60)[::-1, :, :3]
    expected = (
        np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055) * 255
    )
    assert np.abs(shown - expected).max() < 0.51  # rounding to 8 bits


def test_frame_step_renders_the_frames_of_the_full_film(film: bpy.types.Scene, render: Callable) -> None:
    full = render(film, 40, 46)
    film.frame_step = 3
    for frame, pixels in render(film, 40, 46).items():
        np.testing.assert_array_equal(pixels, full[frame])


@pytest.mark.parametrize("new", [50, 100, 200])
def test_time_stretching_moves_the_picture_as_blender_moves_the_scene(film: bpy.types.Scene, new: int) -> None:
    film.render.frame_map_old, film.render.frame_map_new = 100, new
    film.frame_set(60)
    values = request_at(source_of(film), 60).values
    assert values["audio_seconds"] == pytest.approx(film["audio_seconds"], abs=1e-4)
    assert values["audio_seconds"] == pytest.approx((60 * 100 / new - 1) / 30, abs=5e-3)


def test_patch_stays_the_same_while_its_numbers_are_keyed(film: bpy.types.Scene) -> None:
    settings = settings_of(film)
    for frame, number in ((1, 0.2), (50, 1.0)):
        film.frame_set(frame)
        settings.truncation.amount = settings.latent_layers[1].influence.amount = number
        settings.truncation.keyframe_insert("amount")
        settings.latent_layers[1].influence.keyframe_insert("amount")
    requests = []
    for frame in (10, 20, 30):
        film.frame_set(frame)
        requests.append(request_at(source_of(film), frame))
    assert len({request.patch_key for request in requests}) == 1
    assert len({request.values["truncation.amount"] for request in requests}) == 3
    assert len({request.values["latent_layers.1.influence.amount"] for request in requests}) == 3


def test_a_render_layers_node_beside_the_picture_changes_nothing(film: bpy.types.Scene, render: Callable) -> None:
    alone = render(film, 37)[37]
    film.render.engine = "CYCLES"
    film.cycles.samples = 1
    film.collection.objects.link(camera := bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera")))
    film.camera = camera
    tree = tree_of(film)
    layers = tree.nodes.new("CompositorNodeRLayers")
    over = tree.nodes.new("CompositorNodeAlphaOver")
    fit = tree.nodes["StyleGAN Reactive Fit"]
    output = next(node for node in tree.nodes if node.bl_idname in ("NodeGroupOutput", "CompositorNodeComposite"))
    images = [socket for socket in over.inputs if socket.type == "RGBA"]
    tree.links.new(layers.outputs["Image"], images[0])
    tree.links.new(fit.outputs["Image"], images[1])
    tree.links.new(over.outputs[0], output.inputs[0])
    frames = render(film, 36, 37)
    np.testing.assert_array_equal(frames[37], alone)
    assert np.any(frames[36] != frames[37])


def test_inside_a_scene_strip_each_frame_has_its_own_picture(film: bpy.types.Scene, render: Callable) -> None:
    expected = render(film, 35, 38)
    film.frame_end = 240
    outer = bpy.data.scenes.new("Outer")
    outer.render.resolution_x = outer.render.resolution_y = settings_of(film).size[0]
    outer.render.fps = film.render.fps
    outer.view_settings.view_transform = "Standard"
    strips = outer.sequence_editor_create().strips
    film.frame_start = 1
    strip = strips.new_scene("Film", film, 1, 1)
    strip.scene_input = "CAMERA"
    frames = render(outer, 35, 38)
    for frame, pixels in frames.items():
        np.testing.assert_allclose(pixels.astype(int), expected[frame].astype(int), atol=1)
    assert len({pixels.tobytes() for pixels in frames.values()}) == 4


def test_torch_and_librosa_stay_out_of_blender(beat: Path, run_blender: Callable) -> None:
    printed = run_blender(
        f"""
        import sys, bpy, stylegan_reactive
        stylegan_reactive.register()
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        scene.stylegan_reactive.song = {str(beat)!r}
        scene.stylegan_reactive.size = (32, 32)
        bpy.ops.stylegan_reactive.set_up()
        bpy.ops.stylegan_reactive.bake()
        bpy.ops.stylegan_reactive.show_frame()
        pixels = [0.0] * 4096
        scene.stylegan_reactive.image.pixels.foreach_get(pixels)
        print("SPREAD", max(pixels[0::4]) - min(pixels[0::4]))
        heavy = {{name.split(".")[0] for name in sys.modules}} & {{"torch", "librosa", "scipy", "numba", "soundfile"}}
        print("HEAVY", sorted(heavy))
        stylegan_reactive.unregister()
        """
    )
    assert "HEAVY []" in printed
    spread = next(line for line in printed.splitlines() if line.startswith("SPREAD"))
    assert float(spread.split()[1]) > 0.05


@pytest.mark.parametrize("numerator", [24000, 30000])
def test_fractional_frame_rates_are_exact(scene: bpy.types.Scene, numerator: int) -> None:
    from fractions import Fraction

    from stylegan_reactive.blender.timing import fps_of

    scene.render.fps = round(numerator / 1000)
    scene.render.fps_base = 1.001
    assert fps_of(scene) == Fraction(numerator, 1001)
