# SPDX-License-Identifier: GPL-3.0-or-later
"""Either end of the pipe may talk nonsense: the other one says so, and neither waits, grows nor writes elsewhere."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import pytest

from stylegan_reactive.engine import protocol
from stylegan_reactive.engine.client import Engine
from stylegan_reactive.engine.shared_pixels import reserve
from stylegan_reactive.errors import EngineError, ReactiveError

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable
POSIX = pytest.mark.skipif(os.name != "posix", reason="the false engine is a script with #!")

# Lines of an engine that has gone mad, in answer to its first request.
NONSENSE: dict[str, bytes] = {
    "no JSON": b"hello\n",
    "nothing": b"",
    "zeros": b"\0" * 4096,
    "a list": b"[1, 2]\n",
    "a number without end": b'{"id": ' + b"9" * 5000 + b"}\n",
    "a number that is none": b'{"id": 1, "progress": NaN}\n',
    "nested without end": b'{"id": 1, "result": ' + b"[" * 100_000 + b"\n",
    "millions of lists": b'{"id": 1, "result": [' + b"[]," * 5_000_000 + b"[]]}\n",
    "no id": b'{"result": {}}\n',
    "an id that is true": b'{"id": true, "result": {}}\n',
    "progress that is no number": b'{"id": 1, "progress": []}\n',
    "progress without end": b'{"id": 1, "progress": 1' + b"0" * 400 + b"}\n",
    "an error that is none": b'{"id": 1, "error": 7}\n',
    "an error of an unknown kind": b'{"id": 1, "error": {"kind": "SystemExit", "message": {}}}\n',
    "a result that is none": b'{"id": 1, "result": 7}\n',
    "another version": b'{"id": 1, "result": {"protocol": 1e9}}\n',
    "a hello with more": b'{"id": 1, "result": {"protocol": %d, "__class__": 1}}\n' % protocol.PROTOCOL,
    "bytes that are no text": b'{"id": 1, "result": "\xff\xfe"}\n',
}


@pytest.fixture
def false_engine(tmp_path: Path) -> Iterator[Callable[[bytes], Engine]]:
    """An engine that answers its first request with some bytes, and closes."""
    engines = []

    def start(answer: bytes) -> Engine:
        (tmp_path / "answer").write_bytes(answer)
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\nhead -n 1 > {tmp_path}/request\ncat {tmp_path}/answer\n")
        program.chmod(0o755)
        engines.append(Engine(str(program), log_folder=tmp_path))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


@POSIX
@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_of_the_engine_is_an_error_and_nobody_waits_for_more(
    false_engine: Callable[[bytes], Engine], answer: bytes
) -> None:
    with pytest.raises(ReactiveError):
        false_engine(answer).start()


WRONG_ANSWERS: tuple[Any, ...] = (None, 7, [], {}, "text", {"patch": 1}, {"count": "x"}, {"pictures": "!"}, {"a": []})


@pytest.mark.parametrize("answer", WRONG_ANSWERS, ids=map(str, WRONG_ANSWERS))
def test_answers_of_another_form_are_an_error_of_the_engine(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    engine = Engine(PYTHON)
    monkeypatch.setattr(engine, "_call", lambda *_, **__: answer)
    for ask in (
        lambda: engine.check_patch({}),
        lambda: engine.read_patch("{}"),
        lambda: engine.thumbnails("builtin", 0, [1], 8),
        lambda: engine.count_latents("builtin", "file", "w"),
        lambda: engine.report(),
        lambda: engine.analyse("song", fps_of_film(), []),
    ):
        with pytest.raises(EngineError):
            ask()


def fps_of_film() -> Any:
    from fractions import Fraction

    return Fraction(24)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(PYTHON, "cpu", log_folder=tmp_path_factory.mktemp("log"))
    engine.check_patch({"version": 2})
    yield engine
    engine.close()


def ask(engine: Engine, op: str, **fields: Any) -> Any:
    """An answer to a request that our own client would never send."""
    return engine.launch().ask(op, **fields).result(60)


def frame(**fields: Any) -> dict[str, Any]:
    usual = {"patch": protocol.patch_key({"version": 2}), "values": {}, "size": [8, 8], "fit": "crop", "quality": 1.0}
    return {**usual, **fields}


@pytest.mark.parametrize("size", [[1 << 40, 1 << 40], [0, 8], [-8, 8], [8.5, 8], [16384, 16384], [8], "88", None, [[]]])
def test_picture_of_an_impossible_size_is_refused_before_it_is_painted(engine: Engine, size: Any) -> None:
    memory = reserve(8 * 8 * 16)
    try:
        with pytest.raises(EngineError):
            ask(engine, "frame", **frame(size=size, slot=memory.name))
        assert ask(engine, "frame", **frame(slot=memory.name))["seconds"] > 0
    finally:
        memory.close()
        memory.unlink()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/dev/shm/x", "sgr_../x", "sem.other", "", None, 7, "sgr_" * 99])
def test_memory_that_is_not_of_blender_is_not_opened(engine: Engine, name: Any) -> None:
    with pytest.raises(EngineError, match="no shared memory"):
        ask(engine, "frame", **frame(slot=name))


def test_memory_of_another_program_is_left_alone(engine: Engine) -> None:
    other = shared_memory.SharedMemory(name="database_of_somebody", create=True, size=4096)
    try:
        with pytest.raises(EngineError):
            ask(engine, "frame", **frame(slot=other.name))
        assert bytes(other.buf[:1024]) == bytes(1024)
    finally:
        other.close()
        other.unlink()


REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("__init__", {}),
    ("server", {}),
    ("_fields", {}),
    ("frame", {}),
    ("patch", {"key": [], "patch": {"version": 2}}),
    ("patch", {"key": "a", "patch": [[]]}),
    ("patch", {"key": "a", "patch": {"version": 2, "checkpoint": "/dev/zero"}}),
    ("patch", {"key": "a", "patch": {"version": 2, "checkpoint": "/proc/self/mem"}}),
    ("read_patch", {"text": 7}),
    ("thumbnails", {"checkpoint": "builtin", "label": 0, "latents": [1], "size": 1 << 30}),
    ("thumbnails", {"checkpoint": "builtin", "label": 1 << 70, "latents": [{}], "size": 8}),
    ("latents", {"checkpoint": "builtin", "file": "/dev/zero", "space": "w"}),
    ("song", {"song": 7}),
    ("song", {"song": "/dev/zero"}),
    ("song", {"song": "a\0b"}),
    ("analyse", {"song": "/dev/zero", "fps": [1, 0], "recipes": []}),
    ("analyse", {"song": "/dev/zero", "fps": [24, 1], "recipes": [[]]}),
    ("separate", {"song": "/dev/zero", "folder": 7, "model": [], "weights": {}, "online": "no"}),
    ("thumbnails", {"checkpoint": "builtin", "label": 0, "latents": [1] * 10_000, "size": 8}),
    ("settings", {"settings": {"memory": "much"}}),
    ("settings", {"settings": {"threads": 1 << 31}}),
    ("settings", {"settings": {"cache_folder": 7}}),
    ("settings", {"settings": 7}),
    ("settings", {"settings": {"__class__": 1}}),
)


@pytest.mark.parametrize(("op", "fields"), REQUESTS, ids=[f"{op} {str(fields)[:40]}" for op, fields in REQUESTS])
def test_request_that_makes_no_sense_is_answered_by_an_error_and_the_engine_goes_on(
    engine: Engine, op: str, fields: dict[str, Any]
) -> None:
    pid = engine.pid
    with pytest.raises(ReactiveError):
        ask(engine, op, **fields)
    assert ask(engine, "read_patch", text=json.dumps({"version": 2}))
    assert engine.pid == pid


@pytest.mark.parametrize("line", [b"nonsense\n", b"[" * 100_000 + b"\n", b'{"id": 1}\n' + b"\xff\n", b'{"id": NaN}\n'])
def test_engine_ends_when_its_client_talks_nonsense(tmp_path: Path, line: bytes) -> None:
    other = Engine(PYTHON, "cpu", log_folder=tmp_path)
    try:
        other.start()
        process = other.launch()
        process._lines.put(line)  # what no client of ours can be made to send
        process._child.wait(20)
        assert not other.running
        assert other.start().pid != process.pid  # and a new one is as good as the old one
    finally:
        other.close()
