# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of lucidrains' ``stylegan2_pytorch``: ``model_N.pt``, with the averaged generator as ``GE`` and ``SE``.

One number that the mapping network needs is not in them: the learning rate that its weights are multiplied with. It is
``lr_mlp`` in the file ``.config.json`` that training writes beside the models. Where there is none, it is taken to be
0.1, which is what training takes unless it is told otherwise. Neither do they hold noise: it is drawn anew here, always
the same, evenly from 0 to 1, as the original draws it for every picture.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import CheckpointError
from ..layers import positive
from ..lucidrains import Lucidrains, LucidrainsConfig
from ..mapping import MappingConfig
from .tensors import Reading, Tensors

MAPPING_LR = 0.1
MOST_LEVELS = 12  # 8192 px
# Our names of the parts of attention, and those in the file.
ATTENTION_PARTS = {
    "norm.gain": "0.fn.norm.g",
    "norm.bias": "0.fn.norm.b",
    "query.weight": "0.fn.fn.to_q.weight",
    "surroundings.weight": "0.fn.fn.to_kv.net.0.weight",
    "key_value.weight": "0.fn.fn.to_kv.net.1.weight",
    "out.weight": "0.fn.fn.to_out.weight",
    "out.bias": "0.fn.fn.to_out.bias",
    "pointwise_norm.gain": "1.fn.norm.g",
    "pointwise_norm.bias": "1.fn.norm.b",
    "expand.weight": "1.fn.fn.0.weight",
    "expand.bias": "1.fn.fn.0.bias",
    "contract.weight": "1.fn.fn.2.weight",
    "contract.bias": "1.fn.fn.2.bias",
}


def recognise(data: object) -> bool:
    """Whether the data out of a file is one of these networks."""
    return state_of(data) is not None


def state_of(data: object) -> dict[str, Any] | None:
    """The state dictionary of the whole network, generators and discriminator."""
    for found in (data.get("GAN"), data) if isinstance(data, dict) else ():
        if isinstance(found, dict) and any(str(name).startswith(("GE.blocks.", "G.blocks.")) for name in found):
            return found
    return None


def read(data: object, path: Path) -> Reading:
    """The averaged generator; where there is none, the one that was trained.

    Raises
    ------
    CheckpointError
        With file, tensor and what was expected.
    """
    found = state_of(data)
    if found is None:
        raise CheckpointError(f"{path} is no network of stylegan2_pytorch. Choose another file.")
    tensors = Tensors(path, found)
    g, s = ("GE", "SE") if tensors.names(r"GE\..*") else ("G", "S")
    tensors.ignore(rf"(?!{g}\.|{s}\.).*")
    levels = 0
    while levels < MOST_LEVELS and tensors.names(rf"{g}\.blocks\.{levels}\..*"):
        levels += 1
    levels = max(2, levels)
    resolution = 2 << levels
    state, mapping = read_mapping(tensors, s, mapping_lr(path, resolution))
    w_dim = mapping.w_dim

    constant = tensors.has(f"{g}.initial_block")
    if constant:
        state["synthesis.const"] = tensors.take(f"{g}.initial_block", (1, None, 4, 4))[0]
        initial = len(state["synthesis.const"])
    else:
        state["synthesis.const_of_w"] = tensors.take(f"{g}.to_initial_block.weight", (w_dim, None, 4, 4))
        initial = state["synthesis.const_of_w"].shape[1]
    for name, shape in (("weight", (initial, initial, 3, 3)), ("bias", (initial,))):
        state[f"synthesis.initial_conv.{name}"] = tensors.take(f"{g}.initial_conv.{name}", shape)

    channels: list[int] = []
    attention: list[int] = []
    attention_width, img_channels = 512, 3
    taps: tuple[float, ...] = ()
    for index in range(levels):
        place, before = f"{g}.blocks.{index}", channels[-1] if channels else initial
        if tensors.names(rf"{g}\.attns\.{index}\..*"):
            found_attention = read_attention(tensors, f"{g}.attns.{index}", before)
            attention_width = len(found_attention["query.weight"])
            attention.append(index)
            state |= {f"synthesis.blocks.{index}.attention.{name}": part for name, part in found_attention.items()}
        count = 0
        for number in (1, 2):
            layer, width = f"synthesis.blocks.{index}.conv{number}", before if number == 1 else count
            weight = tensors.take(f"{place}.conv{number}.weight", (None if number == 1 else count, width, 3, 3))
            count = len(weight)
            state[f"{layer}.weight"] = weight
            state[f"{layer}.noise_strength"] = tensors.take(f"{place}.to_noise{number}.weight", (count, 1))[:, 0]
            state[f"{layer}.bias"] = tensors.take(f"{place}.to_noise{number}.bias", (count,))
            state |= read_style(tensors, f"{place}.to_style{number}", layer, (width, w_dim))
        weight = tensors.take(f"{place}.to_rgb.conv.weight", (None if index == 0 else img_channels, count, 1, 1))
        img_channels = len(weight)
        state[f"synthesis.blocks.{index}.torgb.weight"] = weight
        state |= read_style(tensors, f"{place}.to_rgb.to_style", f"synthesis.blocks.{index}.torgb", (count, w_dim))
        if index < levels - 1:
            found_taps = tuple(tensors.take(f"{place}.to_rgb.upsample.1.f", (None,)).tolist())
            if index and found_taps != taps:
                raise tensors.error(f"its filter {place}.to_rgb.upsample.1.f is another one than that of block 0")
            taps = found_taps
        channels.append(count)
    drawn = np.random.RandomState(0).uniform(size=(resolution, resolution))
    state["synthesis.noise_const"] = torch.from_numpy(drawn).float()
    tensors.finish()
    try:
        config = LucidrainsConfig(
            mapping=mapping,
            resolution=resolution,
            channels=tuple(channels),
            initial_channels=initial,
            img_channels=img_channels,
            resample_taps=taps,
            constant=constant,
            attention=tuple(attention),
            attention_width=attention_width,
        )
    except ValueError as error:
        raise tensors.error(f"it describes no network of stylegan2_pytorch: {error}") from error
    return Reading(Lucidrains, config, state)


def mapping_lr(path: Path, resolution: int) -> float:
    """What the weights of the mapping network are multiplied with: as training noted it, or its default."""
    notes = path.parent / ".config.json"
    if not notes.is_file():
        return MAPPING_LR
    try:
        noted = json.loads(notes.read_text(encoding="utf-8"))
        if noted["image_size"] != resolution:
            return MAPPING_LR  # the notes are of another network
        lr = noted.get("lr_mlp", MAPPING_LR)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{notes}, which tells how {path.name} was trained, cannot be read ({error}). Copy it again, or remove it."
        ) from error
    if not positive(lr):
        raise CheckpointError(f"{notes}: lr_mlp is {lr!r}; a number above zero was expected. Correct or remove it.")
    return float(lr)


def read_mapping(tensors: Tensors, s: str, lr: float) -> tuple[dict[str, Tensor], MappingConfig]:
    """The mapping network. Its z has length one, where ours has a mean square of one."""
    state: dict[str, Tensor] = {}
    widths: list[int] = []
    z_dim = tensors.take(f"{s}.net.0.weight", (None, None)).shape[1]
    while tensors.has(f"{s}.net.{2 * len(widths)}.weight"):
        index, before = len(widths), widths[-1] if widths else z_dim
        weight = tensors.take(f"{s}.net.{2 * index}.weight", (None, before))
        widths.append(len(weight))
        # Ours divides by the root of the number of inputs (which the first layer's z, longer by as much, needs) and
        # has a gain of the root of two behind its rectifier.
        gain = math.sqrt(before / 2) if index else math.sqrt(1 / 2)
        state[f"mapping.fc{index}.weight"] = weight * gain
        bias = tensors.take(f"{s}.net.{2 * index}.bias", (len(weight),))
        state[f"mapping.fc{index}.bias"] = bias / math.sqrt(2)
    try:
        return state, MappingConfig(z_dim, 0, widths[-1], tuple(widths), lr)
    except ValueError as error:
        raise tensors.error(f"its mapping network is none of stylegan2_pytorch: {error}") from error


def read_style(tensors: Tensors, name: str, layer: str, shape: tuple[int, int]) -> dict[str, Tensor]:
    """A style: a plain linear layer, to whose result one is added."""
    return {
        f"{layer}.affine.weight": tensors.take(f"{name}.weight", shape) * math.sqrt(shape[1]),
        f"{layer}.affine.bias": tensors.take(f"{name}.bias", shape[:1]) + 1,
    }


def read_attention(tensors: Tensors, place: str, channels: int) -> dict[str, Tensor]:
    """A layer of attention, by our names."""
    queries = tensors.take(f"{place}.{ATTENTION_PARTS['query.weight']}", (None, channels, 1, 1))
    width = len(queries)
    shapes: dict[str, tuple[int, ...]] = {
        "norm.gain": (1, channels, 1, 1),
        "norm.bias": (1, channels, 1, 1),
        "query.weight": (width, channels, 1, 1),
        "surroundings.weight": (channels, 1, 3, 3),
        "key_value.weight": (2 * width, channels, 1, 1),
        "out.weight": (channels, width, 1, 1),
        "out.bias": (channels,),
        "pointwise_norm.gain": (1, channels, 1, 1),
        "pointwise_norm.bias": (1, channels, 1, 1),
        "expand.weight": (2 * channels, channels, 1, 1),
        "expand.bias": (2 * channels,),
        "contract.weight": (channels, 2 * channels, 1, 1),
        "contract.bias": (channels,),
    }
    parts = {ours: tensors.take(f"{place}.{theirs}", shapes[ours]) for ours, theirs in ATTENTION_PARTS.items()}
    return {name: part.flatten() if name.startswith(("norm", "pointwise")) else part for name, part in parts.items()}
