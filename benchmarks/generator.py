# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures per second of the built-in generator at full size, beside a textbook StyleGAN2 with the same weights.

The textbook baseline is written out below: each sample gets its own modulated and demodulated weights, a batch becomes
one grouped convolution, upsampling is a transposed convolution and a filter. Both run in turns in this process, so a
noisy machine slows both, and the ratio of their medians is worth more than either number.

    PYTHONPATH=. python benchmarks/generator.py --pictures 8 --threads 2
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_reactive.generator import StyleGAN2, builtin_checkpoint, load_generator
from stylegan_reactive.generator.layers import LRELU_GAIN, LRELU_SLOPE
from stylegan_reactive.generator.stylegan2 import SynthesisLayer, ToRGB


def filtered(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Each channel filtered alike."""
    return F.conv2d(x, kernel.repeat(x.shape[1], 1, 1, 1), padding=padding, groups=x.shape[1])


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
            zeros = torch.zeros(*image.shape[:2], 2 * image.shape[2], 2 * image.shape[3])
            zeros[:, :, ::2, ::2] = image
            image = filtered(F.pad(zeros, (2, 1, 2, 1)), 4 * generator.synthesis.kernel, padding=0)
        image = colours if image is None else image + colours
    assert image is not None
    return image


def seconds(work: Callable[[], Tensor]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=8, help="how many of each are timed")
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = load_generator(builtin_checkpoint())
    z = torch.randn(arguments.pictures + 1, generator.z_dim, generator=torch.Generator().manual_seed(0))
    ours: list[float] = []
    textbook: list[float] = []
    for index, ws in enumerate(generator.mapping(z).split(1)):
        if index == 0:  # warm up, and see that both mean the same
            difference = (generator.synthesis(ws) - textbook_synthesis(generator, ws)).abs().max()
            print(f"largest difference between the two pictures: {float(difference):.1e}")
            continue
        ours.append(seconds(lambda ws=ws: generator.synthesis(ws)))
        textbook.append(seconds(lambda ws=ws: textbook_synthesis(generator, ws)))
    height, width = generator.resolution
    fast, slow = statistics.median(ours), statistics.median(textbook)
    print(f"{width} x {height} px, {arguments.threads} threads, medians of {len(ours)}")
    print(f"ours      {1 / fast:6.2f} pictures per second  ({fast * 1000:.0f} ms)")
    print(f"textbook  {1 / slow:6.2f} pictures per second  ({slow * 1000:.0f} ms)")
    print(f"ratio     {slow / fast:6.2f}")


if __name__ == "__main__":
    main()
