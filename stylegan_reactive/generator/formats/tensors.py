# SPDX-License-Identifier: GPL-3.0-or-later
"""The tensors of a foreign file, each asked for by its name in that file, so that nothing is missed or left over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import CheckpointError
from ..base import Generator

NUMBERS = (Tensor, np.ndarray, float)  # TensorFlow's files hold single numbers as such
MOST_COPIES = 2  # a network may share a few of its tensors
SMALL = 1 << 20  # bytes that any file may come to


@dataclass(frozen=True)
class Reading:
    """What a reader made of a file.

    Attributes
    ----------
    generator_class : type
        The architecture.
    config : object
        Of `generator_class.config_class`.
    state : dict
        Our names to tensors, float32; "mapping.w_avg" may be missing where the format does not hold it.
    """

    generator_class: type[Generator]
    config: Any
    state: dict[str, Tensor]


def expected_shapes(generator_class: type[Generator], config: Any) -> dict[str, tuple[int, ...]]:
    """Every stored tensor of a generator with its shape; no memory is taken for them.

    Raises
    ------
    ValueError
        If there is no such generator.
    """
    with torch.device("meta"):
        generator = generator_class(config)
    return {name: tuple(tensor.shape) for name, tensor in generator.state_dict().items()}


class Tensors:
    """A file's tensors by their names in the file.

    Parameters
    ----------
    path : Path
        The file, for the messages.
    mapping : mapping
        Name to tensor, numpy array or float.
    prefix : str
        What the names in the file begin with, for the messages.
    """

    def __init__(self, path: Path, mapping: Mapping[str, Any], prefix: str = "") -> None:
        self.path = path
        self.prefix = prefix
        self.mapping = dict(mapping)
        self.left = {name for name, value in self.mapping.items() if isinstance(value, NUMBERS)}
        self.allowed = SMALL + MOST_COPIES * held_bytes(self.mapping.values())

    def __contains__(self, name: str) -> bool:
        return self.has(name)

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return isinstance(self.mapping.get(name), NUMBERS)

    def names(self, pattern: str = ".*") -> list[str]:
        """The names that match a regular expression as a whole, in the order of the file."""
        expression = re.compile(pattern)
        return [name for name in self.mapping if self.has(name) and expression.fullmatch(name)]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor that must be there."""
        if not self.has(name):
            raise self.error(f"it lacks the tensor {self.prefix}{name}. Copy or download it again")
        return tuple(int(size) for size in np.shape(self.mapping[name]))

    def sizes(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of a tensor that must be there and have so many dimensions, none of them 0."""
        shape = self.shape(name)
        if len(shape) != dimensions or not all(shape):
            expected = listed((None,) * dimensions)
            raise self.error(f"its tensor {self.prefix}{name} has shape {list(shape)}; {expected} was expected")
        return shape

    def take(self, name: str, shape: tuple[int | None, ...] | None = None) -> Tensor:
        """A tensor as a copy in float32.

        Parameters
        ----------
        name : str
            Its name in the file.
        shape : tuple or None
            What its shape must be; None in it, or instead of it, allows anything.

        Raises
        ------
        CheckpointError
            If it is missing, has another shape, or does not hold finite numbers; or if all that was taken is much more
            than the file holds, because many tensors are views of the same numbers.
        """
        found = self.shape(name) if shape is None or self.has(name) else None
        if found is None:
            raise self.error(f"it lacks the tensor {self.prefix}{name} {listed(shape)}. Copy or download it again")
        if shape is not None and not fits(found, shape):
            raise self.error(f"its tensor {self.prefix}{name} has shape {list(found)}; {listed(shape)} was expected")
        value = self.mapping[name]
        if isinstance(value, float):
            value = torch.tensor(value)
        elif isinstance(value, np.ndarray):
            if value.dtype.kind not in "biuf":
                raise self.error(f"its tensor {self.prefix}{name} holds no numbers but {value.dtype}")
            value = torch.from_numpy(np.array(value))
        if not value.is_floating_point():
            raise self.error(
                f"its tensor {self.prefix}{name} holds values of type {str(value.dtype)[6:]}; floating-point "
                "numbers were expected"
            )
        self.allowed -= value.numel() * value.element_size()
        if self.allowed < 0:
            raise self.error(
                "its tensors are views of the same numbers: with "
                f"{self.prefix}{name} they come to far more than the file holds. Save it with numbers of their own"
            )
        tensor = value.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        if not is_finite(tensor):
            raise self.error(
                f"its tensor {self.prefix}{name} has values that are not finite numbers (NaN or infinity). The "
                "network is damaged"
            )
        self.left.discard(name)
        return tensor

    def ignore(self, pattern: str) -> None:
        """Tensors that a generator has no need for: all whose whole name matches a regular expression."""
        self.left.difference_update(self.names(pattern))

    def finish(self) -> None:
        """Refuse what nobody asked for: it would mean that the network is not what we took it for."""
        if self.left:
            first = next(name for name in self.mapping if name in self.left)
            raise self.error(
                f"it holds {len(self.left)} tensors that its architecture has no place for, first "
                f"{self.prefix}{first} {list(self.shape(first))}. It is a variant that we do not know"
            )

    def error(self, reason: str) -> CheckpointError:
        """What to raise for this file; the reason is a sentence without its full stop."""
        return CheckpointError(f"{self.path}: {reason}; or choose another file.")


def held_bytes(values: Iterable[Any]) -> int:
    """How many bytes of memory the numbers of tensors and arrays lie in; what several are views of counts once."""
    total = end = 0
    for first, last in sorted(span(value) for value in values if isinstance(value, Tensor | np.ndarray)):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total


def span(value: Tensor | np.ndarray) -> tuple[int, int]:
    """The addresses of the first byte of a tensor or array and of that after its last."""
    if isinstance(value, Tensor):
        address, size = value.data_ptr(), value.element_size()
        strides = tuple(step * size for step in value.stride())
    else:
        address, size, strides = value.__array_interface__["data"][0], value.itemsize, value.strides
    if 0 in value.shape:
        return address, address
    reach = [(length - 1) * step for length, step in zip(value.shape, strides, strict=True)]
    return address + sum(way for way in reach if way < 0), address + sum(way for way in reach if way > 0) + size


def is_finite(tensor: Tensor) -> bool:
    """Whether there is neither NaN nor infinity among the values; in one pass and without further memory."""
    if tensor.numel() == 0:
        return True
    lowest, highest = tensor.aminmax()  # NaN wins over every number
    return bool(lowest.isfinite() and highest.isfinite())


def fits(found: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether a shape is the expected one, where None stands for any size."""
    return len(found) == len(expected) and all(
        want is None or size == want for size, want in zip(found, expected, strict=True)
    )


def shown(value: Any) -> str:
    """A plain value out of a file, for a message; never a structure, which may refer to itself without end."""
    if isinstance(value, str | int | float) or value is None:
        return repr(value)[:60]
    if isinstance(value, list | tuple) and all(isinstance(part, int | float) for part in value[:16]):
        return f"[{', '.join(repr(part)[:20] for part in value[:16])}{', ...' if len(value) > 16 else ''}]"
    return f"a {type(value).__name__}"


def listed(shape: tuple[int | None, ...] | None) -> str:
    """A shape in words."""
    return f"[{', '.join('any' if size is None else str(size) for size in shape or ())}]"
