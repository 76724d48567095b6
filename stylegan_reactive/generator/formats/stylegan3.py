# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN 3 out of NVIDIA's PyTorch pickles: the modules' tensors and plain attributes, and nothing of their code.

A layer's filters are stored; its factors, its padding and the sizes of its maps are attributes of its module. All of it
is read from there: the names of layers, which tell size and channels, are only compared.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..stylegan3 import StyleGAN3, StyleGAN3Config
from .modules import Module, generator_module
from .nvidia_pytorch import mapping_config
from .tensors import Reading, Tensors, expected_shapes, shown

MOST_NUMBERS = 64  # of an attribute
KNOWN_CLASSES = {
    "Generator",
    "MappingNetwork",
    "SynthesisNetwork",
    "SynthesisInput",
    "SynthesisLayer",
    "FullyConnectedLayer",
}


def recognise(data: object) -> bool:
    """Whether plain data out of a file is a network whose synthesis begins with waves."""
    module = generator_module(data)
    waves = None if module is None else module.child("synthesis.input")
    return waves is not None and {"freqs", "phases"} <= waves.get("_buffers", {}).keys()


def read(data: object, path: Path) -> Reading:
    """Turn it into a StyleGAN 3.

    Raises
    ------
    CheckpointError
        With file, tensor or attribute and what was expected, if the file is not exactly such a network.
    """
    module = generator_module(data)
    assert module is not None
    return Reader(module, path).read()


class Reader:
    """One network on its way from a file's modules to our own."""

    def __init__(self, module: Module, path: Path) -> None:
        self.module = module
        self.tensors = Tensors(path, module.tensors())

    def read(self) -> Reading:
        """All tensors, by our names, and the architecture that they and the attributes tell."""
        for path, module in self.module.walk():
            if module.class_name not in KNOWN_CLASSES:
                raise self.tensors.error(
                    f"its module {path or 'itself'} is a {module.class_name[:60]}, which no StyleGAN 3 has that we know"
                )
        names = self.layer_names()
        try:
            config = self.config(names)
        except ValueError as error:
            raise self.tensors.error(f"it is no StyleGAN 3 that we know: {error}") from error
        own = dict(zip(names, config.layer_names[1:], strict=True))
        state = {}
        for name, shape in expected_shapes(StyleGAN3, config).items():
            layer = next((theirs for theirs, ours in own.items() if name.startswith(f"synthesis.{ours}.")), None)
            there = name if layer is None else name.replace(own[layer], layer, 1)
            if name != "mapping.w_avg" or self.tensors.has(name):
                state[name] = self.tensors.take(there, shape)
        self.tensors.finish()
        return Reading(StyleGAN3, config, state)

    def layer_names(self) -> list[str]:
        """The layers after the input, in order."""
        synthesis = self.child("synthesis")
        names = [name for name in synthesis.children if name != "input"]
        listed = synthesis.get("layer_names", names)
        if not isinstance(listed, list | tuple) or list(listed) != names:
            raise self.tensors.error(f"synthesis.layer_names is {shown(listed)}, but its layers are {names}")
        if not names:
            raise self.tensors.error("its synthesis network has no layers")
        return names

    def config(self, names: list[str]) -> StyleGAN3Config:
        """The architecture."""
        tensors = self.tensors
        weights = [tensors.shape(f"synthesis.{name}.weight") for name in names]
        for name, shape in zip(names, weights, strict=True):
            if len(shape) != 4 or shape[2] != shape[3]:
                raise tensors.error(
                    f"its tensor synthesis.{name}.weight has shape {list(shape)}; "
                    "[channels out, channels in, k, k] was expected"
                )
        layers = [f"synthesis.{name}" for name in names]
        filters = {side: [self.filter_shape(f"{layer}.{side}_filter") for layer in layers] for side in ("up", "down")}
        pads = [self.padding(layer) for layer in layers]
        self.check_layers(layers)
        self.check_linear()
        return StyleGAN3Config(
            mapping=mapping_config(self.module, tensors),
            resolution=self.size(layers[-1], "out_size"),
            channels=(tensors.sizes("synthesis.input.weight", 2)[0], *(shape[0] for shape in weights)),
            sizes=(self.size("synthesis.input", "size"), *(self.size(layer, "out_size") for layer in layers)),
            input_sampling_rate=self.number("synthesis.input", "sampling_rate"),
            input_bandwidth=self.number("synthesis.input", "bandwidth"),
            conv_kernels=tuple(shape[2] for shape in weights),
            up=tuple(self.integer(layer, "up_factor") for layer in layers),
            down=tuple(self.integer(layer, "down_factor") for layer in layers),
            up_taps=tuple(shape[0] for shape in filters["up"]),
            down_taps=tuple(shape[0] for shape in filters["down"]),
            down_radial=tuple(len(shape) == 2 for shape in filters["down"]),
            pad_before=tuple(pad[0] for pad in pads),
            pad_after=tuple(pad[1] for pad in pads),
            conv_clamp=self.clamp(layers),
            output_scale=self.number("synthesis", "output_scale"),
        )

    def check_layers(self, layers: list[str]) -> None:
        """The last layer alone gives colours, and each one reads what the one before gives."""
        before = self.size("synthesis.input", "size")
        for layer in layers:
            torgb, last = bool(self.attribute(layer, "is_torgb")), layer == layers[-1]
            if torgb != last:
                raise self.tensors.error(
                    f"{layer}.is_torgb is {torgb}; only the last layer was expected to give colours"
                )
            if self.size(layer, "in_size") != before:
                raise self.tensors.error(
                    f"{layer}.in_size is {self.size(layer, 'in_size')} px; {before} px, which it is given, was expected"
                )
            before = self.size(layer, "out_size")

    def check_linear(self) -> None:
        """Linear layers compute what ours do."""
        for path, module in self.module.walk():
            name = path.rsplit(".", 1)[-1]
            if not (name in ("affine", "embed") or path.startswith("mapping.fc")):
                continue
            inputs = self.tensors.shape(f"{path}.weight")[-1]
            rate = self.number(path, "bias_gain") if path.startswith("mapping.fc") else 1.0
            activation = "lrelu" if path.startswith("mapping.fc") else "linear"
            gains = {"weight_gain": rate / math.sqrt(max(1, inputs)), "bias_gain": rate}
            for attribute, gain in gains.items():
                if not math.isclose(self.number(path, attribute), gain, rel_tol=1e-4):
                    raise self.tensors.error(
                        f"{path}.{attribute} is {self.number(path, attribute):.6g}; {gain:.6g} was expected"
                    )
            if module.get("activation") != activation:
                raise self.tensors.error(
                    f"{path}.activation is {str(module.get('activation'))[:40]}; {activation} was expected"
                )

    def child(self, path: str) -> Module:
        """A module that must be there."""
        found = self.module.child(path)
        if found is None:
            raise self.tensors.error(f"it lacks the module {path}")
        return found

    def attribute(self, path: str, name: str) -> Any:
        """A plain attribute that must be there, numpy's numbers and arrays as Python's own."""
        module = self.child(path)
        if name not in module.state:
            raise self.tensors.error(f"its module {path} lacks the attribute {name}")
        value = module.get(name)
        if isinstance(value, np.ndarray) and value.size > MOST_NUMBERS:
            raise self.tensors.error(f"{path}.{name} has {value.size} numbers; a few were expected")
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

    def number(self, path: str, name: str) -> float:
        """A finite number."""
        value = self.attribute(path, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self.tensors.error(f"{path}.{name} is {shown(value)}; a number was expected")
        return float(value)

    def integer(self, path: str, name: str) -> int:
        """A whole number."""
        value = self.number(path, name)
        if value != int(value):
            raise self.tensors.error(f"{path}.{name} is {value}; a whole number was expected")
        return int(value)

    def size(self, path: str, name: str) -> int:
        """Height and width of a map, which must be alike."""
        value = self.attribute(path, name)
        sides = value if isinstance(value, list | tuple) else [value, value]
        if len(sides) != 2 or not isinstance(sides[0], int) or sides[0] != sides[1]:
            raise self.tensors.error(f"{path}.{name} is {shown(value)}; two equal whole numbers were expected")
        return int(sides[0])

    def padding(self, path: str) -> tuple[int, int]:
        """Zeros before and after, which must be alike in both directions."""
        value = self.attribute(path, "padding")
        four = isinstance(value, list | tuple) and len(value) == 4 and all(isinstance(pad, int) for pad in value)
        if not four or list(value[:2]) != list(value[2:]):
            raise self.tensors.error(
                f"{path}.padding is {shown(value)}; four whole numbers, the same for either direction, were expected"
            )
        return value[0], value[1]

    def filter_shape(self, name: str) -> tuple[int, ...]:
        """The shape of a stored filter; (1,) without."""
        if not self.tensors.has(name):
            return (1,)
        shape = self.tensors.shape(name)
        allowed = (1, 2) if name.endswith("down_filter") else (1,)
        if len(shape) not in allowed or len(set(shape)) != 1 or shape[0] < 2:
            raise self.tensors.error(f"its tensor {name} has shape {list(shape)}; a filter was expected")
        return shape

    def clamp(self, layers: list[str]) -> float | None:
        """The largest magnitude of an activation, which must be the same in all layers."""
        clamped = [self.attribute(layer, "conv_clamp") is not None for layer in layers]
        values = [
            self.number(layer, "conv_clamp") if some else None for layer, some in zip(layers, clamped, strict=True)
        ]
        if any(value != values[0] for value in values):
            raise self.tensors.error(f"conv_clamp differs from layer to layer: {values[:16]}; one was expected")
        return values[0]
