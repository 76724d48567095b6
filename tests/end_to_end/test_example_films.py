# SPDX-License-Identifier: GPL-3.0-or-later
"""The example films, as `make films` makes them, only smaller: their files open again, and they react to the song."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

FILMS = ("compositor", "stage", "sequencer")

# Builds a film's file, opens it again, and renders the frame of a kick: as it is, and with all that follows the kick
# held as it was a frame before.
PROBE = """
import importlib, json, os, sys
from pathlib import Path

repository, name, out = sys.argv[1:]
os.environ["STYLEGAN_REACTIVE_TRUST"] = out
sys.path[:0] = [f"{repository}/examples", f"{repository}/examples/films"]
sys.argv = [name, "--build-only", "--out", out]
import studio
from studio import bpy

film = importlib.import_module(name).FILM
studio.make(film, studio.arguments(film, ""))
bpy.ops.wm.open_mainfile(filepath=f"{out}/{name}.blend")
scene = bpy.context.scene


def drivers():
    owners = [*bpy.data.scenes, *bpy.data.objects, *bpy.data.lights, *bpy.data.node_groups]
    owners += [material.node_tree for material in bpy.data.materials if material.node_tree]
    for owner in owners:
        for curve in owner.animation_data.drivers if owner.animation_data else ():
            yield owner, curve, curve.driver.variables[0].targets[0].data_path


def driven(frame):
    scene.frame_set(frame)
    return {f"{owner.name} {curve.data_path} {envelope}": owner.path_resolve(curve.data_path)
            for owner, curve, envelope in drivers()}


quiet = [driven(scene.frame_start - 2000 - shift) for shift in (0, 7)]
kick = [0.0] * (scene.frame_end + 2)
for frame in range(scene.frame_start, scene.frame_end + 1):
    scene.frame_set(frame)
    kick[frame] = scene["audio_kick"]
cuts = {marker.frame for marker in scene.timeline_markers if marker.camera}
over = [strip for strip in getattr(scene.sequence_editor, "strips", ()) if "(kick)" in strip.name]
inside = range(scene.frame_start + 1, scene.frame_end) if not over else range(
    over[0].frame_final_start + 1, over[0].frame_final_end - 1)
hit = max((frame for frame in inside if frame not in cuts), key=lambda frame: kick[frame] - kick[frame - 1])
scene.render.resolution_percentage = 20
kicks = {key: driven(hit)[key] - value for key, value in driven(hit - 1).items() if "audio_kick" in key}


def light():
    picture = studio.pictures_rendered(scene, [hit], Path(out) / "log")[0].convert("L")
    return sum(picture.tobytes()) / (picture.width * picture.height)


with_kick = light()
scene.frame_set(hit - 1)
for owner, curve, envelope in drivers():
    if "audio_kick" in envelope:
        rest = owner.path_resolve(curve.data_path)
        curve.mute = True
        head, _, last = curve.data_path.rpartition(".")
        setattr(owner.path_resolve(head), last, rest)
without = light()
studio.session.close()
print("FOUND", json.dumps({"quiet": quiet, "light": [without, with_kick], "rise": kicks}))
"""


@pytest.fixture(scope="module", params=FILMS)
def found(
    request: pytest.FixtureRequest, repository: Path, blender_in: Callable, tmp_path_factory: pytest.TempPathFactory
) -> dict:
    """What a film's file showed when it was opened again."""
    folder = tmp_path_factory.mktemp(request.param)
    output = blender_in(folder)(PROBE, repository, request.param, folder / "films")
    return json.loads(next(line for line in output.splitlines() if line.startswith("FOUND"))[len("FOUND ") :])


def test_what_follows_the_kick_makes_its_frame_brighter(found: dict) -> None:
    without, with_kick = found["light"]
    print(f"brightness without and with what follows the kick: {without:.1f}, {with_kick:.1f}")
    assert len(found["rise"]) >= 1
    assert min(map(abs, found["rise"].values())) > 0
    assert without > 2, "the film is black"
    assert with_kick > 1.04 * without


def test_what_follows_the_sound_is_still_before_it(found: dict) -> None:
    earlier, later = found["quiet"]
    assert len(later) >= 1
    clocks = ("audio_bars", "audio_seconds")
    moved = [key for key in later if later[key] != earlier[key] and not any(clock in key for clock in clocks)]
    assert moved == []
