# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents: from seeds, files, the beat and the harmony to one ``w`` per generator layer.

A frame's latents are built like a picture in layers. From the average latent up, each layer of the patch is mixed in:
``w[range] = lerp(w[range], layer, influence)``. The paper's base loop, chroma palette, onset mix and section blend
(section 3, appendices B and C) are all this one rule. Truncation toward the average comes last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .latent_bank import LatentBank, on_layers
from .loops import Latent, lerp, mixed, turn
from .patch import LatentLayer, LatentSource, Patch
from .ranges import Shapes, latent_range
from .signals import Values, envelope_at
from .sources import ChromaLatent, DirectionLatent, LoopLatent

Weights = npt.NDArray[np.float64]

# Total chroma (1 where music sounds) at which the palette is half way to its average. It keeps silence from dividing
# zero by zero, and a fade to silence from jumping.
_SILENCE = 1e-3


def chroma_weights(chroma: Sequence[float], count: int) -> Weights:
    """Weights of a palette's latents, [as many as are used], sum 1: one note shows its latent, silence the average.

    The normalised chroma, as in the paper's appendix C, with the variety that averaging takes away given back. Summed
    with weights p, independent latents stray from their average by the root of ``sum(p**2)`` times what one of them
    does: real chords, whose chroma is broad, would all show about the same grey. So the distance from equal weights is
    divided by that root (the paper's appendix B does the same to latents after a Gaussian filter). What chord it is
    then shows as clearly as what note, and no picture strays further than those of the palette.

    Parameters
    ----------
    chroma
        Of each bin. Values below zero, which an edited curve can have, count as zero.
    count
        How many latents there are. Where they are fewer than the bins they begin again, and bins that share a latent
        are added up; where they are more, the rest is not used.
    """
    used = min(count, len(chroma))
    bins = np.maximum(np.asarray(chroma, dtype=np.float64), 0.0)
    energy = np.array([bins[index::used].sum() for index in range(used)])
    equal = 1.0 / used
    share = (energy + _SILENCE * equal) / (energy.sum() + _SILENCE)
    weights: Weights = equal + (share - equal) / np.sqrt(np.sum(share**2))
    return weights


def layer_influence(layer: LatentLayer, values: Values) -> float:
    """A layer's influence in a frame, 0 to 1; 0 for a layer that is switched off."""
    return layer.influence.within(values, 0.0, 1.0) if layer.enabled else 0.0


def source_latent(
    source: LatentSource, values: Values, below: Latent, bank: LatentBank, label: int | None, reached: range, path: str
) -> Latent:
    """What a source shows in a frame, float32 [1 or rows, w_dim].

    Parameters
    ----------
    below
        The latents under the layer, [rows, w_dim]: those generator layers that are `reached`.
    bank, label
        Gives the latents of the source, for a class.
    path
        Where the source stands in the patch, for errors.
    """
    if isinstance(source, DirectionLatent):
        return below + bank.direction(source, reached, path) * np.float32(source.amount.at(values))
    if isinstance(source, LoopLatent):
        return bank.loop(source, label, reached, path).at(turn(source.phase.at(values), source.bars))
    latents = on_layers(bank.ws(source.latents, label, f"{path}.latents"), reached)
    if isinstance(source, ChromaLatent):
        weights = chroma_weights([envelope_at(values, name) for name in source.envelopes], len(latents))
        return mixed(latents[: len(weights)], weights)
    return between(latents, source.position.at(values))


def between(latents: Latent, position: float) -> Latent:
    """The latent at a place between some, [count, rows, w_dim] -> [rows, w_dim]; after the last comes the first."""
    floor = math.floor(position)
    here = floor % len(latents)
    return lerp(latents[here], latents[(here + 1) % len(latents)], position - floor)


def frame_latents(
    patch: Patch, values: Values, bank: LatentBank, w_avg: Latent, label: int | None, noise_shapes: Shapes
) -> Latent:
    """The latents of one frame, float32 [num_ws, w_dim].

    Parameters
    ----------
    patch
        With the frame's overrides already in place.
    bank
        The latents of the network.
    w_avg
        The network's average latent, [w_dim].
    label
        The class to paint; None for a network without classes.
    noise_shapes
        Of the network; they say which layers are coarse, medium and fine.
    """
    ws = np.tile(w_avg, (bank.num_ws, 1))  # [num_ws, w_dim]
    for index, layer in enumerate(patch.latent_layers):
        influence = layer_influence(layer, values)
        if influence == 0.0:
            continue
        reached = latent_range(layer.range, bank.num_ws, noise_shapes)
        rows = ws[reached.start : reached.stop]
        latent = source_latent(layer.source, values, rows, bank, label, reached, f"latent_layers.{index}.source")
        rows[:] = lerp(rows, latent, influence)  # with an influence of 1 the layer to the last bit
    truncation = patch.truncation.within(values, -2.0, 2.0)
    if truncation != 1.0:
        cutoff = patch.truncation_cutoff.within(values, 0.0, bank.num_ws)
        rows = ws[: math.ceil(cutoff)]
        part = np.minimum(cutoff - np.arange(len(rows)), 1.0)  # of the last one perhaps but a part
        kept = (1.0 + (truncation - 1.0) * part).astype(np.float32)
        rows[:] = w_avg + (rows - w_avg) * kept[:, None]
    return ws
