# SPDX-License-Identifier: GPL-3.0-or-later
"""The taps of a resampling filter that a file stores as a square of products."""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCE = 1e-5


def filter_taps(kernel: Tensor) -> tuple[float, ...] | None:
    """One-dimensional taps out of a filter [taps] or [taps, taps]; None if it is not separable into equal halves.

    Whole numbers where they are in such proportions, as published filters are: (1, 3, 3, 1).
    """
    kernel = kernel.double()
    total = float(kernel.sum())
    if kernel.ndim not in (1, 2) or not 2 <= kernel.shape[0] <= 64 or abs(total) < TOLERANCE:
        return None
    kernel = kernel / total
    taps = kernel
    if kernel.ndim == 2:
        if kernel.shape[0] != kernel.shape[1]:
            return None
        taps = kernel.sum(dim=1)
        if float((torch.outer(taps, taps) - kernel).abs().max()) > TOLERANCE:
            return None
    smallest = float(taps.abs().min())
    if smallest > TOLERANCE:
        whole = (taps / smallest).round()
        if float((taps / smallest - whole).abs().max()) < 1e-4:
            taps = whole
    return tuple(float(tap) for tap in taps)
