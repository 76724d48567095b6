# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks for plain data that came from a file: each returns the value in its right type or raises a ``Misfit``.

Every message names the dotted path of the value, what was found there and what was expected, so that an artist who
wrote the JSON by hand finds the line. Nothing here recurses into what it was given: data nested without end is
refused at its first level.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import CheckpointError, PatchError

LONGEST_JSON = 1 << 26  # characters of a patch: the largest masks in every layer come to a third of it
_LONGEST_QUOTE = 60


def describe(value: object) -> str:
    """What was found, in a few words: ``the text "kick"``, ``the number 7``, ``a list of 3``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number of more than 38 digits"
    if isinstance(value, (int, float)):
        return f"the number {value!r}"
    if isinstance(value, str):
        quote = value if len(value) <= _LONGEST_QUOTE else value[:_LONGEST_QUOTE] + "..."
        return f"the text {json.dumps(quote)}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {len(value)} keys"
    return f"a {type(value).__name__}"


class Misfit(Exception):
    """A value that does not fit its place: the dotted path, and a sentence with what was found and expected."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(f"{path}: {sentence}")
        self.path = path
        self.sentence = sentence

    def error(self, line: int | None = None) -> PatchError:
        """The same for the artist, with the line of the file where it is known."""
        where = f"line {line}, {self.path}" if line else self.path
        return PatchError(f"Patch, {where}: {self.sentence}")


def refuse(path: str, value: object, expected: str) -> Misfit:
    """The error for a value that is not as expected; the caller raises it."""
    return Misfit(path, f"found {describe(value)}, expected {expected}.")


@contextmanager
def file_at(path: str) -> Iterator[None]:
    """What is wrong with a file, as an error of the patch that names it at this dotted path."""
    try:
        yield
    except CheckpointError as error:
        raise PatchError(f"Patch, {path}: {error}") from error


def obj(value: object, path: str, *, known: Collection[str], required: Collection[str] = ()) -> dict[str, Any]:
    """An object that has all required keys and none that is not known."""
    if not isinstance(value, dict):
        raise refuse(path, value, f"an object with the keys {', '.join(known)}")
    for key in value:
        if key not in known:
            raise Misfit(path, f"found the unknown key {describe(key)}, expected only {', '.join(known)}.")
    for key in required:
        if key not in value:
            raise Misfit(path, f"found no key {key!r}, expected one; add it.")
    return value


def array(value: object, path: str, *, shortest: int = 0, longest: int) -> list[Any]:
    """A list whose length is within limits."""
    expected = f"a list of {shortest}" if shortest == longest else f"a list of {shortest} to {longest}"
    if not isinstance(value, (list, tuple)) or not shortest <= len(value) <= longest:
        raise refuse(path, value, expected)
    return list(value)


def number(value: object, path: str, *, low: float, high: float) -> float:
    """A finite number from `low` to `high`, both allowed."""
    expected = f"a number from {low:g} to {high:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refuse(path, value, expected)
    if not low <= value <= high:  # also true for NaN, and safe for integers too large for a float
        raise refuse(path, value, expected)
    return float(value) + 0.0  # -0.0 equals 0.0, and equal patches have the same text


def whole_number(value: object, path: str, *, low: int, high: int) -> int:
    """An integer from `low` to `high`, both allowed; 7.0 is not one."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise refuse(path, value, f"a whole number from {low} to {high}")
    return int(value)


def flag(value: object, path: str) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise refuse(path, value, "true or false")
    return value


def text(value: object, path: str, *, longest: int = 1024) -> str:
    """A text without null characters, at most `longest` characters."""
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        raise refuse(path, value, f"a text of at most {longest} characters")
    return value


def choice(value: object, path: str, names: Collection[str]) -> str:
    """One of some names."""
    if not isinstance(value, str) or value not in names:
        raise refuse(path, value, f"one of {', '.join(names)}")
    return value


def finite(value: object, name: str) -> float:
    """A number of the frame (an envelope or an override): any kind of real number, but finite."""
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if isinstance(value, str) or not math.isfinite(result):
        raise PatchError(f"The value {name!r} of this frame: found {describe(value)}, expected a finite number.")
    return result


_TOKEN = re.compile(r'[ \t\n\r]*("[^"\\]*(?:\\.[^"\\]*)*"|[][{}:,]|[^][{}:,"\s]+)')


def _places(source: str) -> Iterator[tuple[list[str | int | None], int]]:
    """Where the values of JSON text stand: for each its keys and numbers from the top, and where it begins.

    The list is the same one each time.
    """
    stack: list[str | int | None] = []  # a key or a number for each open object or list
    key: str | None = None
    for token in _TOKEN.finditer(source):
        word = token[1]
        if word in "]}":
            stack.pop()
        elif word == ",":
            if stack and isinstance(stack[-1], int):
                stack[-1] += 1
            elif stack:
                stack[-1] = None
        elif word == ":":
            stack[-1] = key
        elif word[0] == '"' and stack and stack[-1] is None:
            key = json.loads(word)
        else:
            yield stack, token.start(1)
            if word in "[{":
                stack.append(0 if word == "[" else None)


def _line(source: str, place: int) -> int:
    return source.count("\n", 0, place) + 1


def line_of(source: str, path: str) -> int:
    """The line, from 1, on which the value of a dotted path begins in JSON text; of its object where it is missing."""
    wanted = path.split(".")
    depth, best = 0, 0  # how much of what is wanted was found, and where
    for stack, place in _places(source):
        if depth < len(stack) <= len(wanted) and list(map(str, stack)) == wanted[: len(stack)]:
            depth, best = len(stack), place
            if depth == len(wanted):
                break
    return _line(source, best)


class _Twice(Exception):
    """An object has a key twice."""


def _key_that_is_there_twice(source: str) -> PatchError:
    """The error for it, with its line."""
    seen = set()
    for stack, place in _places(source):
        if tuple(stack) in seen:
            path = ".".join(map(str, stack))
            return Misfit(path, "found this key twice in one object, expected it once; remove one of them.").error(
                _line(source, place)
            )
        seen.add(tuple(stack))
    return PatchError("Patch: found a key twice in one object, expected it once.")


def parse_json(source: str) -> object:
    """Plain data from JSON text: no key twice, no nesting without end. (NaN is left to the checks of numbers.)"""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise _Twice
        return result

    if len(source) > LONGEST_JSON:
        raise PatchError(f"Patch: found {len(source)} characters, expected at most {LONGEST_JSON}; this is no patch.")
    try:
        return json.loads(source, object_pairs_hook=unique)
    except _Twice:
        raise _key_that_is_there_twice(source) from None
    except RecursionError:
        raise PatchError("Patch: found lists or objects nested too deeply, expected at most five levels.") from None
    except ValueError as error:
        raise PatchError(f"Patch: found text that is not JSON ({error}), expected a patch; save it again.") from None
