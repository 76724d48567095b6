# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be listened for, as ``feature.json`` of the audio room says it, and its text: ``drums:onset@60-250``."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PatchError

AUDIO = Path(__file__).resolve().parent.parent / "audio"


_DATA = json.loads((AUDIO / "feature.json").read_text(encoding="utf-8"))
_GRAMMAR = re.compile(_DATA["grammar"])

KINDS: dict[str, dict[str, Any]] = _DATA["kinds"]
"""By name: ``label``, ``group``, ``meaning``, ``takes``, ``columns``, and whether it is a ``clock``."""

CLOCKS = tuple(name for name, kind in KINDS.items() if kind.get("clock"))
"""Kinds that count on through the song, instead of staying between 0 and 1."""

PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

GROUPS = tuple(dict.fromkeys(kind["group"] for kind in KINDS.values()))
"""Headings of the menu of features, in their order."""


def kind_of(feature: str) -> str:
    """The kind of a feature's text; empty where it is none."""
    found = _GRAMMAR.fullmatch(feature)
    return found["kind"] if found else ""


def is_clock(feature: str) -> bool:
    """Whether a feature counts on through the song."""
    return kind_of(feature) in CLOCKS


@dataclass(frozen=True)
class FeatureParts:
    """A feature in its parts, see `audio.feature.Feature`; what is None is not asked for."""

    kind: str
    source: str = "mix"
    bins: int | None = None
    part: int | None = None
    band: tuple[float, float] | None = None
    length: float | None = None
    in_bars: bool = False

    def __str__(self) -> str:
        source = "" if self.source == "mix" else f"{self.source}:"
        bins = "" if self.bins is None else f"/{self.bins}"
        part = "" if self.part is None else f".{self.part}"
        band = "" if self.band is None else f"@{_plain(self.band[0])}-{_plain(self.band[1])}"
        length = "" if self.length is None else f"~{_plain(self.length)}{'bars' if self.in_bars else ''}"
        return f"{source}{self.kind}{bins}{part}{band}{length}"


def parts_of(text: str) -> FeatureParts:
    """Take a feature's text apart; raises `PatchError` where it is none."""
    found = _GRAMMAR.fullmatch(text)
    if found is None or found["kind"] not in KINDS:
        raise PatchError(f"There is no feature “{text}”. Write one as onset, drums:rms@60-250~2, or chroma.0.")
    return FeatureParts(
        kind=found["kind"],
        source=found["source"] or "mix",
        bins=int(found["bins"]) if found["bins"] else None,
        part=int(found["part"]) if found["part"] else None,
        band=(float(found["low"]), float(found["high"])) if found["low"] else None,
        length=float(found["length"]) if found["length"] else None,
        in_bars=bool(found["in_bars"]),
    )


def _plain(number: float) -> str:
    """Write a number without an exponent and without zeros at its end; single precision holds no more digits."""
    digits = f"{float(f'{number:.6g}'):.6f}"
    return digits.rstrip("0").rstrip(".")


PREFIX = "audio_"  # of the custom properties that hold envelopes


def title_of(envelope: str) -> str:
    """The name of an envelope as an artist reads it: Kick for audio_kick."""
    name = envelope.removeprefix(PREFIX).replace("_", " ")
    if len(name) <= 3:
        return name.upper()
    return " ".join(word if word.isupper() else word[0].upper() + word[1:] for word in name.split(" ") if word)


def name_of(title: str) -> str:
    """The name of an envelope with a title: audio_My_Bass for My Bass."""
    name = title.strip().replace(" ", "_")
    return name if name.startswith(PREFIX) else PREFIX + name
