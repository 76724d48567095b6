# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be heard in a song, and how it is written: ``onset``, ``drums:rms@60-250~2``, ``harmonic:chroma/24.5``.

A feature is text wherever it is kept (in a recipe, in a Blender file), so that the text is short and can be read:

    [source:]kind[/bins][.part][@low-high][~seconds or ~bars]

``source`` is ``mix`` (left out), ``percussive``, ``harmonic``, or the name of a stem; ``bins`` is in how many classes
an octave is divided, or into how many kinds sections are sorted; ``part`` is one column of a feature that has several;
``low-high`` is a band in Hz; ``seconds`` is the time over which is averaged, or faded: ``sections/4.0~2`` in two
seconds, ``sections/4.0~0.5bars`` in half a bar.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import PatchError

MIX, PERCUSSIVE, HARMONIC = "mix", "percussive", "harmonic"

HIGHEST = 22050.0
"""Hz. No sound behind the decoder reaches higher."""

SHORTEST, LONGEST = 0.001, 600.0
"""Seconds over which is averaged."""

BINS = (2, 120)
"""Fewest and most classes of an octave."""

PITCHES = 12
"""Classes of an octave where nothing else is asked for."""


@dataclass(frozen=True)
class Kind:
    """What all features of one kind have in common.

    Attributes
    ----------
    meaning
        One sentence for the artist.
    unit
        Of the values.
    low, high
        What becomes 0 and 1 in an envelope. None: the least and the most that the song itself has, but for its outer
        hundredths.
    takes
        Which of ``source``, ``band``, ``bins``, ``seconds``, ``bars`` it understands.
    columns
        How many values each frame has; zero stands for one, without a part. None: the song decides.
    logarithmic
        Whether an envelope follows the logarithm, as the ear does with frequencies.
    clock
        Whether it counts on through the song, and is no envelope between 0 and 1.
    """

    meaning: str
    unit: str
    low: float | None
    high: float | None
    takes: frozenset[str] = frozenset()
    columns: int | None = 0
    logarithmic: bool = False
    clock: bool = False


_DATA = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
# As data, so that Blender's room can read it without this one; it has labels and groups for its menus besides.


def _kind(about: Mapping[str, Any]) -> Kind:
    known = {field.name: about[field.name] for field in fields(Kind) if field.name in about}
    return Kind(**{**known, "takes": frozenset(about["takes"])})


KINDS: Mapping[str, Kind] = MappingProxyType({name: _kind(about) for name, about in _DATA["kinds"].items()})
"""All kinds of features by name."""

DEFAULT_FEATURES = (
    "onset",
    "kick",
    "snare",
    "hats",
    "rms",
    "chroma",
    "bars",
    "seconds",
    "sections",
    "sections/4~1bars",
)
"""What is listened for where nothing else is said."""

_GRAMMAR = re.compile(_DATA["grammar"])


@dataclass(frozen=True)
class Feature:
    """One thing to listen for.

    Parameters
    ----------
    kind
        A name in ``KINDS``.
    source
        ``mix``, ``percussive``, ``harmonic``, or the name of a stem.
    band
        Lowest and highest frequency, in Hz; none: everything.
    bins
        Classes of an octave; none: 12. Of sections: so many kinds; where a song has more, they begin again.
    seconds
        Time over which is averaged or faded; none: as short as the kind allows.
    bars
        The same in bars of the song.
    part
        One column, counted from 0; none: all.

    Raises
    ------
    PatchError
        There is no such kind, it does not understand what is asked for, or a number is out of its range.

    Examples
    --------
    >>> Feature.parse("percussive:onset@60-250").band
    (60.0, 250.0)
    >>> str(Feature("rms", source="drums", seconds=2))
    'drums:rms~2'
    """

    kind: str
    source: str = MIX
    band: tuple[float, float] | None = None
    bins: int | None = None
    seconds: float | None = None
    part: int | None = None
    bars: float | None = None

    def __post_init__(self) -> None:
        kind = KINDS.get(self.kind)
        if kind is None:
            raise PatchError(f"There is no feature “{self.kind}”. Use {', '.join(KINDS)}.")
        asked = {
            "source": self.source != MIX,
            "band": self.band is not None,
            "bins": self.bins is not None,
            "seconds": self.seconds is not None,
            "bars": self.bars is not None,
        }
        for word, is_asked in asked.items():
            if is_asked and word not in kind.takes:
                raise PatchError(f"There is no feature “{self}”: {self.kind} has no {word} to choose. Leave it out.")
        if not self.source or re.search(r"[\s:/.@~]", self.source):
            raise PatchError(f"There is no source “{self.source}”. Use mix, percussive, harmonic, or a stem's name.")
        if self.band is not None and not 0.0 <= self.band[0] < self.band[1] <= HIGHEST:
            raise PatchError(f"There is no feature “{self}”: a band goes from low to high, 0 to {HIGHEST:g} Hz.")
        if self.seconds is not None and not SHORTEST <= self.seconds <= LONGEST:
            raise PatchError(f"There is no feature “{self}”: choose {SHORTEST:g} to {LONGEST:g} seconds.")
        if self.bars is not None and not (SHORTEST <= self.bars <= LONGEST and self.seconds is None):
            raise PatchError(f"There is no feature “{self}”: choose {SHORTEST:g} to {LONGEST:g} bars, or seconds.")
        if self.bins is not None and not BINS[0] <= self.bins <= BINS[1]:
            raise PatchError(f"There is no feature “{self}”: choose {BINS[0]} to {BINS[1]} bins.")
        columns = self.bins or kind.columns
        if self.part is not None and columns is not None and not 0 <= self.part < columns:
            parts = f"its parts are 0 to {columns - 1}" if columns else "it has no parts"
            raise PatchError(f"There is no feature “{self}”: {parts}.")

    def __str__(self) -> str:
        source = "" if self.source == MIX else f"{self.source}:"
        bins = "" if self.bins is None else f"/{self.bins}"
        part = "" if self.part is None else f".{self.part}"
        band = "" if self.band is None else f"@{_plain(self.band[0])}-{_plain(self.band[1])}"
        seconds = "" if self.seconds is None else f"~{_plain(self.seconds)}"
        bars = "" if self.bars is None else f"~{_plain(self.bars)}bars"
        return f"{source}{self.kind}{bins}{part}{band}{seconds}{bars}"

    @classmethod
    def parse(cls, text: str) -> "Feature":
        """Read a feature's text.

        Raises
        ------
        PatchError
            It is not written like a feature, or means none.
        """
        found = _GRAMMAR.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise PatchError(
                f"There is no feature “{text}”. Write one as onset, onset@60-250 (Hz), rms~2 (seconds), chroma.0, "
                "or percussive:onset."
            )
        return cls(
            kind=found["kind"],
            source=found["source"] or MIX,
            band=(float(found["low"]), float(found["high"])) if found["low"] else None,
            bins=int(found["bins"]) if found["bins"] else None,
            seconds=float(found["length"]) if found["length"] and not found["in_bars"] else None,
            bars=float(found["length"]) if found["in_bars"] else None,
            part=int(found["part"]) if found["part"] else None,
        )

    @property
    def whole(self) -> "Feature":
        """The feature with all of its columns: what is listened for."""
        return replace(self, part=None)


def _plain(number: float) -> str:
    """Write a number without an exponent and without zeros at its end."""
    return f"{number:.6f}".rstrip("0").rstrip(".")
