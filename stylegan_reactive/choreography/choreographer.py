# SPDX-License-Identifier: GPL-3.0-or-later
"""The choreographer: turns a patch and the values of a frame into the inputs of the network.

What it keeps between frames are pure caches, the latents of seeds and the white maps of noise knots: dropping them
changes the time that a frame takes and not one bit of the picture. So frames may come in any order, from anywhere in
the song, in any number of processes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from .bends import BendStack, Note, Progress
from .latent_bank import LatentBank
from .latents import frame_latents
from .noise import NoiseMaps, frame_noise, own_noise, rows_needed
from .patch import LatentLayer, Layer, Patch
from .ranges import Shapes, fitted_latents, fitted_noise, latent_range
from .rewrites import RewriteStack
from .signals import Values, envelope_at, envelopes_of

if TYPE_CHECKING:
    from ..generator import Bend, Canvas, Generator, Rewrite


class Network(Protocol):
    """What a choreographer needs to know of a generator (`stylegan_reactive.generator.load_generator` gives one)."""

    @property
    def z_dim(self) -> int: ...

    @property
    def c_dim(self) -> int: ...

    @property
    def w_dim(self) -> int: ...

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
    progress
        Is told a fraction and a text while something is found out about the network that takes long (clusters of
        channels, other weights); an exception from it cancels.

    Attributes
    ----------
    patch, generator, canvas
        As given.
    notes
        What of the patch could not be as it says in this network, and what is done instead: a sentence for each.

    Raises
    ------
    PatchError
        If the patch is not valid, or one of its files cannot be read or holds another kind of network.

    Example
    -------
    >>> choreographer = Choreographer(load_preset("kick_and_chords"), generator)
    >>> inputs = choreographer.inputs({"audio_bars": 3.25, "audio_kick": 0.8, ...})
    >>> picture = inputs.paint(generator)
    """

    def __init__(
        self, patch: Patch, generator: Network, canvas: Canvas | None = None, progress: Progress | None = None
    ) -> None:
        self.patch = Patch.from_json(patch.to_plain())
        self.generator = generator
        self.canvas = canvas
        self._own_shapes = _as_shapes(generator.noise_shapes)
        on_canvas = generator.noise_shapes if canvas is None else generator.synthesis.noise_shapes_on(canvas)
        self._noise_shapes = _as_shapes(on_canvas)
        self._w_avg = generator.w_avg.detach().to(device="cpu", dtype=torch.float32).numpy()
        picture = None if canvas is None else (canvas.height, canvas.width)
        self._maps = NoiseMaps(self._noise_shapes, generator.device, picture, self._own_shapes)
        self._latents = LatentBank(generator)
        self._bends = BendStack(generator.tools) if self.patch.bends else None
        self._rewrites = (
            RewriteStack(generator.tools, generator.num_ws, self._own_shapes) if self.patch.rewrites else None
        )
        self._always_read = envelopes_of(self.patch.truncation, self.patch.truncation_cutoff)
        self._read_by_layer = [envelopes_of(layer) for layer in self.patch.layers]
        self.notes = (*self._fitting_notes(), *self._prepared(progress))

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
        return self.batch([values])

    def batch(self, frames: Sequence[Values]) -> FrameInputs:
        """The network's inputs in several frames at once, in the order given; raises as `inputs` does.

        Latents and noise are those of the single frames to the last bit. Numbers of bends and rewrites are tensors
        [batch] where the frames differ.
        """
        patches = [self._patch_of(values) for values in frames]
        moments = list(zip(patches, frames, strict=True))
        with torch.no_grad():
            ws = torch.cat([self._ws(patch, values) for patch, values in moments]).to(self.generator.device)
            noise = self._together([self._noise(patch, values) for patch, values in moments])
            bends = self._bends.together([self._bends.at(*moment) for moment in moments]) if self._bends else ()
            rewrites = (
                self._rewrites.together([self._rewrites.at(*moment) for moment in moments]) if self._rewrites else ()
            )
        return FrameInputs(ws, noise, bends, rewrites)

    def _patch_of(self, values: Values) -> Patch:
        """The patch of one frame; a missing envelope shows at once, not when its layer is first heard."""
        patch = self.patch.with_values(values)
        for name in self._always_read:
            envelope_at(values, name)
        for layer, names in zip(patch.layers, self._read_by_layer, strict=True):
            for name in names if layer.enabled else ():
                envelope_at(values, name)
        return patch

    def _ws(self, patch: Patch, values: Values) -> torch.Tensor:
        """The latents of one frame, [1, num_ws, w_dim], on the CPU."""
        label = label_of(patch, self.generator)[0]
        return torch.from_numpy(frame_latents(patch, values, self._latents, self._w_avg, label, self._own_shapes))[None]

    def _noise(self, patch: Patch, values: Values) -> list[torch.Tensor] | str:
        """The noise of one frame."""
        # Half as many again as this frame reads: the next knots do not push out those that are still needed.
        self._maps.capacity = rows_needed(patch) * 3 // 2
        return frame_noise(patch, values, self._maps, self._own_noise)

    def _together(self, frames: list[list[torch.Tensor] | str]) -> list[torch.Tensor] | str:
        """The noise of a batch; frames with the network's own noise get it as maps where others have theirs."""
        if len(frames) == 1 or all(isinstance(maps, str) for maps in frames):
            return frames[0]
        own = range(len(self._noise_shapes))
        full = [[self._own_noise(i)[None, None] for i in own] if isinstance(maps, str) else maps for maps in frames]
        return [torch.cat(maps) for maps in zip(*full, strict=True)]

    def _fitting_notes(self) -> Iterator[str]:
        """What of the label and the ranges had to be adapted to this network."""
        _, note = label_of(self.patch, self.generator)
        if note:
            yield note
        for index, latent in enumerate(self.patch.latent_layers):
            fitted = fitted_latents(latent.range, self.generator.num_ws, self._own_shapes)
            if latent.enabled and fitted.note:
                yield f"{title('Latent layer', index, latent)}: {fitted.note}"
        if not self._own_shapes and any(noise.enabled for noise in self.patch.noise_layers):
            yield "Noise layers do nothing with this network: it has no noise."
            return
        for index, noise in enumerate(self.patch.noise_layers):
            fitted = fitted_noise(noise.range, self._own_shapes)
            if noise.enabled and fitted.note:
                yield f"{title('Noise layer', index, noise)}: {fitted.note}"

    def _prepared(self, progress: Progress | None) -> list[str]:
        """Look up all that takes long, so that no frame has to wait for it, and note what had to be adapted."""
        notes: list[str] = []
        work: list[tuple[str, Callable[[Note, Progress], object]]] = []
        for index, latent in enumerate(self.patch.latent_layers):
            if latent.enabled:
                work.append((title("Latent layer", index, latent), functools.partial(self._read, index, latent)))
        if self._bends is not None:
            for index, bend in enumerate(self.patch.bends):
                if bend.enabled:
                    work.append((title("Bend", index, bend), functools.partial(self._bends.place, index, bend)))
        if self._rewrites is not None:
            for index, rewrite in enumerate(self.patch.rewrites):
                if rewrite.enabled:
                    prepare = functools.partial(self._rewrites.deltas, index, rewrite)
                    work.append((title("Rewrite", index, rewrite), prepare))
        for number, (name, find) in enumerate(work):

            def note(text: str, name: str = name) -> None:
                notes.append(f"{name}: {text}")

            def tell(fraction: float, text: str, number: int = number, name: str = name) -> None:
                if progress is not None:
                    progress((number + fraction) / len(work), f"{name}: {text}")

            find(note, tell)
        return notes

    def _read(self, index: int, layer: LatentLayer, note: Note, progress: Progress) -> None:
        """Read the files of a latent layer, and find its direction."""
        reached = latent_range(layer.range, self.generator.num_ws, self._own_shapes)
        self._latents.prepare(layer.source, reached, f"latent_layers.{index}.source", note)

    def _own_noise(self, index: int) -> torch.Tensor:
        return own_noise(self._saved_noise[index], index, self._noise_shapes[index])

    @functools.cached_property
    def _saved_noise(self) -> Sequence[torch.Tensor | None]:
        """The network's own noise, laid out on the canvas if there is one."""
        synthesis = self.generator.synthesis
        found: Sequence[torch.Tensor | None]
        found = synthesis.noise_constants if self.canvas is None else synthesis.noise_inputs("const", 1, self.canvas)
        return found


def label_of(patch: Patch, generator: Network) -> tuple[int | None, str]:
    """The class to paint, None for a network without classes; and a note if it has no such class."""
    if not generator.c_dim:
        return None, ""
    last = generator.c_dim - 1
    if patch.label > last:
        return last, f"Class: this network has no class {patch.label}, only 0 to {last}; {last} is used instead."
    return patch.label, ""


def title(stack: str, index: int, layer: Layer) -> str:
    """How a layer is called where an artist reads it: ``Bend "Eyes"``, ``Bend 2``."""
    return f'{stack} "{layer.name}"' if layer.name else f"{stack} {index + 1}"


def _as_shapes(shapes: Sequence[Sequence[int]]) -> Shapes:
    return tuple((int(height), int(width)) for height, width in shapes)
