# SPDX-License-Identifier: GPL-3.0-or-later
"""Tonnetz: where the harmony is on the circles of fifths, minor thirds and major thirds.

Harte, Sandler and Gasser, "Detecting Harmonic Change in Musical Audio" (2006). Chords that share notes are near each
other, so that a picture that follows the six numbers moves little between related chords and far between foreign ones.
"""

import numpy as np

TURNS = (7 / 6, 3 / 2, 2 / 3)
"""Half turns that one semitone makes on each circle: the circles of fifths, of minor thirds, of major thirds."""

RADII = (1.0, 1.0, 0.5)
"""Of the circles, so that neighbours in harmony are neighbours in space (Harte et al.)."""


def tonnetz(chroma: np.ndarray) -> np.ndarray:
    """Tonal centroid of each row of chroma.

    Parameters
    ----------
    chroma
        As ``chroma_envelope`` gives it with twelve classes: [frames, 12], C first, rows sum to one.

    Returns
    -------
    numpy.ndarray
        float32 [frames, 6]: sine and cosine on the circle of fifths and on that of minor thirds, -1 to 1, and on that
        of major thirds, -0.5 to 0.5. All zero where all classes are equal, as in silence.
    """
    angles = np.pi * np.array(TURNS)[:, None] * np.arange(12)
    around = np.stack([np.sin(angles), np.cos(angles)], axis=1)  # [circles, 2, 12]
    basis = (around * np.array(RADII)[:, None, None]).reshape(6, 12)
    total = np.maximum(chroma.sum(axis=1, keepdims=True), 1e-12)
    return (chroma / total @ basis.T).astype(np.float32)
