# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that change under the engine, and memory that has a limit."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylegan_reactive.engine.client import Engine, FrameRequest, Settings
from stylegan_reactive.errors import ReactiveError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, save_generator
from stylegan_reactive.generator.mapping import MappingConfig

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable
SIZE = (16, 16)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that these tests share."""
    engine = Engine(PYTHON, "cpu", log_folder=tmp_path_factory.mktemp("engine"))
    yield engine
    engine.close()


def network(path: Path, seed: int) -> Path:
    """A small network of random weights, in a file."""
    torch.manual_seed(seed)
    save_generator(StyleGAN2(StyleGAN2Config(MappingConfig(8, 0, 8, (8, 8)), 32, (8, 8, 8, 8))), path)
    return path


def layer(latents: Any) -> dict[str, Any]:
    """A latent layer."""
    return {"name": "", "source": {"kind": "static", "latents": latents}}


def pixels(engine: Engine, patch: dict[str, Any], tag: str = "") -> np.ndarray:
    """The picture of a patch without values."""
    return engine.picture(FrameRequest({"version": 2, **patch}, {}, SIZE, tag=tag)).copy()


def test_network_that_is_replaced_shows_at_once(engine: Engine, tmp_path: Path) -> None:
    one, two = network(tmp_path / "one.safetensors", 1), network(tmp_path / "two.safetensors", 2)
    used = tmp_path / "used.safetensors"
    pictures = []
    for source in (one, two, one):
        shutil.copyfile(source, used)
        os.utime(used, (1000, 1000))  # a copy may keep its time, and both have one size
        pictures.append(pixels(engine, {"checkpoint": str(used), "latent_layers": [layer("1")]}))
    assert not np.array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])


@pytest.mark.parametrize("kind", ["latents", "rewrite"])
def test_file_of_a_layer_that_is_replaced_shows_at_once(engine: Engine, tmp_path: Path, kind: str) -> None:
    own = network(tmp_path / "own.safetensors", 1)
    named = tmp_path / ("latents.npy" if kind == "latents" else "other.safetensors")
    patch: dict[str, Any] = {"checkpoint": str(own), "latent_layers": [layer("1")]}
    if kind == "latents":
        patch["latent_layers"] = [layer([{"file": str(named), "index": 0}])]
    else:
        patch["rewrites"] = [{"name": "", "source": {"kind": "network", "file": str(named)}}]

    def write(seed: int) -> None:
        if kind == "latents":
            np.save(named, np.random.default_rng(seed).normal(size=(1, 8)).astype(np.float32))
        else:
            network(named, seed)
        os.utime(named, (1000, 1000))  # a copy may keep its time, and all have one size

    pictures = []
    for seed in (5, 6, 5):
        write(seed)
        pictures.append(pixels(engine, patch))
    assert not np.array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])
    named.unlink()
    with pytest.raises(ReactiveError, match=named.name):
        pixels(engine, patch)


def test_file_that_is_missing_is_said_before_the_first_picture(engine: Engine, tmp_path: Path) -> None:
    own = network(tmp_path / "own.safetensors", 1)
    missing = {"file": str(tmp_path / "missing.npy"), "index": 0}
    with pytest.raises(ReactiveError, match="missing"):
        engine.check_patch({"version": 2, "checkpoint": str(own), "latent_layers": [layer([missing])]})


def test_networks_keep_the_limit_and_come_back(engine: Engine, tmp_path: Path) -> None:
    files = [str(network(tmp_path / f"{seed}.safetensors", seed)) for seed in range(4)]
    patches = [{"checkpoint": file, "latent_layers": [layer("1")]} for file in files]
    engine.unload()
    first = [pixels(engine, patch) for patch in patches]
    one = engine.report(seconds=0).networks[-1][1]
    try:
        engine.configure(Settings(memory=3 * one))
        for patch, picture in zip(patches, first, strict=True):
            np.testing.assert_array_equal(pixels(engine, patch), picture)
            report = engine.report(seconds=0)
            assert sum(size for _, size in report.networks) + sum(report.caches.values()) <= report.limit
            assert report.networks[-1][0] == patch["checkpoint"]
        engine.configure(Settings(memory=1))
        np.testing.assert_array_equal(pixels(engine, patches[0]), first[0])  # what is in use stays
        assert len(engine.report(seconds=0).networks) == 1
    finally:
        engine.configure(Settings())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what a process takes")
def test_unloading_gives_memory_back_to_the_system(engine: Engine) -> None:
    engine.unload()
    before = engine.report(seconds=0).resident
    patch = {"checkpoint": "builtin", "latent_layers": [layer("1")]}
    request = FrameRequest({"version": 2, **patch}, {}, (1024, 1024))
    engine.picture(request)
    loaded = engine.report(seconds=0)
    assert loaded.caches["patches"] < 64 << 20
    engine.unload()
    after = engine.report(seconds=0).resident
    assert loaded.resident - before > 30 << 20
    assert after - before < 0.35 * (loaded.resident - before)


def test_report_names_versions_and_measures_speed(engine: Engine) -> None:
    told: list[str] = []
    report = engine.report(seconds=0.2, progress=lambda share, text: told.append(text))
    assert report.device == "cpu"
    assert report.versions["torch"]
    assert report.pictures_per_second > 0
    assert told
    with pytest.raises(KeyboardInterrupt):
        engine.report(seconds=60, progress=_stop)
    assert engine.report(seconds=0).pictures_per_second == 0


def _stop(_share: float, _text: str) -> None:
    raise KeyboardInterrupt


@pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")
def test_two_scenes_that_take_turns_keep_their_look_ahead(engine: Engine, tmp_path: Path) -> None:
    own = str(network(tmp_path / "own.safetensors", 1))

    def request(scene: str, frame: int) -> FrameRequest:
        patch = {"version": 2, "checkpoint": own, "latent_layers": [layer("1" if scene == "a" else "2")]}
        return FrameRequest(patch, {"latent_layers.0.influence.amount": frame / 10}, SIZE, tag=scene)

    for scene in ("a", "b"):
        engine.picture(request(scene, 1), [request(scene, 2), request(scene, 3)])
    assert engine.wait_until_idle(60)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)  # it sleeps: whatever comes now was there already
    try:
        a, b = (engine.picture(request(scene, 2)).copy() for scene in ("a", "b"))
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    assert not np.array_equal(a, b)
