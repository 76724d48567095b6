# SPDX-License-Identifier: GPL-3.0-or-later
"""The channels of a layer, grouped by what they draw, so that an artist can bend "the eyes" alone.

After Broad, Leymarie and Grierson, "Network Bending", 2020, section 4.2, https://arxiv.org/abs/2005.12420: channels are
described by their feature maps over many pictures, and the descriptions are grouped by k-means. They train a network to
describe single maps; here channels are alike if they fire at the same places of the same pictures, which is their
correlation. It needs no training, and no memory but the table of correlations, however many pictures are looked at.

k-means: Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Generator
from .cluster_files import cluster_file, network_hash, read_entry, write_entry
from .keys import map_at
from .resampling import extend
from .seeds import folded_seed

MAP_SIZE = 16  # maps are compared at this height and width: finer ones differ in texture, not in what they draw
DIMENSIONS = 32  # of the description of a channel; what is beyond is noise
RESTARTS = 16  # of k-means
EXAMPLES = 16  # pictures from which those that are shown are chosen
PICTURE_SIZE = 256
TRUNCATION = 0.7  # the pictures that an artist will most likely see

Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Clusters:
    """The channels of a layer in groups.

    Attributes
    ----------
    layer : str
        Whose output they are.
    labels : tuple of int
        The cluster of each channel, from 0; a smaller number means at least as many channels.
    pictures : ndarray
        For each cluster a picture that fires it strongly, grey, with the places where it does in colours from red to
        yellow.  [count, h, w, 3], uint8
    """

    layer: str
    labels: tuple[int, ...]
    pictures: np.ndarray

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return len(self.pictures)

    def channels(self, number: int) -> tuple[int, ...]:
        """The channels of one cluster, as `bending.Channels` takes them."""
        if not 0 <= number < self.count:
            raise ValueError(f"there is no cluster {number} of layer {self.layer}: they are 0 to {self.count - 1}")
        return tuple(channel for channel, label in enumerate(self.labels) if label == number)


def find_clusters(
    generator: Generator,
    layer: str,
    count: int = 5,
    *,
    samples: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Clusters:
    """Group the channels of a layer.

    Parameters
    ----------
    generator : Generator
        Of any architecture.
    layer : str
        Of its `layer_names`.
    count : int
        How many clusters; fewer come back if fewer channels ever draw anything different.
    samples : int
        How many pictures to look at.
    seed : int
        Any whole number: of the pictures, and of the first guess of the clusters.
    progress : callable or None
        Called with a fraction and a text before each picture; an exception from it cancels.

    Raises
    ------
    ValueError
        If the layer does not exist, or a number is not possible.
    """
    check_layer(generator, layer)
    if samples < 1 or count < 1:
        raise ValueError(f"{count} clusters from {samples} samples: both have to be at least 1")
    tell = progress or (lambda fraction, text: None)
    with torch.no_grad():
        correlations = Correlations()
        examples: list[Tensor] = []  # the first maps, to choose the pictures from
        for index in range(samples):
            tell(0.9 * index / samples, f"Looking at picture {index + 1} of {samples}")
            maps = shrunk(inner_maps(generator, layer, seed, index), MAP_SIZE)
            if count > len(maps):
                raise ValueError(f"{count} clusters of layer {layer}: it has only {len(maps)} channels")
            correlations.add(maps)
            examples += [maps] if index < EXAMPLES else []
        labels = in_order_of_size(k_means(description(correlations.matrix), count, seed))
        pictures = draw(generator, layer, labels, correlations, examples, seed, tell)
    return Clusters(layer, tuple(labels.tolist()), pictures)


def load_or_find_clusters(
    generator: Generator,
    checkpoint_path: str | Path,
    layer: str,
    count: int = 5,
    *,
    samples: int = 64,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Clusters:
    """The same, kept in a file beside the network's, ``network.clusters.safetensors``, or in a folder of your choice.

    What is kept is found again by the weights of the network, the layer and the numbers. A file that is damaged or
    belongs to other weights is made anew; where none can be written, the result is just given.
    """
    identity = network_hash(generator)
    path = cluster_file(Path(checkpoint_path), None if folder is None else Path(folder), identity)
    key = f"{layer}/{count}/{samples}/{seed}"
    found = read_entry(path, identity, key, channel_count(generator, layer))
    if found is not None:
        return Clusters(layer, *found)
    clusters = find_clusters(generator, layer, count, samples=samples, seed=seed, progress=progress)
    write_entry(path, identity, key, clusters.labels, clusters.pictures)
    return clusters


def channel_count(generator: Generator, layer: str) -> int:
    """How many channels a layer gives."""
    check_layer(generator, layer)
    weight = getattr(dict(generator.synthesis.named_modules()).get(layer), "weight", None)
    if isinstance(weight, Tensor):
        return len(weight)
    with torch.no_grad():
        return map_at(generator, sample_ws(generator, 0, 0), layer, "output").shape[1]


def check_layer(generator: Generator, layer: str) -> None:
    """Raise a ValueError if there is no such layer."""
    if layer not in generator.layer_names:
        raise ValueError(f"clusters of layer {layer!r}: this network has the layers {', '.join(generator.layer_names)}")


def sample_ws(generator: Generator, seed: int, index: int) -> Tensor:
    """The ws of one of the pictures, the same on every device.  [1, num_ws, w_dim]"""
    random = np.random.default_rng([folded_seed(seed), index])
    z = torch.from_numpy(random.standard_normal((1, generator.z_dim), dtype=np.float32)).to(generator.device)
    c = None
    if generator.c_dim:
        c = F.one_hot(torch.tensor([int(random.integers(generator.c_dim))]), generator.c_dim)
        c = c.to(generator.device, torch.float32)
    return generator.mapping(z, c, truncation_psi=TRUNCATION)


def inner_maps(generator: Generator, layer: str, seed: int, index: int) -> Tensor:
    """The layer's maps for one of the pictures, without the rim (see `rim`).  [channels, h, w], float64 on the CPU"""
    maps = map_at(generator, sample_ws(generator, seed, index), layer, "output")[0].cpu().double()
    top, left = (rim(size, generator.synthesis.margin(layer)) for size in maps.shape[1:])
    return maps[:, top : maps.shape[1] - top, left : maps.shape[2] - left]


def rim(size: int, margin: int) -> int:
    """How many pixels at the border of a map are not looked at.

    Those beyond the picture; and the outermost of it, where convolutions meet the zeros around the map. What they make
    of these is so large and so alike in many channels that the frame of the picture would be found before anything
    that is in it.
    """
    inside = size - 2 * margin
    return margin + (max(1, inside // 16) if inside >= 8 else 0)


def shrunk(maps: Tensor, size: int) -> Tensor:
    """Feature maps with at most `size` pixels in height and in width.  [channels, h, w] -> [channels, h', w']"""
    return F.adaptive_avg_pool2d(maps, (min(size, maps.shape[1]), min(size, maps.shape[2])))


class Correlations:
    """Collects how much the channels have in common."""

    def __init__(self) -> None:
        self.places = 0
        self.sum = torch.zeros(0, dtype=torch.float64)  # [channels]
        self.products = torch.zeros(0, 0, dtype=torch.float64)  # [channels, channels]
        self.cubes = torch.zeros(0, dtype=torch.float64)  # [channels]

    def add(self, maps: Tensor) -> None:
        """Look at the maps [channels, h, w] of one more picture."""
        values = maps.flatten(1)
        if not self.places:
            self.sum = torch.zeros(len(values), dtype=torch.float64)
            self.products = torch.zeros(len(values), len(values), dtype=torch.float64)
            self.cubes = torch.zeros(len(values), dtype=torch.float64)
        self.places += values.shape[1]
        self.sum += values.sum(dim=1)
        self.products += values @ values.T
        self.cubes += values.pow(3).sum(dim=1)

    @property
    def mean(self) -> Tensor:
        """Of each channel.  [channels]"""
        return self.sum / self.places

    @property
    def deviation(self) -> Tensor:
        """Of each channel; that of one that never changes is 0.  [channels]"""
        power = self.products.diagonal() / self.places
        variance = power - self.mean.square()
        return torch.where(variance > 1e-9 * power, variance.clamp(min=0).sqrt(), 0.0)

    @property
    def scale(self) -> Tensor:
        """What makes the channels comparable: one over the deviation, with the sign of the side that draws.  [channels]

        What is rare is what is drawn: the side to which the values are skewed. A channel that is dark where another
        one is bright belongs to the same things.
        """
        power = self.products.diagonal() / self.places
        skew = self.cubes / self.places - 3 * self.mean * power + 2 * self.mean**3
        return torch.where(self.deviation > 0, torch.where(skew < 0, -1.0, 1.0) / self.deviation, 0.0)

    @property
    def matrix(self) -> Tensor:
        """The correlation of each channel with each.  [channels, channels]"""
        covariance = self.products / self.places - torch.outer(self.mean, self.mean)
        return covariance * torch.outer(self.scale, self.scale)

    def heat(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Where the clusters draw: the mean of their channels.  [channels, h, w] -> [clusters, h, w]"""
        members = F.one_hot(labels).double()
        members = members / members.sum(dim=0)
        comparable = (maps - self.mean[:, None, None]) * self.scale[:, None, None]
        return torch.einsum("ck,chw->khw", members, comparable)


def description(correlations: Tensor) -> Tensor:
    """Points whose inner products are the correlations, in few dimensions.  [channels, dimensions]"""
    values, vectors = torch.linalg.eigh(correlations)
    return (vectors * values.clamp(min=0).sqrt())[:, -DIMENSIONS:]


def k_means(points: Tensor, count: int, seed: int) -> Tensor:
    """The cluster of each point, 0 to `count` - 1: the closest of some attempts.  [points, dimensions] -> [points]"""
    random = np.random.default_rng(folded_seed(seed))
    best, least = torch.zeros(len(points), dtype=torch.long), float("inf")
    for _ in range(RESTARTS):
        centres = first_centres(points, count, random)
        labels = torch.full((len(points),), -1)
        for _ in range(100):
            distances = squared_distances(points, centres)
            moved = distances.argmin(dim=1)
            if bool((moved == labels).all()):
                break
            labels = moved
            members = F.one_hot(labels, len(centres)).double()
            sizes = members.sum(dim=0)[:, None]
            centres = torch.where(sizes > 0, (members.T @ points) / sizes.clamp(min=1), centres)
        error = float(distances.amin(dim=1).sum())
        if error < least * (1 - 1e-9):
            best, least = labels, error
    return best


def first_centres(points: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """k-means++: each next centre is a point drawn by its squared distance from those that there are."""
    chosen = [int(random.integers(len(points)))]
    while len(chosen) < count:
        weights = squared_distances(points, points[chosen]).amin(dim=1)
        weights[chosen] = 0
        if float(weights.sum()) <= 1e-12 * len(points):
            break  # all others lie on a centre already
        cumulated = weights.cumsum(dim=0)
        drawn = torch.searchsorted(cumulated, float(random.random()) * float(cumulated[-1]), right=True)
        chosen.append(min(int(drawn), len(points) - 1))
    return points[chosen]


def squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    """[points, dimensions] and [centres, dimensions] -> [points, centres]"""
    return (points[:, None] - centres[None]).square().sum(dim=2)


def in_order_of_size(labels: Tensor) -> Tensor:
    """The clusters numbered anew: the largest first, among equals that of the first channel."""
    found: list[int] = labels.unique().tolist()
    first = {label: int((labels == label).nonzero()[0]) for label in found}
    order = sorted(found, key=lambda label: (-int((labels == label).sum()), first[label]))
    return torch.tensor([order.index(label) for label in labels.tolist()])


def draw(
    generator: Generator,
    layer: str,
    labels: Tensor,
    correlations: Correlations,
    examples: list[Tensor],
    seed: int,
    tell: Progress,
) -> np.ndarray:
    """For each cluster the example in which it stands out most.  [count, h, w, 3], uint8"""
    # [examples, clusters, places]
    heats = torch.stack([correlations.heat(maps, labels).flatten(1) for maps in examples])
    strongest = heats.topk(max(1, heats.shape[2] // 10), dim=2).values.mean(dim=2)
    chosen: list[int] = strongest.argmax(dim=0).tolist()
    pictures: dict[int, Tensor] = {}
    result = []
    for number, index in enumerate(chosen):
        tell(0.9 + 0.1 * number / len(chosen), f"Drawing cluster {number + 1} of {len(chosen)}")
        if index not in pictures:
            pictures[index] = generator.synthesis(sample_ws(generator, seed, index)).cpu()
        heat = correlations.heat(inner_maps(generator, layer, seed, index), labels)[number]
        margin = generator.synthesis.margin(layer)
        top, left = (rim(size, margin) - margin for size in generator.synthesis.map_size(layer))
        heat = extend(extend(heat[None, None], 2, top, "reflect"), 3, left, "reflect")
        result.append(overlay(pictures[index], heat[0, 0]))
    return np.stack(result)


def overlay(picture: Tensor, heat: Tensor) -> np.ndarray:
    """A dim grey picture with its hot places in colours from red to yellow.

    [1, channels, h, w], about -1 to 1, and [h', w'] -> [h, w, 3], uint8; at most `PICTURE_SIZE` px.
    """
    factor = min(1.0, PICTURE_SIZE / max(picture.shape[-2:]))
    size = [max(1, round(side * factor)) for side in picture.shape[-2:]]
    small, heat = (
        F.interpolate(image, size=size, mode="bilinear", antialias=True, align_corners=False)[0]
        for image in (picture, heat[None, None].float())
    )
    grey = (small[:3].mean(dim=0) / 2 + 0.5).clamp(0, 1)[..., None]  # [h, w, 1]
    heat = heat[0]
    heat = (heat / heat.flatten().quantile(0.99).clamp(min=1e-6)).clamp(0, 1) ** 1.5
    fire = torch.stack([(3 * heat).clamp(0, 1), (2.2 * heat - 0.7).clamp(0, 1), (2 * heat - 1.6).clamp(0, 1)], dim=-1)
    colours = torch.lerp(0.55 * grey.expand(-1, -1, 3), fire * (0.7 + 0.3 * grey), heat[..., None])
    return (colours.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
