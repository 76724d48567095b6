# SPDX-License-Identifier: GPL-3.0-or-later
"""What StyleGAN 1 and 2 have in common: one block for each resolution from 4 px on, ``b4``, ``b8``, ``b16``, ..."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from .base import SynthesisNetwork
from .mapping import MappingConfig


class BlockConfig:
    """Properties of a configuration with one number of channels for each resolution."""

    channels: tuple[int, ...]

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """4, 8, ..., resolution."""
        return tuple(4 << level for level in range(len(self.channels)))

    @property
    def num_ws(self) -> int:
        """Two for each resolution: StyleGAN 2 has one layer less at 4 px, but a w for its last colours."""
        return 2 * len(self.channels)


class BlockSynthesis(SynthesisNetwork):
    """A synthesis network made of blocks; `block_class` is called with channels in and out, config and resolution.

    Attributes
    ----------
    parts : tuple of str
        What a block may consist of, in the order of the work.
    """

    block_class: ClassVar[type[nn.Module]]
    parts: ClassVar[tuple[str, ...]]

    def __init__(self, config: Any) -> None:
        super().__init__()
        mapping: MappingConfig = config.mapping
        self.config = config
        self.num_ws, self.w_dim = config.num_ws, mapping.w_dim
        self.size = (config.resolution, config.resolution)
        channels_in = 0
        for resolution, channels_out in zip(config.block_resolutions, config.channels, strict=True):
            self.add_module(f"b{resolution}", self.block_class(channels_in, channels_out, config, resolution))
            channels_in = channels_out

    @property
    def blocks(self) -> tuple[Any, ...]:
        """The blocks from 4 px to the full size."""
        return tuple(self.get_submodule(f"b{r}") for r in self.config.block_resolutions)

    @property
    def layer_names(self) -> tuple[str, ...]:
        names = ["input"]
        for resolution, block in zip(self.config.block_resolutions, self.blocks, strict=True):
            names += [f"b{resolution}.{part}" for part in self.parts if hasattr(block, part)]
        return tuple(names)

    def map_size(self, layer: str) -> tuple[int, int]:
        size = 4 if layer == "input" else int(layer[1 : layer.index(".")])
        return size, size
