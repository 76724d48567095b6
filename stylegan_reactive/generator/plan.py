# SPDX-License-Identifier: GPL-3.0-or-later
"""Which algorithm each convolution uses on a CPU, and the weights that are prepared for it.

A fixed rule by the layer's shape is the default, so the same frame has the same pixels on every machine of a kind.
Algorithms differ by rounding alone (about 1e-6 of the range), so a plan of another machine does no harm either.
"""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import write_whole
from .convolution import (
    SAME_ALGORITHMS,
    TILE,
    UP_ALGORITHMS,
    Modulation,
    Ready,
    direct_same,
    direct_up,
    mkldnn_works,
    pack_same,
    pack_up,
    packed_same,
    packed_up,
    winograd_same,
    winograd_weights,
)
from .workspace import Workspace

STRIP_VALUES = 1 << 22  # of a strip of a feature map: 16 MB, so that it is still in the cache when it is read again
WINOGRAD_CHANNELS = 128  # with fewer the transforms cost more than the products they save
WINOGRAD_PIXELS = 32 * 32
TILES = 256  # for so many the matrices of Winograd's algorithm are put in order; they can be used for any number
SAMPLED = 251  # values of a weight that are compared to see that nobody wrote to it behind torch's back


@dataclass(frozen=True)
class LayerShape:
    """A 3x3 convolution: "same" or "up", its channels, and the height and width of the map it reads."""

    kind: str
    channels_in: int
    channels_out: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.kind} {self.channels_in}>{self.channels_out} {self.height}x{self.width}"

    @property
    def strip_rows(self) -> int:
        """Rows of the output that are computed at once, a multiple of 4."""
        scale = 2 if self.kind == "up" else 1
        rows = STRIP_VALUES // (self.width * scale * self.channels_out)
        return max(16, rows // TILE * TILE)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The algorithms that can compute it here."""
        names = SAME_ALGORITHMS if self.kind == "same" else UP_ALGORITHMS
        tiled = self.height % TILE == 0 and self.width % TILE == 0
        return tuple(
            name for name in names if (name != "winograd" or tiled) and (name != "packed" or packed_weights_work())
        )

    @property
    def default(self) -> str:
        """The algorithm that was quickest, or hardly slower, on the processors it was measured on."""
        channels, pixels = (self.channels_in, self.channels_out), self.height * self.width
        if "winograd" in self.candidates and min(channels) >= WINOGRAD_CHANNELS and pixels >= WINOGRAD_PIXELS:
            return "winograd"
        # Either the weights are multiplied by the style, or the maps that are read and written.
        heavy = 9 * self.channels_in * self.channels_out > pixels * sum(channels)
        return "packed" if heavy and "packed" in self.candidates else "direct"


def packed_weights_work() -> bool:
    """Whether oneDNN is there and switched on, and reads weights that were put in its order before."""
    return bool(torch.backends.mkldnn.enabled) and _mkldnn_works()  # type: ignore[attr-defined]


_mkldnn_works = functools.cache(mkldnn_works)


@dataclass
class PreparedWeight:
    """What was made from a weight, and how to see that the weight is still the same."""

    source: Tensor  # shares the weight's memory, so that no other tensor can take its place
    version: int
    sample: Tensor
    detail: object  # what else it was made for
    made: Any

    def holds_for(self, weight: Tensor) -> bool:
        same = (
            self.source.data_ptr() == weight.data_ptr()
            and self.source.shape == weight.shape
            and self.source.dtype == weight.dtype
            and self.source.device == weight.device
            and self.version == version_of(weight)
        )
        # Whoever writes through ``weight.data`` does not raise the version. Reading from a GPU would wait for it.
        return same and (weight.device.type != "cpu" or torch.equal(self.sample, sample_of(weight)))


def version_of(weight: Tensor) -> int:
    """How often a tensor was written to, as far as torch counts it."""
    return 0 if weight.is_inference() else weight._version


def sample_of(weight: Tensor) -> Tensor:
    """Some values from all over a tensor."""
    flat = weight.detach().flatten()
    return flat[:: max(1, flat.numel() // SAMPLED)].clone()


class PreparedWeights:
    """What is made from weights once and used for every picture. Never part of a state dictionary or of a copy."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], PreparedWeight] = {}

    def get(
        self, layer: str, purpose: str, weight: Tensor, make: Callable[[Tensor], Any], detail: object = None
    ) -> Any:
        """``make(weight)``, made anew only if the weight has changed, or the detail (one is kept for each purpose)."""
        entry = self._entries.get((layer, purpose))
        if entry is None or entry.detail != detail or not entry.holds_for(weight):
            with torch.no_grad():
                made = make(weight.detach())
                entry = PreparedWeight(weight.detach(), version_of(weight), sample_of(weight), detail, made)
            self._entries[layer, purpose] = entry
        return entry.made

    def forget(self) -> None:
        self._entries.clear()

    def __deepcopy__(self, memo: object) -> PreparedWeights:
        return PreparedWeights()

    def __reduce__(self) -> tuple[type[PreparedWeights], tuple[()]]:
        return PreparedWeights, ()


@dataclass
class Plan:
    """Algorithms by shape, where another than the default is used."""

    choices: dict[str, str] = field(default_factory=dict)

    def algorithm(self, shape: LayerShape) -> str:
        """The algorithm for a layer."""
        choice = self.choices.get(str(shape))
        return choice if choice in shape.candidates else shape.default

    def save(self, path: Path) -> None:
        """Write the plan to a file; that it cannot be written is no reason to stop."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(self.choices, indent=1, sort_keys=True).encode(), durable=False)
        except OSError:
            pass

    @classmethod
    def load(cls, path: Path) -> Plan | None:
        """Read a plan; None if there is none that can be read."""
        try:
            choices = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        if not isinstance(choices, dict) or not all(isinstance(choice, str) for choice in choices.values()):
            return None
        return cls(choices)


def machine() -> str:
    """What decides which algorithm is quickest: processor, its instructions, threads, torch."""
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {platform.processor()} {instructions} {torch.get_num_threads()} {torch.__version__}"


def ready(
    algorithm: str,
    layer: str,
    weight: Tensor,
    shape: LayerShape,
    modulation: Modulation,
    prepared: PreparedWeights,
    room: Workspace,
) -> Ready:
    """The convolution of a layer for one picture, by the algorithm named."""
    if algorithm == "direct":
        return (direct_same if shape.kind == "same" else direct_up)(weight, modulation)
    rows = min(shape.strip_rows, shape.height)
    if algorithm == "winograd":
        pack = packed_weights_work()
        made = prepared.get(layer, "winograd", weight, lambda tensor: winograd_weights(tensor, TILES, pack), pack)
        return winograd_same(made, modulation, room)
    size = (rows + 2, shape.width + 2) if shape.kind == "same" else (min(rows // 2 + 3, shape.height), shape.width)
    if shape.kind == "same":
        made = prepared.get(layer, "packed", weight, lambda tensor: pack_same(tensor, size), size)
        return packed_same(made, modulation)
    made = prepared.get(layer, "packed", weight, lambda tensor: pack_up(tensor, size), size)
    return packed_up(made, modulation)
