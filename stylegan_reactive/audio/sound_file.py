# SPDX-License-Identifier: GPL-3.0-or-later
"""Open a sound file of any format and read its samples, in order, as they are in the file.

libsndfile (wav, aiff, flac, ogg, opus, mp3, ...) reads what it knows. What it does not know (m4a, aac, the sound of
an mp4 or webm) is read by PyAV where that is installed. Both leave out the samples that an encoder puts before the
song, as Blender's own decoder does, so that a sound has the same date in all three.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile

from ..errors import SongError

RATES = (1000, 768000)
"""Lowest and highest sample rate, in Hz, that is taken for a song's; beyond, a header is damaged."""

MOST_CHANNELS = 256
"""More than any format for music has (22.2 has 24, Ambisonics of the 15th order 256)."""

LOSSY_TOLERANCE = (0.02, 4096)
"""What may be missing of an MP3, m4a or such before it counts as cut short, as a share and in samples: some headers
are estimates, and some count the samples that encoders add at both ends."""

LONGEST_ATOM = 1 << 24
"""Bytes of an MP4's table of contents that are searched for a mark of copy protection."""


class SoundFile(Protocol):
    """A sound file that is open for reading.

    Attributes
    ----------
    rate, channels
        As the header says.
    expected_samples
        Length that the header promises, in samples per channel.
    tolerance
        Samples by which the header may be wrong.
    """

    rate: int
    channels: int
    expected_samples: int
    tolerance: int

    def read(self, samples: int) -> np.ndarray:
        """Decode on: float32 [samples, channels], empty at the end; raises ValueError where it cannot."""

    def skip(self, samples: int) -> bool:
        """Go on to a sample, exactly; false where only decoding leads there."""

    def close(self) -> None:
        """Give the file back."""


def open_sound(path: Path) -> SoundFile:
    """Open a sound file.

    Raises
    ------
    SongError
        It is missing, empty, cut short, copy-protected, no sound, or needs a package that is not installed.
    """
    _refuse_what_is_no_file(path)
    demuxer = _demuxer(path)
    if demuxer == "mov" and _is_protected(path):
        raise SongError(
            f"“{path}” is copy-protected (DRM), so that only the shop's own player can read it. "
            "Choose a copy without protection, such as a wav, flac or mp3 file."
        )
    sound: SoundFile = _Packets(path, demuxer) if demuxer else _Sndfile(path)
    try:
        if sound.expected_samples <= 0:
            raise SongError(f"“{path}” holds no sound: its length is zero. Export the song again.")
        if sound.channels <= 0:
            raise SongError(f"“{path}” holds no sound: it has no channels. Export the song again.")
        if not RATES[0] <= sound.rate <= RATES[1] or sound.channels > MOST_CHANNELS:
            raise SongError(
                f"“{path}” is not a song that can be read: it claims {sound.channels} channels at {sound.rate} Hz. "
                "Export the song again, in stereo at 44100 Hz."
            )
        if missing := _missing_bytes(path):
            raise cut_short(path, f"{missing} bytes are missing at its end")
    except BaseException:
        sound.close()
        raise
    return sound


def cut_short(path: Path, detail: str) -> SongError:
    """The error for a file that ends before its song does."""
    return SongError(f"“{path}” is cut short or damaged ({detail}). Copy or export the song again.")


class _Sequential(soundfile.SoundFile):
    """Is never told to seek by soundfile itself, which would do so after every block: MP3 and streamed FLAC suffer."""

    def seekable(self) -> bool:
        return False


class _Sndfile:
    """What libsndfile reads."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = _Sequential(str(path))
        except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
            raise _not_a_song(path, error) from error
        self.rate, self.channels = int(self._file.samplerate), int(self._file.channels)
        self.expected_samples = int(self._file.frames)
        if self.expected_samples >= 1 << 62:  # libsndfile's word for a FLAC that was streamed without a length
            try:
                self.expected_samples = sum(iter(lambda: len(self.read(1 << 18)), 0))
                self._file.close()
                self._file = _Sequential(str(path))
            except (ValueError, soundfile.SoundFileError) as error:
                self._file.close()
                raise cut_short(path, str(error)) from error
        self.tolerance = _tolerance(self.expected_samples) if self._file.format == "MP3" else 0

    def read(self, samples: int) -> np.ndarray:
        try:
            return self._file.read(samples, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            raise ValueError(_reason(error)) from error

    def skip(self, samples: int) -> bool:
        if self._file.format not in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "FLAC"):
            return False
        try:
            return bool(self._file.seek(samples) == samples)
        except (soundfile.SoundFileError, OSError):
            return False

    def close(self) -> None:
        self._file.close()


class _Packets:
    """What PyAV reads, with one demuxer and no other, so that no file can name another file or an address."""

    def __init__(self, path: Path, demuxer: str) -> None:
        try:
            import av
        except ImportError as error:
            raise SongError(
                f"“{path.name}” is an {path.suffix.lstrip('.') or 'AAC'} file, which needs the package “av”. "
                "Install it in the engine's Python (pip install av), or export the song as wav, flac or mp3."
            ) from error
        self._error = av.error.FFmpegError
        self._bytes = path.stat().st_size
        self._demuxer = demuxer
        self._file = path.open("rb")
        try:
            stream = self._open_stream(av)
            if stream is None:
                raise SongError(f"“{path}” holds no sound. Choose a song, or export this film's sound as wav.")
            self.rate, self.channels = int(stream.rate or 0), int(stream.codec_context.channels or 0)
            self.expected_samples = self._length(av, stream)
            if demuxer == "aac":  # the packets have been counted: from the start again
                self._container.close()
                self._file.seek(0)
                stream = self._open_stream(av)
        except (self._error, OSError, ValueError, AttributeError, TypeError, ArithmeticError) as error:
            self.close()
            raise _not_a_song(path, error) from error
        except SongError:
            self.close()
            raise
        self.tolerance = _tolerance(self.expected_samples)
        self._frames = self._decode(stream)
        self._waiting: list[np.ndarray] = []
        self._handed_out = 0

    def _open_stream(self, av: Any) -> Any:
        """Open the container and return its first stream of sound, or None."""
        self._container = av.open(self._file, format=self._demuxer)
        return next(iter(self._container.streams.audio), None)

    def _length(self, av: Any, stream: Any) -> int:
        """Samples per channel that the header promises."""
        if self._demuxer == "aac":  # bare packets without a header: what their number promises is exact
            ticks = sum(packet.duration or 0 for packet in self._container.demux(stream))
            return round(ticks * stream.time_base * self.rate)
        if stream.duration and stream.time_base:
            return round(stream.duration * stream.time_base * self.rate)
        return round((self._container.duration or 0) * self.rate / av.time_base)

    def _decode(self, stream: Any) -> Iterator[np.ndarray]:
        for count, packet in enumerate(self._container.demux(stream)):
            if count > self._bytes:  # every packet has a byte at least: a table that goes in circles
                raise ValueError("its table of contents has no end")
            for frame in packet.decode():
                yield _samples_of(frame, self.channels)

    def read(self, samples: int) -> np.ndarray:
        if self._demuxer == "mov":  # which knows its length: what follows was added to fill the last packet
            samples = min(samples, self.expected_samples - self._handed_out)
        have = sum(map(len, self._waiting))
        try:
            while have < samples and (frame := next(self._frames, None)) is not None:
                self._waiting.append(frame)
                have += len(frame)
        except (self._error, OSError, IndexError, OverflowError) as error:
            raise ValueError(_reason(error)) from error
        sound = np.concatenate([np.zeros((0, self.channels), np.float32), *self._waiting])
        self._waiting = [sound[samples:]] if len(sound) > samples else []
        self._handed_out += len(sound[:samples])
        return sound[:samples]

    def skip(self, samples: int) -> bool:
        return False

    def close(self) -> None:
        if container := getattr(self, "_container", None):
            container.close()
        self._file.close()


def _samples_of(frame: Any, channels: int) -> np.ndarray:
    """One decoded frame as float32 [samples, channels]."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    if values.shape[1] != channels:
        raise ValueError(f"it changes from {channels} to {values.shape[1]} channels")
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32) / np.float32(-float(np.iinfo(values.dtype).min))
    return values.astype(np.float32)


def _demuxer(path: Path) -> str | None:
    """The demuxer for a file that libsndfile does not know, from its first bytes; none for all others."""
    with path.open("rb") as file:
        start = file.read(12)
        if start[:3] == b"ID3" and len(start) >= 10:
            file.seek(10 + sum((byte & 127) << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=True)))
            start = file.read(12)
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free"):
        return "mov"
    if start[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if start[:4] == b"0&\xb2u":
        return "asf"
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:  # ADTS: a layer of zero, unlike MP3
        return "aac"
    return None


def _is_protected(path: Path) -> bool:
    """Whether an MP4's table of contents marks the sound as encrypted (iTunes: drms; common encryption: enca)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 0
        while position + 8 <= size:
            file.seek(position)
            header = file.read(16)
            length, kind = struct.unpack(">I4s", header[:8])
            if length == 1 and len(header) == 16:
                length = struct.unpack(">Q", header[8:])[0]
            elif length == 0:
                length = size - position
            if kind == b"moov":
                file.seek(position)
                table = file.read(min(length, LONGEST_ATOM))
                return b"drms" in table or (b"enca" in table and b"sinf" in table)
            if length < 8:
                return False
            position += length
    return False


def _tolerance(samples: int) -> int:
    share, least = LOSSY_TOLERANCE
    return max(least, round(share * samples))


def _not_a_song(path: Path, error: BaseException) -> SongError:
    return SongError(
        f"“{path}” is not a song that can be read ({_reason(error)}). "
        "Choose a wav, flac, ogg, opus, mp3 or m4a file, or convert this one."
    )


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise SongError(f"“{path}” is a folder. Choose a song in it.")
        if not path.exists():
            raise SongError(f"The song “{path}” does not exist. Choose it again: it may have been moved or renamed.")
        if not path.is_file():
            raise SongError(f"“{path}” is not a file. Choose a song.")
        if path.stat().st_size == 0:
            raise SongError(f"“{path}” is empty (0 bytes). Export or copy the song again.")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise SongError(f"The song “{path}” cannot be opened ({error}). Choose another file.") from error


def _reason(error: BaseException) -> str:
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return str(text).strip().rstrip(".")


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
