# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as Blender sees it: started when first needed, restarted when it died, asked for songs and pictures.

Only NumPy and the standard library are needed here. Pictures come through shared memory, in a few slots, so that the
next frames can be computed while the caller still uses this one.
"""

import contextlib
import itertools
import os
import subprocess
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EngineError, PatchError, ReactiveError
from . import protocol

MAIN = Path(__file__).with_name("__main__.py")
HELLO_SECONDS = 180.0  # a cold disk and a virus scanner can make the first import of torch this slow
FRAME_SECONDS = 600.0

Progress = Callable[[float, str], None]
Size = tuple[int, int]


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
            with contextlib.suppress(EngineError):
                self._process.send({"id": self.number, "op": "cancel", "target": self.number})

    def settle(self, result: Any = None, error: ReactiveError | None = None) -> None:
        """Called by the reader of the pipe."""
        self._result, self._error = result, error
        self._done.set()


class Process:
    """One life of the child process: its pipe, the thread that reads it, and what is still unanswered."""

    def __init__(self, python: str, log: Path) -> None:
        self.python = python
        self.log = log
        self._numbers = itertools.count(1)
        self._unanswered: dict[int, Pending] = {}
        self._lock = threading.Lock()
        self._errors = log.open("wb")
        try:
            self._child = subprocess.Popen(
                [python, "-I", str(MAIN)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows would open a console
            )
        except OSError as fault:
            self._errors.close()
            raise EngineError(
                f"The engine's Python cannot be started: {python} ({fault.strerror or fault}). "
                "Choose another in the preferences of this add-on."
            ) from fault
        self._reader = threading.Thread(target=self._read, name="engine answers", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._child.poll() is None

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._child.pid

    def ask(self, op: str, **fields: Any) -> Pending:
        """Send a request; raises `EngineDied` where the child is gone."""
        pending = Pending(next(self._numbers), self)
        with self._lock:
            self._unanswered[pending.number] = pending
        try:
            self.send({"id": pending.number, "op": op, **fields})
        except ReactiveError:
            with self._lock:
                self._unanswered.pop(pending.number, None)
            raise
        return pending

    def send(self, message: protocol.Message) -> None:
        """Write one line; raises `EngineDied` where nobody reads it any more."""
        try:
            line = protocol.encode(message)
        except ValueError as fault:
            raise PatchError(
                "A value that goes to the engine is not a finite number. Look for a curve or a setting without bounds."
            ) from fault
        assert self._child.stdin is not None
        try:
            with self._lock:
                self._child.stdin.write(line)
                self._child.stdin.flush()
        except (OSError, ValueError) as fault:
            raise EngineDied(self.last_words()) from fault

    def _read(self) -> None:
        assert self._child.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            while line := self._child.stdout.readline(protocol.LONGEST_LINE):
                self._dispatch(protocol.decode(line))
        self._child.stdout.close()
        self._child.kill()  # it may live on with its output closed: then nobody can talk to it
        self._child.wait()
        self._errors.close()
        with self._lock:
            left, self._unanswered = list(self._unanswered.values()), {}
        for pending in left:
            pending.settle(error=EngineDied(self.last_words()))

    def _dispatch(self, message: protocol.Message) -> None:
        number = message["id"]
        if "progress" in message:
            pending = self._unanswered.get(number)
            if pending is not None:
                pending.progress = (float(message["progress"]), str(message.get("text", "")))
            return
        with self._lock:
            pending = self._unanswered.pop(number, None)
        if pending is None:
            return
        if "error" in message:
            pending.settle(error=protocol.error_from(message["error"]))
        else:
            pending.settle(result=message.get("result"))

    def last_words(self) -> str:
        """A sentence for the artist on an engine that ended, with the last line of its log."""
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        reason = f" Its last words: {lines[-1].strip()[:200]}" if lines else ""
        return f"The engine ({self.python}) stopped unexpectedly.{reason} The whole log is in {self.log}."

    def stop(self) -> None:
        """Close the input, which ends the child, and make sure that it ended."""
        with contextlib.suppress(OSError, ValueError):
            assert self._child.stdin is not None
            self._child.stdin.close()
        try:
            self._child.wait(2.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join(2.0)


@dataclass(frozen=True)
class FrameRequest:
    """Everything that a picture depends on.

    Attributes
    ----------
    patch : dict
        The patch as JSON data (see the choreography room).
    values : dict of str to float
        The envelopes at this frame, and numbers of the patch that are animated, by their dotted path.
    size : (int, int)
        Width and height of the picture in pixels.
    fit : str
        One of `protocol.FITS`: how the network's picture comes into a size of another shape.
    quality : float
        One of `protocol.QUALITIES`: less than 1 is a preview, made as cheaply as possible, in the size asked for.
    tag : str
        A name for whoever asks; the picture does not depend on it.
    """

    patch: Mapping[str, Any]
    values: Mapping[str, float]
    size: Size
    fit: str = "stretch"
    quality: float = 1.0
    tag: str = field(default="", compare=False)

    @cached_property
    def patch_key(self) -> str:
        """The patch by its content."""
        return protocol.patch_key(dict(self.patch))

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Equal for requests that ask for the same picture."""
        return (self.patch_key, tuple(sorted(self.values.items())), tuple(self.size), self.fit, self.quality)


def reserve(size: int) -> shared_memory.SharedMemory:
    """Shared memory that is really there; raises OSError where it is not.

    Linux only notes a size, and a process that then writes where nothing is left is ended by a signal.
    """
    memory = shared_memory.SharedMemory(create=True, size=size)
    file = getattr(memory, "_fd", -1)
    if file >= 0 and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
        except OSError:
            memory.close()
            memory.unlink()
            raise
    return memory


@dataclass
class Slot:
    """A piece of shared memory that holds one picture, and what was asked to be written there."""

    memory: shared_memory.SharedMemory
    key: tuple[Any, ...] | None = None
    pending: Pending | None = None

    def picture(self, size: Size) -> np.ndarray:
        """The pixels in the slot, float32 [height, width, 4]; they change when the slot is used again."""
        width, height = size
        return np.ndarray((height, width, 4), np.float32, self.memory.buf)

    def forget(self) -> None:
        """Let the slot be used for something else."""
        if self.pending is not None:
            self.pending.cancel()
        self.key = self.pending = None

    def close(self) -> None:
        """Give the memory back."""
        with contextlib.suppress(BufferError):  # somebody still looks at the pixels: freed with the last look
            self.memory.close()
        with contextlib.suppress(FileNotFoundError):
            self.memory.unlink()


class Asked:
    """A picture that somebody asked for and does not wait for."""

    def __init__(self, engine: "Engine", request: FrameRequest) -> None:
        self.request = request
        self._engine = engine
        self._done = threading.Event()
        self._cancelled = False
        self._pixels: np.ndarray | None = None
        self._error: ReactiveError | None = None
        threading.Thread(target=self._run, name="picture", daemon=True).start()

    def _run(self) -> None:
        try:
            with self._engine._asking:
                if not self._cancelled:
                    self._pixels = self._engine.picture(self.request).copy()
        except ReactiveError as error:
            self._error = error
        finally:
            self._done.set()

    def ready(self) -> bool:
        """Whether `pixels` returns or raises at once."""
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait up to some seconds; whether it is ready. For scripts and tests."""
        return self._done.wait(seconds)

    def pixels(self) -> np.ndarray:
        """The picture, as from `Engine.picture`, in memory of its own.

        Raises
        ------
        ReactiveError
            What was wrong with the request or the engine; that it was cancelled; or that it is not ready yet.
        """
        if self._error is not None:
            raise self._error
        if self._pixels is None:
            raise EngineError("The picture was cancelled." if self._cancelled else "The picture is not ready yet.")
        return self._pixels

    def cancel(self) -> None:
        """Nobody needs the picture any more."""
        self._cancelled = True


@dataclass
class Engine:
    """The engine, by the name of the Python that runs it.

    Parameters
    ----------
    python : str
        Path of a Python that has torch and the other packages of the engine.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    log_folder : path, optional
        Where the child's log is written; a temporary folder by default.
    slots : int
        Pictures that can be under way or in use at once: this one and the look-ahead.
    """

    python: str
    device: str = "auto"
    log_folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    slots: int = 3
    starts: int = field(default=0, init=False)
    _starting: threading.RLock = field(default_factory=threading.RLock, init=False)
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False)
    _closed: bool = field(default=False, init=False)
    _process: Process | None = field(default=None, init=False)
    _hello: protocol.Hello | None = field(default=None, init=False)
    _sent: OrderedDict[str, None] = field(default_factory=OrderedDict, init=False)
    _pool: list[Slot] = field(default_factory=list, init=False)

    # Life of the process

    @property
    def running(self) -> bool:
        """Whether the child process is there."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int | None:
        """The child's process number, None while there is no child."""
        return self._process.pid if self._process is not None and self._process.alive else None

    def start(self) -> protocol.Hello:
        """Start the child where it does not run, and return what it says of itself.

        Raises
        ------
        EngineError
            The Python cannot be started, lacks a package, or has no such device.
        """
        with self._starting:
            return self._hello if self.running and self._hello is not None else self._start()

    def _start(self) -> protocol.Hello:
        self.stop()
        if self._closed:
            raise EngineError("The engine was closed. Try again.")
        self.starts += 1
        process = Process(self.python, self.log_folder / f"stylegan_reactive_engine_{os.getpid()}.log")
        self._process = process  # before it has answered, so that `close` can end it
        try:
            answer = process.ask("hello", protocol=protocol.PROTOCOL, device=self.device).result(HELLO_SECONDS)
            if not isinstance(answer, dict) or answer.get("protocol") != protocol.PROTOCOL:
                raise EngineError("The engine belongs to another version of the add-on. Restart Blender.")
            self._hello = protocol.Hello(**answer)
        except BaseException:
            self.stop()
            raise
        return self._hello

    def stop(self) -> None:
        """End the child and forget what was sent to it; the slots stay."""
        process, self._process, self._hello = self._process, None, None
        self._sent.clear()
        for slot in self._pool:
            slot.key = slot.pending = None
        if process is not None:
            process.stop()

    def close(self) -> None:
        """End the child for good and give back the shared memory."""
        self._closed = True
        self.stop()
        while self._pool:
            self._pool.pop().close()

    def _again_if_it_died(self, action: Callable[[], Any]) -> Any:
        """Run an action; once more, on a fresh engine, where the engine died meanwhile."""
        try:
            return action()
        except EngineDied:
            if self._closed:
                raise
            self.stop()
            return action()

    def _call(self, op: str, progress: Progress | None, **fields: Any) -> Any:
        """Ask and wait, telling `progress` how far it is."""

        def once() -> Any:
            self.start()
            assert self._process is not None
            pending = self._process.ask(op, **fields)
            while not pending.wait(0.1):
                if progress is not None:
                    try:
                        progress(*pending.progress)
                    except BaseException:
                        pending.cancel()
                        raise
            return pending.result()

        return self._again_if_it_died(once)

    # Songs

    def song(self, song: str) -> dict[str, float]:
        """A song's ``duration`` in seconds, ``sample_rate`` and ``channels``; raises `SongError`."""
        return dict(self._call("song", None, song=song))

    def analyse(
        self,
        song: str,
        fps: Fraction,
        recipes: Sequence[Mapping[str, Any]],
        *,
        offset: float = 0.0,
        duration: float | None = None,
        rhythm: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        stems: str | Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> protocol.Analysed:
        """A song's envelopes by their recipes, see the audio room.

        Parameters
        ----------
        song : str
        fps : Fraction
        recipes : sequence of dict
        offset, duration : float
            Which part of the song, in seconds: from where, and how much of it; None: to its end. All times that come
            back, and those in `rhythm`, count from the start of that part.
        rhythm : dict, optional
            What is known of the beat: ``beats_per_bar``, ``bar_offset``, ``fixed_bpm``, ``first_beat``, ``speed``,
            ``taps``, as in `audio.RhythmSettings`. What is not named is found.
        form : dict, optional
            What is known of the sections: ``kinds``, ``method``, ``shortest_bars``, as in `audio.SectionSettings`.
        stems : str or dict, optional
            A folder with the song's stems, or name → file. None, or an empty text: none.
        progress : callable, optional
            Called with a fraction and a text some times a second; an exception from it cancels.

        Raises
        ------
        SongError
            The song or a stem cannot be read, or what is said of the beat cannot be.
        PatchError
            A recipe, or a value in `rhythm`, `form` or `stems`, does not exist or is of the wrong kind.
        """
        result = self._call(
            "analyse",
            progress,
            song=song,
            fps=[fps.numerator, fps.denominator],
            recipes=[dict(recipe) for recipe in recipes],
            offset=offset,
            duration=duration,
            rhythm=None if rhythm is None else dict(rhythm),
            form=None if form is None else dict(form),
            stems=stems if stems is None or isinstance(stems, str) else dict(stems),
        )
        return protocol.Analysed(
            envelopes={name: protocol.unpack(text) for name, text in result["envelopes"].items()},
            frames=int(result["frames"]),
            duration=float(result["duration"]),
            tempo=float(result["tempo"]),
            beats=np.array(result["beats"], np.float64),
            downbeats=np.array(result["downbeats"], np.float64),
            beats_per_bar=int(result["beats_per_bar"]),
            beat_confidence=float(result["beat_confidence"]),
            bar_confidence=float(result["bar_confidence"]),
            sections=tuple((float(start), float(end), str(label)) for start, end, label in result["sections"]),
            loudness=None if result["loudness"] is None else float(result["loudness"]),
        )

    def separate(
        self, song: str, folder: str, *, model: str = "htdemucs", weights: str | None = None, online: bool = False
    ) -> Pending:
        """Begin to make stems of a song by a network; pictures are made meanwhile, and separations one after another.

        Parameters
        ----------
        song : str
        folder : str
            Where stems, and downloaded weights, are kept: the next time they are there at once.
        model : str
            A name in `audio.neural.MODELS`.
        weights : str, optional
            A file or folder with the network's weights; none: the published ones.
        online : bool
            Whether weights may be downloaded.

        Returns
        -------
        Pending
            Its result is ``{"stems": {name: path}}``, or raises `SongError`; it has ``progress`` and ``cancel``.
        """
        self.start()
        assert self._process is not None
        return self._process.ask("separate", song=song, folder=folder, model=model, weights=weights, online=online)

    # Pictures

    def check_patch(self, patch: Mapping[str, Any], progress: Progress | None = None) -> protocol.NetworkFacts:
        """Load a patch, its network and all else that it needs, so that its first picture comes at once.

        Parameters
        ----------
        patch : dict
            As JSON data.
        progress : callable, optional
            Told the share that is done and a text; an exception from it ends the work and passes through.

        Raises
        ------
        ReactiveError
            What is wrong with the patch, the network, or a file that it names.
        """
        key = protocol.patch_key(dict(patch))
        facts = self._call("patch", progress, key=key, patch=dict(patch))
        self._note_sent(key)
        return protocol.NetworkFacts.of(facts)

    def read_patch(self, text: str) -> dict[str, Any]:
        """The text of a patch as plain data of today's version; raises `PatchError` with the line of what is wrong."""
        return dict(self._call("read_patch", None, text=text)["patch"])

    def thumbnails(
        self,
        checkpoint: str,
        label: int,
        latents: Sequence[Any],
        size: int,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Small pictures of latents.

        Parameters
        ----------
        checkpoint, label
            As in a patch: the network, and its class.
        latents : sequence
            As in a patch: seeds, and objects for latents in files; one picture for each.
        size : int
            Width and height in pixels.
        progress : callable, optional
            As for `check_patch`.

        Returns
        -------
        uint8 array [n, size, size, 4]
            sRGB with straight alpha, top row first.
        """
        found = self._call(
            "thumbnails", progress, checkpoint=checkpoint, label=label, latents=list(latents), size=int(size)
        )
        pictures = np.frombuffer(protocol.unpack_bytes(found["pictures"]), np.uint8)
        return pictures.reshape(len(latents), size, size, 4)

    def unload(self) -> None:
        """Let go of networks and caches, so that their memory is free for others; they come back when needed."""
        if self.running:
            self._call("unload", None)
            self._sent.clear()

    def report(self, seconds: float = 2.0, progress: Progress | None = None) -> protocol.Report:
        """What the engine is and holds, and how fast it paints; `seconds` of a test, 0 for none."""
        return protocol.Report.of(self._call("report", progress, seconds=seconds))

    def ask(self, request: FrameRequest) -> "Asked":
        """Begin to make a picture, without waiting: for previews. Returns at once, whatever the engine does.

        What was asked for last is made first. Whoever needs a picture no more cancels it.
        """
        return Asked(self, request)

    def _note_sent(self, key: str) -> None:
        """Remember which patches the engine holds, in the order in which it lets go of them."""
        self._sent[key] = None
        self._sent.move_to_end(key)
        while len(self._sent) > protocol.KEPT_PATCHES:
            self._sent.popitem(last=False)

    def picture(self, request: FrameRequest, upcoming: Iterable[FrameRequest] = ()) -> np.ndarray:
        """The picture of a request, while the engine goes on with those that will probably be asked for next.

        Parameters
        ----------
        request : FrameRequest
        upcoming : iterable of FrameRequest
            In the order of need; as many as there are free slots are computed. They are guesses: a wrong one costs
            time, never a wrong picture.

        Returns
        -------
        float32 array [height, width, 4]
            Scene-linear RGBA, bottom row first, in shared memory: valid until the next call.

        Raises
        ------
        ReactiveError
            What was wrong with the patch, a value, or the engine.
        """
        return self._again_if_it_died(lambda: self._picture(request, tuple(upcoming)))  # type: ignore[no-any-return]

    def _picture(self, request: FrameRequest, upcoming: Sequence[FrameRequest]) -> np.ndarray:
        self.start()
        ahead = list(upcoming)[: self.slots - 1]
        wanted = {request.key, *(guess.key for guess in ahead)}
        for slot in self._pool:
            if slot.key not in wanted:
                slot.forget()
        slot = self._order(request)
        for guess in ahead:
            try:
                self._order(guess)
            except EngineDied:
                raise
            except ReactiveError:
                break  # said when its turn comes
        assert slot.pending is not None
        if not slot.pending.wait(FRAME_SECONDS):
            self.stop()
            raise EngineError(
                f"The engine took longer than {FRAME_SECONDS / 60:.0f} minutes for one picture and was stopped. "
                "Choose a smaller network, or another device in the preferences of this add-on."
            )
        try:
            slot.pending.result()
        except BaseException:
            slot.forget()
            raise
        return slot.picture(request.size)

    def _order(self, request: FrameRequest) -> Slot:
        """The slot where a picture is, or will be written."""
        for slot in self._pool:
            if slot.key == request.key:
                return slot
        slot = self._free_slot(request.size)
        key = request.patch_key
        assert self._process is not None
        if key not in self._sent:
            self._process.ask("patch", key=key, patch=dict(request.patch)).result(FRAME_SECONDS)
        self._note_sent(key)
        slot.pending = self._process.ask(
            "frame",
            patch=key,
            values=dict(request.values),
            size=list(request.size),
            fit=request.fit,
            quality=request.quality,
            slot=slot.memory.name,
        )
        slot.key = request.key
        return slot

    def _free_slot(self, size: Size) -> Slot:
        """A slot that is large enough and not wanted. The engine works in order, so a late write is overwritten."""
        needed = size[0] * size[1] * 4 * 4
        for slot in self._pool:
            if slot.key is None and slot.memory.size >= needed:
                return slot
        for index, slot in enumerate(self._pool):
            if slot.key is None:  # too small
                self._pool.pop(index).close()
                break
        try:
            memory = reserve(needed)
        except OSError as fault:
            raise EngineError(
                f"There is no shared memory left for a picture of {size[0]} x {size[1]} pixels ({fault.strerror}). "
                "Close other programs or choose a smaller size."
            ) from fault
        self._pool.append(Slot(memory))
        return self._pool[-1]

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until nothing that was asked for ahead is under way; for measurements and tests."""
        end = time.monotonic() + seconds
        return all(s.pending is None or s.pending.wait(max(0.0, end - time.monotonic())) for s in self._pool)
