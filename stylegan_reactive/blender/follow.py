# SPDX-License-Identifier: GPL-3.0-or-later
"""Let any property of the file follow an envelope: an object's scale, a light's power, a value of a material.

The property gets a driver of Blender's own that reads the scene's curve, ``offset + gain * envelope``, which needs no
Python and no permission to run scripts. It works on in a file that is opened without the extension.
"""

import re
from dataclasses import dataclass
from typing import Any

import bpy

from ..errors import ReactiveError
from .curves import property_path

VARIABLE = "envelope"
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_EXPRESSION = re.compile(rf"^({_NUMBER}) \+ ({_NUMBER}) \* {VARIABLE}$")


@dataclass(frozen=True)
class Place:
    """A property, or one element of an array: what a driver sits on. `index` is -1 for a whole array or no array."""

    owner: bpy.types.ID
    data_path: str
    index: int = -1

    @property
    def parent(self) -> Any:
        """What the property belongs to."""
        head = self.data_path.rpartition(".")[0] if not self.data_path.endswith("]") else ""
        return self.owner.path_resolve(head) if head else self.owner

    @property
    def value(self) -> Any:
        """What the property is now: a number or, for a whole array, several."""
        value = self.owner.path_resolve(self.data_path)
        return value[self.index] if self.index >= 0 else value

    @property
    def indices(self) -> tuple[int, ...]:
        """Which elements get a driver each; (-1,) where it is no array."""
        if self.index >= 0:
            return (self.index,)
        value = self.owner.path_resolve(self.data_path)
        return tuple(range(len(value))) if hasattr(value, "__len__") else (-1,)


@dataclass(frozen=True)
class Following:
    """How a property follows: ``offset + gain * envelope``."""

    envelope: str
    gain: float
    offset: float


def can_follow(place: Place) -> bool:
    """Whether a property is a number, or an array of numbers, that can be driven."""
    try:
        value = place.value
    except (ValueError, IndexError, TypeError):
        return False
    values = list(value) if hasattr(value, "__len__") and not isinstance(value, str) else [value]
    return bool(values) and all(isinstance(each, int | float) for each in values) and place.owner.library is None


def driver_at(place: Place, index: int) -> "bpy.types.FCurve | None":
    """The driver on a property, or on an element of it."""
    data = place.owner.animation_data
    return data.drivers.find(place.data_path, index=max(index, 0)) if data is not None else None


def following(place: Place) -> Following | None:
    """How a property follows an envelope; None where it does not, or by a driver of another kind."""
    driver = driver_at(place, place.indices[0])
    found = _EXPRESSION.match(driver.driver.expression) if driver is not None else None
    if driver is None or found is None or len(driver.driver.variables) != 1:
        return None
    path = driver.driver.variables[0].targets[0].data_path
    return Following(path[2:-2].replace('\\"', '"'), float(found[2]), float(found[1]))


def suggest(place: Place) -> tuple[float, float]:
    """Gain and offset that let a property swing up from what it is now, to twice as much."""
    value = place.value
    now = float(value[0] if hasattr(value, "__len__") else value)
    return (now or 1.0), now


def follow(scene: bpy.types.Scene, place: Place, envelope: str, gain: float, offset: float) -> None:
    """Let a property follow an envelope of a scene, in place of any driver that it has.

    Raises
    ------
    ReactiveError
        The scene has no such curve, or the property cannot be driven.
    """
    if envelope not in scene:
        raise ReactiveError(f"The scene has no curve {envelope!r} yet. Press Bake, or choose another envelope.")
    if not can_follow(place):
        raise ReactiveError(
            f"“{place.data_path}” of {place.owner.name!r} is no number that can follow an envelope. Choose another."
        )
    if place.owner == scene and place.data_path == property_path(envelope):
        raise ReactiveError(f"The envelope {envelope!r} cannot follow itself. Choose another one.")
    for index in place.indices:
        place.owner.driver_remove(place.data_path, index)
        curve: Any = place.owner.driver_add(place.data_path, index)  # one, for one element is asked for
        driver = curve.driver
        driver.type = "SCRIPTED"
        variable = driver.variables.new()
        variable.name, variable.type = VARIABLE, "SINGLE_PROP"
        target = variable.targets[0]
        target.id_type, target.id, target.data_path = "SCENE", scene, property_path(envelope)
        driver.expression = f"{offset:.7g} + {gain:.7g} * {VARIABLE}"
    place.owner.update_tag()


def unfollow(place: Place) -> None:
    """Take the drivers away that `follow` made; the property gets the value that it has at rest, the offset."""
    for index in place.indices:
        driver = driver_at(place, index)
        found = _EXPRESSION.match(driver.driver.expression) if driver is not None else None
        if found is None:
            continue
        place.owner.driver_remove(place.data_path, index)
        _set(place, index, float(found[1]))
    place.owner.update_tag()


def _set(place: Place, index: int, number: float) -> None:
    """Give a property, or an element of it, a value."""
    value: Any = place.owner.path_resolve(place.data_path)
    if index >= 0:
        value[index] = number
        return
    number = int(number) if isinstance(value, int) else number
    if place.data_path.endswith("]"):  # a custom property
        head, _, key = place.data_path.rpartition("[")
        holder = place.owner.path_resolve(head) if head else place.owner
        holder[key[1:-2]] = number
    else:
        setattr(place.parent, place.data_path.rpartition(".")[2], number)
