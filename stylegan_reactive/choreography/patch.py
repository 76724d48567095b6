# SPDX-License-Identifier: GPL-3.0-or-later
"""The patch: what stays the same over time. Which network, which latents, which noise, and which envelope moves what.

``picture(frame) = f(patch, values(frame))``: a patch is frozen, compares by content, travels as JSON (version 1) and is
checked to the last number when it is read. The values of a frame are plain numbers by name: envelopes
(``"audio_kick": 0.4``) and overrides of any number in the patch by its dotted path
(``"latent_layers.0.influence.amount": 0.3``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, ClassVar

from ..errors import PatchError
from . import checks

VERSION = 1
RANGE_NAMES = ("all", "coarse", "medium", "fine")
ENVELOPE_PREFIX = "audio_"  # what the song's own envelopes begin with; these may always be among the values
PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

# Limits. A seed is what NumPy's RandomState takes; amounts are clamped where they are used, so that a curve which
# overshoots its key by a little is no error.
LARGEST_SEED = 2**32 - 1
LARGEST_AMOUNT = 1000.0
MOST_LAYERS = 64
MOST_SEEDS = 256

Range = str | tuple[int, int]
Values = Mapping[str, float]


@dataclass(frozen=True)
class Signal:
    """A number that an envelope may move: ``amount``, or ``amount * (offset + gain * envelope)``."""

    amount: float = 1.0
    envelope: str = ""
    gain: float = 1.0
    offset: float = 0.0

    def at(self, values: Values) -> float:
        """The signal's value in the frame that has these values."""
        if not self.envelope:
            return self.amount
        return self.amount * (self.offset + self.gain * envelope_at(values, self.envelope))

    @classmethod
    def read(cls, value: object, path: str) -> Signal:
        plain = checks.obj(value, path, known=_names(cls))
        limits = {"low": -LARGEST_AMOUNT, "high": LARGEST_AMOUNT}
        return cls(
            amount=checks.number(plain.get("amount", 1.0), f"{path}.amount", **limits),
            envelope=_envelope_name(plain.get("envelope", ""), f"{path}.envelope", empty=True),
            gain=checks.number(plain.get("gain", 1.0), f"{path}.gain", **limits),
            offset=checks.number(plain.get("offset", 0.0), f"{path}.offset", **limits),
        )


@dataclass(frozen=True)
class StaticLatent:
    """One latent that stays as it is."""

    kind: ClassVar[str] = "static"
    seed: int

    @classmethod
    def read(cls, plain: dict[str, Any], path: str) -> StaticLatent:
        return cls(_seed(plain["seed"], f"{path}.seed"))


@dataclass(frozen=True)
class LoopLatent:
    """A loop through latents, one turn through all of them per `bars` of its clock."""

    kind: ClassVar[str] = "loop"
    seeds: tuple[int, ...]
    bars: float = 8.0
    clock: str = "audio_bars"

    @classmethod
    def read(cls, plain: dict[str, Any], path: str) -> LoopLatent:
        return cls(
            seeds=_seeds(plain["seeds"], f"{path}.seeds", shortest=1, longest=MOST_SEEDS),
            bars=checks.number(plain.get("bars", 8.0), f"{path}.bars", low=1e-3, high=1e6),
            clock=_envelope_name(plain.get("clock", "audio_bars"), f"{path}.clock"),
        )


@dataclass(frozen=True)
class ChromaLatent:
    """Twelve latents, one per pitch class (C first), each weighted by its envelope."""

    kind: ClassVar[str] = "chroma"
    seeds: tuple[int, ...]
    envelopes: tuple[str, ...] = tuple(f"audio_chroma_{name}" for name in PITCH_CLASSES)

    @classmethod
    def read(cls, plain: dict[str, Any], path: str) -> ChromaLatent:
        default = [f"audio_chroma_{name}" for name in PITCH_CLASSES]
        names = checks.array(plain.get("envelopes", default), f"{path}.envelopes", shortest=12, longest=12)
        return cls(
            seeds=_seeds(plain["seeds"], f"{path}.seeds", shortest=12, longest=12),
            envelopes=tuple(_envelope_name(name, f"{path}.envelopes.{i}") for i, name in enumerate(names)),
        )


@dataclass(frozen=True)
class OwnNoise:
    """The noise that the network was saved with."""

    kind: ClassVar[str] = "own"

    @classmethod
    def read(cls, plain: dict[str, Any], path: str) -> OwnNoise:
        return cls()


@dataclass(frozen=True)
class FixedNoise:
    """White noise of a seed that stays as it is."""

    kind: ClassVar[str] = "fixed"
    seed: int

    @classmethod
    def read(cls, plain: dict[str, Any], path: str) -> FixedNoise:
        return cls(_seed(plain["seed"], f"{path}.seed"))


@dataclass(frozen=True)
class EvolvingNoise:
    """White noise that changes steadily: after `seconds` of its clock it is half correlated with itself."""

    kind: ClassVar[str] = "evolving"
    seed: int
    seconds: float = 0.5
    clock: str = "audio_seconds"

    @classmethod
    def read(cls, plain: dict[str, Any], path: str) -> EvolvingNoise:
        return cls(
            seed=_seed(plain["seed"], f"{path}.seed"),
            seconds=checks.number(plain.get("seconds", 0.5), f"{path}.seconds", low=1e-3, high=1e6),
            clock=_envelope_name(plain.get("clock", "audio_seconds"), f"{path}.clock"),
        )


LatentSource = StaticLatent | LoopLatent | ChromaLatent
NoiseSource = OwnNoise | FixedNoise | EvolvingNoise


@dataclass(frozen=True, kw_only=True)
class LatentLayer:
    """One layer of the latent stack: ``w[range] = lerp(w[range], source, influence)``.

    A range of two numbers is the first and the last generator layer (index into ws), both included.
    """

    name: str = ""
    enabled: bool = True
    source: LatentSource
    range: Range = "all"
    influence: Signal = Signal()

    @property
    def envelopes(self) -> tuple[str, ...]:
        """Names of the values that this layer reads."""
        return _envelopes(self.influence, self.source)

    @classmethod
    def read(cls, value: object, path: str) -> LatentLayer:
        plain = checks.obj(value, path, known=_names(cls), required=("source",))
        return cls(
            source=_source(plain["source"], f"{path}.source", (StaticLatent, LoopLatent, ChromaLatent)),
            name=checks.text(plain.get("name", ""), f"{path}.name"),
            enabled=checks.flag(plain.get("enabled", True), f"{path}.enabled"),
            range=_range(plain.get("range", "all"), f"{path}.range", low=0, high=1023, unit="layer"),
            influence=Signal.read(plain.get("influence", {}), f"{path}.influence"),
        )


@dataclass(frozen=True, kw_only=True)
class NoiseLayer:
    """One layer of the noise stack; the layers of a noise input are summed.

    A range of two numbers is the lowest and the highest resolution in pixels, both included.
    """

    name: str = ""
    enabled: bool = True
    source: NoiseSource
    range: Range = "all"
    amplitude: Signal = Signal()

    @property
    def envelopes(self) -> tuple[str, ...]:
        """Names of the values that this layer reads."""
        return _envelopes(self.amplitude, self.source)

    @classmethod
    def read(cls, value: object, path: str) -> NoiseLayer:
        plain = checks.obj(value, path, known=_names(cls), required=("source",))
        return cls(
            source=_source(plain["source"], f"{path}.source", (OwnNoise, FixedNoise, EvolvingNoise)),
            name=checks.text(plain.get("name", ""), f"{path}.name"),
            enabled=checks.flag(plain.get("enabled", True), f"{path}.enabled"),
            range=_range(plain.get("range", "all"), f"{path}.range", low=1, high=65536, unit="resolution"),
            amplitude=Signal.read(plain.get("amplitude", {}), f"{path}.amplitude"),
        )


@dataclass(frozen=True)
class Patch:
    """The whole mapping from music to the network's inputs.

    Parameters
    ----------
    checkpoint
        ``"builtin"`` or the absolute path of a network file.
    label
        Number of the class, from 0, for a network with classes; others ignore it.
    truncation
        How far from the average latent pictures may go; 1 leaves latents as they are, 0 is the average picture.
    truncation_cutoff
        Number of generator layers, from the coarsest, that truncation acts on; None for all.
    latent_layers, noise_layers
        The two stacks, bottom to top.

    Example
    -------
    >>> patch = Patch(latent_layers=(LatentLayer(source=StaticLatent(seed=7)),))
    >>> Patch.from_json(patch.to_json()) == patch
    True
    """

    checkpoint: str = "builtin"
    label: int = 0
    truncation: float = 1.0
    truncation_cutoff: int | None = None
    latent_layers: tuple[LatentLayer, ...] = ()
    noise_layers: tuple[NoiseLayer, ...] = ()

    @classmethod
    def from_json(cls, source: str | Mapping[str, Any]) -> Patch:
        """A patch from JSON text or from the plain data that it stands for.

        Raises
        ------
        PatchError
            With the dotted path of the value, what was found and what was expected.
        """
        value = checks.parse_json(source) if isinstance(source, str) else source
        if isinstance(value, dict) and value.get("version") is None:
            raise PatchError(f"Patch, version: found none, expected {VERSION}; this is no patch, or its start is lost.")
        plain = checks.obj(value, "top level", known=("version", *_names(cls)))
        version = plain["version"]
        if isinstance(version, bool) or not isinstance(version, int) or version != VERSION:
            raise checks.refuse("version", version, f"{VERSION}, the only version that this extension reads")
        cutoff = plain.get("truncation_cutoff")
        latent = checks.array(plain.get("latent_layers", []), "latent_layers", longest=MOST_LAYERS)
        noise = checks.array(plain.get("noise_layers", []), "noise_layers", longest=MOST_LAYERS)
        return cls(
            checkpoint=_checkpoint(plain.get("checkpoint", "builtin"), "checkpoint"),
            label=checks.whole_number(plain.get("label", 0), "label", low=0, high=65535),
            truncation=checks.number(plain.get("truncation", 1.0), "truncation", low=-2.0, high=2.0),
            truncation_cutoff=None
            if cutoff is None
            else checks.whole_number(cutoff, "truncation_cutoff", low=0, high=1024),
            latent_layers=tuple(LatentLayer.read(layer, f"latent_layers.{i}") for i, layer in enumerate(latent)),
            noise_layers=tuple(NoiseLayer.read(layer, f"noise_layers.{i}") for i, layer in enumerate(noise)),
        )

    def to_plain(self) -> dict[str, Any]:
        """The patch as plain data: what the JSON text stands for, every key written out."""
        return {"version": VERSION, **_plain(self)}

    def to_json(self) -> str:
        """The patch as text, the same for equal patches; `from_json` gives back an equal patch."""
        return json.dumps(self.to_plain(), indent=2, allow_nan=False) + "\n"

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the JSON text: equal patches have the same one, on every machine."""
        return hashlib.sha256(self.to_json().encode("ascii")).hexdigest()

    @cached_property
    def envelopes(self) -> tuple[str, ...]:
        """Names of the values that the enabled layers read, each once, in the order of the layers."""
        return tuple(dict.fromkeys(name for layer in self._layers if layer.enabled for name in layer.envelopes))

    @property
    def _layers(self) -> tuple[LatentLayer | NoiseLayer, ...]:
        return (*self.latent_layers, *self.noise_layers)

    def with_values(self, values: Values) -> Patch:
        """The patch of one frame: numbers replaced by those values whose name is a dotted path.

        Whole numbers (seeds, layers) take the nearest whole number, switches are on from 0.5. Envelopes among the
        values stay where they are: names that begin with ``audio_`` and those that a layer reads.

        Raises
        ------
        PatchError
            If a name is neither a path nor an envelope, or a number is out of its range.
        """
        others = [name for name in values if not name.startswith(ENVELOPE_PREFIX)]
        if not others:
            return self
        read = {name for layer in self._layers for name in layer.envelopes}
        plain = self.to_plain()
        for path in others:
            if path not in read:
                _override(plain, path, checks.finite(values[path], path))
        return Patch.from_json(plain)


def envelope_at(values: Values, name: str) -> float:
    """One envelope's value in a frame; raises PatchError if it is missing or not finite."""
    if name not in values:
        raise PatchError(
            f"The patch reads the envelope {name!r}, but this frame has no value for it. "
            "Bake that envelope, or choose another one in the layer."
        )
    return checks.finite(values[name], name)


def _envelopes(signal: Signal, source: LatentSource | NoiseSource) -> tuple[str, ...]:
    names = (signal.envelope,) if signal.envelope else ()
    if isinstance(source, (LoopLatent, EvolvingNoise)):
        return (*names, source.clock)
    return names + source.envelopes if isinstance(source, ChromaLatent) else names


def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not hasattr(value, "__dataclass_fields__"):
        return value
    kind = {"kind": value.kind} if hasattr(value, "kind") else {}
    return kind | {name: _plain(getattr(value, name)) for name in _names(type(value))}


def _source(value: object, path: str, classes: tuple[type[Any], ...]) -> Any:
    kinds = {cls.kind: cls for cls in classes}
    if not isinstance(value, dict):
        raise checks.refuse(path, value, f"an object whose kind is one of {', '.join(kinds)}")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise checks.refuse(f"{path}.kind", kind, f"one of {', '.join(kinds)}")
    cls = kinds[kind]
    required = [name for name in ("seed", "seeds") if name in _names(cls)]
    return cls.read(checks.obj(value, path, known=("kind", *_names(cls)), required=required), path)


def _seed(value: object, path: str) -> int:
    return checks.whole_number(value, path, low=0, high=LARGEST_SEED)


def _seeds(value: object, path: str, *, shortest: int, longest: int) -> tuple[int, ...]:
    seeds = checks.array(value, path, shortest=shortest, longest=longest)
    return tuple(_seed(seed, f"{path}.{i}") for i, seed in enumerate(seeds))


def _range(value: object, path: str, *, low: int, high: int, unit: str) -> Range:
    expected = f"one of {', '.join(RANGE_NAMES)}, or a list of the first and the last {unit}"
    if isinstance(value, str) and value in RANGE_NAMES:
        return value
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise checks.refuse(path, value, expected)
    first, last = (checks.whole_number(item, f"{path}.{i}", low=low, high=high) for i, item in enumerate(value))
    if first > last:
        raise PatchError(f"Patch, {path}: found {first} to {last}, expected the smaller {unit} first.")
    return first, last


def _envelope_name(value: object, path: str, *, empty: bool = False) -> str:
    name = checks.text(value, path, longest=255)
    if (not name and not empty) or name.split(".")[0] in ("version", *_names(Patch)):
        raise checks.refuse(path, value, "the name of an envelope, as audio_kick")
    return name


def _checkpoint(value: object, path: str) -> str:
    name = checks.text(value, path, longest=4096)
    # A patch may have been saved on another system: both kinds of absolute path are known everywhere.
    if name != "builtin" and not (PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()):
        raise checks.refuse(path, value, '"builtin" or the absolute path of a network file')
    return name


def _override(plain: dict[str, Any], path: str, value: float) -> None:
    """Replace the number at `path` in `plain`, in place."""
    unknown = PatchError(
        f"The value {path!r} of this frame names no number of the patch and no envelope that it reads. "
        "Remove its curve, or add the layer that it belongs to."
    )
    *parents, leaf = path.split(".")
    holder: Any = plain
    for part in parents:
        holder = _step(holder, part, unknown)
    old = _step(holder, leaf, unknown)
    if path == "version" or not (isinstance(old, (bool, int, float)) or path == "truncation_cutoff"):
        raise unknown
    new = value >= 0.5 if isinstance(old, bool) else value if isinstance(old, float) else round(value)
    if isinstance(holder, list):
        holder[int(leaf)] = new
    else:
        holder[leaf] = new


def _step(holder: Any, part: str, unknown: PatchError) -> Any:
    if isinstance(holder, dict) and part in holder:
        return holder[part]
    if isinstance(holder, list) and part in map(str, range(len(holder))):
        return holder[int(part)]
    raise unknown
