# SPDX-License-Identifier: GPL-3.0-or-later
"""Bends: which layer and channels of this network a patch means, and how far each is bent in a frame.

What a bend is, the generator's room says (`bending`, after the paper's section 3, "Network Bending"). Here a layer of
the patch becomes a place in one network, which is found once, and numbers, which are read in every frame.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from . import checks
from .operations import OPERATIONS
from .patch import LAST_CHANNEL, BendChannels, BendLayer, Patch
from .ranges import moved_inside
from .signals import Values

if TYPE_CHECKING:
    from ..generator import Bend

Note = Callable[[str], None]
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Place:
    """Where a bend acts in one network: a side of a layer, and its channels (`indices`, or `first` to `last`)."""

    layer: str
    side: str
    first: int
    last: int
    indices: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Kind:
    """All of a bend that is not a number of the frame; frames whose bends have the same kind can be painted at once."""

    place: Place
    operation: str
    border: str
    seed: int


@dataclass(frozen=True)
class Bent:
    """A bend in one frame: its kind, the fraction of channels, and the parameters in the order of the table."""

    kind: Kind
    fraction: float
    parameters: tuple[float, ...]


def find_place(bend: BendLayer, tools: Any, path: str, note: Note, progress: Progress | None = None) -> Place:
    """Where a bend acts in a network.

    Parameters
    ----------
    tools
        Of the network (``generator.tools``).
    path
        Of the bend in the patch, for errors.
    note
        Is told what of it had to be adapted.
    progress
        Is told how far the search for clusters is.

    Raises
    ------
    PatchError
        If the layer is neither a size nor the name of a layer of any network.
    """
    layer = find_layer(bend.layer, tools, f"{path}.layer", note)
    side = bend.side
    if side == "input" and not tools.reads(layer):
        note("the learned constant reads nothing; what it gives is bent instead.")
        side = "output"
    count = tools.channel_count(layer, side)
    channels = bend.channels
    if channels.which == "cluster":
        indices = _cluster(channels, layer, side, count, tools, note, progress)
        if indices is not None:
            return Place(layer, side, 0, count - 1, indices)
    if channels.which != "range":
        return Place(layer, side, 0, count - 1)
    return Place(layer, side, *_channel_range(channels, layer, count, note))


def find_layer(wanted: str, tools: Any, path: str, note: Note, *, weighted: bool = False) -> str:
    """The name of the layer that a patch means in this network; raises PatchError where nobody could tell."""
    found = tools.find_layer(wanted, weighted=weighted)
    if found is None:
        names = tools.weighted_layers if weighted else tools.generator.layer_names
        raise checks.refuse(
            path, wanted, f'a size such as "16 px", or a layer of the network: {", ".join(names)}'
        ).error()
    if not found.exact:
        missing = f"of {wanted}" if wanted.strip().endswith("px") else f'"{wanted}"'
        note(f"this network has no layer {missing}; {found.name} ({found.size} px) is used instead.")
    return str(found.name)


def _channel_range(channels: BendChannels, layer: str, count: int, note: Note) -> tuple[int, int]:
    """First and last channel, as many of them as the layer has."""
    first, last = min(channels.first, channels.last), max(channels.first, channels.last)
    here = moved_inside(first, last, count, LAST_CHANNEL)
    if first >= count:
        instead = f"{here[0]} to {here[-1]} are" if len(here) > 1 else f"{here[0]} is"
        note(f"{layer} has no channel {first}, the last is {count - 1}; {instead} bent instead.")
    elif last >= count and last != LAST_CHANNEL:
        note(f"{layer} has no channel {last}; the range ends at its last one, {count - 1}.")
    return here[0], here[-1]


def _cluster(
    channels: BendChannels, layer: str, side: str, count: int, tools: Any, note: Note, progress: Progress | None
) -> tuple[int, ...] | None:
    """The channels of a cluster; None, and a note, where the layer's input is not what the layer before it gave."""
    painted_by = layer if side == "output" else tools.layer_before(layer)
    if tools.channel_count(painted_by) != count:
        note(f"what {layer} reads cannot be told apart by what it draws; all of its channels are bent instead.")
        return None
    clusters = tools.clusters(painted_by, min(channels.clusters, count), progress)
    number = channels.cluster
    if number >= clusters.count:
        number = clusters.count - 1
        note(f"{layer} has no cluster {channels.cluster}, only 0 to {number}; {number} is bent instead.")
    indices: tuple[int, ...] = clusters.channels(number)
    return indices


class BendStack:
    """The bends of a patch in one network.

    Parameters
    ----------
    tools
        Of the network (``generator.tools``).
    """

    def __init__(self, tools: Any) -> None:
        self.tools = tools
        self._places: dict[Hashable, Place] = {}

    def place(self, index: int, bend: BendLayer, note: Note, progress: Progress | None = None) -> Place:
        """Where a bend acts, found once. A curve may move which channels those are: each has a place of its own."""
        which = bend.channels
        key = (
            *(index, bend.layer, bend.side),
            *(which.which, which.first, which.last, which.cluster, which.clusters),
        )
        if key not in self._places:
            if len(self._places) >= _PLACES_KEPT:
                self._places.clear()
            self._places[key] = find_place(bend, self.tools, f"bends.{index}", note, progress)
        return self._places[key]

    def at(self, patch: Patch, values: Values) -> tuple[Bent | None, ...]:
        """Each bend in the frame that has these values; None where it does nothing."""
        return tuple(self._bent(index, bend, values) for index, bend in enumerate(patch.bends))

    def _bent(self, index: int, bend: BendLayer, values: Values) -> Bent | None:
        fraction = bend.channels.fraction.within(values, 0.0, 1.0) if bend.enabled else 0.0
        if fraction == 0.0:
            return None
        given, parameters, idle = dict(bend.parameters), [], True
        for name, limits in OPERATIONS[bend.operation].items():
            number = given[name].within(values, limits.low, limits.high) if name in given else limits.default
            number = float(round(number)) if limits.whole else number
            idle = idle and not (limits.acts and number != limits.default)
            parameters.append(number)
        if idle:
            return None
        place = self.place(index, bend, say_nothing)
        return Bent(Kind(place, bend.operation, bend.border, bend.channels.seed), fraction, tuple(parameters))

    def together(self, frames: Sequence[Sequence[Bent | None]]) -> tuple[Bend, ...]:
        """The generator's bends for a batch of frames, bottom to top.

        Where a bend is not of the same kind in all frames (a curve moves its channels or its seed), there is one for
        each kind, which bends no channel in the frames of another kind.
        """
        made = []
        for stack in zip(*frames, strict=True):
            for kind in dict.fromkeys(bent.kind for bent in stack if bent is not None):
                mine = [bent if bent is not None and bent.kind == kind else None for bent in stack]
                made.append(self._made(kind, mine))
        return tuple(made)

    def _made(self, kind: Kind, frames: Sequence[Bent | None]) -> Bend:
        usual = next(bent for bent in frames if bent is not None)
        numbers = [usual.parameters if bent is None else bent.parameters for bent in frames]
        place = kind.place
        channels = self.tools.channels(
            place.first,
            place.last,
            indices=place.indices,
            fraction=per_frame([0.0 if bent is None else bent.fraction for bent in frames]),
            seed=kind.seed,
        )
        parameters = map(per_frame, zip(*numbers, strict=True))
        bend: Bend = self.tools.bend(
            place.layer,
            kind.operation,
            dict(zip(OPERATIONS[kind.operation], parameters, strict=True)),
            side=place.side,
            channels=channels,
            border=kind.border,
        )
        return bend


_PLACES_KEPT = 4096  # only a curve that moves channels makes more than one for each bend


def say_nothing(note: str) -> None:
    """For what a curve moves out of reach: it was said of the patch itself, and a film has many frames."""


def per_frame(numbers: Sequence[float]) -> float | torch.Tensor:
    """One number for a batch where all frames have the same, else one for each, float64 [batch]."""
    if all(number == numbers[0] for number in numbers):
        return numbers[0]
    return torch.tensor(numbers, dtype=torch.float64)
