# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents: from seeds, the beat and the harmony to one ``w`` per generator layer.

A frame's latents are built like a picture in layers. From the average latent up, each layer of the patch is mixed in:
``w[range] = lerp(w[range], layer, influence)``. The paper's base loop, chroma palette, onset mix and section blend
(section 3, appendices B and C) are all this one rule. Truncation toward the average comes last.

A latent layer's source is always a weighted sum of latents of seeds; what differs is the weights: 1 for a static
latent, a cardinal spline for a loop, the normalised chroma for a palette.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..errors import PatchError
from .patch import LatentLayer, LatentSource, Patch
from .ranges import Shapes, latent_range
from .signals import Values, envelope_at
from .sources import ChromaLatent, DirectionLatent, LoopLatent

Weights = npt.NDArray[np.float64]

# Total chroma (1 where music sounds) at which the palette is half way to its average. It keeps silence from dividing
# zero by zero, and a fade to silence from jumping.
_SILENCE = 1e-3


def seeded_z(seed: int, z_dim: int) -> torch.Tensor:
    """The z of a seed, [1, z_dim], float32, standard normal.

    It is drawn with NumPy's legacy generator, whose stream is frozen by NumPy's compatibility policy (NEP 19), so it is
    the same on every machine and with every release; torch promises neither. It also is what StyleGAN's published
    scripts do: an artist's favourite seeds of a network keep their pictures.
    """
    z = np.random.RandomState(seed).randn(1, z_dim)
    return torch.from_numpy(z.astype(np.float32))


@functools.lru_cache(maxsize=64)
def _second_derivatives(count: int) -> Weights:
    """Matrix from `count` values on a circle, one apart, to the second derivatives of the spline through them.

    The natural equations of a cubic spline, ``M[i-1] + 4 M[i] + M[i+1] = 6 (y[i-1] - 2 y[i] + y[i+1])``, with indices
    that wrap around (de Boor, A Practical Guide to Splines, chapter IV).
    """
    identity = np.eye(count)
    neighbours = np.roll(identity, 1, axis=1) + np.roll(identity, -1, axis=1)
    solution: Weights = np.linalg.solve(4 * identity + neighbours, 6 * (neighbours - 2 * identity))
    return solution  # [count, count]


def loop_weights(count: int, phase: float) -> Weights:
    """Weights of `count` latents at a phase of the closed cubic spline through them, [count], sum 1.

    The spline lives in W (paper, appendix B) and is smooth to the second derivative everywhere, also where it closes.
    Latent ``i`` is reached exactly at phase ``i / count``; only the fraction of `phase` counts.
    """
    position = (phase - math.floor(phase)) * count
    here = int(position)
    after = position - here
    before = 1.0 - after
    here, there = here % count, (here + 1) % count
    curvature = _second_derivatives(count)
    weights: Weights = (before**3 - before) / 6 * curvature[here] + (after**3 - after) / 6 * curvature[there]
    weights[here] += before
    weights[there] += after
    return weights


def chroma_weights(chroma: Sequence[float]) -> Weights:
    """Weights of the pitch classes' latents, [12], sum 1: one note shows its latent, silence the average of all.

    The normalised chroma, as in the paper's appendix C, with the variety that averaging takes away given back. Summed
    with weights p, independent latents stray from their average by the root of ``sum(p**2)`` times what one of them
    does: real chords, whose chroma is broad, would all show about the same grey. So the distance from equal weights is
    divided by that root (the paper's appendix B does the same to latents after a Gaussian filter). What chord it is
    then shows as clearly as what note, and no picture strays further than those of the palette.

    Values below zero, which an edited curve can have, count as zero.
    """
    energy = np.maximum(np.asarray(chroma, dtype=np.float64), 0.0)
    equal = 1.0 / len(energy)
    share = (energy + _SILENCE * equal) / (energy.sum() + _SILENCE)
    weights: Weights = equal + (share - equal) / np.sqrt(np.sum(share**2))
    return weights


def source_weights(source: LatentSource, values: Values) -> tuple[tuple[int, ...], Weights]:
    """The seeds of a source and their weights in the frame that has these values."""
    if isinstance(source, DirectionLatent):
        raise PatchError("Directions cannot be used yet.")
    seeds = tuple(latent for latent in source.latents if isinstance(latent, int))
    if len(seeds) < len(source.latents):
        raise PatchError("Latents of files cannot be used yet.")
    if isinstance(source, LoopLatent):
        return seeds, loop_weights(len(seeds), source.phase.at(values) / source.bars)
    if isinstance(source, ChromaLatent):
        return seeds, chroma_weights([envelope_at(values, name) for name in source.envelopes])
    return seeds[:1], np.ones(1)


def layer_influence(layer: LatentLayer, values: Values) -> float:
    """A layer's influence in a frame, 0 to 1; 0 for a layer that is switched off."""
    return layer.influence.within(values, 0.0, 1.0) if layer.enabled else 0.0


def frame_latents(
    patch: Patch,
    values: Values,
    latent_of: Callable[[int], torch.Tensor],
    w_avg: torch.Tensor,
    num_ws: int,
    noise_shapes: Shapes,
) -> torch.Tensor:
    """The latents of one frame, float32 [1, num_ws, w_dim], on the device of `w_avg`.

    Parameters
    ----------
    patch
        With the frame's overrides already in place.
    latent_of
        Gives the w of a seed, [w_dim].
    w_avg
        The network's average latent, [w_dim].
    num_ws, noise_shapes
        Of the network; they say which layers are coarse, medium and fine.
    """
    ws = w_avg.expand(num_ws, -1).clone()  # [num_ws, w_dim]
    for layer in patch.latent_layers:
        influence = layer_influence(layer, values)
        if influence == 0.0:
            continue
        seeds, weights = source_weights(layer.source, values)
        latents = torch.stack([latent_of(seed) for seed in seeds])  # [seeds, w_dim]
        factors = torch.as_tensor(weights, dtype=latents.dtype, device=latents.device)
        latent = (factors[:, None] * latents).sum(dim=0)  # [w_dim]
        reached = latent_range(layer.range, num_ws, noise_shapes)
        rows = ws[reached.start : reached.stop]
        # Not torch.lerp: with an influence of 1 this gives the layer to the last bit, whatever lies below.
        rows.copy_(rows * (1.0 - influence) + latent * influence)
    truncation = patch.truncation.within(values, -2.0, 2.0)
    if truncation != 1.0:
        rows = ws[: round(patch.truncation_cutoff.within(values, 0.0, num_ws))]
        rows.copy_(w_avg + (rows - w_avg) * truncation)
    return ws[None]
