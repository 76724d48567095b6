# SPDX-License-Identifier: GPL-3.0-or-later
"""A factory-empty Blender with the extension registered, in this process; the engine is shared by all tests."""

import json
import math
import os
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


@pytest.fixture
def dump() -> Callable[[], str]:
    """Everything an artist could lose, as text: two dumps are equal when an operation changed nothing."""

    def plain(value: Any) -> Any:
        if isinstance(value, bpy.types.ID):
            return value.name
        if hasattr(value, "to_list"):
            return value.to_list()
        if isinstance(value, bpy.types.bpy_struct):
            return struct(value)
        return value if isinstance(value, str | int | float | bool | type(None)) else repr(value)

    def struct(owner: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for rna in owner.bl_rna.properties:
            name = rna.identifier
            if name == "rna_type" or (rna.is_readonly and rna.type not in ("POINTER", "COLLECTION")):
                continue
            value = getattr(owner, name)
            if rna.type == "COLLECTION":
                found[name] = [plain(item) for item in value]
            elif rna.type == "POINTER":
                found[name] = value.name if isinstance(value, bpy.types.ID) else None if value is None else "struct"
            elif getattr(rna, "is_array", False):
                found[name] = list(value)
            else:
                found[name] = plain(value)
        return found

    def make() -> str:
        scene = bpy.context.scene
        editor = scene.sequence_editor
        tree = scene.compositing_node_group if hasattr(scene, "compositing_node_group") else scene.node_tree
        curves = SceneCurves(scene).curves
        return json.dumps(
            {
                "data": {
                    name: sorted(item.name for item in getattr(bpy.data, name))
                    for name in ("actions", "images", "node_groups", "scenes", "sounds", "texts", "objects")
                },
                "scene": struct(scene),
                "render": struct(scene.render),
                "settings": struct(settings_of(scene)),
                "properties": sorted((key, repr(value)) for key, value in scene.items() if key.startswith("audio_")),
                "strips": [strip.name for strip in editor.strips_all] if editor else None,
                "nodes": sorted(node.name for node in tree.nodes) if tree else None,
                "links": len(tree.links) if tree else None,
                "curves": {
                    path: [
                        [*key.co, *key.handle_left, *key.handle_right, key.interpolation]
                        for key in curve.keyframe_points
                    ]
                    for path, curve in curves.items()
                },
                "modifiers": {path: [modifier.type for modifier in curve.modifiers] for path, curve in curves.items()},
            },
            sort_keys=True,
            default=repr,
        )

    return make


@pytest.fixture
def notice() -> Callable[[bpy.types.Scene], str]:
    """The text that a scene's panel shows."""

    def read(scene: bpy.types.Scene) -> str:
        shown = session.notice(scene)
        return "" if shown is None else shown.text

    return read
