# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture while the artist listens: the right one, when it is ready, and never one that is out of date."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.picture import picture_at
from stylegan_reactive.blender.picture_cache import PictureCache, enlarge
from stylegan_reactive.blender.preview import Preview, frames_after
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.session import session


@pytest.fixture
def preview(film: bpy.types.Scene) -> Iterator[Preview]:
    """A preview with nothing in it, and a film to look at."""
    made = Preview()
    yield made
    made.forget()


def settle(preview: Preview, scene: bpy.types.Scene) -> None:
    """Let the preview work until it has no more to do, as Blender's timers do in the window."""
    preview.poke(scene)
    end = time.monotonic() + 60
    while preview.tick() is not None:
        assert time.monotonic() < end
        time.sleep(0.005)


def shown(scene: bpy.types.Scene) -> np.ndarray:
    """The pixels in the scene's image, float32 [height, width, 4]."""
    image = settings_of(scene).image
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(image.size[1], image.size[0], 4)


def test_still_playhead_shows_the_picture_that_will_be_rendered(film: bpy.types.Scene, preview: Preview) -> None:
    film.frame_set(37)
    settle(preview, film)
    np.testing.assert_allclose(shown(film), picture_at(film, 37), atol=2e-3)


@pytest.mark.parametrize("quality", ["QUARTER", "HALF"])
def test_small_preview_is_that_picture_with_less_detail(film: bpy.types.Scene, preview: Preview, quality: str) -> None:
    settings = settings_of(film)
    settings.preview, settings.preview_settle = quality, False
    film.frame_set(37)
    settle(preview, film)
    full = picture_at(film, 37)[..., :3]
    # Averaged over 8 x 8 pixels what is coarse is left: it must be the same picture, not another one.
    coarse = [each.reshape(8, 8, 8, 8, -1).mean((1, 3)).ravel() for each in (shown(film)[..., :3], full)]
    assert np.corrcoef(*coarse)[0, 1] > 0.9
    assert not np.array_equal(shown(film)[..., :3], full)


def test_asking_returns_before_the_picture_is_made(film: bpy.types.Scene, preview: Preview) -> None:
    film.frame_set(90)
    before = shown(film)
    preview.poke(film)
    assert preview.tick() is not None, "it has more to do and says so"
    np.testing.assert_array_equal(shown(film), before)
    settle(preview, film)
    assert np.any(shown(film) != before)


def test_an_edit_shows_at_once_what_it_changed(film: bpy.types.Scene, preview: Preview) -> None:
    film.frame_set(37)
    settle(preview, film)
    before, amount = shown(film), settings_of(film).truncation.amount
    settings_of(film).truncation.amount = 0.2
    settle(preview, film)
    after = shown(film)
    assert np.abs(after - before).max() > 0.02
    np.testing.assert_allclose(after, picture_at(film, 37), atol=2e-3)
    settings_of(film).truncation.amount = amount
    settle(preview, film)
    np.testing.assert_allclose(shown(film), before, atol=2e-3)


def test_frame_that_was_seen_is_not_made_again(
    film: bpy.types.Scene, preview: Preview, monkeypatch: pytest.MonkeyPatch
) -> None:
    for frame in (30, 60):
        film.frame_set(frame)
        settle(preview, film)
    engine = session.engine()
    monkeypatch.setattr(engine, "ask", lambda _request: pytest.fail("asked again"))
    film.frame_set(30)
    settle(preview, film)
    monkeypatch.undo()
    np.testing.assert_allclose(shown(film), picture_at(film, 30), atol=2e-3)


def test_playhead_that_moved_on_gets_its_own_picture(film: bpy.types.Scene, preview: Preview) -> None:
    for frame in range(20, 50, 3):  # scrubbing, faster than the engine
        film.frame_set(frame)
        preview.poke(film)
        preview.tick()
    settle(preview, film)
    np.testing.assert_allclose(shown(film), picture_at(film, 47), atol=2e-3)


def test_preview_that_is_off_leaves_the_image(film: bpy.types.Scene, preview: Preview) -> None:
    before = shown(film)
    settings_of(film).preview = "OFF"
    film.frame_set(90)
    settle(preview, film)
    np.testing.assert_array_equal(shown(film), before)


def test_picture_that_cannot_be_made_is_striped_and_named(
    film: bpy.types.Scene, preview: Preview, notice: Callable
) -> None:
    layer = settings_of(film).latent_layers[-1]
    kept, layer.influence.envelope = layer.influence.envelope, "audio_cowbell"
    settle(preview, film)
    stripes = shown(film)
    assert 0.3 < ((stripes[..., 0] > 0.9) & (stripes[..., 1] < 0.1)).mean() < 0.7
    assert "audio_cowbell" in notice(film)
    layer.influence.envelope = kept
    settle(preview, film)
    assert notice(film) == ""
    np.testing.assert_allclose(shown(film), picture_at(film, film.frame_current), atol=2e-3)


def test_preview_goes_on_after_another_file_was_opened(film: bpy.types.Scene, preview: Preview, tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    film.frame_set(60)
    preview.poke(film)
    preview.tick()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "film.blend"))
    assert preview.tick() is None, "what was asked for the other file is nobody's business any more"
    scene = bpy.context.scene
    scene.frame_set(60)
    settle(preview, scene)
    np.testing.assert_allclose(shown(scene), picture_at(scene, 60), atol=2e-3)


def test_render_shows_full_pictures_whatever_the_preview_shows(
    film: bpy.types.Scene, preview: Preview, render: Callable
) -> None:
    expected = render(film, 37, 38)
    settings_of(film).preview, settings_of(film).preview_settle = "QUARTER", False
    settle(preview, film)
    for frame, pixels in render(film, 37, 38).items():
        np.testing.assert_array_equal(pixels, expected[frame])


def test_cache_keeps_to_its_memory_and_what_was_used_last() -> None:
    picture = np.zeros((16, 16, 4), np.float32)
    cache = PictureCache(limit=3 * picture.size * 2)
    for number in range(3):
        cache.put(number, picture + number)
    cache.get(0)
    cache.put(3, picture)
    assert [number for number in range(4) if number in cache] == [0, 2, 3]
    assert cache.bytes <= cache.limit
    cache.limit = 1
    assert len(cache) == 1


def test_enlarged_ramp_is_a_ramp_of_the_same_ends() -> None:
    ramp = np.linspace(0, 1, 16, dtype=np.float32)[None, :, None].repeat(8, 0).repeat(4, 2)
    large = enlarge(ramp, 64, 32)
    assert large.shape == (32, 64, 4)
    assert np.all(np.diff(large[5, :, 0]) >= 0)
    assert (large.min(), large.max()) == (0, 1)
    np.testing.assert_allclose(large[:, 2:-2, 0].mean(), 0.5, atol=1e-3)


def test_frames_ahead_go_round_the_end_of_the_range(film: bpy.types.Scene) -> None:
    film.frame_start, film.frame_end = 10, 20
    assert list(frames_after(film, 18, 5)) == [18, 19, 20, 10, 11]
    film.use_preview_range, film.frame_preview_start, film.frame_preview_end = True, 12, 14
    assert list(frames_after(film, 14, 9)) == [14, 12, 13]
