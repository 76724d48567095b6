# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell kick, snare and hats apart: each attack is shared out between drums and notes.

Bands alone cannot do this: a kick's beater clicks in the snare's band, a snare hisses in the hats', and every bass note
starts in the kick's. So the rise of the whole spectrum is explained, window by window, as a sum of a few typical
attacks, in the manner of Dittmar and Gärtner ("Real-time Transcription and Separation of Drum Recordings Based on NMF
Decomposition", 2014) with templates that stay fixed. Templates of notes take what no drum explains.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

EDGES = (
    *(30, 65, 110, 150, 200, 270, 350, 450, 600, 800, 1000, 1300),
    *(1700, 2200, 2800, 3600, 4600, 6000, 7500, 9000, 10500, 12000, 14000, 16000),
)
"""Hz. Edges of the sub-bands: a bin each at the bottom, then about as wide as the ear's critical bands."""

DRUMS: Mapping[str, tuple[tuple[float, ...], ...]] = MappingProxyType(
    {
        "kick": (
            (65, 97, 99, 70, 30, 12, 12, 8, 6, 4, 4, 5, 8, 12, 14, 14, 11, 9, 5, 3, 3, 1, 0),  # with a beater's click
            (90, 99, 90, 70, 45, 30, 20, 12, 8, 5, 4, 3, 3, 3, 3, 3, 3, 2, 2, 1, 1, 1, 0),  # round, electronic
        ),
        "snare": (
            (15, 30, 50, 90, 99, 55, 45, 50, 35, 25, 25, 20, 20, 20, 20, 20, 20, 18, 15, 13, 11, 9, 7),  # with a body
            (0, 0, 5, 20, 30, 30, 35, 45, 55, 65, 75, 85, 95, 99, 99, 95, 85, 75, 60, 50, 40, 30, 20),  # noise, claps
        ),
        "hats": ((0, 0, 0, 2, 5, 5, 5, 5, 5, 8, 10, 12, 15, 25, 50, 80, 99, 90, 85, 80, 85, 80, 75),),
    }
)
"""How the sub-bands rise at a typical hit. Only the shape counts."""

NOTES: tuple[tuple[float, ...], ...] = (
    (50, 80, 99, 99, 70, 50, 30, 20, 10, 5, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),  # bass
    (10, 10, 20, 60, 99, 99, 90, 80, 60, 50, 40, 30, 20, 15, 10, 5, 2, 1, 0, 0, 0, 0, 0),  # chords
    (0, 0, 2, 5, 10, 30, 50, 70, 90, 99, 99, 90, 80, 60, 50, 40, 25, 15, 8, 5, 2, 1, 0),  # leads
)
"""The same for attacks that are no drums."""

STEPS = 30
"""Multiplicative updates; the shares change by less than a hundredth after about 20."""


def share_out(rise: np.ndarray) -> dict[str, np.ndarray]:
    """Share the rise of each window out between the drums.

    Minimises the Kullback-Leibler divergence by the multiplicative rule of Lee and Seung (2001).

    Parameters
    ----------
    rise
        Of the sub-bands between ``EDGES``: float32 [windows, 23], not negative.

    Returns
    -------
    dict
        Name of the drum → float32 [windows]: how much of the summed rise is its.
    """
    templates = np.array([template for group in DRUMS.values() for template in group] + list(NOTES), np.float32).T
    templates /= templates.sum(axis=0)  # [sub-bands, templates]
    shares = _activations(rise, templates)
    found, column = {}, 0
    for name, group in DRUMS.items():
        found[name] = shares[:, column : column + len(group)].sum(axis=1)
        column += len(group)
    return found


def _activations(rise: np.ndarray, templates: np.ndarray) -> np.ndarray:
    tiny = np.float32(1e-9)
    activations = np.repeat(rise.sum(axis=1, keepdims=True) / templates.shape[1] + tiny, templates.shape[1], axis=1)
    for _ in range(STEPS):
        activations *= (rise / (activations @ templates.T + tiny)) @ templates
    return activations
