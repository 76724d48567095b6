# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders as artists start them, and renders in which something breaks: each frame is right, or a card that says so."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.curves import ensure_channelbag
from stylegan_reactive.blender.picture import (
    on_render_cancel,
    on_render_complete,
    on_render_init,
    on_render_pre,
    picture_at,
)
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.session import session


def is_card(pixels: np.ndarray) -> bool:
    """Whether the pixels are the magenta stripes of a frame that could not be made."""
    magenta = (pixels[..., 0] > 200) & (pixels[..., 1] < 50) & (pixels[..., 2] > 200)
    return bool(0.3 < magenta.mean() < 0.7)


@pytest.fixture
def after_frame() -> Iterator[Callable[[int, Callable[[], None]], None]]:
    """Let something happen when a render has made the picture of a frame."""
    added = []

    def at(frame: int, action: Callable[[], None]) -> None:
        def handler(scene: bpy.types.Scene, _: object = None) -> None:
            if scene.frame_current == frame:
                action()

        bpy.app.handlers.render_pre.append(handler)
        added.append(handler)

    yield at
    for handler in added:
        bpy.app.handlers.render_pre.remove(handler)


def key(scene: bpy.types.Scene, path: str, keys: dict[int, float]) -> None:
    """Key a number of the scene, without anything between the keys."""
    curve = ensure_channelbag(scene).fcurves.new(path)
    for frame, value in keys.items():
        curve.keyframe_points.insert(frame, value).interpolation = "CONSTANT"


def test_sub_frame_of_a_still_is_honoured(film: bpy.types.Scene, tmp_path: Path) -> None:
    from PIL import Image

    shown = {}
    output = film.render.image_settings
    if hasattr(output, "media_type"):
        output.media_type = "IMAGE"
    output.file_format, output.color_mode = "PNG", "RGB"
    for sub in (0.0, 0.5):
        film.frame_set(37, subframe=sub)
        film.render.filepath = str(tmp_path / f"still{sub}")
        bpy.ops.render.render(write_still=True)
        path = next(tmp_path.glob(f"still{sub}*"))
        shown[sub] = np.asarray(Image.open(path)).astype(float)
    step = np.abs(picture_at(film, 37.5).copy() - picture_at(film, 37)).mean()
    assert step > 1e-4
    assert np.abs(shown[0.5] - shown[0.0]).mean() > 0.05


def test_motion_blur_shows_one_picture_of_each_frame_at_its_time(film: bpy.types.Scene, render: Callable) -> None:
    bpy.ops.stylegan_reactive.unplace()
    bpy.ops.stylegan_reactive.place(where="SCREEN")
    film.render.engine = "CYCLES"
    film.cycles.samples, film.cycles.use_denoising = 1, False
    film.cycles.pixel_filter_type, film.cycles.filter_width = "BOX", 0.01
    film.render.dither_intensity = 0
    film.collection.objects.link(camera := bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera")))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 2.0
    camera.location, camera.rotation_euler = (0, -5, 0), (np.pi / 2, 0, 0)
    for frame in (30, 45):  # along the view: it moves, and nothing is blurred by that
        camera.location.y = -frame / 9
        camera.keyframe_insert("location", frame=frame)
    film.camera = camera
    sharp = render(film, 36, 38)
    film.render.use_motion_blur = True
    for frame, pixels in render(film, 36, 38).items():
        np.testing.assert_allclose(pixels.astype(int), sharp[frame].astype(int), atol=2)


def test_frames_that_are_there_are_kept_and_the_others_are_right(
    film: bpy.types.Scene, render: Callable, tmp_path: Path
) -> None:
    from PIL import Image

    expected = render(film, 36, 39)
    folder = tmp_path / "resumed"
    folder.mkdir()
    Image.new("RGB", (64, 64), (1, 2, 3)).save(folder / "0037.png")
    film.render.filepath, film.render.use_overwrite, film.render.use_placeholder = f"{folder}/", False, True
    bpy.ops.render.render(animation=True)
    found = {int(path.stem): np.asarray(Image.open(path)) for path in folder.glob("*.png")}
    assert np.all(found.pop(37) == (1, 2, 3))
    for frame, pixels in found.items():
        np.testing.assert_array_equal(pixels, expected[frame])
    assert set(found) == {36, 38, 39}


def test_driven_number_is_that_of_its_frame_although_the_engine_looks_ahead(
    film: bpy.types.Scene, render: Callable
) -> None:
    path = "stylegan_reactive.truncation.amount"
    film.driver_add(path).driver.expression = "frame / 50"
    film.frame_step = 2
    found = render(film, 30, 36)
    film.driver_remove(path)
    film.frame_step = 1
    for frame, pixels in found.items():
        settings_of(film).truncation.amount = frame / 50
        # A property holds 32 bits and a driver more: a level of 255 may be rounded to the other side.
        np.testing.assert_allclose(render(film, frame)[frame], pixels, atol=1)


@pytest.mark.skipif(os.name != "posix", reason="ends the engine by a signal")
def test_engine_that_is_killed_in_a_render_comes_back(
    film: bpy.types.Scene, render: Callable, after_frame: Callable, notice: Callable
) -> None:
    expected = render(film, 36, 40)

    def kill() -> None:
        pid = session.engine().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    after_frame(37, kill)
    starts = session.engine().starts
    for frame, pixels in render(film, 36, 40).items():
        np.testing.assert_array_equal(pixels, expected[frame])
    assert session.engine().starts == starts + 1
    assert "could not be made" not in notice(film)


def test_engine_that_cannot_come_back_leaves_cards_and_a_message(
    film: bpy.types.Scene, render: Callable, after_frame: Callable, notice: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = render(film, 36, 39)
    after_frame(37, lambda: monkeypatch.setenv("STYLEGAN_REACTIVE_PYTHON", "/nowhere/python"))
    found = render(film, 36, 39)
    for frame in (36, 37):
        np.testing.assert_array_equal(found[frame], expected[frame])
    assert is_card(found[38])
    assert is_card(found[39])
    assert "2 frames, the first is 38," in notice(film)
    assert "preferences" in notice(film)


def test_network_that_is_deleted_in_a_render_is_shown_to_its_end_and_no_longer(
    film: bpy.types.Scene,
    render: Callable,
    after_frame: Callable,
    notice: Callable,
    builtin_generator: Path,
    tmp_path: Path,
) -> None:
    network = Path(shutil.copy(builtin_generator, tmp_path / "mine.safetensors"))
    settings_of(film).checkpoint = str(network)
    expected = render(film, 36, 39)
    after_frame(37, network.unlink)
    for frame, pixels in render(film, 36, 39).items():
        np.testing.assert_array_equal(pixels, expected[frame])
    assert "mine.safetensors was replaced or taken away" in notice(film)
    on_render_init(film)  # another render
    on_render_pre(film)
    on_render_complete(film)
    assert "no generator file" in notice(film)


def test_key_out_of_range_spoils_its_own_frame_alone(film: bpy.types.Scene, render: Callable, notice: Callable) -> None:
    expected = render(film, 36, 38)
    path = "stylegan_reactive.noise_layers[0].amplitude.amount"
    usual = settings_of(film).noise_layers[0].amplitude.amount
    key(film, path, {1: usual, 37: 1e30, 38: usual})
    found = render(film, 36, 38)
    assert is_card(found[37])
    for frame in (36, 38):
        np.testing.assert_array_equal(found[frame], expected[frame])
    assert notice(film).startswith("Frame 37 could not be made")


def test_stopped_render_says_where(film: bpy.types.Scene, notice: Callable) -> None:
    film.frame_set(33)
    on_render_init(film)
    on_render_pre(film)
    film.frame_set(1)  # in the window Blender goes back to where the artist was before it tells
    session.tell(film, None)
    on_render_cancel(film)
    assert "stopped at frame 33" in notice(film)


def test_any_range_gives_the_same_frames(film: bpy.types.Scene, render: Callable) -> None:
    assert np.any(render(film, 0)[0] != render(film, 100)[100])  # before the song, too
    np.testing.assert_array_equal(render(film, 236, 244)[244], render(film, 244)[244])  # beyond the song's end


def test_nothing_is_left_after_unregistering(run_blender: Callable) -> None:
    printed = run_blender(
        """
        import bpy, threading, stylegan_reactive
        def state():
            handlers = {name: len(getattr(bpy.app.handlers, name)) for name in dir(bpy.app.handlers)
                        if isinstance(getattr(bpy.app.handlers, name), list)}
            data = [len(each) for each in (bpy.data.images, bpy.data.node_groups, bpy.data.materials)]
            return handlers, data, threading.active_count(), hasattr(bpy.types.Scene, "stylegan_reactive")
        start = state()
        for _ in range(2):
            stylegan_reactive.register()
            assert state() != start
            stylegan_reactive.unregister()
            assert state() == start, (state(), start)
        print("CLEAN")
        """
    )
    assert "CLEAN" in printed
