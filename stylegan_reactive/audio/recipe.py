# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: how an envelope is made from a feature. Kept with each envelope, so that one can be made again alone."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass
from pathlib import Path

import numpy as np

from ..errors import PatchError
from .analysis import Analysis
from .drawing import scaled
from .envelope_steps import (
    Follower,
    GainAndClip,
    Gaussian,
    Normalise,
    Power,
    Step,
    apply_chain,
    chain_from_plain,
    chain_to_plain,
)
from .feature import KINDS, Feature

SHORT_FORM = {"smooth": 600.0, "future": 1.0, "power": 100.0, "gain": 1e6, "release": 600.0}
"""Numbers of the short form, and the highest value of each; ``renormalise`` goes with them."""


@dataclass(frozen=True)
class Recipe:
    """How one envelope is made.

    There are two forms. The short one has always the same steps, in the order of its settings; those that change
    nothing are left out. ``steps`` may hold any, in any order, and comes after them.

    Parameters
    ----------
    name
        Of the envelope: the custom property on the Scene.
    feature
        As ``feature.Feature`` reads it, one column: ``onset``, ``rms@60-250``, ``chroma.0`` (C) to ``chroma.11`` (B).
    steps
        What is done with it, in this order.
    smooth
        Short form: standard deviation of a Gaussian, in seconds.
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

    Raises
    ------
    PatchError
        There is no such feature or step, or a number is out of its range.
    """

    name: str
    feature: str
    steps: tuple[Step, ...] = ()
    smooth: InitVar[float] = 0.0
    future: InitVar[float] = 0.0
    renormalise: InitVar[bool] = False
    power: InitVar[float] = 1.0
    gain: InitVar[float] = 1.0
    release: InitVar[float] = 0.0

    def __post_init__(
        self, smooth: float, future: float, renormalise: bool, power: float, gain: float, release: float
    ) -> None:
        try:
            feature = Feature.parse(self.feature)
            if feature.part is None and KINDS[feature.kind].columns != 0:
                raise PatchError(f"“{feature}” has several columns. Choose one, such as {feature.kind}.0.")
            for setting, value in zip(SHORT_FORM, (smooth, future, power, gain, release), strict=True):
                _check(setting, value)
            short = (
                (smooth > 0.0, lambda: Gaussian(smooth, future)),
                (bool(renormalise), lambda: Normalise()),
                (power != 1.0, lambda: Power(power)),
                (gain != 1.0, lambda: GainAndClip(gain)),
                (release > 0.0, lambda: Follower(release=release)),
            )
            steps = tuple(make() for changes, make in short if changes)
        except PatchError as error:
            raise PatchError(f"Envelope “{self.name}”: {error}") from error
        object.__setattr__(self, "steps", (*steps, *self.steps))

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON; ``from_dict`` reads it."""
        return {"name": self.name, "feature": self.feature, "steps": chain_to_plain(self.steps)}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> "Recipe":
        """Read plain data, of either form; what is not given has its default.

        Raises
        ------
        PatchError
            A key is unknown or missing, or a value is out of its range.
        """
        known = {"name", "feature", "steps", "renormalise", *SHORT_FORM}
        unknown = sorted(set(data) - known)
        if unknown:
            raise PatchError(f"Envelope “{data.get('name', '?')}”: “{unknown[0]}” is unknown. Known: {sorted(known)}.")
        for key in ("name", "feature"):
            if not isinstance(data.get(key), str) or not data[key]:
                raise PatchError(f"Envelope “{data.get('name', '?')}” has no {key}. Give it one.")
        try:
            steps = chain_from_plain(data.get("steps", ()))  # type: ignore[arg-type]  # it is checked there
        except PatchError as error:
            raise PatchError(f"Envelope “{data['name']}”: {error}") from error
        return cls(**{**data, "steps": steps})  # type: ignore[arg-type]  # the values are checked as it is made


def features_of(recipes: Iterable[Recipe]) -> tuple[str, ...]:
    """What has to be listened for so that the recipes can be baked, each once."""
    return tuple(dict.fromkeys(str(Feature.parse(recipe.feature).whole) for recipe in recipes))


def bake(analysis: Analysis, recipe: Recipe) -> np.ndarray:
    """Make one envelope: float32 [frames], 0 to 1; clocks are handed on as they are.

    Raises
    ------
    KeyError
        The analysis was made without the recipe's feature.
    PatchError
        The feature has fewer columns in this song. A kind of section that it does not have is no error: it is never
        heard.
    """
    feature = Feature.parse(recipe.feature)
    whole = analysis[feature.whole]
    if feature.kind == "sections" and feature.part is not None and feature.part >= whole.shape[1]:
        return np.zeros(len(whole), np.float32)
    if feature.part is not None and (whole.ndim < 2 or feature.part >= whole.shape[1]):
        columns = whole.shape[1] if whole.ndim > 1 else 0
        raise PatchError(f"Envelope “{recipe.name}”: there is no “{feature}”; this song has {columns}, counted from 0.")
    values = whole if feature.part is None else whole[:, feature.part]
    if KINDS[feature.kind].clock:
        return values.copy()
    envelope = apply_chain(recipe.steps, scaled(feature, values), float(analysis.fps))
    return np.clip(envelope, 0.0, 1.0).astype(np.float32)


def _check(setting: str, value: object) -> None:
    """Raise PatchError unless a setting of the short form is a number in its range."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not 0.0 <= value <= SHORT_FORM[setting]:  # type: ignore[operator]  # a number, as just seen
        raise PatchError(f"{setting} is {value!r}. Choose a number from 0 to {SHORT_FORM[setting]:g}.")


# As data, so that Blender's room can read it without this one.
_DEFAULTS = Path(__file__).with_name("default_recipes.json")

DEFAULT_RECIPES: tuple[Recipe, ...] = tuple(
    Recipe.from_dict(data) for data in json.loads(_DEFAULTS.read_text(encoding="utf-8"))
)
"""The envelopes that a new scene gets."""
