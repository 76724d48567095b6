# SPDX-License-Identifier: GPL-3.0-or-later
"""What bends can do, as far as a patch must know it: names and limits, read from the generator's table.

The table is data (``generator/bend_operations.json``), so that a patch can be checked where no network can be loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

_TABLE = Path(__file__).parents[1] / "generator" / "bend_operations.json"


@dataclass(frozen=True)
class Limits:
    """What one parameter of an operation can be.

    Attributes
    ----------
    default, low, high
        Its value if it is not given, the least and the largest.
    acts
        Whether moving it away from its default does something by itself.
    whole
        Whether only whole numbers are possible.
    """

    default: float
    low: float
    high: float
    acts: bool
    whole: bool


OPERATIONS: Mapping[str, Mapping[str, Limits]] = MappingProxyType(
    {
        operation: MappingProxyType(
            {
                name: Limits(
                    number["default"],
                    number["low"],
                    number["high"],
                    acts=number.get("acts", True),
                    whole=number.get("whole", False),
                )
                for name, number in about["parameters"].items()
            }
        )
        for operation, about in json.loads(_TABLE.read_text(encoding="utf-8")).items()
    }
)
"""For each operation its parameters, by name."""
