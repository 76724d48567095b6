# SPDX-License-Identifier: GPL-3.0-or-later
"""Listen to one sound, once: every stream that the asked features need is fed from the same blocks and spectra.

A `Need` names one stream. Features that need the same share it, and what no feature needs is never computed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arc import BANDS
from .attack import DifferenceStream
from .chroma import PitchStream
from .descriptors import CentroidStream, ContrastStream, FlatnessStream, FluxStream
from .feature import HARMONIC, MIX, PERCUSSIVE, Feature
from .hpss import Parts, SeparationStream
from .loudness import EnergyStream, SpectrumEnergyStream
from .onset import AttackStream, NoveltyStream
from .pitch import MelodyStream
from .r128 import WeightedEnergyStream
from .spectrum import PITCH, TIMING, Grid, SpectrumStream
from .stems import PROXIES, StemStream
from .timbre import TimbreStream

STRUCK = "struck"
"""The mix, together with what strikes in it."""

PARTS = (PERCUSSIVE, HARMONIC)
"""Sources that a separation of the mix gives."""

SOURCES = (MIX, *PARTS, *PROXIES)
"""Sources that can be heard in a song without stems."""


@dataclass(frozen=True)
class Need:
    """One stream: its kind, a name in ``STREAMS``, the source that it hears, and its band in Hz."""

    kind: str
    source: str = MIX
    band: tuple[float, float] | None = None


RHYTHMIC = ("bars", "beats", "downbeats", "tempo", "sections")
"""Kinds of features that follow from the beat."""

RHYTHM_NEEDS = (Need("novelty"), Need("circle"), Need("difference"))
"""Streams in which the beat is found."""

STREAMS: Mapping[str, tuple[Grid | str, Callable[[Need], Any]]] = {
    "difference": ("samples", lambda need: DifferenceStream()),
    "energy": ("samples", lambda need: EnergyStream(need.band)),
    "part energy": (TIMING, lambda need: SpectrumEnergyStream(TIMING, need.band)),
    "novelty": (TIMING, lambda need: NoveltyStream()),
    "attacks": (TIMING, lambda need: AttackStream(*need.band) if need.band else AttackStream()),
    "centroid": (TIMING, lambda need: CentroidStream(TIMING, need.band)),
    "flatness": (TIMING, lambda need: FlatnessStream(TIMING, need.band)),
    "flux": (TIMING, lambda need: FluxStream(TIMING, need.band)),
    "timbre": (TIMING, lambda need: TimbreStream()),
    "contrast": (PITCH, lambda need: ContrastStream(PITCH)),
    "circle": (PITCH, lambda need: PitchStream()),
    "melody": (PITCH, lambda need: MelodyStream(*need.band) if need.band else MelodyStream()),
}
"""What each kind of stream is fed with, and how it is made."""


def needs(feature: Feature) -> tuple[Need, ...]:
    """Streams from which a feature is drawn."""
    kind, source, band = feature.kind, feature.source, feature.band
    if kind == "onset":
        return Need("attacks", source, band), Need("difference")
    if kind in ("kick", "snare", "hats"):
        return Need("novelty", source), Need("difference")
    if kind == "rms":
        if source == MIX:
            return (Need("energy", MIX, band),)
        parts = (Need("part energy", source, band), Need("part energy", MIX, band))
        return Need("energy", MIX, band), *parts, Need("attacks"), Need("difference")
    if kind in ("centroid", "flatness", "flux", "contrast"):
        return (Need(kind, source, band),)
    if kind in ("build", "drop"):
        return tuple(Need("energy", band=band) for band in BANDS.values())
    if kind in ("chroma", "tonnetz"):
        return Need("circle", source), Need("attacks"), Need("difference")
    if kind in ("pitch", "voicing"):
        return Need("melody", source, band), Need("attacks"), Need("difference")
    if kind == "loudness":
        return (Need("loudness"),)
    if kind == "sections":
        return *RHYTHM_NEEDS, Need("timbre")
    if kind in RHYTHMIC:
        return RHYTHM_NEEDS
    return ()


@dataclass
class Ear:
    """Hears one file: is given its blocks, and then tells what its streams have kept.

    Parameters
    ----------
    wanted
        Streams to feed.
    rate, channels
        Of the file.
    """

    wanted: Iterable[Need]
    rate: int
    channels: int
    _streams: dict[Need, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for need in dict.fromkeys(self.wanted):
            if need.kind == "loudness":
                self._streams[need] = WeightedEnergyStream(self.rate, self.channels)
            else:
                self._streams[need] = STREAMS[need.kind][1](need)
        grids = {grid for need in self._streams if isinstance(grid := self._food(need), Grid)}
        self._spectra = {grid: SpectrumStream(grid) for grid in grids}
        self._separations = {grid: SeparationStream(grid) for grid in grids if self._sources(grid) & {*PARTS, STRUCK}}
        self._proxies = {
            grid: StemStream(grid, sorted(proxies)) for grid in grids if (proxies := self._sources(grid) & {*PROXIES})
        }

    @property
    def hears_channels(self) -> bool:
        """Whether it must be given the channels too."""
        return any(self._food(need) == "channels" for need in self._streams)

    def feed(self, samples: np.ndarray) -> None:
        """Append float32 [samples], mono at 44.1 kHz."""
        for need, stream in self._streams.items():
            if self._food(need) == "samples":
                stream.feed(samples)
        for grid, spectrum in self._spectra.items():
            magnitudes = spectrum.feed(samples)
            self._give(grid, MIX, magnitudes)
            if grid in self._separations:
                self._give_parts(grid, self._separations[grid].feed(magnitudes))
            if grid in self._proxies:
                for source, part in self._proxies[grid].feed(magnitudes).items():
                    self._give(grid, source, part)

    def feed_channels(self, block: np.ndarray) -> None:
        """Append float32 [samples, channels] at the file's own rate."""
        for need, stream in self._streams.items():
            if self._food(need) == "channels":
                stream.feed(block)

    def finish(self) -> Mapping[Need, Any]:
        """What each stream has kept; no more can be fed."""
        for grid, separation in self._separations.items():
            self._give_parts(grid, separation.finish())
        for grid, proxies in self._proxies.items():
            for source, part in proxies.finish().items():
                self._give(grid, source, part)
        # each stream goes as soon as it has told, so that not everything is held twice
        return {need: self._streams.pop(need).result() for need in tuple(self._streams)}

    def _give_parts(self, grid: Grid, parts: Parts) -> None:
        self._give(grid, PERCUSSIVE, parts.percussive)
        self._give(grid, HARMONIC, parts.harmonic)
        if STRUCK in self._sources(grid):
            self._give(grid, STRUCK, parts.mix, parts.struck)

    def _give(self, grid: Grid, source: str, *magnitudes: np.ndarray) -> None:
        """Feed all streams that hear a source."""
        for need, stream in self._streams.items():
            if self._food(need) == grid and _source(need) == source and len(magnitudes[0]):
                stream.feed(*magnitudes)

    def _sources(self, grid: Grid) -> set[str]:
        return {_source(need) for need in self._streams if self._food(need) == grid}

    def _food(self, need: Need) -> Grid | str:
        return "channels" if need.kind == "loudness" else STREAMS[need.kind][0]


def _source(need: Need) -> str:
    """What a stream is fed from: in the mix, drums are told apart with the help of what strikes."""
    return STRUCK if need == Need("novelty") else need.source
