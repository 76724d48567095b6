# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the panel's properties and the patch, the mapping as data that the engine understands.

The choreography room defines the form and checks it; here it is only written and read, as plain JSON data.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import bpy

from ..errors import PatchError
from .envelope_properties import PITCHES
from .properties import SGR_LatentLayer, SGR_NoiseLayer, SGR_Settings, settings_of

PACKAGE = Path(__file__).resolve().parent.parent
PRESETS = PACKAGE / "choreography" / "presets"
DEFAULT_PRESET = "reference"
BUILTIN = "builtin"
LAYERS = "latent_layers"
NOISE = "noise_layers"
_LAYER_NUMBER = re.compile(r"^stylegan_reactive\.(latent_layers|noise_layers)\[(?:(\d+)|\"(.*)\")\]\.(\w+)$")
_SEED_RANGE = re.compile(r"^(\d+)(?:-(\d+))?$")


def seeds_of(text: str, owner: str) -> list[int]:
    """The numbers in a text such as ``1-12,24``; raises `PatchError` that names the layer."""
    seeds: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _SEED_RANGE.match(part)
        if match is None:
            raise PatchError(f"The layer {owner!r} has the seeds {text!r}. Write numbers such as 7 or 1-12,24.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first > 1000:
            raise PatchError(
                f"The layer {owner!r} has the seeds {part!r}. Write the smaller number first, 1000 at most."
            )
        seeds += range(first, last + 1)
    if not seeds:
        raise PatchError(f"The layer {owner!r} has no seeds. Write at least one number.")
    return seeds


# From properties to the patch


def _range(layer: SGR_LatentLayer | SGR_NoiseLayer) -> str | list[int]:
    return [layer.first, layer.last] if layer.range == "custom" else layer.range


def _signal(layer: SGR_LatentLayer | SGR_NoiseLayer, amount: float) -> dict[str, Any]:
    return {"amount": amount, "envelope": layer.envelope, "gain": layer.gain, "offset": layer.offset}


def _clock(layer: SGR_LatentLayer | SGR_NoiseLayer) -> dict[str, Any]:
    return {"envelope": layer.clock}


def _latent_source(layer: SGR_LatentLayer) -> dict[str, Any]:
    seeds = seeds_of(layer.seeds, layer.name)
    if layer.kind == "static":
        return {"kind": "static", "latents": seeds[:1]}
    if layer.kind == "loop":
        return {"kind": "loop", "latents": seeds, "bars": layer.bars, "phase": _clock(layer)}
    if len(seeds) != len(PITCHES):
        raise PatchError(
            f"The chroma layer {layer.name!r} has {len(seeds)} seeds. "
            f"It needs {len(PITCHES)}, one for each note, such as 1-12."
        )
    return {"kind": "chroma", "latents": seeds, "envelopes": [f"audio_chroma_{pitch}" for pitch in PITCHES]}


def _noise_source(layer: SGR_NoiseLayer) -> dict[str, Any]:
    if layer.kind == "own":
        return {"kind": "own"}
    if layer.kind == "fixed":
        return {"kind": "fixed", "seed": layer.seed}
    return {"kind": "evolving", "seed": layer.seed, "seconds": layer.seconds, "clock": _clock(layer)}


def checkpoint_of(scene: bpy.types.Scene) -> str:
    """The network as the patch names it: ``builtin`` or an absolute path."""
    path = settings_of(scene).checkpoint
    return bpy.path.abspath(path, library=scene.library) if path else BUILTIN


def patch_of(scene: bpy.types.Scene) -> dict[str, Any]:
    """The scene's patch as JSON data; raises `PatchError` for what cannot be written as one."""
    settings = settings_of(scene)
    return {
        "version": 2,
        "checkpoint": checkpoint_of(scene),
        "label": settings.label,
        "truncation": {"amount": settings.truncation},
        LAYERS: [
            {
                "name": layer.name,
                "enabled": layer.enabled,
                "source": _latent_source(layer),
                "range": _range(layer),
                "influence": _signal(layer, layer.influence),
            }
            for layer in settings.latent_layers
        ],
        NOISE: [
            {
                "name": layer.name,
                "enabled": layer.enabled,
                "source": _noise_source(layer),
                "range": _range(layer),
                "amplitude": _signal(layer, layer.amplitude),
            }
            for layer in settings.noise_layers
        ],
    }


def envelopes_read(patch: dict[str, Any]) -> set[str]:
    """Names of the envelopes that the enabled layers of a patch read."""
    names: set[str] = set()
    for layer in (*patch[LAYERS], *patch[NOISE]):
        if layer["enabled"]:
            signal = layer.get("influence") or layer["amplitude"]
            source = layer["source"]
            clock = source.get("clock") or source.get("phase") or {"envelope": ""}
            names |= {signal["envelope"], clock["envelope"], *source.get("envelopes", ())}
    return names - {""}


def number_at(scene: bpy.types.Scene, data_path: str) -> tuple[str, float] | None:
    """The patch's dotted path for a data path of the scene, and the property's value; None where there is none."""
    settings = settings_of(scene)
    if data_path == "stylegan_reactive.truncation":
        return "truncation.amount", settings.truncation
    match = _LAYER_NUMBER.match(data_path)
    if match is None:
        return None
    layers = getattr(settings, match[1])
    index = int(match[2]) if match[2] is not None else layers.find(match[3])
    if not 0 <= index < len(layers):
        return None
    signal = "influence" if match[1] == LAYERS else "amplitude"
    number = "amount" if match[4] == signal else match[4]
    if number not in ("amount", "gain", "offset"):
        return None
    return f"{match[1]}.{index}.{signal}.{number}", float(getattr(layers[index], match[4]))


def without_numbers(patch: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Set the numbers at some dotted paths of a fresh patch to zero: they are among the values of each frame.

    So the patch stays the same from frame to frame, and with it its key.
    """
    for path in paths:
        *parents, name = path.split(".")
        owner: Any = patch
        for parent in parents:
            owner = owner[int(parent)] if parent.isdigit() else owner[parent]
        owner[name] = 0.0
    return patch


# From the patch to properties


def preset_names() -> list[str]:
    """Names of the presets that are shipped."""
    return sorted(path.stem for path in PRESETS.glob("*.json"))


def read_preset(name: str) -> dict[str, Any]:
    """A shipped preset as data."""
    return dict(json.loads((PRESETS / f"{name}.json").read_text(encoding="utf-8")))


def _apply(layer: Any, data: dict[str, Any], signal: Any, amount: Callable[[float], None]) -> None:
    layer.name, layer.enabled = data["name"], data["enabled"]
    if isinstance(data["range"], str):
        layer.range = data["range"]
    else:
        layer.range, (layer.first, layer.last) = "custom", data["range"]
    shaped = signal if isinstance(signal, dict) else {"amount": signal}
    amount(shaped["amount"])
    layer.envelope, layer.gain = shaped.get("envelope", ""), shaped.get("gain", 1.0)
    layer.offset = shaped.get("offset", 0.0)
    source = data["source"]
    layer.kind = source["kind"]
    for number in ("bars", "seconds"):
        if number in source:
            setattr(layer, number, source[number])
    for clock in ("phase", "clock"):
        if clock in source:
            layer.clock = source[clock]["envelope"]


def apply_patch(settings: SGR_Settings, patch: dict[str, Any]) -> None:
    """Replace the layers by those of a patch; the song, the network and the envelopes stay."""
    settings.truncation = patch["truncation"]
    settings.latent_layers.clear()
    settings.noise_layers.clear()
    for data in patch[LAYERS]:
        layer = settings.latent_layers.add()
        _apply(layer, data, data["influence"], lambda value, layer=layer: setattr(layer, "influence", value))  # type: ignore[misc]
        source = data["source"]
        layer.seeds = source["latents"]
    for data in patch[NOISE]:
        noise = settings.noise_layers.add()
        _apply(noise, data, data["amplitude"], lambda value, layer=noise: setattr(layer, "amplitude", value))  # type: ignore[misc]
        noise.seed = data["source"].get("seed", 1)
    settings.latent_index = settings.noise_index = 0
