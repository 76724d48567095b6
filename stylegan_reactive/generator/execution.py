# SPDX-License-Identifier: GPL-3.0-or-later
"""How a generator is run on its device: precision, algorithms, captured graphs. None of it changes what it means.

Nothing here has to be called: without it, a network runs in float32 by fixed rules.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .base import HALF_LEVELS, Generator, Noise
from .convolution import Modulation
from .plan import LayerShape, Plan, PreparedWeights, machine, ready
from .stylegan2 import StyleGAN2
from .workspace import Workspace

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
CLEARLY_FASTER = 1.25  # how much faster than the default an algorithm must be measured to take its place
REPEATS = 3
HALF_TOLERANCE = 0.7 / 255
TEST_PICTURES = 2


@dataclass(frozen=True)
class Execution:
    """What `prepare` chose.

    Attributes
    ----------
    device : str
        Where the network is.
    precision : str
        "float32", "float16" or "bfloat16".
    half_from : int or None
        The lowest resolution that is painted in half precision (StyleGAN 3: samples per width of the picture); None:
        all are painted in float32.
    algorithms : dict
        Of a StyleGAN2 on a CPU: each convolution's shape and the algorithm that it uses.
    """

    device: str
    precision: str
    half_from: int | None
    algorithms: dict[str, str]


def prepare(generator: Generator, *, precision: str = "auto", plan_cache: Path | None = None) -> Execution:
    """Choose how a generator is run from now on.

    Parameters
    ----------
    generator : Generator
        On the device where it is to stay.
    precision : str
        "float32", "float16", "bfloat16", or "auto": float16 on a CUDA or ROCm card, float32 elsewhere (a CPU is slower
        in half precision, and MPS was not measured). Half precision is used for as many of the four highest
        resolutions as keep two test pictures within 0.7 / 255 of the float32 ones on average; for none, if even one
        is too much (the built-in network, whose layers subtract large numbers from each other).
    plan_cache : Path or None
        A folder for measured plans; None: nothing is measured and the fixed rules hold. On a CPU the algorithms are
        measured once for this StyleGAN2 on this machine (`tune`), and the plan is kept there for later processes, so
        that a film which is rendered in several runs uses the same algorithms throughout. Without the folder the
        same holds, for all machines alike. Algorithms differ by rounding only.

    Returns
    -------
    Execution
        What was chosen.

    Raises
    ------
    ValueError
        For an unknown precision.
    """
    if precision != "auto" and precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; it can be auto, {', '.join(PRECISIONS)}")
    device = generator.device
    if precision == "auto":
        precision = "float16" if device.type == "cuda" else "float32"
    generator.synthesis.half_dtype = None
    if precision != "float32":
        levels = possible_half_levels(generator, PRECISIONS[precision])
        if levels:
            generator.synthesis.half_dtype, generator.synthesis.half_levels = PRECISIONS[precision], levels
            return Execution(str(device), precision, generator.synthesis.half_from, {})
    if device.type != "cpu" or not isinstance(generator, StyleGAN2):
        return Execution(str(device), "float32", None, {})
    synthesis = generator.synthesis
    if plan_cache is not None:
        path = plan_cache / plan_name(generator)
        plan = Plan.load(path)
        if plan is None:
            plan = tune(generator)
            plan.save(path)
        synthesis.painter.plan = plan
    plan = synthesis.painter.plan
    return Execution(
        str(device), "float32", None, {str(shape): plan.algorithm(shape) for shape in layer_shapes(generator)}
    )


@torch.no_grad()
def possible_half_levels(generator: Generator, dtype: torch.dtype) -> int:
    """How many of the highest resolutions can be painted in half precision without a visible difference."""
    synthesis = generator.synthesis
    z = torch.randn(TEST_PICTURES, generator.z_dim, generator=torch.Generator().manual_seed(0))
    classes = torch.eye(generator.c_dim)[[0] * TEST_PICTURES] if generator.c_dim else None
    ws = generator.mapping(z.to(generator.device), None if classes is None else classes.to(generator.device))
    pictures = synthesis(ws)
    tried: set[int] = set()
    try:
        for count in range(HALF_LEVELS, 0, -1):
            synthesis.half_dtype, synthesis.half_levels = dtype, count
            if synthesis.half_from in tried or synthesis.half_from > synthesis.size[0]:
                continue  # a small network has fewer
            tried.add(synthesis.half_from)
            difference = float((synthesis(ws) - pictures).abs().mean())
            if difference <= HALF_TOLERANCE:  # never true of NaN
                return count
    finally:
        synthesis.half_dtype = None
    return 0


def layer_shapes(generator: StyleGAN2) -> tuple[LayerShape, ...]:
    """The 3x3 convolutions of a network, each shape once."""
    shapes: dict[LayerShape, None] = {}
    for name, layer in zip(generator.synthesis.conv_names, generator.synthesis.layers, strict=True):
        size = int(name[1 : name.index(".")]) // (2 if layer.up else 1)
        shapes[LayerShape("up" if layer.up else "same", layer.weight.shape[1], layer.weight.shape[0], size, size)] = (
            None
        )
    return tuple(shapes)


def plan_name(generator: StyleGAN2) -> str:
    """The plan's file name: it depends on the network's shapes and on the machine."""
    text = "\n".join([machine(), *map(str, layer_shapes(generator))])
    return f"plan-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


@torch.no_grad()
def tune(generator: StyleGAN2) -> Plan:
    """Measure the algorithms of each convolution on this CPU; about one to five seconds.

    The fixed rule stays where nothing else is clearly faster (by a quarter), so that noise decides nothing.
    """
    choices = {}
    for shape in layer_shapes(generator):
        times = {name: seconds(shape, name) for name in shape.candidates}
        best = min(times, key=lambda name: times[name])
        if times[best] * CLEARLY_FASTER < times[shape.default]:
            choices[str(shape)] = best
    return Plan(choices)


def seconds(shape: LayerShape, algorithm: str) -> float:
    """How long one strip of a convolution takes with one picture's weights, the median of a few."""
    scale = 2 if shape.kind == "up" else 1
    rows = min(shape.strip_rows // scale, shape.height)
    border = 2 if shape.kind == "same" else 0
    strip = torch.randn(rows + border, shape.width + border, shape.channels_in)
    weight = torch.randn(shape.channels_out, shape.channels_in, 3, 3)
    ones = torch.ones(shape.channels_out)
    modulation = Modulation(torch.ones(shape.channels_in), ones, ones)
    room, prepared = Workspace(), PreparedWeights()
    share = rows / shape.height  # the weights are made ready once for all strips
    taken = []
    for repeat in range(REPEATS + 1):
        start = time.perf_counter()
        layer = ready(algorithm, "tune", weight, shape, modulation, prepared, room)
        middle = time.perf_counter()
        if layer.scale is not None:
            strip.mul_(layer.scale)
        layer.run(strip)
        if repeat:  # the first one prepares
            taken.append((middle - start) * share + time.perf_counter() - middle)
    return statistics.median(taken)


def captured(generator: Generator, batch: int = 1) -> Callable[[Tensor, Noise], Tensor]:
    """``generator.synthesis(ws, noise)`` as one CUDA graph, without the cost of starting its hundreds of operations.

    For pictures without bends, rewrites or a canvas. Where there is no CUDA, or the capture fails, or a call's batch or
    noise is of another kind, the ordinary call is made instead. The weights must not change afterwards.

    Returns
    -------
    callable
        ws [batch, num_ws, w_dim] and noise ("const", or one tensor per input) to pictures; a new tensor each time.
    """
    plain: Callable[[Tensor, Noise], Tensor] = generator.synthesis
    if generator.device.type != "cuda":
        return plain
    try:
        ws = torch.zeros(batch, generator.num_ws, generator.w_dim, device=generator.device)
        ws += generator.w_avg
        maps = [
            constant[None, None].expand(batch, 1, -1, -1).clone() for constant in generator.synthesis.noise_constants
        ]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # type: ignore[no-untyped-call]
            for _ in range(3):
                generator.synthesis(ws, maps)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            picture = generator.synthesis(ws, maps)
    except RuntimeError:
        return plain

    def replay(new_ws: Tensor, noise: Noise = "const") -> Tensor:
        if new_ws.shape != ws.shape or new_ws.requires_grad or noise == "none":
            return plain(new_ws, noise)
        given = [None] * len(maps) if isinstance(noise, str) else noise
        ws.copy_(new_ws)
        for kept, tensor, constant in zip(maps, given, generator.synthesis.noise_constants, strict=True):
            kept.copy_(constant[None, None] if tensor is None else tensor)
        graph.replay()
        return picture.clone()

    return replay
