# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the choreography of a frame takes, and how much that is of the network's own time.

1. A full patch (six latent layers, four noise layers with masks, four bends) on a StyleGAN2 of 256 px with random
   weights, of the channels that published ones have: its share of a frame's processor time, which is to stay below
   5 per cent, with and without a dozen keyed numbers.
2. The same patch in the first minute and over ten hours of frames: time of a frame in order and at random, and memory.
3. Each preset on the built-in network, or on that of a file.

``make bench`` runs it. By hand, with PYTHONPATH=., ``benchmarks/choreography.py [NETWORK]``; with ``--whole`` every
frame of the ten hours is made, which takes about an hour, else six seconds of each hour.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch

from stylegan_reactive.choreography import (
    BendLayer,
    Choreographer,
    ChromaLatent,
    EvolvingNoise,
    FixedNoise,
    GradientNoise,
    LatentLayer,
    LoopLatent,
    LoopNoise,
    Mask,
    NoiseLayer,
    Patch,
    Signal,
    StaticLatent,
    load_preset,
    preset_names,
)
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, builtin_checkpoint, load_generator
from stylegan_reactive.generator.execution import prepare
from stylegan_reactive.generator.mapping import MappingConfig

FPS = 30.0
BEATS_PER_SECOND = 2.25  # of the built-in song


def made_up_values(patch: Patch, second: float) -> dict[str, float]:
    """Values as a song would give them: drums on the beat, a chord per bar, clocks that run."""
    beat = second * BEATS_PER_SECOND
    values = {name: 0.0 for name in patch.envelopes}
    for name, shift in (("audio_kick", 0.0), ("audio_snare", 0.5), ("audio_hats", 0.25), ("audio_onset", 0.0)):
        values[name] = math.exp(-8.0 * ((beat + shift) % 1.0))
    values["audio_rms"] = 0.5 + 0.5 * math.sin(second)
    values["audio_bars"] = beat / 4.0
    values["audio_seconds"] = second
    for pitch in ("C", "E", "G"):
        values[f"audio_chroma_{pitch}"] = 1.0 / 3.0
    return values


def full_patch() -> Patch:
    """Six latent layers, four noise layers of which three are masked and one mask moves, four bends."""
    chroma = tuple(f"audio_chroma_{name}" for name in ("C", "D", "E", "F", "G", "A"))
    latents = (
        LatentLayer(source=LoopLatent(latents=tuple(range(1, 13)))),
        LatentLayer(source=LoopLatent(latents=(20, 21, 22, 23), method="gaussian"), range="coarse"),
        LatentLayer(source=ChromaLatent(latents=tuple(range(40, 46)), envelopes=chroma), range="medium"),
        LatentLayer(source=StaticLatent(latents=(7,)), range="medium", influence=Signal(0.8, "audio_kick")),
        LatentLayer(source=StaticLatent(latents=(8,)), range="fine", influence=Signal(0.8, "audio_snare")),
        LatentLayer(source=StaticLatent(latents=(9,)), influence=Signal(0.5, "audio_rms")),
    )
    centre, rest = Mask(shape="disc"), Mask(shape="disc", invert=True)
    noise = (
        NoiseLayer(source=EvolvingNoise(), mask=centre, amplitude=Signal(2.0, "audio_kick")),
        NoiseLayer(source=LoopNoise(), mask=rest, amplitude=Signal(2.0, "audio_hats")),
        NoiseLayer(source=GradientNoise(), amplitude=Signal(0.5)),
        NoiseLayer(source=FixedNoise(), mask=Mask(shape="edges", size=Signal(0.3, "audio_snare"))),
    )
    bends = (
        BendLayer(layer="8 px", parameters=(("x", Signal(0.2, "audio_snare")),)),
        BendLayer(layer="16 px", operation="rotate", parameters=(("angle", Signal(20.0, "audio_kick")),)),
        BendLayer(layer="32 px", operation="scale", parameters=(("factor", Signal(1.0, "audio_kick", 0.2, 1.0)),)),
        BendLayer(layer="64 px", operation="multiply", parameters=(("factor", Signal(1.0, "audio_hats", 0.3, 1.0)),)),
    )
    return Patch(latent_layers=latents, noise_layers=noise, bends=bends)


def keyed(second: float) -> dict[str, float]:
    """A dozen numbers of the full patch that keys move."""
    wave = 0.5 + 0.3 * math.sin(second)
    paths = [f"latent_layers.{i}.influence.amount" for i in range(4)]
    paths += [f"noise_layers.{i}.amplitude.amount" for i in range(4)]
    paths += ["noise_layers.0.mask.x", "noise_layers.0.source.seconds", "bends.0.parameters.x.amount"]
    return dict.fromkeys([*paths, "truncation.amount"], wave)


def random_stylegan2(resolution: int) -> StyleGAN2:
    """A network of random weights with the channels of published ones (config F)."""
    resolutions = [2**power for power in range(2, resolution.bit_length())]
    channels = tuple(min(32768 // each, 512) for each in resolutions)
    torch.manual_seed(0)
    return StyleGAN2(StyleGAN2Config(MappingConfig(512, 0, 512, (512,) * 8), resolution, channels))


def milliseconds(work: Callable[[int], object], frames: Sequence[int], device: torch.device) -> list[float]:
    """Time of each frame: of the processor (of all its cores together), so that other programs do not count.

    On a GPU, what the clock on the wall says.
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    times = []
    for frame in frames:
        began = clock()
        work(frame)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append((clock() - began) * 1000.0)
    return times


def show_share() -> None:
    """The full patch's share of the time of a frame at 256 px."""
    generator = random_stylegan2(256)
    prepare(generator)
    patch = full_patch()
    choreographer = Choreographer(patch, generator)
    values = [made_up_values(patch, frame / FPS) for frame in range(331)]
    overridden = [each | keyed(frame / FPS) for frame, each in enumerate(values)]
    plain = choreographer.inputs(values[0])

    def picture(_: int) -> object:
        return plain.paint(generator)

    milliseconds(picture, range(2), generator.device)
    network = statistics.median(milliseconds(picture, range(10), generator.device))
    print(f"StyleGAN2 of 256 px, random weights, {torch.get_num_threads()} threads: {network:.1f} ms a frame")
    for name, moments in (("six latents, four noises, four bends", values), ("a dozen keys more", overridden)):

        def inputs(frame: int, moments: Sequence[dict[str, float]] = moments) -> object:
            return choreographer.inputs(moments[frame])

        milliseconds(inputs, range(30), generator.device)
        times = milliseconds(inputs, range(30, 330), generator.device)
        mean = statistics.mean(times)
        print(
            f"  {name}: {mean:.2f} ms (median {statistics.median(times):.2f}, slowest {max(times):.2f}), "
            f"{100.0 * mean / (mean + network):.1f} % of a frame's time"
        )


def megabytes_kept() -> float:
    """Size of all tensors that are alive, but for the parameters of networks."""
    gc.collect()
    return sum(each.numel() * each.element_size() for each in gc.get_objects() if type(each) is torch.Tensor) / 1e6


def show_length(whole: bool) -> None:
    """Time and memory of a frame in the first minute and over ten hours, by turns a second of each."""
    patch, second, minute = full_patch(), round(FPS), round(60 * FPS)
    hours = 600 * minute
    generator = random_stylegan2(256)
    dice = random.Random(0)
    if whole:
        later = [range(start, start + second) for start in range(0, hours, second)]
    else:
        later = [
            range(start - piece * second, start - (piece - 1) * second)
            for start in range(hours // 10, hours + 1, hours // 10)
            for piece in range(6, 0, -1)
        ]
    first = [range(start, start + second) for start in range(0, minute, second)]
    compared = {
        "in order": (first, later),
        "at random": tuple([[dice.randrange(span) for _ in range(10)] for _ in range(60)] for span in (minute, hours)),
    }
    for name, (early_pieces, late_pieces) in compared.items():
        players = [Choreographer(patch, generator), Choreographer(patch, generator)]
        times: list[list[float]] = [[], []]
        kept = []
        for number, late in enumerate(late_pieces):
            for player, frames, spent in zip(players, (early_pieces[number % 60], late), times, strict=True):

                def inputs(frame: int, player: Choreographer = player) -> object:
                    return player.inputs(made_up_values(patch, frame / FPS))

                spent.append(statistics.mean(milliseconds(inputs, frames, torch.device("cpu"))))
            if number + 1 in (min(60, len(late_pieces)) // 2, len(late_pieces)):
                kept.append(megabytes_kept())
        ratio = statistics.median(late / early for early, late in zip(*times, strict=True))
        print(
            f"{name}: {statistics.median(times[0]):.2f} ms a frame in the first minute, "
            f"{statistics.median(times[1]):.2f} over ten hours, ratio {ratio:.3f} (median of {len(times[0])} pairs); "
            f"kept half way and at the end {kept[0]:.2f} and {kept[-1]:.2f} MB"
        )


def main() -> None:
    show_share()
    show_length("--whole" in sys.argv)
    paths = [argument for argument in sys.argv[1:] if argument != "--whole"]
    path = paths[0] if paths else builtin_checkpoint()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = load_generator(path, device=device)
    height, width = generator.resolution
    print(f"{generator.architecture}, {width} x {height} px, on {device}, {torch.get_num_threads()} threads")

    def picture(frame: int) -> object:
        return generator.synthesis(generator.w_avg.expand(1, generator.num_ws, -1), noise="const")

    milliseconds(picture, range(2), generator.device)
    network = statistics.median(milliseconds(picture, range(8), generator.device))
    print(f"network alone: {network:.1f} ms a frame")

    for name in preset_names():
        patch = load_preset(name)
        choreographer = Choreographer(patch, generator)

        def inputs(frame: int, choreographer: Choreographer = choreographer) -> object:
            return choreographer.inputs(made_up_values(choreographer.patch, frame / FPS))

        first = milliseconds(inputs, range(1), generator.device)[0]
        times = milliseconds(inputs, range(1, 301), generator.device)
        late = milliseconds(inputs, range(3_600_000, 3_600_300), generator.device)
        mean = statistics.mean(times)
        print(
            f"{name}: {mean:.2f} ms a frame (median {statistics.median(times):.2f}, slowest {max(times):.2f}, "
            f"first {first:.1f}; after 33 hours of song {statistics.mean(late):.2f}), "
            f"{100.0 * mean / network:.1f} % of the network's time"
        )


if __name__ == "__main__":
    main()
