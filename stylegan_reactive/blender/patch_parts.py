# SPDX-License-Identifier: GPL-3.0-or-later
"""What property groups that stand for a part of the patch share: they are read and written by one rule.

A part's properties have the names of the patch's keys, so the data path ``latent_layers[0].influence.amount`` is the
dotted path ``latent_layers.0.influence.amount``. The choreography room declares the patch; a test compares the limits,
the choices and the defaults here with the declarations there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, FloatProperty, StringProperty

from ..builtin_networks import BUILTIN, is_builtin
from ..errors import PatchError
from .keying import FIXED

LARGEST = 1000.0
NO_LIMIT = 1e9
LARGEST_SEED = 2**31 - 1


def decimal(value: float) -> float:
    """The shortest decimal that is the same 32-bit number: 0.9, where Blender says 0.8999999761581421."""
    return float(str(np.float32(value)))


def plain_of(value: Any) -> Any:
    """A property's value as JSON data."""
    if isinstance(value, Part):
        return value.plain()
    if isinstance(value, float):
        return decimal(value)
    return value


class Part:
    """A property group that stands for an object of the patch."""

    KEYS: tuple[str, ...] = ()

    def patch_keys(self) -> tuple[str, ...]:
        """The keys that the patch has for this object as it is now, which are names of properties."""
        return self.KEYS

    def plain(self) -> Any:
        """The part as JSON data."""
        return {key: self.plain_value(key) for key in self.patch_keys()}

    def plain_value(self, key: str) -> Any:
        """One of its values as JSON data."""
        value = getattr(self, key)
        return [plain_of(item) for item in value] if hasattr(value, "add") else plain_of(value)

    def take(self, data: Any) -> None:
        """Take JSON data over; what it does not say stays as it is, which in a new part is the patch's default."""
        for key, value in data.items():
            self.take_value(key, value)

    def take_value(self, key: str, value: Any) -> None:
        """Take one value over."""
        held = getattr(self, key)
        if isinstance(held, Part):
            held.take(value)
        elif hasattr(held, "add"):
            held.clear()
            for item in value:
                held.add().take(item)
        else:
            setattr(self, key, value)

    def dotted(self, name: str) -> str | None:
        """What the dotted path has for a property of this part; None where the patch has no such number now."""
        return name if name in self.patch_keys() else None


def absolute_file(part: Any, path: str) -> str:
    """A file of a part as the patch names it; raises `PatchError` where none is chosen."""
    if not path:
        raise PatchError("No file is chosen yet. Choose one in the layer, or switch the layer off.")
    return bpy.path.abspath(path, library=part.id_data.library)


def checkpoint_of(scene: bpy.types.Scene) -> str:
    """The network of a scene as the patch names it: a built-in one by its name, any other by its absolute path."""
    path = scene.stylegan_reactive.checkpoint
    if not path or is_builtin(path):
        return path or BUILTIN
    return bpy.path.abspath(path, library=scene.library)


# Signals


class Signal(Part):
    """A number that an envelope may shape: ``amount * clip(offset + gain * envelope, minimum, maximum)``."""

    KEYS = ("amount", "envelope", "gain", "offset", "minimum", "maximum")

    envelope: StringProperty(
        name="Envelope", default="", options=FIXED, description="The curve that this number follows; empty: none"
    )
    gain: FloatProperty(
        name="Gain",
        default=1.0,
        min=-LARGEST,
        max=LARGEST,
        soft_min=-4.0,
        soft_max=4.0,
        description="Multiplies the envelope",
    )
    offset: FloatProperty(
        name="Offset",
        default=0.0,
        min=-NO_LIMIT,
        max=NO_LIMIT,
        soft_min=-1.0,
        soft_max=1.0,
        description="Added to the envelope after the gain",
    )
    use_minimum: BoolProperty(
        name="Minimum", default=False, options=FIXED, description="Keep the shaped envelope from falling too low"
    )
    minimum: FloatProperty(
        name="Minimum",
        default=0.0,
        min=-NO_LIMIT,
        max=NO_LIMIT,
        soft_min=-1.0,
        soft_max=1.0,
        description="The shaped envelope falls no lower",
    )
    use_maximum: BoolProperty(
        name="Maximum", default=False, options=FIXED, description="Keep the shaped envelope from rising too high"
    )
    maximum: FloatProperty(
        name="Maximum",
        default=1.0,
        min=-NO_LIMIT,
        max=NO_LIMIT,
        soft_min=-1.0,
        soft_max=2.0,
        description="The shaped envelope rises no higher",
    )

    def patch_keys(self) -> tuple[str, ...]:
        """Limits only where they are wanted."""
        unwanted = {name for name in ("minimum", "maximum") if not getattr(self, f"use_{name}")}
        return tuple(key for key in self.KEYS if key not in unwanted)

    def take(self, data: float | Mapping[str, Any]) -> None:
        """A number alone is the amount of a signal without an envelope."""
        given = data if isinstance(data, Mapping) else {"amount": data}
        self.envelope, self.gain, self.offset = (
            given.get("envelope", ""),
            given.get("gain", 1.0),
            given.get("offset", 0),
        )
        if "amount" in given:
            self.amount = given["amount"]
        for name, limit in (("minimum", -NO_LIMIT), ("maximum", NO_LIMIT)):
            wanted = given.get(name, limit) != limit
            setattr(self, f"use_{name}", wanted)
            if wanted:
                setattr(self, name, given[name])


# Layers


class Layer(Part):
    """What the layers of all stacks share."""

    enabled: BoolProperty(name="Enabled", default=True, description="Use this layer")

    def plain(self) -> dict[str, Any]:
        """What is wrong in a layer is said with its name."""
        try:
            found: dict[str, Any] = super().plain()
        except PatchError as error:
            raise PatchError(f"The layer {self.name!r}: {error}") from None
        return found


class Source(Part):
    """Where a layer comes from; its kind says which of the properties count."""

    KEYS_OF_KIND: dict[str, tuple[str, ...]]

    def patch_keys(self) -> tuple[str, ...]:
        """The keys of this kind."""
        return ("kind", *self.KEYS_OF_KIND[self.kind])

    def take(self, data: dict[str, Any]) -> None:
        """The kind first: it may say what the others are."""
        self.kind = data["kind"]
        super().take(data)


def range_items(whole: str, coarse: str, medium: str, fine: str, custom: str) -> tuple[tuple[str, str, str], ...]:
    """The choices of a range."""
    return (
        ("all", "All", whole),
        ("coarse", "Coarse", coarse),
        ("medium", "Medium", medium),
        ("fine", "Fine", fine),
        ("custom", "From – To", custom),
    )


class Range(Part):
    """One of some names, or the first and the last of something: ``"fine"``, or ``[4, 9]`` in the patch."""

    def plain(self) -> str | list[int]:
        """A name, or two numbers."""
        return [self.first, self.last] if self.which == "custom" else self.which

    def take(self, data: str | Sequence[int]) -> None:
        """A name, or two numbers."""
        self.which = data if isinstance(data, str) else "custom"
        if not isinstance(data, str):
            self.first, self.last = data

    def dotted(self, name: str) -> str | None:
        """The place in the list of two."""
        return {"first": "0", "last": "1"}.get(name) if self.which == "custom" else None
