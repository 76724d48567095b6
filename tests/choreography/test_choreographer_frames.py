# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames in any order: the inputs of a frame depend on the patch and its values and on nothing else."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from stylegan_reactive.choreography import Choreographer, FrameInputs, load_preset, preset_names
from stylegan_reactive.generator import Generator

CHANNELS = (8, 8, 8, 8, 8)  # a network of 64 px


def values_at(patch: Any, frame: int) -> dict[str, float]:
    """Made-up but lively values of a frame at 30 fps."""
    beat = frame / 15 % 1.0
    values = {name: (frame * (3 + i) % 17) / 17 for i, name in enumerate(patch.envelopes)}
    values |= {"audio_bars": frame / 60, "audio_seconds": frame / 30, "audio_kick": max(0.0, 1.0 - 4 * beat)}
    return values | {"truncation.amount": 0.8 + 0.1 * beat}


@pytest.fixture(scope="module")
def network(make_small_network: Callable[..., Generator]) -> Generator:
    return make_small_network(1, CHANNELS)


def digest(inputs: FrameInputs) -> str:
    tensors = [inputs.ws, *(inputs.noise if isinstance(inputs.noise, list) else [])]
    tensors += [rewrite.delta for rewrite in inputs.rewrites]
    numbers = [(bend.layer, bend.operation, dict(bend.parameters), bend.channels) for bend in inputs.bends]
    numbers += [(rewrite.layer, rewrite.amount) for rewrite in inputs.rewrites]
    return hashlib.sha256(b"".join([repr(numbers).encode(), *map(bytes_of, tensors)])).hexdigest()


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().numpy().tobytes()


@pytest.mark.parametrize("name", preset_names())
def test_frames_are_the_same_bits_in_any_order(network: Any, name: str) -> None:
    patch = load_preset(name)
    in_order = Choreographer(patch, network)
    expected = {frame: digest(in_order.inputs(values_at(patch, frame))) for frame in range(0, 120, 3)}
    assert len(set(expected.values())) == len(expected)  # they do move

    shuffled = Choreographer(patch, network)
    frames = [*expected, *expected]
    random.Random(0).shuffle(frames)
    for frame in frames:
        assert digest(shuffled.inputs(values_at(patch, frame))) == expected[frame]

    after_a_far_one = Choreographer(patch, network)
    after_a_far_one.inputs(values_at(patch, 10**7))
    assert digest(after_a_far_one.inputs(values_at(patch, 36))) == expected[36]
    assert digest(Choreographer(patch, network).inputs(values_at(patch, 36))) == expected[36]


def test_writing_into_the_inputs_of_a_frame_changes_no_other(network: Any) -> None:
    patch = load_preset("reference")
    choreographer = Choreographer(patch, network)
    first = choreographer.inputs(values_at(patch, 5))
    expected = digest(first)
    for tensor in [first.ws, *first.noise]:
        tensor.fill_(9.0)
    assert digest(choreographer.inputs(values_at(patch, 5))) == expected
    assert float(network.w_avg.abs().max()) < 9.0


def test_nothing_of_a_frame_is_not_a_number(network: Any) -> None:
    for name in preset_names():
        patch = load_preset(name)
        for level in (0.0, 1.0):
            inputs = Choreographer(patch, network).inputs(dict.fromkeys(patch.envelopes, level))
            for tensor in [inputs.ws, *(inputs.noise if isinstance(inputs.noise, list) else [])]:
                assert torch.isfinite(tensor).all()
