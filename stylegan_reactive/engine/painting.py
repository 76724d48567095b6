# SPDX-License-Identifier: GPL-3.0-or-later
"""From a patch and the values of a frame to a picture, in any shape, and quickly where a preview is enough.

A preview is the same picture with fewer pixels. Three ways to it are tried, once for each network and share of its
resolution: the maps of a middle layer are shrunk, so that all later layers paint a smaller picture; the network is
stopped early; or, where neither resembles the picture, it is painted whole and shrunk. Networks differ: one that adds
its colours in its last layer shows nothing when it is stopped, one with aliasing in its layers dislikes other scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from ..errors import PatchError, ReactiveError
from ..files import Stamp
from .machine import is_out_of_memory
from .pixels import resized, to_bytes

if TYPE_CHECKING:
    from ..choreography import Choreographer, Patch
    from ..generator import Canvas, Generator

VERSION = 2  # of the patches that are made here
MOST_STRETCHED = 8.0  # a canvas that is so many times as wide as high, or as high as wide, is refused
LIKE = 20.0 / 127.5  # mean difference of a preview that is taken for the picture; one of another latent has about 80
CLEARLY = 1.05  # a preview whose difference is so many times that of the best one is clearly worse


@dataclass(frozen=True)
class Way:
    """How a preview is painted: with a canvas that shrinks a middle layer, stopped early, or (neither) shrunk."""

    canvas: Canvas | None = None
    stop: int | None = None


WHOLE = Way()


@dataclass(eq=False)
class Network:
    """A network that was loaded, and the ways to its previews that were found."""

    generator: Generator
    identity: Stamp = ("", 0, 0, 0, 0)  # of its file: see `files.stamp`
    _ways: dict[float, Way] = field(default_factory=dict)

    def way(self, quality: float) -> Way:
        """The quickest way to a preview with this share of the network's resolution that resembles the picture."""
        if quality >= 1.0:
            return WHOLE
        if quality not in self._ways:
            self._ways[quality] = find_way(self.generator, quality)
        return self._ways[quality]


@dataclass(eq=False)
class HeldPatch:
    """A patch that was checked, and its choreographers by canvas."""

    patch: Patch
    network: Network
    _choreographers: dict[Canvas | None, Choreographer] = field(default_factory=dict)

    def on(self, canvas: Canvas | None, progress: Callable[[float, str], None] | None = None) -> Choreographer:
        """What gives the network's inputs for pictures on a canvas; `progress` is told of what takes long to find."""
        from ..choreography import Choreographer

        if canvas not in self._choreographers:
            if len(self._choreographers) > 2:  # the size is animated, or tried out
                del self._choreographers[next(iter(self._choreographers))]
            self._choreographers[canvas] = Choreographer(self.patch, self.network.generator, canvas, progress)
        return self._choreographers[canvas]


def small_size(generator: Generator, quality: float) -> tuple[int, int]:
    """Height and width of a network's preview."""
    height, width = generator.resolution
    return max(1, round(height * quality)), max(1, round(width * quality))


@torch.inference_mode()
def find_way(generator: Generator, quality: float) -> Way:
    """Try the ways to a preview of one latent, and choose: see the head of this file.

    Of the layers whose maps can be shrunk the first one, which leaves the most to be painted small, that is not clearly
    worse than the best of all.
    """
    from ..generator import Canvas

    height, width = small_size(generator, quality)
    z = torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(0)).to(generator.device)
    c = torch.eye(generator.c_dim, device=generator.device)[:1] if generator.c_dim else None
    ws = generator.mapping(z, c, truncation_psi=0.7)
    wanted = resized(generator.synthesis(ws), height, width)

    def difference(way: Way) -> float:
        try:
            picture = generator.synthesis(
                ws, noise=small_noise(generator, way.canvas), canvas=way.canvas, stop=way.stop
            )
        except (ValueError, RuntimeError) as fault:  # not with this architecture
            if is_out_of_memory(fault):
                raise
            return float("inf")
        found = float((resized(picture, height, width).clamp(-1, 1) - wanted.clamp(-1, 1)).abs().mean())
        return found if found == found else float("inf")

    ways = [
        Way(canvas=Canvas(width, height, layer, "stretch"))
        for layer in last_of_each_size(generator)
        if min(generator.synthesis.map_size(layer)) * quality >= 4
    ]
    ways.append(Way(stop=height))
    differences = [difference(way) for way in ways]
    best = min(differences)
    if best > LIKE:
        return WHOLE
    return next(way for way, found in zip(ways, differences, strict=True) if found <= best * CLEARLY)


def last_of_each_size(generator: Generator) -> list[str]:
    """The last layer of each size that a canvas can begin at, but for the last size: there nothing is left to save."""
    layers = {generator.synthesis.map_size(layer): layer for layer in generator.synthesis.canvas_layers}
    return list(layers.values())[:-1]


def small_noise(
    generator: Generator,
    small: Canvas | None,
    noise: str | list[torch.Tensor] = "const",
    canvas: Canvas | None = None,
) -> str | list[torch.Tensor]:
    """Noise for a canvas (None: the network's own size) as a smaller one takes it: averaged, as a small picture is."""
    if small is None:
        return noise
    if isinstance(noise, str):
        noise = [one for one in generator.synthesis.noise_inputs(noise, 1, canvas) if one is not None]
    shapes = generator.synthesis.noise_shapes_on(small)
    return [
        one if tuple(one.shape[-2:]) == shape else F.interpolate(one, size=shape, mode="bilinear", antialias=True)
        for one, shape in zip(noise, shapes, strict=True)
    ]


def canvas_for(generator: Generator, size: tuple[int, int]) -> Canvas | None:
    """The canvas on which a network paints a shape at its own scale: its picture, and what more there is around it.

    The canvas is the smallest of the wanted shape that holds the network's own picture; None where that has the shape.

    Raises
    ------
    PatchError
        The shape is too long.
    """
    from ..generator import Canvas

    width, height = size
    rows, columns = generator.resolution
    if max(width / height / (columns / rows), height / width / (rows / columns)) > MOST_STRETCHED:
        raise PatchError(
            f"The network cannot paint a picture of {width} x {height} pixels by itself, which is more than "
            f"{MOST_STRETCHED:.0f} times as long as its own. Choose another size, or let the picture be cropped."
        )
    scale = max(columns / width, rows / height)
    wide, high = max(columns, round(width * scale)), max(rows, round(height * scale))
    return None if (wide, high) == (columns, rows) else Canvas(wide, high, "input", "reflect")


@torch.inference_mode()
def paint(
    held: HeldPatch, values: Mapping[str, float], size: tuple[int, int], fit: str, quality: float
) -> torch.Tensor:
    """The picture of a frame, [1, channels, h, w], in the network's scale, not yet in the size asked for.

    Raises
    ------
    ReactiveError
        A value is missing or out of its range, or the picture is not one.
    """
    generator = held.network.generator
    canvas = canvas_for(generator, size) if fit == "canvas" else None
    inputs = held.on(canvas).inputs(values)
    way = held.network.way(quality)
    small = way.canvas
    if canvas is not None:
        can_shrink = small is not None and generator.synthesis.can_shrink
        way = Way(replace(canvas, shrink_at=small.layer, share=quality)) if small and can_shrink else WHOLE
        small = way.canvas
    picture = generator.synthesis(
        inputs.ws,
        noise=small_noise(generator, small, inputs.noise, canvas),
        bends=inputs.bends,
        rewrites=inputs.rewrites,
        canvas=small or canvas,
        stop=way.stop,
    )
    if not bool(torch.isfinite(picture).all()):
        raise ReactiveError(
            "The network's picture has values that are not numbers. A gain or an amplitude may be far too high."
        )
    if quality < 1.0 and way == WHOLE:
        rows, columns = picture.shape[-2:]
        picture = resized(picture, max(1, round(rows * quality)), max(1, round(columns * quality)))
    return picture


@torch.inference_mode()
def thumbnails(network: Network, label: int, latents: list[object], side: int) -> bytes:
    """Small pictures of latents, each as a latent layer over the whole network shows it.

    Returns
    -------
    bytes
        [latents, side, side, 4], sRGB with straight alpha, top row first.
    """
    from ..choreography import Choreographer, Patch, StaticLatent

    generator = network.generator
    height, width = generator.resolution
    quality = next((share for share in (0.25, 0.5) if min(height, width) * share >= side), 1.0)
    way = network.way(quality)
    noise = small_noise(generator, way.canvas)
    pictures = bytearray()
    for latent in latents:
        layer = {"name": "", "source": {"kind": StaticLatent.kind, "latents": [latent]}}
        patch = Patch.from_json({"version": VERSION, "label": label, "latent_layers": [layer]})
        ws = Choreographer(patch, generator).inputs({}).ws
        picture = generator.synthesis(ws, noise=noise, canvas=way.canvas, stop=way.stop)
        pictures += to_bytes(picture, (side, side)).cpu().numpy().tobytes()
    return bytes(pictures)
