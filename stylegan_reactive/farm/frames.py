# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames as farms speak of them: ranges such as ``1-50,60``, the chunks of a task, and the files that they become."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ReactiveError

_PART = re.compile(r"\s*(-?\d+)\s*(?:(?:-|\.\.)\s*(-?\d+)\s*)?")
MOST_FRAMES = 10_000_000  # a range beyond this is a slip of the keyboard


class FrameRangeError(ReactiveError):
    """A range of frames cannot be read."""


def frames_in(text: str) -> list[int]:
    """The frames of a range such as ``1-50``, ``7``, ``1..50`` or ``1-3,8``, each once and in order.

    Raises
    ------
    FrameRangeError
        It is no range, or runs backwards.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise FrameRangeError(f"{text!r} is no range of frames. Write it as 1-50, or 1-50,60.")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if not 0 <= last - first < MOST_FRAMES:
            raise FrameRangeError(f"The range {part.strip()!r} does not run from a smaller frame to a larger one.")
        found.update(range(first, last + 1))
    return sorted(found)


def runs_of(frames: Iterable[int], step: int = 1) -> Iterator[tuple[int, int]]:
    """First and last of each row of frames that follow each other by `step`, for frames in order."""
    first = last = None
    for frame in frames:
        if last is not None and first is not None and frame != last + step:
            yield first, last
            first = frame
        elif first is None:
            first = frame
        last = frame
    if first is not None and last is not None:
        yield first, last


@dataclass(frozen=True)
class FilmRange:
    """The frames of a film: from `first` to `last`, every `step`-th of them.

    Open Job Description names a chunk by its first frame; `chunk` says which frames of the film that means.
    """

    first: int
    last: int
    step: int = 1

    def frames(self) -> range:
        """All of them."""
        return range(self.first, self.last + 1, self.step)

    def chunk(self, start: int, size: int) -> list[int]:
        """The film's frames among the `size` frames from `start` on."""
        return [frame for frame in self.frames() if start <= frame < start + size]

    def among(self, wanted: Iterable[int]) -> list[int]:
        """Those of some frames that belong to the film, in order."""
        film = self.frames()
        return [frame for frame in sorted(set(wanted)) if frame in film]


@dataclass(frozen=True)
class FrameFiles:
    """The finished frames of a film in their folder: ``frame_000042.png``.

    A frame is first written to a folder of its worker's own and then renamed, so one that is here is whole.
    """

    folder: Path
    ending: str  # with the dot

    def path(self, frame: int) -> Path:
        """Where a frame lies when it is finished."""
        return self.folder / f"frame_{frame:06d}{self.ending}"

    def missing(self, frames: Iterable[int]) -> list[int]:
        """Those frames that are not there yet."""
        present = {entry.name for entry in self.folder.iterdir()} if self.folder.is_dir() else set()
        return [frame for frame in frames if self.path(frame).name not in present]

    def bytes_of(self, frames: Sequence[int]) -> int:
        """Bytes that those frames take which are there."""
        return sum(path.stat().st_size for path in map(self.path, frames) if path.is_file())
