# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of a song: verse, chorus, verse, chorus, as sections that start on downbeats.

Each bar is described by its chords (chroma) and by its instruments and loudness (cepstrum), so that a verse and a
chorus differ that share their chords or share their instruments. Bars are then put into groups, by spectral clustering
or by novelty (see ``clustering``).
"""

from typing import Literal

import numpy as np
from scipy.spatial.distance import cdist

from ..errors import PatchError
from .chroma import fold, tuning
from .clustering import laplacian_labels, novelty_labels, settle
from .decode import RATE
from .rhythm import Rhythm
from .sections import Section, letters
from .spectrum import PITCH
from .timbre import BANDS, cepstrum, levels, timbre_edges

Method = Literal["laplacian", "novelty"]

STEP = 0.5
"""Seconds that stand for a beat in music without beats; four of them for a bar."""

BEATS_PER_BAR = 4
"""Where no downbeats are known."""

MOST_BARS = 1000
"""More are taken two, three, ... at a time, so that a matrix of bars by bars stays at 8 MB for any length."""

SHARE = 8
"""Sections of a short song may be as short as this part of it, if that is less than ``shortest_bars``."""

FEWEST_BARS = 2
"""Below that, a section is a fill."""

SAME_CHORD = 0.05**2
"""Squared distance of chroma, of length one, up to which the chord is the same."""

SAME_SOUND = float(BANDS)
"""The same for cepstra: one decibel in each band, which the ear just hears."""

LONGEST_BAR = 2.5
"""Usual bars between two downbeats from which others must be missing between them: a bar may be long, but not that."""

TINY = 1e-9


def find_sections(
    timbre: np.ndarray,
    circle: np.ndarray,
    rhythm: Rhythm,
    duration: float,
    *,
    kinds: int | None = None,
    method: Method = "laplacian",
    shortest_bars: int = 4,
) -> tuple[Section, ...]:
    """Find the sections of a song, and which of them are of one kind.

    Parameters
    ----------
    timbre
        Energy in bands, as ``TimbreStream`` gives it: float32 [slices, 24].
    circle
        Strength around the pitch circle, as ``PitchStream`` gives it: float32 [windows, steps].
    rhythm
        Its beats and downbeats. Where there are none, a grid of 0.5 s stands for them.
    duration
        Of the song, in seconds.
    kinds
        How many kinds of section, 1 or more; none: as many as the song shows, at most eight. There may be fewer in a
        song that is too short for them.
    method
        ``laplacian``: by what repeats and what stays the same. ``novelty``: where the sound changes most.
    shortest_bars
        Fewest bars in a section. In a song of less than 32 bars, an eighth of it and at least two bars are enough.

    Returns
    -------
    tuple of Section
        The whole song without gaps, in order; each but the first starts on a downbeat. Sections side by side are of
        different kinds (with ``novelty`` too). The same song always has the same sections.

    Raises
    ------
    PatchError
        ``kinds`` or ``shortest_bars`` is less than one, or there is no such method.
    """
    if method not in ("laplacian", "novelty"):
        raise PatchError(f"There is no segmentation “{method}”. Use laplacian or novelty.")
    if kinds is not None and kinds < 1:
        raise PatchError(f"A song cannot have {kinds} kinds of section. Choose 1 or more.")
    if shortest_bars < 1:
        raise PatchError(f"A section cannot last {shortest_bars} bars. Choose 1 or more.")
    edges = _bars(rhythm, duration)
    shortest = min(shortest_bars, max(FEWEST_BARS, (len(edges) - 1) // SHARE))
    together = -(-(len(edges) - 1) // MOST_BARS)
    if together > 1:
        edges = np.append(edges[:-1:together], edges[-1])
        shortest = -(-shortest // together)
    if len(edges) - 1 < 2 * shortest or kinds == 1:
        return (Section(0.0, float(duration), "A"),)
    chords, sounds = _chords(circle, edges), _sounds(timbre, edges)
    distance = _distances(chords, SAME_CHORD) + _distances(sounds, SAME_SOUND)
    change = _change(sounds, shortest)
    if method == "laplacian":
        labels = settle(distance, laplacian_labels(distance, change, kinds, shortest), shortest)
    else:
        labels = novelty_labels(distance, change, kinds, shortest)
    return _sections(labels, edges)


def _bars(rhythm: Rhythm, duration: float) -> np.ndarray:
    """Edges of bars over the whole song, in seconds: float64 [bars + 1]."""
    downbeats = rhythm.downbeats if len(rhythm.downbeats) > 1 else rhythm.beats[::BEATS_PER_BAR]
    if len(downbeats) < 2:
        return _cover(np.zeros(0), BEATS_PER_BAR * STEP, duration)
    return _cover(downbeats, float(np.median(np.diff(downbeats))), duration)


def _cover(downbeats: np.ndarray, bar: float, duration: float) -> np.ndarray:
    """Go on at the tempo before the first downbeat, behind the last, and where some are missing.

    What is left at the song's ends and shorter than a quarter of a bar belongs to the bar beside it.
    """
    known = downbeats[(downbeats > 0.0) & (downbeats < duration)]
    if len(known) == 0 or bar < TINY:
        return np.linspace(0.0, duration, max(1, round(duration / max(bar, STEP))) + 1)
    missing = np.diff(known) > LONGEST_BAR * bar
    gaps = np.where(missing, np.round(np.diff(known) / bar), 1).astype(np.int64)
    between = np.interp(np.arange(gaps.sum() + 1), np.concatenate([[0], np.cumsum(gaps)]), known)
    before = known[0] - bar * np.arange(int(known[0] / bar), 0, -1)
    after = known[-1] + bar * np.arange(1, int((duration - known[-1]) / bar) + 1)
    inside = np.concatenate([before, between, after])
    inside = inside[(inside > 0.25 * bar) & (inside < duration - 0.25 * bar)]
    return np.concatenate([[0.0], inside, [duration]])


def _chords(circle: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Chroma of each bar: float64 [bars, 12]. The root makes its length one, however many notes sound."""
    windows = (PITCH.centres(len(circle) + 1) - PITCH.hop / 2) / RATE
    return np.sqrt(fold(_averages(circle, windows, edges).astype(np.float32), tuning(circle)))


def _sounds(timbre: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Cepstrum of each bar: float64 [bars, 13]."""
    return cepstrum(_averages(levels(timbre), timbre_edges(len(timbre)), edges))


def _averages(values: np.ndarray, edges: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Mean of slices of sound, which lie between ``edges``, from each time to the next: float64 [times - 1, columns].

    Slices that lie only partly between two times count by that part.
    """
    if len(values) == 0:
        return np.zeros((len(times) - 1, values.shape[1]))
    place = np.clip(np.interp(times, edges, np.arange(len(edges))), 0.0, len(values) - TINY)
    whole = np.minimum(place.astype(np.int64), len(values) - 1)
    between = np.add.reduceat(values, whole, axis=0)[:-1].astype(
        np.float64
    )  # of whole slices; nothing as large as values
    between[np.diff(whole) == 0] = 0.0
    parts = (place - whole)[:, None] * values[whole]
    length = np.diff(place)[:, None]
    inside = values[whole[:-1]]  # of a step so short that nothing passes in it
    return np.where(length > 1e-6, (between + np.diff(parts, axis=0)) / np.maximum(length, 1e-6), inside)


def _distances(values: np.ndarray, same: float) -> np.ndarray:
    """Squared distances beyond what counts as the ``same``, in units of the typical one: float64 [bars, bars]."""
    squared = np.maximum(cdist(values, values, "sqeuclidean") - same, 0.0)
    return squared / max(float(np.median(squared[np.triu_indices(len(squared), 1)])), same)


def _change(sounds: np.ndarray, reach: int) -> np.ndarray:
    """Squared distance between the mean sound of the bars before and behind each bar line: float64 [bars - 1].

    Over as many bars as the shortest section has, so that chords that come round in them cancel.
    """
    count = len(sounds)
    total = np.concatenate([np.zeros((1, sounds.shape[1])), np.cumsum(sounds, axis=0)])
    line = np.arange(1, count)
    first, last = np.maximum(line - reach, 0), np.minimum(line + reach, count)
    before = (total[line] - total[first]) / (line - first)[:, None]
    after = (total[last] - total[line]) / (last - line)[:, None]
    return np.square(after - before).sum(axis=1)


def _sections(labels: np.ndarray, edges: np.ndarray) -> tuple[Section, ...]:
    """Join bars of one label and name the labels in the order of their first appearance."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1])
    times = [float(edge) for edge in np.append(edges[starts], edges[-1])]
    names: dict[int, str] = {}
    found = []
    for place, start in enumerate(starts):
        name = names.setdefault(int(labels[start]), letters(len(names)))
        found.append(Section(times[place], times[place + 1], name))
    return tuple(found)
