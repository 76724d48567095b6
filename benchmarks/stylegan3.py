# SPDX-License-Identifier: GPL-3.0-or-later
"""Time and memory of a StyleGAN 3 picture, ours beside a textbook version of the same network, on random weights.

The textbook version is written out below: weights are modulated for each sample, zeros are put between the pixels of
whole maps, filters are convolutions of whole maps, and a smaller map is every second pixel of a whole one. Each
version runs in a process of its own, whose peak memory is its own too; the two take turns, so a noisy machine slows
both, and the ratio of their medians is worth more than either number. Where others compute at the same time, threads
wait for each other: compare the processor's seconds with one thread then.

The network has the published shape, whose layers and filters are computed from the paper's section 3.2 and appendix C
(Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021, https://arxiv.org/abs/2106.12423).

    PYTHONPATH=. python benchmarks/stylegan3.py --resolution 512 --kinds t r --pictures 1
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_reactive.generator.layers import LRELU_GAIN, LRELU_SLOPE
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.stylegan3 import StyleGAN3, StyleGAN3Config, SynthesisLayer

LAYERS, CRITICAL, MARGIN, TAPS_PER_SAMPLE = 14, 2, 10, 6
FIRST_CUTOFF, FIRST_STOPBAND, LAST_STOPBAND = 2.0, 2**2.1, 2**0.3  # the last one as a multiple of the last cutoff


def bands(resolution: int) -> list[tuple[float, float, float]]:
    """Of each layer's output: cutoff, half width of the transition band, sampling rate, in waves per picture."""
    found = []
    for layer in range(LAYERS + 1):
        progress = min(layer / (LAYERS - CRITICAL), 1.0)
        last = resolution / 2
        cutoff = FIRST_CUTOFF * (last / FIRST_CUTOFF) ** progress
        stopband = FIRST_STOPBAND * (last * LAST_STOPBAND / FIRST_STOPBAND) ** progress
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, resolution)))
        found.append((cutoff, max(stopband, rate / 2) - cutoff, float(rate)))
    return found


def kaiser(taps: int, half_width: float, rate: float) -> Tensor:
    """The window whose transition band is this wide (Kaiser's formulas).  [taps]"""
    attenuation = 2.285 * (taps - 1) * math.pi * (4 * half_width / rate) + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation > 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    return torch.kaiser_window(taps, periodic=False, beta=beta, dtype=torch.float64)


def low_pass(taps: int, cutoff: float, half_width: float, rate: float, *, radial: bool) -> Tensor:
    """A low-pass filter of sum one: a windowed sinc [taps], or jinc [taps, taps]."""
    window = kaiser(taps, half_width, rate)
    place = (torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2) / rate
    if radial:
        distance = torch.hypot(place[:, None], place[None])
        kernel = torch.special.bessel_j1(2 * math.pi * cutoff * distance) / (math.pi * distance)
        kernel = kernel * window[:, None] * window
    else:
        kernel = torch.sinc(2 * cutoff * place) * window
    return (kernel / kernel.sum()).float()


def random_network(
    resolution: int, *, radial: bool, base: int = 32768, widest: int = 512, w_dim: int = 512, seed: int = 0
) -> StyleGAN3:
    """A StyleGAN 3 of the published shape: T, or with radial filters R, which has twice the channels."""
    if radial:
        base, widest = 2 * base, 2 * widest
    spectrum = bands(resolution)
    channels = [round(min(base / 2 / cutoff, widest)) for cutoff, _, _ in spectrum]
    sizes = [int(rate) + 2 * MARGIN for _, _, rate in spectrum]
    sizes[-CRITICAL:] = [resolution] * CRITICAL
    kernels = [1 if radial else 3] * LAYERS + [1]
    up, down, up_taps, down_taps, before, after = ([] for _ in range(6))
    for layer in range(LAYERS + 1):
        source = max(layer - 1, 0)
        inner = max(spectrum[source][2], spectrum[layer][2]) * (1 if layer == LAYERS else 2)
        up.append(int(inner / spectrum[source][2]))
        down.append(int(inner / spectrum[layer][2]))
        up_taps.append(TAPS_PER_SAMPLE * up[-1] if up[-1] > 1 else 1)
        down_taps.append(TAPS_PER_SAMPLE * down[-1] if down[-1] > 1 else 1)
        pads = (sizes[layer] - 1) * down[-1] + 1 + up_taps[-1] + down_taps[-1] - 2
        pads -= (sizes[source] + kernels[layer] - 1) * up[-1]
        before.append((pads + up[-1]) // 2)
        after.append(pads - before[-1])
    config = StyleGAN3Config(
        mapping=MappingConfig(w_dim, 0, w_dim, (w_dim, w_dim)),
        resolution=resolution,
        channels=(channels[0], *channels[:-1], 3),
        sizes=(sizes[0], *sizes),
        input_sampling_rate=spectrum[0][2],
        input_bandwidth=spectrum[0][0],
        conv_kernels=tuple(kernels),
        up=tuple(up),
        down=tuple(down),
        up_taps=tuple(up_taps),
        down_taps=tuple(down_taps),
        down_radial=tuple(radial and layer < LAYERS - CRITICAL for layer in range(LAYERS + 1)),
        pad_before=tuple(before),
        pad_after=tuple(after),
    )
    torch.manual_seed(seed)
    network = StyleGAN3(config)
    for index, layer in enumerate(network.synthesis.layers):
        (cutoff, half, rate), (low, low_half, low_rate) = spectrum[index], spectrum[max(index - 1, 0)]
        if layer.up_filter is not None:
            layer.up_filter = low_pass(up_taps[index], low, low_half, low_rate * up[index], radial=False)
        if layer.down_filter is not None:
            wide = layer.down_filter.ndim == 2
            layer.down_filter = low_pass(down_taps[index], cutoff, half, rate * down[index], radial=wide)
        layer.bias.normal_(std=0.1)
    network.synthesis.input.affine.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
    return network.eval()


def textbook_filter(x: Tensor, kernel: Tensor) -> Tensor:
    """Each channel of a whole map filtered alike, along one direction after the other or in both."""
    channels = x.shape[1]
    if kernel.ndim == 2:
        return F.conv2d(x, kernel.flip(0, 1).repeat(channels, 1, 1, 1), groups=channels)
    row = kernel.flip(0).repeat(channels, 1, 1, 1)
    return F.conv2d(F.conv2d(x, row, groups=channels), row.transpose(2, 3), groups=channels)


def textbook_layer(layer: SynthesisLayer, x: Tensor, w: Tensor) -> Tensor:
    """Modulate and demodulate the weights of each sample, convolve, go up, bend, go down."""
    batch, channels_in = x.shape[:2]
    weight, styles = layer.weight, layer.affine(w)
    if layer.is_torgb:
        weight = weight[None] * styles[:, None, :, None, None] / math.sqrt(channels_in)
    else:
        weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        styles = styles * styles.square().mean().rsqrt()
        weight = weight[None] * styles[:, None, :, None, None]
        weight = weight * (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    weight = weight * layer.magnitude_ema.rsqrt()
    x = x.reshape(1, -1, *x.shape[2:])
    x = F.conv2d(x, weight.flatten(0, 1), padding=weight.shape[-1] - 1, groups=batch)
    x = x.reshape(batch, -1, *x.shape[2:]) + layer.bias[:, None, None]
    plan = layer.resampling
    if layer.up_filter is not None:
        height, width = (size * plan.up for size in x.shape[2:])
        zeros = torch.zeros(*x.shape[:2], height, width)
        zeros[:, :, :: plan.up, :: plan.up] = x
        pads = (plan.pad_before, plan.pad_after)
        x = textbook_filter(F.pad(zeros, pads + pads), layer.up_filter * plan.up)
    if not layer.is_torgb:
        x = F.leaky_relu(x, LRELU_SLOPE) * LRELU_GAIN
    if plan.clamp is not None:
        x = x.clamp(-plan.clamp, plan.clamp)
    if layer.down_filter is not None:
        x = textbook_filter(x, layer.down_filter)[:, :, :: plan.down, :: plan.down]
    return x


def textbook_synthesis(network: StyleGAN3, ws: Tensor) -> Tensor:
    """The picture of ws; the waves, which take no time, are ours."""
    source = network.synthesis.input
    x = source(source.waves(ws[:, 0], network.synthesis.map_size("input"), None), source.weight)
    for index, layer in enumerate(network.synthesis.layers):
        x = textbook_layer(layer, x, ws[:, index + 1])
    return x * network.config.output_scale


def peak_memory() -> float:
    """The most memory that this process ever held, in MB."""
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)


def measure(options: argparse.Namespace) -> None:
    """What a child process does: paint some pictures in one way, and print seconds, memory and a few pixels."""
    torch.set_num_threads(options.threads)
    network = random_network(options.resolution, radial=options.kinds[0] == "r", base=options.channel_base)
    before = peak_memory()
    seconds, processor = [], []
    with torch.no_grad():
        ws = network.mapping(torch.randn(1, network.z_dim, generator=torch.Generator().manual_seed(1)))
        for _ in range(options.pictures):
            start, start_of_processor = time.perf_counter(), time.process_time()
            picture = network.synthesis(ws) if options.measure == "ours" else textbook_synthesis(network, ws)
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - start_of_processor)
    pixels = picture[0, :, :: options.resolution // 16, :: options.resolution // 16].flatten().tolist()
    found = {"seconds": seconds, "processor": processor, "peak": peak_memory(), "before": before, "pixels": pixels}
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--channel-base", type=int, default=32768, help="as published: 32768 (doubled for R)")
    parser.add_argument("--kinds", nargs="+", choices=("t", "r"), default=["t", "r"])
    parser.add_argument("--pictures", type=int, default=2, help="per process")
    parser.add_argument("--rounds", type=int, default=1, help="processes of each version, in turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", choices=("ours", "textbook"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options)
        return
    for kind in options.kinds:
        runs: dict[str, list[dict]] = {"ours": [], "textbook": []}
        for _ in range(options.rounds):
            for version, found in runs.items():
                command = [sys.executable, __file__, "--measure", version, "--kinds", kind]
                for name in ("resolution", "channel_base", "pictures", "threads"):
                    command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
                found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        medians = {}
        print(f"StyleGAN3-{kind.upper()}, {options.resolution} px, channel base {options.channel_base}, float32:")
        for version, found in runs.items():
            medians[version] = statistics.median(second for run in found for second in run["seconds"])
            peak, before = max(run["peak"] for run in found), max(run["before"] for run in found)
            processor = statistics.median(second for run in found for second in run["processor"])
            print(
                f"  {version:9}{medians[version]:8.2f} s a picture ({processor:.2f} s of processor), "
                f"peak {peak:6.0f} MB ({before:.0f} MB before)"
            )
        pixels = [torch.tensor(found[0]["pixels"]) for found in runs.values()]
        error = (pixels[0] - pixels[1]).abs().max() / (pixels[1].max() - pixels[1].min())
        ratio = medians["textbook"] / medians["ours"]
        print(f"  {ratio:.1f} times as fast, largest difference {error:.1e} of the picture's range")


if __name__ == "__main__":
    main()
