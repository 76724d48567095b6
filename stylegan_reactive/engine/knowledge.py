# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist knows of a song, as a request carries it: its beat, its form, its stems, and which part to hear.

The fields come over the pipe as plain data from a scene or a script. They are checked here, so that a misspelt or
misplaced value is named, and become what the audio room takes and what a cache can tell apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from ..audio import RhythmSettings, SectionSettings, find_stems
from ..errors import PatchError, SongError

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Knowledge:
    """What `audio.analyse` takes beside a song, a frame rate and features; equal for what sounds and counts alike."""

    offset: float
    duration: float | None
    rhythm: RhythmSettings
    form: SectionSettings
    stems: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> "Knowledge":
        """Read the optional fields of a request.

        Raises
        ------
        SongError
            A time, the beat or a stem is not usable.
        PatchError
            A field does not exist or is of the wrong kind.
        """
        offset, duration = message.get("offset"), message.get("duration")
        for name, value in (("offset", offset), ("duration", duration)):
            if not (value is None or _is_number(value)):
                raise SongError(f"The {name} {value!r} is not a time in a song. Give seconds.")
        rhythm = _fields(message.get("rhythm"), "rhythm", RHYTHM)
        if "taps" in rhythm:
            rhythm["taps"] = tuple(rhythm["taps"])
        form = _fields(message.get("form"), "form", FORM)
        if "markers" in form:
            form["markers"] = tuple((time, label) for time, label in form["markers"])
        return cls(
            0.0 if offset is None else offset,
            duration,
            RhythmSettings(**rhythm),
            SectionSettings(**form),
            _stems(message.get("stems"), message["song"]),
        )

    def arguments(self) -> dict[str, Any]:
        """As keyword arguments of `audio.analyse`."""
        return {
            "offset": self.offset,
            "duration": self.duration,
            "rhythm": self.rhythm,
            "form": self.form,
            "stems": dict(self.stems),
        }


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_marker(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_number(value[0]) and isinstance(value[1], str)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


RHYTHM: Mapping[str, tuple[Check, str]] = {
    "beats_per_bar": (_or_none(_is_whole), "a whole number or none"),
    "bar_offset": (_is_whole, "a whole number"),
    "fixed_bpm": (_or_none(_is_number), "a number or none"),
    "first_beat": (_or_none(_is_number), "a number or none"),
    "speed": (_is_number, "a number"),
    "taps": (lambda value: isinstance(value, list) and all(map(_is_number, value)), "a list of numbers"),
}
"""Fields of `RhythmSettings`; whether a number makes sense is for the settings to say."""

FORM: Mapping[str, tuple[Check, str]] = {
    "kinds": (_or_none(_is_whole), "a whole number or none"),
    "method": (lambda value: isinstance(value, str), "a name"),
    "shortest_bars": (_is_whole, "a whole number"),
    "markers": (lambda value: isinstance(value, list) and all(map(_is_marker, value)), "a list of [seconds, label]"),
}
"""Fields of `SectionSettings`."""


def _fields(given: Any, name: str, checks: Mapping[str, tuple[Check, str]]) -> dict[str, Any]:
    """The fields of a group, if there are such ones and they are of the right kind."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise PatchError(f"“{name}” has to be a group of values ({', '.join(checks)}), not {given!r}.")
    for field, value in given.items():
        if field not in checks:
            raise PatchError(f"“{name}” has no value “{field}”. It can have {', '.join(checks)}.")
        fits, kind = checks[field]
        if not fits(value):
            raise PatchError(f"“{field}” of “{name}” has to be {kind}, not {value!r}.")
    return dict(given)


def _stems(given: Any, song: str) -> tuple[tuple[str, str], ...]:
    """Names and files of stems, from a folder or from a mapping; none for an empty path."""
    if not given:
        return ()
    if isinstance(given, str):
        return tuple((name, str(path)) for name, path in find_stems(given, song).items())
    if not (
        isinstance(given, Mapping) and all(name and path and isinstance(path, str) for name, path in given.items())
    ):
        raise PatchError(f"“stems” has to be a folder, or the name and file of each stem, not {given!r}.")
    for name, path in given.items():
        if not Path(path).is_file():
            raise SongError(f"The stem “{name}” is not there: “{path}”. Choose it again.")
    return tuple(sorted(given.items()))
