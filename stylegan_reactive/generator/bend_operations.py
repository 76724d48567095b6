# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bend can do to feature maps: a table of the operations and their parameters.

After Broad, Leymarie and Grierson, "Network Bending", 2020, https://arxiv.org/abs/2005.12420. Three things differ from
theirs. Whatever is a length is a fraction of the picture, so that it means the same at every layer. The levels of
threshold, invert and noise are relative to each channel's own mean and standard deviation, because the size of
activations differs by orders of magnitude between networks and layers. And every operation has a place where it does
nothing and from which it sets in without a jump, so that a curve can open it.

The table is plain data: panels and the checks of presets are built from it. `bend_functions` does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """One number of an operation.

    Attributes
    ----------
    name, description : str
        The key in a bend's `parameters`, and a sentence for the artist.
    default : float
        Its value if it is not given.
    soft_low, soft_high : float
        What a slider should offer.
    low, high : float
        What is possible at all: more than anybody needs, and so little that numbers stay finite and places exact.
    unit : str
        "width", "height" (fractions of the picture's), "factor", "amount" (0 nothing, 1 fully), "degrees", "turns",
        "ticks", "deviations" (the channel's standard deviations) or "seed".
    acts : bool
        Whether moving it away from its default does something. An operation whose acting parameters all have their
        defaults is the identity, whatever the others are.
    whole : bool
        Whether only whole numbers are possible.
    """

    name: str
    description: str
    default: float
    soft_low: float
    soft_high: float
    unit: str
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


LONG = 1e9  # for what goes round: years of turning, and 64-bit numbers still tell a millionth of a degree
FAR = 1000.0  # pictures: a long scroll, and 32-bit numbers still tell a sixteenth of a pixel in maps of 1024


def amount(what: str, low: float = 0.0) -> Parameter:
    """A parameter that opens an operation."""
    return Parameter("amount", what, 0.0, low, 1.0, "amount", low=low, high=1.0)


def clock(name: str, what: str, soft_high: float, unit: str) -> Parameter:
    """A parameter that runs on through a song and does nothing by itself."""
    return Parameter(name, what, 0.0, 0.0, soft_high, unit, low=-LONG, high=LONG, acts=False)


CENTRE = tuple(
    Parameter(name, what, 0.0, -0.5, 0.5, unit, low=-100.0, high=100.0, acts=False)
    for name, what, unit in (
        ("centre_x", "the point that stays where it is, to the right of the middle", "width"),
        ("centre_y", "the same point, above the middle", "height"),
    )
)
SEED = Parameter("seed", "another seed, another pattern", 0.0, 0, 10_000, "seed", 0, 2**31 - 1, acts=False, whole=True)

OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation(
            "translate",
            "Move.",
            (
                Parameter("x", "to the right", 0.0, -1.0, 1.0, "width", low=-FAR, high=FAR),
                Parameter("y", "up", 0.0, -1.0, 1.0, "height", low=-FAR, high=FAR),
            ),
        ),
        Operation(
            "scale",
            "Make larger or smaller.",
            (
                Parameter("factor", "2 is twice as large", 1.0, 0.25, 4.0, "factor", low=0.01, high=100.0),
                Parameter("x", "the width alone, on top of it", 1.0, 0.25, 4.0, "factor", low=0.01, high=100.0),
                Parameter("y", "the height alone, on top of it", 1.0, 0.25, 4.0, "factor", low=0.01, high=100.0),
                *CENTRE,
            ),
        ),
        Operation(
            "rotate",
            "Turn.",
            (
                Parameter("angle", "counter-clockwise", 0.0, -180.0, 180.0, "degrees", low=-LONG, high=LONG),
                *CENTRE,
            ),
        ),
        Operation(
            "shear",
            "Slant.",
            (
                *(
                    Parameter(name, what, 0.0, -1.0, 1.0, "factor", low=-100.0, high=100.0)
                    for name, what in (
                        ("x", "1 moves each point right by its height above the middle"),
                        ("y", "1 moves each point up by its distance right of the middle"),
                    )
                ),
                *CENTRE,
            ),
        ),
        Operation(
            "flip",
            "Mirror; on the way there both are seen, one through the other.",
            (
                Parameter("horizontal", "left and right change places", 0.0, 0.0, 1.0, "amount", low=0.0, high=1.0),
                Parameter("vertical", "top and bottom change places", 0.0, 0.0, 1.0, "amount", low=0.0, high=1.0),
            ),
        ),
        Operation(
            "warp",
            "Bend along smooth waves, like a reflection in water.",
            (
                Parameter("strength", "how far points move, typically", 0.0, 0.0, 0.2, "width", low=-10.0, high=10.0),
                Parameter("size", "length of the waves", 0.5, 0.1, 1.0, "width", low=0.01, high=100.0, acts=False),
                clock("phase", "moves the waves; every whole turn they are the same", 1.0, "turns"),
                SEED,
            ),
        ),
        Operation(
            "erode",
            "Thin out: each point takes the smallest value around it.",
            (Parameter("radius", "how far around", 0.0, 0.0, 0.1, "width", low=0.0, high=1.0),),
        ),
        Operation(
            "dilate",
            "Thicken: each point takes the largest value around it.",
            (Parameter("radius", "how far around", 0.0, 0.0, 0.1, "width", low=0.0, high=1.0),),
        ),
        Operation(
            "blur",
            "Soften.",
            (Parameter("radius", "standard deviation of the blur", 0.0, 0.0, 0.1, "width", low=0.0, high=1.0),),
        ),
        Operation(
            "sharpen",
            "Exaggerate what is finer than the radius.",
            (
                Parameter("amount", "1 doubles it", 0.0, 0.0, 4.0, "factor", low=-100.0, high=100.0),
                Parameter(
                    "radius", "at least one pixel of the layer", 0.02, 0.0, 0.1, "width", low=0.0, high=1.0, acts=False
                ),
            ),
        ),
        Operation(
            "threshold",
            "Only two values: the channel's own size above the level, nothing below.",
            (
                amount("how much of it is seen"),
                Parameter(
                    "level",
                    "above the channel's mean",
                    0.0,
                    -2.0,
                    2.0,
                    "deviations",
                    low=-100.0,
                    high=100.0,
                    acts=False,
                ),
                Parameter(
                    "softness", "width of the step", 0.0, 0.0, 1.0, "deviations", low=0.0, high=100.0, acts=False
                ),
            ),
        ),
        Operation(
            "invert",
            "Turn high into low around the channel's mean.",
            (amount("1 is the negative, a half nothing but the mean"),),
        ),
        Operation(
            "multiply",
            "Strengthen or weaken.",
            (Parameter("factor", "0 removes, 1 leaves, -1 negates", 1.0, -2.0, 4.0, "factor", low=-100.0, high=100.0),),
        ),
        Operation(
            "noise",
            "Add noise, a pattern of its own for each channel.",
            (
                Parameter("amount", "its standard deviation", 0.0, 0.0, 2.0, "deviations", low=0.0, high=100.0),
                clock("phase", "its clock: another noise at every whole number", 16.0, "ticks"),
                SEED,
            ),
        ),
        Operation("ablate", "Take away.", (amount("1 leaves nothing"),)),
    )
}
