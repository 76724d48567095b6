# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewrites: other weights, W + amount * difference, where the amount is a number of the frame.

What a difference is, the generator's room says (`rewriting`, `editing`; the paper's section 3, "model rewriting").
Here a layer of the patch becomes the differences of one network's layers, which are found once, and an amount.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .bends import Note, Progress, find_layer, per_frame, say_nothing
from .checks import file_at
from .patch import NetworkRewrite, Patch, RewriteLayer, SeededRewrite
from .ranges import Shapes, fitted_weights
from .signals import Values

if TYPE_CHECKING:
    from ..generator import Rewrite

Deltas = Mapping[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Rewritten:
    """A rewrite in one frame: layers and their differences, which are the same object for the same ones; an amount."""

    deltas: Deltas
    amount: float


class RewriteStack:
    """The rewrites of a patch in one network.

    Parameters
    ----------
    tools
        Of the network (``generator.tools``).
    num_ws, noise_shapes
        Of the network; they say which layers are coarse, medium and fine.
    """

    def __init__(self, tools: Any, num_ws: int, noise_shapes: Shapes) -> None:
        self.tools = tools
        self.num_ws = num_ws
        self.noise_shapes = noise_shapes
        self._deltas: dict[int, tuple[Hashable, Deltas]] = {}

    def deltas(self, index: int, rewrite: RewriteLayer, note: Note, progress: Progress | None = None) -> Deltas:
        """What a rewrite adds to which layers at an amount of 1, found once; raises as `find_deltas` does.

        The last ones of each rewrite are kept here, so that what a film reads in every frame stays in memory, whatever
        else the network's own tools have to keep.
        """
        key = rewrite.source, rewrite.range
        kept = self._deltas.get(index)
        if progress is not None:
            progress(0.0, "Finding the weights")
        if kept is None or kept[0] != key:
            kept = self._deltas[index] = key, self.find_deltas(rewrite, f"rewrites.{index}", note)
        return kept[1]

    def find_deltas(self, rewrite: RewriteLayer, path: str, note: Note) -> Deltas:
        """What a rewrite adds to which layers at an amount of 1.

        Raises
        ------
        PatchError
            If a file cannot be read or does not fit this network, or a layer is none of any network.
        """
        source = rewrite.source
        if isinstance(source, SeededRewrite):
            layer = find_layer(source.layer, self.tools, f"{path}.source.layer", note, weighted=True)
            found = self.tools.seeded_deltas(layer, source.seed, source.rank)
        else:
            read = self.tools.network_deltas if isinstance(source, NetworkRewrite) else self.tools.saved_deltas
            with file_at(f"{path}.source.file"):
                found = read(source.file)
        reached = fitted_weights(rewrite.range, self.tools.ws_of_weights, self.num_ws, self.noise_shapes)
        if reached.note:
            note(reached.note)
        names = self.tools.weighted_layers[reached.reached.start : reached.reached.stop]
        deltas = {layer: delta for layer, delta in found.items() if layer in names}
        if not deltas:
            note("nothing of this rewrite lies in its range, so it does nothing.")
        return deltas

    def at(self, patch: Patch, values: Values) -> tuple[Rewritten | None, ...]:
        """Each rewrite in the frame that has these values; None where it does nothing."""
        return tuple(self._rewritten(index, rewrite, values) for index, rewrite in enumerate(patch.rewrites))

    def _rewritten(self, index: int, rewrite: RewriteLayer, values: Values) -> Rewritten | None:
        amount = rewrite.amount.within(values, -100.0, 100.0) if rewrite.enabled else 0.0
        if amount == 0.0:
            return None
        return Rewritten(self.deltas(index, rewrite, say_nothing), amount)

    def together(self, frames: Sequence[Sequence[Rewritten | None]]) -> tuple[Rewrite, ...]:
        """The generator's rewrites for a batch of frames, bottom to top."""
        made: list[Rewrite] = []
        for stack in zip(*frames, strict=True):
            for deltas in {id(one.deltas): one.deltas for one in stack if one is not None}.values():
                amounts = per_frame([one.amount if one is not None and one.deltas is deltas else 0.0 for one in stack])
                if isinstance(amounts, torch.Tensor):
                    amounts = amounts.float()
                made += [self.tools.rewrite(layer, delta, amounts) for layer, delta in deltas.items()]
        return tuple(made)
