# SPDX-License-Identifier: GPL-3.0-or-later
"""From a song to its features on video frames: one pass over the sound, then everything from what that pass kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..errors import SongError
from .attack import DifferenceStream
from .chroma import PitchStream, chroma_envelope
from .decode import SongReader
from .loudness import EnergyStream, rms_envelope
from .onset import NoveltyStream, find_hits, pool_maximum
from .rhythm import bars_curve, find_rhythm, frame_times
from .spectrum import PITCH, TIMING, SpectrumStream

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and a line for the artist. May raise to cancel."""

NTSC_TOLERANCE = 0.0005
"""A rate this close to 24000/1001 and its kin means them: 23.976, 23.98 (rounded by many programs) and 29.97."""

LARGEST_FPS = 1000


@dataclass(frozen=True)
class Analysis:
    """What was heard in a song, on the frames of a video.

    The value at index ``i`` is what sounds from ``i / fps`` to ``(i + 1) / fps``; index 0 is the song's first frame.

    Attributes
    ----------
    features
        Name → float32 [frames] (``chroma``: [frames, 12]): ``onset``, ``kick``, ``snare``, ``hats``, ``rms`` (0 to 1),
        ``chroma`` (C first, rows sum to one), ``bars`` (bar number plus phase) and ``seconds`` at the frame's start.
    beats, downbeats
        In seconds: float64 [beats], [downbeats].
    tempo
        Beats per minute; 120 where no beat was found.
    duration
        Of the song, in seconds.
    fps
        The video's rate.
    frames
        Length of the video: the smallest number of frames that holds the whole song.
    """

    features: Mapping[str, np.ndarray]
    beats: np.ndarray
    downbeats: np.ndarray
    tempo: float
    duration: float
    fps: Fraction
    frames: int

    def __getitem__(self, name: str) -> np.ndarray:
        """Return one feature by name; KeyError names those that exist."""
        try:
            return self.features[name]
        except KeyError:
            raise KeyError(f"No feature “{name}”; there are {', '.join(sorted(self.features))}.") from None


def analyse(path: str | Path, fps: int | float | Fraction, *, progress: Progress | None = None) -> Analysis:
    """Listen to a song and return its features on the frames of a video.

    Parameters
    ----------
    path
        A song: wav, flac, ogg, opus, mp3; any rate and number of channels.
    fps
        Frames per second. Floats next to an NTSC rate (23.976, 29.97, 59.94) stand for that rate exactly.
    progress
        Told how far the work is; an exception from it ends the analysis and passes through.

    Returns
    -------
    Analysis
        All values are finite, whatever the song.

    Raises
    ------
    SongError
        The song cannot be read, or ``fps`` is not a rate.

    Examples
    --------
    >>> analysis = analyse("song.ogg", fps=30)  # doctest: +SKIP
    >>> analysis["kick"].shape == (analysis.frames,)  # doctest: +SKIP
    True
    """
    rate = exact_fps(fps)
    tell = progress or (lambda fraction, text: None)
    name = Path(path).name
    with SongReader(path) as song:
        tell(0.0, f"Listening to {name}")
        timing, pitch = SpectrumStream(TIMING), SpectrumStream(PITCH)
        novelty_stream, pitch_stream = NoveltyStream(), PitchStream()
        energy_stream, difference_stream = EnergyStream(), DifferenceStream()
        for block in song.blocks():
            novelty_stream.feed(timing.feed(block))
            pitch_stream.feed(pitch.feed(block))
            energy_stream.feed(block)
            difference_stream.feed(block)
            tell(0.85 * song.progress, f"Listening to {name}")
        duration = song.duration
    tell(0.85, "Finding the beat")
    frames = -(-duration.numerator * rate.numerator // (duration.denominator * rate.denominator))  # rounded up
    novelty, circle = novelty_stream.result(), pitch_stream.result()
    rhythm = find_rhythm(novelty, circle)
    tell(0.95, "Drawing the envelopes")
    hits = find_hits(novelty, difference_stream.result())
    features = {name: pool_maximum(of_drum, rate, frames) for name, of_drum in hits.items()}
    features["rms"] = rms_envelope(energy_stream.result(), rate, frames)
    features["chroma"] = chroma_envelope(circle, rate, frames)
    features["bars"] = bars_curve(rhythm.downbeats, rhythm.tempo, rate, frames)
    features["seconds"] = frame_times(rate, frames).astype(np.float32)
    tell(1.0, f"{name}: {float(duration):.1f} s, {rhythm.tempo:.1f} BPM")
    return Analysis(
        features=MappingProxyType(features),
        beats=rhythm.beats,
        downbeats=rhythm.downbeats,
        tempo=rhythm.tempo,
        duration=float(duration),
        fps=rate,
        frames=frames,
    )


def exact_fps(fps: int | float | Fraction) -> Fraction:
    """Frames per second as a fraction: 29.97 becomes 30000/1001.

    Raises
    ------
    SongError
        Not a number above zero and at most 1000.
    """
    try:
        rate = Fraction(fps) if isinstance(fps, Rational) else Fraction(float(fps))
    except (TypeError, ValueError, OverflowError):
        rate = Fraction(0)
    if not 0 < rate <= LARGEST_FPS:
        raise SongError(f"{fps} is not a frame rate. Choose one above 0 and at most {LARGEST_FPS} frames per second.")
    if not isinstance(fps, Rational) and rate.denominator != 1:
        ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
        if ntsc > 0 and abs(rate / ntsc - 1) < NTSC_TOLERANCE:
            return ntsc
        return rate.limit_denominator(100000)
    return rate
