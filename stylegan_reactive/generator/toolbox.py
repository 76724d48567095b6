# SPDX-License-Identifier: GPL-3.0-or-later
"""What a patch asks of a network: which layer is meant, which channels belong together, which weights another one has.

The choreography knows no network from within; it asks ``generator.tools``. Answers that take long to find are kept:
they depend on nothing but the network and the question.
"""

from __future__ import annotations

import functools
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ..errors import CheckpointError
from ..files import stamp
from .base import Generator
from .bending import Bend, Channels
from .checkpoint import load_generator
from .clusters import Clusters, Progress, channel_count, find_clusters, load_or_find_clusters, sample_ws
from .directions import sefa
from .editing import seeded_direction
from .keys import map_at
from .latent_files import load_directions, load_latents
from .rewriting import Rewrite, from_network, load_deltas, weighted_layers

MOST_BYTES = 1 << 30  # of deltas: two whole networks of 1024 px and many edits; as much again of files of latents
_RANGES_KEPT = 32  # of layers, for which SeFa's directions are known
_SIZE = re.compile(r"\s*(\d{1,5})\s*px\s*")
# Names of layers, and how many pixels wide the picture is there: b64.conv1 of NVIDIA's, L5_148_512 of a StyleGAN 3 (as
# a rule with ten pixels beyond each border), blocks.3.conv1 of lucidrains' (4 px, doubled by each block).
_NAMES = (
    (re.compile(r"b(\d{1,5})\..*"), lambda number: number),
    (re.compile(r"L\d+_(\d{1,5})_\d+"), lambda number: number - 20 if number & (number - 1) else number),
    (re.compile(r"blocks\.(\d)\..*"), lambda number: 4 << number),
    (re.compile(r"(?:input|initial_conv)()"), lambda number: 4),
)


@dataclass(frozen=True)
class FoundLayer:
    """The layer that a patch means.

    Attributes
    ----------
    name
        Of the generator's `layer_names`.
    size
        Width or height of the picture there, whichever is larger, in pixels.
    exact
        Whether it is what was asked for, and not only the nearest to it.
    """

    name: str
    size: int
    exact: bool


class Toolbox:
    """Questions to one network.

    Parameters
    ----------
    generator
        The network; read, never changed.
    """

    bend = Bend
    channels = Channels
    rewrite = Rewrite

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self._clusters: dict[tuple[str, int], Clusters] = {}
        self._channel_counts: dict[tuple[str, str], int] = {}
        self._deltas = Tensors(MOST_BYTES)
        self._files = Tensors(MOST_BYTES)
        self._sefa = functools.lru_cache(maxsize=_RANGES_KEPT)(self._find_directions)

    # Latents

    def latents(self, file: str, space: str) -> Tensor:
        """The latents of a file (see `latent_files.load_latents`), on the CPU; read again only if it has changed."""
        key = ("latents", space, stamp(file))
        return self._files.get_or_make(key, lambda: {"rows": load_latents(file, space, self.generator)})["rows"]

    def directions(self, file: str) -> Tensor:
        """The directions of a file, [count, 1 or layers, w_dim], on the CPU; read again only if it has changed."""
        key = ("directions", stamp(file))
        return self._files.get_or_make(key, lambda: {"rows": load_directions(file, self.generator)})["rows"]

    def sefa(self, first: int, last: int) -> Tensor:
        """SeFa's directions for a range of layers (see `directions.sefa`), the strongest first, on the CPU.

        [w_dim, w_dim], each as long as the standard deviation of w along it.
        """
        directions: Tensor = self._sefa(first, last)
        return directions

    def _find_directions(self, first: int, last: int) -> Tensor:
        found = sefa(self.generator, first, last)
        return (found.vectors * found.spread[:, None]).cpu()

    # Layers

    def size(self, layer: str) -> int:
        """How large the picture is at a layer, without what lies beyond its border: the longer side in pixels."""
        synthesis = self.generator.synthesis
        return max(synthesis.map_size(layer)) - 2 * synthesis.margin(layer)

    @cached_property
    def weighted_layers(self) -> tuple[str, ...]:
        """The layers whose weights can be rewritten, in the order of their work."""
        return weighted_layers(self.generator)

    @cached_property
    def ws_sizes(self) -> tuple[int, ...]:
        """For each of ws, how large the picture is at the last layer that reads it and paints features, in pixels."""
        sizes: dict[int, int] = {}
        readers = sorted(self.generator.synthesis.styles.items(), key=lambda item: not _is_colour(item[0]))
        for layer, (_, index) in readers:  # colours first, so that what paints features has the last word
            sizes[index] = self.size(layer)
        found: list[int] = []
        for index in range(self.generator.num_ws):
            found.append(sizes.get(index, found[-1] if found else self.size("input")))
        return tuple(found)

    @cached_property
    def ws_of_weights(self) -> tuple[int, ...]:
        """For each of `weighted_layers` the index of the w that it reads; of one without style, what the next reads."""
        found: list[int] = []
        index = self.generator.num_ws - 1
        for layer in reversed(self.weighted_layers):
            index = self.generator.synthesis.styles.get(layer, (None, index))[1]
            found.append(index)
        return tuple(reversed(found))

    def reads(self, layer: str) -> bool:
        """Whether a layer reads a map that could be bent: a learned constant reads nothing."""
        return layer != "input" or layer in self.generator.synthesis.weighted_layers

    def layer_before(self, layer: str) -> str:
        """The layer that painted what this one reads; "input" for the first."""
        names = self.generator.layer_names
        before = [name for name in names[: names.index(layer)] if name in self.generator.synthesis.canvas_layers]
        return before[-1] if before else "input"

    def find_layer(self, wanted: str, *, weighted: bool = False) -> FoundLayer | None:
        """The layer of a name or of a size such as "16 px"; the nearest in size, where the network lacks it.

        A size is the last layer of it that paints features. None: `wanted` is neither a name nor a size.

        Parameters
        ----------
        weighted
            Whether it must be a layer with a weight.
        """
        possible = [name for name in self.generator.layer_names if not weighted or name in self.weighted_layers]
        if wanted in possible:
            return FoundLayer(wanted, self.size(wanted), True)
        by_size = _SIZE.fullmatch(wanted)
        size = int(by_size[1]) if by_size else _size_in_name(wanted)
        if not size:
            return None
        colours = [name for name in possible if _is_colour(name) and _is_colour(wanted)]
        painting = [name for name in possible if name in self.generator.synthesis.canvas_layers and name != "input"]

        def unlike(name: str) -> tuple[float, int, bool]:
            here = self.size(name)
            return abs(math.log2(here / size)), -here, name not in colours

        nearest = min(reversed(painting + colours), key=unlike)  # of those that are equally near the last
        found = self.size(nearest)
        return FoundLayer(nearest, found, bool(by_size) and found == size)

    def channel_count(self, layer: str, side: str = "output") -> int:
        """How many channels a layer reads ("input") or gives ("output")."""
        key = (layer, side)
        if key not in self._channel_counts:
            if side == "output":
                self._channel_counts[key] = channel_count(self.generator, layer)
            else:
                self._channel_counts[key] = map_at(self.generator, sample_ws(self.generator, 0, 0), layer, side).shape[
                    1
                ]
        return self._channel_counts[key]

    def clusters(self, layer: str, count: int, progress: Progress | None = None) -> Clusters:
        """The channels that a layer gives, grouped by what they draw (see `clusters`); found once.

        They are kept in the generator's `cache_folder`, if it has one, also for later processes.
        """
        key = (layer, count)
        if key not in self._clusters:
            checkpoint, folder = self.generator.checkpoint, self.generator.cache_folder
            if checkpoint is None or folder is None:
                found = find_clusters(self.generator, layer, count, progress=progress)
            else:
                found = load_or_find_clusters(
                    self.generator, checkpoint, layer, count, folder=folder, progress=progress
                )
            self._clusters[key] = found
        return self._clusters[key]

    # Other weights

    def network_deltas(self, file: str) -> Mapping[str, Tensor]:
        """What has to be added to each layer's weights to get those of another network; layer to delta.

        Raises
        ------
        CheckpointError
            If the file cannot be read, or holds no network of this kind and shape; it names both files.
        """

        def find() -> dict[str, Tensor]:
            other = load_generator(file)
            try:
                return from_network(self.generator, other)
            except CheckpointError as error:
                raise CheckpointError(f"{error} (First: {self._file}. Second: {file}.)") from error

        return self._deltas.get_or_make(("network", stamp(file)), find)

    def saved_deltas(self, file: str) -> Mapping[str, Tensor]:
        """The edit that a file holds (see `rewriting.save_deltas`); layer to delta.

        Raises
        ------
        CheckpointError
            If the file cannot be read, or was made for a network of another shape; it names both files.
        """

        def find() -> dict[str, Tensor]:
            try:
                return load_deltas(file, self.generator)
            except CheckpointError as error:
                raise CheckpointError(f"{error} (The network: {self._file}.)") from error

        return self._deltas.get_or_make(("file", stamp(file)), find)

    def seeded_deltas(self, layer: str, seed: int, rank: int) -> Mapping[str, Tensor]:
        """A random edit of one layer (see `editing.seeded_direction`); that layer to its delta."""
        return self._deltas.get_or_make(
            ("seeded", layer, seed, rank), lambda: {layer: seeded_direction(self.generator, layer, seed, rank)}
        )

    @property
    def _file(self) -> str:
        return str(self.generator.checkpoint or "a network that was not read from a file")


class Tensors:
    """A cache of tensors by name that forgets the oldest when they take more memory than it may; the newest stays.

    Parameters
    ----------
    most_bytes
        How much memory.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, Mapping[str, Tensor]] = OrderedDict()

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return sum(tensor.nbytes for tensors in self._kept.values() for tensor in tensors.values())

    def get_or_make(self, key: Hashable, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """The tensors of a key, made where they are not there."""
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > 1 and self.size > self.most_bytes:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _is_colour(layer: str) -> bool:
    return layer.endswith("torgb")


def _size_in_name(name: str) -> int:
    """The size of the picture at a layer of this name, whichever network it is of; 0 if no network has such names."""
    for pattern, size in _NAMES:
        match = pattern.fullmatch(name)
        if match is not None:
            return max(1, size(int(match[1] or 0)))
    return 0
