# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a network's layers while it paints one picture: bends, rewrites, and reading its inner features.

A network calls `enter` with what a layer is about to read, `leave` with what it gave, and `weight` for the weights that
it uses. Nothing is ever changed in the network itself, so nothing has to be restored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from torch import Tensor


class Bend(Protocol):
    """A change of a feature map at one side of a layer; `generator.bending.Bend` is one."""

    @property
    def layer(self) -> str: ...
    @property
    def side(self) -> str: ...  # "input" or "output"
    # [batch, channels, h, w] -> the same shape; x is not changed. margin: pixels of the map beyond the picture's border
    def __call__(self, x: Tensor, margin: int = 0) -> Tensor: ...
    def sample(self, index: int) -> Bend: ...  # the same for one sample of the batch


class Rewrite(Protocol):
    """A change of a layer's weights; `generator.rewriting.Rewrite` is one."""

    @property
    def layer(self) -> str: ...
    @property
    def differs(self) -> bool: ...  # whether the samples of a batch have amounts of their own
    @property
    def idle(self) -> bool: ...  # whether it changes nothing now, so that what was prepared from the weights holds
    def __call__(self, weight: Tensor) -> Tensor: ...  # the shape of the weight; weight is not changed
    def sample(self, index: int) -> Rewrite: ...  # the same for one sample of the batch


def check_lengths(lengths: Mapping[str, int], batch: int) -> None:
    """Raise a ValueError for what has neither one value nor one for each sample of a batch."""
    for what, length in lengths.items():
        if length not in (1, batch):
            raise ValueError(f"{what} has {length} values for a batch of {batch}")


class Controls:
    """The bends and rewrites of one picture, by layer, and the features that are to be kept.

    Parameters
    ----------
    layer_names : collection of str
        The layers that the network has.
    bends, rewrites : sequence
        Applied in this order.
    keep : collection of str
        Layers whose outputs, bends included, are to be found in `features` afterwards.

    Raises
    ------
    ValueError
        If a layer is named that does not exist.
    """

    def __init__(
        self,
        layer_names: Collection[str],
        bends: Sequence[Bend] = (),
        rewrites: Sequence[Rewrite] = (),
        keep: Collection[str] = (),
    ) -> None:
        self.layer_names = layer_names
        for what, names in (
            ("a bend", [bend.layer for bend in bends]),
            ("a rewrite", [rewrite.layer for rewrite in rewrites]),
            ("features", list(keep)),
        ):
            for name in names:
                if name not in layer_names:
                    raise ValueError(f"{what} of layer {name!r}: this network has the layers {', '.join(layer_names)}")
        self.bends: dict[tuple[str, str], list[Bend]] = {}
        for bend in bends:
            self.bends.setdefault((bend.layer, bend.side), []).append(bend)
        self.rewrites: dict[str, list[Rewrite]] = {}
        for rewrite in rewrites:
            if rewrite.idle:
                continue
            self.rewrites.setdefault(rewrite.layer, []).append(rewrite)
        self.keep = frozenset(keep)
        self.features: dict[str, Tensor] = {}
        self.margins: Mapping[tuple[str, str], int] = {}  # of layers and sides, set by the network

    def enter(self, layer: str, x: Tensor) -> Tensor:
        """What the layer is to read in place of x.  [batch, channels, h, w]"""
        return self.bent(layer, "input", x)

    def leave(self, layer: str, x: Tensor) -> Tensor:
        """What is to be taken for the layer's output x.  [batch, channels, h, w]"""
        x = self.bent(layer, "output", x)
        if layer in self.keep:
            self.features[layer] = x.float().clone().contiguous()
        return x

    def bent(self, layer: str, side: str, x: Tensor) -> Tensor:
        """A map after the bends of one side of a layer."""
        margin = self.margins.get((layer, side), 0)
        for bend in self.bends.get((layer, side), ()):
            x = bend(x, margin) if margin else bend(x)
        return x

    def weight(self, layer: str, weight: Tensor) -> Tensor:
        """The weight that the layer is to use."""
        for rewrite in self.rewrites.get(layer, ()):
            weight = rewrite(weight)
        return weight

    @property
    def weights_differ(self) -> bool:
        """Whether the samples of a batch do not share their weights."""
        return any(rewrite.differs for rewrites in self.rewrites.values() for rewrite in rewrites)

    def check_batch(self, batch: int) -> None:
        """Before a batch is taken apart, when nobody could see any more that there are too many values or too few.

        A bend or rewrite whose samples may differ tells the numbers of its values in `lengths`.
        """
        bends = [bend for bends in self.bends.values() for bend in bends]
        rewrites = [rewrite for rewrites in self.rewrites.values() for rewrite in rewrites]
        for change in (*bends, *rewrites):
            check_lengths(getattr(change, "lengths", {}), batch)

    def sample(self, index: int) -> Controls:
        """The controls of one sample of the batch, with features of its own."""
        bends = [bend.sample(index) for bends in self.bends.values() for bend in bends]
        rewrites = [rewrite.sample(index) for rewrites in self.rewrites.values() for rewrite in rewrites]
        return Controls(self.layer_names, bends, rewrites, self.keep)

    def rewritten(self, layer: str) -> bool:
        """Whether the layer does not use its own weights, so that nothing prepared from them holds."""
        return layer in self.rewrites

    def untouched(self, layer: str) -> bool:
        """Whether the layer's whole maps are neither changed nor kept, so that they need never exist as a whole."""
        return layer not in self.keep and not {(layer, "input"), (layer, "output")} & self.bends.keys()
