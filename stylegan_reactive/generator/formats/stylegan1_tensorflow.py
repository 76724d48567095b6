# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN 1 out of NVIDIA's TensorFlow pickles: a tuple of three networks, of which the last is the average one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..mapping import MappingConfig
from .nvidia_tensorflow import network_variables
from .stylegan1_state import (
    FIRST_FUSED,
    MAPPING_LR,
    TAPS,
    doubling,
    level_count,
    mapping_config,
    mapping_tensors,
    reading,
    style_tensors,
)
from .tensors import Reading, Tensors

EPSILON = 1e-8
# What it may have been built with, where we know one value only.
OFFICIAL_OPTIONS: dict[str, Any] = {
    "use_wscale": True,
    "mapping_use_wscale": True,
    "normalize_latents": True,
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "use_styles": True,
    "const_input_layer": True,
    "use_noise": True,
    "use_pixel_norm": False,
    "use_instance_norm": True,
}


def official_network(data: object) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Variables and settings of the averaged generator, the last of three networks, if these are a StyleGAN 1."""
    found = network_variables(data)
    if found is None or not any(str(name).endswith("/StyleMod/weight") for name in found[0]):
        return None
    return found


def read_official(tensors: Tensors, options: Mapping[str, Any]) -> Reading:
    """The official network, from TensorFlow. Its kernels are [h, w, in, out], its linear layers [in, out]."""
    for name, known in OFFICIAL_OPTIONS.items():
        value = options.get(name, known)
        if not (type(value) is type(known) and value == known):
            shown = value if isinstance(value, str | bool) else type(value).__name__
            raise tensors.error(f"it was built with {name} = {str(shown)[:40]}; only {known} is known here")
    fused = options.get("fused_scale", "auto")
    taps = official_taps(tensors, options.get("blur_filter", list(TAPS)))
    grown = level_count(tensors, "synthesis/{0}x{0}/.*")
    # A network saved while it grew gives the picture of the last resolution that was fully there.
    missing = math.ceil(float(tensors.take("synthesis/lod", ()))) if tensors.has("synthesis/lod") else 0
    levels = min(grown, max(2, grown - missing))
    state, mapping = official_mapping(tensors, options.get("mapping_lrmul", MAPPING_LR))

    channels: list[int] = []
    for level in range(levels):
        size = 4 << level
        place, parts = f"synthesis/{size}x{size}", ("Conv0_up", "Conv1") if level else ("Const", "Conv")
        count = tensors.sizes(f"{place}/{parts[1]}/weight", 4)[-1]
        for number, part in enumerate(parts):
            scope, layer = f"{place}/{part}", f"synthesis.b{size}.conv{number}"
            if part == "Const":
                state[f"synthesis.b{size}.const"] = tensors.take(f"{scope}/const", (1, count, 4, 4))[0]
            else:
                before = channels[-1] if part == "Conv0_up" else count
                kernel = tensors.take(f"{scope}/weight", (3, 3, before, count)).permute(3, 2, 0, 1)
                kernel = kernel * math.sqrt(2 / (9 * before))
                flipped = fused is True or (fused == "auto" and size >= FIRST_FUSED)
                state[f"{layer}.weight"] = doubling(kernel, flipped) if part == "Conv0_up" else kernel.contiguous()
            state[f"{layer}.bias"] = tensors.take(f"{scope}/bias", (count,))
            state[f"{layer}.noise_strength"] = tensors.take(f"{scope}/Noise/weight", (count,))
            noise = tensors.take(f"synthesis/noise{2 * level + number}", (1, 1, size, size))
            state[f"{layer}.noise_const"] = noise[0, 0]
            style = tensors.take(f"{scope}/StyleMod/weight", (mapping.w_dim, 2 * count)).T
            style_bias = tensors.take(f"{scope}/StyleMod/bias", (2 * count,))
            state |= style_tensors(layer, style, style_bias, spread_around_one=True)
        channels.append(count)

    colours = [f"synthesis/ToRGB_lod{grown - 1 - level}" for level in range(levels)]
    every = any(tensors.names(f"{name}/.*") for name in colours[:-1])
    img_channels = tensors.sizes(f"{colours[-1]}/weight", 4)[-1]
    for level, name in enumerate(colours):
        if every or level == levels - 1:
            weight = tensors.take(f"{name}/weight", (1, 1, channels[level], img_channels)).permute(3, 2, 0, 1)
            layer = f"synthesis.b{4 << level}.torgb"
            state[f"{layer}.weight"] = weight.contiguous() / math.sqrt(channels[level])
            state[f"{layer}.bias"] = tensors.take(f"{name}/bias", (img_channels,))
    tensors.ignore(r"(.*/)?lod")
    for level in range(levels, grown):
        scopes = f"{4 << level}x{4 << level}/.*|ToRGB_lod{grown - 1 - level}/.*|noise{2 * level}|noise{2 * level + 1}"
        tensors.ignore(f"synthesis/({scopes})")
    tensors.finish()
    return reading(
        tensors, state, mapping, tuple(channels), img_channels, taps=taps, epsilon=EPSILON, every_torgb=every
    )


def official_taps(tensors: Tensors, blur_filter: object) -> tuple[float, ...]:
    """The low-pass filter that the official network was built with, in the order of a true convolution."""
    if blur_filter is None:
        return (1.0,)
    if isinstance(blur_filter, list | tuple) and all(isinstance(tap, int | float) for tap in blur_filter):
        return tuple(float(tap) for tap in reversed(blur_filter))
    raise tensors.error("it was built with a blur_filter that is no list of numbers")


def official_mapping(tensors: Tensors, lr: Any) -> tuple[dict[str, Tensor], MappingConfig]:
    """The mapping network of TensorFlow files."""
    state: dict[str, Tensor] = {}
    classes, embedded = 0, 0
    if tensors.has("mapping/LabelConcat/weight"):
        weight = tensors.take("mapping/LabelConcat/weight", (None, None))
        classes, embedded = weight.shape
        state["mapping.embed.weight"] = weight.T.contiguous() * math.sqrt(classes)  # no gain was meant for it
        state["mapping.embed.bias"] = torch.zeros(embedded)
    count = len(tensors.names(r"mapping/Dense\d+/weight"))
    width = tensors.sizes("mapping/Dense0/weight", 2)[0]
    z_dim, widths = width - embedded, []
    for index in range(count):
        weight = tensors.take(f"mapping/Dense{index}/weight", (width, None))
        width = weight.shape[1]
        bias = tensors.take(f"mapping/Dense{index}/bias", (width,))
        state |= mapping_tensors(index, weight.T.contiguous(), bias)
        widths.append(width)
    if tensors.has("dlatent_avg"):
        state["mapping.w_avg"] = tensors.take("dlatent_avg", (width,))
    labels = "concat" if classes else "embed"
    return state, mapping_config(tensors, z_dim, classes, tuple(widths), lr, labels, embedded)
