# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of post-processing as data: what an envelope's recipe keeps, and a panel shows.

Each step is a frozen dataclass around the function of the same name in ``envelopes.py``. Their defaults, ranges, units
and descriptions lie in ``envelope_steps.json``, so that Blender's room can read them without this one.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from ..errors import PatchError
from . import envelopes

LARGEST = 1e6
"""What no value of an envelope exceeds between two steps; Hz are the largest of units, with some 20000."""


@dataclass(frozen=True)
class Parameter:
    """What can be set at a step.

    Attributes
    ----------
    name
        Of the step's attribute.
    unit
        ``s``, ``dB``, ``%``, or nothing for plain numbers and for the envelope's own unit, 0 to 1.
    default, low, high
        Value where nothing else is said, and the least and largest that are allowed.
    description
        One line for the artist.
    """

    name: str
    unit: str
    default: float
    low: float
    high: float
    description: str


@dataclass(frozen=True)
class StepKind:
    """One kind of step.

    Attributes
    ----------
    name
        In plain data, and of the function in ``envelopes.py``.
    description
        One line for the artist.
    parameters
        In the order of the step's attributes.
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...]


STEPS: Mapping[str, StepKind] = MappingProxyType(
    {
        name: StepKind(
            name,
            kind["description"],
            tuple(Parameter(name=parameter, **about) for parameter, about in kind["parameters"].items()),
        )
        for name, kind in json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8")).items()
    }
)
"""All kinds of steps by name, in the order in which a menu lists them."""


def _set(kind: str, name: str) -> float:
    default = next(parameter.default for parameter in STEPS[kind].parameters if parameter.name == name)
    return field(default=default)  # type: ignore[no-any-return]  # dataclasses type a field as its value


@dataclass(frozen=True)
class Step:
    """One step of post-processing; each of the classes below adds its parameters.

    Raises
    ------
    PatchError
        As one is made: a parameter is no number or out of its range.
    """

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for parameter in STEPS[self.kind].parameters:
            value = getattr(self, parameter.name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not is_number or not parameter.low <= value <= parameter.high:
                raise PatchError(
                    f"Step “{self.kind}”: {parameter.name} is {value!r}. Choose a number from {parameter.low:g} "
                    f"to {parameter.high:g}{' ' + parameter.unit if parameter.unit else ''}."
                )

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        """Process an envelope.

        Parameters
        ----------
        values
            [frames] or [frames, channels].
        rate
            Frames per second.

        Returns
        -------
        numpy.ndarray
            float64, of the same shape.
        """
        raise NotImplementedError

    def to_plain(self) -> dict[str, str | float]:
        """Plain data for JSON: the kind as ``step``, and all parameters; ``step_from_plain`` reads it."""
        return {"step": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Gaussian(Step):
    """Smooth: see ``envelopes.gaussian``."""

    kind = "gaussian"
    seconds: float = _set(kind, "seconds")
    future: float = _set(kind, "future")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.gaussian(values, self.seconds, rate, future=self.future)


@dataclass(frozen=True)
class Follower(Step):
    """Rise, stay and fall: see ``envelopes.follower``."""

    kind = "follower"
    attack: float = _set(kind, "attack")
    hold: float = _set(kind, "hold")
    release: float = _set(kind, "release")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.follower(values, self.attack, self.hold, self.release, rate)


@dataclass(frozen=True)
class Normalise(Step):
    """Bring usual peaks to 1: see ``envelopes.normalise``."""

    kind = "normalise"
    percentile: float = _set(kind, "percentile")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.normalise(values, percentile=self.percentile)


@dataclass(frozen=True)
class NormaliseRange(Step):
    """Stretch to a range: see ``envelopes.normalise_range``."""

    kind = "normalise_range"
    low: float = _set(kind, "low")
    high: float = _set(kind, "high")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.normalise_range(values, low=self.low, high=self.high)


@dataclass(frozen=True)
class NormaliseLoudness(Step):
    """Give the same strength on average: see ``envelopes.normalise_loudness``."""

    kind = "normalise_loudness"
    target: float = _set(kind, "target")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.normalise_loudness(values, target=self.target)


@dataclass(frozen=True)
class Expand(Step):
    """Drive strong and weak apart: see ``envelopes.expand``."""

    kind = "expand"
    threshold: float = _set(kind, "threshold")
    ratio: float = _set(kind, "ratio")
    knee: float = _set(kind, "knee")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.expand(values, threshold=self.threshold, ratio=self.ratio, knee=self.knee)


@dataclass(frozen=True)
class Compress(Step):
    """Bring strong and weak together: see ``envelopes.compress``."""

    kind = "compress"
    threshold: float = _set(kind, "threshold")
    ratio: float = _set(kind, "ratio")
    knee: float = _set(kind, "knee")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.compress(values, threshold=self.threshold, ratio=self.ratio, knee=self.knee)


@dataclass(frozen=True)
class GainAndClip(Step):
    """Multiply and cut off: see ``envelopes.gain_and_clip``."""

    kind = "gain_and_clip"
    gain: float = _set(kind, "gain")
    low: float = _set(kind, "low")
    high: float = _set(kind, "high")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise PatchError(f"Step “{self.kind}”: low is {self.low:g}, above high, {self.high:g}. Exchange them.")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.gain_and_clip(values, self.gain, self.low, self.high)


@dataclass(frozen=True)
class Power(Step):
    """Raise to a power: see ``envelopes.power``."""

    kind = "power"
    exponent: float = _set(kind, "exponent")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.power(values, self.exponent)


@dataclass(frozen=True)
class Gate(Step):
    """Let through only what is strong: see ``envelopes.gate``."""

    kind = "gate"
    threshold: float = _set(kind, "threshold")
    hysteresis: float = _set(kind, "hysteresis")
    hold: float = _set(kind, "hold")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.gate(values, self.threshold, self.hysteresis, self.hold, rate)


@dataclass(frozen=True)
class Trigger(Step):
    """Start pulses: see ``envelopes.trigger``."""

    kind = "trigger"
    threshold: float = _set(kind, "threshold")
    hysteresis: float = _set(kind, "hysteresis")
    decay: float = _set(kind, "decay")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.trigger(values, self.threshold, self.hysteresis, self.decay, rate)


@dataclass(frozen=True)
class Delay(Step):
    """Show later: see ``envelopes.delay``."""

    kind = "delay"
    seconds: float = _set(kind, "seconds")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        return envelopes.delay(values, self.seconds, rate)


_CLASSES: Mapping[str, type[Step]] = MappingProxyType({step.kind: step for step in Step.__subclasses__()})


def step_from_plain(data: Mapping[str, object]) -> Step:
    """Read one step; parameters that are not given have their defaults.

    Raises
    ------
    PatchError
        There is no such step or parameter, or a value is out of its range.

    Examples
    --------
    >>> step_from_plain({"step": "gaussian", "seconds": 0.25})
    Gaussian(seconds=0.25, future=0.0)
    """
    kind = data.get("step") if isinstance(data, Mapping) else None
    if not isinstance(kind, str) or kind not in _CLASSES:
        raise PatchError(f"There is no step of post-processing {kind!r}. Use {', '.join(STEPS)}.")
    known = [parameter.name for parameter in fields(_CLASSES[kind])]
    unknown = sorted(str(name) for name in data if name != "step" and name not in known)
    if unknown:
        raise PatchError(f"Step “{kind}” has no “{unknown[0]}”. It has {', '.join(known)}.")
    return _CLASSES[kind](**{name: value for name, value in data.items() if name != "step"})


def chain_from_plain(data: Sequence[Mapping[str, object]]) -> tuple[Step, ...]:
    """Read a chain of steps from plain data.

    Raises
    ------
    PatchError
        It is no list, or a step in it is wrong.
    """
    if not isinstance(data, list | tuple):
        raise PatchError(f"Steps of post-processing are a list; this is {data!r}. Write [] for none.")
    return tuple(step_from_plain(step) for step in data)


def chain_to_plain(chain: Iterable[Step]) -> list[dict[str, str | float]]:
    """Plain data for JSON; ``chain_from_plain`` reads it."""
    return [step.to_plain() for step in chain]


def apply_chain(chain: Iterable[Step], values: np.ndarray, rate: float) -> np.ndarray:
    """Take one step after another: float64, of the same shape, finite and not beyond ``LARGEST`` however steep."""
    processed = np.asarray(values, np.float64)
    for step in chain:
        with np.errstate(over="ignore", invalid="ignore"):
            processed = np.nan_to_num(step.apply(processed, rate), nan=0.0, posinf=LARGEST, neginf=-LARGEST)
        processed = np.clip(processed, -LARGEST, LARGEST)
    return processed
