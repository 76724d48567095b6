# SPDX-License-Identifier: GPL-3.0-or-later
"""What a patch is made of, declared once: frozen dataclasses whose fields say how they are read, checked and written.

Each field of a dataclass carries a `Check`. From these alone follow the reader of JSON data (an unknown key, a wrong
type or a number out of range is refused with its dotted path), the writer, the replacing of one number by its dotted
path, and the walk over all parts. Nothing here knows what the parts mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol

from . import checks

Steps = tuple[str, ...]


class Check(Protocol):
    """How the value of one field is read from plain data and replaced by a number."""

    def read(self, value: object, path: str) -> Any:
        """The value in its right type; raises `checks.Misfit`."""

    def plain(self, value: Any) -> Any:
        """The value as plain data, from which `read` makes an equal one."""

    def numbered(self, value: Any, steps: Steps, number: float, path: str) -> Any:
        """The value with the number at the end of some steps replaced; raises `NotANumber` where there is none.

        `path` is the whole dotted path, for the error.
        """


class NotANumber(Exception):
    """A dotted path that leads to no number."""


class Leaf:
    """A check whose value has no parts; `replaced` says what a curve's number makes of it."""

    def plain(self, value: Any) -> Any:
        """Plain already."""
        return value

    def numbered(self, value: Any, steps: Steps, number: float, path: str) -> Any:
        """The number in place of the value."""
        if steps:
            raise NotANumber
        return self.replaced(value, number, path)

    def replaced(self, value: Any, number: float, path: str) -> Any:
        """What no number can replace."""
        raise NotANumber


@dataclass(frozen=True)
class Number(Leaf):
    """A finite number from `low` to `high`."""

    low: float
    high: float

    def read(self, value: object, path: str) -> float:
        return checks.number(value, path, low=self.low, high=self.high)

    def plain(self, value: float) -> float:
        """A float even where Python code wrote 8, and 0.0 for -0.0: equal numbers are written alike."""
        return float(value) + 0.0

    def replaced(self, value: float, number: float, path: str) -> float:
        return self.read(number, path)


@dataclass(frozen=True)
class Whole(Leaf):
    """A whole number from `low` to `high`; a curve gives the nearest one."""

    low: int
    high: int

    def read(self, value: object, path: str) -> int:
        return checks.whole_number(value, path, low=self.low, high=self.high)

    def replaced(self, value: int, number: float, path: str) -> int:
        return self.read(round(number), path)


@dataclass(frozen=True)
class Flag(Leaf):
    """On or off; a curve switches on from 0.5."""

    def read(self, value: object, path: str) -> bool:
        return checks.flag(value, path)

    def replaced(self, value: bool, number: float, path: str) -> bool:
        return number >= 0.5


@dataclass(frozen=True)
class Fixed(Leaf):
    """What no number can replace; `convert` checks it."""

    convert: Callable[[object, str], Any]

    def read(self, value: object, path: str) -> Any:
        return self.convert(value, path)


@dataclass(frozen=True)
class Optional:
    """Another check's value, or null."""

    inner: Check

    def read(self, value: object, path: str) -> Any:
        return None if value is None else self.inner.read(value, path)

    def plain(self, value: Any) -> Any:
        return None if value is None else self.inner.plain(value)

    def numbered(self, value: Any, steps: Steps, number: float, path: str) -> Any:
        if value is None:
            raise NotANumber
        return self.inner.numbered(value, steps, number, path)


class Declared:
    """What the checks share whose values are declared dataclasses."""

    def plain(self, value: Any) -> Any:
        """Every key written out."""
        return plain(value)

    def check_of(self, value: Any, name: str) -> Check:
        """The check of one field."""
        return checks_of(type(value))[name]

    def numbered(self, value: Any, steps: Steps, number: float, path: str) -> Any:
        """The dataclass with a number somewhere inside it replaced."""
        if not steps or steps[0] not in checks_of(type(value)):
            raise NotANumber
        name = steps[0]
        new = self.check_of(value, name).numbered(getattr(value, name), steps[1:], number, path)
        return replace(value, **{name: new})


@dataclass(frozen=True)
class Part(Declared):
    """An object that is read into one dataclass."""

    cls: type[Any]

    def read(self, value: object, path: str) -> Any:
        return read(self.cls, value, path)


@dataclass(frozen=True)
class OneOf(Declared):
    """An object whose key ``kind`` says which of some dataclasses it is read into."""

    classes: tuple[type[Any], ...]

    def read(self, value: object, path: str) -> Any:
        kinds = {cls.kind: cls for cls in self.classes}
        if not isinstance(value, dict):
            raise checks.refuse(path, value, f"an object whose kind is one of {', '.join(kinds)}")
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in kinds:
            raise checks.refuse(f"{path}.kind", kind, f"one of {', '.join(kinds)}")
        return read(kinds[kind], value, path, also=("kind",))

    def plain(self, value: Any) -> Any:
        return {"kind": value.kind, **plain(value)}


@dataclass(frozen=True)
class Several:
    """A list of the same things, as a tuple."""

    inner: Check
    longest: int
    shortest: int = 0

    def read(self, value: object, path: str) -> tuple[Any, ...]:
        items = checks.array(value, path, shortest=self.shortest, longest=self.longest)
        return tuple(self.inner.read(item, f"{path}.{i}") for i, item in enumerate(items))

    def plain(self, value: Any) -> Any:
        return [self.inner.plain(item) for item in value]

    def numbered(self, value: Any, steps: Steps, number: float, path: str) -> Any:
        if not steps or not isinstance(value, tuple) or steps[0] not in map(str, range(len(value))):
            raise NotANumber
        at = int(steps[0])
        return (*value[:at], self.inner.numbered(value[at], steps[1:], number, path), *value[at + 1 :])


@dataclass(frozen=True)
class Named:
    """An object whose keys are names, as a tuple of pairs in the order of the file."""

    inner: Check
    most: int

    def read(self, value: object, path: str) -> tuple[tuple[str, Any], ...]:
        if not isinstance(value, dict) or len(value) > self.most:
            raise checks.refuse(path, value, f"an object with at most {self.most} names")
        names = [checks.text(name, path, longest=255) for name in value]
        return tuple((name, self.inner.read(value[name], f"{path}.{name}")) for name in names)

    def plain(self, value: tuple[tuple[str, Any], ...]) -> Any:
        return {name: self.inner.plain(item) for name, item in value}

    def numbered(self, value: Any, steps: Steps, number: float, path: str) -> Any:
        if not steps or steps[0] not in (name for name, _ in value):
            raise NotANumber
        return tuple(
            (name, self.inner.numbered(item, steps[1:], number, path) if name == steps[0] else item)
            for name, item in value
        )


# Fields


def declared(check: Check, default: Any = MISSING) -> Any:
    """A dataclass field with its check, and with a default or without."""
    return field(metadata={"check": check}) if default is MISSING else field(default=default, metadata={"check": check})


def number(default: Any, *, low: float, high: float) -> Any:
    """A field that holds a number."""
    return declared(Number(low, high), default)


def whole(default: Any, *, low: int, high: int) -> Any:
    """A field that holds a whole number."""
    return declared(Whole(low, high), default)


def flag(default: bool) -> Any:
    """A field that is on or off."""
    return declared(Flag(), default)


def text(default: str = "", *, longest: int = 1024) -> Any:
    """A field that holds a text."""
    return declared(Fixed(lambda value, path: checks.text(value, path, longest=longest)), default)


def choice(default: str, names: Collection[str]) -> Any:
    """A field that holds one of some names."""
    return declared(Fixed(lambda value, path: checks.choice(value, path, names)), default)


def checks_of(cls: Any) -> Mapping[str, Check]:
    """The checks of a dataclass' fields, by name, in their order."""
    return _declarations(cls)[0]


@lru_cache(maxsize=256)
def _declarations(cls: Any) -> tuple[Mapping[str, Check], tuple[str, ...]]:
    """The checks of a dataclass' fields, and the names of those without a default."""
    found = fields(cls)
    required = tuple(each.name for each in found if each.default is MISSING)
    return MappingProxyType({each.name: each.metadata["check"] for each in found}), required


def read(cls: Any, value: object, path: str, *, also: Collection[str] = ()) -> Any:
    """An object of a declared dataclass from plain data; keys of `also` may be there too.

    Raises
    ------
    checks.Misfit
        With the dotted path of the first value that does not fit, what was found and what was expected.
    """
    known, required = _declarations(cls)
    found = checks.obj(value, path or "top level", known=(*also, *known), required=required)
    inside = f"{path}." if path else ""
    return cls(**{name: check.read(found[name], inside + name) for name, check in known.items() if name in found})


def plain(value: Any) -> dict[str, Any]:
    """An object of a declared dataclass as plain data, every key written out."""
    return {name: check.plain(getattr(value, name)) for name, check in checks_of(type(value)).items()}


def parts(value: Any) -> Iterator[Any]:
    """The object itself and every declared dataclass inside it, in the order of the fields."""
    if isinstance(value, tuple):
        for item in value:
            yield from parts(item)
    elif hasattr(value, "__dataclass_fields__"):
        yield value
        for name in value.__dataclass_fields__:
            yield from parts(getattr(value, name))


def with_number(value: Any, path: str, number: float) -> Any:
    """The object with the number at a dotted path replaced; the object itself stays as it is.

    Raises
    ------
    NotANumber
        The path leads nowhere, or to something that is no number.
    checks.Misfit
        The number does not fit there.
    """
    return Declared().numbered(value, _steps(path), number, path)


@lru_cache(maxsize=4096)
def _steps(path: str) -> Steps:
    return tuple(path.split("."))
