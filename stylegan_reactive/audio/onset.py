# SPDX-License-Identifier: GPL-3.0-or-later
"""Onset strength: how much new sound starts, for the whole spectrum and for kick, snare and hats.

The novelty is spectral flux (Bello et al., "A Tutorial on Onset Detection in Music Signals", 2005): the rise of the
magnitudes, square-rooted, against the spectrum two windows earlier. The square root stands between loudness, which is
close to it, and the amplitude; unlike a logarithm it makes the result independent of the song's level.

A novelty value is dated to the centre of the windows that it compares plus 4 ms, the time that struck instruments take
from their first sample to a sound. It is then given, by integer arithmetic, to the one video frame in which that date
lies. It is never interpolated: that would show half an attack a frame before it sounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from .decode import RATE
from .spectrum import TIMING

BANDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"onset": (30.0, 16000.0), "kick": (30.0, 150.0), "snare": (200.0, 5000.0), "hats": (8000.0, 16000.0)}
)
"""Low and high edge of each band in Hz. Snares reach into the hats' usual 5 to 8 kHz; above, hats are alone."""

COMPARED = 2
"""A spectrum is compared with the one so many windows earlier: half a window, so that the two differ enough."""

ATTACK_DELAY = 0.004
"""Seconds from the start of a struck note to its sound: 4.3 to 4.6 ms for drums, 4 to 6 ms for keys were measured."""

LEAKS: Mapping[str, tuple[str, float]] = MappingProxyType({"snare": ("kick", 0.2), "hats": ("snare", 0.35)})
"""What a band hears of the drum below it, which is taken away: the beater's click, the snare wires' hiss."""

SURROUNDINGS = 0.1
"""Seconds on each side in which a hit must be the strongest: the ear joins onsets closer than about this to one."""

SILENCE = 1e-4
"""Novelty below which there is nothing: a rise to about -80 dB of full scale."""


@dataclass(frozen=True)
class Novelty:
    """Spectral flux of a whole song, before it is put on video frames.

    Attributes
    ----------
    values
        Name of the band → float32 [windows].
    dates
        When each value sounds, in samples at 44.1 kHz: int64 [windows].
    """

    values: Mapping[str, np.ndarray]
    dates: np.ndarray


class NoveltyStream:
    """Collect the flux of magnitude spectra that arrive in blocks."""

    def __init__(self) -> None:
        self._before = np.zeros((COMPARED, TIMING.window // 2 + 1), np.float32)
        self._bins = {name: TIMING.bins(low, high) for name, (low, high) in BANDS.items()}
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in BANDS}

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        loudness = np.concatenate([self._before, np.sqrt(magnitudes)])
        rise = np.maximum(loudness[COMPARED:] - loudness[:-COMPARED], 0.0)
        self._before = loudness[-COMPARED:]
        for name, bins in self._bins.items():
            self._parts[name].append(rise[:, bins].mean(axis=1))

    def result(self) -> Novelty:
        """Return what all blocks gave together, without what leaks from one drum's band into the next."""
        flux = {
            name: np.concatenate(parts) if parts else np.zeros(0, np.float32) for name, parts in self._parts.items()
        }
        values = dict(flux)
        for name, (lower, share) in LEAKS.items():
            leak = ndimage.maximum_filter1d(flux[lower], 3) if len(flux[lower]) else flux[lower]
            values[name] = np.maximum(flux[name] - share * leak, 0.0)
        compared_centres = TIMING.centres(len(flux["onset"])) - COMPARED * TIMING.hop // 2
        return Novelty(values=values, dates=compared_centres + round(ATTACK_DELAY * RATE))


def keep_peaks(novelty: np.ndarray, windows: int) -> np.ndarray:
    """Set everything to zero that is not the strongest within ``windows`` on each side: [windows] → [windows].

    A window sees an attack for half its length before it is due and novelty rises towards it. That ramp belongs to
    the window and not to the music; on video it would be a picture that moves before the sound.
    """
    if len(novelty) == 0:
        return novelty
    return np.where(novelty >= ndimage.maximum_filter1d(novelty, 2 * windows + 1, mode="constant"), novelty, 0.0)


def onset_envelope(novelty: np.ndarray, dates: np.ndarray, fps: Fraction, frames: int) -> np.ndarray:
    """Put the hits of one band on video frames, scaled so that a strong hit is 1.

    Parameters
    ----------
    novelty, dates
        One band of a ``Novelty`` and its dates.
    fps, frames
        The video's rate, and its length in frames.

    Returns
    -------
    numpy.ndarray
        float32 [frames], 0 to 1. Zero between hits; a hit stands in the frame in which it sounds and in no other.
    """
    floor = _floor(novelty)
    hits = keep_peaks(np.maximum(novelty - floor, 0.0), round(SURROUNDINGS / 2 * TIMING.rate))
    return pool_maximum(normalise_hits(hits), dates, fps, frames)


def _floor(novelty: np.ndarray) -> np.ndarray:
    """Estimate what goes on all the time between hits, such as the hiss of a cymbal: twice the median of one second."""
    if len(novelty) == 0:
        return novelty
    return 2.0 * ndimage.median_filter(novelty, round(TIMING.rate), mode="nearest") + SILENCE


def normalise_hits(hits: np.ndarray) -> np.ndarray:
    """Divide by the strength of a strong hit and clip to 1; silence stays silence.

    A strong hit is the 80th percentile of the hits that reach a tenth of the strongest, so that neither one crash nor
    thousands of tiny peaks decide.
    """
    strongest = float(hits.max(initial=0.0))
    if strongest <= 0.0:
        return np.zeros_like(hits)
    strong = float(np.percentile(hits[hits > strongest / 10], 80))
    return np.minimum(hits / strong, 1.0)


def pool_maximum(values: np.ndarray, dates: np.ndarray, fps: Fraction, frames: int) -> np.ndarray:
    """Give each video frame the largest value that is dated into it: [values] → float32 [frames].

    Exact at any length: the frame of a sample is an integer division. Values outside the video are left out, frames
    without a value are zero.
    """
    frame = dates * fps.numerator // (RATE * fps.denominator)
    inside = (frame >= 0) & (frame < frames)
    pooled = np.zeros(frames, np.float32)
    np.maximum.at(pooled, frame[inside], values[inside].astype(np.float32))
    return pooled
