# SPDX-License-Identifier: GPL-3.0-or-later
"""From a song to its features on video frames: one pass over the sound, then everything from what that pass kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Integral, Rational
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import PatchError, SongError
from .decode import SongReader
from .drawing import Heard, draw
from .feature import DEFAULT_FEATURES, MIX, Feature
from .listening import RHYTHM_NEEDS, RHYTHMIC, SOURCES, Ear, Need, needs
from .metre import BEATS_PER_BAR
from .r128 import integrated_loudness
from .rhythm import DEFAULT_TEMPO, FOUND, Rhythm, RhythmSettings, find_rhythm
from .sections import Section, sections_from_markers
from .structure import Method, find_sections

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and a line for the artist. May raise to cancel."""

NTSC_TOLERANCE = 0.0005
"""A rate this close to 24000/1001 and its kin means them: 23.976, 23.98 (rounded by many programs) and 29.97."""

LARGEST_FPS = 1000


HEARD, RHYTHM = 0.85, 0.95
"""Shares of the work after which everything has been heard, and after which the beat has been found."""


@dataclass(frozen=True)
class SectionSettings:
    """What the artist knows of the song's form.

    Attributes
    ----------
    kinds
        How many kinds of section, 1 or more; none: as many as the song shows.
    method
        ``laplacian``: by what repeats. ``novelty``: where the sound changes most.
    shortest_bars
        Fewest bars in a section.
    markers
        Seconds and label of each section's start, where the artist has set them; nothing is looked for then.
    """

    kinds: int | None = None
    method: Method = "laplacian"
    shortest_bars: int = 4
    markers: tuple[tuple[float, str], ...] = ()

    def __post_init__(self) -> None:
        if self.kinds is not None and not _is_count(self.kinds):
            raise SongError(f"A song cannot have {self.kinds!r} kinds of section. Choose a whole number, 1 or more.")
        if not _is_count(self.shortest_bars):
            raise SongError(f"A section cannot last {self.shortest_bars!r} bars. Choose a whole number, 1 or more.")


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


AS_HEARD = SectionSettings()
"""Everything as the song shows it."""


@dataclass(frozen=True)
class Analysis:
    """What was heard in a song, on the frames of a video.

    The value at index ``i`` is what sounds from ``i / fps`` to ``(i + 1) / fps``; index 0 is the song's first frame.

    Attributes
    ----------
    features
        Text of the feature, as ``feature.Feature`` writes it → float32 [frames] or [frames, columns], in the unit
        that ``feature.KINDS`` names.
    beats, downbeats
        In seconds: float64 [beats], [downbeats]. Empty unless a feature was asked for that needs them, such as bars.
    tempo
        Beats per minute; 120 where no beat was found or looked for.
    duration
        Of the song, in seconds.
    fps
        The video's rate.
    frames
        Length of the video: the smallest number of frames that holds the whole song.
    beats_per_bar
        The metre; a single bar may be shorter or longer.
    beat_confidence, bar_confidence
        How sure the beats are, and the bars if the beats are right: 0 to 1.
    sections
        Of the song, in order and without gaps; empty where they were not looked for.
    loudness
        Of the whole song after EBU R128, in LUFS; none unless a feature was asked for that needs it.
    """

    features: Mapping[str, np.ndarray]
    beats: np.ndarray
    downbeats: np.ndarray
    tempo: float
    duration: float
    fps: Fraction
    frames: int
    beats_per_bar: int = BEATS_PER_BAR
    beat_confidence: float = 0.0
    bar_confidence: float = 0.0
    sections: tuple[Section, ...] = ()
    loudness: float | None = None

    def __getitem__(self, name: str | Feature) -> np.ndarray:
        """Return one feature by name, or one column of it (``chroma.0``); KeyError names those that exist."""
        if str(name) in self.features:
            return self.features[str(name)]
        try:
            feature = name if isinstance(name, Feature) else Feature.parse(name)
            values = self.features[str(feature.whole)]
            return values if feature.part is None else values[:, feature.part]
        except (PatchError, KeyError, IndexError):
            raise KeyError(f"No feature “{name}”; there are {', '.join(sorted(self.features))}.") from None

    def with_features_of(self, other: "Analysis") -> "Analysis":
        """Join what was heard in the same song, on the same frames, at two times."""
        own_rhythm = any(needs_rhythm(Feature.parse(name)) for name in self.features)
        rhythm = self if own_rhythm else other
        return Analysis(
            features=MappingProxyType({**other.features, **self.features}),
            beats=rhythm.beats,
            downbeats=rhythm.downbeats,
            tempo=rhythm.tempo,
            duration=self.duration,
            fps=self.fps,
            frames=self.frames,
            beats_per_bar=rhythm.beats_per_bar,
            beat_confidence=rhythm.beat_confidence,
            bar_confidence=rhythm.bar_confidence,
            sections=self.sections or other.sections,
            loudness=other.loudness if self.loudness is None else self.loudness,
        )


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let NumPy's matrix products use one thread, where threadpoolctl (which librosa brings) is there to say so.

    Those of a song are small: several threads spend as much time again on waiting for each other, and their number
    would decide about the last bits.
    """
    try:
        import threadpoolctl
    except ImportError:
        yield
        return
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        yield


@one_blas_thread()
def analyse(
    path: str | Path,
    fps: int | float | Fraction,
    features: str | Feature | Iterable[str | Feature] | None = None,
    *,
    stems: Mapping[str, str | Path] | None = None,
    offset: float | Fraction = 0.0,
    duration: float | Fraction | None = None,
    rhythm: RhythmSettings = FOUND,
    form: SectionSettings = AS_HEARD,
    progress: Progress | None = None,
) -> Analysis:
    """Listen to a song and return its features on the frames of a video.

    Parameters
    ----------
    path
        A song: wav, flac, ogg, opus, mp3, m4a; any rate and number of channels.
    fps
        Frames per second. Floats next to an NTSC rate (23.976, 29.97, 59.94) stand for that rate exactly.
    features
        What to listen for, one or several, as ``feature.Feature`` reads it: ``"onset@60-250"``, ``"drums:rms~2"``.
        Nothing else is computed. None: ``feature.DEFAULT_FEATURES``.
    stems
        Name → file of a part of the song that starts with it. Sources that are not among them are looked for in the
        mix, by what strikes or rings and by their band; those that can be are ``listening.SOURCES``.
    offset, duration
        Which part of the song, in seconds: from where, and how much of it; None: to its end. Frame 0 is its start.
    rhythm
        What the artist knows better: tempo, metre, where bars begin, taps.
    form
        What the artist knows of the song's sections.
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
    PatchError
        A feature does not exist, or its stem does not; or the sections cannot be as ``form`` says.

    Examples
    --------
    >>> analysis = analyse("song.ogg", fps=30)  # doctest: +SKIP
    >>> analysis["kick"].shape == (analysis.frames,)  # doctest: +SKIP
    True
    """
    rate, stems = exact_fps(fps), dict(stems or {})
    asked = (features,) if isinstance(features, str | Feature) else features
    wanted = _wanted(DEFAULT_FEATURES if asked is None else asked, stems)
    tell = progress or (lambda fraction, text: None)
    name = Path(path).name
    files = {MIX: path, **{feature.source: stems[feature.source] for feature in wanted if feature.source in stems}}
    kept: dict[str, Mapping[Need, Any]] = {}
    lasts: dict[str, Fraction] = {}
    for number, (source, file) in enumerate(files.items()):
        there = [
            need for feature in wanted if _file_of(feature, stems) == source for need in needs(_alone(feature, stems))
        ]

        def tell_part(part: float, before: int = number) -> None:
            tell(HEARD * (before + part) / len(files), f"Listening to {name}")

        kept[source], lasts[source] = _listen(SongReader(file, offset, duration), there, tell_part)
    length = lasts[MIX]
    frames = -(-length.numerator * rate.numerator // (length.denominator * rate.denominator))  # rounded up
    found = None
    if any(needs_rhythm(feature) for feature in wanted):
        tell(HEARD, "Finding the beat")
        novelty, circle, energy = (kept[MIX][need] for need in RHYTHM_NEEDS)

        def tell_search(part: float) -> None:
            tell(HEARD + (RHYTHM - HEARD) * part, "Finding the beat")

        found = find_rhythm(novelty, circle, energy, rhythm, tell_search)
    sections: tuple[Section, ...] = ()
    if form.markers:
        times, labels = [time for time, _ in form.markers], [label for _, label in form.markers]
        sections = sections_from_markers(times, labels, float(length))
    elif found and Need("timbre") in kept[MIX]:
        sections = find_sections(
            kept[MIX][Need("timbre")],
            circle,
            found,
            float(length),
            kinds=form.kinds,
            method=form.method,
            shortest_bars=form.shortest_bars,
        )
    tell(RHYTHM, "Drawing the envelopes")
    songs = {source: Heard(part, found, sections, rate, frames) for source, part in kept.items()}
    drawn = {str(feature): draw(_alone(feature, stems), songs[_file_of(feature, stems)]) for feature in wanted}
    weighted = kept[MIX].get(Need("loudness"))
    found = found or Rhythm(DEFAULT_TEMPO, np.zeros(0), np.zeros(0))
    tell(1.0, f"{name}: {float(length):.1f} s, {found.tempo:.1f} BPM")
    return Analysis(
        features=MappingProxyType(drawn),
        beats=found.beats,
        downbeats=found.downbeats,
        tempo=found.tempo,
        duration=float(length),
        fps=rate,
        frames=frames,
        beats_per_bar=found.beats_per_bar,
        beat_confidence=found.confidence,
        bar_confidence=found.bar_confidence,
        sections=sections,
        loudness=None if weighted is None else integrated_loudness(weighted),
    )


def needs_rhythm(feature: Feature) -> bool:
    """Whether beats have to be found for a feature."""
    return feature.kind in RHYTHMIC


def _wanted(features: Iterable[str | Feature], stems: Mapping[str, object]) -> tuple[Feature, ...]:
    """What is to be drawn, whole and each once; PatchError for a source that is nowhere."""
    if MIX in stems:
        raise PatchError("No stem can be called “mix”: that is the song itself. Rename the stem.")
    wanted = dict.fromkeys((f if isinstance(f, Feature) else Feature.parse(f)).whole for f in features)
    for feature in wanted:
        if feature.source not in stems and feature.source not in SOURCES:
            there = ", ".join(dict.fromkeys((*SOURCES, *stems)))
            raise PatchError(f"“{feature}”: there is no stem “{feature.source}”. There are {there}.")
    return tuple(wanted)


def _file_of(feature: Feature, stems: Mapping[str, object]) -> str:
    """Name of the file in which a feature is heard."""
    return feature.source if feature.source in stems else MIX


def _alone(feature: Feature, stems: Mapping[str, object]) -> Feature:
    """The feature as it is called in its own file, where a stem is the mix."""
    return replace(feature, source=MIX) if feature.source in stems else feature


def _listen(
    reader: SongReader, wanted: Iterable[Need], tell: Callable[[float], None]
) -> tuple[Mapping[Need, Any], Fraction]:
    """Hear one file from its start to its end: what the streams have kept, and how long it lasts in seconds."""
    with reader as song:
        tell(0.0)
        ear = Ear(wanted, song.rate, song.channels)
        for block in song.blocks(channels=ear.feed_channels if ear.hears_channels else None):
            ear.feed(block)
            tell(song.progress)
        return ear.finish(), song.duration


def exact_fps(fps: int | float | Fraction) -> Fraction:
    """Frames per second as a fraction: 29.97 becomes 30000/1001.

    Raises
    ------
    SongError
        Not a number from 0.001 to 1000.
    """
    try:
        rate = Fraction(fps) if isinstance(fps, Rational) else Fraction(float(fps))
    except (TypeError, ValueError, OverflowError):
        rate = Fraction(0)
    if not Fraction(1, LARGEST_FPS) <= rate <= LARGEST_FPS:
        raise SongError(f"{fps} is not a frame rate. Choose 0.001 to {LARGEST_FPS} frames per second.")
    if not isinstance(fps, Rational) and rate.denominator != 1:
        ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
        if ntsc > 0 and abs(rate / ntsc - 1) < NTSC_TOLERANCE:
            return ntsc
        return rate.limit_denominator(100000)
    return rate
