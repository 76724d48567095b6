# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a song of any rate and channel count as blocks of mono sound at 44.1 kHz.

A song is never held whole: memory stays the same for a jingle and for an hour. Every way in which a file can fail
ends in a ``SongError`` that says what is wrong and what the artist can do.
"""

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
import soxr
from scipy import signal

from ..errors import SongError

RATE = 44100
"""Samples per second of all sound behind the decoder."""

BLOCK_SECONDS = 4
"""Length of one block. Long enough for fast array code, short enough to cancel between two."""

DIRECT_CURRENT_CUTOFF = 10.0
"""Hz. Below every kick drum; takes away a constant offset, which would otherwise sound like a kick at the start."""

MP3_TOLERANCE = 0.02
"""Share of an MP3 that may be missing before it counts as cut short: headers without a frame count are estimates."""


class SongReader:
    """A song that is open for reading, as a context manager.

    Parameters
    ----------
    path
        A file that libsndfile reads: wav, aiff, flac, ogg, opus, mp3 and others.

    Attributes
    ----------
    rate, channels
        Of the file itself.
    expected_samples
        Length that the header promises, in samples per channel at ``rate``.
    samples_read
        Samples per channel that ``blocks`` has decoded until now.

    Raises
    ------
    SongError
        The file is missing, empty, cut short, or not a song.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _refuse_what_is_no_file(self.path)
        try:
            self._file = soundfile.SoundFile(str(self.path))
        except (soundfile.SoundFileError, OSError, TypeError) as error:
            raise SongError(
                f"“{self.path}” is not a song that can be read ({_reason(error)}). "
                "Choose a wav, flac, ogg, opus or mp3 file, or convert this one."
            ) from error
        self.rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.expected_samples = int(self._file.frames)
        self.samples_read = 0
        if self.expected_samples == 0:
            self._file.close()
            raise SongError(f"“{self.path}” holds no sound: its length is zero. Export the song again.")
        missing = _missing_bytes(self.path)
        if missing > 0:
            self._file.close()
            raise _cut_short(self.path, f"{missing} bytes are missing at its end")

    def __enter__(self) -> "SongReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def duration(self) -> Fraction:
        """Length in seconds, exact; final when ``blocks`` has ended."""
        return Fraction(self.samples_read, self.rate)

    @property
    def progress(self) -> float:
        """Share of the song that has been read, 0 to 1."""
        return min(1.0, self.samples_read / self.expected_samples)

    def blocks(self, *, channels: Callable[[np.ndarray], None] | None = None) -> Iterator[np.ndarray]:
        """Decode the song from its start.

        The resampler is of linear phase and its delay is taken out, so that a sample of the result sounds when the
        sample of the file does. Channels are averaged: stems then sum to their mix.

        Parameters
        ----------
        channels
            Also given each block as it is in the file: float32 [samples, channels] at the file's own ``rate``.

        Yields
        ------
        numpy.ndarray
            float32 [samples], mono at 44.1 kHz, without constant offset. Blocks differ in length and may be empty.

        Raises
        ------
        SongError
            The file ends early, cannot be decoded, or holds samples that are not numbers.
        """
        resampler = soxr.ResampleStream(self.rate, RATE, 1, dtype="float32") if self.rate != RATE else None
        high_pass = _HighPass()
        for mixed in self._mixed(channels):
            yield high_pass(mixed if resampler is None else resampler.resample_chunk(mixed))
        if resampler is not None:
            yield high_pass(resampler.resample_chunk(np.zeros(0, np.float32), last=True))

    def _mixed(self, channels: Callable[[np.ndarray], None] | None) -> Iterator[np.ndarray]:
        while True:
            try:
                block = self._file.read(BLOCK_SECONDS * self.rate, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, OSError) as error:
                raise _cut_short(self.path, f"decoding stopped after {float(self.duration):.1f} s: {error}") from error
            if len(block) == 0:
                break
            mixed = block.mean(axis=1, dtype=np.float32)
            if not np.isfinite(mixed).all():
                where = float(self.duration) + int(np.argmin(np.isfinite(mixed))) / self.rate
                raise SongError(
                    f"“{self.path}” holds samples that are not numbers, the first at {where:.2f} s. "
                    "Export the song again, as 16 or 24 bit."
                )
            self.samples_read += len(block)
            if channels is not None:
                channels(block)
            yield mixed
        tolerance = MP3_TOLERANCE * self.expected_samples if self._file.format == "MP3" else 0
        if self.samples_read == 0 or self.samples_read < self.expected_samples - tolerance:
            promised = self.expected_samples / self.rate
            raise _cut_short(self.path, f"it promises {promised:.1f} s and ends after {float(self.duration):.1f} s")


class _HighPass:
    """First-order high-pass that starts settled on the first sample, so that a constant signal comes out as zero."""

    def __init__(self) -> None:
        self._numerator, self._denominator = signal.butter(1, DIRECT_CURRENT_CUTOFF, "highpass", fs=RATE)
        self._state: np.ndarray | None = None

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if len(samples) == 0:
            return samples
        if self._state is None:
            self._state = signal.lfilter_zi(self._numerator, self._denominator) * float(samples[0])
        filtered, self._state = signal.lfilter(
            self._numerator, self._denominator, samples.astype(np.float64), zi=self._state
        )
        return filtered.astype(np.float32)


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise SongError(f"“{path}” is a folder. Choose a song in it.")
        if not path.exists():
            raise SongError(f"The song “{path}” does not exist. Choose it again: it may have been moved or renamed.")
        if path.stat().st_size == 0:
            raise SongError(f"“{path}” is empty (0 bytes). Export or copy the song again.")
    except (OSError, ValueError) as error:
        raise SongError(f"The song “{path}” cannot be opened ({error}). Choose another file.") from error


def _reason(error: BaseException) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).strip().rstrip(".")


def _cut_short(path: Path, detail: str) -> SongError:
    return SongError(f"“{path}” is cut short or damaged ({detail}). Copy or export the song again.")


def _missing_bytes(path: Path) -> int:
    """Count the bytes that a wav, aiff or ogg file lacks at its end; libsndfile would pass over them in silence.

    Sizes of zero or of all ones are what a program writes that streams and cannot go back: they promise nothing.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] == b"RIFF" or start[:4] == b"FORM":
            sound, order = (b"data", "<I") if start[:4] == b"RIFF" else (b"SSND", ">I")
            while len(header := file.read(8)) == 8:
                length = struct.unpack(order, header[4:])[0]
                if header[:4] == sound:
                    return 0 if length == 0 or length >= 0x7FFFF000 else max(0, file.tell() + length - size)
                file.seek(length + length % 2, 1)
        elif start[:4] == b"OggS":
            file.seek(max(0, size - (1 << 17)))  # a page is at most 65307 bytes: the last one starts in here
            tail = file.read()
            page = tail.rfind(b"OggS")
            if page >= 0 and len(tail) >= page + 27:
                segments = tail[page + 26]
                table = tail[page + 27 : page + 27 + segments]
                return max(0, page + 27 + segments + sum(table) - len(tail))
    return 0
