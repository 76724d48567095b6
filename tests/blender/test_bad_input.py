# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: a message that an artist can act on, in the panel, and nothing in the file is changed."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.curves import SceneCurves, property_path
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.session import session

RATE = 22050


def refused(operator: Callable, scene: bpy.types.Scene, notice: Callable, dump: Callable, words: str) -> None:
    """Run an operator that must fail: the words stand in the panel, and the file is as it was."""
    before = dump()
    with pytest.raises(RuntimeError):
        operator()
    assert all(word in notice(scene) for word in words.split()), notice(scene)
    assert "Traceback" not in notice(scene)
    assert session.notice(scene).is_error
    assert dump() == before


def bad_songs(folder: Path, good: Path) -> dict[str, Path]:
    """Songs that cannot be used, by what is wrong with them."""
    (folder / "empty.wav").write_bytes(b"")
    (folder / "cut_short.wav").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "letter.wav").write_text("Dear all,\nthis is not a song.\n" * 100)
    return {kind: folder / f"{kind}.wav" for kind in ("missing", "empty", "cut_short", "letter")}


@pytest.mark.parametrize("kind", ["missing", "empty", "cut_short", "letter"])
@pytest.mark.parametrize("step", ["set_up", "bake"])
def test_song_that_cannot_be_used(
    scene: bpy.types.Scene, beat: Path, tmp_path: Path, kind: str, step: str, notice: Callable, dump: Callable
) -> None:
    settings = settings_of(scene)
    if step == "bake":
        settings.song = str(beat)
        bpy.ops.stylegan_reactive.set_up()
        bpy.ops.stylegan_reactive.bake()
    settings.song = str(bad_songs(tmp_path, beat)[kind])
    refused(getattr(bpy.ops.stylegan_reactive, step), scene, notice, dump, f"{kind}.wav")


@pytest.mark.parametrize("step", ["set_up", "bake", "make_film"])
def test_scene_with_no_song(scene: bpy.types.Scene, step: str, notice: Callable, dump: Callable) -> None:
    refused(getattr(bpy.ops.stylegan_reactive, step), scene, notice, dump, "no song yet Choose")


def test_render_before_the_set_up_says_what_comes_first(
    scene: bpy.types.Scene, notice: Callable, dump: Callable
) -> None:
    refused(bpy.ops.stylegan_reactive.render, scene, notice, dump, "Set Up Scene")


def test_render_before_the_bake_says_what_comes_first(
    scene: bpy.types.Scene, beat: Path, notice: Callable, dump: Callable
) -> None:
    settings_of(scene).song = str(beat)
    bpy.ops.stylegan_reactive.set_up()
    refused(bpy.ops.stylegan_reactive.render, scene, notice, dump, "not baked Bake")


def test_low_mono_song_works(scene: bpy.types.Scene, tmp_path: Path) -> None:
    import wave

    time = np.arange(8000 * 3) / 8000
    tone = 0.5 * np.sin(2 * np.pi * 220 * time) * np.exp(-(time % 0.5) * 8)
    with wave.open(str(tmp_path / "low.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((tone * 32767).astype("<i2").tobytes())
    settings_of(scene).song = str(tmp_path / "low.wav")
    assert bpy.ops.stylegan_reactive.set_up() == {"FINISHED"}
    assert bpy.ops.stylegan_reactive.bake() == {"FINISHED"}
    assert (scene.frame_start, scene.frame_end) == (1, 90)
    onset = SceneCurves(scene).curves[property_path("audio_onset")]
    assert max(onset.evaluate(frame) for frame in range(1, 91)) > 0.5


def test_silent_song_gives_quiet_curves_and_a_picture(scene: bpy.types.Scene, tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "silent.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * RATE * 2))
    settings_of(scene).song = str(tmp_path / "silent.wav")
    bpy.ops.stylegan_reactive.set_up()
    bpy.ops.stylegan_reactive.bake()
    for name in ("audio_onset", "audio_kick", "audio_snare", "audio_hats"):
        curve = SceneCurves(scene).curves[property_path(name)]
        assert max(curve.evaluate(frame) for frame in range(1, 61)) == 0.0
    assert bpy.ops.stylegan_reactive.show_frame() == {"FINISHED"}


@pytest.mark.parametrize("kind", ["missing", "cut_short", "letter", "another"])
def test_network_that_cannot_be_used(
    scene: bpy.types.Scene,
    beat: Path,
    builtin_generator: Path,
    tmp_path: Path,
    kind: str,
    notice: Callable,
    dump: Callable,
) -> None:
    network = tmp_path / f"{kind}.safetensors"
    whole = builtin_generator.read_bytes()
    if kind == "cut_short":
        network.write_bytes(whole[: len(whole) // 2])
    elif kind == "letter":
        network.write_text("this is not a network " * 50)
    elif kind == "another":
        assert whole.count(b"stylegan2") >= 1
        network.write_bytes(whole.replace(b"stylegan2", b"stylegan9"))
    settings = settings_of(scene)
    settings.song, settings.checkpoint = str(beat), str(network)
    refused(bpy.ops.stylegan_reactive.set_up, scene, notice, dump, f"{kind}.safetensors")


def test_engine_python_without_torch(
    scene: bpy.types.Scene,
    beat: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    notice: Callable,
    dump: Callable,
) -> None:
    import subprocess

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = next(
        path for path in (tmp_path / "bare/bin/python", tmp_path / "bare/Scripts/python.exe") if path.exists()
    )
    settings_of(scene).song = str(beat)
    monkeypatch.setenv("STYLEGAN_REACTIVE_PYTHON", str(python))
    refused(bpy.ops.stylegan_reactive.set_up, scene, notice, dump, "torch preferences")
    monkeypatch.setenv("STYLEGAN_REACTIVE_PYTHON", str(tmp_path / "nobody"))
    refused(bpy.ops.stylegan_reactive.set_up, scene, notice, dump, "nobody preferences")


def test_song_that_vanishes_after_the_set_up_keeps_the_old_curves(
    scene: bpy.types.Scene, beat: Path, tmp_path: Path, notice: Callable, dump: Callable
) -> None:
    song = Path(shutil.copy(beat, tmp_path / "mine.wav"))
    settings_of(scene).song = str(song)
    bpy.ops.stylegan_reactive.set_up()
    bpy.ops.stylegan_reactive.bake()
    song.unlink()
    refused(bpy.ops.stylegan_reactive.bake, scene, notice, dump, "mine.wav")
    scene.render.filepath = str(tmp_path / "film.mp4")
    refused(bpy.ops.stylegan_reactive.render, scene, notice, dump, "mine.wav")  # no film without its sound
    assert not (tmp_path / "film.mp4").exists()


def test_seeds_that_are_no_numbers_are_refused_and_change_nothing(film: bpy.types.Scene, notice: Callable) -> None:
    source = settings_of(film).latent_layers[0].source
    before = source.seeds
    source.seeds = "1-12, os.system('x')"
    assert source.seeds == before
    assert "os.system" in notice(film)
    assert "1-12,24" in notice(film)


def test_layer_without_a_file_is_named(film: bpy.types.Scene, notice: Callable) -> None:
    layer = settings_of(film).latent_layers[1]
    layer.source.kind, layer.source.direction = "direction", "file"
    with pytest.raises(RuntimeError, match="file"):
        bpy.ops.stylegan_reactive.show_frame()
    assert layer.name in notice(film)


def test_frame_that_fails_is_striped_and_reported_never_the_one_before(
    film: bpy.types.Scene, render: Callable, notice: Callable, capfd: pytest.CaptureFixture[str]
) -> None:
    good = render(film, 20)[20]
    layer = settings_of(film).latent_layers[-1]
    kept, layer.influence.envelope = layer.influence.envelope, "audio_cowbell"
    card = render(film, 21)[21]
    assert np.any(card != good)
    magenta = (card[..., 0] > 200) & (card[..., 1] < 50) & (card[..., 2] > 200)
    assert 0.3 < magenta.mean() < 0.7
    assert "Frame 21" in notice(film)
    assert "audio_cowbell" in notice(film)
    assert "audio_cowbell" in capfd.readouterr().err
    layer.influence.envelope = kept
    np.testing.assert_array_equal(render(film, 20)[20], good)


def test_two_envelopes_never_get_one_name(film: bpy.types.Scene) -> None:
    envelopes = settings_of(film).envelopes
    envelopes[1].name = envelopes[0].name
    assert envelopes[1].name != envelopes[0].name
    assert envelopes[1].name in film  # its curve has come along
    assert bpy.ops.stylegan_reactive.bake() == {"FINISHED"}


def test_envelope_name_that_is_too_long_is_cut_and_keeps_its_curve(film: bpy.types.Scene) -> None:
    envelope = settings_of(film).envelopes[3]
    envelope.name = "audio_" + "x" * 60
    assert envelope.name.startswith("audio_xxx")
    assert envelope.name in film
    assert bpy.ops.stylegan_reactive.bake() == {"FINISHED"}


def test_added_envelopes_have_names_of_their_own(film: bpy.types.Scene) -> None:
    for _ in range(2):
        bpy.ops.stylegan_reactive.list_edit(collection="envelopes", action="ADD")
    names = [envelope.name for envelope in settings_of(film).envelopes]
    assert len(set(names)) == len(names)
    assert bpy.ops.stylegan_reactive.bake() == {"FINISHED"}


def test_film_that_cannot_be_written_is_an_error_and_harms_no_later_render(
    scene: bpy.types.Scene, knock: Path, tmp_path: Path, notice: Callable, render: Callable
) -> None:
    (tmp_path / "file").write_text("in the way")
    scene.render.filepath = str(tmp_path / "file" / "film.mp4")
    settings_of(scene).song = str(knock)
    with pytest.raises(RuntimeError):
        bpy.ops.stylegan_reactive.make_film()
    assert "film.mp4" in notice(scene)
    scene.driver_add(property_path("audio_kick")).driver.expression = "0.5"
    session.tell(scene, None)
    render(scene, 5)
    assert notice(scene) == ""


def test_picture_size_that_was_changed_after_the_set_up_is_noticed(
    film: bpy.types.Scene, render: Callable, notice: Callable
) -> None:
    settings_of(film).size = (48, 80)
    render(film, 5)
    assert "Set Up Scene again" in notice(film)
    bpy.ops.stylegan_reactive.set_up()
    render(film, 5)
    assert notice(film) == ""
