# SPDX-License-Identifier: GPL-3.0-or-later
"""Each source of noise: equally loud at every moment and on every map, as fast as asked, without an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from stylegan_reactive.choreography import (
    Choreographer,
    EvolvingNoise,
    FixedNoise,
    GradientNoise,
    LoopNoise,
    NoiseLayer,
    OwnNoise,
    Patch,
    Signal,
)
from stylegan_reactive.choreography.noise import NoiseMaps, frame_noise, rows_needed
from stylegan_reactive.generator import Canvas

CLOCK = Signal(1.0, "clock")
SOURCES = [
    FixedNoise(seed=3),
    EvolvingNoise(seed=3, seconds=0.5, clock=CLOCK),
    LoopNoise(seed=3, bars=4.0, patterns=8, clock=CLOCK),
    LoopNoise(seed=3, bars=1.5, patterns=4, clock=CLOCK),
    GradientNoise(seed=3, cells=4, seconds=1.0, clock=CLOCK),
    GradientNoise(seed=3, cells=2, seconds=0.1, clock=CLOCK),
    GradientNoise(seed=3, cells=100, clock=CLOCK),
]
MOVING = SOURCES[1:5]


def named(source: Any) -> str:
    return f"{source.kind}-{getattr(source, 'cells', getattr(source, 'patterns', ''))}"


def player(source: Any, shapes: Sequence[tuple[int, int]]) -> Callable[[float], list[torch.Tensor]]:
    """The source's maps at a moment of its clock, [h, w] each."""
    patch = Patch(noise_layers=(NoiseLayer(source=source),))
    maps = NoiseMaps(tuple(shapes), "cpu")
    maps.capacity = rows_needed(patch) * 3 // 2

    def at(clock: float) -> list[torch.Tensor]:
        noise = frame_noise(patch, {"clock": clock}, maps, lambda index: torch.zeros(shapes[index]))
        assert not isinstance(noise, str)
        return [each[0, 0] for each in noise]

    return at


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() * b.double()).mean())  # their mean is 0 and their deviation 1


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_every_map_has_mean_zero_and_deviation_one_at_every_moment(source: Any) -> None:
    at = player(source, [(4, 4), (4, 7), (8, 8), (16, 16), (9, 16), (64, 64)])
    for clock in [*np.linspace(-2.0, 5.0, 71), 0.25, 1 / 3, 3.75, 36000.123, 1e8 + 0.5]:
        for noise in at(float(clock)):
            assert float(noise.double().mean()) == pytest.approx(0.0, abs=1e-5)
            assert float(noise.double().std(correction=0)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("source", "half"),
    [
        (EvolvingNoise(seed=5, seconds=0.5, clock=CLOCK), 0.5),
        (EvolvingNoise(seed=5, seconds=3.0, clock=CLOCK), 3.0),
        (LoopNoise(seed=5, bars=4.0, patterns=16, clock=CLOCK), 0.25),
        (LoopNoise(seed=5, bars=8.0, patterns=8, clock=CLOCK), 1.0),
        (GradientNoise(seed=5, cells=32, seconds=0.5, clock=CLOCK), 0.5),
        (GradientNoise(seed=5, cells=24, seconds=4.0, clock=CLOCK), 4.0),
    ],
    ids=lambda value: named(value) if not isinstance(value, float) else "",
)
def test_noise_is_half_correlated_with_itself_after_the_time_asked_for(source: Any, half: float) -> None:
    at = player(source, [(96, 96)])
    starts = [half * step / 7.3 for step in range(75)]
    lags = np.array([0.1, 0.4, 0.7, 0.9, 1.0, 1.1, 1.3, 1.6])
    means = [np.mean([correlation(at(t)[0], at(t + lag * half)[0]) for t in starts]) for lag in lags]
    assert np.all(np.diff(means) < 0)  # ever less like itself
    assert means[0] > 0.95
    assert np.interp(0.5, means[::-1], lags[::-1]) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("source", MOVING, ids=named)
def test_noise_changes_equally_fast_at_all_times(source: Any) -> None:
    at = player(source, [(64, 64)])
    speed = [np.sqrt(1 - correlation(at(t)[0], at(t + 0.004)[0])) for t in np.linspace(0.0, 3.0, 160)]
    assert np.std(speed) < 0.15 * np.mean(speed)


def test_a_loop_is_the_same_bits_when_it_comes_back_and_does_not_stop_there() -> None:
    at = player(LoopNoise(seed=1, bars=4.0, patterns=8, clock=CLOCK), [(4, 4), (32, 32)])
    for turns in (1, 2, -3, 1000):
        assert all(torch.equal(a, b) for a, b in zip(at(0.5), at(0.5 + 4.0 * turns), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(at(0.0), at(4.0 * turns), strict=True))
    odd = player(LoopNoise(seed=1, bars=0.001, clock=CLOCK), [(8, 8)])  # a length that no number holds exactly
    for clock in (1e8, 12345678.25):
        assert torch.equal(odd(clock)[0], odd(clock % 0.001)[0])
    step = 0.01
    changes = [float((at(t + step)[1] - at(t)[1]).norm()) for t in np.arange(0.0, 4.0, step)]
    assert changes[-1] == pytest.approx(np.mean(changes), rel=0.2)
    assert changes[0] == pytest.approx(np.mean(changes), rel=0.2)
    assert abs(correlation(at(0.0)[1], at(2.0)[1])) < 0.15


def test_edges_of_clouds_fit_together() -> None:
    for noise in player(GradientNoise(seed=2, cells=4, clock=CLOCK), [(64, 64), (90, 160)])(0.37):
        for axis in (0, 1):
            inside = torch.diff(noise, dim=axis).abs().max()
            seam = (noise.select(axis, 0) - noise.select(axis, -1)).abs().max()
            assert seam <= 1.3 * inside


def test_clouds_are_one_thing_at_all_resolutions() -> None:
    noise = player(GradientNoise(seed=2, cells=4, clock=CLOCK), [(16, 16), (32, 32), (64, 64)])(0.3)
    halved = torch.nn.functional.avg_pool2d(noise[2][None], 2)[0]
    assert correlation(halved, noise[1]) > 0.95
    assert correlation(torch.nn.functional.avg_pool2d(noise[2][None], 4)[0], noise[0]) > 0.9


def test_clouds_are_as_large_as_asked_and_no_smaller_than_a_pixel() -> None:
    def neighbours(cells: int, side: int) -> float:
        noise = player(GradientNoise(seed=2, cells=cells, clock=CLOCK), [(side, side)])(0.3)[0]
        return correlation(noise, noise.roll(1, dims=1))

    assert neighbours(2, 64) > neighbours(8, 64) > 0.7 > neighbours(32, 64)
    assert abs(neighbours(256, 64)) < 0.6


@pytest.mark.parametrize("source", MOVING, ids=named)
def test_a_moment_is_the_same_bits_wherever_one_comes_from(source: Any) -> None:
    clocks = [1.0, 36000.25, -7.5, 0.1, 1e8]
    shapes = [(4, 4), (8, 8), (32, 32)]
    fresh = {clock: player(source, shapes)(clock) for clock in clocks}
    at = player(source, shapes)
    for clock in [*clocks, *reversed(clocks), *np.arange(0.0, 9.0, 0.37), *clocks]:
        maps = at(float(clock))
        if clock in fresh:
            assert all(torch.equal(a, b) for a, b in zip(maps, fresh[clock], strict=True))


@pytest.mark.parametrize("source", MOVING, ids=named)
def test_seeds_share_no_map(source: Any) -> None:
    at = player(source, [(64, 64)])
    other = player(type(source)(**{**vars(source), "seed": 4}), [(64, 64)])
    assert abs(correlation(at(0.3)[0], other(0.3)[0])) < (0.35 if source.kind == "gradient" else 0.06)


def test_the_network_s_own_noise_is_laid_out_on_a_canvas_once(make_small_network: Any, monkeypatch: Any) -> None:
    network, canvas = make_small_network(1), Canvas(64, 32)
    laid_out: list[int] = []
    noise_inputs = network.synthesis.noise_inputs
    monkeypatch.setattr(network.synthesis, "noise_inputs", lambda *asked: laid_out.append(1) or noise_inputs(*asked))
    choreographer = Choreographer(Patch(noise_layers=(NoiseLayer(source=OwnNoise()),)), network, canvas)
    frames = [choreographer.inputs({}) for _ in range(3)]
    assert len(laid_out) == 1
    for noise, own in zip(frames[2].noise, noise_inputs("const", 1, canvas), strict=True):
        assert torch.equal(noise, own)


def test_a_batch_on_a_canvas_has_the_bits_of_its_frames(network: Any) -> None:
    wide = tuple((height, 2 * width) for height, width in network.noise_shapes)
    network.synthesis.noise_shapes_on = lambda canvas: wide
    canvas: Any = SimpleNamespace(width=120, height=64)
    layers = tuple(NoiseLayer(source=source) for source in SOURCES)
    choreographer = Choreographer(Patch(noise_layers=layers), network, canvas)
    frames = [{"clock": clock} for clock in (0.0, 1.3, 2.6)]
    batch = choreographer.batch(frames).noise
    assert not isinstance(batch, str)
    assert [tuple(each.shape) for each in batch] == [(3, 1, *shape) for shape in wide]
    for index, values in enumerate(frames):
        assert all(
            torch.equal(all_[index], one[0])
            for all_, one in zip(batch, choreographer.inputs(values).noise, strict=True)
        )
