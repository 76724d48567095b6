# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist has after something broke: frames that are whole or absent, films that go on, and a word about it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.curves import SceneCurves
from stylegan_reactive.blender.patch_operators import write_patch
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.render_watch import watch
from stylegan_reactive.blender.resume import unfinished_frames
from stylegan_reactive.blender.session import session
from stylegan_reactive.blender.written import is_whole
from stylegan_reactive.errors import PatchError

FRAMES = range(1, 11)
KILLED_AT = 6

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits are of POSIX")

MAKE = """
import sys
import bpy, stylegan_reactive
from stylegan_reactive.blender.properties import settings_of
folder, song, how = sys.argv[1:4]
stylegan_reactive.register()
if how == "begin":
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    settings_of(scene).size, settings_of(scene).song = (64, 64), song
    bpy.ops.stylegan_reactive.set_up()
    bpy.ops.stylegan_reactive.bake()
    if hasattr(scene.render.image_settings, "media_type"):
        scene.render.image_settings.media_type = "IMAGE"
    scene.render.image_settings.file_format = "PNG"
    for name in dir(scene.render):
        if name.startswith("use_stamp_"):
            setattr(scene.render, name, False)
    scene.frame_start, scene.frame_end = 1, 10
    scene.render.filepath = folder + "/whole/"
    bpy.ops.render.render(animation=True)
    scene.render.filepath = folder + "/film/"
    bpy.ops.wm.save_as_mainfile(filepath=folder + "/film.blend")
    bpy.app.handlers.render_write.append(lambda scene, _=None: print("WRITTEN", scene.frame_current, flush=True))
    print("BEGIN", flush=True)
    bpy.ops.render.render(animation=True)
else:
    bpy.ops.wm.open_mainfile(filepath=folder + "/film.blend")
    print("RESUMED", bpy.ops.stylegan_reactive.resume(), bpy.context.scene.render.use_overwrite, flush=True)
"""


@posix
def test_render_of_a_blender_that_was_killed_goes_on_where_it_was(
    beat: Path, tmp_path: Path, blender_in: Callable, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No frame is lost, and none that was whole is made twice."""
    (script := tmp_path / "make.py").write_text(MAKE)
    monkeypatch.setenv("STYLEGAN_REACTIVE_TRUST", str(tmp_path))
    environment = {
        **os.environ,
        "PYTHONPATH": str(repository),
        "BLENDER_USER_RESOURCES": str(tmp_path / "user"),
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), str(beat), "begin"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith(f"WRITTEN {KILLED_AT}"):
                child.kill()
                break
        child.wait(60)
    film, whole = tmp_path / "film", tmp_path / "whole"
    assert len(list(whole.glob("*.png"))) == len(FRAMES)
    data = (film / "0003.png").read_bytes()
    (film / "0003.png").write_bytes(data[: len(data) // 2])  # as if it had been written when Blender ended
    (film / "0005.png").write_bytes(b"")  # a placeholder
    before = {path.name: path.stat().st_mtime_ns for path in film.glob("*.png") if is_whole(path)}
    assert len(before) >= KILLED_AT - 2
    told = blender_in(tmp_path)(script, tmp_path, beat, "resume")
    assert "RESUMED {'FINISHED'} True" in told
    for frame in FRAMES:
        assert (film / f"{frame:04}.png").read_bytes() == (whole / f"{frame:04}.png").read_bytes()
    for name, written in before.items():
        assert (film / name).stat().st_mtime_ns == written


@contextlib.contextmanager
def small_files(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond some bytes: writing fails in its middle, as on a full disk.

    Only around what is tried: where the output of the tests goes to a file, that may not grow either.
    """
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def as_frames(scene: bpy.types.Scene, folder: Path, last: int) -> None:
    """Let a scene write a few single frames."""
    if hasattr(scene.render.image_settings, "media_type"):
        scene.render.image_settings.media_type = "IMAGE"
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = f"{folder}/"
    scene.frame_start, scene.frame_end = 1, last


@posix
def test_full_disk_leaves_no_part_of_a_frame_and_the_film_is_resumed_when_there_is_room(
    film: bpy.types.Scene, tmp_path: Path, notice: Callable
) -> None:
    as_frames(film, tmp_path / "film", 3)
    with small_files(1000), pytest.raises(RuntimeError, match="could not be written"):
        bpy.ops.stylegan_reactive.render()
    assert "disk" in notice(film)
    assert "3 frames, the first is 1," in notice(film)
    assert "Resume Film" in notice(film)
    assert not list((tmp_path / "film").glob("*.png"))
    assert bpy.ops.stylegan_reactive.resume() == {"FINISHED"}
    assert unfinished_frames(film) == []
    assert notice(film) == ""
    assert bpy.ops.stylegan_reactive.resume() == {"FINISHED"}
    assert "Every frame is there" in notice(film)


def test_resumed_film_never_mixes_two_versions_of_itself(
    film: bpy.types.Scene, tmp_path: Path, notice: Callable
) -> None:
    """Neither frames of an earlier version are kept, nor is one version gone on with by another."""
    as_frames(film, tmp_path, 4)
    assert bpy.ops.stylegan_reactive.render() == {"FINISHED"}
    first = {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}
    (tmp_path / "0002.png").unlink()
    settings_of(film).truncation.amount = 0.2  # another film
    with pytest.raises(RuntimeError, match="made from something else"):
        bpy.ops.stylegan_reactive.resume()
    assert {path.name for path in tmp_path.glob("*.png")} == {"0001.png", "0003.png", "0004.png"}, "nothing is lost"

    film.frame_end = 2  # its render breaks off after two frames
    assert bpy.ops.stylegan_reactive.render() == {"FINISHED"}
    film.frame_end = 4
    assert unfinished_frames(film) == [3, 4]
    assert bpy.ops.stylegan_reactive.resume() == {"FINISHED"}
    for name, data in first.items():
        assert (tmp_path / name).read_bytes() != data

    curve = SceneCurves(film).curves['["audio_onset"]']
    curve.keyframe_points[-1].co.y += 0.5
    (tmp_path / "0002.png").unlink()
    with pytest.raises(RuntimeError, match="made from something else"):
        bpy.ops.stylegan_reactive.resume()


@posix
def test_full_disk_leaves_no_film_that_cannot_be_played(
    film: bpy.types.Scene, tmp_path: Path, notice: Callable
) -> None:
    film.render.filepath = str(tmp_path / "film.mp4")
    film.frame_start, film.frame_end = 1, 6
    with small_files(2000), pytest.raises(RuntimeError, match="could not be written to its end"):
        bpy.ops.stylegan_reactive.render()
    assert "disk" in notice(film)
    assert not (tmp_path / "film.mp4").exists()
    assert bpy.ops.stylegan_reactive.render() == {"FINISHED"}
    assert is_whole(tmp_path / "film.mp4")
    assert "The film is in" in notice(film)


def test_clock_that_was_set_back_does_not_make_a_film_look_old(
    film: bpy.types.Scene, tmp_path: Path, notice: Callable
) -> None:
    film.render.filepath = str(tmp_path / "film.mp4")
    film.frame_start, film.frame_end = 1, 2
    (tmp_path / "film.mp4").write_bytes(b"an earlier film")
    tomorrow = time.time() + 86400
    os.utime(tmp_path / "film.mp4", (tomorrow, tomorrow))
    assert bpy.ops.stylegan_reactive.render() == {"FINISHED"}
    assert "The film is in" in notice(film)


CHECKED = ("PNG", "JPEG", "OPEN_EXR", "TIFF", "WEBP", "BMP")
BELIEVED = ("OPEN_EXR_MULTILAYER", "TARGA", "TARGA_RAW", "HDR", "DPX", "CINEON", "IRIS", "JPEG2000")  # unless empty


@pytest.mark.parametrize("kind", [*CHECKED, *BELIEVED])
def test_frame_that_was_cut_off_is_known_in_every_format(scene: bpy.types.Scene, tmp_path: Path, kind: str) -> None:
    as_frames(scene, tmp_path, 1)
    with contextlib.suppress(TypeError):
        if kind == "OPEN_EXR_MULTILAYER" and hasattr(scene.render.image_settings, "media_type"):
            scene.render.image_settings.media_type = "MULTI_LAYER_IMAGE"
    scene.render.image_settings.file_format = kind
    scene.render.resolution_x = scene.render.resolution_y = 64
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.collection.objects.link(camera := bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera")))
    scene.camera = camera
    bpy.ops.render.render(animation=True)
    (written,) = tmp_path.iterdir()
    assert is_whole(written)
    data = written.read_bytes()
    if kind in CHECKED:
        written.write_bytes(data[: len(data) // 2])
        assert not is_whole(written)
    written.write_bytes(b"")
    assert not is_whole(written)


def test_frame_with_stripes_is_made_again_when_the_film_is_resumed(film: bpy.types.Scene, tmp_path: Path) -> None:
    as_frames(film, tmp_path / "film", 3)
    layer = settings_of(film).latent_layers[-1]
    good, layer.influence.envelope = layer.influence.envelope, "audio_cowbell"
    bpy.ops.render.render(animation=True)
    assert watch.striped[film.session_uid] == {1, 2, 3}
    layer.influence.envelope = good
    assert bpy.ops.stylegan_reactive.resume() == {"FINISHED"}
    from PIL import Image

    for path in sorted((tmp_path / "film").glob("*.png")):
        pixels = np.asarray(Image.open(path))[..., :3].astype(int)
        assert ((pixels[..., 0] > 200) & (pixels[..., 1] < 50) & (pixels[..., 2] > 200)).mean() < 0.2
    assert unfinished_frames(film) == []


@posix
def test_patch_is_whole_or_as_it_was_when_the_disk_is_full(film: bpy.types.Scene, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("as it was")
    with small_files(100), pytest.raises(PatchError, match=r"mine\.json cannot be written"):
        write_patch(film, str(path))
    assert path.read_text() == "as it was"
    assert [each.name for each in tmp_path.iterdir()] == ["mine.json"]


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_patch_that_is_read_only_is_not_replaced(film: bpy.types.Scene, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("as it was")
    path.chmod(0o444)
    with pytest.raises(PatchError, match="read-only"):
        write_patch(film, str(path))
    assert path.read_text() == "as it was"


def test_project_renders_the_same_from_another_place_read_only(
    film: bpy.types.Scene,
    render: Callable,
    builtin_generator: Path,
    beat: Path,
    tmp_path: Path,
    notice: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on another machine: the folder has another path, and nothing in it may be changed."""
    monkeypatch.setenv("STYLEGAN_REACTIVE_TRUST", str(tmp_path))
    home, away = tmp_path / "home", tmp_path / "another machine" / "project"
    home.mkdir()
    shutil.copy(builtin_generator, home / "mine.safetensors")
    shutil.copy(beat, home / "song.wav")
    bpy.ops.wm.save_as_mainfile(filepath=str(home / "film.blend"))
    settings_of(film).checkpoint, settings_of(film).song = "//mine.safetensors", "//song.wav"
    expected = render(film, 36, 37)
    bpy.ops.wm.save_mainfile()
    away.parent.mkdir()
    home.rename(away)
    (away / "film.blend").rename(away / "renamed.blend")
    before = {path.name: path.read_bytes() for path in away.iterdir()}
    for path in (*away.iterdir(), away):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        bpy.ops.wm.open_mainfile(filepath=str(away / "renamed.blend"))
        scene = bpy.context.scene
        for frame, pixels in render(scene, 36, 37).items():
            np.testing.assert_array_equal(pixels, expected[frame])
        assert notice(scene) == ""
        settings_of(scene).checkpoint = "/nowhere/on this machine.safetensors"
        render(scene, 36)
        assert "on this machine.safetensors" in notice(scene)
    finally:
        away.chmod(0o755)
    assert {path.name: path.read_bytes() for path in away.iterdir()} == before


@posix
def test_engine_that_was_started_again_in_a_render_is_told_of(
    film: bpy.types.Scene, tmp_path: Path, notice: Callable
) -> None:
    as_frames(film, tmp_path / "film", 4)

    def kill(scene: bpy.types.Scene, _: object = None) -> None:
        if scene.frame_current == 2:
            pid = session.engine().pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

    bpy.app.handlers.render_write.append(kill)
    try:
        assert bpy.ops.stylegan_reactive.render() == {"FINISHED"}
    finally:
        bpy.app.handlers.render_write.remove(kill)
    assert "nothing was lost" in notice(film)
    assert not session.notice(film).is_error
