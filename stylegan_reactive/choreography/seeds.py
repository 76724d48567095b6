# SPDX-License-Identifier: GPL-3.0-or-later
"""Which latents: seeds, written as artists write them (``1-12,24``), and rows of latents in files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from . import checks
from .schema import Fixed, NotANumber, Optional, Several, Steps, Whole, choice, declared, plain, read

LARGEST_SEED = 2**31 - 1  # what the whole numbers of Blender hold; NumPy's RandomState takes twice as many
MOST_LATENTS = 256
SPACES = ("w", "z")
_RUN = re.compile(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?")


def absolute_path(value: object, path: str) -> str:
    """The absolute path of a file. It may have been saved on another system: both kinds are known everywhere."""
    name = checks.text(value, path, longest=4096)
    if not (PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()):
        raise checks.refuse(path, value, "the absolute path of a file")
    return name


@dataclass(frozen=True)
class FileLatent:
    """Latents that a file holds (``.npy``, ``.npz`` or ``.safetensors``): one of them, or all.

    Attributes
    ----------
    file
        Absolute path.
    index
        Which one, from 0; None: all of them, in their order.
    space
        "w" for w or one w per layer, as projectors save them; "z" for what goes through the mapping network first.
    """

    file: str = declared(Fixed(absolute_path))
    index: int | None = declared(Optional(Whole(0, 10**6)), None)
    space: str = choice("w", SPACES)


Latents = tuple[int | FileLatent, ...]


def parse_seeds(text: str, path: str) -> tuple[int, ...]:
    """The seeds in a text such as ``1-12,24``; raises `checks.Misfit`."""
    seeds: list[int] = []
    for part in text.split(","):
        run = _RUN.fullmatch(part)
        if run is None:
            raise checks.refuse(path, text, "seeds such as 7 or 1-12,24")
        first, last = int(run[1]), int(run[2] or run[1])
        if last < first or last > LARGEST_SEED or last - first >= MOST_LATENTS:
            raise checks.refuse(
                path, text, f"the smaller seed first, at most {MOST_LATENTS} of them, none above {LARGEST_SEED}"
            )
        seeds += range(first, last + 1)
    return tuple(seeds)


def seeds_text(seeds: tuple[int, ...]) -> str:
    """The shortest text that `parse_seeds` reads back."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


@dataclass(frozen=True)
class _Latent:
    """A seed, which a curve can move, or latents of a file."""

    def read(self, value: object, path: str) -> int | FileLatent:
        if isinstance(value, dict):
            latent: FileLatent = read(FileLatent, value, path)
            return latent
        return checks.whole_number(value, path, low=0, high=LARGEST_SEED)

    def plain(self, value: int | FileLatent) -> Any:
        return value if isinstance(value, int) else plain(value)

    def numbered(self, value: int | FileLatent, steps: Steps, number: float, path: str) -> int:
        if steps or not isinstance(value, int):
            raise NotANumber
        return checks.whole_number(round(number), path, low=0, high=LARGEST_SEED)


class _Latents(Several):
    """One or more latents: a text of seeds, or a list of seeds and files."""

    def read(self, value: object, path: str) -> Latents:
        if isinstance(value, str):
            value = parse_seeds(checks.text(value, path), path)
        return super().read(value, path)

    def plain(self, value: Latents) -> Any:
        seeds = [item for item in value if isinstance(item, int)]
        return seeds_text(tuple(seeds)) if len(seeds) == len(value) else super().plain(value)


def latents() -> Any:
    """A field that holds one or more latents."""
    return declared(_Latents(_Latent(), longest=MOST_LATENTS, shortest=1))
