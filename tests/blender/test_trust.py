# SPDX-License-Identifier: GPL-3.0-or-later
"""A .blend from a stranger starts no engine and loads no network until the artist allows it."""

import os
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender import trust as trust_module
from stylegan_reactive.blender.bake import missing_envelopes
from stylegan_reactive.blender.picture import error_card
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.session import session
from stylegan_reactive.blender.trust import ENVIRONMENT, Trust, trust
from stylegan_reactive.engine.client import Engine

Notice = Callable[[bpy.types.Scene], str]


@pytest.fixture
def stranger(scene: bpy.types.Scene, beat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a film in it, open, as if it came from somewhere else; no engine runs."""
    monkeypatch.setattr(trust, "allowed", set())
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    settings_of(scene).song = str(beat)
    assert bpy.ops.stylegan_reactive.set_up() == {"FINISHED"}
    for name in missing_envelopes(scene):
        scene[name] = 0.5  # as if baked
    path = tmp_path / "theirs" / "film.blend"
    path.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    trust.allowed.clear()
    session.close()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    return path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with the Python of each engine that starts."""
    found: list[str] = []
    real = Engine.start

    def start(self: Engine) -> None:
        found.append(self.python)
        real(self)

    monkeypatch.setattr(Engine, "start", start)
    return found


def fails(operator: Callable[[], object]) -> None:
    with pytest.raises(RuntimeError, match="not made here"):
        operator()


def test_stranger_s_file_starts_no_engine_whatever_is_pressed(
    stranger: Path, started: list[str], notice: Notice
) -> None:
    scene = bpy.context.scene
    operators = bpy.ops.stylegan_reactive
    for operator in (operators.set_up, operators.bake, operators.show_frame, operators.make_film):
        fails(operator)
    assert "film.blend" in notice(scene)
    assert ENVIRONMENT in notice(scene)  # without a window there is no button to press
    assert started == []
    assert session._engine is None


def test_stranger_s_render_shows_stripes_and_starts_no_engine(
    stranger: Path, started: list[str], notice: Notice, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    bpy.ops.render.render(scene=scene.name)
    image = settings_of(scene).image
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    assert np.array_equal(pixels, error_card(*image.size).ravel())
    assert "not made here" in notice(scene)
    assert started == []


def test_allowed_file_works_at_once_and_is_not_asked_about_again(stranger: Path, started: list[str]) -> None:
    assert bpy.ops.stylegan_reactive.allow_file() == {"FINISHED"}
    assert bpy.ops.stylegan_reactive.bake() == {"FINISHED"}
    assert started
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(stranger))
    assert bpy.ops.stylegan_reactive.show_frame() == {"FINISHED"}
    assert not bpy.ops.stylegan_reactive.allow_file.poll()


def test_allowing_a_file_does_not_allow_its_neighbour_but_its_folder_does(stranger: Path) -> None:
    neighbour = stranger.parent / "below" / "other.blend"
    neighbour.parent.mkdir()
    neighbour.write_bytes(stranger.read_bytes())
    bpy.ops.stylegan_reactive.allow_file()
    bpy.ops.wm.open_mainfile(filepath=str(neighbour))
    fails(bpy.ops.stylegan_reactive.show_frame)
    bpy.ops.wm.open_mainfile(filepath=str(stranger))
    bpy.ops.stylegan_reactive.withdraw_file(path=str(stranger))
    bpy.ops.stylegan_reactive.allow_file(whole_folder=True)
    bpy.ops.wm.open_mainfile(filepath=str(neighbour))
    assert bpy.ops.stylegan_reactive.set_up() == {"FINISHED"}


def test_saving_a_stranger_s_file_elsewhere_does_not_allow_it(stranger: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(mine))
    fails(bpy.ops.stylegan_reactive.show_frame)
    bpy.ops.wm.open_mainfile(filepath=str(mine))
    fails(bpy.ops.stylegan_reactive.show_frame)
    bpy.ops.stylegan_reactive.allow_file()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "again.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "again.blend"))
    assert bpy.ops.stylegan_reactive.set_up() == {"FINISHED"}


def test_own_files_are_never_asked_about(
    scene: bpy.types.Scene, beat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "allowed", set())
    plain = str(tmp_path / "plain.blend")
    settings_of(scene).property_unset("size")  # what the fixture of the tests has set
    bpy.ops.wm.save_as_mainfile(filepath=plain)
    trust.allowed.clear()
    bpy.ops.wm.open_mainfile(filepath=plain)  # nothing of this extension is in it
    assert trust.strangers() == []
    settings_of(bpy.context.scene).song = str(beat)
    assert trust.strangers() == []
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=plain)  # saved here, so made here
    assert trust.strangers() == []


def test_scene_linked_from_a_stranger_is_asked_about(stranger: Path, started: list[str], beat: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(stranger), link=True) as (there, here):
        here.scenes = list(there.scenes)
    assert trust.strangers() == [str(stranger)]
    settings_of(bpy.context.scene).song = str(beat)
    fails(bpy.ops.stylegan_reactive.set_up)
    assert started == []


@pytest.mark.parametrize("way", ["append", "append what needs it", "link and make local"])
def test_scene_brought_from_a_stranger_is_asked_about_when_it_is_local(
    stranger: Path, started: list[str], tmp_path: Path, way: str
) -> None:
    needs = bpy.data.objects.new("Needs It", None)
    needs["scene"], needs.use_fake_user = bpy.context.scene, True
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mine = str(tmp_path / "mine.blend")
    with bpy.data.libraries.load(str(stranger), link=way.startswith("link")) as (there, here):
        if way == "append what needs it":
            here.objects = ["Needs It"]
        else:
            here.scenes = list(there.scenes)
    theirs = next(scene for scene in bpy.data.scenes if settings_of(scene).song)
    if way.startswith("link"):
        theirs = theirs.make_local()
    assert theirs.library is None
    assert trust.strangers() == [str(stranger)]
    bpy.context.window.scene = theirs
    fails(bpy.ops.stylegan_reactive.set_up)
    bpy.ops.wm.save_as_mainfile(filepath=mine)
    bpy.ops.wm.open_mainfile(filepath=mine)
    fails(bpy.ops.stylegan_reactive.show_frame)
    assert started == []
    bpy.ops.stylegan_reactive.allow_file()
    assert trust.strangers() == []


def test_stranger_s_file_that_is_saved_over_an_own_one_is_asked_about(stranger: Path, tmp_path: Path) -> None:
    mine = str(tmp_path / "mine.blend")
    trust.allow(mine)
    bpy.ops.wm.save_as_mainfile(filepath=mine)
    bpy.ops.wm.open_mainfile(filepath=mine)
    fails(bpy.ops.stylegan_reactive.show_frame)


def test_stranger_s_song_is_not_even_decoded(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stylegan_reactive.blender import hearing

    decoded: list[str] = []
    monkeypatch.setattr(hearing, "for_engine", decoded.append)
    fails(bpy.ops.stylegan_reactive.separate_stems)
    assert decoded == []


def test_variable_allows_a_folder_where_nobody_can_be_asked(
    stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "elsewhere"))
    assert trust.strangers() == [str(stranger)]
    monkeypatch.setenv(ENVIRONMENT, os.pathsep.join([str(tmp_path / "elsewhere"), str(stranger.parent)]))
    assert trust.strangers() == []


def test_link_in_an_allowed_folder_does_not_lead_out_of_it(stranger: Path, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    link = allowed / "film.blend"
    link.symlink_to(stranger)
    trust.allow(str(allowed))
    bpy.ops.wm.open_mainfile(filepath=str(link))
    assert trust.strangers() == [str(link)]


def test_list_outlives_blender_and_a_broken_one_allows_nothing(
    scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setattr(trust_module, "own_folder", lambda _name, create=True: kept)
    file = str(tmp_path / "film.blend")
    Trust().allow(file)
    assert Trust(opened=file).strangers() == []
    Trust().withdraw(file)
    assert Trust(opened=file).strangers() == [file]
    Trust().allow(file)
    for text in ("", "[", "[]", '{"allowed": 3}', "[" * 100_000, '{"allowed": [null, 1, ""]}'):
        (kept / "files.json").write_text(text, encoding="utf-8")
        assert Trust(opened=file).strangers() == [file]
