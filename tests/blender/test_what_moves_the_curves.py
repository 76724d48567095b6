# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever Blender can let a property do, the picture follows it or says that it cannot; never another picture."""

from collections.abc import Callable

import bpy
import pytest

from stylegan_reactive.blender.curves import CurveError, SceneCurves, property_path
from stylegan_reactive.blender.picture import picture_at, request_at, source_of

KICK = property_path("audio_kick")


def as_blender_gives(scene: bpy.types.Scene, frame: int) -> float:
    """What Blender itself makes of the kick at a frame."""
    scene.frame_set(frame)
    return float(scene["audio_kick"])


def as_the_picture_gets(scene: bpy.types.Scene, frame: int) -> float:
    """What the engine is told of the kick at a frame."""
    return request_at(source_of(scene), frame).values["audio_kick"]


def strip_of(scene: bpy.types.Scene, *, mute: bool = False) -> bpy.types.NlaTrack:
    """Put the scene's action into a strip as well."""
    track = scene.animation_data.nla_tracks.new()
    track.strips.new("Strip", 1, scene.animation_data.action)
    track.mute = mute
    return track


Change = Callable[[bpy.types.Scene], object]


def mute_curve(scene: bpy.types.Scene) -> None:
    SceneCurves(scene).curves[KICK].mute = True
    scene["audio_kick"] = 0.375


def mute_group(scene: bpy.types.Scene) -> None:
    SceneCurves(scene).curves[KICK].group.mute = True
    scene["audio_kick"] = 0.375


def halve_by_modifier(scene: bpy.types.Scene) -> None:
    limits = SceneCurves(scene).curves[KICK].modifiers.new("LIMITS")
    limits.use_max_y, limits.max_y = True, 0.5


def restrict_modifier(scene: bpy.types.Scene) -> None:
    halve_by_modifier(scene)
    modifier = SceneCurves(scene).curves[KICK].modifiers[0]
    modifier.use_restricted_range, modifier.frame_start, modifier.frame_end = True, 10, 40


def turn_strips_off(scene: bpy.types.Scene) -> None:
    strip_of(scene)
    scene.animation_data.use_nla = False
    scene.animation_data.action_influence = 0.5


def mute_tracks(scene: bpy.types.Scene) -> None:
    strip_of(scene, mute=True)
    scene.animation_data.action_influence = 0.5


def choose_another_slot(scene: bpy.types.Scene) -> None:
    action = scene.animation_data.action
    scene.animation_data.action_slot = action.slots.new(id_type="SCENE", name="Other")
    scene["audio_kick"] = 0.25


def choose_no_slot(scene: bpy.types.Scene) -> None:
    scene.animation_data.action_slot = None
    scene["audio_kick"] = 0.25


def two_slots(scene: bpy.types.Scene) -> None:
    action = scene.animation_data.action
    other = action.slots.new(id_type="SCENE", name="Other")
    curve = action.layers[0].strips[0].channelbag(other, ensure=True).fcurves.new(KICK)
    curve.keyframe_points.insert(1, 0.9)


def drive_by_average(scene: bpy.types.Scene) -> None:
    scene["mine"] = 0.625
    driver = scene.driver_add(KICK).driver
    driver.type = "AVERAGE"
    variable = driver.variables.new()
    variable.targets[0].id_type, variable.targets[0].id = "SCENE", scene
    variable.targets[0].data_path = '["mine"]'


def drive_by_frame(scene: bpy.types.Scene) -> None:
    scene.driver_add(KICK).driver.expression = "frame / 100"


def drive_but_mute_it(scene: bpy.types.Scene) -> None:
    drive_by_frame(scene)
    scene.animation_data.drivers[0].mute = True


def drive_wrongly(scene: bpy.types.Scene) -> None:
    scene.driver_add(KICK).driver.expression = "no such thing ("


@pytest.mark.parametrize(
    "change",
    [
        mute_curve,
        mute_group,
        halve_by_modifier,
        restrict_modifier,
        turn_strips_off,
        mute_tracks,
        choose_another_slot,
        choose_no_slot,
        two_slots,
        drive_by_average,
        drive_by_frame,
        drive_but_mute_it,
    ],
)
def test_picture_gets_what_blender_gives(film: bpy.types.Scene, change: Change) -> None:
    change(film)
    for frame in (16, 47, 61):
        given = as_blender_gives(film, frame)
        assert as_the_picture_gets(film, frame) == pytest.approx(given, abs=1e-5), frame


def play_strips(scene: bpy.types.Scene) -> None:
    strip_of(scene)


def mute_strip_only(scene: bpy.types.Scene) -> None:
    strip_of(scene).strips[0].mute = True
    scene.animation_data.action_influence = 0.5


def solo_empty_track(scene: bpy.types.Scene) -> None:
    scene.animation_data.nla_tracks.new().is_solo = True


def tweak(scene: bpy.types.Scene) -> None:
    data = scene.animation_data
    track = strip_of(scene)
    data.action = None
    track.select = track.strips[0].select = True
    data.nla_tracks.active = track
    data.use_tweak_mode = True
    assert data.use_tweak_mode


def drive_by_object(scene: bpy.types.Scene, path: str = "location.x") -> bpy.types.Object:
    cube = bpy.data.objects.new("Cube", None)
    scene.collection.objects.link(cube)
    variable = scene.driver_add(KICK).driver.variables.new()
    variable.targets[0].id, variable.targets[0].data_path = cube, path
    scene.animation_data.drivers[0].driver.expression = variable.name
    return cube


def drive_through_the_scene(scene: bpy.types.Scene) -> None:
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Lens"))
    scene.collection.objects.link(scene.camera)
    driver = scene.driver_add(KICK).driver
    variable = driver.variables.new()
    variable.targets[0].id_type, variable.targets[0].id = "SCENE", scene
    variable.targets[0].data_path = "camera.location.x"
    driver.expression = variable.name


def drive_over_another_driver(scene: bpy.types.Scene) -> None:
    scene["mine"] = 0.0
    drive_by_object(scene)
    scene.animation_data.drivers[0].data_path = '["mine"]'
    driver = scene.driver_add(KICK).driver
    variable = driver.variables.new()
    variable.targets[0].id_type, variable.targets[0].id = "SCENE", scene
    variable.targets[0].data_path = '["mine"]'
    driver.expression = variable.name


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (play_strips, "NLA"),
        (mute_strip_only, "NLA"),
        (solo_empty_track, "solo"),
        (tweak, "Tweak"),
        (drive_wrongly, "error"),
        (drive_by_object, "Cube"),
        (drive_through_the_scene, "Camera"),
        (drive_over_another_driver, "Cube"),
    ],
)
def test_what_the_picture_cannot_follow_is_refused_by_name(film: bpy.types.Scene, change: Change, named: str) -> None:
    change(film)
    film.frame_set(5)
    with pytest.raises(CurveError, match=named):
        as_the_picture_gets(film, 16)


@pytest.mark.parametrize("change", [drive_by_average, drive_by_frame])
def test_driver_inside_a_scene_strip_is_refused(film: bpy.types.Scene, change: Change) -> None:
    change(film)
    with pytest.raises(CurveError, match="scene strip"):
        picture_at(film, 5, up_to_date=False)


def test_nothing_is_looked_ahead_for_where_a_driver_gives_a_value(
    film: bpy.types.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stylegan_reactive.blender import picture

    asked: list[int] = []

    class Engine:
        """Counts what is asked for ahead."""

        def picture(self, _request: object, upcoming: list[object]) -> None:
            """Called in place of the engine's."""
            asked.append(len(upcoming))

    monkeypatch.setattr(type(picture.session), "engine", lambda _self: Engine())
    picture_at(film, 5, ahead=2)
    drive_by_frame(film)
    picture_at(film, 5, ahead=2)
    assert asked == [2, 0]


def test_curve_whose_property_is_gone_is_missed_not_taken_for_silence(film: bpy.types.Scene) -> None:
    from stylegan_reactive.errors import PatchError

    del film["audio_kick"]
    film.frame_set(5)
    with pytest.raises(PatchError, match="audio_kick"):
        as_the_picture_gets(film, 16)
