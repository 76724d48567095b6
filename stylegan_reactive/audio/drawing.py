# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw features on video frames from what the streams have kept, and bring them to 0..1 where they are not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from . import arc
from .chroma import chroma_envelope
from .decode import RATE
from .feature import KINDS, PITCHES, Feature
from .framing import highest, latest, window_dates
from .listening import Need, needs
from .loudness import SLICE, rms_envelope
from .onset import Hits, find_attacks, find_hits, pool_maximum
from .pitch import pitch_envelope, voicing_envelope
from .r128 import MOMENTARY, loudness_envelope
from .rhythm import Rhythm, bar_lengths, bars_curve, frame_times, tempo_curve
from .sections import Section, section_envelopes
from .spectrum import PITCH, TIMING
from .tonnetz import tonnetz

NO_RANGE = 1e-6
"""Share of its size below which a feature does not change at all."""

BEHIND = 256
"""Samples behind an attack at which a spectrum is centred that tells what is loud from the attack on: a quarter of its
window is left of what was before."""

OUTER = 1.0
"""Per cent at either end of a feature's values that do not decide its range."""


@dataclass(frozen=True)
class Heard:
    """Everything from which the features of one sound are drawn.

    Attributes
    ----------
    kept
        What each stream has kept, as ``Ear.finish`` gives it.
    rhythm
        Of the song; needed for bars, beats, downbeats and tempo alone.
    sections
        Of the song; needed for them alone.
    fps, frames
        The video's rate, and its length in frames.
    """

    kept: Mapping[Need, Any]
    rhythm: Rhythm | None
    sections: tuple[Section, ...]
    fps: Fraction
    frames: int
    _drums: dict[str, dict[str, Hits]] = field(default_factory=dict, repr=False)

    def drums(self, feature: Feature) -> dict[str, Hits]:
        """Hits of the drums in a feature's source; found together, once."""
        if feature.source not in self._drums:
            self._drums[feature.source] = find_hits(*(self.kept[need] for need in needs(feature)))
        return self._drums[feature.source]


def draw(feature: Feature, song: Heard) -> np.ndarray:
    """One feature, all its columns, in its own unit: float32 [frames] or [frames, columns]."""
    return np.asarray(_DRAWERS[feature.kind](feature, song), np.float32)


def scaled(feature: Feature, values: np.ndarray) -> np.ndarray:
    """Bring a feature to 0..1 for an envelope; clocks stay as they are.

    Features without a fixed range take the song's own, but for the outer hundredths on both sides. What does not
    change in the whole song is 0.
    """
    kind = KINDS[feature.kind]
    if kind.clock or (kind.low, kind.high) == (0.0, 1.0):
        return values
    known = np.log2(np.maximum(values, 1.0)) if kind.logarithmic else np.asarray(values, np.float64)
    if kind.low is not None and kind.high is not None:
        low, high = float(kind.low), float(kind.high)
    elif len(known):
        low, high = (float(end) for end in np.percentile(known, (OUTER, 100.0 - OUTER)))
        if high - low <= NO_RANGE * max(abs(low), abs(high), 1.0):
            low, high = float(known.min()), float(known.max())
    else:
        low, high = 0.0, 1.0
    if high - low <= NO_RANGE * max(abs(low), abs(high), 1.0):
        return np.zeros_like(values)
    return np.clip((known - low) / (high - low), 0.0, 1.0).astype(np.float32)


def _onset(feature: Feature, song: Heard) -> np.ndarray:
    flux, energy = (song.kept[need] for need in needs(feature))
    return pool_maximum(find_attacks(flux, energy), song.fps, song.frames)


def _drum(feature: Feature, song: Heard) -> np.ndarray:
    return pool_maximum(song.drums(feature)[feature.kind], song.fps, song.frames)


def _rms(feature: Feature, song: Heard) -> np.ndarray:
    energy, *parts = [song.kept[need] for need in needs(feature)]
    if parts:
        part, mix, flux, difference = parts
        energy = energy * _shares(part, mix, len(energy), find_attacks(flux, difference).samples)
    return rms_envelope(energy, song.fps, song.frames, seconds=feature.seconds or 0.0)


def _shares(part: np.ndarray, mix: np.ndarray, slices: int, attacks: np.ndarray) -> np.ndarray:
    """How much of the energy of each slice of sound is a part's, as the spectra around it tell: float64 [slices].

    So a part is as loud as its spectra say, when the samples say. Before an attack (samples, int64 [attacks]) the
    spectra tell that hear nothing of it, and behind it those that hear it well: else a hit would make the drums loud,
    and the rest soft, before it sounds.
    """
    if len(part) == 0:
        return np.zeros(slices)
    shares = np.minimum(part / np.maximum(mix, 1e-12), 1.0)
    moment = (np.arange(slices) + 0.5) * SLICE
    reach = TIMING.window // 2
    before, behind = -(-reach // SLICE), BEHIND // SLICE
    place = (attacks // SLICE)[:, None] + np.arange(-before, behind)  # [attacks, slices]
    clear = np.repeat([(attacks - reach) // TIMING.hop * TIMING.hop, attacks + BEHIND], [before, behind], axis=0).T
    inside = (place >= 0) & (place < slices)
    moment[place[inside]] = clear[inside]
    return np.interp(moment, TIMING.centres(len(shares)), shares)


def _loudness(feature: Feature, song: Heard) -> np.ndarray:
    (energy,) = (song.kept[need] for need in needs(feature))
    return loudness_envelope(energy, song.fps, song.frames, seconds=feature.seconds or MOMENTARY)


def _colour(feature: Feature, song: Heard) -> np.ndarray:
    (values,) = (song.kept[need] for need in needs(feature))
    grid = PITCH if feature.kind == "contrast" else TIMING
    put = highest if feature.kind == "flux" else latest
    return put(values, window_dates(grid, len(values)), song.fps, song.frames)


def _arc(feature: Feature, song: Heard) -> np.ndarray:
    energies = {name: song.kept[Need("energy", band=band)] for name, band in arc.BANDS.items()}
    if feature.kind == "build":
        return arc.build_envelope(energies, song.fps, song.frames, feature.seconds or arc.BUILD_SECONDS)
    return arc.drop_envelope(energies, song.fps, song.frames, feature.seconds or arc.DROP_SECONDS)


def _chroma(feature: Feature, song: Heard) -> np.ndarray:
    circle, flux, energy = (song.kept[need] for need in needs(feature))
    attacks = find_attacks(flux, energy).samples
    return chroma_envelope(circle, song.fps, song.frames, feature.bins or PITCHES, attacks)


def _tonnetz(feature: Feature, song: Heard) -> np.ndarray:
    return tonnetz(_chroma(feature, song))


def _melody(feature: Feature, song: Heard) -> np.ndarray:
    notes, flux, energy = (song.kept[need] for need in needs(feature))
    put = pitch_envelope if feature.kind == "pitch" else voicing_envelope
    return put(notes, song.fps, song.frames, find_attacks(flux, energy).samples)


def _bars(feature: Feature, song: Heard) -> np.ndarray:
    assert song.rhythm is not None
    found = song.rhythm
    return bars_curve(
        *(found.downbeats, found.tempo, song.fps, song.frames), beats=found.beats, beats_per_bar=found.beats_per_bar
    )


def _tempo(feature: Feature, song: Heard) -> np.ndarray:
    assert song.rhythm is not None
    return tempo_curve(song.rhythm, song.fps, song.frames)


def _pulses(feature: Feature, song: Heard) -> np.ndarray:
    assert song.rhythm is not None
    times = song.rhythm.beats if feature.kind == "beats" else song.rhythm.downbeats
    samples = np.ceil(times * RATE).astype(np.int64)
    return pool_maximum(Hits(samples, np.ones(len(samples), np.float32)), song.fps, song.frames)


def _sections(feature: Feature, song: Heard) -> np.ndarray:
    fades: float | np.ndarray = feature.seconds or 0.0
    if feature.bars is not None:
        assert song.rhythm is not None
        fades = feature.bars * bar_lengths(song.rhythm, np.array([section.start for section in song.sections]))
    envelopes = section_envelopes(song.sections, song.fps, song.frames, fades, feature.bins)
    return np.stack(list(envelopes.values()), axis=1)


def _seconds(feature: Feature, song: Heard) -> np.ndarray:
    return frame_times(song.fps, song.frames)


_DRAWERS: Mapping[str, Callable[..., np.ndarray]] = {
    "onset": _onset,
    "kick": _drum,
    "snare": _drum,
    "hats": _drum,
    "rms": _rms,
    "loudness": _loudness,
    "centroid": _colour,
    "flatness": _colour,
    "flux": _colour,
    "contrast": _colour,
    "build": _arc,
    "drop": _arc,
    "chroma": _chroma,
    "tonnetz": _tonnetz,
    "pitch": _melody,
    "voicing": _melody,
    "bars": _bars,
    "tempo": _tempo,
    "beats": _pulses,
    "downbeats": _pulses,
    "sections": _sections,
    "seconds": _seconds,
}
