# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the panel's properties and the patch, the mapping as data that the engine understands.

The choreography room defines the form and checks it; here it is only written and read, as plain JSON data, by the one
rule of `patch_parts`.
"""

import functools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bpy

from ..builtin_networks import BUILTIN
from ..errors import PatchError
from .bend_properties import operations
from .patch_parts import checkpoint_of, decimal
from .properties import INDEX_OF, SGR_Settings, settings_of

PACKAGE = Path(__file__).resolve().parent.parent
PRESETS = PACKAGE / "choreography" / "presets"
DESCRIPTIONS = PRESETS.with_suffix(".json")
DEFAULT_PRESET = "reference"
VERSION = 2
LAYERS = "latent_layers"
NOISE = "noise_layers"
BENDS = "bends"
REWRITES = "rewrites"
STACKS = (LAYERS, NOISE, BENDS, REWRITES)
SIGNALS = ("truncation", "truncation_cutoff")
SUGGESTED_SEEDS = {"static": "7", "loop": "1-4", "chroma": "1-12", "direction": "1"}
OWNER = "stylegan_reactive"
_STEP = re.compile(r'\.?([A-Za-z_]\w*)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]')


# From properties to the patch


def patch_of(scene: bpy.types.Scene) -> dict[str, Any]:
    """The scene's patch as JSON data; raises `PatchError` for what cannot be written as one."""
    settings = settings_of(scene)
    return {
        "version": VERSION,
        "checkpoint": checkpoint_of(scene),
        "label": settings.label,
        **{name: getattr(settings, name).plain() for name in SIGNALS},
        **{stack: [layer.plain() for layer in getattr(settings, stack)] for stack in STACKS},
    }


def _read_in(value: Any) -> Iterator[str]:
    """Names of the envelopes in some part of a patch."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "envelope":
                yield item
            elif key == "envelopes":
                yield from item
            else:
                yield from _read_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _read_in(item)


def envelopes_read(patch: dict[str, Any]) -> set[str]:
    """Names of the envelopes that the enabled layers of a patch, and its truncation, read."""
    layers = [layer for stack in STACKS for layer in patch.get(stack, ()) if layer.get("enabled", True)]
    return {name for part in (*(patch.get(name) for name in SIGNALS), *layers) for name in _read_in(part)} - {""}


class Number(NamedTuple):
    """A number of the patch: its dotted path, the property's present value, and its default."""

    dotted: str
    present: float
    default: float


def _steps(data_path: str) -> Iterator[str | int | tuple[str]]:
    """Names, indices, and keys (as tuples) of a data path; raises ValueError where it cannot be read."""
    position = 0
    while position < len(data_path):
        step = _STEP.match(data_path, position)
        if step is None:
            raise ValueError(data_path)
        yield step[1] or (int(step[2]) if step[2] is not None else (bpy.utils.unescape_identifier(step[3]),))
        position = step.end()


def number_at(scene: bpy.types.Scene, data_path: str) -> Number | None:
    """The number of the patch for a data path of the scene; None where the patch has none there.

    ``stylegan_reactive.bends[2].rotate.angle.amount`` is ``bends.2.parameters.angle.amount``.
    """
    if not data_path.startswith(f"{OWNER}."):
        return None
    held: Any = settings_of(scene)
    path: list[str] = []
    try:
        for number, step in enumerate(_steps(data_path[len(OWNER) + 1 :])):
            if isinstance(step, str):
                named = _named(held, step) if number == 0 else held.dotted(step)
                if named is None:
                    return None
                path += [named] if named else []
                owner, name, held = held, step, getattr(held, step)
            else:
                index = step if isinstance(step, int) else held.find(step[0])
                held = held[index] if index >= 0 else None
                path.append(str(index))
    except (ValueError, AttributeError, IndexError, TypeError):
        return None
    if not isinstance(held, int | float):
        return None
    return Number(".".join(path), decimal(held) if isinstance(held, float) else held, _default(owner, name))


def _named(settings: SGR_Settings, name: str) -> str | None:
    return name if name in ("label", *SIGNALS, *STACKS) else None


def _default(owner: Any, name: str) -> float:
    default = owner.bl_rna.properties[name].default
    return decimal(default) if isinstance(default, float) else default


def without_numbers(patch: dict[str, Any], numbers: Iterable[Number]) -> dict[str, Any]:
    """Set some numbers of a fresh patch to their defaults: they are among the values of each frame.

    So the patch stays the same from frame to frame, and with it its key.
    """
    for number in numbers:
        *parents, name = number.dotted.split(".")
        owner: Any = patch
        for parent in parents:
            owner = owner[int(parent)] if isinstance(owner, list) else owner[parent]
        owner[int(name) if isinstance(owner, list) else name] = number.default
    return patch


# From the patch to properties


@functools.cache
def preset_items() -> tuple[tuple[str, str, str], ...]:
    """The presets that are shipped, in the order of the menu: name, title, description."""
    described = json.loads(DESCRIPTIONS.read_text(encoding="utf-8")) if DESCRIPTIONS.is_file() else {}
    names = sorted(path.stem for path in PRESETS.glob("*.json"))
    ordered = [name for name in described if name in names] + [name for name in names if name not in described]
    told = {name: described.get(name, {}) for name in ordered}
    return tuple(
        (name, each.get("title", name.replace("_", " ").title()), each.get("description", ""))
        for name, each in told.items()
    )


def preset_names() -> list[str]:
    """Names of the presets that are shipped."""
    return [name for name, _title, _description in preset_items()]


def read_preset(name: str) -> dict[str, Any]:
    """A shipped preset as data."""
    return dict(json.loads((PRESETS / f"{name}.json").read_text(encoding="utf-8")))


def apply_patch(settings: SGR_Settings, patch: dict[str, Any], *, network: bool = False) -> None:
    """Replace all layers and the truncation by those of a patch of this version; the song and the envelopes stay.

    Parameters
    ----------
    patch : dict
        Checked by the engine, or a preset.
    network : bool
        Whether to take over the network and its class too.

    Raises
    ------
    PatchError
        A bend has an operation that is not known here; nothing was changed.
    """
    for bend in patch.get(BENDS, ()):
        if bend.get("operation", "translate") not in operations():
            raise PatchError(f"The bend {bend.get('name', '')!r} is unknown to this version. Update the add-on.")
    for name in SIGNALS:
        signal = getattr(settings, name)
        for each in ("amount", "envelope", "gain", "offset", "minimum", "maximum", "use_minimum", "use_maximum"):
            signal.property_unset(each)
        if name in patch:
            signal.take(patch[name])
    for stack in STACKS:
        layers = getattr(settings, stack)
        layers.clear()
        for data in patch.get(stack, ()):
            layers.add().take(data)
        setattr(settings, INDEX_OF[stack], max(0, len(layers) - 1))
    if network:
        checkpoint = patch.get("checkpoint", BUILTIN)
        settings.checkpoint = "" if checkpoint == BUILTIN else checkpoint
        settings.label = patch.get("label", 0)
