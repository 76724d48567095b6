# SPDX-License-Identifier: GPL-3.0-or-later
"""Several frames at once are the same frames: equal latents and noise, and pictures that differ by rounding alone."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stylegan_reactive.choreography import (
    BendChannels,
    BendLayer,
    Choreographer,
    EvolvingNoise,
    FrameInputs,
    LatentLayer,
    LoopLatent,
    NoiseLayer,
    Patch,
    RewriteLayer,
    SeededRewrite,
    Signal,
)
from stylegan_reactive.generator import Generator

ROOT = Path(__file__).parents[2]
PATCH = Patch(
    latent_layers=(LatentLayer(source=LoopLatent(latents=(1, 2, 3))),),
    noise_layers=(NoiseLayer(source=EvolvingNoise(seed=1), amplitude=Signal(1.0, "audio_rms")),),
    bends=(
        BendLayer(layer="8 px", operation="rotate", parameters=(("angle", Signal(30.0, "audio_kick")),)),
        BendLayer(
            layer="16 px",
            operation="multiply",
            parameters=(("factor", Signal(1.0, "audio_rms", offset=1.0)),),
            channels=BendChannels(which="range", last=5, fraction=Signal(1.0, "audio_kick")),
        ),
        BendLayer(layer="16 px", side="input", operation="warp", parameters=(("strength", Signal(0.1)),)),
    ),
    rewrites=(RewriteLayer(source=SeededRewrite(layer="16 px"), amount=Signal(0.5, "audio_snare")),),
)


def values_at(frame: int) -> dict[str, float]:
    """Lively values, among them frames in which a bend or a rewrite rests, and keyed numbers."""
    return {
        "audio_bars": frame / 7,
        "audio_seconds": frame / 30,
        "audio_kick": max(0.0, 1.0 - frame % 4 / 3),
        "audio_rms": 0.5 + 0.1 * (frame % 3),
        "audio_snare": float(frame % 5 == 2) * 0.8,
        "bends.1.channels.seed": float(frame // 4),
        "bends.2.enabled": float(frame % 3 != 1),
        "noise_layers.0.enabled": float(frame % 6 != 5),
    }


FRAMES = list(range(12))


def maps(inputs: FrameInputs, network: Generator) -> list[torch.Tensor]:
    if isinstance(inputs.noise, str):
        return [constant[None, None] for constant in network.synthesis.noise_constants]
    return inputs.noise


def check(choreographer: Choreographer, network: Generator, order: list[int], alone: dict[int, FrameInputs]) -> None:
    batch = choreographer.batch([values_at(frame) for frame in order])
    pictures = batch.paint(network)
    for place, frame in enumerate(order):
        assert torch.equal(batch.ws[place : place + 1], alone[frame].ws)
        for together, one in zip(maps(batch, network), maps(alone[frame], network), strict=True):
            assert torch.equal(together[place : place + 1], one)
        torch.testing.assert_close(pictures[place : place + 1], alone[frame].paint(network), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["small", "sg2ada_r64_cond10.pkl", "sg3t_r64.pkl", "lucid_r64.pt", "sg1lern_r128.pt"])
def test_a_batch_in_any_order_gives_the_frames_of_their_own(
    name: str,
    make_small_network: Callable[..., Generator],
    reference_network: Callable[[str], Generator],
) -> None:
    network = make_small_network(1) if name == "small" else reference_network(name)
    choreographer = Choreographer(PATCH, network)
    alone = {frame: choreographer.inputs(values_at(frame)) for frame in FRAMES}
    frames = FRAMES if name == "small" else FRAMES[:6]
    check(choreographer, network, frames, alone)
    check(Choreographer(PATCH, network), network, frames[::-1], alone)
    shuffled = frames.copy()
    random.Random(1).shuffle(shuffled)
    check(Choreographer(PATCH, network), network, shuffled[:5], alone)


def test_numbers_are_tensors_only_where_frames_differ(make_small_network: Callable[..., Generator]) -> None:
    choreographer = Choreographer(PATCH, make_small_network(1))
    same = choreographer.batch([values_at(2)] * 3)
    assert all(isinstance(value, float) for bend in same.bends for value in bend.parameters.values())
    assert same.rewrites[0].amount == pytest.approx(0.4)
    both = choreographer.batch([values_at(1), values_at(2)])
    angle: Any = both.bends[0].parameters["angle"]
    assert angle.tolist() == pytest.approx([20.0, 10.0])
    both = choreographer.batch([values_at(2), values_at(3)])
    fraction: Any = both.bends[0].channels.fraction  # a bend that rests in one of the frames
    assert fraction.tolist() == [1.0, 0.0]
    assert [float(amount) for amount in both.rewrites[0].amount] == pytest.approx([0.4, 0.0])


def test_another_process_paints_the_same_bits(make_small_network: Callable[..., Generator]) -> None:
    network = make_small_network(1)
    here = Choreographer(PATCH, network).inputs(values_at(2)).paint(network)
    script = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
import torch
torch.set_num_threads({torch.get_num_threads()})
from conftest import small_network
from test_batches import PATCH, Choreographer, values_at
network = small_network(1)
choreographer = Choreographer(PATCH, network)
choreographer.inputs(values_at(9))
print(choreographer.inputs(values_at(2)).paint(network).numpy().tobytes().hex())
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert bytes.fromhex(run.stdout.strip()) == here.numpy().tobytes()
