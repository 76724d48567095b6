# SPDX-License-Identifier: GPL-3.0-or-later
"""Any shape, and the exact colours: what the network paints is what stands in the file, in 8, 16 and 32 bits."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.picture import picture_at
from stylegan_reactive.blender.properties import settings_of


def srgb(linear: np.ndarray) -> np.ndarray:
    """Scene-linear values as display values from 0 to 1."""
    linear = np.maximum(linear, 1e-9)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def network(builtin: Path, path: Path, *, channels: int = 3) -> Path:
    """The built-in network with another number of channels."""
    whole = builtin.read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    header, start = json.loads(whole[8 : 8 + size]), 8 + size
    meta = header.pop("__metadata__")
    config = json.loads(meta["config"])
    config["img_channels"] = channels
    meta["config"] = json.dumps(config)
    tensors: dict[str, object] = {"__metadata__": meta}
    data = b""
    for name, entry in sorted(header.items()):
        raw, shape = whole[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]], entry["shape"]
        if ".torgb.weight" in name or ".torgb.bias" in name:
            rows = np.frombuffer(raw, "<f2").reshape(3, -1)
            raw = rows[[0, 1, 2, 1][:channels]].tobytes()
            shape = [channels, *shape[1:]]
        tensors[name] = {"dtype": entry["dtype"], "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(tensors).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


Still = Callable[..., np.ndarray]


@pytest.fixture
def still(tmp_path: Path) -> Still:
    """Render one frame into a file of a format and read its values back, [height, width, 4], bottom row first."""

    def run(scene: bpy.types.Scene, frame: int, form: str, depth: str, mode: str = "RGBA") -> np.ndarray:
        output = scene.render.image_settings
        if hasattr(output, "media_type"):
            output.media_type = "IMAGE"
        output.file_format, output.color_mode, output.color_depth = form, mode, depth
        scene.render.filepath = str(tmp_path / f"still_{form}_{depth}")
        scene.frame_set(frame)
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(bpy.path.abspath(scene.render.frame_path(frame=frame)).replace(f"{frame:04d}", ""))
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"  # as the file has it
        pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
        image.pixels.foreach_get(pixels)
        return pixels.reshape(image.size[1], image.size[0], 4)

    return run


@pytest.mark.parametrize("transform", ["Standard", "AgX"])
def test_exr_holds_the_linear_values_of_the_network(film: bpy.types.Scene, still: Still, transform: str) -> None:
    film.view_settings.view_transform = transform
    found = still(film, 37, "OPEN_EXR", "16")
    expected = picture_at(film, 37)
    np.testing.assert_allclose(found, expected, rtol=2**-10, atol=2**-14)  # half floats have 11 bits


def test_png_of_16_bits_has_no_bands(film: bpy.types.Scene, still: Still) -> None:
    film.render.dither_intensity = 0
    found = still(film, 37, "PNG", "16", "RGB")[..., :3]
    expected = srgb(picture_at(film, 37)[..., :3])
    assert len(np.unique(found)) > 1000, "8 bits would have 256"
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("size", [(96, 40), (40, 72), (33, 47)])
@pytest.mark.parametrize("fit", ["canvas", "crop", "contain", "stretch"])
def test_any_shape_is_filled_as_it_was_asked(
    film: bpy.types.Scene, still: Still, size: tuple[int, int], fit: str
) -> None:
    settings = settings_of(film)
    settings.size, settings.fit = size, fit
    bpy.ops.stylegan_reactive.set_up()
    found = still(film, 37, "OPEN_EXR", "32")
    assert found.shape == (size[1], size[0], 4)
    np.testing.assert_allclose(found, picture_at(film, 37), atol=1e-5)
    clear = found[..., 3] == 0
    if fit == "contain":
        width, height = size
        assert clear.mean() == pytest.approx(1 - min(size) ** 2 / (width * height), abs=0.06)
        assert not clear[height // 2, width // 2]
        assert np.all(found[clear] == 0)
    else:
        assert not clear.any()


def test_picture_follows_the_render_in_its_size_and_percentage(film: bpy.types.Scene, still: Still) -> None:
    settings_of(film).follow_render = True
    film.render.resolution_x, film.render.resolution_y, film.render.resolution_percentage = 160, 80, 50
    found = still(film, 37, "OPEN_EXR", "32")
    assert found.shape == (40, 80, 4)
    assert tuple(settings_of(film).image.size) == (80, 40)
    np.testing.assert_allclose(found, picture_at(film, 37), atol=1e-5)


def test_pixels_that_are_not_square_show_the_same_picture(film: bpy.types.Scene, still: Still) -> None:
    settings_of(film).follow_render = True
    film.render.resolution_x, film.render.resolution_y, film.render.resolution_percentage = 96, 64, 100
    square = still(film, 37, "OPEN_EXR", "32")
    film.render.resolution_x, film.render.pixel_aspect_x = 48, 2.0
    wide = still(film, 37, "OPEN_EXR", "32")
    assert wide.shape == (64, 48, 4)
    assert np.abs(wide - square.reshape(64, 48, 2, 4).mean(2)).mean() < 0.02


def test_network_with_alpha_is_seen_through(
    film: bpy.types.Scene, still: Still, builtin_generator: Path, tmp_path: Path
) -> None:
    settings_of(film).checkpoint = str(network(builtin_generator, tmp_path / "rgba.safetensors", channels=4))
    found, picture = still(film, 37, "OPEN_EXR", "32"), picture_at(film, 37)
    assert picture[..., 3].min() > 0.05 or np.ptp(picture[..., 3]) > 0.2, "an alpha that says something"
    np.testing.assert_allclose(found, picture, atol=1e-5)
    # Over a grey that shines, light adds up as it does in glass: colour times alpha, and what alpha leaves of the grey.
    film.render.engine = "CYCLES"
    film.cycles.samples, film.cycles.use_denoising = 1, False
    film.world = bpy.data.worlds.new("Grey")
    film.world.use_nodes = True
    shine = next(node for node in film.world.node_tree.nodes if node.bl_idname == "ShaderNodeBackground")
    shine.inputs["Color"].default_value = (0.25, 0.25, 0.25, 1)
    film.collection.objects.link(camera := bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera")))
    film.camera = camera
    bpy.ops.stylegan_reactive.place(where="OVER", opacity=1.0)
    over = still(film, 37, "OPEN_EXR", "32")[..., :3]
    np.testing.assert_allclose(over, picture[..., :3] + 0.25 * (1 - picture[..., 3:]), atol=1e-4)


def test_network_with_alpha_shines_on_a_screen_where_it_is_opaque(
    film: bpy.types.Scene, still: Still, builtin_generator: Path, tmp_path: Path
) -> None:
    settings_of(film).checkpoint = str(network(builtin_generator, tmp_path / "rgba.safetensors", channels=4))
    bpy.ops.stylegan_reactive.unplace()
    bpy.ops.stylegan_reactive.place(where="SCREEN")
    film.render.engine = "CYCLES"
    film.cycles.samples, film.cycles.use_denoising = 1, False
    film.cycles.pixel_filter_type, film.cycles.filter_width = "BOX", 0.01
    film.collection.objects.link(camera := bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera")))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 2.0
    camera.location, camera.rotation_euler = (0, -5, 0), (np.pi / 2, 0, 0)
    film.camera = camera
    found, picture = still(film, 37, "OPEN_EXR", "32")[..., :3], picture_at(film, 37)
    np.testing.assert_allclose(found, picture[..., :3], atol=5e-3)


def test_grey_network_is_grey(film: bpy.types.Scene, still: Still, builtin_generator: Path, tmp_path: Path) -> None:
    settings_of(film).checkpoint = str(network(builtin_generator, tmp_path / "grey.safetensors", channels=1))
    found = still(film, 37, "OPEN_EXR", "32")
    assert np.ptp(found[..., 0]) > 0.05
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    assert np.all(found[..., 3] == 1)
