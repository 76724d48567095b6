# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine is killed, hangs, or cannot begin: what is asked for comes all the same, and nothing is left behind."""

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

from stylegan_reactive.engine.client import Engine, FrameRequest, Patience
from stylegan_reactive.engine.shared_pixels import FOLDER, PREFIX, remove_abandoned, reserve
from stylegan_reactive.errors import CheckpointError, EngineError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, save_generator
from stylegan_reactive.generator.mapping import MappingConfig

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable
SIZE = (32, 24)
KICK = {"name": "audio_kick", "feature": "kick"}

posix = pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /dev/shm")


def network(path: Path, seed: int = 0) -> Path:
    """A tiny network of random weights."""
    torch.manual_seed(seed)
    save_generator(StyleGAN2(StyleGAN2Config(MappingConfig(8, 0, 8, (8, 8)), 32, (8, 8, 8, 8))), path)
    return path


def request(checkpoint: Path, share: float = 0.5, **more: Any) -> FrameRequest:
    """A picture of the network."""
    layer = {"name": "", "source": {"kind": "static", "latents": "1"}}
    patch = {"version": 2, "checkpoint": str(checkpoint), "latent_layers": [layer]}
    return FrameRequest(patch, {"latent_layers.0.influence.amount": share}, SIZE, **more)


def kill(engine: Engine, how: int = signal.SIGKILL) -> int:
    """Send the engine a signal; its process number."""
    pid = engine.pid
    assert pid is not None
    os.kill(pid, how)
    return pid


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A network that a test may harm."""
    return network(tmp_path / "own.safetensors")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with little patience; each test may kill it, the next one finds it started again."""
    engine = Engine(PYTHON, "cpu", tmp_path_factory.mktemp("log"), patience=Patience(work=3.0))
    yield engine
    engine.close()


# Killed


@posix
def test_bake_goes_on_when_the_engine_is_killed_while_it_listens(engine: Engine, builtin_song: Path) -> None:
    whole = engine.analyse(str(builtin_song), Fraction(24), [KICK])
    engine.unload()
    left = [1]

    def kill_once(_share: float, _text: str) -> None:
        if left:
            left.pop()
            kill(engine)

    again = engine.analyse(str(builtin_song), Fraction(24), [KICK], progress=kill_once)
    assert not left
    np.testing.assert_array_equal(again.envelopes["audio_kick"], whole.envelopes["audio_kick"])
    assert "stopped unexpectedly" in engine.incidents[-1]
    assert "nothing was lost" in engine.incidents[-1]


@posix
def test_picture_is_right_when_the_engine_is_killed_at_any_moment_of_it(engine: Engine, own: Path) -> None:
    expected = engine.picture(request(own)).copy()
    for delay in (0.0, 0.002, 0.01):
        engine.start()
        asked = threading.Timer(delay, lambda: engine.pid and kill(engine))
        asked.start()
        np.testing.assert_array_equal(engine.picture(request(own, tag=str(delay))), expected)
        asked.join()


@posix
def test_log_of_an_engine_that_died_is_still_there_when_the_next_one_runs(own: Path, tmp_path: Path) -> None:
    engine = Engine(PYTHON, "cpu", tmp_path / "log")
    (tmp_path / "log").mkdir()
    try:
        engine.picture(request(own))
        kill(engine)
        engine.picture(request(own, 0.1))
        named = Path(engine.incidents[-1].partition("log is in ")[2].partition(".log")[0] + ".log")
        assert named.is_file()
        for _ in range(20):  # however often it happens, the folder does not fill
            engine.stop()
            engine.launch()
        assert len(list((tmp_path / "log").iterdir())) <= 12
    finally:
        engine.close()


@posix
def test_log_folder_that_cannot_be_used_does_not_keep_the_engine_from_starting(own: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    engine = Engine(PYTHON, "cpu", tmp_path / "file" / "log")
    try:
        assert engine.picture(request(own)).any()
    finally:
        engine.close()


@linux
def test_crashes_leave_no_thread_no_open_file_and_no_shared_memory(engine: Engine, own: Path) -> None:
    def held() -> tuple[int, int, set[str]]:
        files = Path("/proc/self/fd")
        mapped = {
            line.split("/dev/shm/")[1] for line in Path("/proc/self/maps").read_text().splitlines() if PREFIX in line
        }
        return len(list(files.iterdir())), threading.active_count(), mapped

    engine.picture(request(own), [request(own, 0.1), request(own, 0.2)])
    before = held()
    for turn in range(3):
        kill(engine)
        engine.picture(request(own, 0.3 + turn / 10), [request(own, 0.1), request(own, 0.2)])
    end = time.monotonic() + 10
    while held() != before and time.monotonic() < end:
        time.sleep(0.05)
    assert held() == before


@linux
def test_shared_memory_of_a_blender_that_was_killed_with_all_its_children_is_removed(tmp_path: Path) -> None:
    script = """
import time
from stylegan_reactive.engine.shared_pixels import reserve
memory = reserve(4096)
print(memory.name, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as blender:
        assert blender.stdout is not None
        left = FOLDER / blender.stdout.readline().strip()
        remove_abandoned()
        assert left.exists()  # it is still used
        os.killpg(blender.pid, signal.SIGKILL)  # as when a session or a container ends
    mine = reserve(4096)
    remove_abandoned()
    assert not left.exists()
    assert (FOLDER / mine.name).exists()
    mine.close()
    mine.unlink()


# Hung


@posix
def test_engine_that_hangs_is_ended_and_the_picture_comes(engine: Engine, own: Path) -> None:
    expected = engine.picture(request(own, 0.6)).copy()
    engine.picture(request(own, 0.1))
    hung = kill(engine, signal.SIGSTOP)
    np.testing.assert_array_equal(engine.picture(request(own, 0.6)), expected)
    assert engine.pid != hung
    assert "did not answer for 3 seconds and was ended" in engine.incidents[-1]


@posix
def test_preview_comes_back_after_the_engine_hung(engine: Engine, own: Path) -> None:
    expected = engine.picture(request(own, 0.7)).copy()
    kill(engine, signal.SIGSTOP)
    asked, end = engine.ask(request(own, 0.7)), time.monotonic() + 60
    while not asked.wait(0.1) and time.monotonic() < end:
        pass
    np.testing.assert_array_equal(asked.pixels(), expected)


def test_engine_that_works_for_longer_than_the_patience_is_left_alone(engine: Engine) -> None:
    starts = engine.starts
    engine.report(seconds=5.0)
    assert engine.starts == max(starts, 1)


# A Python that is of no use


def false_python(folder: Path, text: str) -> str:
    """A program that is taken for the engine's Python."""
    path = folder / "python"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@posix
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#!/bin/sh\nexec sleep 600\n", "was silent for 1 seconds"),
        ("#!/bin/sh\nwhile true; do echo nonsense; done\n", "stopped unexpectedly"),
        ("#!/bin/sh\nexec >&-\nexec sleep 600\n", "stopped unexpectedly"),
    ],
)
def test_program_that_is_no_engine_is_ended_and_named(tmp_path: Path, text: str, says: str) -> None:
    python = false_python(tmp_path, text)
    engine = Engine(python, "cpu", tmp_path, patience=Patience(start=1.0))
    with pytest.raises(EngineError, match=says) as caught:
        engine.start()
    assert python in str(caught.value)
    assert not engine.running
    asked, end = engine.ask(request(tmp_path / "none")), time.monotonic() + 30
    while not asked.wait(0.1) and time.monotonic() < end:
        pass
    with pytest.raises(EngineError, match=says):
        asked.pixels()
    engine.close()


@posix
def test_python_that_may_not_be_run_is_named(tmp_path: Path) -> None:
    python = false_python(tmp_path, "#!/bin/sh\n")
    Path(python).chmod(0o644)
    with pytest.raises(EngineError, match=r"cannot be started.*preferences") as caught:
        Engine(python, "cpu", tmp_path).start()
    assert python in str(caught.value)


@posix
def test_python_that_is_too_old_says_so(tmp_path: Path) -> None:
    old = (
        "import runpy, sys; sys.version_info = (3, 8, 10, 'final', 0); runpy.run_path(sys.argv[2], run_name='__main__')"
    )
    python = false_python(tmp_path, f'#!/bin/sh\nexec {sys.executable} -c "{old}" "$@"\n')
    engine = Engine(python, "cpu", tmp_path)
    with pytest.raises(EngineError, match=r"version 3\.8, but 3\.11 or later is needed"):
        engine.start()
    engine.close()


# Files that change while a film is rendered


@posix
@pytest.mark.parametrize("fate", ["deleted", "replaced"])
def test_film_goes_on_with_the_network_that_it_began_with(engine: Engine, tmp_path: Path, fate: str) -> None:
    used = network(tmp_path / "used.safetensors", 1)
    before: dict[str, Any] = {}
    expected = [engine.picture(request(used, share, known=before)).copy() for share in (0.2, 0.4)]
    kept = used.read_bytes()
    if fate == "deleted":
        used.unlink()
    else:
        times = used.stat()
        other = network(tmp_path / "other.safetensors", 2).read_bytes()
        assert len(other) == len(kept)
        used.write_bytes(other)
        os.utime(used, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same time
    np.testing.assert_array_equal(engine.picture(request(used, 0.2, known=before)), expected[0])
    kill(engine)  # what it held is gone: a frame of another network would be wrong, so there is none
    with pytest.raises(CheckpointError, match=r"used\.safetensors was replaced|used\.safetensors is no longer there"):
        engine.picture(request(used, 0.4, known=before))
    used.write_bytes(kept)
    np.testing.assert_array_equal(engine.picture(request(used, 0.4, known={})), expected[1])


def test_network_that_is_replaced_between_films_is_the_one_that_is_seen(engine: Engine, tmp_path: Path) -> None:
    used = network(tmp_path / "used.safetensors", 1)
    first = engine.picture(request(used, known={})).copy()
    network(used, 2)
    assert not np.array_equal(engine.picture(request(used, known={})), first)


def test_two_engines_with_one_cache_hear_the_same_and_leave_it_whole(
    builtin_song: Path, tmp_path: Path, own_cache: Callable[[], Engine]
) -> None:
    one, two = own_cache(), own_cache()
    heard: dict[int, Any] = {}

    def listen(number: int, engine: Engine) -> None:
        heard[number] = engine.analyse(str(builtin_song), Fraction(25), [KICK], duration=4.0)

    threads = [threading.Thread(target=listen, args=each) for each in enumerate((one, two))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    np.testing.assert_array_equal(heard[0].envelopes["audio_kick"], heard[1].envelopes["audio_kick"])
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.suffix for path in kept] == [".npz"]
    third = own_cache().analyse(str(builtin_song), Fraction(25), [KICK], duration=4.0)
    np.testing.assert_array_equal(third.envelopes["audio_kick"], heard[0].envelopes["audio_kick"])


@pytest.fixture
def own_cache(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Make engines that keep what they hear in one folder."""
    from stylegan_reactive.engine.client import Settings

    engines: list[Engine] = []

    def make() -> Engine:
        engines.append(Engine(PYTHON, "cpu", tmp_path, settings=Settings(cache_folder=str(tmp_path / "cache"))))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()
