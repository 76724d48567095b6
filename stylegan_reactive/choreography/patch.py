# SPDX-License-Identifier: GPL-3.0-or-later
"""The patch: what stays the same over time. Which network, which latents, which noise, and which envelope moves what.

``picture(frame) = f(patch, values(frame))``: a patch is frozen, compares by content, travels as JSON (version 2; older
ones are migrated) and is checked to the last number when it is read. What the values of a frame are is in `signals`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, ClassVar

from ..builtin_networks import BUILTIN, find_builtin, is_builtin, known_builtins
from ..errors import PatchError
from . import checks
from .migration import ALL_LAYERS, migrated, oldest
from .operations import OPERATIONS
from .schema import (
    Fixed,
    Named,
    NotANumber,
    OneOf,
    Part,
    Several,
    Whole,
    checks_of,
    choice,
    declared,
    flag,
    plain,
    read,
    text,
    whole,
    with_number,
)
from .seeds import LARGEST_SEED, absolute_path
from .signals import ENVELOPE_PREFIX, Signal, Signalled, Values, envelopes_of, signal
from .sources import (
    ChromaLatent,
    DirectionLatent,
    EvolvingNoise,
    FixedNoise,
    GradientNoise,
    LoopLatent,
    LoopNoise,
    Mask,
    OwnNoise,
    StaticLatent,
)

VERSION = 2
RANGE_NAMES = ("all", "coarse", "medium", "fine")
MOST_LAYERS = 64
LAST_LAYER = 1023  # as the last layer of a range: to the end, however many there are

Range = str | tuple[int, int]

LatentSource = StaticLatent | LoopLatent | ChromaLatent | DirectionLatent
NoiseSource = OwnNoise | FixedNoise | EvolvingNoise | LoopNoise | GradientNoise


@dataclass(frozen=True)
class _Range(Several):
    """One of `RANGE_NAMES`, or the first and the last of something."""

    unit: str = ""

    def read(self, value: object, path: str) -> Any:
        expected = f"one of {', '.join(RANGE_NAMES)}, or a list of the first and the last {self.unit}"
        if isinstance(value, str) and value in RANGE_NAMES:
            return value
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise checks.refuse(path, value, expected)
        first, last = super().read(value, path)
        if first > last:
            raise checks.Misfit(path, f"found {first} to {last}, expected the smaller {self.unit} first.")
        return first, last

    def plain(self, value: Any) -> Any:
        return value if isinstance(value, str) else super().plain(value)

    def numbered(self, value: Any, steps: tuple[str, ...], number: float, path: str) -> Any:
        return self.read(super().numbered(value, steps, number, path), path.rpartition(".")[0])


def _range(unit: str, low: int, high: int) -> Any:
    return declared(_Range(Whole(low, high), 2, 2, unit), "all")


@dataclass(frozen=True, kw_only=True)
class LatentLayer:
    """One layer of the latent stack: ``w[range] = lerp(w[range], source, influence)``.

    A range of two numbers is the first and the last generator layer (index into ws), both included.
    """

    name: str = text()
    enabled: bool = flag(True)
    source: LatentSource = declared(OneOf((StaticLatent, LoopLatent, ChromaLatent, DirectionLatent)))
    range: Range = _range("layer", 0, LAST_LAYER)
    influence: Signal = signal()


@dataclass(frozen=True, kw_only=True)
class NoiseLayer:
    """One layer of the noise stack; the layers of a noise input are summed.

    A range of two numbers is the lowest and the highest resolution in pixels, both included. The mask says where in
    the picture the layer is.
    """

    name: str = text()
    enabled: bool = flag(True)
    source: NoiseSource = declared(OneOf((OwnNoise, FixedNoise, EvolvingNoise, LoopNoise, GradientNoise)))
    range: Range = _range("resolution", 1, 65536)
    mask: Mask = declared(Part(Mask), Mask())
    amplitude: Signal = signal()


LAST_CHANNEL = 65535  # as the last channel of a range: to the end, however many there are
CHANNELS = ("all", "range", "cluster")
SIDES = ("output", "input")
BORDERS = ("reflect", "repeat", "wrap", "zero")


@dataclass(frozen=True, kw_only=True)
class BendChannels:
    """Which channels of a layer are bent.

    Attributes
    ----------
    which
        "all", "range" (`first` to `last`, included; a layer that has fewer ends earlier), or "cluster" (number
        `cluster` of `clusters` groups of channels that draw the same).
    fraction
        How much of them, 0 to 1; which come first is drawn from `seed`.
    """

    which: str = choice("all", CHANNELS)
    first: int = whole(0, low=0, high=LAST_CHANNEL)
    last: int = whole(LAST_CHANNEL, low=0, high=LAST_CHANNEL)
    cluster: int = whole(0, low=0, high=63)
    clusters: int = whole(5, low=1, high=64)
    fraction: Signal = signal(1.0, low=0.0, high=1.0)
    seed: int = whole(0, low=0, high=LARGEST_SEED)


@dataclass(frozen=True, kw_only=True)
class BendLayer:
    """A change of what one generator layer paints, before the next one reads it (paper, section 3, "Network Bending").

    Attributes
    ----------
    layer
        A name of the generator's `layer_names`, or a size such as "16 px", which fits every network: the last layer
        of that size that paints features.
    operation, parameters
        Of the generator's table of operations, ``generator/bend_operations.json``. Parameters that are left out have
        their defaults, and none goes beyond what is possible, wherever its envelope leads.
    """

    name: str = text()
    enabled: bool = flag(True)
    layer: str = text("16 px", longest=255)
    side: str = choice("output", SIDES)
    channels: BendChannels = declared(Part(BendChannels), BendChannels())
    operation: str = choice("translate", OPERATIONS)
    parameters: tuple[tuple[str, Signal], ...] = declared(Named(Signalled(-1e9, 1e9), most=32), ())
    border: str = choice("reflect", BORDERS)


class _Bend(Part):
    """A bend whose parameters are those of its operation."""

    def read(self, value: object, path: str) -> BendLayer:
        bend: BendLayer = super().read(value, path)
        known = OPERATIONS[bend.operation]
        for name, _ in bend.parameters:
            if name not in known:
                raise checks.Misfit(
                    f"{path}.parameters.{name}",
                    f"found a parameter that {bend.operation!r} does not have, expected one of {', '.join(known)}.",
                )
        return bend


@dataclass(frozen=True, kw_only=True)
class NetworkRewrite:
    """The weights of another network of the same shape; an amount of 1 is that network's layers."""

    kind: ClassVar[str] = "network"
    file: str = declared(Fixed(absolute_path))


@dataclass(frozen=True, kw_only=True)
class FileRewrite:
    """An edit of the weights that was saved to a file (see the generator's `editing` and `rewriting`)."""

    kind: ClassVar[str] = "file"
    file: str = declared(Fixed(absolute_path))


@dataclass(frozen=True, kw_only=True)
class SeededRewrite:
    """A change of one layer's weights that is drawn from a seed: another texture of the same network.

    `layer` is named as a bend's.
    """

    kind: ClassVar[str] = "seeded"
    seed: int = whole(1, low=0, high=LARGEST_SEED)
    layer: str = text("32 px", longest=255)
    rank: int = whole(4, low=1, high=64)


RewriteSource = NetworkRewrite | FileRewrite | SeededRewrite


@dataclass(frozen=True, kw_only=True)
class RewriteLayer:
    """Other weights, W + amount * difference (paper, section 3, "model rewriting").

    A range of two numbers is the first and the last generator layer with weights, counted from 0; it narrows what the
    source has to offer.
    """

    name: str = text()
    enabled: bool = flag(True)
    source: RewriteSource = declared(OneOf((NetworkRewrite, FileRewrite, SeededRewrite)))
    range: Range = _range("layer", 0, LAST_LAYER)
    amount: Signal = signal(1.0, low=-100.0, high=100.0)


Layer = LatentLayer | NoiseLayer | BendLayer | RewriteLayer


def _checkpoint(value: object, path: str) -> str:
    name = checks.text(value, path, longest=4096)
    # A patch may have been saved on another system: both kinds of absolute path are known everywhere.
    if is_builtin(name):
        if find_builtin(name) is None:
            raise checks.refuse(path, value, f"one of the built-in networks: {known_builtins()}")
    elif not (PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()):
        raise checks.refuse(path, value, f'"{BUILTIN}", {known_builtins()} or the absolute path of a network file')
    return name


def _stack(part: Part) -> Any:
    return declared(Several(part, longest=MOST_LAYERS), ())


@dataclass(frozen=True)
class Patch:
    """The whole mapping from music to the network's inputs.

    Parameters
    ----------
    checkpoint
        ``"builtin"``, the name of one of the built-in networks, such as ``"builtin:silk"``, or the absolute path of a
        network file.
    label
        Number of the class, from 0, for a network with classes; others ignore it.
    truncation
        How far from the average latent pictures may go; 1 leaves latents as they are, 0 is the average picture.
    truncation_cutoff
        Number of generator layers, from the coarsest, that truncation acts on. Between two whole numbers the last
        layer is truncated in part, so that a curve does not jump.
    latent_layers, noise_layers, bends, rewrites
        The four stacks, bottom to top.

    Example
    -------
    >>> patch = Patch(latent_layers=(LatentLayer(source=StaticLatent(latents=(7,))),))
    >>> Patch.from_json(patch.to_json()) == patch
    True
    """

    checkpoint: str = declared(Fixed(_checkpoint), BUILTIN)
    label: int = whole(0, low=0, high=65535)
    truncation: Signal = signal(1.0, low=-2.0, high=2.0)
    truncation_cutoff: Signal = signal(float(ALL_LAYERS), low=0.0, high=float(ALL_LAYERS))
    latent_layers: tuple[LatentLayer, ...] = _stack(Part(LatentLayer))
    noise_layers: tuple[NoiseLayer, ...] = _stack(Part(NoiseLayer))
    bends: tuple[BendLayer, ...] = _stack(_Bend(BendLayer))
    rewrites: tuple[RewriteLayer, ...] = _stack(Part(RewriteLayer))

    @classmethod
    def from_json(cls, source: str | Mapping[str, Any]) -> Patch:
        """A patch from JSON text or from the plain data that it stands for; older versions are migrated.

        Raises
        ------
        PatchError
            With the dotted path of the value, what was found and what was expected, and for a text of today's version
            the line where it stands.
        """
        value = checks.parse_json(source) if isinstance(source, str) else source
        if not isinstance(value, dict):
            raise checks.refuse(
                "top level", value, f"an object with the keys version, {', '.join(checks_of(cls))}"
            ).error()
        if value.get("version") is None:
            raise PatchError(f"Patch, version: found none, expected {VERSION}; this is no patch, or its start is lost.")
        try:
            version = value["version"]
            if isinstance(version, bool) or not isinstance(version, int) or not oldest() <= version <= VERSION:
                raise checks.refuse("version", version, f"{oldest()} to {VERSION}; a newer extension may read it")
            found = migrated(value, version, VERSION)
            patch: Patch = read(cls, found, "", also=("version",))
            return patch
        except checks.Misfit as misfit:
            raise misfit.error(checks.line_of(source, misfit.path) if isinstance(source, str) else None) from None

    def to_plain(self) -> dict[str, Any]:
        """The patch as plain data: what the JSON text stands for, every key written out."""
        return {"version": VERSION, **plain(self)}

    def to_json(self) -> str:
        """The patch as text, the same for equal patches; `from_json` gives back an equal patch."""
        return json.dumps(self.to_plain(), indent=2, allow_nan=False) + "\n"

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the JSON text: equal patches have the same one, on every machine."""
        return hashlib.sha256(self.to_json().encode("ascii")).hexdigest()

    @cached_property
    def envelopes(self) -> tuple[str, ...]:
        """Names of the values that the patch reads, each once, in the order of its parts (layers that are on)."""
        on = [layer for layer in self.layers if layer.enabled]
        return envelopes_of(self.truncation, self.truncation_cutoff, *on)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers of the four stacks."""
        return (*self.latent_layers, *self.noise_layers, *self.bends, *self.rewrites)

    @cached_property
    def _reads(self) -> frozenset[str]:
        return frozenset(envelopes_of(self.truncation, self.truncation_cutoff, *self.layers))

    def with_values(self, values: Values) -> Patch:
        """The patch of one frame: numbers replaced by those values whose name is a dotted path.

        Whole numbers (seeds, layers) take the nearest whole number, switches are on from 0.5. Envelopes among the
        values stay where they are: names that begin with ``audio_`` and those that a layer reads.

        Raises
        ------
        PatchError
            If a name is neither a path nor an envelope, or a number is out of its range.
        """
        patch = self
        for path, value in values.items():
            if path.startswith(ENVELOPE_PREFIX) or path in self._reads:
                continue
            try:
                patch = with_number(patch, path, checks.finite(value, path))
            except NotANumber:
                raise PatchError(
                    f"The value {path!r} of this frame names no number of the patch and no envelope that it reads. "
                    "Remove its curve, or add the layer that it belongs to."
                ) from None
            except checks.Misfit as misfit:
                raise misfit.error() from None
        return patch
