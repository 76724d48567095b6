# SPDX-License-Identifier: GPL-3.0-or-later
"""What every generator is: a mapping network, a synthesis network, and the same way of asking for a picture.

``synthesis(mapping(z))`` is a picture of about -1 to 1. All else (one w per layer, noise, bends, rewrites, another
size, a quick preview) is an argument of that one call, and nothing that one call does is felt by the next.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from .canvas import Canvas, lay_out
from .controls import Bend, Controls, Rewrite
from .layers import FullyConnected
from .mapping import MappingNetwork

if TYPE_CHECKING:
    from .toolbox import Toolbox

Noise = str | Sequence[Tensor | None]
HALF_LEVELS = 4  # at most so many of the highest resolutions are painted in half precision, as published


class SynthesisNetwork(nn.Module):
    """ws and noise to a picture. An architecture gives names, sizes and `paint`; the arguments are checked here."""

    num_ws: int
    w_dim: int
    size: tuple[int, int]  # of the picture, height and width
    # `execution.prepare` sets these: the precision of the highest resolutions (None: that of the weights), and of how
    # many of them.
    half_dtype: torch.dtype | None = None
    half_levels: int = HALF_LEVELS
    can_shrink: ClassVar[bool] = True  # whether a canvas may have a `shrink_at`

    @property
    @abstractmethod
    def layer_names(self) -> tuple[str, ...]:
        """Where maps can be read, bent or laid out on a canvas, in the order of their work; "input" comes first."""

    @property
    @abstractmethod
    def noise_constants(self) -> tuple[Tensor, ...]:
        """The checkpoint's own noise for each noise input, each [h, w]; empty where the architecture has none."""

    @property
    def half_from(self) -> int:
        """The lowest resolution that is painted in half precision, if any is; never the first, at 4 px."""
        return max(2 * self.size[0] >> self.half_levels, 8)

    def in_half(self, resolution: float) -> bool:
        """Whether maps of so many pixels per width of the picture are painted in half precision.

        Not if a gradient is asked for: divided among a million pixels, it would be smaller than float16 can hold.
        """
        return self.half_dtype is not None and resolution >= self.half_from and not torch.is_grad_enabled()

    @property
    def canvas_layers(self) -> tuple[str, ...]:
        """The layers whose outputs can be laid out on a canvas: all that others of them follow."""
        return tuple(name for name in self.layer_names if not name.endswith(("torgb", "skip")))

    @property
    def weighted_layers(self) -> tuple[str, ...]:
        """The layers that have one weight, which can be rewritten, in the order of their work."""
        modules = dict(self.named_modules())
        return tuple(
            name for name in self.layer_names if isinstance(getattr(modules.get(name), "weight", None), Tensor)
        )

    @property
    def styles(self) -> dict[str, tuple[FullyConnected, int]]:
        """For each layer that has a style: the linear layer that makes it of a w, and the number of that w.

        This is the published arrangement: every layer reads a w of its own through its submodule ``affine``, only a
        ``torgb`` shares that of the layer that follows.
        """
        modules = dict(self.named_modules())
        styles: dict[str, tuple[FullyConnected, int]] = {}
        index = 0
        for layer in self.layer_names:
            affine = getattr(modules.get(layer), "affine", None)
            if isinstance(affine, FullyConnected):
                styles[layer] = affine, index
                index += not layer.endswith("torgb")
        return styles

    def modulation(self, layer: str, ws: Tensor) -> Tensor | None:
        """What the channels of a layer's input are multiplied with before its convolution, or None.

        [batch, num_ws, w_dim] -> [batch, channels]. An architecture whose styles work on what a layer gives has None.
        """
        if layer not in self.styles:
            return None
        affine, index = self.styles[layer]
        return affine(ws[:, index])

    @abstractmethod
    def map_size(self, layer: str) -> tuple[int, int]:
        """Height and width of a layer's output, without a canvas."""

    def margin(self, layer: str) -> int:
        """How many pixels of a layer's output lie beyond each border of the picture (StyleGAN 3 has some)."""
        return 0

    def margins(self) -> dict[tuple[str, str], int]:
        """The margin of what each layer gives, and of what it reads: that is what the layer before it gave."""
        names = self.layer_names
        given = {(name, "output"): self.margin(name) for name in names}
        return given | {(name, "input"): self.margin(names[max(0, index - 1)]) for index, name in enumerate(names)}

    @abstractmethod
    def noise_layer(self, index: int) -> str:
        """The layer that reads a noise input."""

    @abstractmethod
    def paint(
        self,
        ws: Tensor,
        noise: list[Tensor | None],
        controls: Controls,
        canvas: Canvas | None,
        stop: int | None,
        transform: Tensor | None,
    ) -> Tensor:
        """The picture of arguments that are known to be good; a canvas is not yet cut to its size.

        noise has one tensor [batch or 1, 1, h, w] for each noise input, or None where none is to be added.
        """

    def forward(
        self,
        ws: Tensor,
        noise: Noise = "const",
        bends: Sequence[Bend] = (),
        *,
        rewrites: Sequence[Rewrite] = (),
        canvas: Canvas | None = None,
        stop: int | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Paint pictures.

        Parameters
        ----------
        ws : Tensor
            [batch, num_ws, w_dim], float32; other floating-point numbers are taken as that. If it requires a gradient,
            so does the picture; else nothing is recorded.
        noise : "const", "none" or list
            The checkpoint's own noise, none, or a list with one tensor [batch or 1, 1, h, w] per noise input, of the
            shapes `noise_shapes_on` gives, where None stands for the checkpoint's own.
        bends, rewrites : sequence
            Changes of feature maps and of weights (`generator.bending`, `generator.rewriting`), in order.
        canvas : Canvas or None
            Another size than the network's own.
        stop : int or None
            Give the picture as it is at this lower resolution: quick, and less detailed than a reduced full picture.
        transform : Tensor or None
            StyleGAN 3 only: [3, 3] or [batch, 3, 3], moves and turns the whole picture.

        Returns
        -------
        Tensor
            [batch, channels, h, w], float32, about -1 to 1; may be changed in place.

        Raises
        ------
        ValueError
            For an argument of another shape, or one that this architecture cannot use.
        """
        return self.run(ws, noise, Controls(self.layer_names, bends, rewrites), canvas, stop, transform)

    def run(
        self,
        ws: Tensor,
        noise: Noise,
        controls: Controls,
        canvas: Canvas | None = None,
        stop: int | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """`forward` with the controls ready made, so that their features can be read afterwards."""
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim) or not len(ws):
            raise ValueError(f"ws has shape {list(ws.shape)}, not [batch, {self.num_ws}, {self.w_dim}]")
        if ws.is_floating_point():
            ws = ws.to(next(self.parameters()).dtype)
        if canvas is not None:
            if canvas.layer not in self.canvas_layers:
                raise ValueError(f"a canvas at layer {canvas.layer!r}: it can be at {', '.join(self.canvas_layers)}")
            if stop is not None:
                raise ValueError("a canvas and an early stop cannot be had at once")
            if canvas.shrink_at is not None and not (self.can_shrink and canvas.shrink_at in self.canvas_layers):
                raise ValueError(f"a canvas cannot be shrunk at layer {canvas.shrink_at!r} of this network")
        controls.check_batch(len(ws))
        known = self.weighted_layers if controls.rewrites else ()
        for layer in controls.rewrites:
            if layer not in known:
                raise ValueError(f"a rewrite of layer {layer!r}: the layers with a weight are {', '.join(known)}")
        if ("input", "input") in controls.bends and "input" not in self.weighted_layers:
            raise ValueError(
                'a bend at the input side of "input": the learned constant reads nothing; use side "output"'
            )
        if len(ws) > 1 and controls.weights_differ:
            return self.run_one_by_one(ws, noise, controls, canvas, stop, transform)
        controls.margins = self.margins() if controls.bends else {}
        with torch.set_grad_enabled(ws.requires_grad and torch.is_grad_enabled()):
            maps = self.noise_inputs(noise, len(ws), canvas)
            picture = self.paint(ws, maps, controls, canvas, stop, transform)
            if canvas is not None:
                picture = canvas.crop(picture)
            return picture.float().contiguous()

    def run_one_by_one(
        self,
        ws: Tensor,
        noise: Noise,
        controls: Controls,
        canvas: Canvas | None,
        stop: int | None,
        transform: Tensor | None,
    ) -> Tensor:
        """`run` for a batch whose samples use different weights."""
        pictures, features = [], []
        for index in range(len(ws)):
            alone = controls.sample(index)
            maps: Noise = noise
            if not isinstance(noise, str):
                maps = [m if m is None or len(m) == 1 else m[index : index + 1] for m in noise]
            turned = transform if transform is None or transform.ndim == 2 else transform[index : index + 1]
            pictures.append(self.run(ws[index : index + 1], maps, alone, canvas, stop, turned))
            features.append(alone.features)
        for layer in features[0]:
            controls.features[layer] = torch.cat([kept[layer] for kept in features])
        return torch.cat(pictures)

    def laid_out(self, layer: str, x: Tensor, canvas: Canvas | None) -> Tensor:
        """A layer's output, on the canvas if it begins at this layer."""
        if canvas is not None and canvas.layer == layer:
            x = lay_out(x, canvas.grid(self.map_size(layer), self.size), canvas.mode)
        if canvas is not None and canvas.shrink_at == layer:
            x = lay_out(x, canvas.shrunk((x.shape[-2], x.shape[-1])), "stretch")
        return x

    def fitted(self, x: Tensor, like: Tensor, canvas: Canvas | None) -> Tensor:
        """A map that goes around the layer at which the canvas begins, in the size of the one that went through."""
        if canvas is None:
            return x
        return lay_out(x, (like.shape[-2], like.shape[-1]), "stretch" if canvas.shrink_at else canvas.mode)

    def noise_shapes_on(self, canvas: Canvas | None) -> tuple[tuple[int, int], ...]:
        """Height and width of each noise input for pictures on this canvas."""
        sizes = []
        for index, own in enumerate(self.noise_constants):
            height, width = int(own.shape[0]), int(own.shape[1])
            if canvas is not None and self.follows(self.noise_layer(index), canvas.layer):
                rows, columns = canvas.grid(self.map_size(canvas.layer), self.size)
                base = self.map_size(canvas.layer)
                height, width = height // base[0] * rows, width // base[1] * columns
                if canvas.shrink_at is not None and self.follows(self.noise_layer(index), canvas.shrink_at):
                    here = self.map_size(canvas.shrink_at)
                    before = (here[0] // base[0] * rows, here[1] // base[1] * columns)
                    after = canvas.shrunk(before)
                    height, width = height // before[0] * after[0], width // before[1] * after[1]
            sizes.append((height, width))
        return tuple(sizes)

    def follows(self, layer: str, other: str) -> bool:
        """Whether a layer comes after another one."""
        return self.layer_names.index(layer) > self.layer_names.index(other)

    def noise_inputs(self, noise: Noise, batch: int, canvas: Canvas | None) -> list[Tensor | None]:
        """One tensor [batch or 1, 1, h, w] per noise input, or None where no noise is to be added."""
        own = self.noise_constants
        if isinstance(noise, str):
            if noise == "none":
                return [None] * len(own)
            if noise != "const":
                raise ValueError(f'noise is {noise!r}; it can be "const", "none" or a list of tensors')
            noise = [None] * len(own)
        if len(noise) != len(own):
            raise ValueError(f"noise has {len(noise)} tensors; this generator has {len(own)} noise inputs")
        inputs: list[Tensor | None] = []
        for index, (tensor, constant, size) in enumerate(zip(noise, own, self.noise_shapes_on(canvas), strict=True)):
            if tensor is None:  # repeated on a canvas: stretching would change its grain
                tensor = lay_out(constant[None, None], size, "tile")
            elif tensor.ndim != 4 or tensor.shape[1:] != (1, *size) or tensor.shape[0] not in (1, batch):
                raise ValueError(
                    f"noise {index} has shape {list(tensor.shape)}, not [1 or {batch}, 1, {size[0]}, {size[1]}]"
                )
            inputs.append(tensor)
        return inputs


class Generator(nn.Module):
    """A mapping and a synthesis network, and what one has to know about them."""

    architecture: ClassVar[str]
    config_class: ClassVar[type]
    synthesis_class: ClassVar[type[SynthesisNetwork]]
    mapping: MappingNetwork
    synthesis: SynthesisNetwork
    config: Any  # of `config_class`; all have `mapping`, `num_ws` and `img_channels`
    # `load_generator` sets these: the network's file, and where what is found out about it may be kept (None: nowhere).
    checkpoint: Path | None = None
    cache_folder: Path | None = None

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config.mapping, config.num_ws)
        self.synthesis = self.synthesis_class(config)
        self.requires_grad_(False)

    @property
    def z_dim(self) -> int:
        return self.mapping.config.z_dim

    @property
    def c_dim(self) -> int:
        """Number of classes, 0 without."""
        return self.mapping.config.c_dim

    @property
    def w_dim(self) -> int:
        return self.mapping.config.w_dim

    @property
    def num_ws(self) -> int:
        """How many w a picture takes: one per layer."""
        return self.synthesis.num_ws

    @property
    def img_channels(self) -> int:
        """3 for colours, 4 with transparency, 1 for grey."""
        channels: int = self.config.img_channels
        return channels

    @property
    def resolution(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        return self.synthesis.size

    @property
    def w_avg(self) -> Tensor:
        """The average w, which truncation pulls towards.  [w_dim]"""
        return self.mapping.w_avg

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each noise input, in order."""
        return self.synthesis.noise_shapes_on(None)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The layers that can be read, bent or laid out on a canvas."""
        return self.synthesis.layer_names

    @property
    def device(self) -> torch.device:
        return self.mapping.w_avg.device

    @cached_property
    def tools(self) -> Toolbox:
        """What a patch asks of this network: layers by their size, clusters, bends, other weights (`toolbox`)."""
        from .toolbox import Toolbox  # which knows the rooms that are built on this one

        return Toolbox(self)

    def features(
        self, ws: Tensor, noise: Noise = "const", names: Collection[str] | None = None, **options: Any
    ) -> dict[str, Tensor]:
        """What inner layers give while a picture is painted.

        Parameters
        ----------
        ws, noise
            As for ``synthesis``, whose other arguments (`bends`, `rewrites`, `canvas`, ...) are options.
        names : collection of str or None
            Layers, of `layer_names`; None: all of them.

        Returns
        -------
        dict
            Layer to its output [batch, channels, h, w], float32, before anything is joined to it (``torgb`` gives
            the colours of its own resolution alone).
        """
        bends, rewrites = options.pop("bends", ()), options.pop("rewrites", ())
        keep = self.layer_names if names is None else names
        controls = Controls(self.layer_names, bends, rewrites, keep)
        self.synthesis.run(ws, noise, controls, **options)
        return controls.features
