# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules of PyTorch as they lie in a pickle: their attributes, their children, and their tensors by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from ..pickle_machine import PickleError
from ..unpickle import PersistentObject, PlainObject

MAX_DEPTH = 16
MAX_MODULES = 10_000
MAX_TENSORS = 100_000


def is_module(value: object) -> bool:
    """Whether a value out of a pickle was a module."""
    return (
        isinstance(value, PersistentObject | PlainObject)
        and isinstance(value.state, dict)
        and isinstance(value.state.get("_modules"), dict)
        and isinstance(value.state.get("_parameters"), dict)
    )


def generator_module(data: object) -> Module | None:
    """The generator of an NVIDIA PyTorch pickle: the average one, or the current one, or the file's only one."""
    networks = [data.get("G_ema"), data.get("G")] if isinstance(data, dict) else [data]
    return next((Module(network) for network in networks if is_module(network)), None)


class Module:
    """A module out of a pickle; nothing but its data.

    Attributes
    ----------
    class_name : str
        The name of its class, without the Python module.
    state : dict
        Its attributes as they lie in the file.
    """

    def __init__(self, value: Any) -> None:
        if not is_module(value):
            raise PickleError(f"there is a {type(value).__name__} where a module should be")
        self.class_name: str = value.class_name if isinstance(value, PersistentObject) else value.name
        self.state: dict[str, Any] = value.state

    def get(self, name: str, default: Any = None) -> Any:
        """A plain attribute, or the default."""
        return self.state.get(name, default)

    @property
    def children(self) -> dict[str, Module]:
        """The modules directly inside of it, by name, in order."""
        found = self.state["_modules"]
        return {str(name): Module(value) for name, value in found.items() if is_module(value)}

    def child(self, path: str) -> Module | None:
        """A module inside of it, such as ``synthesis.b4.conv1``; None if there is none."""
        module: Module = self
        for name in path.split("."):
            inner = module.state["_modules"].get(name)
            if not is_module(inner):
                return None
            module = Module(inner)
        return module

    def walk(self) -> Iterator[tuple[str, Module]]:
        """Every module inside of it with its path, itself ("") first.

        Raises
        ------
        PickleError
            If there is no end of them.
        """
        waiting: list[tuple[str, Module, int]] = [("", self, 0)]
        for _ in range(MAX_MODULES):
            if not waiting:
                return
            path, module, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise PickleError(f"its modules contain each other without end, at {path[:80]}")
            yield path, module
            inner = [(f"{path}.{name}" if path else name, child, depth + 1) for name, child in module.children.items()]
            waiting += reversed(inner)
        raise PickleError("it has more modules than any network that we know")

    def tensors(self) -> dict[str, Tensor | np.ndarray]:
        """All parameters and stored buffers by the names that PyTorch's ``state_dict`` would give them."""
        found: dict[str, Tensor | np.ndarray] = {}
        looked_at = 0
        for path, module in self.walk():
            passing = module.get("_non_persistent_buffers_set")
            passing = passing if isinstance(passing, list | tuple) else ()
            for kind in ("_parameters", "_buffers"):
                values = module.get(kind)
                looked_at += len(values) if isinstance(values, dict) else 0
                if looked_at > MAX_TENSORS:
                    raise PickleError("its modules have more tensors than any network that we know")
                for name, value in values.items() if isinstance(values, dict) else ():
                    if isinstance(value, Tensor | np.ndarray) and name not in passing:
                        found[f"{path}.{name}" if path else str(name)] = value
        return found
