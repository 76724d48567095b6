# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN 1 files: NVIDIA's TensorFlow pickles, PyTorch versions with their layout, and rosinality's own version.

PyTorch versions do not keep the constant noise: theirs is drawn anew here, always the same, from the normal
distribution.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import CheckpointError
from ..mapping import MappingConfig
from .filters import filter_taps
from .modules import Module, is_module
from .stylegan1_state import (
    FIRST_FUSED,
    MAPPING_LR,
    MOST_LEVELS,
    TAPS,
    doubling,
    level_count,
    mapping_config,
    mapping_tensors,
    reading,
    style_tensors,
)
from .stylegan1_tensorflow import official_network, read_official
from .tensors import Reading, Tensors

PLACES = ("g_running", "g_ema", "generator", "state_dict")
EPSILON = 1e-5  # PyTorch's own, in its instance normalisation


def recognise(data: object) -> bool:
    """Whether the data out of a file is one of the three kinds."""
    return official_network(data) is not None or port_state(data) is not None or rosinality_state(data) is not None


def read(data: object, path: Path) -> Reading:
    """The network of data that `recognise` knows.

    Raises
    ------
    CheckpointError
        With file, tensor and what was expected.
    """
    network, port, rosinality = official_network(data), port_state(data), rosinality_state(data)
    if network is not None:
        variables, options = network
        return read_official(Tensors(path, variables), options)
    if port is not None:
        prefix, values = port
        return read_port(Tensors(path, values, prefix))
    if rosinality is not None:
        prefix, values = rosinality
        return read_rosinality(Tensors(path, values, prefix))
    raise CheckpointError(f"{path} is no StyleGAN 1. Choose another file.")


def port_state(data: object) -> tuple[str, dict[str, Any]] | None:
    """The tensors of a PyTorch version with the official layout (``g_mapping``, ``g_synthesis``)."""
    return state_with("g_synthesis.blocks.", data)


def read_port(tensors: Tensors) -> Reading:
    """A PyTorch version with the official layout (lernapparat's, with Thomas Viehmann and Piotr Bialecki's names)."""
    state, mapping = linear_mapping(tensors, "g_mapping.dense{}", "weight", 1, MAPPING_LR)
    levels = level_count(tensors, r"g_synthesis\.blocks\.{0}x{0}\..*")
    taps: tuple[float, ...] | None = None
    channels: list[int] = []
    drawn = np.random.RandomState(0)
    for level in range(levels):
        size = 4 << level
        place = f"g_synthesis.blocks.{size}x{size}"
        count = tensors.sizes(f"{place}.epi2.top_epi.noise.weight", 1)[0]
        for number, part in enumerate(("conv0_up", "conv1") if level else ("", "conv")):
            scope, layer, epilogue = f"{place}.{part}", f"synthesis.b{size}.conv{number}", f"{place}.epi{number + 1}"
            if not part:
                state[f"synthesis.b{size}.const"] = tensors.take(f"{place}.const", (1, count, 4, 4))[0]
            else:
                before = channels[-1] if part == "conv0_up" else count
                kernel = tensors.take(f"{scope}.weight", (count, before, 3, 3)) * math.sqrt(2 / (9 * before))
                state[f"{layer}.weight"] = doubling(kernel, size >= FIRST_FUSED) if part == "conv0_up" else kernel
            if part == "conv0_up" and tensors.has(f"{scope}.intermediate.kernel"):
                taps = read_taps(tensors, f"{scope}.intermediate.kernel", 1, taps)
            state[f"{layer}.bias"] = tensors.take(f"{scope}.bias" if part else f"{place}.bias", (count,))
            state[f"{layer}.noise_strength"] = tensors.take(f"{epilogue}.top_epi.noise.weight", (count,))
            noise, found = drawn.standard_normal((size, size)), f"{epilogue}.top_epi.noise.noise"
            kept = tensors.take(found, (1, 1, size, size))[0, 0] if tensors.has(found) else None
            state[f"{layer}.noise_const"] = torch.from_numpy(noise).float() if kept is None else kept
            style = tensors.take(f"{epilogue}.style_mod.lin.weight", (2 * count, mapping.w_dim))
            style_bias = tensors.take(f"{epilogue}.style_mod.lin.bias", (2 * count,))
            state |= style_tensors(layer, style, style_bias, spread_around_one=True)
        channels.append(count)
    weight = tensors.take("g_synthesis.torgb.weight", (None, channels[-1], 1, 1))
    state[f"synthesis.b{size}.torgb.weight"] = weight / math.sqrt(channels[-1])
    state[f"synthesis.b{size}.torgb.bias"] = tensors.take("g_synthesis.torgb.bias", (len(weight),))
    for name in ("truncation.avg_latent", "avg_latent"):
        if tensors.has(name):
            state["mapping.w_avg"] = tensors.take(name, (mapping.w_dim,))
    tensors.finish()
    return reading(tensors, state, mapping, tuple(channels), len(weight), taps=taps or TAPS, epsilon=EPSILON)


def rosinality_state(data: object) -> tuple[str, dict[str, Any]] | None:
    """The tensors of rosinality's generator; in a training file that of its average."""
    return state_with("generator.progression.", data)


def read_rosinality(tensors: Tensors) -> Reading:
    """Rosinality's version: noise strengths too have an equalised learning rate, and a resolution has one noise map.

    Where the official network sums four shifted kernels, this one takes their mean.

    Its file always holds blocks up to 1024 px. Those that training never reached have the zeros that they began with
    and are left out.
    """
    state, mapping = linear_mapping(tensors, "style.{}.linear", "weight_orig", 2, 1.0)
    place = "generator.progression"
    found = min(MOST_LEVELS, len(tensors.names(rf"{place}\.\d+\.conv2\.conv\.bias")))
    reached = [level for level in range(found) if touched(tensors, level)]
    levels = max(2, reached[-1] + 1 if reached else found)
    taps: tuple[float, ...] | None = None
    channels: list[int] = []
    img_channels = tensors.sizes("generator.to_rgb.0.conv.weight_orig", 4)[0]
    drawn = np.random.RandomState(0)
    for level in range(levels):
        size, scope = 4 << level, f"{place}.{level}"
        count = tensors.sizes(f"{scope}.conv2.conv.weight_orig", 4)[0]
        first, second = f"synthesis.b{size}.conv0", f"synthesis.b{size}.conv1"
        if level == 0:
            state[f"synthesis.b{size}.const"] = tensors.take(f"{scope}.conv1.input", (1, count, 4, 4))[0]
            state[f"{first}.bias"] = torch.zeros(count)
        elif tensors.has(f"{scope}.conv1.0.weight"):  # a transposed convolution; else the pixels are doubled
            kernel = tensors.take(f"{scope}.conv1.0.weight", (channels[-1], count, 3, 3)).transpose(0, 1)
            state[f"{first}.weight"] = doubling(kernel, True) * (math.sqrt(2 / (9 * channels[-1])) / 4)
            state[f"{first}.bias"] = tensors.take(f"{scope}.conv1.0.bias", (count,))
            taps = read_taps(tensors, f"{scope}.conv1.1.weight", count, taps)
        else:
            kernel = tensors.take(f"{scope}.conv1.1.conv.weight_orig", (count, channels[-1], 3, 3))
            state[f"{first}.weight"] = doubling(kernel, False) * math.sqrt(2 / (9 * channels[-1]))
            state[f"{first}.bias"] = tensors.take(f"{scope}.conv1.1.conv.bias", (count,))
            taps = read_taps(tensors, f"{scope}.conv1.2.weight", count, taps)
        kernel = tensors.take(f"{scope}.conv2.conv.weight_orig", (count, count, 3, 3))
        state[f"{second}.weight"] = kernel * math.sqrt(2 / (9 * count))
        state[f"{second}.bias"] = tensors.take(f"{scope}.conv2.conv.bias", (count,))
        for layer, number in ((first, 1), (second, 2)):
            strength = tensors.take(f"{scope}.noise{number}.weight_orig", (1, count, 1, 1)).flatten()
            state[f"{layer}.noise_strength"] = strength * math.sqrt(2 / count)
            style = tensors.take(f"{scope}.adain{number}.style.linear.weight_orig", (2 * count, mapping.w_dim))
            style_bias = tensors.take(f"{scope}.adain{number}.style.linear.bias", (2 * count,))
            state |= style_tensors(layer, style * math.sqrt(2), style_bias, spread_around_one=False)
        state[f"{first}.noise_const"] = torch.from_numpy(drawn.standard_normal((size, size))).float()
        colours = f"generator.to_rgb.{level}.conv"
        weight = tensors.take(f"{colours}.weight_orig", (img_channels, count, 1, 1))
        state[f"synthesis.b{size}.torgb.weight"] = weight * math.sqrt(2 / count)
        state[f"synthesis.b{size}.torgb.bias"] = tensors.take(f"{colours}.bias", (img_channels,))
        channels.append(count)
    for level in range(levels, found):
        tensors.ignore(rf"generator\.(progression|to_rgb)\.{level}\..*")
    tensors.finish()
    return reading(
        tensors,
        state,
        mapping,
        tuple(channels),
        img_channels,
        taps=taps or TAPS,
        epsilon=EPSILON,
        bias_before_filter=True,
        shared_noise=True,
        every_torgb=True,
    )


def touched(tensors: Tensors, level: int) -> bool:
    """Whether training has reached a resolution: something that begins with zeros has other values."""
    begins_with_zeros = (
        f"generator.progression.{level}.noise1.weight_orig",
        f"generator.progression.{level}.noise2.weight_orig",
        f"generator.progression.{level}.conv2.conv.bias",
        f"generator.to_rgb.{level}.conv.bias",
    )
    return any(bool(tensors.take(name).any()) for name in begins_with_zeros)


def state_with(beginning: str, data: object) -> tuple[str, dict[str, Any]] | None:
    """The tensors some of whose names begin like this, and what comes before the names in the file.

    They are the data themselves, or an entry of them, the averaged network first.
    """
    places: list[tuple[str, Any]] = [("", data)]
    if isinstance(data, dict):
        places = [(f"{key}.", data.get(key)) for key in PLACES] + places
    for prefix, found in places:
        values = Module(found).tensors() if is_module(found) else found
        if not isinstance(values, dict):
            continue
        if any(str(name).startswith(beginning) for name in values):
            return prefix, values
        if any(str(name).startswith(f"module.{beginning}") for name in values):  # from data-parallel training
            return f"{prefix}module.", {str(name).removeprefix("module."): value for name, value in values.items()}
    return None


def linear_mapping(
    tensors: Tensors, place: str, weight_name: str, step: int, lr: float
) -> tuple[dict[str, Tensor], MappingConfig]:
    """The mapping network of a PyTorch file, whose layers are numbered in steps (those of 2 begin with 1)."""
    state: dict[str, Tensor] = {}
    number, index = step - 1, 0
    width = z_dim = tensors.sizes(f"{place.format(number)}.{weight_name}", 2)[1]
    widths: list[int] = []
    while tensors.has(f"{place.format(number)}.{weight_name}"):
        weight = tensors.take(f"{place.format(number)}.{weight_name}", (None, width))
        width = len(weight)
        state |= mapping_tensors(index, weight, tensors.take(f"{place.format(number)}.bias", (width,)))
        widths.append(width)
        number, index = number + step, index + 1
    return state, mapping_config(tensors, z_dim, 0, tuple(widths), lr)


def read_taps(tensors: Tensors, name: str, channels: int, others: tuple[float, ...] | None) -> tuple[float, ...]:
    """The one-dimensional low-pass filter of a stored two-dimensional one, in the order of a true convolution.

    The other blocks' must be the same; so must the turned one that rosinality's files have beside it.
    """
    kernel = tensors.take(name, (channels, 1, None, None))
    taps = filter_taps(kernel[0, 0])
    turned = tensors.take(f"{name}_flip", tuple(kernel.shape)) if tensors.has(f"{name}_flip") else kernel.flip(2, 3)
    if taps is None or not torch.equal(turned.flip(2, 3), kernel[:1].expand_as(kernel)):
        raise tensors.error(f"its filter {tensors.prefix}{name} is no square of a one-dimensional one")
    if others not in (None, taps[::-1]):
        raise tensors.error(f"its filter {tensors.prefix}{name} is another one than that of the blocks before")
    return taps[::-1]
