# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bend can do to feature maps: a table of the operations and their parameters.

After Broad, Leymarie and Grierson, "Network Bending", 2020, https://arxiv.org/abs/2005.12420. Three things differ from
theirs. Whatever is a length is a fraction of the picture, so that it means the same at every layer. The levels of
threshold, invert and noise are relative to each channel's own mean and standard deviation, because the size of
activations differs by orders of magnitude between networks and layers. And every operation has a place where it does
nothing and from which it sets in without a jump, so that a curve can open it.

The table is plain data, ``bend_operations.json``, so that panels and the checks of patches can read it without this
room. Its limits are more than anybody needs, and so little that numbers stay finite and places exact: 1e9 for what goes
round (years of turning, and 64-bit numbers still tell a millionth of a degree), 1000 pictures for what moves (a long
scroll, and 32-bit numbers still tell a sixteenth of a pixel in maps of 1024). `bend_functions` does the work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class Parameter:
    """One number of an operation.

    Attributes
    ----------
    name, description : str
        The key in a bend's `parameters`, and a sentence for the artist.
    unit : str
        "width", "height" (fractions of the picture's), "factor", "amount" (0 nothing, 1 fully), "degrees", "turns",
        "ticks", "deviations" (the channel's standard deviations) or "seed".
    default : float
        Its value if it is not given.
    soft_low, soft_high : float
        What a slider should offer.
    low, high : float
        What is possible at all.
    acts : bool
        Whether moving it away from its default does something. An operation whose acting parameters all have their
        defaults is the identity, whatever the others are.
    whole : bool
        Whether only whole numbers are possible.
    """

    name: str
    description: str
    unit: str
    default: float
    soft_low: float
    soft_high: float
    low: float
    high: float
    acts: bool = True
    whole: bool = False


@dataclass(frozen=True)
class Operation:
    """One operation: its name, a sentence for the artist, its parameters."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]

    def neutral(self, values: Mapping[str, float]) -> bool:
        """Whether these values leave a map as it is."""
        return all(values[each.name] == each.default for each in self.parameters if each.acts)


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        name: Operation(
            name,
            about["description"],
            tuple(Parameter(name=parameter, **numbers) for parameter, numbers in about["parameters"].items()),
        )
        for name, about in json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8")).items()
    }
)
"""All operations by name, in the order in which a menu lists them."""
