# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2 out of NVIDIA's TensorFlow pickles, of 2019 (version 4) and of StyleGAN2-ADA (version 5).

The file is a tuple of three networks; the last is the average one. A network holds its variables as numpy arrays, those
of its mapping and synthesis in components. Shapes tell the architecture; the few settings that have no variables
(a clamp, the filter, the mapping's learning rate) are plain values in ``static_kwargs``, if they differ from the
published defaults.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..mapping import MappingConfig
from ..stylegan2 import StyleGAN2, StyleGAN2Config
from ..unpickle import PlainObject
from .tensors import Reading, Tensors, shown

SIGN = "synthesis/4x4/Conv/mod_weight"  # a StyleGAN 1 has "StyleMod" instead
REQUIRED_SETTINGS: dict[str, Any] = {
    "mapping_nonlinearity": "lrelu",
    "nonlinearity": "lrelu",
    "normalize_latents": True,
}


def network_variables(data: object) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Variables (``mapping/Dense0/weight``) and settings of the last network in a file; None if there is none."""
    network: Any = data[-1] if isinstance(data, tuple | list) and data else data
    if not is_network(network):
        return None
    variables: dict[str, Any] = own_variables(network)
    settings: dict[str, Any] = own_settings(network)
    components = network.state.get("components")
    for name, component in components.items() if isinstance(components, dict) else ():
        if is_network(component):
            settings |= own_settings(component)
            variables |= {f"{name}/{variable}": value for variable, value in own_variables(component).items()}
    return variables, settings


def is_network(value: Any) -> bool:
    """Whether a value is a network of NVIDIA's TensorFlow library."""
    return (
        isinstance(value, PlainObject)
        and value.name == "Network"
        and value.module.endswith("tflib.network")
        and isinstance(value.state, dict)
    )


def own_variables(network: PlainObject) -> dict[str, Any]:
    """The variables of a network without its components."""
    pairs = network.state.get("variables")
    if not isinstance(pairs, list | tuple):
        return {}
    return {pair[0]: pair[1] for pair in pairs if isinstance(pair, tuple | list) and len(pair) == 2}


def own_settings(network: PlainObject) -> dict[str, Any]:
    """What a network was made with, where that is plain."""
    found = network.state.get("static_kwargs")
    return dict(found) if isinstance(found, dict) else {}


def recognise(data: object) -> bool:
    """Whether the data are networks of NVIDIA's TensorFlow library, the last of them a StyleGAN2."""
    found = network_variables(data)
    return found is not None and SIGN in found[0]


def read(data: object, path: Path) -> Reading:
    """The last network, which is the average one.

    Raises
    ------
    CheckpointError
        If it is a variant that we do not know, or a variable is missing, surplus or wrong.
    """
    found = network_variables(data)
    assert found is not None
    variables, settings = found
    tensors = Tensors(path, variables)
    check_settings(settings, tensors)
    growing_to_orig(tensors)
    levels = len(tensors.names(r"synthesis/\d+x\d+/Conv1/weight"))
    sizes = [4 << level for level in range(levels + 1)]
    last = f"synthesis/{sizes[-1]}x{sizes[-1]}"
    connection = "orig"
    if tensors.has(f"{last}/Skip/weight"):
        connection = "resnet"
    elif tensors.has("synthesis/4x4/ToRGB/weight"):
        connection = "skip"
    layers = ["synthesis/4x4/Conv", *(f"synthesis/{size}x{size}/Conv1" for size in sizes[1:])]
    config = StyleGAN2Config(
        mapping=mapping_config(tensors, settings),
        resolution=sizes[-1],
        channels=tuple(tensors.sizes(f"{layer}/weight", 4)[-1] for layer in layers),
        img_channels=tensors.sizes(f"{last}/ToRGB/weight", 4)[-1],
        conv_clamp=conv_clamp(settings, tensors),
        connection=connection,
        resample_taps=resample_taps(settings, tensors),
        noise=tensors.has("synthesis/4x4/Conv/noise_strength"),
    )
    state = mapping_state(tensors, config.mapping)
    state["synthesis.b4.const"] = tensors.take("synthesis/4x4/Const/const", (1, config.channels[0], 4, 4))[0]
    for level, size in enumerate(sizes):
        state |= block_state(tensors, config, level, size)
    tensors.ignore(r"lod|synthesis/lod")
    tensors.finish()
    return Reading(StyleGAN2, config, state)


def check_settings(settings: dict[str, Any], tensors: Tensors) -> None:
    """Refuse settings whose arithmetic we do not know."""
    for name, expected in REQUIRED_SETTINGS.items():
        value = settings.get(name, expected)
        if not (type(value) is type(expected) and value == expected):
            raise tensors.error(f"it was made with {name} = {shown(value)}; only {expected} is known to us")


def growing_to_orig(tensors: Tensors) -> None:
    """Networks that grew while they were trained (configurations B to D) keep the colours of every size.

    Only the last are used once they have grown; the others, and the variable that tells how far they have, are not.
    """
    lod = "ToRGB_lod0/"
    names = tensors.names(r"synthesis/ToRGB_lod\d+/.*")
    if not names:
        return
    if tensors.has("synthesis/lod") and float(tensors.take("synthesis/lod", ())) != 0:
        raise tensors.error("it has not grown to its full size yet (synthesis/lod is not 0)")
    levels = len(tensors.names(r"synthesis/\d+x\d+/Conv1/weight"))
    place = f"synthesis/{4 << levels}x{4 << levels}/ToRGB/"
    for name in names:
        if lod in name:
            renamed = place + name.split(lod)[1]
            tensors.mapping[renamed] = tensors.mapping[name]
            tensors.left.add(renamed)
    tensors.ignore(r"synthesis/ToRGB_lod\d+/.*")


def number(settings: dict[str, Any], name: str, default: float, tensors: Tensors) -> float:
    """A setting that must be a number above zero."""
    value = settings.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise tensors.error(f"its setting {name} is not a number above zero")
    return float(value)


def conv_clamp(settings: dict[str, Any], tensors: Tensors) -> float | None:
    """What the layers are clamped to; without the setting they are not."""
    return None if settings.get("conv_clamp") is None else number(settings, "conv_clamp", 0, tensors)


def resample_taps(settings: dict[str, Any], tensors: Tensors) -> tuple[float, ...]:
    """The filter of the upsampling."""
    taps = settings.get("resample_kernel", [1, 3, 3, 1])
    if taps is None:  # a box
        return 1.0, 1.0
    if not isinstance(taps, list | tuple) or not all(type(tap) in (int, float) for tap in taps):
        raise tensors.error("its resample_kernel is not a list of numbers, the only kind that we know")
    return tuple(float(tap) for tap in taps)


def mapping_config(tensors: Tensors, settings: dict[str, Any]) -> MappingConfig:
    """Depth, widths and classes off the variables."""
    depth = len(tensors.names(r"mapping/Dense\d+/weight"))
    if not depth:
        raise tensors.error("it lacks the variable mapping/Dense0/weight")
    widths = tuple(tensors.sizes(f"mapping/Dense{index}/weight", 2)[1] for index in range(depth))
    c_dim = embed_dim = 0
    labels = "concat" if tensors.has("mapping/LabelConcat/weight") else "embed"
    for name in ("LabelConcat", "LabelEmbed"):
        if tensors.has(f"mapping/{name}/weight"):
            c_dim, embed_dim = tensors.sizes(f"mapping/{name}/weight", 2)
    z_dim = tensors.sizes("mapping/Dense0/weight", 2)[0] - embed_dim
    rate = number(settings, "mapping_lrmul", 0.01, tensors)
    return MappingConfig(z_dim, c_dim, widths[-1], widths, rate, labels, embed_dim)


def mapping_state(tensors: Tensors, config: MappingConfig) -> dict[str, Tensor]:
    """The mapping network under our names."""
    state: dict[str, Tensor] = {}
    for name in ("dlatent_avg", "w_avg"):
        if tensors.has(name):
            state["mapping.w_avg"] = tensors.take(name, (config.w_dim,))
    features = config.z_dim + config.embed_dim
    for index, width in enumerate(config.widths):
        weight = tensors.take(f"mapping/Dense{index}/weight", (features, width))
        state[f"mapping.fc{index}.weight"] = weight.T.contiguous()
        state[f"mapping.fc{index}.bias"] = tensors.take(f"mapping/Dense{index}/bias", (width,))
        features = width
    if config.c_dim and config.labels == "concat":  # used as it is, where ours scales by 1 / sqrt(classes)
        weight = tensors.take("mapping/LabelConcat/weight", (config.c_dim, config.embed_dim))
        state["mapping.embed.weight"] = weight.T.contiguous() * math.sqrt(config.c_dim)
        state["mapping.embed.bias"] = torch.zeros(config.embed_dim)
    elif config.c_dim:
        weight = tensors.take("mapping/LabelEmbed/weight", (config.c_dim, config.embed_dim))
        state["mapping.embed.weight"] = weight.T.contiguous()
        state["mapping.embed.bias"] = tensors.take("mapping/LabelEmbed/bias", (config.embed_dim,))
    return state


def block_state(tensors: Tensors, config: StyleGAN2Config, level: int, size: int) -> dict[str, Tensor]:
    """All that happens at one resolution, under our names."""
    ours, theirs = f"synthesis.b{size}", f"synthesis/{size}x{size}"
    channels, before = config.channels[level], config.channels[max(level - 1, 0)]
    w_dim = config.mapping.w_dim
    state: dict[str, Tensor] = {}

    def convolution(name: str, source: str, channels_in: int, noise: int, *, up: bool = False) -> None:
        weight = tensors.take(f"{source}/weight", (3, 3, channels_in, channels)) / math.sqrt(9 * channels_in)
        if up:  # TensorFlow's transposed convolution has its kernel the other way round
            weight = weight.flip(0, 1)
        state[f"{name}.weight"] = weight.permute(3, 2, 0, 1).contiguous()
        state[f"{name}.bias"] = tensors.take(f"{source}/bias", (channels,))
        affine(name, source, channels_in)
        if config.noise:
            state[f"{name}.noise_strength"] = tensors.take(f"{source}/noise_strength", ())
            state[f"{name}.noise_const"] = tensors.take(f"synthesis/noise{noise}", (1, 1, size, size))[0, 0]

    def affine(name: str, source: str, channels_in: int) -> None:
        weight = tensors.take(f"{source}/mod_weight", (w_dim, channels_in))
        state[f"{name}.affine.weight"] = weight.T.contiguous()
        state[f"{name}.affine.bias"] = tensors.take(f"{source}/mod_bias", (channels_in,)) + 1

    if level:
        convolution(f"{ours}.conv0", f"{theirs}/Conv0_up", before, 2 * level - 1, up=True)
    convolution(f"{ours}.conv1", f"{theirs}/{'Conv1' if level else 'Conv'}", channels, 2 * level)
    if config.connection == "skip" or size == config.resolution:
        weight = tensors.take(f"{theirs}/ToRGB/weight", (1, 1, channels, config.img_channels))
        state[f"{ours}.torgb.weight"] = weight.permute(3, 2, 0, 1).contiguous()
        state[f"{ours}.torgb.bias"] = tensors.take(f"{theirs}/ToRGB/bias", (config.img_channels,))
        affine(f"{ours}.torgb", f"{theirs}/ToRGB", channels)
    if config.connection == "resnet" and level:
        weight = tensors.take(f"{theirs}/Skip/weight", (1, 1, before, channels))
        state[f"{ours}.skip.weight"] = weight.permute(3, 2, 0, 1).contiguous()
    return state
