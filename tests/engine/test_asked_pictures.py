# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that nobody waits for: previews while the artist scrubs and plays."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylegan_reactive.engine.client import MOST_ASKED, Asked, Engine, FrameRequest
from stylegan_reactive.errors import CheckpointError, EngineError, PatchError

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable
posix = pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")


def request(influence: float, **options: Any) -> FrameRequest:
    """The built-in network, one latent that a number mixes in."""
    layer = {"name": "", "source": {"kind": "static", "latents": "1"}}
    patch = {"version": 2, "checkpoint": "builtin", "latent_layers": [layer]}
    return FrameRequest(patch, {"latent_layers.0.influence.amount": influence}, (96, 64), **options)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine that was not started yet and is closed after the test."""
    engine = Engine(PYTHON, "cpu", log_folder=tmp_path)
    yield engine
    engine.close()


def fetch(asked: Asked, seconds: float = 60.0) -> np.ndarray:
    """The picture, once it is there."""
    end = time.monotonic() + seconds
    while not asked.wait(0.05):
        assert time.monotonic() < end
    return asked.pixels()


@posix
def test_asking_does_not_wait_for_an_engine_that_starts_or_sleeps(engine: Engine) -> None:
    began = time.monotonic()
    first = engine.ask(request(0.1))
    assert time.monotonic() - began < 1.0  # torch alone takes longer to load
    assert not first.ready()
    with pytest.raises(EngineError, match="not ready"):
        first.pixels()
    expected = fetch(first).copy()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        handles = [engine.ask(request(0.1 + step / 100)) for step in range(5)]
        assert not any(handle.ready() for handle in handles)
        for handle in handles[1:]:
            handle.cancel()
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    np.testing.assert_array_equal(fetch(handles[0]), expected)


def test_asked_picture_is_that_of_a_render_and_its_own(engine: Engine) -> None:
    asked = engine.ask(request(0.5))
    pixels = fetch(asked)
    rendered = engine.picture(request(0.5), [request(0.6)])
    np.testing.assert_array_equal(pixels, rendered)
    kept = pixels.copy()
    engine.picture(request(0.9))
    fetch(engine.ask(request(0.2)))
    np.testing.assert_array_equal(asked.pixels(), kept)


@posix
def test_what_was_asked_for_last_comes_first_and_what_was_cancelled_never(engine: Engine) -> None:
    fetch(engine.ask(request(0.0)))
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        handles = [engine.ask(request(step / 10)) for step in range(1, 7)]
        handles[5].cancel()
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    order: list[int] = []
    end = time.monotonic() + 60
    while len(order) < 5 and time.monotonic() < end:
        order += [i for i, handle in enumerate(handles[:5]) if i not in order and handle.ready()]
    assert sorted(order) == [0, 1, 2, 3, 4]
    later = order[1:]  # the first may have been begun before the others arrived
    assert later == sorted(later, reverse=True)
    assert handles[5].cancelled
    with pytest.raises(EngineError, match="cancelled"):
        handles[5].pixels()


def test_too_many_that_nobody_fetches_drop_the_oldest(engine: Engine) -> None:
    handles = [engine.ask(request(step / 100)) for step in range(MOST_ASKED + 2)]
    assert [handle.cancelled for handle in handles] == [True, True, *[False] * MOST_ASKED]
    assert fetch(handles[-1]).shape == (64, 96, 4)


def test_errors_arrive_through_the_handle(engine: Engine, tmp_path: Path) -> None:
    good = request(0.5)
    lost = replace(good, patch={**good.patch, "checkpoint": str(tmp_path / "nothing.safetensors")})
    with pytest.raises(CheckpointError, match="nothing"):
        fetch(engine.ask(lost))
    with pytest.raises(CheckpointError, match="nothing"):  # not only the first time
        fetch(engine.ask(lost))
    with pytest.raises(PatchError, match="finite"):
        fetch(engine.ask(request(float("nan"))))
    with pytest.raises(PatchError, match="9"):
        fetch(engine.ask(replace(good, values={"latent_layers.9.influence.amount": 1.0})))
    with pytest.raises(EngineError, match="0 x 10"):
        fetch(engine.ask(replace(good, size=(0, 10))))
    assert fetch(engine.ask(good)).shape == (64, 96, 4)


@posix
def test_handle_survives_an_engine_that_was_killed(engine: Engine) -> None:
    expected = fetch(engine.ask(request(0.3)))
    asked = engine.ask(request(0.3))
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    np.testing.assert_array_equal(fetch(asked), expected)


def test_python_that_cannot_run_the_engine_is_said_through_the_handle(tmp_path: Path) -> None:
    engine = Engine(str(tmp_path / "no_such_python"), log_folder=tmp_path)
    asked = engine.ask(request(0.5))
    assert asked.ready()
    with pytest.raises(EngineError, match="no_such_python"):
        asked.pixels()
    engine.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads what is mapped from /proc")
def test_asking_leaves_no_shared_memory_behind(engine: Engine, own_shared_memory: Callable[[], set[str]]) -> None:
    before = own_shared_memory()  # engines of other tests may still have some
    fetch(engine.ask(request(0.5)))
    engine.ask(request(0.6))
    assert own_shared_memory() - before
    engine.close()
    assert not own_shared_memory() - before
