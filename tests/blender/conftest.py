# SPDX-License-Identifier: GPL-3.0-or-later
"""A factory-empty Blender with the extension registered, in this process; the engine is shared by all tests."""

import math
import os
import warnings
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

import stylegan_reactive
from stylegan_reactive.blender.curves import SceneCurves
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.session import session

SIZE = 64
RATE = 22050


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave at once: after a render Blender's threads can keep the interpreter from ending."""
    status = getattr(config, "exit_status_for_blender", None)
    if status is not None:
        os._exit(status)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember how the run ended, for the exit."""
    session.config.exit_status_for_blender = int(exitstatus)  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def registered() -> Iterator[None]:
    """The extension, registered once."""
    stylegan_reactive.register()
    yield
    stylegan_reactive.unregister()


@pytest.fixture
def scene(registered: None) -> bpy.types.Scene:
    """The scene of a new, empty file, with pictures small enough for tests."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = 30
    settings_of(scene).size = (SIZE, SIZE)
    return scene


def write_wave(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """Write float samples [n], -1..1, as a 16 bit mono file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="session")
def write_sound() -> Callable[[Path, np.ndarray], Path]:
    """`write_wave`, for tests that need a song of their own."""
    return write_wave


@pytest.fixture(scope="session")
def beat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds: a chord that changes every two seconds, and a kick every half second."""
    time = np.arange(8 * RATE) / RATE
    chords = ((220, 277.2, 329.6), (174.6, 220, 261.6), (130.8, 164.8, 196), (196, 246.9, 293.7))
    tones = [sum(np.sin(math.tau * f * time) for f in chord) for chord in chords]
    song = 0.06 * np.choose((time // 2).astype(int), tones)
    since = time % 0.5
    song += 0.7 * np.exp(-since * 18) * np.sin(math.tau * (50 * since + 4 * (1 - np.exp(-since * 40))))
    return write_wave(tmp_path_factory.mktemp("song") / "beat.wav", song)


@pytest.fixture(scope="session")
def knock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second with one knock in it."""
    time = np.arange(RATE // 2) / RATE
    return write_wave(tmp_path_factory.mktemp("song") / "knock.wav", 0.8 * np.exp(-time * 30) * np.sin(500 * time))


@pytest.fixture
def film(scene: bpy.types.Scene, beat: Path) -> bpy.types.Scene:
    """A scene that is set up and baked."""
    settings_of(scene).song = str(beat)
    assert bpy.ops.stylegan_reactive.set_up() == {"FINISHED"}
    assert bpy.ops.stylegan_reactive.bake() == {"FINISHED"}
    return scene


Render = Callable[..., dict[int, np.ndarray]]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """Render frames of a scene to PNG files and read their pixels, uint8 [height, width, 3], top row first."""
    from PIL import Image

    def run(scene: bpy.types.Scene, first: int, last: int | None = None) -> dict[int, np.ndarray]:
        last = first if last is None else last
        folder = tmp_path / f"frames_{len(list(tmp_path.iterdir()))}"
        if hasattr(scene.render.image_settings, "media_type"):
            scene.render.image_settings.media_type = "IMAGE"
        scene.render.image_settings.file_format = "PNG"
        scene.render.image_settings.color_mode = "RGB"
        scene.render.filepath = f"{folder}/"
        scene.frame_start, scene.frame_end = first, last
        bpy.ops.render.render(animation=True, scene=scene.name)
        frames = {int(path.stem): np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))}
        assert set(frames) == set(range(first, last + 1, scene.frame_step))
        return frames

    return run


# What changes by itself, is no part of the file, or is a view of something that is dumped elsewhere.
NOT_DUMPED = {
    *("rna_type", "id_data", "users", "tag", "original", "is_evaluated", "session_uid", "bindcode"),
    *("pixels", "is_dirty", "is_updated", "is_updated_data", "is_library_indirect", "is_missing", "is_runtime_data"),
    *("depsgraph", "all_objects", "objects_bounding", "cursor_location", "asset_data", "tool_settings", "eevee"),
    *("keying_sets_all", "frame_current_final", "strips_all", "sequences_all", "fcurves", "groups", "channelbags"),
    *("bone_colors", "view3d", "dimensions", "is_embedded_data", "name_full", "last_slot_identifier", "is_strong"),
    *("warning_propagation", "internal_links", "location_absolute", "shading", "uv_layer_stencil", "uv_layer_clone"),
}
SHOWN_BY_ITSELF = {"enabled", "is_unavailable", "is_inactive", "is_icon_visible"}  # on sockets, from the node's state
NOT_IN_THE_FILE = {
    "all_ids",
    "screens",
    "window_managers",
    "workspaces",
    "brushes",
    "libraries",
    "palettes",
    "paint_curves",
}


def dump_file() -> dict[str, Any]:
    """Everything an artist could lose: every value of every datablock of the file, by its path.

    Two dumps are equal when an operation changed nothing: names of datablocks, all properties with what lies below
    them (nodes, strips, modifiers, the extension's lists), custom properties, links, key frames and drivers.
    """
    found: dict[str, Any] = {}
    seen: set[tuple[int, str]] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # names that Blender is about to take away are read too
        for collection in bpy.data.bl_rna.properties:
            if collection.type == "COLLECTION" and collection.identifier not in NOT_IN_THE_FILE:
                for item in getattr(bpy.data, collection.identifier):
                    _dump(item, f"{collection.identifier}[{item.name!r}]", found, seen)
        for scene in bpy.data.scenes:
            for path, curve in SceneCurves(scene).curves.items():
                _dump(curve, f"curve {scene.name} {path}", found, seen)
    return found


def _dump(owner: Any, path: str, found: dict[str, Any], seen: set[tuple[int, str]]) -> None:
    """Add one struct and what it owns, unless it was added before: links lead back to their nodes."""
    here = (owner.as_pointer(), owner.bl_rna.identifier)
    if here in seen:
        return
    seen.add(here)
    found[path] = owner.bl_rna.identifier
    for rna in owner.bl_rna.properties:
        name, below = rna.identifier, f"{path}.{rna.identifier}"
        if name in NOT_DUMPED or (isinstance(owner, bpy.types.NodeSocket) and name in SHOWN_BY_ITSELF):
            continue
        if name == "preview" and rna.type == "POINTER":
            continue  # the thumbnail of a datablock; the setting of this name is a choice and is compared
        value = getattr(owner, name, None)
        if rna.type == "COLLECTION":
            if isinstance(owner, bpy.types.Mesh):
                found[below] = len(value)
                continue
            found[below] = [getattr(item, "name", "") for item in value]
            for number, item in enumerate(value):
                if item is not None and not (isinstance(item, bpy.types.ID) and not item.is_embedded_data):
                    _dump(item, f"{below}[{number}]", found, seen)
        elif rna.type == "POINTER":
            if isinstance(value, bpy.types.ID) and not value.is_embedded_data:
                found[below] = f"{value.bl_rna.identifier} {value.name!r}"
            elif value is None:
                found[below] = None
            else:
                _dump(value, below, found, seen)
        elif getattr(rna, "is_array", False):
            found[below] = _plain(value)
        else:
            found[below] = value if not isinstance(value, set) else sorted(value)
    if isinstance(owner, bpy.types.ID):
        for key, value in owner.items():
            # Groups of properties lie here too on 4.5; they were read as properties above.
            if not hasattr(value, "bl_rna") and key not in owner.bl_rna.properties:
                found[f"{path}[{key!r}]"] = value.to_dict() if hasattr(value, "to_dict") else _plain(value)


def _plain(value: Any) -> Any:
    """A value that compares by what it holds."""
    return [_plain(item) for item in value] if hasattr(value, "__len__") and not isinstance(value, str) else value


@pytest.fixture
def dump() -> Callable[[], dict[str, Any]]:
    """The function `dump_file`: everything an artist could lose. Equal dumps: an operation changed nothing."""
    return dump_file


@pytest.fixture
def notice() -> Callable[[bpy.types.Scene], str]:
    """The text that a scene's panel shows."""

    def read(scene: bpy.types.Scene) -> str:
        shown = session.notice(scene)
        return "" if shown is None else shown.text

    return read


@pytest.fixture
def own_compositor() -> Callable[[bpy.types.Scene], tuple[bpy.types.NodeTree, bpy.types.Node]]:
    """Gives a scene an empty compositor, as an artist begins one on any Blender: the tree, and its output."""

    def build(scene: bpy.types.Scene) -> tuple[bpy.types.NodeTree, bpy.types.Node]:
        if hasattr(scene, "compositing_node_group"):
            tree = bpy.data.node_groups.new("Mine", "CompositorNodeTree")
            tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
            scene.compositing_node_group = tree
            return tree, tree.nodes.new("NodeGroupOutput")
        scene.use_nodes = True
        scene.node_tree.nodes.clear()
        return scene.node_tree, scene.node_tree.nodes.new("CompositorNodeComposite")

    return build
