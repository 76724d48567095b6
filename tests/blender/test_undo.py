# SPDX-License-Identifier: GPL-3.0-or-later
"""Undo returns the file to what it was, after every operator of the extension, and redo brings back what it did."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from stylegan_reactive import blender
from stylegan_reactive.blender.properties import settings_of

# With what each operator is called, where its defaults do nothing; several calls are several tests.
CASES: dict[str, list[dict[str, Any]]] = {
    "place": [{"where": where} for where in ("BEHIND", "OVER", "SURFACE", "SCREEN", "WORLD", "DISPLACE", "MASK")],
    "apply_preset": [{"name": "reference"}],
    "use_builtin_network": [{"network": "silk"}],
    "list_edit": [
        {"collection": collection, "action": action, "step": -1}
        for collection in ("envelopes", "latent_layers", "noise_layers", "bends", "rewrites", "palette")
        for action in ("ADD", "DUPLICATE", "REMOVE", "MOVE")
    ],
    "add_layer": [
        {"collection": "latent_layers", "kind": "loop"},
        {"collection": "noise_layers", "kind": "gradient"},
        {"collection": "bends", "kind": "rotate"},
        {"collection": "rewrites", "kind": "seeded"},
    ],
    "choose_scale": [{"collection": "latent_layers", "first": 0, "last": 1}],
    "choose_envelope": [
        {"signal": "stylegan_reactive.latent_layers[0].influence", "envelope": envelope}
        for envelope in ("audio_snare", "NONE")
    ],
    "load_patch": [{"filepath": "//patch.json"}],
    "palette_import": [{"filepath": "//latents.npy"}],
    "palette_select": [{"index": 2}],
    "palette_assign": [{"target": target} for target in ("STILL", "APPEND", "LOOP", "PITCH")],
}
# Those that cannot be called here, each with the reason.
LEFT_OUT = {
    "separate_stems": "needs the weights of a network that separates stems, which no test downloads",
    "follow_envelope": "needs a property under the mouse",
    "unfollow_envelope": "needs a property under the mouse",
}

UNDOABLE = {
    cls.bl_idname.partition(".")[2]: cls
    for cls in blender._CLASSES
    if issubclass(cls, bpy.types.Operator) and "UNDO" in getattr(cls, "bl_options", ())
}
CALLS = [(name, case) for name in UNDOABLE for case in CASES.get(name, [{}])]


@pytest.fixture(scope="module")
def saved(registered: None, beat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a film in it that is set up and baked, and with a cube that is selected."""
    bpy.ops.wm.read_factory_settings(use_empty=False)
    settings = settings_of(bpy.context.scene)
    settings.song, settings.size = str(beat), (64, 64)
    assert bpy.ops.stylegan_reactive.set_up() == {"FINISHED"}
    assert bpy.ops.stylegan_reactive.bake() == {"FINISHED"}
    for _ in range(3):
        settings.bends.add().name = "Bend"
        settings.rewrites.add().name = "Rewrite"
        settings.palette.add()
    for name in ("envelope_index", "latent_index", "noise_index", "bend_index", "rewrite_index", "palette_index"):
        setattr(settings, name, 1)
    settings.latent_layers[1].influence.keyframe_insert("amount", frame=1)
    settings.bends[1].translate.x.keyframe_insert("amount", frame=1)
    assert bpy.ops.stylegan_reactive.copy_patch() == {"FINISHED"}
    path = tmp_path_factory.mktemp("film") / "film.blend"
    assert bpy.ops.stylegan_reactive.save_patch(filepath=str(path.with_name("patch.json"))) == {"FINISHED"}
    np.save(path.with_name("latents.npy"), np.zeros((3, 104), np.float32))
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


@pytest.fixture
def opened(saved: Path) -> Iterator[bpy.types.Scene]:
    """That file, just opened."""
    bpy.ops.wm.open_mainfile(filepath=str(saved))
    yield bpy.context.scene
    bpy.ops.wm.read_factory_settings(use_empty=True)


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What two dumps do not agree on."""
    paths = [path for path in {**one, **other} if one.get(path) != other.get(path)]
    return {path: (one.get(path), other.get(path)) for path in paths}


def test_undo_of_nothing_changes_nothing_and_a_change_is_seen(opened: bpy.types.Scene, dump: Callable) -> None:
    bpy.ops.ed.undo_push(message="Before")
    before = dump()
    settings_of(opened).latent_layers[0].name = "renamed"
    opened["mine"] = 1.0
    changed = differences(before, dump())
    assert {path.rpartition(".")[2] for path in changed} >= {"name"}
    assert any("mine" in path for path in changed)
    bpy.ops.ed.undo_push(message="After")
    bpy.ops.ed.undo()
    assert differences(before, dump()) == {}


@pytest.mark.parametrize(("name", "case"), CALLS, ids=[f"{name} {' '.join(map(str, c.values()))}" for name, c in CALLS])
def test_undo_returns_the_file_to_what_it_was(
    opened: bpy.types.Scene, dump: Callable, name: str, case: dict[str, Any]
) -> None:
    if name in LEFT_OUT:
        pytest.skip(LEFT_OUT[name])
    bpy.ops.ed.undo_push(message="Before")
    before = dump()
    answer = getattr(bpy.ops.stylegan_reactive, name)(**case)
    assert answer == {"FINISHED"}, "name arguments for it in CASES, with which it does something"
    after = dump()
    bpy.ops.ed.undo_push(message="After")
    bpy.ops.ed.undo()
    assert differences(before, dump()) == {}
    bpy.ops.ed.redo()
    assert differences(after, dump()) == {}
