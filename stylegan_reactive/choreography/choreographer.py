# SPDX-License-Identifier: GPL-3.0-or-later
"""The choreographer: turns a patch and the values of a frame into the inputs of the network.

What it keeps between frames are pure caches, the latents of seeds and the white maps of noise knots: dropping them
changes the time that a frame takes and not one bit of the picture. So frames may come in any order, from anywhere in
the song, in any number of processes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from ..errors import PatchError
from .latents import frame_latents, seeded_z
from .noise import NoiseMaps, frame_noise, own_noise, rows_needed
from .patch import Patch
from .ranges import Shapes, latent_range, noise_range
from .signals import Values, envelope_at

if TYPE_CHECKING:
    from ..generator import Bend, Canvas, Generator, Rewrite

_LATENTS_KEPT = 1024  # 2 MB at 512 numbers each; more than any patch without animated seeds reads


class Network(Protocol):
    """What a choreographer needs to know of a generator (`stylegan_reactive.generator.load_generator` gives one)."""

    @property
    def z_dim(self) -> int: ...

    @property
    def c_dim(self) -> int: ...

    @property
    def num_ws(self) -> int: ...

    @property
    def noise_shapes(self) -> Shapes: ...

    @property
    def w_avg(self) -> torch.Tensor: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def mapping(self) -> Callable[..., torch.Tensor]: ...

    @property
    def synthesis(self) -> Any: ...  # its noise_constants[i], [h, w], is the saved noise of input i

    @property
    def tools(self) -> Any: ...  # a `stylegan_reactive.generator.toolbox.Toolbox`, where the patch asks for more


@dataclass(frozen=True)
class FrameInputs:
    """What the network gets in one frame, or in a batch of frames.

    Attributes
    ----------
    ws
        Latents, float32 [batch, num_ws, w_dim].
    noise
        One float32 [batch, 1, h, w] per noise input, or "const" for the network's own noise.
    bends, rewrites
        What is done to the network's layers and weights; what does nothing in these frames is left out.
    """

    ws: torch.Tensor
    noise: list[torch.Tensor] | str
    bends: tuple[Bend, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()

    def paint(self, generator: Generator, **options: Any) -> torch.Tensor:
        """The pictures, [batch, channels, h, w]; other arguments of ``generator.synthesis`` are options."""
        picture: torch.Tensor = generator.synthesis(
            self.ws, noise=self.noise, bends=self.bends, rewrites=self.rewrites, **options
        )
        return picture


class Choreographer:
    """Inputs of a network, frame by frame, for one patch.

    Parameters
    ----------
    patch
        The mapping. It is checked once more, as it may have been built in Python.
    generator
        The network; read, never changed.
    canvas
        Another size of the picture than the network's own, which must then be painted on the same canvas.

    Attributes
    ----------
    patch, generator, canvas
        As given.
    notes
        What of the patch could not be as it says in this network, and what is done instead: a sentence for each.

    Raises
    ------
    PatchError
        If the patch is not valid or names layers or resolutions that this network does not have.

    Example
    -------
    >>> choreographer = Choreographer(load_preset("kick_and_chords"), generator)
    >>> inputs = choreographer.inputs({"audio_bars": 3.25, "audio_kick": 0.8, ...})
    >>> picture = inputs.paint(generator)
    """

    def __init__(self, patch: Patch, generator: Network, canvas: Canvas | None = None) -> None:
        self.patch = Patch.from_json(patch.to_plain())
        self.generator = generator
        self.canvas = canvas
        self.notes: tuple[str, ...] = ()
        shapes = generator.noise_shapes if canvas is None else generator.synthesis.noise_shapes_on(canvas)
        self._noise_shapes = tuple((int(height), int(width)) for height, width in shapes)
        self._w_avg = generator.w_avg.detach().to(device="cpu", dtype=torch.float32)
        self._maps = NoiseMaps(self._noise_shapes, generator.device)
        self._latent_of = functools.lru_cache(maxsize=_LATENTS_KEPT)(self._map_seed)
        check_label(self.patch, generator)
        check_ranges(self.patch, generator.num_ws, self._noise_shapes)

    def inputs(self, values: Values) -> FrameInputs:
        """The network's inputs in the frame that has these values.

        Parameters
        ----------
        values
            Every envelope that the patch reads, by name, and overrides of any number of the patch by its dotted path.

        Raises
        ------
        PatchError
            If an envelope is missing, a path is unknown or a number is out of its range.
        """
        patch = self.patch.with_values(values)
        for name in patch.envelopes:  # a missing one shows in the first frame, not when its layer is first heard
            envelope_at(values, name)
        # Half as many again as this frame reads: the next knots do not push out those that are still needed.
        self._maps.capacity = rows_needed(patch) * 3 // 2
        with torch.no_grad():
            latent_of = functools.partial(self._latent_of, check_label(patch, self.generator))
            ws = frame_latents(patch, values, latent_of, self._w_avg, self.generator.num_ws, self._noise_shapes)
            noise = frame_noise(patch, values, self._maps, self._own_noise)
            return FrameInputs(ws.to(self.generator.device), noise)

    def batch(self, frames: Sequence[Values]) -> FrameInputs:
        """The network's inputs in several frames at once, in the order given; raises as `inputs` does."""
        each = [self.inputs(values) for values in frames]
        ws = torch.cat([one.ws for one in each])
        noise = [one.noise for one in each]
        if all(isinstance(maps, str) for maps in noise):
            return FrameInputs(ws, noise[0])
        own = range(len(self._noise_shapes))
        full = [[self._own_noise(i)[None, None] for i in own] if isinstance(maps, str) else maps for maps in noise]
        return FrameInputs(ws, [torch.cat(maps) for maps in zip(*full, strict=True)])

    def _map_seed(self, label: int | None, seed: int) -> torch.Tensor:
        """The w of a class and a seed, [w_dim]; one by one: in a batch, others could change the last bits."""
        z = seeded_z(seed, self.generator.z_dim).to(self.generator.device)
        c = None
        if label is not None:
            c = torch.zeros(1, self.generator.c_dim, device=z.device)
            c[0, label] = 1
        return self.generator.mapping(z, c)[0, 0].detach().to(device="cpu", dtype=torch.float32)

    def _own_noise(self, index: int) -> torch.Tensor:
        synthesis = self.generator.synthesis
        if self.canvas is None:
            constant = synthesis.noise_constants[index]
        else:
            constant = synthesis.noise_inputs("const", 1, self.canvas)[index]
        return own_noise(constant, index, self._noise_shapes[index])


def check_label(patch: Patch, generator: Network) -> int | None:
    """The class to paint, None for a network without classes; raises PatchError if it has no such class."""
    if not generator.c_dim:
        return None
    if patch.label >= generator.c_dim:
        raise PatchError(
            f"Patch, label (the class): found {patch.label}, but this network's classes are 0 to {generator.c_dim - 1}."
        )
    return patch.label


def check_ranges(patch: Patch, num_ws: int, noise_shapes: Shapes) -> None:
    """Raise PatchError if a layer that is on reaches nothing of this network."""
    for index, latent in enumerate(patch.latent_layers):
        if latent.enabled:
            latent_range(latent.range, num_ws, noise_shapes, f"latent_layers.{index}.range")
    for index, noise in enumerate(patch.noise_layers):
        if noise.enabled:
            noise_range(noise.range, noise_shapes, f"noise_layers.{index}.range")
