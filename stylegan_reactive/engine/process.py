# SPDX-License-Identifier: GPL-3.0-or-later
"""One life of the engine's process, seen from Blender: its pipe, and the answers that are on their way.

Nothing here waits for the engine but what says so: requests are written by a thread of their own, answers are read by
another, and a third one ends a process that is asked something and does not even say that it is alive.
"""

import contextlib
import itertools
import os
import queue
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EngineError, PatchError, ReactiveError
from . import protocol
from .environment import needed
from .logs import last_line, open_log

MAIN = Path(__file__).with_name("__main__.py")
LOOKS = 10  # at a silent process, at least, before it is ended


@dataclass(frozen=True)
class Patience:
    """Seconds without any sign of life after which the engine is ended.

    While it works, it still answers a ping at once, so silence means that it hangs. The first sign takes longer: a
    cold disk and a virus scanner can make the first import of torch as slow as this.
    """

    start: float = 180.0
    work: float = 60.0


class EngineDied(EngineError):
    """The process ended while it was asked something; the question may be asked again."""


class Pending:
    """An answer on its way."""

    def __init__(self, number: int, process: "Process") -> None:
        self.number = number
        self.progress = (0.0, "")
        self._process = process
        self._done = threading.Event()
        self._result: Any = None
        self._error: ReactiveError | None = None

    @property
    def done(self) -> bool:
        """Whether `result` returns or raises at once."""
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait up to some seconds; whether the answer is there."""
        return self._done.wait(seconds)

    @property
    def error(self) -> ReactiveError | None:
        """What `result` raises, once it is done."""
        return self._error

    def result(self, seconds: float | None = None) -> Any:
        """The answer; raises the engine's error, `EngineDied`, or `EngineError` when the time is over."""
        if not self._done.wait(seconds):
            raise EngineError(f"The engine did not answer within {seconds:.0f} seconds. Try again, or restart Blender.")
        if self._error is not None:
            raise self._error
        return self._result

    def cancel(self) -> None:
        """Tell the engine that nobody waits any more. An answer still comes: an error, or a result that was ready."""
        if not self.done:
            self._process.cancel(self.number)

    def settle(self, result: Any = None, error: ReactiveError | None = None) -> None:
        """Called by the reader of the pipe."""
        self._result, self._error = result, error
        self._done.set()


class Process:
    """One life of the child process: its pipe, the thread that reads it, and what is still unanswered."""

    def __init__(
        self,
        python: str,
        log_folder: Path,
        patience: Patience = Patience(),
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.python = python
        self.patience = patience
        self._note = note  # is told what the engine says without being asked
        self._numbers = itertools.count(1)
        self._unanswered: dict[int, Pending] = {}
        self._lock = threading.RLock()
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._over = False
        self._silent = 0.0  # seconds for which it has been so, once it is ended for that
        self._greeted = False
        self._heard = False  # since the last look
        self._ended = threading.Event()
        self.log, self._errors = open_log(log_folder)
        try:
            self._child = subprocess.Popen(
                [python, "-I", str(MAIN)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                # Threads of torch that wait leave Blender their core.
                env={"OMP_WAIT_POLICY": "PASSIVE", **needed(os.environ)},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows would open a console
            )
        except OSError as fault:
            self._errors.close()
            if self.log != Path(os.devnull):
                self.log.unlink(missing_ok=True)
            raise EngineError(
                f"The engine's Python cannot be started: {python} ({fault.strerror or fault}). "
                "Choose another in the preferences of this add-on."
            ) from fault
        self._reader = threading.Thread(target=self._read, name="engine answers", daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, name="engine requests", daemon=True).start()
        threading.Thread(target=self._watch, name="engine watch", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._child.poll() is None

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._child.pid

    def ask(self, op: str, **fields: Any) -> Pending:
        """Send a request, without waiting.

        Raises
        ------
        EngineDied
            The child is gone.
        PatchError
            A value is not a finite number.
        """
        pending = Pending(next(self._numbers), self)
        try:
            line = protocol.encode({"id": pending.number, "op": op, **fields})
        except ValueError as fault:
            raise PatchError(
                "A value that goes to the engine is not a finite number. Look for a curve or a setting without bounds."
            ) from fault
        with self._lock:
            if self._over:
                raise EngineDied(self.last_words())
            self._unanswered[pending.number] = pending
        self._lines.put(line)
        return pending

    def cancel(self, number: int) -> None:
        """Tell the engine that nobody waits for an answer any more."""
        self._lines.put(protocol.encode({"id": number, "op": "cancel", "target": number}))

    def _write(self) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            while (line := self._lines.get()) is not None:
                self._child.stdin.write(line)
                self._child.stdin.flush()
        with contextlib.suppress(OSError, ValueError):
            self._child.stdin.close()  # ends the child; where it was the child who closed it, there is nobody to ask

    def _read(self) -> None:
        assert self._child.stdout is not None
        # Whatever is wrong with a line: it is the end of a conversation, and nobody may wait for more of it.
        with contextlib.suppress(OSError, ValueError, TypeError, MemoryError, OverflowError):
            while line := self._child.stdout.readline(protocol.LONGEST_LINE):
                self._dispatch(protocol.decode(line))
        self._child.stdout.close()
        self._child.kill()  # it may live on with its output closed: then nobody can talk to it
        self._child.wait()
        self._errors.close()
        self._lines.put(None)
        self._ended.set()
        with self._lock:
            self._over = True
            left, self._unanswered = list(self._unanswered.values()), {}
        for pending in left:
            pending.settle(error=self._farewell())

    def _farewell(self) -> EngineError:
        """What those hear who still wait. A Python that never said a word is not worth a second try."""
        if self._silent and not self._greeted:
            return EngineError(
                f"The engine's Python does not answer: {self.python} was silent for {self._silent:.0f} seconds. "
                "Choose another in the preferences of this add-on."
            )
        return EngineDied(self.last_words())

    def _watch(self) -> None:
        """End the child where it is asked something and says nothing for too long.

        Looks are counted, not the time between them, so that a computer that slept does not find everybody dead.
        """
        looks = 0
        between = min(self.patience.start, self.patience.work) / LOOKS
        while not self._ended.wait(between):
            patience = self.patience.work if self._greeted else self.patience.start
            looks = 0 if self._heard or not self._unanswered else looks + 1
            self._heard = False
            if looks * between > patience:
                self._silent = patience
                self._child.kill()
                return
            if self._unanswered and self._greeted and looks < 2:
                self._lines.put(protocol.encode({"id": next(self._numbers), "op": "ping"}))

    def _dispatch(self, message: protocol.Message) -> None:
        number = message["id"]
        self._heard = True
        if "note" in message:
            self._note(str(message["note"]))
            return
        if "progress" in message:
            pending = self._unanswered.get(number)
            if pending is not None:
                pending.progress = (float(message["progress"]), str(message.get("text", "")))
            return
        with self._lock:
            pending = self._unanswered.pop(number, None)
        if pending is None:  # a ping, or somebody who did not wait
            return
        self._greeted = True
        if "error" in message:
            pending.settle(error=protocol.error_from(message["error"]))
        else:
            pending.settle(result=message.get("result"))

    def last_words(self) -> str:
        """A sentence for the artist on an engine that ended, with the last line of its log."""
        words = last_line(self.log)
        reason = f" Its last words: {words}" if words else ""
        what = "stopped unexpectedly"
        if self._silent:
            what = f"did not answer for {self._silent:.0f} seconds and was ended"
        return f"The engine ({self.python}) {what}.{reason} The whole log is in {self.log}."

    def stop(self) -> None:
        """Close the input, which ends the child, and make sure that it ended."""
        self._lines.put(None)
        try:
            self._child.wait(2.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join(2.0)
