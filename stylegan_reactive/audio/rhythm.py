# SPDX-License-Identifier: GPL-3.0-or-later
"""Tempo, beats, downbeats, metre, and the position in bars; found, or as the artist says.

``hits`` draws everything that starts on a scale of time, ``tempo`` chooses the pulse that is the beat, ``beats``
follows it with a hidden Markov model, ``grid`` dates the beats by their attacks, and ``metre`` counts the bars.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Integral, Real

import numpy as np
from scipy import ndimage

from ..errors import SongError
from .beats import STEPS, steady_grid, strongest_near, track
from .grid import TAP_JITTER, attacks_of_beats, even_grid, fit_taps, straighten
from .hits import Heard, listen
from .metre import BEATS_PER_BAR, METRES, Bars, better_start, count_bars, gather
from .onset import Novelty
from .sections import TOUCHES
from .tempo import Candidate, beat_odds, find_candidates, follow_further

DEFAULT_TEMPO = 120.0
"""BPM of a song in which no beat is found."""

SHORTEST = 2.0
"""Seconds; in less there is no beat to be heard."""

FEWEST_HITS = 4
"""In a song, and on the beats, for there to be a beat."""

CHANCE, CLEAR = 0.2, 0.5
"""Mean strength at the beats, above that everywhere: a path through hits without any order reaches 0.1 to 0.33, one
through hits with a beat 0.4 to 0.8."""

CHANCE_OF_GRID, CLEAR_GRID = 0.1, 0.3
"""The same where all beats are of one length: hits without order have no such grid, chords in every other bar do."""

BEGINS, ENDS = 0.1, 0.25
"""Shares of a usual beat's strength with which the first beat and the last are heard: music begins softly, and what
rings at its end is no beat."""

ALONE = 2
"""Beats around a soft one that must hold another, or it is no beat: keys that are released after the end are heard."""

TAP_REACH = 1.1
"""How much the song's tempo may differ from the tapped one."""

TAPS_TOGETHER = 4
"""Steps between taps of which the mean tells the tempo there."""

TAP_SUPPORT = 6.0
"""What a beat gains from a tap; a strong hit is worth 4."""


@dataclass(frozen=True)
class Rhythm:
    """The song's grid in time.

    Attributes
    ----------
    tempo
        Beats per minute: of the typical beat.
    beats, downbeats
        Times in seconds, float64 [beats] and [downbeats]; empty in a song without beats. Each downbeat is a beat.
    beats_per_bar
        The metre. A single bar may be shorter or longer: what counts are the downbeats.
    confidence
        How sure the beats are, 0 to 1: the tempo is not twice or half of it, and something starts at most of them.
    bar_confidence
        How sure metre and downbeats are, 0 to 1, if the beats are right.
    """

    tempo: float
    beats: np.ndarray
    downbeats: np.ndarray
    beats_per_bar: int = BEATS_PER_BAR
    confidence: float = 0.0
    bar_confidence: float = 0.0


@dataclass(frozen=True)
class RhythmSettings:
    """What the artist knows better.

    Attributes
    ----------
    beats_per_bar
        1 to 32; found where it is None.
    bar_offset
        Beats by which bars begin later (or, if negative, earlier) than found.
    fixed_bpm
        The exact tempo of music made by a machine; the beats then are an even grid over the whole song.
    first_beat
        Seconds at which some beat of that grid lies; the best is found where it is None.
    speed
        2 counts twice as fast as found (double time), 0.5 half as fast (half time); bars keep their number of beats.
    taps
        Seconds at which the artist tapped the beat along with the song; any part of it.
    """

    beats_per_bar: int | None = None
    bar_offset: int = 0
    fixed_bpm: float | None = None
    first_beat: float | None = None
    speed: float = 1.0
    taps: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        if not isinstance(self.bar_offset, Integral):
            raise SongError(f"Bars cannot begin {self.bar_offset} beats later; give a whole number.")
        if self.beats_per_bar is not None and not (
            isinstance(self.beats_per_bar, Integral) and 1 <= self.beats_per_bar <= 32
        ):
            raise SongError(f"{self.beats_per_bar} beats per bar is no metre; give 1 to 32.")
        if self.fixed_bpm is not None and not (_is_number(self.fixed_bpm) and 10.0 <= self.fixed_bpm <= 1000.0):
            raise SongError(f"{self.fixed_bpm} BPM is no tempo; give 10 to 1000.")
        if self.first_beat is not None and not (_is_number(self.first_beat) and np.isfinite(self.first_beat)):
            raise SongError(f"The first beat cannot lie at {self.first_beat} seconds; give a time in the song.")
        if self.first_beat is not None and self.fixed_bpm is None:
            raise SongError("A first beat counts only with a fixed tempo; give fixed_bpm as well, or taps instead.")
        if self.speed not in (0.5, 1.0, 2.0):
            raise SongError(f"The beat cannot be counted {self.speed} times as fast; give 0.5, 1 or 2.")
        taps = self.taps.tolist() if isinstance(self.taps, np.ndarray) else self.taps
        if not isinstance(taps, tuple | list) or not all(_is_number(tap) and np.isfinite(tap) for tap in taps):
            raise SongError("Taps are times in seconds, and one of these is none; tap again.")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


FOUND = RhythmSettings()
"""Everything as it is heard."""


def find_rhythm(
    novelty: Novelty,
    circle: np.ndarray,
    energy: np.ndarray | None = None,
    settings: RhythmSettings = FOUND,
    tell: Callable[[float], None] = lambda part: None,
) -> Rhythm:
    """Find tempo, beats, metre and downbeats.

    Parameters
    ----------
    novelty
        Onset strength of the song, as ``NoveltyStream`` gives it.
    circle
        Strength around the pitch circle, as ``PitchStream`` gives it.
    energy
        Of the waveform's first difference, as ``attack.DifferenceStream`` gives it: dates the beats to the millisecond.
    settings
        The artist's corrections.
    tell
        Called with the share that is done, 0 to 1, between the steps of the search; may raise to cancel.

    Returns
    -------
    Rhythm
        Without beats, at 120 BPM, where there is nothing to count.
    """
    heard = listen(novelty, circle, energy)
    if settings.fixed_bpm is not None:
        return _with_bars(_even(settings.fixed_bpm, settings.first_beat, heard), 1.0, True, heard, settings)
    if len(settings.taps) >= 2:
        return _tapped(settings, heard)
    if len(heard.hits) < FEWEST_HITS or heard.seconds < SHORTEST:
        return Rhythm(DEFAULT_TEMPO, np.zeros(0), np.zeros(0), settings.beats_per_bar or BEATS_PER_BAR)
    candidates = find_candidates(heard.sound, heard.hits, heard.strengths, tell)
    return _finish(candidates, heard, settings)


def rhythm_from_taps(
    taps: np.ndarray | tuple[float, ...] | list[float],
    duration: float,
    *,
    beats_per_bar: int = BEATS_PER_BAR,
    bar_offset: int = 0,
) -> Rhythm:
    """Make a grid from taps alone, without listening to the song.

    The grid is the robust least squares fit through all taps, a tap that was missed or came twice included; a bar
    begins at the first tap. ``find_rhythm`` with ``RhythmSettings(taps=...)`` draws it to the song's attacks and
    follows the song's tempo as well.

    Parameters
    ----------
    taps
        Seconds, at least two.
    duration
        Of the song, in seconds: the grid covers all of it.
    beats_per_bar, bar_offset
        As in ``RhythmSettings``.

    Raises
    ------
    SongError
        There are fewer than two taps, or they are no beat between 10 and 1000 BPM.
    """
    settings = RhythmSettings(beats_per_bar=beats_per_bar, bar_offset=bar_offset, taps=tuple(taps))
    offset, period = fit_taps(settings.taps)
    beats = even_grid(offset, period, duration)
    first = int(np.argmin(np.abs(beats - min(settings.taps)))) if len(beats) else 0
    firsts = np.arange((first + bar_offset) % beats_per_bar, len(beats), beats_per_bar)
    return Rhythm(60.0 / period, beats, beats[firsts], beats_per_bar, 1.0, 1.0)


def bar_lengths(rhythm: Rhythm, times: np.ndarray) -> np.ndarray:
    """Length in seconds of the bar that lies at each of some times: float64, as many.

    Outside the downbeats, and where there are none, bars are as long as the tempo says.
    """
    usual = 60.0 / rhythm.tempo * rhythm.beats_per_bar
    lengths = np.concatenate(([usual], np.diff(rhythm.downbeats), [usual])) if len(rhythm.downbeats) else [usual]
    return np.asarray(lengths)[np.searchsorted(rhythm.downbeats, times + TOUCHES, side="right")]


def bars_curve(
    downbeats: np.ndarray,
    tempo: float,
    fps: Fraction,
    frames: int,
    *,
    beats: np.ndarray | None = None,
    beats_per_bar: int = BEATS_PER_BAR,
) -> np.ndarray:
    """Bar number plus phase at the start of each video frame: 0 at the first downbeat, 1.5 in the middle of the second.

    Straight between beats where they are given, else between downbeats. Before the first and after the last it goes on
    at the tempo there. Without downbeats, bars are counted from the song's start.

    Parameters
    ----------
    downbeats, tempo, beats, beats_per_bar
        As in ``Rhythm``.
    fps, frames
        Rate and length of the video.

    Returns
    -------
    numpy.ndarray
        float32 [frames], rising; negative before the first downbeat.
    """
    time = frame_times(fps, frames)
    bar = 60.0 / tempo * beats_per_bar
    if len(downbeats) == 0:
        return (time / bar).astype(np.float32)
    known, number = downbeats, np.arange(len(downbeats), dtype=np.float64)
    if beats is not None and len(beats) > 1:
        number = _count(beats, downbeats, beats_per_bar)
        known = beats
    curve = np.interp(time, known, number)
    span = min(len(known) - 1, 4)
    start = (number[span] - number[0]) / (known[span] - known[0]) if span else 1.0 / bar
    end = (number[-1] - number[-1 - span]) / (known[-1] - known[-1 - span]) if span else 1.0 / bar
    curve += np.minimum(time - known[0], 0.0) * start + np.maximum(time - known[-1], 0.0) * end
    return curve.astype(np.float32)


def tempo_curve(rhythm: Rhythm, fps: Fraction, frames: int) -> np.ndarray:
    """Beats per minute at the start of each video frame, between beats as they are, float32 [frames]."""
    if len(rhythm.beats) < 2:
        return np.full(frames, rhythm.tempo, np.float32)
    middles = 0.5 * (rhythm.beats[1:] + rhythm.beats[:-1])
    return np.interp(frame_times(fps, frames), middles, 60.0 / np.diff(rhythm.beats)).astype(np.float32)


def frame_times(fps: Fraction, frames: int) -> np.ndarray:
    """Start of each video frame in seconds: float64 [frames]."""
    return np.arange(frames, dtype=np.int64) * fps.denominator / fps.numerator


def _count(beats: np.ndarray, downbeats: np.ndarray, beats_per_bar: int) -> np.ndarray:
    """Position in bars of each beat: float64 [beats]."""
    firsts = np.searchsorted(beats, downbeats - 1e-6)
    numbers = np.arange(len(beats))
    position = np.interp(numbers, firsts, np.arange(len(firsts)))
    return position + (np.minimum(numbers - firsts[0], 0) + np.maximum(numbers - firsts[-1], 0)) / beats_per_bar


def _finish(candidates: list[Candidate], heard: Heard, settings: RhythmSettings) -> Rhythm:
    """Take the best candidate, date its beats, and count the bars."""
    nothing = Rhythm(DEFAULT_TEMPO, np.zeros(0), np.zeros(0), settings.beats_per_bar or BEATS_PER_BAR)
    if not candidates:
        return nothing
    odds = np.array([candidate.odds for candidate in candidates])
    sure = float(1.0 / np.exp(np.minimum(odds - odds[0], 0.0)).sum())
    best = candidates[0]
    everything = heard.sound.everything
    on_beat = strongest_near(everything, best.beats, 1)
    chance, clear = (CHANCE_OF_GRID, CLEAR_GRID) if best.steady else (CHANCE, CLEAR)
    order = float(on_beat.mean() - everything.mean())
    if order < chance or np.count_nonzero(on_beat > 0.5) < FEWEST_HITS:
        return nothing
    beats = best.beats if best.steady else follow_further(best, heard.sound)
    beats = _trim(_date(beats, best.steady, heard), heard)
    if len(beats) < FEWEST_HITS:
        return nothing
    clearness = min((order - chance) / (clear - chance), 1.0)
    return _with_bars(beats, sure * clearness, best.steady, heard, settings)


def _date(beats: np.ndarray, steady: bool, heard: Heard) -> np.ndarray:
    """Draw beats to their attacks: float64 [beats], from 0 to the song's end."""
    dates = straighten(*attacks_of_beats(beats, heard.hits, heard.strengths), steady=steady)
    return dates[(dates > -0.025) & (dates < heard.seconds)].clip(min=0.0)


def _trim(beats: np.ndarray, heard: Heard) -> np.ndarray:
    """Leave out the beats before anything starts, and those after the last that any sound supports."""
    if len(beats) < 3:
        return beats
    steps = np.zeros(len(heard.sound.everything))
    np.maximum.at(steps, np.clip(np.round(heard.hits * STEPS).astype(int), 0, len(steps) - 1), heard.heights)
    strength = strongest_near(steps, beats, 5)
    usual = float(np.sqrt(np.mean(np.square(strength))))
    begun = heard.hits[heard.heights > BEGINS * usual]
    supported = strength > ENDS * usual
    joined = supported & (ndimage.convolve1d(supported.astype(int), np.ones(2 * ALONE + 1, int), mode="constant") > 1)
    joined |= strength > usual
    if len(begun) == 0 or not joined.any():
        return beats
    first = int(np.searchsorted(beats, begun[0] - 0.05))
    return beats[first : int(np.flatnonzero(joined)[-1]) + 1]


def _with_bars(beats: np.ndarray, confidence: float, steady: bool, heard: Heard, settings: RhythmSettings) -> Rhythm:
    """Count the bars, as fast as the artist wants."""
    bars = _bars(beats, settings, heard)
    if settings.speed != 1.0 and len(beats) > 2 * bars.metre and len(bars.firsts):
        beats, bars = _at_speed(beats, bars, settings, heard)
    firsts = _shifted(bars, settings.bar_offset, len(beats))
    tempo = _typical_tempo(beats, steady) if len(beats) > 1 else settings.fixed_bpm or DEFAULT_TEMPO
    return Rhythm(tempo, beats, beats[firsts], bars.metre, confidence, bars.confidence)


def _at_speed(beats: np.ndarray, bars: Bars, settings: RhythmSettings, heard: Heard) -> tuple[np.ndarray, Bars]:
    """Count beats twice or half as fast. Downbeats stay beats, and a bar has as many beats as before."""
    first, metre = int(bars.firsts[0]), bars.metre
    if settings.speed == 2.0:
        beats = np.interp(np.arange(2 * len(beats) - 1) / 2, np.arange(len(beats)), beats)
        return beats, Bars(metre, np.arange(2 * first % metre, len(beats), metre), bars.confidence)
    beats, first = beats[first % 2 :: 2], first // 2
    evidence = gather(beats, heard.sound)
    start = better_start(evidence, metre, tuple(range(metre)) if metre % 2 else (first, first + metre // 2))
    return beats, Bars(metre, np.arange(start % metre, len(beats), metre), bars.confidence)


def _shifted(bars: Bars, offset: int, beats: int) -> np.ndarray:
    """Numbers of the beats that begin a bar after moving all bars by some beats: int64, the song filled with bars."""
    if offset == 0 or len(bars.firsts) == 0:
        return bars.firsts
    moved = bars.firsts + offset
    before = np.arange(moved[0] % bars.metre, moved[0], bars.metre)
    after = np.arange(moved[-1] + bars.metre, beats, bars.metre)
    moved = np.concatenate([before, moved, after])
    return moved[(moved >= 0) & (moved < beats)]


def _bars(beats: np.ndarray, settings: RhythmSettings, heard: Heard) -> Bars:
    metre = settings.beats_per_bar
    if len(beats) < max(2 * (metre or 2), 4) or metre == 1:
        return Bars(metre or BEATS_PER_BAR, np.arange(0, len(beats), metre or BEATS_PER_BAR), 0.0)
    return count_bars(gather(beats, heard.sound), (metre,) if metre else tuple(METRES))


def _typical_tempo(beats: np.ndarray, steady: bool) -> float:
    """Beats per minute: over many beats at a time, so that the dates of single ones hardly count."""
    span = len(beats) - 1 if steady else min(len(beats) - 1, 16)
    return 60.0 / float(np.median((beats[span:] - beats[:-span]) / span))


def _even(bpm: float, first_beat: float | None, heard: Heard) -> np.ndarray:
    """Lay a grid of known tempo over the song: float64 [beats]."""
    period = 60.0 / bpm
    if first_beat is not None or len(heard.hits) == 0:
        return even_grid((first_beat or 0.0) % period, period, heard.seconds)
    gain = heard.gain
    fine = np.mod(np.arange(len(gain)) / STEPS, period)
    bins = max(int(period * STEPS), 1)
    place = np.minimum((fine / period * bins).astype(int), bins - 1)
    offset = (int(np.argmax(np.bincount(place, gain, bins))) + 0.5) / bins * period
    dates, weights = attacks_of_beats(even_grid(offset, period, heard.seconds), heard.hits, heard.strengths)
    error = np.mod(dates - offset + period / 2, period) - period / 2
    for _ in range(20 if len(error) else 0):
        weight = (weights + 1e-9) / (1.0 + np.square(error / 0.01))
        shift = float((weight * error).sum() / weight.sum())
        offset, error = offset + shift, error - shift
    grids = [even_grid((offset + shift) % period, period, heard.seconds) for shift in (0.0, period / 2)]
    if min(len(grid) for grid in grids) < FEWEST_HITS:
        return grids[0]
    return max(grids, key=lambda grid: beat_odds(grid, heard.sound, heard.hits, heard.strengths))


def _tapped(settings: RhythmSettings, heard: Heard) -> Rhythm:
    """Follow the song near the tapped beat."""
    offset, period = fit_taps(settings.taps)
    if len(heard.hits) < FEWEST_HITS or heard.seconds < SHORTEST:
        return _with_bars(even_grid(offset, period, heard.seconds), 1.0, True, heard, settings)
    times = np.sort(np.asarray(settings.taps, np.float64))
    gain = heard.gain
    steps = np.arange(len(gain)) / STEPS
    for tap in times:
        near = slice(max(int((tap - 0.1) * STEPS), 0), max(int((tap + 0.1) * STEPS) + 1, 0))
        gain[near] += TAP_SUPPORT * np.exp(-0.5 * np.square((steps[near] - tap) / TAP_JITTER))
    few = min(len(times) - 1, TAPS_TOGETHER)
    local = (times[few:] - times[:-few]) / few / period
    local = local[(local > 0.7) & (local < 1.4)]  # without those where a tap was missed
    slow, fast = (max(local.max(), 1.0), min(local.min(), 1.0)) if len(local) else (1.0, 1.0)
    rough = track(gain, 60.0 / period / slow / TAP_REACH, 60.0 / period / fast * TAP_REACH)
    even = steady_grid(rough, gain)
    beats = _date(rough if even is None else even, even is not None, heard)
    if len(beats) < 2:
        return _with_bars(even_grid(offset, period, heard.seconds), 1.0, True, heard, settings)
    kept = _trim(beats, heard)
    inside = (beats > min(times.min(), kept[0]) - period / 2) & (beats < max(times.max(), kept[-1]) + period / 2)
    return _with_bars(beats[inside], 1.0, even is not None, heard, settings)
