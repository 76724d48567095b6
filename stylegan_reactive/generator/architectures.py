# SPDX-License-Identifier: GPL-3.0-or-later
"""The architectures by name, and their configurations as JSON: numbers, texts, tuples, and configurations in them."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .base import Generator
from .lucidrains import Lucidrains
from .stylegan1 import StyleGAN1
from .stylegan2 import StyleGAN2
from .stylegan3 import StyleGAN3

ARCHITECTURES: dict[str, type[Generator]] = {
    generator.architecture: generator for generator in (StyleGAN1, StyleGAN2, StyleGAN3, Lucidrains)
}


def config_to_json(config: Any) -> str:
    """A configuration as a text."""
    return json.dumps(dataclasses.asdict(config))


def config_from_json(config_class: type, text: str) -> Any:
    """A configuration out of a text.

    Raises
    ------
    ValueError, TypeError, KeyError, RecursionError, OverflowError
        If it does not describe one.
    """
    return rebuilt(config_class, json.loads(text))


def rebuilt(kind: Any, value: Any) -> Any:
    """A value of JSON as the type that a field was declared with; lists become tuples."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ValueError(f"{kind.__name__} is not described by names and values")
        hints = type_hints(kind)
        return kind(**{name: rebuilt(hints.get(name), inner) for name, inner in value.items()})
    if isinstance(value, list):
        parts = typing.get_args(kind)
        return tuple(rebuilt(parts[0] if parts else None, inner) for inner in value)
    return value


@functools.cache
def type_hints(kind: type) -> dict[str, Any]:
    """What the fields of one of our dataclasses were declared with."""
    return typing.get_type_hints(kind)


class Unfilled(TorchFunctionMode):
    """Within it nothing random is drawn: no random state moves, and its memory is reserved with whatever is in it.

    Until something is written there it costs nothing. That is so for most weights; the few that are scaled in place
    when a network is made cost what they need until those of the file take their place.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.randn, torch.rand):
            kwargs.pop("generator", None)
            func = torch.empty
        return func(*args, **kwargs)


def build(generator_class: type[Generator], config: Any, state: dict[str, Tensor]) -> Generator:
    """A generator with these weights, which must be exactly its own (not copied).

    It is made anew rather than on the meta device, so that what is computed and not stored (filters) has its values.
    """
    with Unfilled():
        generator = generator_class(config)
    generator.load_state_dict(state, assign=True)
    return generator.requires_grad_(False).eval()
