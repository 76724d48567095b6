# SPDX-License-Identifier: GPL-3.0-or-later
"""Patches of older versions, made into those of today: each step takes plain data one version further.

What does not look as it should is left as it is; the reader of today's version then says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ALL_LAYERS = 1024  # as a number of layers: more than any network has


def migrated(patch: dict[str, Any], version: int, newest: int) -> dict[str, Any]:
    """The plain data of a patch of some version, as the newest version writes it; what was given is not changed."""
    for step in range(version, newest):
        patch = {**_STEPS[step](patch), "version": step + 1}
    return patch


def oldest() -> int:
    """The oldest version that can be read."""
    return min(_STEPS)


def _from_1(patch: dict[str, Any]) -> dict[str, Any]:
    """Version 2: latents are named by texts of seeds, clocks are signals, and the cutoff is a number."""
    patch = dict(patch)
    if "truncation_cutoff" in patch and patch["truncation_cutoff"] is None:
        patch["truncation_cutoff"] = ALL_LAYERS
    for stack in ("latent_layers", "noise_layers"):
        if isinstance(patch.get(stack), list):
            patch[stack] = [_layer_from_1(layer) if isinstance(layer, dict) else layer for layer in patch[stack]]
    return patch


def _layer_from_1(layer: dict[str, Any]) -> dict[str, Any]:
    source = layer.get("source")
    if not isinstance(source, dict):
        return layer
    source = dict(source)
    if source.get("kind") in ("static", "loop", "chroma"):
        if "seed" in source:
            source["latents"] = [source.pop("seed")]
        if "seeds" in source:
            source["latents"] = source.pop("seeds")
    if "clock" in source:
        name = "phase" if source.get("kind") == "loop" else "clock"
        source[name] = {"envelope": source.pop("clock")}
    return {**layer, "source": source}


_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
