# SPDX-License-Identifier: GPL-3.0-or-later
"""Onset strength: how much new sound starts, in all and from kick, snare and hats.

The novelty is spectral flux (Bello et al., "A Tutorial on Onset Detection in Music Signals", 2005): the rise of the
magnitudes, square-rooted, against the spectrum two windows earlier. The square root stands between loudness, which is
close to it, and the amplitude; unlike a logarithm it makes the result independent of the song's level.

Each hit is dated in whole samples and then given, by integer arithmetic, to the one video frame in which that date
lies. It is never interpolated: that would show half an attack a frame before it sounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from scipy import ndimage

from .attack import date_attacks
from .decode import RATE
from .drums import DRUMS, EDGES, share_out
from .spectrum import TIMING

COMPARED = 2
"""A spectrum is compared with the one so many windows earlier: half a window, so that the two differ enough."""

ATTACK = 5
"""Windows over which the rise of one attack is added up: as many as compare something from before with it."""

SURROUNDINGS = 0.05
"""Seconds on each side in which a hit must be the strongest: the ear joins closer ones to one."""

FLOOR_SECONDS = 1.0
"""Length of the running median that says how much novelty there is between hits."""

SILENCE = 3e-4
"""Novelty below which there is nothing, per sub-band: a tone that starts at about -100 dB of full scale."""

FAINT = 0.03
"""Share of a strong hit below which a hit is left out: what starts there, nobody hears beside the strong ones."""

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
    """

    values: Mapping[str, np.ndarray]
    centres: np.ndarray


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


class NoveltyStream:
    """Collect the flux of magnitude spectra that arrive in blocks.

    What is kept grows by four numbers for each window.
    """

    def __init__(self) -> None:
        self._before = np.zeros((COMPARED, len(EDGES) - 1), np.float32)
        self._averages = np.zeros((TIMING.window // 2 + 1, len(EDGES) - 1), np.float32)
        for band, (low, high) in enumerate(pairwise(EDGES)):
            bins = TIMING.bins(low, high)
            self._averages[bins, band] = 1.0 / (bins.stop - bins.start)
        self._around = np.zeros((ATTACK // 2, len(EDGES) - 1), np.float32)  # of the windows that are not yet shared out
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in ("onset", *DRUMS)}

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        loudness = np.concatenate([self._before, np.sqrt(magnitudes) @ self._averages])
        rise = np.maximum(loudness[COMPARED:] - loudness[:-COMPARED], 0.0)
        self._before = loudness[-COMPARED:]
        self._parts["onset"].append(rise.sum(axis=1))
        self._share_out(rise)

    def result(self) -> Novelty:
        """Return the novelty of everything that was fed."""
        self._share_out(np.zeros((ATTACK // 2, len(EDGES) - 1), np.float32))
        values = {name: np.concatenate([*parts, np.zeros(0, np.float32)]) for name, parts in self._parts.items()}
        return Novelty(values=values, centres=TIMING.centres(len(values["onset"])))

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
            self._parts[name].append(share)
        self._around = around[count:]


def find_hits(novelty: Novelty, energy: np.ndarray) -> dict[str, Hits]:
    """Pick and date the hits of everything (``onset``) and of each drum.

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
    onsets, heights = find_peaks(novelty.values["onset"])
    strong = _strong(heights)
    found = {}
    for name, values in novelty.values.items():
        at, drum_heights = (onsets, heights) if name == "onset" else find_peaks(values)
        reference = max(_strong(drum_heights), LEAST_SHARE * strong)
        if name != "onset":
            at = _strongest_around(at, onsets, heights, len(values))
        strengths = np.minimum(drum_heights / reference, 1.0) if reference > 0.0 else drum_heights
        heard = strengths >= FAINT
        dates = date_attacks(novelty.centres[at[heard]], energy)
        found[name] = Hits(dates, strengths[heard].astype(np.float32))
    return found


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
    around = round(SURROUNDINGS * TIMING.rate)
    is_peak = (above > 0.0) & (above >= ndimage.maximum_filter1d(above, 2 * around + 1, mode="constant"))
    is_peak[1:] &= ~(is_peak[:-1] & (above[1:] == above[:-1]))  # of a plateau, its first window
    at = np.flatnonzero(is_peak)
    return at, above[at]


def _strong(heights: np.ndarray) -> float:
    """How high a strong hit is: the 80th percentile of those that reach a tenth of the highest.

    So neither one crash nor thousands of tiny peaks decide.
    """
    if len(heights) == 0:
        return 0.0
    return float(np.percentile(heights[heights >= heights.max() / 10], 80))
