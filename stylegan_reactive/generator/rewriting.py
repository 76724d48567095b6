# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewriting: other weights W + a * delta for one picture, where a is a number that can change from frame to frame.

Bau et al., "Rewriting a Deep Generative Model", ECCV 2020, https://arxiv.org/abs/2007.15646. Nothing is ever stored in
the network, so there is nothing to restore. A delta has the shape of its layer's weight and comes from a second network
or from an edit (`generator.editing`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import CheckpointError
from ..files import write_whole
from .base import Generator

FORMAT = "stylegan_reactive.rewrites.1"
AnyGenerator = TypeVar("AnyGenerator", bound=Generator)


@dataclass(frozen=True, eq=False)
class Rewrite:
    """One layer's weight plus `amount` times `delta`.

    Attributes
    ----------
    layer : str
        A layer of the generator that has a weight.
    delta : Tensor
        The shape of the layer's weight.
    amount : float or Tensor
        0 changes nothing, 1 is the whole difference; less and more are possible. A tensor [batch] has one for each
        sample; samples are then painted one after another.
    """

    layer: str
    delta: Tensor
    amount: float | Tensor = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.amount, Tensor):
            if self.amount.ndim > 1 or self.amount.numel() == 0:
                raise ValueError(f"a rewrite's amount is a number or [batch], not {list(self.amount.shape)}")
        elif not math.isfinite(self.amount):
            raise ValueError(f"a rewrite's amount is a finite number, not {self.amount!r}")

    @property
    def lengths(self) -> dict[str, int]:
        """How many amounts there are."""
        return {
            f"the amount of a rewrite of layer {self.layer}": self.amount.numel()
            if isinstance(self.amount, Tensor)
            else 1
        }

    @property
    def differs(self) -> bool:
        return isinstance(self.amount, Tensor) and self.amount.numel() > 1

    @property
    def idle(self) -> bool:
        if isinstance(self.amount, Tensor):
            return self.amount.device.type == "cpu" and not self.amount.requires_grad and not bool(self.amount.any())
        return self.amount == 0

    def __call__(self, weight: Tensor) -> Tensor:
        if self.delta.shape != weight.shape:
            raise ValueError(
                f"a rewrite of layer {self.layer} has a delta {list(self.delta.shape)}; "
                f"the layer's weight is {list(weight.shape)}"
            )
        amount = self.amount
        if isinstance(amount, Tensor):
            if amount.numel() != 1:
                raise ValueError(f"a rewrite of layer {self.layer} has {amount.numel()} amounts for one sample")
            amount = amount.reshape(()).to(weight)
        return weight + amount * self.delta.to(weight)

    def sample(self, index: int) -> Rewrite:
        """The same for one sample of the batch."""
        if not isinstance(self.amount, Tensor) or self.amount.numel() == 1:
            return self
        return replace(self, amount=self.amount[index])


def weighted_layers(generator: Generator) -> tuple[str, ...]:
    """The layers with a weight to edit, in the order of their work; what makes an input is no memory of places."""
    return tuple(name for name in generator.synthesis.weighted_layers if name != "input")


def layer_weight(generator: Generator, layer: str) -> Tensor:
    """The weight of a layer as it is stored.  [channels out, channels in, kernel h, kernel w]

    Raises
    ------
    ValueError
        If there is no such layer, or it has no weight.
    """
    known = weighted_layers(generator)
    if layer not in known:
        raise ValueError(f"layer {layer!r} has no weight to rewrite; these have one: {', '.join(known)}")
    weight = generator.synthesis.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def from_network(generator: Generator, other: Generator, layers: Collection[str] | None = None) -> dict[str, Tensor]:
    """What has to be added to the weights of a generator's layers to get those of another one.

    The weights alone make most of the difference between a network and one that was trained on from it, and can be
    blended at every frame. `blend` blends all that a network has.

    Parameters
    ----------
    layers : collection of str or None
        None: all that have a weight.

    Returns
    -------
    dict
        Layer to delta.

    Raises
    ------
    CheckpointError
        If the other network is of another architecture, or a layer's weight has another shape.
    """
    check_architecture(generator, other)
    deltas = {}
    for layer in weighted_layers(generator) if layers is None else layers:
        weight = layer_weight(generator, layer)
        known = weighted_layers(other)
        shape = layer_weight(other, layer).shape if layer in known else None
        check_same(layer, weight.shape, shape)
        deltas[layer] = layer_weight(other, layer).to(weight) - weight
    return deltas


def blend(generator: AnyGenerator, other: Generator, amounts: float | Mapping[str, float] = 1.0) -> AnyGenerator:
    """A new generator between two of the same shape: weights, biases, styles, noise and the learned constant.

    Parameters
    ----------
    generator, other
        Neither is changed. What is taken over whole shares its memory with the one that it comes from.
    amounts : float or mapping
        0 is `generator`, 1 is `other`, exactly. A mapping names layers and "mapping" (z to w); what it does not name
        is `generator`'s. "input" is whatever comes before the first layer.

    Raises
    ------
    CheckpointError
        If the other network is of another architecture or shape.
    ValueError
        If a layer is named that does not exist.
    """
    check_architecture(generator, other)
    parts = (*generator.layer_names, "mapping")
    if not isinstance(amounts, Mapping):
        amounts = dict.fromkeys(parts, amounts)
    for part in amounts:
        if part not in parts:
            raise ValueError(f"{part!r} cannot be blended; this network has {', '.join(parts)}")
    first, second = generator.state_dict(), other.state_dict()
    for name in sorted(first.keys() | second.keys()):
        check_same(name, *(state[name].shape if name in state else None for state in (first, second)))
    state = {}
    for name, own in first.items():
        amount = amounts.get(part_of(name, generator.layer_names), 0.0)
        if amount == 0:
            state[name] = own
        elif amount == 1:
            state[name] = second[name].to(own)
        else:
            state[name] = torch.lerp(own, second[name].to(own), amount)
    with torch.device("meta"):
        blended = type(generator)(generator.config)
    blended.load_state_dict(state, assign=True)
    for name, buffer in generator.named_buffers():
        if name not in state:  # made from the configuration, not stored
            owner, _, attribute = name.rpartition(".")
            setattr(blended.get_submodule(owner), attribute, buffer)
    return blended.requires_grad_(False).eval()


def part_of(tensor: str, layer_names: Sequence[str]) -> str:
    """The layer that a tensor of the state belongs to, "mapping", or "input" for what belongs to no layer."""
    owner, _, name = tensor.partition(".")
    if owner == "mapping":
        return owner
    return max((layer for layer in layer_names if name.startswith(layer + ".")), key=len, default="input")


def check_architecture(generator: Generator, other: Generator) -> None:
    """Refuse to blend what has nothing in common."""
    if generator.architecture != other.architecture:
        raise CheckpointError(
            f"The second network is a {other.architecture}; the first is a {generator.architecture}. "
            "Only networks of the same kind can be blended: choose another second network."
        )


def check_same(name: str, own: Sequence[int] | None, others: Sequence[int] | None) -> None:
    """Refuse tensors of different shapes; None stands for a tensor that is not there."""
    if own is None or others is None or tuple(own) != tuple(others):
        found, expected = (list(shape) if shape is not None else "nothing" for shape in (others, own))
        raise CheckpointError(
            f"The second network does not have the shape of the first: {name} is {found}; {expected} was expected. "
            "Choose a network of the same size, best one that was trained on from the first."
        )


def save_deltas(deltas: Mapping[str, Tensor], path: str | Path) -> None:
    """Write deltas, layer to delta, to a safetensors file that `load_deltas` reads."""
    # Copies: safetensors refuses tensors that share their memory, as one delta for several layers does.
    tensors = {
        layer: delta.detach().to("cpu", torch.float32).clone(memory_format=torch.contiguous_format)
        for layer, delta in deltas.items()
    }
    try:
        write_whole(Path(path), save(tensors, {"format": FORMAT}))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The rewrites cannot be written to {path} ({error}). Choose another place.") from error


def load_deltas(path: str | Path, generator: Generator) -> dict[str, Tensor]:
    """Read what `save_deltas` wrote, for a generator whose layers have these shapes.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another kind, or holds a delta that does not fit the generator.
    """
    weights = {layer: layer_weight(generator, layer) for layer in weighted_layers(generator)}
    deltas = {}
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise CheckpointError(f"{path} does not hold rewrites of ours. Choose another file.")
            for layer in sorted(file.keys(), key=lambda name: (name not in weights, name)):
                shape = tuple(file.get_slice(layer).get_shape())
                if layer not in weights or shape != tuple(weights[layer].shape):
                    expected = list(weights[layer].shape) if layer in weights else "no such layer"
                    raise CheckpointError(
                        f"{path} holds a rewrite of layer {layer} {list(shape)}; this network has {expected}. "
                        "It was made for another network: choose another file."
                    )
                deltas[layer] = file.get_tensor(layer).to(weights[layer])
                if not bool(deltas[layer].isfinite().all()):
                    raise CheckpointError(
                        f"{path}: the rewrite of layer {layer} has values that are not finite numbers. "
                        "The file is damaged; choose another one."
                    )
    except (SafetensorError, OSError, UnicodeError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a file of rewrites ({error}). Copy it again, or choose another file."
        ) from error
    return deltas
