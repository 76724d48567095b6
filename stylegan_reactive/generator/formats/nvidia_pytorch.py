# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2 out of NVIDIA's PyTorch pickles (stylegan2-ada-pytorch, stylegan3, and forks that keep their modules).

The pickle's modules hold everything as plain attributes (``conv_clamp``, ``activation``, ``bias_gain``, ...); the rest
is read off the tensors. What the modules were made with (``_init_kwargs``) is not needed. Names are ours already.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from ..mapping import MappingConfig
from ..stylegan2 import StyleGAN2, StyleGAN2Config
from .filters import filter_taps
from .modules import Module, generator_module
from .tensors import Reading, Tensors, expected_shapes, shown

KNOWN_CLASSES = {
    "Generator",
    "MappingNetwork",
    "SynthesisNetwork",
    "SynthesisBlock",
    "SynthesisLayer",
    "ToRGBLayer",
    "FullyConnectedLayer",
    "Conv2dLayer",
}
ACTIVATIONS = {"lrelu": math.sqrt(2), "linear": 1.0}  # and their gains
NEAR = 1e-4


def recognise(data: object) -> bool:
    """Whether this is a pickle with a StyleGAN2 generator of NVIDIA's PyTorch code."""
    module = generator_module(data)
    return module is not None and module.child("synthesis.b4") is not None and module.child("mapping") is not None


def read(data: object, path: Path) -> Reading:
    """The generator (the average one if there is one).

    Raises
    ------
    CheckpointError
        If it is a variant that we do not know, or a tensor is missing, surplus or wrong.
    """
    module = generator_module(data)
    assert module is not None
    tensors = Tensors(path, module.tensors())
    check_classes(module, tensors)
    resolutions = block_resolutions(module, tensors)
    blocks = [child(module, f"synthesis.b{resolution}", tensors) for resolution in resolutions]
    layers = [layer for block in blocks for layer in block.children.values() if layer.class_name == "SynthesisLayer"]
    colours = [block.children["torgb"] for block in blocks if "torgb" in block.children]
    if not colours or len(layers) != 2 * len(blocks) - 1:
        raise tensors.error("it is not a StyleGAN2: it lacks layers")
    check_attributes(layers, colours, module, tensors)
    config = StyleGAN2Config(
        mapping=mapping_config(module, tensors),
        resolution=resolutions[-1],
        channels=tuple(tensors.sizes(f"synthesis.b{resolution}.conv1.weight", 4)[0] for resolution in resolutions),
        img_channels=tensors.sizes(f"synthesis.b{resolutions[-1]}.torgb.weight", 4)[0],
        conv_clamp=conv_clamp([*layers, *colours], tensors),
        connection=connection(blocks, tensors),
        resample_taps=resample_taps(module, tensors),
        noise=same([layer.get("use_noise") for layer in layers], "use_noise", (True, False), tensors),
    )
    expected = expected_shapes(StyleGAN2, config)
    if not tensors.has("mapping.w_avg"):  # where no average was kept, it is computed after loading
        del expected["mapping.w_avg"]
    state = {name: tensors.take(name, shape) for name, shape in expected.items()}
    tensors.ignore(r".*\.resample_filter")
    if not config.noise:
        tensors.ignore(r".*\.(noise_const|noise_strength)")
    tensors.finish()
    return Reading(StyleGAN2, config, state)


def child(module: Module, name: str, tensors: Tensors) -> Module:
    """A module that must be there."""
    found = module.child(name)
    if found is None:
        raise tensors.error(f"it lacks the module {name}. Copy or download it again")
    return found


def same(values: Iterable[Any], name: str, allowed: Iterable[Any], tensors: Tensors) -> Any:
    """The one value that all modules have, which must be among those that we know."""
    found = list(values)
    known = list(allowed)
    for value in found:
        if not any(type(value) is type(one) and value == one for one in known):
            raise tensors.error(
                f"its layers have {name} = {shown(value)}; {' or '.join(map(repr, known))} was expected. It is a "
                "variant that we do not know"
            )
    if any(value != found[0] for value in found):
        raise tensors.error(f"its layers have different {name}. It is a variant that we do not know")
    return found[0]


def check_classes(module: Module, tensors: Tensors) -> None:
    """Refuse modules whose arithmetic we do not know."""
    for path, inner in module.walk():
        if inner.class_name not in KNOWN_CLASSES:
            raise tensors.error(
                f"its module {path or 'itself'} is a {inner.class_name[:60]}, which no StyleGAN2 has that we know"
            )


def block_resolutions(module: Module, tensors: Tensors) -> tuple[int, ...]:
    """4, 8, ... up to the picture's size."""
    names = [name for name in child(module, "synthesis", tensors).children if re.fullmatch(r"b\d{1,5}", name)]
    found = tuple(4 << level for level in range(len(names)))
    if sorted(int(name[1:]) for name in names) != list(found):
        raise tensors.error(f"its blocks are {', '.join(names[:12])}; b4, b8, b16, ... were expected")
    return found


def number(value: Any) -> float:
    """A plain attribute as a number; NaN for anything else, which is near to nothing."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def check_attributes(layers: list[Module], colours: list[Module], module: Module, tensors: Tensors) -> None:
    """The plain numbers in the modules, against the arithmetic that ours has."""
    same([layer.get("activation") for layer in layers], "activation", ("lrelu",), tensors)
    for path, layer in module.walk():
        name = path.rsplit(".", 1)[-1]
        numbers: dict[str, float] = {}
        if layer.class_name == "SynthesisLayer":
            numbers = {"act_gain": ACTIVATIONS["lrelu"], "up": 2.0 if name == "conv0" else 1.0, "padding": 1.0}
        elif layer.class_name == "ToRGBLayer":
            numbers = {"weight_gain": 1 / math.sqrt(fan_in(path, tensors))}
        elif layer.class_name == "Conv2dLayer":
            numbers = {"weight_gain": 1 / math.sqrt(fan_in(path, tensors)), "up": 2.0, "down": 1.0}
            same([layer.get("activation")], f"{path}.activation", ("linear",), tensors)
            same([layer.get("conv_clamp")], f"{path}.conv_clamp", (None,), tensors)
        elif layer.class_name == "FullyConnectedLayer":
            rate = number(layer.get("bias_gain")) if name.startswith("fc") else 1.0
            numbers = {"weight_gain": rate / math.sqrt(fan_in(path, tensors)), "bias_gain": rate}
            known = "lrelu" if name.startswith("fc") else "linear"
            same([layer.get("activation")], f"{path}.activation", (known,), tensors)
        for attribute, expected in numbers.items():
            found = number(layer.get(attribute, expected if attribute == "down" else None))
            if not abs(found - expected) <= NEAR * abs(expected):
                raise tensors.error(
                    f"its layer {path} has {attribute} = {found:.6g}; {expected:.6g} was expected. It is a variant "
                    "that we do not know"
                )


def fan_in(path: str, tensors: Tensors) -> int:
    """How many values go into each value of a layer."""
    return max(math.prod(tensors.shape(f"{path}.weight")[1:]), 1)


def mapping_config(module: Module, tensors: Tensors) -> MappingConfig:
    """Depth, widths and classes off the tensors; the learning rate's factor off the layers."""
    mapping = child(module, "mapping", tensors)
    depth = len([name for name in mapping.children if re.fullmatch(r"fc\d{1,3}", name)])
    if not depth:
        raise tensors.error("its mapping network has no layers")
    widths = tuple(tensors.sizes(f"mapping.fc{index}.bias", 1)[0] for index in range(depth))
    rates = [number(child(mapping, f"fc{index}", tensors).get("bias_gain")) for index in range(depth)]
    if any(rate != rates[0] for rate in rates):
        raise tensors.error("the layers of its mapping network have different learning rates, which we do not know")
    c_dim = embed_dim = 0
    if "embed" in mapping.children:
        embed_dim, c_dim = tensors.sizes("mapping.embed.weight", 2)
    z_dim = tensors.sizes("mapping.fc0.weight", 2)[1] - embed_dim
    return MappingConfig(z_dim, c_dim, widths[-1], widths, rates[0], "embed", embed_dim)


def conv_clamp(layers: list[Module], tensors: Tensors) -> float | None:
    """What all layers are clamped to."""
    values = [layer.get("conv_clamp") for layer in layers]
    if not all(value is None or number(value) > 0 for value in values) or any(value != values[0] for value in values):
        raise tensors.error("its layers have different or impossible conv_clamp. It is a variant that we do not know")
    return None if values[0] is None else number(values[0])


def connection(blocks: list[Module], tensors: Tensors) -> str:
    """Skip, orig or resnet: as the blocks say it, and as their layers show it."""
    rgb, around = (["torgb" in block.children for block in blocks], ["skip" in block.children for block in blocks[1:]])
    shown = "skip" if all(rgb) else "resnet" if all(around) else "orig"
    architectures = [block.get("architecture") for block in blocks]
    found: str = same(architectures, "architecture", ("skip", "orig", "resnet"), tensors)
    if found != shown:
        raise tensors.error(f'its blocks say that they are "{found}", but their layers are those of "{shown}"')
    return found


def resample_taps(module: Module, tensors: Tensors) -> tuple[float, ...]:
    """The one filter of all layers."""
    names = tensors.names(r"synthesis\..*\.resample_filter")
    filtering = [path for path, inner in module.walk() if inner.class_name in ("SynthesisBlock", "SynthesisLayer")]
    names += [f"{path}.resample_filter" for path in filtering if f"{path}.resample_filter" not in names]
    first = tensors.take(names[0])
    for name in names[1:]:
        value = tensors.take(name)
        if value.shape != first.shape or not torch.equal(value, first):
            raise tensors.error(f"its layers have different filters: {names[0]} and {name}")
    taps = filter_taps(first)
    if taps is None or abs(float(first.sum()) - 1) > NEAR:
        raise tensors.error(f"its filter {names[0]} is not a product of two equal ones with the sum 1")
    return taps
