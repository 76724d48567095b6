# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise of a frame: its loudness, its speed, where it is and that it never remembers."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from stylegan_reactive.choreography import (
    Choreographer,
    EvolvingNoise,
    FixedNoise,
    NoiseLayer,
    OwnNoise,
    Patch,
    Signal,
    noise_sources,
)
from stylegan_reactive.errors import PatchError


def one(source: Any, **layer: Any) -> Patch:
    return Patch(noise_layers=(NoiseLayer(source=source, **layer),))


def noise_of(network: Any, patch: Patch, **values: float) -> list[torch.Tensor]:
    maps = Choreographer(patch, network).inputs(values).noise
    assert not isinstance(maps, str)
    return maps


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_an_empty_stack_leaves_the_network_its_own_noise(network: Any) -> None:
    assert Choreographer(Patch(), network).inputs({}).noise == "const"
    assert Choreographer(one(FixedNoise(seed=1), enabled=False), network).inputs({}).noise == "const"


def test_each_noise_input_gets_a_map_of_its_size(network: Any) -> None:
    maps = noise_of(network, one(EvolvingNoise(seed=1)), audio_seconds=0.0)
    assert [tuple(each.shape) for each in maps] == [(1, 1, *shape) for shape in network.noise_shapes]
    assert all(each.dtype == torch.float32 for each in maps)


def test_inputs_that_no_layer_reaches_are_silent(network: Any) -> None:
    maps = noise_of(network, one(FixedNoise(seed=1), range="fine"))
    loud = [bool(each.any()) for each in maps]
    assert loud == [max(shape) >= 32 for shape in network.noise_shapes]


def test_layers_are_summed(network: Any) -> None:
    layers = (
        NoiseLayer(source=FixedNoise(seed=1), amplitude=Signal(0.5)),
        NoiseLayer(source=OwnNoise(), range=(64, 64), amplitude=Signal(2.0)),
    )
    maps = noise_of(network, Patch(noise_layers=layers))
    fixed = noise_of(network, one(FixedNoise(seed=1)))
    assert torch.allclose(maps[0], 0.5 * fixed[0])
    assert torch.allclose(
        maps[-1][0, 0], 0.5 * fixed[-1][0, 0] + 2.0 * network.synthesis.noise_constants[-1], atol=1e-6
    )


def test_amplitude_is_the_standard_deviation_and_never_negative(network: Any) -> None:
    patch = one(FixedNoise(seed=1), amplitude=Signal(2.0, "audio_hats"))
    assert float(noise_of(network, patch, audio_hats=0.5)[-1].std()) == pytest.approx(1.0, abs=0.03)
    assert not noise_of(network, patch, audio_hats=-0.5)[-1].any()


def test_a_network_without_saved_noise_refuses_its_own_noise(network: Any) -> None:
    network.synthesis.noise_constants[3] = None
    with pytest.raises(PatchError, match="own noise"):
        noise_of(network, one(OwnNoise()))


def test_a_network_without_noise_inputs_gets_none(network: Any) -> None:
    network.noise_shapes = ()
    assert Choreographer(one(FixedNoise(seed=1)), network).inputs({}).noise == "const"


@pytest.mark.parametrize("clock", [-3.21, 0.0, 0.1, 0.2501, 1 / 3, 0.5, 0.77, 1.0, 36000.123])
def test_evolving_noise_has_mean_zero_and_deviation_one_at_every_moment(
    make_network: Callable[[int], Any], clock: float
) -> None:
    finest = noise_of(make_network(256), one(EvolvingNoise(seed=3, seconds=0.5)), audio_seconds=clock)[
        -1
    ]  # 65,536 values
    assert float(finest.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(finest.std()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("fps", [24000 / 1001, 60.0])
@pytest.mark.parametrize("seconds", [0.25, 2.0])
def test_evolving_noise_is_half_correlated_after_the_seconds_asked_for(
    make_network: Callable[[int], Any], seconds: float, fps: float
) -> None:
    network = make_network(128)
    choreographer = Choreographer(one(EvolvingNoise(seed=5, seconds=seconds), range=(128, 128)), network)
    frames = range(0, int(12 * seconds * fps), max(1, int(seconds * fps / 8)))

    def at(second: float) -> torch.Tensor:
        return choreographer.inputs({"audio_seconds": second}).noise[-1]

    lags = np.linspace(0.8, 1.2, 5) * seconds
    means = [np.mean([correlation(at(f / fps), at(f / fps + lag)) for f in frames]) for lag in lags]
    assert np.all(np.diff(means) < 0)
    half = np.interp(0.5, means[::-1], lags[::-1])
    assert half == pytest.approx(seconds, rel=0.05)


def test_evolving_noise_changes_a_little_from_frame_to_frame_and_wholly_in_the_long_run(network: Any) -> None:
    choreographer = Choreographer(one(EvolvingNoise(seed=5, seconds=0.5)), network)

    def at(second: float) -> torch.Tensor:
        return choreographer.inputs({"audio_seconds": second}).noise[-1]

    steps = [correlation(at(i / 30), at((i + 1) / 30)) for i in range(60)]
    assert min(steps) > 0.98
    assert abs(correlation(at(0.0), at(5.0))) < 0.06


def test_seeds_inputs_and_sources_share_no_map(make_network: Callable[[int], Any]) -> None:
    network = make_network(64)
    first = noise_of(network, one(FixedNoise(seed=1)))
    other = noise_of(network, one(FixedNoise(seed=2)))
    evolving = noise_of(network, one(EvolvingNoise(seed=1)), audio_seconds=0.0)
    for a, b in ((first[-1], other[-1]), (first[-1], first[-2]), (first[-1], evolving[-1])):
        assert abs(correlation(a, b)) < 0.06


def test_a_late_frame_costs_what_an_early_one_costs(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    white_map = noise_sources.white_map
    monkeypatch.setattr(noise_sources, "white_map", lambda key, shape: made.append(key) or white_map(key, shape))

    def maps_made(start: float, frames: int) -> int:
        made.clear()
        choreographer = Choreographer(one(EvolvingNoise(seed=1, seconds=0.5)), network)
        for frame in range(frames):
            choreographer.inputs({"audio_seconds": start + frame / 30})
        return len(made)

    inputs = len(network.noise_shapes)
    assert maps_made(1.0, 1) == maps_made(36000.0, 1) == 4 * inputs
    # 10 seconds pass 19 or 20 knots; each is made once, on top of the four of the first frame
    assert maps_made(1.0, 300) == pytest.approx(24 * inputs, abs=inputs)
    assert maps_made(36000.0, 300) == pytest.approx(24 * inputs, abs=inputs)


def test_memory_does_not_grow_with_the_song(network: Any) -> None:
    choreographer = Choreographer(one(EvolvingNoise(seed=1, seconds=0.2)), network)

    def numbers_kept(frames: range) -> int:
        for frame in frames:
            choreographer.inputs({"audio_seconds": frame / 10})
        gc.collect()
        return sum(each.numel() for each in gc.get_objects() if type(each) is torch.Tensor)

    early = numbers_kept(range(60))
    assert numbers_kept(range(60, 1200)) == early


def test_a_key_gives_the_same_noise_with_every_release() -> None:
    # Printed when the noise was first drawn; a change here changes every film that was ever made with it.
    drawn = noise_sources.white_map((1, 1, 0, -2), (4, 4))
    assert drawn[0].tolist() == pytest.approx([1.6340494, -0.2599745, 0.4962747, -0.3757373], abs=1e-6)
