# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the choreography of a frame takes, and how much that is of the network's own time.

``make bench`` runs it. By hand, with PYTHONPATH=., it takes the file of another network than the built-in one.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable

import torch

from stylegan_reactive.choreography import Choreographer, Patch, load_preset, preset_names
from stylegan_reactive.generator import builtin_checkpoint, load_generator

FPS = 30.0
BEATS_PER_SECOND = 2.1  # of the built-in song


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


def milliseconds(work: Callable[[int], object], frames: range, device: torch.device) -> list[float]:
    """Time of each frame."""
    times = []
    for frame in frames:
        began = time.perf_counter()
        work(frame)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append((time.perf_counter() - began) * 1000.0)
    return times


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else builtin_checkpoint()
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
