# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals: the numbers of a patch that move. Each is a number of its own, which an envelope may shape.

The values of a frame are plain numbers by name: envelopes (``"audio_kick": 0.4``) and replacements of any number in the
patch by its dotted path (``"latent_layers.0.influence.amount": 0.3``), which is how keys and drivers reach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import PatchError
from . import checks
from .schema import Check, Declared, Fixed, Number, checks_of, declared, number, parts, plain, read

LARGEST_AMOUNT = 1000.0
NO_LIMIT = 1e9  # for what counts on through a song, and where a limit is not wanted
ENVELOPE_PREFIX = "audio_"  # what the song's own envelopes begin with; these may always be among the values

Values = Mapping[str, float]


def envelope_name(value: object, path: str, *, empty: bool = False) -> str:
    """The name of an envelope. A first word that is a part of the patch would be taken for a dotted path."""
    name = checks.text(value, path, longest=255)
    reserved = ("version", "truncation", "truncation_cutoff", "latent_layers", "noise_layers", "bends", "rewrites")
    if (not name and not empty) or name.split(".")[0] in (*reserved, "checkpoint", "label"):
        raise checks.refuse(path, value, "the name of an envelope, as audio_kick")
    return name


def envelope_at(values: Values, name: str) -> float:
    """One envelope's value in a frame; raises PatchError if it is missing or not finite."""
    if name not in values:
        raise PatchError(
            f"The patch reads the envelope {name!r}, but this frame has no value for it. "
            "Bake that envelope, or choose another one in the layer."
        )
    return checks.finite(values[name], name)


@dataclass(frozen=True)
class Signal:
    """``amount``, or with an envelope ``amount * clip(offset + gain * envelope, minimum, maximum)``.

    The clip is for an artist to flatten peaks or to keep a floor (the paper's appendix D); what the number can be at
    all is the business of the field that holds it.
    """

    amount: float = number(1.0, low=-NO_LIMIT, high=NO_LIMIT)
    envelope: str = declared(Fixed(lambda value, path: envelope_name(value, path, empty=True)), "")
    gain: float = number(1.0, low=-LARGEST_AMOUNT, high=LARGEST_AMOUNT)
    offset: float = number(0.0, low=-NO_LIMIT, high=NO_LIMIT)
    minimum: float = number(-NO_LIMIT, low=-NO_LIMIT, high=NO_LIMIT)
    maximum: float = number(NO_LIMIT, low=-NO_LIMIT, high=NO_LIMIT)

    @property
    def envelopes(self) -> tuple[str, ...]:
        """Names of the values that this signal reads."""
        return (self.envelope,) if self.envelope else ()

    def at(self, values: Values) -> float:
        """The signal's value in the frame that has these values."""
        if not self.envelope:
            return self.amount
        shaped = self.offset + self.gain * envelope_at(values, self.envelope)
        return self.amount * min(max(shaped, self.minimum), self.maximum)

    def within(self, values: Values, low: float, high: float) -> float:
        """The same, no lower and no higher than is possible: a curve that overshoots its key a little is no error."""
        return min(max(self.at(values), low), high)


def envelopes_of(*wholes: Any) -> tuple[str, ...]:
    """Names of the envelopes that are read anywhere inside some parts of a patch, each once, in their order."""
    inside = [part for whole in wholes for part in parts(whole)]
    return tuple(dict.fromkeys(name for part in inside for name in getattr(part, "envelopes", ())))


@dataclass(frozen=True)
class Signalled(Declared):
    """A signal whose amount lies from `low` to `high`. Without an envelope it is written as a number."""

    low: float
    high: float

    def check_of(self, value: Any, name: str) -> Check:
        """As in `Signal`, but for the limits of the amount."""
        return Number(self.low, self.high) if name == "amount" else super().check_of(value, name)

    def read(self, value: object, path: str) -> Signal:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return Signal(checks.number(value, path, low=self.low, high=self.high))
        if not isinstance(value, dict):
            raise checks.refuse(path, value, f"a number, or an object with the keys {', '.join(checks_of(Signal))}")
        signal: Signal = read(Signal, value, path)
        checks.number(signal.amount, f"{path}.amount", low=self.low, high=self.high)
        return signal

    def plain(self, value: Signal) -> Any:
        """A number, or an object with what differs from the usual."""
        if value == Signal(value.amount):
            return Number(self.low, self.high).plain(value.amount)
        usual = Signal()
        always = ("amount", "envelope")
        return {
            name: number for name, number in plain(value).items() if name in always or number != getattr(usual, name)
        }


def signal(
    amount: float = 1.0, *, low: float = -LARGEST_AMOUNT, high: float = LARGEST_AMOUNT, envelope: str = ""
) -> Any:
    """A field that holds a signal."""
    return declared(Signalled(low, high), Signal(amount, envelope))
