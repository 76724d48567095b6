# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2 as "rosinality" files hold it: ``g_ema`` of training files and of converted ones, or its tensors alone.

Its weights are scaled by 1 / sqrt(fan in) when they are used; the demodulation then takes that out again but for its
epsilon. The same scale is put into our weights. Converted files bring the average w (``latent_avg``); training files
do not, and files from before early 2020 have no noise of their own either.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..mapping import MappingConfig
from ..stylegan2 import StyleGAN2, StyleGAN2Config
from .filters import filter_taps
from .modules import Module, is_module
from .tensors import Reading, Tensors

PLACES = ("g_ema", "g", "generator", "state_dict", "params_ema")
SIGNS = ("style.1.weight", "input.input", "conv1.conv.weight", "to_rgb1.conv.weight", "conv1.conv.modulation.weight")
LEARNING_RATE = 0.01  # of the mapping network; no file stores it and no release has another


def recognise(data: object) -> bool:
    """Whether there is such a StyleGAN2 in the data."""
    return generator_tensors(data) is not None


def generator_tensors(data: object) -> tuple[str, dict[str, Any]] | None:
    """The generator's place in the file and its tensors by name; None if there is none."""
    places = [("", data)]
    if isinstance(data, dict):
        places = [(f"{place}.", data.get(place)) for place in PLACES] + places
    for prefix, value in places:
        values = Module(value).tensors() if is_module(value) else value
        if not isinstance(values, dict):
            continue
        if "module." + SIGNS[0] in values:  # as data-parallel training names them
            prefix += "module."
            values = {str(name).removeprefix("module."): tensor for name, tensor in values.items()}
        if all(isinstance(values.get(sign), Tensor) for sign in SIGNS):
            return prefix, values
    return None


def read(data: object, path: Path) -> Reading:
    """The generator.

    Raises
    ------
    CheckpointError
        If a tensor is missing, surplus or wrong.
    """
    found = generator_tensors(data)
    assert found is not None
    prefix, mapping = found
    tensors = Tensors(path, mapping, prefix)
    levels = len(tensors.names(r"to_rgbs\.\d+\.conv\.weight"))
    depth = len(tensors.names(r"style\.\d+\.weight"))
    z_dim = tensors.sizes("style.1.weight", 2)[1]
    widths = tuple(tensors.sizes(f"style.{index + 1}.weight", 2)[0] for index in range(depth))
    layers = ["conv1", *(f"convs.{2 * level + 1}" for level in range(levels))]
    config = StyleGAN2Config(
        mapping=MappingConfig(z_dim, 0, widths[-1], widths, LEARNING_RATE),
        resolution=4 << levels,
        channels=tuple(tensors.sizes(f"{layer}.conv.weight", 5)[1] for layer in layers),
        img_channels=tensors.sizes("to_rgb1.conv.weight", 5)[1],
        resample_taps=resample_taps(tensors),
    )
    state = mapping_state(tensors, config.mapping)
    add_average(state, data, path, config.mapping.w_dim)
    state["synthesis.b4.const"] = tensors.take("input.input", (1, config.channels[0], 4, 4))[0]
    noises = bool(tensors.names(r"noises\..*"))
    random = np.random.RandomState(0)
    for level, (size, channels) in enumerate(zip(config.block_resolutions, config.channels, strict=True)):
        ours = f"synthesis.b{size}"
        names = {"conv1": "conv1"}
        if level:
            names = {"conv0": f"convs.{2 * level - 2}", "conv1": f"convs.{2 * level - 1}"}
        channels_in = config.channels[max(level - 1, 0)]
        for index, (part, theirs) in enumerate(names.items()):
            layer = layer_state(tensors, theirs, channels_in, channels, config.mapping.w_dim)
            if noises:
                noise = tensors.take(f"noises.noise_{max(2 * level - 1, 0) + index}", (1, 1, size, size))[0, 0]
            else:
                noise = torch.from_numpy(random.standard_normal((size, size)).astype(np.float32))
            state |= {f"{ours}.{part}.{name}": tensor for name, tensor in layer.items()}
            state[f"{ours}.{part}.noise_const"] = noise
            channels_in = channels
        theirs = f"to_rgbs.{level - 1}" if level else "to_rgb1"
        colours = colour_state(tensors, theirs, channels, config)
        state |= {f"{ours}.torgb.{name}": tensor for name, tensor in colours.items()}
    tensors.ignore(r".*\.kernel")
    tensors.finish()
    return Reading(StyleGAN2, config, state)


def resample_taps(tensors: Tensors) -> tuple[float, ...]:
    """The filter of all layers, which is stored times four where it doubles the size."""
    names = tensors.names(r"(convs|to_rgbs)\.\d+\.(conv\.blur|upsample)\.kernel")
    if not names:
        raise tensors.error("it has no blur.kernel, so that we cannot know how it doubles its size")
    first = tensors.take(names[0])
    for name in names[1:]:
        if not torch.equal(tensors.take(name), first):
            raise tensors.error(f"its layers have different filters: {names[0]} and {name}")
    taps = filter_taps(first)
    if taps is None or abs(float(first.sum()) - 4) > 1e-3:
        raise tensors.error(f"its filter {names[0]} is not a product of two equal ones with the sum 4")
    return taps


def mapping_state(tensors: Tensors, config: MappingConfig) -> dict[str, Tensor]:
    """The mapping network's layers; number 0 of theirs is the normalisation."""
    state: dict[str, Tensor] = {}
    features = config.z_dim
    for index, width in enumerate(config.widths):
        state[f"mapping.fc{index}.weight"] = tensors.take(f"style.{index + 1}.weight", (width, features))
        state[f"mapping.fc{index}.bias"] = tensors.take(f"style.{index + 1}.bias", (width,))
        features = width
    return state


def add_average(state: dict[str, Tensor], data: object, path: Path, w_dim: int) -> None:
    """The average w, if the file has it."""
    average = data.get("latent_avg") if isinstance(data, dict) else None
    if isinstance(average, Tensor):
        outer = Tensors(path, {"latent_avg": average.flatten()})
        state["mapping.w_avg"] = outer.take("latent_avg", (w_dim,))


def layer_state(tensors: Tensors, name: str, channels_in: int, channels: int, w_dim: int) -> dict[str, Tensor]:
    """One convolution with its style, noise and bias, but for the noise itself."""
    weight = tensors.take(f"{name}.conv.weight", (1, channels, channels_in, 3, 3))[0]
    return {
        "weight": weight / math.sqrt(channels_in * 9),
        "bias": tensors.take(f"{name}.activate.bias", (channels,)),
        "affine.weight": tensors.take(f"{name}.conv.modulation.weight", (channels_in, w_dim)),
        "affine.bias": tensors.take(f"{name}.conv.modulation.bias", (channels_in,)),
        "noise_strength": tensors.take(f"{name}.noise.weight", (1,))[0],
    }


def colour_state(tensors: Tensors, name: str, channels: int, config: StyleGAN2Config) -> dict[str, Tensor]:
    """The convolution that gives a resolution's colours; both scale it alike."""
    return {
        "weight": tensors.take(f"{name}.conv.weight", (1, config.img_channels, channels, 1, 1))[0],
        "bias": tensors.take(f"{name}.bias", (1, config.img_channels, 1, 1)).flatten(),
        "affine.weight": tensors.take(f"{name}.conv.modulation.weight", (channels, config.mapping.w_dim)),
        "affine.bias": tensors.take(f"{name}.conv.modulation.bias", (channels,)),
    }
