# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures per second of StyleGAN2 beside a plain textbook version of the same network, and peak memory.

The textbook version is written out below: each sample gets its own modulated and demodulated weights, a batch becomes
one grouped convolution, upsampling is a transposed convolution and a depthwise filter, and memory is left to the C
library. Each version runs in a process of its own, and they take turns picture by picture, so a busy machine slows all
of them, and a ratio of medians is worth more than the numbers. The networks have random weights, 32768 / resolution
channels (at most 512) and noise; the last ones are the built-in networks.

    PYTHONPATH=. python benchmarks/generator.py                  256 px and the built-in networks
    PYTHONPATH=. python benchmarks/generator.py --all            64 to 1024 px: make bench-generator
    PYTHONPATH=. python benchmarks/generator.py --cuda           on a CUDA card, in half precision, beside its ceilings
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_reactive.builtin_networks import BUILTIN_NETWORKS
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, load_generator
from stylegan_reactive.generator.execution import captured, layer_shapes, prepare
from stylegan_reactive.generator.layers import LRELU_GAIN, LRELU_SLOPE
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.stylegan2 import SynthesisLayer, ToRGB
from stylegan_reactive.generator.workspace import keep_freed_memory

CHANNEL_BASE, MOST_CHANNELS = 32768, 512
SIZES = (64, 128, 256, 512, 1024)
VERSIONS = ("textbook", "ours", "engine", "bent")


def filtered(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Each channel filtered alike."""
    return F.conv2d(x, kernel.to(x.dtype).repeat(x.shape[1], 1, 1, 1), padding=padding, groups=x.shape[1])


def textbook_layer(layer: SynthesisLayer, x: Tensor, w: Tensor) -> Tensor:
    """Modulate and demodulate the weights of each sample, then one grouped convolution for the batch."""
    batch, channels_in, height, width = x.shape
    weight = layer.weight[None] * layer.affine(w)[:, None, :, None, None]
    weight = weight * (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    channels_out = weight.shape[1]
    x = x.reshape(1, batch * channels_in, height, width)
    if layer.up:
        grouped = weight.transpose(1, 2).reshape(batch * channels_in, channels_out, 3, 3)
        x = filtered(F.conv_transpose2d(x, grouped, stride=2, groups=batch), 4 * layer.kernel, padding=1)
    else:
        grouped = weight.reshape(batch * channels_out, channels_in, 3, 3)
        x = F.conv2d(x, grouped, padding=1, groups=batch)
    x = x.reshape(batch, channels_out, *x.shape[2:])
    x = x + layer.noise_const * layer.noise_strength
    return F.leaky_relu(x + layer.bias[:, None, None], LRELU_SLOPE) * LRELU_GAIN


def textbook_colours(torgb: ToRGB, x: Tensor, w: Tensor) -> Tensor:
    """The same without demodulation, to the picture's channels."""
    batch, channels, height, width = x.shape
    weight = torgb.weight[None] * (torgb.affine(w) * torgb.style_gain)[:, None, :, None, None]
    weight = weight.reshape(-1, channels, 1, 1)
    colours = F.conv2d(x.reshape(1, -1, height, width), weight, groups=batch)
    return colours.reshape(batch, -1, height, width) + torgb.bias[:, None, None]


def textbook_synthesis(generator: StyleGAN2, ws: Tensor) -> Tensor:
    """Skip generator with per-sample weights."""
    x = generator.synthesis.blocks[0].const.repeat(len(ws), 1, 1, 1)
    image: Tensor | None = None
    index = 0
    for block in generator.synthesis.blocks:
        if hasattr(block, "conv0"):
            x = textbook_layer(block.conv0, x, ws[:, index])
            index += 1
        x = textbook_layer(block.conv1, x, ws[:, index])
        index += 1
        colours = textbook_colours(block.torgb, x, ws[:, index])
        if image is not None:
            zeros = image.new_zeros(*image.shape[:2], 2 * image.shape[2], 2 * image.shape[3])
            zeros[:, :, ::2, ::2] = image
            image = filtered(F.pad(zeros, (2, 1, 2, 1)), 4 * generator.synthesis.kernel, padding=0)
        image = colours if image is None else image + colours
    assert image is not None
    return image


@dataclass(frozen=True)
class Unchanged:
    """A bend that needs a layer's whole map and gives it back."""

    layer: str
    side: str = "output"

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def sample(self, index: int) -> Unchanged:
        return self


def network(size: int) -> StyleGAN2:
    """A network of this size with random weights; 0, 1, ... are the built-in ones."""
    if size < len(BUILTIN_NETWORKS):
        generator = load_generator(BUILTIN_NETWORKS[size].path)
        assert isinstance(generator, StyleGAN2)
        return generator
    resolutions = [4 << level for level in range(20) if 4 << level <= size]
    torch.manual_seed(0)
    generator = StyleGAN2(
        StyleGAN2Config(
            mapping=MappingConfig(z_dim=512, c_dim=0, w_dim=512, widths=(512, 512)),
            resolution=size,
            channels=tuple(min(CHANNEL_BASE // resolution, MOST_CHANNELS) for resolution in resolutions),
        )
    )
    for layer in generator.synthesis.layers:
        layer.noise_strength.fill_(0.1)
    generator.synthesis.blocks[-1].torgb.weight.mul_(0.2)
    return generator


def latents(generator: StyleGAN2, count: int) -> Tensor:
    """The ws of some pictures, always the same."""
    return generator.mapping(torch.randn(count, generator.z_dim, generator=torch.Generator().manual_seed(0)))


# ---------------------------------------------------------------------------------- one version, in its own process


@torch.no_grad()
def serve(version: str, size: int, threads: int, stops: list[int], picture_file: str) -> None:
    """Paint a picture for each line that comes in, and answer with the seconds it took; at the end, the peak memory."""
    torch.set_num_threads(threads)
    if version == "engine":
        keep_freed_memory()
    generator = network(size)
    ws = latents(generator, 1)
    bends = [Unchanged(f"b{generator.resolution[0]}.conv1")] if version == "bent" else []

    def paint(stop: int | None) -> Tensor:
        if version == "textbook":
            return textbook_synthesis(generator, ws)
        return generator.synthesis(ws, bends=bends, stop=stop)

    start = memory()
    torch.save(paint(None), picture_file)
    for stop in stops:
        paint(stop)
    paint(None)
    for line in sys.stdin:
        stop = json.loads(line)
        begun = time.perf_counter()
        paint(stop)
        print(time.perf_counter() - begun, flush=True)
    print(start, memory(), flush=True)


def memory() -> float:
    """The most memory that this process has had so far, in MB; NaN where the system does not say."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


class Version:
    """A process that paints with one version."""

    def __init__(self, version: str, size: int, threads: int, stops: list[int], folder: Path) -> None:
        self.picture_file = folder / f"{version}.pt"
        arguments = [version, str(size), str(threads), json.dumps(stops), str(self.picture_file)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seconds: dict[int | None, list[float]] = {}

    def paint(self, stop: int | None = None, *, count: bool = True) -> None:
        """Paint one picture and note how long it took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(stop), file=self.process.stdin, flush=True)
        taken = float(self.process.stdout.readline())
        if count:
            self.seconds.setdefault(stop, []).append(taken)

    def finish(self) -> tuple[float, float]:
        """Peak memory in MB: with the network loaded, and over all."""
        out, _ = self.process.communicate()
        loaded, peak = out.split()
        return float(loaded), float(peak)

    def median(self, stop: int | None = None) -> float:
        return statistics.median(self.seconds[stop]) * 1000


def compare(size: int, repeats: int, threads: int) -> None:
    """Time all versions of one network in turns, and print a row for each."""
    generator = network(size)
    side = generator.resolution[0]
    stops = [stop for stop in (64, 128, 256, 512) if stop < side]
    with tempfile.TemporaryDirectory() as folder:
        versions = {name: Version(name, size, threads, stops, Path(folder)) for name in VERSIONS}
        for round_ in range(-1, repeats):
            for version in versions.values():
                version.paint(count=round_ >= 0)
            for stop in stops:
                versions["ours"].paint(stop, count=round_ >= 0)
        memories = {name: version.finish() for name, version in versions.items()}
        pictures = {name: torch.load(version.picture_file) for name, version in versions.items()}
    slow = versions["textbook"].median()
    name = f"{BUILTIN_NETWORKS[size].title}, " if size < len(BUILTIN_NETWORKS) else ""
    print(f"\n{name}{side} px, {threads} threads, medians of {repeats}")
    print("  version     ms a picture  pictures/s  ratio   peak MB  of it for painting  largest difference")
    for name, version in versions.items():
        difference = float((pictures[name] - pictures["textbook"]).abs().max())
        loaded, peak = memories[name]
        row = f"  {name:10} {version.median():13.1f} {1000 / version.median():11.2f} {slow / version.median():6.2f}"
        print(f"{row} {peak:9.0f} {peak - loaded:20.0f} {difference:19.1e}")
    for stop in stops:
        ours = versions["ours"].median(stop)
        print(f"  stop at {stop:3} {ours:12.1f} {1000 / ours:11.2f} {slow / ours:6.2f}{preview_cost(generator, stop)}")


@torch.no_grad()
def preview_cost(generator: StyleGAN2, stop: int) -> str:
    """How far an early stop is from the reduced full picture; random weights are no measure of that."""
    if generator.w_dim == 512:
        return ""
    ws = latents(generator, 4)
    full = generator.synthesis(ws).clamp(-1, 1)
    early = generator.synthesis(ws, stop=stop).clamp(-1, 1)
    difference = (early - F.adaptive_avg_pool2d(full, stop)).abs().mean()
    return f"   mean difference from the reduced picture {float(difference):.3f}"


# ------------------------------------------------------------------------------------------------------------- a card


def rate(work: Callable[[], object], repeats: int = 20) -> float:
    """Seconds of one call on the card, the median."""
    for _ in range(3):
        work()
    taken = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def operations(generator: StyleGAN2) -> float:
    """Floating-point operations of a picture's 3x3 convolutions, 2 for each product."""
    pairs = zip(generator.synthesis.conv_names, generator.synthesis.layers, strict=True)
    pixels = [(int(name[1 : name.index(".")]) // (2 if layer.up else 1)) ** 2 for name, layer in pairs]
    weights = [layer.weight.numel() for layer in generator.synthesis.layers]
    return sum(2.0 * size * weight for size, weight in zip(pixels, weights, strict=True))


def least_bytes(generator: StyleGAN2, value: int) -> float:
    """Bytes of a picture if each layer reads its input and weights once and writes its output once."""
    total = 0.0
    for name, layer in zip(generator.synthesis.conv_names, generator.synthesis.layers, strict=True):
        pixels = int(name[1 : name.index(".")]) ** 2
        channels_out, channels_in = layer.weight.shape[:2]
        total += pixels * channels_out + pixels // (4 if layer.up else 1) * channels_in + layer.weight.numel()
    return total * value


@torch.no_grad()
def on_cuda() -> None:
    """Half precision beside the textbook version in half precision, and the card's ceilings in the same run."""
    card = torch.device("cuda")
    a = torch.randn(8192, 8192, device=card, dtype=torch.float16)
    products = 2 * 8192**3 / rate(lambda: a @ a)
    x = torch.randn(8, 512, 128, 128, device=card, dtype=torch.float16).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(512, 512, 3, 3, device=card, dtype=torch.float16).contiguous(memory_format=torch.channels_last)
    convolutions = 2 * 9 * 512 * 512 * 128 * 128 * 8 / rate(lambda: F.conv2d(x, weight, padding=1))
    block = torch.empty(1 << 30, device=card, dtype=torch.uint8)
    bandwidth = 2 * block.numel() / rate(lambda: block.clone())
    print(
        f"{torch.cuda.get_device_name()}: products {products / 1e12:.0f} TFLOP/s, convolutions "
        f"{convolutions / 1e12:.0f} TFLOP/s, copies {bandwidth / 1e9:.0f} GB/s"
    )
    print("   px  batch  version            pictures/s  ratio  of the ceilings")
    for size in (256, 512, 1024):
        for batch in (1, 8):
            times = card_times(network(size).to(card), network(size).to(card, torch.float16), batch)
            least = operations(network(size)) / convolutions + least_bytes(network(size), 2) / bandwidth
            for name, taken in times.items():
                share, ratio = batch * least / taken, times["textbook fp16"] / taken
                print(f"{size:5} {batch:6}  {name:18} {batch / taken:10.1f} {ratio:6.2f} {share:16.2f}")
    print(
        f"1024 px: {operations(network(1024)) / 1e9:.0f} GFLOP, {least_bytes(network(1024), 2) / 1e9:.2f} GB a picture"
    )


def card_times(generator: StyleGAN2, half: StyleGAN2, batch: int) -> dict[str, float]:
    """Seconds of a batch by each version."""
    ws = generator.mapping(torch.randn(batch, generator.z_dim, device=generator.device))
    half_ws = ws.half()
    times = {
        "textbook fp16": rate(lambda: textbook_synthesis(half, half_ws)),
        "float32": rate(lambda: generator.synthesis(ws)),
    }
    chosen = prepare(generator)
    graph = captured(generator, batch)
    times[f"{chosen.precision} from {chosen.half_from}"] = rate(lambda: generator.synthesis(ws))
    times["captured"] = rate(lambda: graph(ws, "const"))
    return times


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        version, size, threads, stops, picture_file = sys.argv[2:]
        serve(version, int(size), int(threads), json.loads(stops), picture_file)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every size from 64 to 1024 px")
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES, help="only these")
    parser.add_argument("--pictures", type=int, default=5, help="how many of each are timed")
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--cuda", action="store_true", help="measure a CUDA card instead")
    arguments = parser.parse_args()
    if arguments.cuda:
        on_cuda()
        return
    sizes = arguments.sizes or (SIZES if arguments.all else (256,))
    for size in (*sizes, *range(len(BUILTIN_NETWORKS))):
        compare(size, arguments.pictures, arguments.threads)
    print("\nengine: ours with keep_freed_memory(), as in the engine's process")
    print("bent: ours with a bend that needs the last layer's whole map")
    if arguments.all:
        print("\nalgorithms at 1024 px by the fixed rule:")
        plan = network(1024).synthesis.painter.plan
        for shape in layer_shapes(network(1024)):
            print(f"  {shape!s:26} {plan.algorithm(shape)}")


if __name__ == "__main__":
    main()
