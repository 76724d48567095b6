# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: how an envelope is made from a feature. Kept with each envelope, so that one can be made again alone."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ..errors import PatchError
from .analysis import Analysis
from .envelopes import gain_and_clip, gaussian, normalise, power, release

CLOCKS = ("bars", "seconds")
"""Features that count time: they are handed on as they are."""


@dataclass(frozen=True)
class Recipe:
    """How one envelope is made; the steps are taken in the order of the attributes.

    Attributes
    ----------
    name
        Of the envelope: the custom property on the Scene.
    feature
        ``onset``, ``kick``, ``snare``, ``hats``, ``rms``, ``chroma.0`` (C) to ``chroma.11`` (B), ``bars``, ``seconds``.
    smooth
        Standard deviation of a Gaussian, in seconds.
    future
        Weight of that Gaussian's half that looks ahead, 0 to 1. With 0 nothing moves before its sound.
    renormalise
        Stretch what smoothing has flattened to 0..1 again.
    power
        Exponent: above 1 only strong hits stay.
    gain
        Factor; the result is clipped to 0..1.
    release
        Time constant of the fall after each hit, in seconds.
    """

    name: str
    feature: str
    smooth: float = 0.0
    future: float = 0.0
    renormalise: bool = False
    power: float = 1.0
    gain: float = 1.0
    release: float = 0.0

    def __post_init__(self) -> None:
        known = ("onset", "kick", "snare", "hats", "rms", *CLOCKS, *(f"chroma.{note}" for note in range(12)))
        if self.feature not in known:
            raise PatchError(f"Envelope “{self.name}”: there is no feature “{self.feature}”. Use {', '.join(known)}.")
        for field, low, high in (
            ("smooth", 0, 600),
            ("future", 0, 1),
            ("power", 0, 100),
            ("gain", 0, 1e6),
            ("release", 0, 600),
        ):
            value = getattr(self, field)
            if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
                raise PatchError(f"Envelope “{self.name}”: {field} is {value!r}. Choose a number from {low} to {high}.")

    def to_dict(self) -> dict[str, str | float | bool]:
        """Plain data for JSON; ``from_dict`` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> "Recipe":
        """Read plain data; what is not given has its default.

        Raises
        ------
        PatchError
            A key is unknown or missing, or a value is out of its range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise PatchError(f"Envelope “{data.get('name', '?')}”: “{unknown[0]}” is unknown. Known: {sorted(known)}.")
        for key in ("name", "feature"):
            if not isinstance(data.get(key), str) or not data[key]:
                raise PatchError(f"Envelope “{data.get('name', '?')}” has no {key}. Give it one.")
        return cls(**data)  # type: ignore[arg-type]  # the values are checked as the recipe is made


def bake(analysis: Analysis, recipe: Recipe) -> np.ndarray:
    """Make one envelope: float32 [frames], 0 to 1; clocks are not clipped."""
    feature, _, note = recipe.feature.partition(".")
    values = analysis[feature][:, int(note)] if note else analysis[feature]
    if feature in CLOCKS:
        return values.copy()
    rate = float(analysis.fps)
    envelope = gaussian(values, recipe.smooth, rate, future=recipe.future)
    if recipe.renormalise:
        envelope = normalise(envelope)
    envelope = gain_and_clip(power(envelope, recipe.power), recipe.gain)
    return release(envelope, recipe.release, rate).astype(np.float32)


_DEFAULTS = Path(__file__).with_name(
    "default_recipes.json"
)  # data, so that Blender's room can read it without this one

DEFAULT_RECIPES: tuple[Recipe, ...] = tuple(
    Recipe.from_dict(data) for data in json.loads(_DEFAULTS.read_text(encoding="utf-8"))
)
"""The envelopes that a new scene gets."""
