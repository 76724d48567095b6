# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that takes long, as a generator of `Step`: it blocks in a script and keeps the window alive under an operator.

What can fail or be stopped is done first, in the engine; the file is changed after the last `yield`, all at once, in
the scene as it is found then. See `operators.LongOperator`.
"""

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import bpy

from ..errors import ReactiveError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Step:
    """How far a long operation is: 0..1, and what it does now."""

    progress: float
    text: str


Steps = Generator[Step, None, Result]


class Stopped(Exception):
    """The artist pressed Esc."""


def in_background(text: str, work: Callable[[Callable[[float, str], None]], Result]) -> Steps[Result]:
    """Run some work of the engine in a thread and yield how far it is.

    `work` gets a function to report progress with; that function raises `Stopped` once this generator is closed.
    """
    box: dict[str, Any] = {"step": Step(0.0, text)}
    stop = threading.Event()

    def report(progress: float, detail: str) -> None:
        if stop.is_set():
            raise Stopped
        box["step"] = Step(progress, detail or text)

    def run() -> None:
        try:
            box["result"] = work(report)
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=run, name=text, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            yield box["step"]
            thread.join(0.02)
    finally:
        stop.set()
    if "error" in box:
        raise box["error"]
    return box["result"]  # type: ignore[no-any-return]


def scene_again(uid: int) -> bpy.types.Scene:
    """The scene of a session_uid, after a `yield`: the artist may have undone, deleted or loaded meanwhile."""
    for scene in bpy.data.scenes:
        if scene.session_uid == uid:
            return scene
    raise ReactiveError("The scene is no longer there. Nothing was changed. Start again in another one.")


def finish(steps: Steps[Result]) -> Result:
    """Run a generator of steps to its end, for scripts and background renders."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
