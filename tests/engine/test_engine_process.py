# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as an artist notices it: it starts by itself, comes back after a crash, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylegan_reactive.engine.client import Engine, FrameRequest
from stylegan_reactive.errors import CheckpointError, EngineError, PatchError, ReactiveError, SongError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, save_generator
from stylegan_reactive.generator.mapping import MappingConfig

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine that was not started yet and is closed after the test."""
    engine = Engine(PYTHON, "cpu", log_folder=tmp_path)
    yield engine
    engine.close()


def patch_of(checkpoint: Path, seed: int = 1) -> dict[str, Any]:
    """A small patch: one latent that the kick moves."""
    signal = {"amount": 1.0, "envelope": "audio_kick", "gain": 1.0, "offset": 0.0}
    layer = {
        "name": "Kick",
        "enabled": True,
        "source": {"kind": "static", "seed": seed},
        "range": "all",
        "influence": signal,
    }
    return {
        "version": 1,
        "checkpoint": str(checkpoint),
        "truncation": 1.0,
        "truncation_cutoff": None,
        "latent_layers": [layer],
        "noise_layers": [],
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that tests share which do not harm it."""
    engine = Engine(PYTHON, "cpu", log_folder=tmp_path_factory.mktemp("engine"))
    yield engine
    assert engine.starts == 1, "a test that harms the engine needs one of its own"
    engine.close()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    save_generator(StyleGAN2(StyleGAN2Config(MappingConfig(8, 0, 8, (8, 8)), 32, (8, 8, 8, 8))), path)
    return path


@pytest.fixture
def request_for(network: Path) -> Any:
    """Make the request for a kick of some height."""

    def make(kick: float, size: tuple[int, int] = (64, 48)) -> FrameRequest:
        return FrameRequest(patch_of(network), {"audio_kick": kick}, size)

    return make


posix = pytest.mark.skipif(os.name != "posix", reason="signals and /dev/shm are of POSIX")


def runs(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ends(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within some seconds."""
    end = time.monotonic() + seconds
    while runs(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not runs(pid)


def test_nothing_starts_before_it_is_needed(engine: Engine) -> None:
    assert not engine.running
    assert engine.pid is None


def test_hello_names_the_versions_and_the_device(running: Engine) -> None:
    hello = running.start()
    assert hello.versions["torch"].startswith("2.")
    assert hello.versions["numpy"]
    assert "librosa" in hello.versions
    assert hello.device == "cpu"
    assert hello.pid == running.pid != os.getpid()


def test_picture_is_linear_rgba_of_the_size_that_was_asked_for(running: Engine, request_for: Any) -> None:
    picture = running.picture(request_for(0.5, (96, 40)))
    assert picture.shape == (40, 96, 4)
    assert picture.dtype == np.float32
    assert np.all(picture[..., 3] == 1.0)
    assert 0.0 <= picture.min() < picture.max() <= 1.0


def test_looking_ahead_changes_no_pixel(engine: Engine, request_for: Any) -> None:
    kicks = np.linspace(0, 1, 6)
    plain = [engine.picture(request_for(kick)).copy() for kick in kicks]
    engine.stop()
    for i, kick in enumerate(kicks):
        ahead = [request_for(later) for later in kicks[i + 1 : i + 4]]
        np.testing.assert_array_equal(engine.picture(request_for(kick), ahead), plain[i])


def test_a_wrong_guess_of_what_comes_next_does_no_harm(running: Engine, request_for: Any) -> None:
    plain = [running.picture(request_for(kick)).copy() for kick in (0.1, 0.9)]
    running.picture(request_for(0.1), [request_for(0.2), request_for(0.3)])
    np.testing.assert_array_equal(running.picture(request_for(0.9), [request_for(0.4)]), plain[1])
    np.testing.assert_array_equal(running.picture(request_for(0.1)), plain[0])


@posix
def test_picture_that_was_computed_ahead_needs_the_engine_no_more(engine: Engine, request_for: Any) -> None:
    engine.picture(request_for(0.0), [request_for(0.5), request_for(1.0)])
    assert engine.wait_until_idle(60)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)  # it sleeps: whatever comes now was there already
    try:
        assert engine.picture(request_for(0.5)).shape == (48, 64, 4)
    finally:
        os.kill(engine.pid, signal.SIGCONT)


def test_size_may_change_between_pictures(running: Engine, request_for: Any) -> None:
    small = running.picture(request_for(0.5, (32, 32)), [request_for(0.6, (32, 32))]).copy()
    assert running.picture(request_for(0.5, (160, 96))).shape == (96, 160, 4)
    np.testing.assert_array_equal(running.picture(request_for(0.5, (32, 32))), small)


@posix
def test_engine_that_was_killed_comes_back_with_the_same_picture(engine: Engine, request_for: Any) -> None:
    before = engine.picture(request_for(0.7)).copy()
    engine.picture(request_for(0.1))
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    np.testing.assert_array_equal(engine.picture(request_for(0.7)), before)
    assert engine.starts == 2


@posix
def test_picture_under_way_when_the_engine_dies_is_asked_for_once_more(engine: Engine, request_for: Any) -> None:
    expected = engine.picture(request_for(0.3)).copy()
    engine.picture(request_for(0.1), [request_for(0.2), request_for(0.3)])  # 0.3 is now being made
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    np.testing.assert_array_equal(engine.picture(request_for(0.3)), expected)


@posix
def test_an_engine_that_always_dies_is_reported_and_not_restarted_for_ever(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho something is broken here >&2\nexit 7\n")
    python.chmod(0o755)
    engine = Engine(str(python), log_folder=tmp_path)
    with pytest.raises(EngineError, match="something is broken here"):
        engine.song("song.wav")
    assert engine.starts == 2


@posix
def test_engine_ends_with_its_parent(tmp_path: Path, network: Path) -> None:
    script = f"""
import sys, time
from pathlib import Path
from stylegan_reactive.engine.client import Engine, FrameRequest
engine = Engine({PYTHON!r}, "cpu", log_folder=Path({str(tmp_path)!r}))
engine.picture(FrameRequest({patch_of(network)!r}, {{"audio_kick": 0.0}}, (16, 16)))
print(engine.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert runs(child)
        parent.kill()
        assert ends(child)


@pytest.mark.skipif(sys.platform != "linux", reason="reads what is mapped from /proc")
def test_closing_leaves_no_process_and_no_shared_memory(
    engine: Engine, request_for: Any, own_shared_memory: Callable[[], set[str]]
) -> None:
    before = own_shared_memory()
    engine.picture(request_for(0.5), [request_for(0.6)])
    assert own_shared_memory() - before
    pid = engine.pid
    assert pid is not None
    engine.close()
    assert ends(pid)
    assert not own_shared_memory() - before


def test_engine_that_was_closed_does_not_come_back(engine: Engine, request_for: Any) -> None:
    engine.picture(request_for(0.5))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.picture(request_for(0.5))
    assert not engine.running


def test_closing_while_the_engine_works_ends_it_for_good(engine: Engine, builtin_song: Path) -> None:
    failed: list[BaseException] = []

    def listen() -> None:
        try:
            engine.analyse(str(builtin_song), Fraction(30), [{"name": "audio_kick", "feature": "kick"}])
        except ReactiveError as error:
            failed.append(error)

    engine.start()
    thread = threading.Thread(target=listen)
    thread.start()
    engine.close()
    thread.join(60)
    assert failed
    assert not engine.running
    assert engine.starts == 1


def test_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no_such_python"):
        Engine(str(tmp_path / "no_such_python"), log_folder=tmp_path).start()


def test_python_without_torch_is_told_what_it_lacks(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    with pytest.raises(EngineError, match=r"no numpy and no torch.*preferences") as caught:
        Engine(str(python), log_folder=tmp_path).start()
    assert str(python) in str(caught.value)


def test_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    engine = Engine(PYTHON, "abacus", log_folder=tmp_path)
    with pytest.raises(EngineError, match="abacus"):
        engine.start()


def test_errors_keep_their_kind_over_the_pipe(running: Engine, request_for: Any, tmp_path: Path) -> None:
    with pytest.raises(SongError, match=r"nowhere\.wav"):
        running.song(str(tmp_path / "nowhere.wav"))
    with pytest.raises(CheckpointError, match=r"nothing\.safetensors"):
        running.check_patch(patch_of(tmp_path / "nothing.safetensors"))
    request = request_for(0.5)
    with pytest.raises(PatchError, match="audio_kick"):
        running.picture(type(request)(request.patch, {}, request.size))
    assert running.picture(request).shape == (48, 64, 4)


def test_value_that_is_no_number_is_refused(running: Engine, request_for: Any) -> None:
    with pytest.raises(PatchError, match="not a finite number"):
        running.picture(request_for(float("nan")))
    assert np.isfinite(running.picture(request_for(0.5))).all()


def test_a_network_file_that_is_replaced_is_loaded_anew(
    running: Engine, request_for: Any, network: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "network.safetensors"
    copy.write_bytes(network.read_bytes())
    running.check_patch(patch_of(copy))
    copy.write_bytes(b"no network")
    with pytest.raises(CheckpointError):
        running.check_patch(patch_of(copy, seed=2))


def test_more_patches_than_the_engine_keeps_can_take_turns(running: Engine, network: Path, request_for: Any) -> None:
    request = request_for(1.0, (16, 16))
    requests = [type(request)(patch_of(network, seed), request.values, (16, 16)) for seed in range(1, 12)]
    first = [running.picture(r).copy() for r in requests]
    for again, picture in zip(requests, first, strict=True):
        np.testing.assert_array_equal(running.picture(again), picture)
    running.picture(requests[0])
    for seed in range(20, 30):  # others, that are only checked, push it out
        running.check_patch(patch_of(network, seed))
    other = type(request)(requests[0].patch, request_for(0.5).values, (16, 16))
    assert not np.array_equal(running.picture(other), first[0])


def test_analysis_tells_how_far_it_is_and_can_be_stopped(running: Engine, builtin_song: Path) -> None:
    recipes = [{"name": "audio_kick", "feature": "kick"}]

    def stop(_fraction: float, _text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.analyse(str(builtin_song), Fraction(30), recipes, progress=stop)
    analysed = running.analyse(str(builtin_song), Fraction(30), recipes)
    assert analysed.envelopes["audio_kick"].shape == (analysed.frames,)


def test_recipe_of_an_unknown_feature_is_an_error_of_the_artist(running: Engine, builtin_song: Path) -> None:
    with pytest.raises(ReactiveError, match="cowbell"):
        running.analyse(str(builtin_song), Fraction(30), [{"name": "audio_x", "feature": "cowbell"}])
