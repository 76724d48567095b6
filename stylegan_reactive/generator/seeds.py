# SPDX-License-Identifier: GPL-3.0-or-later
"""Any whole number as a seed, also those that the sources of random numbers refuse."""

from __future__ import annotations

import hashlib
import operator

LIMIT = 1 << 32  # numpy's RandomState takes no seed from here on, and torch leaves out what is above


def folded_seed(seed: int) -> int:
    """A seed of 0 to 2³² - 1: the number itself if it is among these, else one that is made of it.

    Raises
    ------
    ValueError
        If the seed is no whole number.
    """
    try:
        number = operator.index(seed)  # numpy's whole numbers too
    except TypeError as error:
        raise ValueError(f"a seed is a whole number, not {seed!r}") from error
    if 0 <= number < LIMIT:
        return number
    return int.from_bytes(hashlib.sha256(hex(number).encode()).digest()[:8], "little") % LIMIT
