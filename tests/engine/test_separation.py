# SPDX-License-Identifier: GPL-3.0-or-later
"""Stems are made in the background: pictures go on, and it can be followed and stopped."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from stylegan_reactive.audio.neural_models import _torchaudio_not_needed
from stylegan_reactive.engine.client import Engine, FrameRequest, Pending
from stylegan_reactive.errors import EngineError, SongError

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable
STEMS = ("bass", "drums", "other", "vocals")
PATCH = {
    "version": 1,
    "checkpoint": "builtin",
    "truncation": 1.0,
    "truncation_cutoff": None,
    "latent_layers": [],
    "noise_layers": [],
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that all tests here share."""
    engine = Engine(PYTHON, "cpu", log_folder=tmp_path_factory.mktemp("engine"))
    yield engine
    engine.close()


@pytest.fixture
def slow_weights(tmp_path: Path) -> Path:
    """A folder of weights that are pipes: who reads them waits until somebody writes."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("named pipes are of POSIX")
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in STEMS:
        os.mkfifo(folder / f"{name}-12345678.pth")
    return folder


def begins(separation: Pending) -> bool:
    """Whether a separation is under way within some seconds."""
    end = time.monotonic() + 30
    while not separation.progress[1] and not separation.done and time.monotonic() < end:
        time.sleep(0.01)
    return not separation.done and "Looking for the stems" in separation.progress[1]


def let_go(weights: Path, separation: Pending) -> None:
    """Write nothing into the pipes until nobody reads them any more."""
    end = time.monotonic() + 30
    while not separation.done and time.monotonic() < end:
        for pipe in weights.iterdir():
            try:
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue  # nobody reads this one now
        time.sleep(0.01)


def test_pictures_and_songs_are_answered_while_stems_are_made(
    engine: Engine, builtin_song: Path, slow_weights: Path, tmp_path: Path
) -> None:
    separation = engine.separate(str(builtin_song), str(tmp_path / "kept"), model="umxl", weights=str(slow_weights))
    assert begins(separation)
    assert engine.picture(FrameRequest(PATCH, {}, (32, 24))).shape == (24, 32, 4)
    assert engine.song(str(builtin_song))["duration"] > 1
    assert not separation.done
    separation.cancel()
    engine.song(str(builtin_song))  # requests are read in order: the cancellation has arrived
    let_go(slow_weights, separation)
    with pytest.raises(EngineError, match="Cancelled"):
        separation.result(30)
    assert not list((tmp_path / "kept").glob("*"))
    assert engine.song(str(builtin_song))["duration"] > 1


def test_weights_that_are_missing_are_an_error_of_the_artist(
    engine: Engine, builtin_song: Path, tmp_path: Path
) -> None:
    with pytest.raises(SongError, match="Allow online access"):
        engine.separate(str(builtin_song), str(tmp_path)).result(30)
    with pytest.raises(SongError, match="spleeter"):
        engine.separate(str(builtin_song), str(tmp_path), model="spleeter").result(30)


def test_stems_are_made_once_and_last_as_long_as_the_song(engine: Engine, tmp_path: Path) -> None:
    with _torchaudio_not_needed():
        model = pytest.importorskip("openunmix.model", reason="the package openunmix is not installed")
    weights = tmp_path / "umx"
    weights.mkdir()
    for name in STEMS:
        network = model.OpenUnmix(nb_bins=257, nb_channels=2, hidden_size=8, nb_layers=1, max_bin=200)
        torch.save(network.state_dict(), weights / f"{name}-12345678.pth")
    song = tmp_path / "song.wav"
    soundfile.write(song, np.random.default_rng(1).uniform(-0.5, 0.5, (44100, 2)), 44100)

    def separate() -> dict[str, str]:
        separation = engine.separate(str(song), str(tmp_path / "kept"), model="umxl", weights=str(weights))
        stems: dict[str, str] = separation.result(60)["stems"]
        return stems

    stems = separate()
    assert sorted(stems) == list(STEMS)
    assert {soundfile.info(path).duration for path in stems.values()} == {1.0}
    dates = [os.stat(path).st_mtime_ns for path in stems.values()]
    assert separate() == stems
    assert [os.stat(path).st_mtime_ns for path in stems.values()] == dates
