# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as Blender sees it: started when first needed, restarted when it died, asked for songs and pictures.

Only NumPy and the standard library are needed here. Pictures come through shared memory, in a few slots, so that the
next frames can be computed while the caller still uses this one.
"""

import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EngineError, ReactiveError
from . import protocol
from .frames import Asked, FrameRequest, Order, Slot, reserve_for
from .process import EngineDied, Patience, Pending, Process
from .protocol import Settings
from .shared_pixels import give_back, remove_abandoned

__all__ = ["Asked", "Engine", "EngineDied", "FrameRequest", "Patience", "Pending", "Progress", "Settings"]

FRAME_SECONDS = 600.0
MOST_ASKED = 16  # pictures that are asked for and not fetched; beyond, the oldest are cancelled
THUMBNAILS = 4  # in one request
MOST_TAGS = 6  # scenes that are rendered together
SPARE = 4  # pieces of shared memory that are kept for the next pictures
REMEMBERED_PATCHES = 64
REMEMBERED_INCIDENTS = 16

Progress = Callable[[float, str], None]


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
        Pictures that can be under way or in use at once in `picture`, for each tag: this one and the look-ahead.
    settings : Settings
        Limits and folders; `configure` changes them.
    patience : Patience
        How long the engine may be silent before it is ended.
    incidents : deque of str
        What went wrong and was mended without anybody having to do anything, the last ones: sentences for the artist.
    incidents_met : int
        How many of them there have been in all.
    """

    python: str
    device: str = "auto"
    log_folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    slots: int = 3
    settings: Settings = field(default_factory=Settings)
    patience: Patience = field(default_factory=Patience)
    incidents: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED_INCIDENTS), init=False)
    incidents_met: int = field(default=0, init=False)
    starts: int = field(default=0, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)  # of what follows; never held to wait
    _drawing: threading.RLock = field(default_factory=threading.RLock, init=False)  # held by whoever waits in `picture`
    _closed: bool = field(default=False, init=False)
    _process: Process | None = field(default=None, init=False)
    _greeting: Pending | None = field(default=None, init=False)
    _sent: OrderedDict[str, Pending] = field(default_factory=OrderedDict, init=False)
    _pool: list[Slot] = field(default_factory=list, init=False)
    _tags: OrderedDict[str, None] = field(default_factory=OrderedDict, init=False)
    _spare: list[shared_memory.SharedMemory] = field(default_factory=list, init=False)
    _asked: deque[Asked] = field(default_factory=deque, init=False)

    # Life of the process

    @property
    def running(self) -> bool:
        """Whether the child process is there."""
        process = self._process
        return process is not None and process.alive

    @property
    def pid(self) -> int | None:
        """The child's process number, None while there is no child."""
        process = self._process
        return process.pid if process is not None and process.alive else None

    def start(self) -> protocol.Hello:
        """Start the child where it does not run, wait for it, and return what it says of itself.

        Raises
        ------
        EngineError
            The Python cannot be started, lacks a package, or has no such device.
        """
        with self._lock:
            if self._greeting is not None and self._greeting.done and self._greeting.error is not None:
                self.stop()  # what was wrong may have been mended
            process = self.launch()
            greeting = self._greeting
        assert greeting is not None
        try:
            answer = greeting.result()  # or an error, once the patience has an end
            if not isinstance(answer, dict) or answer.get("protocol") != protocol.PROTOCOL:
                raise EngineError("The engine belongs to another version of the add-on. Restart Blender.")
            return protocol.understood(lambda: protocol.Hello(**answer))
        except BaseException:
            with self._lock:
                if self._process is process:
                    self.stop()
            raise

    def launch(self) -> Process:
        """The child, started where it does not run, without waiting until it can answer.

        An error of its start, such as a package that is missing, is then the answer to whatever it is asked first.

        Raises
        ------
        EngineError
            The Python cannot be started.
        """
        with self._lock:
            if self._process is not None and self._process.alive:
                return self._process
            self.stop()
            if self._closed:
                raise EngineError("The engine was closed. Try again.")
            self.starts += 1
            remove_abandoned()
            process = Process(self.python, self.log_folder, self.patience, self._met)
            self._process = process
            self._greeting = process.ask(
                "hello", protocol=protocol.PROTOCOL, device=self.device, settings=asdict(self.settings)
            )
            return process

    def configure(self, settings: Settings) -> None:
        """Change limits and folders, at once and for every later start. Does not wait."""
        with self._lock:
            if settings != self.settings:
                self.settings = settings
                if self._process is not None and self._process.alive:
                    self._process.ask("settings", settings=asdict(settings))

    def stop(self) -> None:
        """End the child and forget what was sent to it; the slots stay."""
        with self._lock:
            process, self._process, self._greeting = self._process, None, None
            self._sent.clear()
            for slot in self._pool:
                slot.order = None
        if process is not None:
            process.stop()

    def close(self) -> None:
        """End the child for good and give back the shared memory."""
        self._closed = True
        self.stop()
        with self._drawing, self._lock:
            while self._asked:
                self._asked.pop().cancel()
            while self._pool:
                give_back(self._pool.pop().memory)
            while self._spare:
                give_back(self._spare.pop())

    def _again_if_it_died(self, action: Callable[[], Any]) -> Any:
        """Run an action; once more, on a fresh engine, where the engine died meanwhile."""
        try:
            return action()
        except EngineDied as death:
            if self._closed:
                raise
            self.stop()
            result = action()
            self._met(f"{death} It was started again, and nothing was lost.")
            return result

    def _met(self, incident: str) -> None:
        """Note something that went wrong and was mended."""
        self.incidents.append(incident)
        self.incidents_met += 1

    def _call(self, op: str, progress: Progress | None, **fields: Any) -> Any:
        """Ask and wait, telling `progress` how far it is."""

        def once() -> Any:
            self.start()
            pending = self.launch().ask(op, **fields)
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
        found = self._call("song", None, song=song)
        return protocol.understood(lambda: {str(name): float(value) for name, value in found.items()})

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
            What is known of the sections: ``kinds``, ``method``, ``shortest_bars``, and ``markers``
            as [seconds, label], as in `audio.SectionSettings`.
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
        return protocol.understood(lambda: protocol.Analysed.of(result))

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
        return self.launch().ask("separate", song=song, folder=folder, model=model, weights=weights, online=online)

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
        key = protocol.patch_key(patch)
        found = self._call("patch", progress, key=key, patch=dict(patch))
        return protocol.understood(lambda: protocol.NetworkFacts.of(found))

    def read_patch(self, text: str) -> dict[str, Any]:
        """The text of a patch as plain data of today's version; raises `PatchError` with the line of what is wrong."""
        found = self._call("read_patch", None, text=text)
        return protocol.understood(lambda: dict(found["patch"]))

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
        tell, pictures = progress or (lambda share, text: None), []
        for start in range(0, len(latents), THUMBNAILS):  # other pictures are made between two such requests
            tell(start / len(latents), "Painting thumbnails")
            some = list(latents[start : start + THUMBNAILS])
            found = self._call("thumbnails", None, checkpoint=checkpoint, label=label, latents=some, size=int(size))
            shape = (len(some), size, size, 4)
            pictures.append(protocol.understood(lambda found=found, shape=shape: _pictures(found["pictures"], shape)))  # type: ignore[misc]
        return np.concatenate([np.zeros((0, size, size, 4), np.uint8), *pictures])

    def count_latents(self, checkpoint: str, file: str, space: str) -> int:
        """How many latents a file holds that a network can show; raises `CheckpointError` where they do not fit."""
        found = self._call("latents", None, checkpoint=checkpoint, file=file, space=space)
        return protocol.understood(lambda: int(found["count"]))

    def unload(self) -> None:
        """Let go of networks and caches, so that their memory is free for others; they come back when needed."""
        if self.running:
            self._call("unload", None)

    def report(self, seconds: float = 2.0, progress: Progress | None = None) -> protocol.Report:
        """What the engine is and holds, and how fast it paints; `seconds` of a test, 0 for none."""
        found = self._call("report", progress, seconds=seconds)
        return protocol.understood(lambda: protocol.Report.of(found))

    def ask(self, request: FrameRequest) -> Asked:
        """Begin to make a picture, for previews. Returns at once, whatever the engine does, and never raises.

        What was asked for last is made first, and after what `picture` waits for. Whoever needs a picture no more
        cancels it; of too many that nobody fetches the oldest are cancelled.
        """
        asked = Asked(self, request)
        with self._lock:
            self._asked.append(asked)
            while len(self._asked) > MOST_ASKED:
                self._asked.popleft().cancel()
        return asked

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
            Scene-linear RGBA, bottom row first, in shared memory: valid until the next call with this tag.

        Raises
        ------
        ReactiveError
            What was wrong with the patch, a value, or the engine.
        """
        with self._drawing:
            return self._again_if_it_died(lambda: self._picture(request, tuple(upcoming)))  # type: ignore[no-any-return]

    def _picture(self, request: FrameRequest, upcoming: Sequence[FrameRequest]) -> np.ndarray:
        self.start()
        ahead = list(upcoming)[: self.slots - 1]
        wanted = {request.key, *(guess.key for guess in ahead)}
        for slot in self._pool:
            if slot.tag == request.tag and slot.key not in wanted:
                slot.forget()
        self._free_the_idle(request.tag)
        slot = self._slot_for(request)
        for guess in ahead:
            try:
                self._slot_for(guess)
            except EngineDied:
                raise
            except ReactiveError:
                break  # said when its turn comes
        order, end = slot.order, time.monotonic() + FRAME_SECONDS
        if order is None:  # the engine was stopped by somebody else meanwhile
            raise EngineDied("The engine was stopped.")
        while not order.done():
            if time.monotonic() > end:
                self.stop()
                raise EngineError(
                    f"The engine took longer than {FRAME_SECONDS / 60:.0f} minutes for one picture and was stopped. "
                    "Choose a smaller network, or another device in the preferences of this add-on."
                )
            order.wait(end - time.monotonic())
        if order.error is not None:
            slot.order = None
            raise order.error
        return order.picture()

    def _slot_for(self, request: FrameRequest) -> Slot:
        """The slot where a picture is, or will be written."""
        for slot in self._pool:
            if slot.key == request.key and slot.tag == request.tag:
                return slot
        slot = self._free_slot(request)
        slot.tag = request.tag
        slot.order = Order(self, request, slot.memory)
        return slot

    def _free_the_idle(self, tag: str) -> None:
        """Of many who ask, the look-ahead of those who did so longest ago is taken away."""
        self._tags.pop(tag, None)
        self._tags[tag] = None
        while len(self._tags) > MOST_TAGS:
            oldest, _ = self._tags.popitem(last=False)
            for slot in self._pool:
                if slot.tag == oldest:
                    slot.forget()

    def _free_slot(self, request: FrameRequest) -> Slot:
        """A slot that is large enough and not wanted."""
        free = [slot for slot in self._pool if slot.order is None]
        for slot in free:
            if slot.memory.size >= request.bytes:
                return slot
        for slot in free[:1]:  # too small
            self._pool.remove(slot)
            self.put_back(slot.memory)
        self._pool.append(Slot(self.take(request)))
        return self._pool[-1]

    # For orders: see `frames.Kitchen`

    def submit(self, request: FrameRequest, memory: str, *, ahead: bool) -> tuple[Pending, Pending]:
        with self._lock:
            process, key = self.launch(), request.patch_key
            patch = self._sent.get(key)
            if patch is None or patch.error is not None:
                patch = process.ask("patch", key=key, patch=dict(request.patch), files=request.files)
            self._sent[key] = patch
            self._sent.move_to_end(key)
            while len(self._sent) > REMEMBERED_PATCHES:
                self._sent.popitem(last=False)
            frame = process.ask(
                "frame",
                patch=key,
                values=dict(request.values),
                size=list(request.size),
                fit=request.fit,
                quality=request.quality,
                slot=memory,
                ahead=ahead,
            )
            return patch, frame

    def forget_patch(self, request: FrameRequest) -> None:
        with self._lock:
            self._sent.pop(request.patch_key, None)

    def take(self, request: FrameRequest) -> shared_memory.SharedMemory:
        with self._lock:
            for index, memory in enumerate(self._spare):
                if request.bytes <= memory.size <= 4 * request.bytes:
                    return self._spare.pop(index)
        return reserve_for(request)

    def put_back(self, memory: shared_memory.SharedMemory) -> None:
        with self._lock:
            self._spare.append(memory)
            while len(self._spare) > (0 if self._closed else SPARE):
                give_back(self._spare.pop(0))

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until nothing that was asked for ahead is under way; for measurements and tests."""
        end = time.monotonic() + seconds
        orders = [slot.order for slot in self._pool if slot.order is not None]
        for order in orders:
            while not order.done() and time.monotonic() < end:
                order.wait(max(0.0, end - time.monotonic()))
        return all(order.done() for order in orders)


def _pictures(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """Pictures from an answer."""
    return np.frombuffer(protocol.unpack_bytes(text), np.uint8).reshape(shape)
