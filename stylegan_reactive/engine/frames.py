# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as Blender asks for them: what they depend on, the shared memory they come in, and their way here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import shared_memory
from typing import Any, Protocol

import numpy as np

from ..errors import EngineError, ReactiveError
from ..files import Stamp
from . import protocol
from .process import EngineDied, Pending
from .shared_pixels import reserve

Size = tuple[int, int]
PIXEL_BYTES = 16  # float32 RGBA


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
        A name for whoever asks, such as a scene; the picture does not depend on it. Each has a look-ahead of its own.
    known : dict of str to Stamp, optional
        See `protocol.stamps_of`: a film shows its files as they were when it began, or says that it cannot.
    """

    patch: Mapping[str, Any]
    values: Mapping[str, float]
    size: Size
    fit: str = "stretch"
    quality: float = 1.0
    tag: str = field(default="", compare=False)
    known: dict[str, Stamp] | None = field(default=None, compare=False, repr=False)

    @cached_property
    def files(self) -> list[Stamp]:
        """The files that the patch names, as they were when this was first asked for."""
        return protocol.stamps_of(self.patch, self.known)

    @cached_property
    def patch_key(self) -> str:
        """The patch by its content and its files."""
        return protocol.patch_key(self.patch, self.files)

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Equal for requests that ask for the same picture; a file that was replaced makes it another one."""
        values = tuple(sorted(self.values.items()))
        return (self.patch_key, values, tuple(self.size), self.fit, float(self.quality))

    def variant(self, **changes: Any) -> "FrameRequest":
        """Ask the same patch for other values, another size, fit or quality; its key is worked out once for all."""
        found = {"files": self.files, "patch_key": self.patch_key}
        other = replace(self, **changes)
        other.__dict__.update(found)
        return other

    @property
    def bytes(self) -> int:
        """Size of the picture in memory."""
        return self.size[0] * self.size[1] * PIXEL_BYTES


def reserve_for(request: FrameRequest) -> shared_memory.SharedMemory:
    """Shared memory for a picture; raises `EngineError` where there is none, or where its size is none."""
    width, height = request.size
    if not (1 <= width <= protocol.LARGEST_SIDE and 1 <= height <= protocol.LARGEST_SIDE):
        raise EngineError(
            f"A picture of {width} x {height} pixels cannot be made. Choose 1 to {protocol.LARGEST_SIDE} on each side."
        )
    try:
        return reserve(request.bytes)
    except OSError as fault:
        raise EngineError(
            f"There is no shared memory left for a picture of {width} x {height} pixels ({fault.strerror}). "
            "Close other programs or choose a smaller size."
        ) from fault


class Kitchen(Protocol):
    """Who takes orders: the engine."""

    def submit(self, request: FrameRequest, memory: str, *, ahead: bool) -> tuple[Pending, Pending]:
        """Send a patch, where the engine lacks it, and then a picture: the two answers. Never waits."""

    def forget_patch(self, request: FrameRequest) -> None:
        """The engine does not hold the patch of a request, so it has to be sent again."""

    def take(self, request: FrameRequest) -> shared_memory.SharedMemory:
        """Memory for a picture."""

    def put_back(self, memory: shared_memory.SharedMemory) -> None:
        """Memory that is needed no more."""


class Order:
    """A picture that the engine writes into a piece of shared memory.

    It is asked for again where the engine has let go of the patch meanwhile, and `lives` times where the engine died.
    """

    def __init__(
        self,
        kitchen: Kitchen,
        request: FrameRequest,
        memory: shared_memory.SharedMemory,
        *,
        ahead: bool = False,
        lives: int = 0,
    ) -> None:
        self.request = request
        self.memory = memory
        self.error: ReactiveError | None = None
        self._kitchen = kitchen
        self._ahead = ahead
        self._lives = lives
        self._sendings = 3  # of a patch; an engine without room for a single one would otherwise never end
        self._patch, self._frame = kitchen.submit(request, memory.name, ahead=ahead)

    def done(self) -> bool:
        """Whether the picture is there, or `error` says why not. Never waits."""
        if self.error is not None:
            return True
        if not self._frame.done:
            return False
        error = self._frame.error
        if error is None:
            return True
        if isinstance(error, protocol.PatchLost):
            self._kitchen.forget_patch(self.request)
            if self._patch.error is not None:  # that is why: it was refused
                error = self._patch.error
            elif self._sendings:
                self._sendings -= 1
                return self._again()
        if isinstance(error, EngineDied) and self._lives:
            self._lives -= 1
            return self._again()
        self.error = error
        return True

    def _again(self) -> bool:
        try:
            self._patch, self._frame = self._kitchen.submit(self.request, self.memory.name, ahead=self._ahead)
        except ReactiveError as error:
            self.error = error
        return self.error is not None

    def wait(self, seconds: float) -> None:
        """Wait for the engine's next answer, at most some seconds."""
        self._frame.wait(seconds)

    def cancel(self) -> None:
        """Nobody needs the picture any more. The memory may be used for another picture of this engine at once.

        One that is being painted is written before a later one is begun, and one that waits is never begun.
        """
        self._frame.cancel()

    def picture(self) -> np.ndarray:
        """The pixels, float32 [height, width, 4]; they change when the memory is used again."""
        width, height = self.request.size
        return np.ndarray((height, width, 4), np.float32, self.memory.buf)


@dataclass
class Slot:
    """A piece of shared memory that stays, and whose picture is or will be in it."""

    memory: shared_memory.SharedMemory
    order: Order | None = None
    tag: str = ""  # of the last request

    @property
    def key(self) -> tuple[Any, ...] | None:
        """Of the request that the picture answers."""
        return None if self.order is None else self.order.request.key

    def forget(self) -> None:
        """Let the slot be used for something else."""
        if self.order is not None:
            self.order.cancel()
        self.order = None


class Asked:
    """A picture that somebody asked for and does not wait for: none of its methods waits but `wait`."""

    def __init__(self, kitchen: Kitchen, request: FrameRequest) -> None:
        self.request = request
        self.cancelled = False
        self._kitchen = kitchen
        self._order: Order | None = None
        self._pixels: np.ndarray | None = None
        self._error: ReactiveError | None = None
        try:
            memory = kitchen.take(request)
            try:
                self._order = Order(kitchen, request, memory, ahead=True, lives=1)
            except ReactiveError:
                kitchen.put_back(memory)
                raise
        except ReactiveError as error:
            self._error = error

    def ready(self) -> bool:
        """Whether `pixels` returns or raises at once."""
        return self._order is None or self._order.done()

    def wait(self, seconds: float) -> bool:
        """Wait for the engine's next answer, at most some seconds; whether it is ready. For scripts and tests."""
        if self._order is not None and not self._order.done():
            self._order.wait(seconds)
        return self.ready()

    def pixels(self) -> np.ndarray:
        """The picture, float32 [height, width, 4], scene-linear, bottom row first, in memory of its own.

        Raises
        ------
        ReactiveError
            What was wrong with the request or the engine; that it was cancelled; or that it is not ready yet.
        """
        if self._order is not None:
            if not self._order.done():
                raise EngineError("The picture is not ready yet.")
            self._error = self._order.error
            if self._error is None:
                self._pixels = self._order.picture().copy()
            self._release()
        if self._pixels is not None:
            return self._pixels
        raise self._error or EngineError("The picture was cancelled, because others were wanted more.")

    def cancel(self) -> None:
        """Nobody needs the picture any more; it is not begun if it was not."""
        if self._order is not None:
            self.cancelled = True
            self._order.cancel()
            self._release()

    def _release(self) -> None:
        assert self._order is not None
        self._kitchen.put_back(self._order.memory)
        self._order = None
