# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of fuzzing, and good files damaged by a seeded chance, as attacks on the reader that they are for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.security.canary import Attack
from tests.security.mutations import mutated
from tests.security.seeds import TARGETS, seeds_for

CORPUS = Path(__file__).parent / "corpus"
SOUND_OR_NETWORK = ("network", "song", "weights")  # a millisecond and more each
MANY, FEW = 400, 120


def damaged(reader: str, folder: Path) -> Iterator[Attack]:
    """The corpus of one reader as it is, then damage to it and to good files."""
    kept = {path.name: path.read_bytes() for path in sorted((CORPUS / reader).glob("*")) if path.is_file()}
    for name, data in kept.items():
        yield Attack(f"kept {name}", reader, data, harmless=True)
    files = [*seeds_for(reader, folder).values(), *kept.values()]
    chance = random.Random(reader)
    for number in range(FEW if reader in SOUND_OR_NETWORK else MANY):
        yield Attack(f"damage {number}", reader, mutated(chance.choice(files), chance), harmless=True)


GROUPS: dict[str, Callable[[Path], Iterator[Attack]]] = {
    f"damage to {reader}": partial(damaged, reader) for reader in TARGETS
}
