# SPDX-License-Identifier: GPL-3.0-or-later
"""Onset strength: how much new sound starts, in all, in a band, and from kick, snare and hats.

Attacks are found as by Böck and Widmer ("Maximum Filter Vibrato Suppression for Onset Detection", 2013): spectral flux
on bands of a quarter-tone, against the loudest of three neighbours two windows earlier, so that vibrato, chorus and
beating partials, which only move between neighbours, are no attacks. Magnitudes count by their cube root: unlike a
logarithm it makes the result independent of the song's level.

What starts is told by the plain flux of wider bands (Bello et al., "A Tutorial on Onset Detection in Music Signals",
2005), with square roots, which add up as loudness does.

Each hit is dated in whole samples and then given, by integer arithmetic, to the one video frame in which that date
lies. It is never interpolated: that would show half an attack a frame before it sounds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from scipy import ndimage

from .attack import date_attacks
from .collecting import Collected
from .decode import RATE
from .drums import DRUMS, EDGES, share_out
from .spectrum import TIMING

COMPARED = 2
"""A spectrum is compared with the one so many windows earlier: half a window, so that the two differ enough."""

ATTACK = 5
"""Windows over which the rise of one attack is added up: as many as compare something from before with it."""

SURROUNDINGS = 0.03
"""Seconds on each side in which an attack must be the strongest: the ear joins closer ones to one."""

DRUM_SURROUNDINGS = 0.05
"""The same for the hits of one drum, which nobody plays faster."""

FLOOR_SECONDS = 1.0
"""Length of the running median that says how much of a drum there seems to be between hits."""

LOCAL = 0.2
"""Seconds over which the flux of attacks is averaged: only what stands above that counts."""

SILENCE = 3e-4
"""Novelty below which there is nothing, per sub-band: a tone that starts at about -100 dB of full scale."""

INAUDIBLE = 1e-6
"""Magnitude that one quarter-tone must exceed for a window to count as sound: a tone of -120 dB of full scale. Cube
roots would make much of the faintest noise."""

FAINT = 0.07
"""Share of a strong hit below which a hit is left out: some -70 dB, where levels count by their cube root."""

RATTLE = slice(EDGES.index(1000), EDGES.index(7500))
"""Sub-bands in which the wires of a snare drum rattle."""

RATTLING, LASTS = (0.04, 0.06), 0.35
"""Seconds after a hit in which the wires still rattle, and with what share of the attack: the root of an amplitude that
has fallen by 18 dB. A click or a plucked string has fallen further."""

PER_OCTAVE = 24
"""Bands of an octave in which attacks are looked for, where the spectrum has as many bins."""

LOWEST, HIGHEST = 30.0, 17000.0
"""Hz between which attacks are looked for."""

JOINED = 0.035
"""Seconds between a drum's share and the onset that it belongs to."""

LEAST_SHARE = 0.05
"""A drum whose strong hits are less than this share of the song's strong hits is not there: what is left is leakage."""


@dataclass(frozen=True)
class Novelty:
    """Spectral flux of a whole song, before it is put on video frames.

    Attributes
    ----------
    values
        ``onset``, ``kick``, ``snare``, ``hats`` → float32 [windows], on one scale.
    centres
        Centre of the later of the two windows that each value compares, in samples: int64 [windows]. Attacks peak
        there within about 3 ms.
    rattle
        How loud the noise of a snare's wires may be, from 1 to 7.5 kHz in what strikes: float32 [windows].
    """

    values: Mapping[str, np.ndarray]
    centres: np.ndarray
    rattle: np.ndarray


@dataclass(frozen=True)
class Hits:
    """When something starts, and how strongly.

    Attributes
    ----------
    samples
        Dates at 44.1 kHz: int64 [hits].
    strengths
        float32 [hits], 0 to 1; a strong hit of the song is 1.
    """

    samples: np.ndarray
    strengths: np.ndarray


class AttackStream:
    """Collect the flux without vibrato of magnitude spectra that arrive in blocks: one number for each window.

    Parameters
    ----------
    low, high
        Hz between which attacks are looked for.
    """

    def __init__(self, low: float = LOWEST, high: float = HIGHEST) -> None:
        self._weights = _quarter_tones(low, high)
        self._before = np.zeros((COMPARED, self._weights.shape[1]), np.float32)
        self._kept = Collected()

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        bands = magnitudes @ self._weights
        bands[bands.max(axis=1) <= INAUDIBLE] = 0.0
        level = np.concatenate([self._before, np.cbrt(bands)])
        before = ndimage.maximum_filter1d(level[:-COMPARED], 3, axis=1, mode="nearest")
        self._kept.add(np.maximum(level[COMPARED:] - before, 0.0).mean(axis=1))
        self._before = level[-COMPARED:]

    def result(self) -> np.ndarray:
        """Flux of each window: float32 [windows]."""
        return self._kept.result()


class NoveltyStream:
    """Collect the flux of magnitude spectra that arrive in blocks.

    What is kept grows by four numbers for each window.
    """

    def __init__(self) -> None:
        self._before = np.zeros((COMPARED, 2, len(EDGES) - 1), np.float32)
        self._averages = np.zeros((TIMING.window // 2 + 1, len(EDGES) - 1), np.float32)
        for band, (low, high) in enumerate(pairwise(EDGES)):
            bins = TIMING.bins(low, high)
            self._averages[bins, band] = 1.0 / (bins.stop - bins.start)
        self._around = np.zeros((ATTACK // 2, len(EDGES) - 1), np.float32)  # of the windows that are not yet shared out
        self._kept = {name: Collected() for name in ("onset", *DRUMS)}
        self._rattle = Collected()

    def feed(self, magnitudes: np.ndarray, struck: np.ndarray | None = None) -> None:
        """Append spectra.

        Parameters
        ----------
        magnitudes
            Of everything: float32 [windows, bins].
        struck
            The same without what rings, in which drums are told apart; none: with it.
        """
        both = [np.sqrt(part) @ self._averages for part in (magnitudes, magnitudes if struck is None else struck)]
        levels = np.concatenate([self._before, np.stack(both, axis=1)])  # [windows, all and struck, sub-bands]
        rise = np.maximum(levels[COMPARED:] - levels[:-COMPARED], 0.0)
        self._before = levels[-COMPARED:]
        self._kept["onset"].add(rise[:, 0].sum(axis=1))
        self._rattle.add(levels[COMPARED:, 1, RATTLE].mean(axis=1))
        self._share_out(rise[:, 1])

    def result(self) -> Novelty:
        """Return the novelty of everything that was fed."""
        self._share_out(np.zeros((ATTACK // 2, len(EDGES) - 1), np.float32))
        values = {name: kept.result() for name, kept in self._kept.items()}
        return Novelty(values, TIMING.centres(len(values["onset"])), self._rattle.result())

    def _share_out(self, rise: np.ndarray) -> None:
        """Share out all windows of which the surroundings are known.

        Added up over the attack, a drum is as strong wherever it falls between two windows.
        """
        around = np.concatenate([self._around, rise])
        count = len(around) - ATTACK + 1
        if count < 1:
            self._around = around
            return
        whole = sum(around[step : step + count] for step in range(ATTACK)) / np.float32(ATTACK)
        for name, share in share_out(whole).items():
            self._kept[name].add(share)
        self._around = around[count:]


def find_hits(novelty: Novelty, energy: np.ndarray) -> dict[str, Hits]:
    """Pick and date the hits of each drum.

    Only the peaks of the novelty are kept. A window sees an attack for half its length before it is due and novelty
    rises towards it; that ramp belongs to the window and not to the music, and on video it would be a picture that
    moves before the sound. A drum's share often peaks a little after its attack, when the notes that start with it
    have risen; so it takes the date of the strongest onset around it.

    Parameters
    ----------
    novelty
        Of the song.
    energy
        Of the waveform's first difference, as ``attack.DifferenceStream`` gives it.
    """
    found = {}
    onsets, heights = find_peaks(novelty.values["onset"])
    strong = _strong(heights)
    for name in DRUMS:
        values = novelty.values[name]
        at, drum_heights = find_peaks(values)
        reference = max(_strong(drum_heights), LEAST_SHARE * strong)
        if name == "snare":
            drum_heights = drum_heights * _rattles(at, novelty.rattle)
        at = _strongest_around(at, onsets, heights, len(values))
        found[name] = _dated(at, drum_heights, reference, energy)
    return found


def _rattles(at: np.ndarray, rattle: np.ndarray) -> np.ndarray:
    """How much the noise of each hit lasts, as the wires of a snare drum do and a click does not: 0 to 1, [hits]."""
    if len(at) == 0:
        return np.zeros(0)

    def level(first: float, last: float, best: Callable[..., np.ndarray]) -> np.ndarray:
        place = at[:, None] + np.arange(round(first * TIMING.rate), round(last * TIMING.rate) + 1)
        return best(rattle[np.clip(place, 0, len(rattle) - 1)], axis=1)

    before = level(-0.035, -0.02, np.median)
    attack = level(-0.012, 0.025, np.max) - before
    later = level(*RATTLING, np.median) - before
    return np.clip(later / np.maximum(attack, 1e-9) / LASTS, 0.0, 1.0)


def find_attacks(flux: np.ndarray, energy: np.ndarray) -> Hits:
    """Pick and date attacks, of whatever: of the whole sound or of a band.

    Parameters
    ----------
    flux
        As ``AttackStream`` gives it: float32 [windows].
    energy
        Of the waveform's first difference, as ``attack.DifferenceStream`` gives it.
    """
    if len(flux) == 0:
        return Hits(np.zeros(0, np.int64), np.zeros(0, np.float32))
    around = round(SURROUNDINGS * TIMING.rate)
    local = ndimage.uniform_filter1d(flux, 2 * round(LOCAL / 2 * TIMING.rate) + 1, mode="reflect")
    at = _highest(np.where(flux > SILENCE, flux, 0.0), around)
    at = at[flux[at] > local[at]]
    heights = flux[at] - local[at]
    return _dated(at, heights, _strong(heights), energy)


def _dated(at: np.ndarray, heights: np.ndarray, reference: float, energy: np.ndarray) -> Hits:
    strengths = np.minimum(heights / reference, 1.0) if reference > 0.0 else heights
    heard = strengths >= FAINT
    dates = date_attacks(TIMING.centres(1)[0] + at[heard] * TIMING.hop, energy)
    return Hits(dates, strengths[heard].astype(np.float32))


def _strongest_around(at: np.ndarray, onsets: np.ndarray, heights: np.ndarray, windows: int) -> np.ndarray:
    """Replace windows by the strongest onset within ``JOINED`` of them, where there is one: int64 [hits]."""
    height = np.zeros(windows)
    height[onsets] = heights
    reach = round(JOINED * TIMING.rate)
    around = np.clip(at[:, None] + np.arange(-reach, reach + 1), 0, max(windows - 1, 0))
    best = around[np.arange(len(at)), np.argmax(height[around], axis=1)]
    return np.where(height[best] > 0.0, best, at)


def pool_maximum(hits: Hits, fps: Fraction, frames: int) -> np.ndarray:
    """Give each video frame the strongest hit that is dated into it: float32 [frames], zero where there is none.

    Exact at any length: the frame of a sample is an integer division. Hits outside the video are left out.
    """
    frame = hits.samples * fps.numerator // (RATE * fps.denominator)
    inside = (frame >= 0) & (frame < frames)
    pooled = np.zeros(frames, np.float32)
    np.maximum.at(pooled, frame[inside], hits.strengths[inside])
    return pooled


def find_peaks(novelty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the windows where novelty stands above its surroundings, and by how much above what goes on all the time."""
    if len(novelty) == 0:
        return np.zeros(0, np.int64), novelty
    length = min(round(FLOOR_SECONDS * TIMING.rate), len(novelty))
    above = novelty - 2.0 * ndimage.median_filter(novelty, length, mode="reflect")
    above[above < SILENCE * (len(EDGES) - 1)] = 0.0
    at = _highest(above, round(DRUM_SURROUNDINGS * TIMING.rate))
    return at, above[at]


def _highest(values: np.ndarray, around: int) -> np.ndarray:
    """Windows that are above zero and the highest of so many on each side; of a plateau, its first: int64 [peaks]."""
    is_peak = (values > 0.0) & (values >= ndimage.maximum_filter1d(values, 2 * around + 1, mode="constant"))
    is_peak[1:] &= ~(is_peak[:-1] & (values[1:] == values[:-1]))
    return np.flatnonzero(is_peak)


def _strong(heights: np.ndarray) -> float:
    """How high a strong hit is: the 80th percentile of those that reach a tenth of the highest.

    So neither one crash nor thousands of tiny peaks decide.
    """
    if len(heights) == 0:
        return 0.0
    return float(np.percentile(heights[heights >= heights.max() / 10], 80))


def _quarter_tones(low: float, high: float) -> np.ndarray:
    """Triangles a quarter-tone wide, or a bin where that is wider: float32 [bins, bands], each summing to one."""
    width = RATE / TIMING.window
    last = TIMING.window // 2
    low, high = max(low, width), max(high, width)
    steps = np.arange(np.floor(PER_OCTAVE * np.log2(low / width)), PER_OCTAVE * np.log2(high / width) + 1)
    centres = np.unique(np.clip(np.round(2.0 ** (steps / PER_OCTAVE)).astype(int), 1, last))
    inside = (centres >= low / width) & (centres <= high / width)
    if not inside.any():
        inside = np.abs(centres - (low + high) / 2 / width).argmin() == np.arange(len(centres))
    edges = np.concatenate([[max(centres[0] - 1, 0)], centres, [min(centres[-1] + 1, last)]])
    weights = np.zeros((last + 1, len(centres)), np.float32)
    for band, (left, centre, right) in enumerate(zip(edges[:-2], centres, edges[2:], strict=True)):
        weights[left : centre + 1, band] = (np.arange(left, centre + 1) - left) / max(centre - left, 1)
        weights[centre : right + 1, band] = (right - np.arange(centre, right + 1)) / max(right - centre, 1)
        weights[centre, band] = 1.0
    return weights[:, inside] / weights[:, inside].sum(axis=0)
