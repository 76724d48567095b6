# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of post-processing as data: which function of ``envelopes``, and with which parameters.

Written as JSON, a step is ``{"step": "release", "seconds": 0.2}``. Times are in seconds, so that the same steps make
the same envelope at every frame rate.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ..errors import PatchError
from . import envelopes

LONGEST = 600.0
"""Seconds."""


@dataclass(frozen=True)
class Parameter:
    """A number that a step takes, and its range."""

    default: float
    low: float
    high: float


@dataclass(frozen=True)
class StepKind:
    """What all steps of one name have in common.

    Attributes
    ----------
    meaning
        One sentence for the artist.
    function
        In ``envelopes``.
    parameters
        By the names that the function gives them.
    timed
        Whether the function must know the frame rate.
    """

    meaning: str
    function: Callable[..., np.ndarray]
    parameters: Mapping[str, Parameter]
    timed: bool = False


def _seconds(default: float) -> Parameter:
    return Parameter(default, 0.0, LONGEST)


def _share(default: float) -> Parameter:
    return Parameter(default, 0.0, 1.0)


STEPS: Mapping[str, StepKind] = MappingProxyType(
    {
        "gaussian": StepKind(
            "Blur over time; future 0 looks back only, so that nothing moves before it sounds",
            envelopes.gaussian,
            {"seconds": _seconds(0.1), "future": _share(0.0)},
            timed=True,
        ),
        "follower": StepKind(
            "Rise towards each hit, stay, then fall",
            envelopes.follower,
            {"attack": _seconds(0.0), "hold": _seconds(0.0), "release": _seconds(0.1)},
            timed=True,
        ),
        "release": StepKind("Rise at once, then fall", envelopes.release, {"seconds": _seconds(0.1)}, timed=True),
        "normalise": StepKind(
            "Bring usual hits to 1: a percentile of the local maxima",
            envelopes.normalise,
            {"percentile": Parameter(95.0, 0.0, 100.0)},
        ),
        "normalise_range": StepKind(
            "Stretch from the least to the largest value; low above high turns it upside down",
            envelopes.normalise_range,
            {"low": _share(0.0), "high": _share(1.0)},
        ),
        "normalise_loudness": StepKind(
            "Bring the average to a level, pauses left out", envelopes.normalise_loudness, {"target": _share(0.5)}
        ),
        "expand": StepKind(
            "Multiply what is above a threshold, divide what is below; the knee in decibels",
            envelopes.expand,
            {"threshold": _share(0.5), "ratio": Parameter(2.0, 1e-3, 1e3), "knee": Parameter(0.0, 0.0, 120.0)},
        ),
        "compress": StepKind(
            "Divide what is above a threshold, multiply what is below; the knee in decibels",
            envelopes.compress,
            {"threshold": _share(0.5), "ratio": Parameter(2.0, 1e-3, 1e3), "knee": Parameter(0.0, 0.0, 120.0)},
        ),
        "power": StepKind(
            "Above 1 only strong hits stay, below 1 weak ones come up",
            envelopes.power,
            {"exponent": Parameter(2.0, 0.0, 100.0)},
        ),
        "gain_and_clip": StepKind(
            "Multiply, then keep within low and high",
            envelopes.gain_and_clip,
            {"gain": Parameter(2.0, 0.0, 1e6), "low": _share(0.0), "high": _share(1.0)},
        ),
        "gate": StepKind(
            "Let through only what is strong enough",
            envelopes.gate,
            {"threshold": _share(0.3), "hysteresis": _share(0.1), "hold": _seconds(0.0)},
            timed=True,
        ),
        "trigger": StepKind(
            "A pulse of height 1 whenever the envelope comes up to a threshold",
            envelopes.trigger,
            {"threshold": _share(0.5), "hysteresis": _share(0.1), "decay": _seconds(0.2)},
            timed=True,
        ),
        "delay": StepKind("Show everything later", envelopes.delay, {"seconds": _seconds(0.1)}, timed=True),
    }
)
"""All steps by name."""


@dataclass(frozen=True, init=False)
class Step:
    """One step of post-processing.

    Parameters
    ----------
    name
        In ``STEPS``.
    **parameters
        What the step is told; the rest has its default.

    Raises
    ------
    PatchError
        There is no such step or parameter, or a number is out of its range.

    Examples
    --------
    >>> Step("release", seconds=0.2).to_dict()
    {'step': 'release', 'seconds': 0.2}
    """

    name: str
    parameters: tuple[tuple[str, float], ...]

    def __init__(self, name: str, **parameters: float) -> None:
        kind = STEPS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise PatchError(f"There is no step “{name}”. Use {', '.join(STEPS)}.")
        for key in parameters:
            if key not in kind.parameters:
                raise PatchError(f"{name}: “{key}” is unknown. Known: {', '.join(kind.parameters)}.")
        values = {}
        for key, parameter in kind.parameters.items():
            value = parameters.get(key, parameter.default)
            check_number(f"{name}: {key}", value, parameter.low, parameter.high)
            values[key] = float(value)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "parameters", tuple(values.items()))

    def __call__(self, envelope: np.ndarray, fps: float) -> np.ndarray:
        """Take the step: float64, of the envelope's shape."""
        kind = STEPS[self.name]
        return kind.function(envelope, **dict(self.parameters), **({"rate": fps} if kind.timed else {}))

    def to_dict(self) -> dict[str, str | float]:
        """Plain data for JSON; ``from_dict`` reads it."""
        return {"step": self.name, **dict(self.parameters)}

    @classmethod
    def from_dict(cls, data: object) -> "Step":
        """Read plain data: ``{"step": name, parameter: number, ...}``.

        Raises
        ------
        PatchError
            As for the step itself, or the data is of another form.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("step"), str):
            raise PatchError(f"{data!r} is no step. Write one as {{'step': 'release', 'seconds': 0.2}}.")
        return cls(data["step"], **{str(key): value for key, value in data.items() if key != "step"})


def check_number(what: str, value: object, low: float, high: float) -> None:
    """Raise PatchError unless a value is a number from ``low`` to ``high``."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        raise PatchError(f"{what} is {value!r}. Choose a number from {low:g} to {high:g}.")
