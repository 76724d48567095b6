# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a song of any rate and channel count as blocks of mono sound at 44.1 kHz.

A song is never held whole: memory stays the same for a jingle and for an hour. Every way in which a file can fail
ends in a ``SongError`` that says what is wrong and what the artist can do.
"""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
import soxr
from scipy import signal

from ..errors import SongError
from .sound_file import cut_short, open_sound

RATE = 44100
"""Samples per second of all sound behind the decoder."""

BLOCK_SECONDS = 4
"""Length of one block. Long enough for fast array code, short enough to cancel between two."""

LARGEST_BLOCK = 1 << 21
"""Values in one block, all channels together: 8 MB, so that 32 channels at 192 kHz cost no more than stereo."""

LOUDEST = 1e5
"""Amplitude, where 1 is full scale. Some programs write 32768 for it; what lies beyond is damage and may overflow."""

DIRECT_CURRENT_CUTOFF = 10.0
"""Hz. Below every kick drum; takes away a constant offset, which would otherwise sound like a kick at the start."""


class SongReader:
    """A song that is open for reading, as a context manager.

    Parameters
    ----------
    path
        A sound file: wav, aiff, flac, ogg, opus, mp3 and others; with the package ``av`` also m4a and aac.
    offset
        Seconds into the file at which the song starts, kept to the sample.
    duration
        Seconds that are read from there, kept to the sample; none, or more than there are: to the end.

    Attributes
    ----------
    rate, channels
        Of the file itself.
    expected_samples
        Length of what will be read as the header promises it, in samples per channel at ``rate``.
    samples_read
        Samples per channel that ``blocks`` has decoded until now.

    Raises
    ------
    SongError
        The file is missing, empty, cut short, copy-protected or not a song, or nothing of it lies in the range.

    Examples
    --------
    >>> with SongReader("song.m4a", offset=60.0, duration=30.0) as song:  # doctest: +SKIP
    ...     sound = np.concatenate(list(song.blocks()))
    """

    def __init__(
        self, path: str | Path, offset: float | Fraction = 0.0, duration: float | Fraction | None = None
    ) -> None:
        self.path = Path(path)
        start = _seconds(offset, "An offset", 0.0)
        length = None if duration is None else _seconds(duration, "A duration", math.ulp(0.0))
        self._file = open_sound(self.path)
        self.rate, self.channels = self._file.rate, self._file.channels
        self._first = math.floor(start * self.rate + Fraction(1, 2))
        self._most = None if length is None else max(1, math.floor(length * self.rate + Fraction(1, 2)))
        self.expected_samples = self._file.expected_samples - self._first
        if self.expected_samples <= 0:
            self._file.close()
            whole = self._file.expected_samples / self.rate
            raise SongError(f"“{self.path}” lasts {whole:.2f} s: nothing is left from {float(start):g} s on.")
        if self._most is not None:
            self.expected_samples = min(self.expected_samples, self._most)
        self.samples_read = 0

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
        """Decode the song from its start, or from the offset.

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
        for block in self.channel_blocks():
            if channels is not None:
                channels(block)
            mixed = block.mean(axis=1, dtype=np.float32)
            yield high_pass(mixed if resampler is None else resampler.resample_chunk(mixed))
        if resampler is not None:
            yield high_pass(resampler.resample_chunk(np.zeros(0, np.float32), last=True))

    def channel_blocks(self) -> Iterator[np.ndarray]:
        """Decode the song as it is in the file: float32 [samples, channels] at its own rate; raises as ``blocks``."""
        longest = max(1, min(BLOCK_SECONDS * self.rate, LARGEST_BLOCK // self.channels))
        skipped = self._first if self._first and self._file.skip(self._first) else 0
        while self._most is None or self.samples_read < self._most:
            left = self._first - skipped
            wanted = left or (longest if self._most is None else self._most - self.samples_read)
            block = self._read(min(longest, wanted))
            if len(block) == 0:
                break
            if left:
                skipped += len(block)
                continue
            self._check(block)
            self.samples_read += len(block)
            yield block
        whole = self._file.expected_samples
        complete = self.samples_read == self._most or skipped + self.samples_read >= whole - self._file.tolerance
        if self.samples_read == 0 or not complete:
            ending = float(Fraction(skipped, self.rate) + self.duration)
            raise cut_short(self.path, f"it promises {whole / self.rate:.1f} s and ends after {ending:.1f} s")

    def _read(self, samples: int) -> np.ndarray:
        try:
            return self._file.read(samples)
        except ValueError as error:
            raise cut_short(self.path, f"decoding stopped after {float(self.duration):.1f} s: {error}") from error

    def _check(self, block: np.ndarray) -> None:
        bad = ~(np.abs(block) <= LOUDEST).all(axis=1)  # also true where there is no number at all
        if bad.any():
            where = float(self.duration) + int(np.argmax(bad)) / self.rate
            kind = "far too loud" if np.isfinite(block).all() else "not numbers"
            raise SongError(
                f"“{self.path}” holds samples that are {kind}, the first at {where:.2f} s. "
                "Export the song again, as 16 or 24 bit."
            )


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


def _seconds(value: float | Fraction, what: str, least: float) -> Fraction:
    """A time as a fraction; raises SongError where it is none."""
    try:
        seconds = value if isinstance(value, Fraction) else Fraction(float(value))
    except (TypeError, ValueError, OverflowError):
        seconds = Fraction(-1)
    if seconds < Fraction(least):
        raise SongError(
            f"{what} of {value} is not a time in a song. Give seconds, {'0 or more' if least == 0 else 'above 0'}."
        )
    return seconds
