# SPDX-License-Identifier: GPL-3.0-or-later
"""Network bending: feature maps are changed between two layers, and the rest of the network paints what becomes of it.

Paper: Broad, Leymarie and Grierson, "Network Bending: Manipulating The Inner Representations of Deep Generative
Models", 2020, https://arxiv.org/abs/2005.12420. What can be done, and with which parameters, is in `bend_operations`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .bend_functions import FUNCTIONS, Place
from .bend_operations import OPERATIONS, Operation
from .controls import check_lengths
from .resampling import BORDERS
from .seeds import folded_seed

if TYPE_CHECKING:
    from .clusters import Clusters

SIDES = ("input", "output")


@dataclass(frozen=True, eq=False)
class Channels:
    """Which channels of a layer are bent.

    Attributes
    ----------
    first, last : int and int or None
        From this channel to that one, which is included; None is the layer's last.
    indices : tuple of int or None
        Just these instead, for example a cluster's.
    fraction : float or Tensor
        How much of them, 0 to 1, or one value for each sample of the batch [batch]. Which come first is drawn from
        the seed; a larger fraction only adds to a smaller one, and the last to come is blended in, so that a curve can
        open it without a jump.
    seed : int
        Another order; any whole number.
    """

    first: int = 0
    last: int | None = None
    indices: tuple[int, ...] | None = None
    fraction: float | Tensor = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.indices is not None:
            object.__setattr__(self, "indices", tuple(int(index) for index in self.indices))
            if len(set(self.indices)) < len(self.indices) or min(self.indices, default=0) < 0:
                raise ValueError(f"channels {self.indices}: each can be named once, and counts from 0")
        if self.first < 0 or (self.last is not None and self.last < self.first):
            raise ValueError(f"channels from {self.first} to {self.last}: a range counts upwards from 0")
        object.__setattr__(self, "fraction", checked("the fraction of channels", self.fraction, 0.0, 1.0))

    @classmethod
    def cluster(cls, clusters: Clusters, number: int, fraction: float | Tensor = 1.0, seed: int = 0) -> Channels:
        """The channels of one cluster (see `generator.clusters`)."""
        return cls(indices=clusters.channels(number), fraction=fraction, seed=seed)

    def weights(self, count: int) -> Tensor:
        """How much each of a layer's channels is bent, 0 to 1.  [batch or 1, count], on the CPU

        Raises
        ------
        ValueError
            If the layer does not have the channels that are named.
        """
        last = count - 1 if self.last is None else self.last
        chosen = range(self.first, last + 1) if self.indices is None else self.indices
        if max(chosen, default=0) >= count or self.first >= count:
            raise ValueError(
                f"channel {max([*chosen, self.first])} is to be bent, but this layer has the channels 0 to {count - 1}"
            )
        order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(folded_seed(self.seed)))
        fractions = torch.as_tensor(self.fraction, dtype=torch.float64).reshape(-1, 1)
        weights = torch.zeros(len(fractions), count)
        weights[:, torch.tensor(chosen, dtype=torch.long)[order]] = (
            (fractions * len(chosen) - torch.arange(len(chosen))).clamp(0, 1).float()
        )
        return weights

    def sample(self, index: int) -> Channels:
        """The channels of one sample of the batch."""
        return replace(self, fraction=picked(self.fraction, index))


@dataclass(frozen=True, eq=False)
class Bend:
    """One change of a layer's feature maps.

    Attributes
    ----------
    layer : str
        Of the generator's `layer_names`.
    operation : str
        Of `OPERATIONS`.
    parameters : mapping of str to float or Tensor
        Of that operation; those that are left out have their defaults. A tensor has one value for each sample of the
        batch. They are kept on the CPU: pass them from there, or each costs a wait for the device.
    side : str
        "output" or "input" of the layer.
    channels : Channels
        Which channels; all of them by default.
    border : str
        What moves in from beyond the picture: "reflect" (mirrored), "repeat" (the outermost pixels), "wrap" (the other
        side), "zero" (nothing).

    Raises
    ------
    ValueError
        If a name does not exist, or a value is not possible.

    Notes
    -----
    Positive x is right, positive y is up, positive angles turn counter-clockwise and factors above 1 enlarge. Lengths
    are fractions of the picture, so that a bend means the same at each layer.

    A bend whose values do nothing returns the very same tensor. The result has the type and the memory layout of what
    came in; half precision is computed in single precision and limited to what half precision can hold.

    Examples
    --------
    >>> bend = Bend("b16.conv1", "rotate", {"angle": torch.tensor([0.0, 30.0])}, channels=Channels(fraction=0.5))
    >>> generator.synthesis(ws, bends=[bend]).shape
    torch.Size([2, 3, 512, 512])
    """

    layer: str
    operation: str
    parameters: Mapping[str, float | Tensor] = field(default_factory=dict)
    side: str = "output"
    channels: Channels = field(default_factory=Channels)
    border: str = "reflect"

    def __post_init__(self) -> None:
        for what, value, known in (
            ("operation", self.operation, tuple(OPERATIONS)),
            ("side", self.side, SIDES),
            ("border", self.border, BORDERS),
        ):
            if value not in known:
                raise ValueError(f"a bend has no {what} {value!r}: there are {', '.join(known)}")
        names = [parameter.name for parameter in self.described.parameters]
        for name in self.parameters:
            if name not in names:
                raise ValueError(f"the bend {self.operation!r} has no parameter {name!r}: it has {', '.join(names)}")
        values = {
            each.name: checked(
                f"{each.name!r} of the bend {self.operation!r}",
                self.parameters.get(each.name, each.default),
                each.low,
                each.high,
                whole=each.whole,
            )
            for each in self.described.parameters
        }
        object.__setattr__(self, "parameters", MappingProxyType(values))

    @property
    def described(self) -> Operation:
        """The entry in the table of operations."""
        return OPERATIONS[self.operation]

    @property
    def lengths(self) -> dict[str, int]:
        """How many values there are of each parameter."""
        values = {**self.parameters, "fraction": self.channels.fraction}
        return {
            f"{name!r} of the bend {self.operation!r}": value.numel() if isinstance(value, Tensor) else 1
            for name, value in values.items()
        }

    def sample(self, index: int) -> Bend:
        """The same bend for one sample of the batch."""
        parameters = {name: picked(value, index) for name, value in self.parameters.items()}
        return replace(self, parameters=parameters, channels=self.channels.sample(index))

    def __call__(self, x: Tensor, margin: int = 0) -> Tensor:
        """The bent map; x itself is not changed.

        Parameters
        ----------
        x : Tensor
            [batch, channels, h, w].
        margin : int
            How many pixels of the map lie beyond each border of the picture (StyleGAN 3 has some).

        Returns
        -------
        Tensor
            The shape of x.

        Raises
        ------
        ValueError
            If the layer does not have the channels, or the batch is not as long as a parameter's tensor.
        """
        batch, count = x.shape[:2]
        weights = self.channels.weights(count)  # [batch or 1, channels]
        samples = self.samples_by_values(batch, weights)
        if not samples:
            return x
        weights = weights.expand(batch, -1)
        chosen = weights.amax(dim=0).nonzero().flatten()
        height, width = (max(1, size - 2 * margin) for size in x.shape[2:])
        place = Place(self.border, height, width, chosen, count)
        result: Tensor | None = None
        for values, indices in samples.items():
            whole = len(indices) == batch and len(chosen) == count
            where = (torch.tensor(indices)[:, None].to(x.device), chosen[None].to(x.device))
            bent = self.bend_part(x if whole else x[where], values, weights[indices][:, chosen], place)
            if whole:
                result = bent
            else:
                result = x.clone() if result is None else result
                result[where] = bent
        assert result is not None
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        return result.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

    def bend_part(self, x: Tensor, values: tuple[float, ...], weights: Tensor, place: Place) -> Tensor:
        """The bent map of samples with the same values and of the chosen channels alone."""
        parameters = dict(zip(self.parameters, values, strict=True))
        precise = x.to(torch.promote_types(x.dtype, torch.float32)).contiguous(memory_format=torch.channels_last)
        bent = FUNCTIONS[self.operation](precise, parameters, place)
        if bool((weights < 1).any()):
            bent = torch.lerp(precise, bent, weights.to(bent.device, bent.dtype)[:, :, None, None])
        if bent.dtype != x.dtype:
            limit = torch.finfo(x.dtype).max
            bent = bent.clamp(-limit, limit).to(x.dtype)
        return bent

    def samples_by_values(self, batch: int, weights: Tensor) -> dict[tuple[float, ...], list[int]]:
        """The samples that are changed at all, by their values: each set of values is worked on once."""
        rows = [torch.as_tensor(value, dtype=torch.float64).flatten() for value in self.parameters.values()]
        check_lengths(self.lengths, batch)
        changed = weights.any(dim=1).expand(batch).tolist()
        groups: dict[tuple[float, ...], list[int]] = {}
        for index, values in enumerate(zip(*(row.expand(batch).tolist() for row in rows), strict=True)):
            if changed[index] and not self.described.neutral(dict(zip(self.parameters, values, strict=True))):
                groups.setdefault(values, []).append(index)
        return groups


def checked(what: str, value: float | Tensor, low: float, high: float, *, whole: bool = False) -> float | Tensor:
    """A parameter as a float, or as a tensor [batch] of float64 on the CPU, known to be possible."""
    if isinstance(value, Tensor):
        value = value.detach().to("cpu", torch.float64)
        if value.ndim > 1 or not len(value.reshape(-1)):
            raise ValueError(f"{what} has shape {list(value.shape)}, not [batch]")
        numbers = value.reshape(-1).tolist()
    elif isinstance(value, Real):  # numpy's numbers too
        value = float(value)
        numbers = [value]
    else:
        raise ValueError(f"{what} is {value!r}; a number or a tensor [batch] was expected")
    for number in numbers:
        if not math.isfinite(number) or not low <= number <= high or (whole and number != round(number)):
            kind = "a whole number" if whole else "a finite number"
            raise ValueError(f"{what} is {number:g}; {kind} from {low:g} to {high:g} was expected")
    return value


def picked(value: float | Tensor, index: int) -> float | Tensor:
    """A parameter for one sample of the batch."""
    if not isinstance(value, Tensor):
        return value
    values = value.reshape(-1)
    return float(values[index if len(values) > 1 else 0])
