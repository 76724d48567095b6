# SPDX-License-Identifier: GPL-3.0-or-later
"""Loops through latents: closed, without a seam, at one speed all the way round, whatever kind they are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from stylegan_reactive.choreography import Choreographer, FileLatent, LatentLayer, LoopLatent, Patch, StaticLatent
from stylegan_reactive.choreography.loops import Pace, filtered_points, geodesic_points, great_circles, turn
from stylegan_reactive.errors import PatchError
from stylegan_reactive.generator.latent_files import load_latents

KINDS: dict[str, dict[str, Any]] = {
    "spline": {"method": "spline"},
    "gaussian in W": {"method": "gaussian", "space": "w"},
    "wide gaussian in W": {"method": "gaussian", "space": "w", "smoothness": 16.0},
    "narrow gaussian in W": {"method": "gaussian", "space": "w", "smoothness": 0.4},
    "gaussian in Z": {"method": "gaussian", "space": "z"},
    "geodesic": {"method": "geodesic"},
}
SIX = (3, 14, 15, 92, 65, 35)

each_kind = pytest.mark.parametrize("kind", KINDS)


def looped(kind: str, latents: Any = SIX, bars: float = 8.0, layers: Any = "all") -> Patch:
    source = LoopLatent(latents=latents, bars=bars, **KINDS[kind])
    return Patch(latent_layers=(LatentLayer(source=source, range=layers),))


def way(network: Any, patch: Patch, bars: Any) -> np.ndarray:
    """ws at some moments, [moments, num_ws * w_dim]."""
    choreographer = Choreographer(patch, network)
    return np.stack([choreographer.inputs({"audio_bars": float(x)}).ws[0].double().numpy().ravel() for x in bars])


def speeds(network: Any, patch: Patch, steps: int, start: float = 0.0) -> np.ndarray:
    """How far the latents move in each of so many equal parts of a turn of 8 bars, over their mean."""
    bars = (np.arange(steps + 1) + start) * 8.0 / steps
    moves = np.linalg.norm(np.diff(way(network, patch, bars), axis=0), axis=1)
    return moves / moves.mean()


def static(network: Any, seed: int) -> np.ndarray:
    layer = LatentLayer(source=StaticLatent(latents=(seed,)))
    return Choreographer(Patch(latent_layers=(layer,)), network).inputs({}).ws[0].double().numpy().ravel()


@pytest.fixture
def wide_file(network: Any, tmp_path: Path) -> str:
    """Five latents with a w of their own for each of the network's layers."""
    network.tools = SimpleNamespace(latents=lambda file, space: load_latents(file, space, network))
    numbers = np.random.RandomState(0).standard_normal((5, network.num_ws, network.w_dim))
    np.save(tmp_path / "w.npy", numbers.astype(np.float32))
    return str(tmp_path / "w.npy")


@each_kind
def test_a_loop_runs_at_one_speed_all_the_way_round(network: Any, kind: str) -> None:
    # As many moments as a turn of a film has pictures; the first step goes across the seam.
    found = speeds(network, looped(kind), 480, start=-0.5)
    assert found.min() > 0.98
    assert found.max() < 1.02


@each_kind
def test_a_loop_of_a_real_network_runs_at_one_speed_all_the_way_round(reference_network: Any, kind: str) -> None:
    found = speeds(reference_network("sg2ada_r32_orig.pkl"), looped(kind), 240, start=-0.5)
    assert found.min() > 0.97
    assert found.max() < 1.02
    assert found[0] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("kind", ["spline", "gaussian in W"])
def test_a_loop_of_latents_for_each_layer_is_even_on_those_that_it_reaches(
    network: Any, wide_file: str, kind: str
) -> None:
    for layers in ("all", (2, 3)):
        found = speeds(network, looped(kind, (FileLatent(wide_file), 7), layers=layers), 300, start=-0.5)
        assert found.min() > 0.98
        assert found.max() < 1.02


@each_kind
@pytest.mark.parametrize("latents", [(1, 2, 3), (1, 1, 2, 3), (5, 5, 6, 9), (1, 2, 1, 2), tuple(range(40))])
def test_a_loop_stands_still_nowhere_and_jumps_nowhere(network: Any, kind: str, latents: tuple[int, ...]) -> None:
    found = speeds(network, looped(kind, latents), 300)
    assert np.isfinite(found).all()
    assert found.min() > 0.3  # in a step across a sharp turn, as between two latents and back
    assert found.max() < 1.1


@each_kind
def test_between_two_latents_a_loop_goes_there_and_back_without_a_stop(network: Any, kind: str) -> None:
    path = way(network, looped(kind, (1, 2)), np.arange(0, 8.01, 0.25))
    moves = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert moves.min() > 0.97 * moves.max()
    assert np.allclose(path[0], static(network, 1), atol=1e-5)
    assert np.allclose(path[16], static(network, 2), atol=1e-2)
    assert np.allclose(path[:17], path[16:][::-1], atol=1e-2)


@each_kind
def test_latents_that_come_again_within_a_turn_are_seen_again(network: Any, kind: str) -> None:
    path = way(network, looped(kind, (1, 2, 1, 2)), np.arange(0, 8, 0.1))
    apart = np.linalg.norm(static(network, 1) - static(network, 2))
    for seed in (1, 2):
        near = np.linalg.norm(path - static(network, seed), axis=1) < 0.15 * apart
        assert np.count_nonzero(np.diff(near.astype(int), append=near[0].astype(int)) == 1) == 2


@each_kind
def test_a_loop_through_one_latent_stays_there(network: Any, kind: str) -> None:
    path = way(network, looped(kind, (9,)), (0.0, 1.3, -2.7))
    assert np.allclose(path, static(network, 9), atol=1e-6)


@each_kind
@pytest.mark.parametrize("turns", [1, 7, -3, 4_000_000])
def test_a_loop_ends_where_it_began_to_the_last_bit(network: Any, kind: str, turns: int) -> None:
    starts = np.array([0.0, 1.25, 5.75])
    patch = looped(kind, bars=6.0)
    assert np.array_equal(way(network, patch, starts), way(network, patch, starts + 6.0 * turns))


@each_kind
def test_moments_in_any_order_or_at_once_give_the_same_bits(network: Any, kind: str) -> None:
    patch = looped(kind)
    bars = [0.0, 7.9, 3.3, 123456.7, 3.3, -0.1]
    alone = [Choreographer(patch, network).inputs({"audio_bars": x}).ws for x in bars]
    together = Choreographer(patch, network).batch([{"audio_bars": x} for x in bars]).ws
    assert torch.equal(torch.cat(alone), together)


def test_a_moment_just_before_the_seam_is_still_in_the_loop() -> None:
    assert turn(-1e-30, 6.0) == 0.0
    assert 0.999 < turn(np.nextafter(6.0, 0.0), 6.0) < 1.0


def test_a_spline_and_great_circles_begin_at_the_first_latent(network: Any) -> None:
    assert np.allclose(way(network, looped("spline"), [0.0])[0], static(network, SIX[0]), atol=1e-6)
    first, next_one = static(network, SIX[0]), static(network, SIX[1])
    missed = np.linalg.norm(way(network, looped("geodesic"), [0.0])[0] - first)
    assert missed < 0.06 * np.linalg.norm(next_one - first)


def test_a_spline_goes_through_each_latent(network: Any) -> None:
    path = way(network, looped("spline"), np.arange(0, 8, 0.01))
    for seed in SIX:
        distance = np.linalg.norm(path - static(network, seed), axis=1)
        assert distance.min() < 0.02 * distance.max()


def test_a_spline_bends_smoothly_through_its_seam(network: Any) -> None:
    around = way(network, looped("spline", (1, 2, 3, 4)), np.arange(-3, 4) * 0.02)
    second = np.diff(around, n=2, axis=0)  # [5, w_dim]
    size = np.linalg.norm(second, axis=1).max()
    assert np.linalg.norm(np.diff(second, axis=0), axis=1).max() < 0.35 * size


@each_kind
def test_the_seam_of_a_loop_is_no_different_from_any_other_latent(network: Any, kind: str) -> None:
    """Starting the same ring at another latent moves the seam, and changes nothing of the way."""
    ring = way(network, looped(kind, (1, 2, 3, 4, 5)), np.arange(0, 8, 0.02))
    turned = way(network, looped(kind, (3, 4, 5, 1, 2)), np.arange(0, 8, 0.4))
    step = np.linalg.norm(ring[1] - ring[0])
    for point in turned:
        assert np.linalg.norm(ring - point, axis=1).min() < 0.6 * step


@pytest.mark.parametrize("kind", ["gaussian in W", "wide gaussian in W", "narrow gaussian in W"])
def test_a_filtered_loop_keeps_the_spread_of_its_latents_at_every_moment(network: Any, kind: str) -> None:
    latents = np.stack([static(network, seed) for seed in SIX])
    usual = np.sqrt(np.mean(np.sum((latents - latents.mean(axis=0)) ** 2, axis=1)))
    path = way(network, looped(kind), np.arange(0, 8, 0.05))
    found = np.linalg.norm(path - latents.mean(axis=0), axis=1) / usual
    assert found == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("smoothness", [0.4, 0.7, 3.0, 16.0])
def test_a_filter_in_z_keeps_the_radius_of_z_and_their_spread(smoothness: float) -> None:
    z = np.random.RandomState(0).standard_normal((8, 512))
    points = filtered_points(z, smoothness, np.arange(0, 8, 0.05))
    radius = np.linalg.norm(z, axis=1).mean()
    assert np.linalg.norm(points, axis=1) == pytest.approx(radius, rel=0.01)
    spread = np.linalg.norm(points - z.mean(axis=0), axis=1)
    assert spread == pytest.approx(np.linalg.norm(z - z.mean(axis=0), axis=1).mean(), rel=0.03)


def test_a_filter_as_wide_as_it_may_be_meets_the_narrower_ones_without_a_jump() -> None:
    z = np.random.RandomState(0).standard_normal((8, 64))
    positions = np.arange(0, 8, 0.1)
    before, after = (filtered_points(z, smoothness, positions) for smoothness in (2.0 - 1e-9, 2.0))
    assert np.allclose(before, after, atol=1e-3)


def test_great_circles_keep_the_radius_and_lie_between_their_latents() -> None:
    z = np.random.RandomState(0).standard_normal((3, 64))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    positions = np.arange(0.2, 0.81, 0.1)
    points = geodesic_points(z, positions)
    angle = np.arccos(z[0] @ z[1])
    expected = np.sin((1 - positions)[:, None] * angle) * z[0] + np.sin(positions[:, None] * angle) * z[1]
    assert np.allclose(points, expected / np.sin(angle), atol=1e-12)
    everywhere = geodesic_points(z, np.arange(0, 3, 0.01))
    assert np.linalg.norm(everywhere, axis=1) == pytest.approx(1.0, abs=1e-9)
    steps = np.linalg.norm(np.diff(everywhere, axis=0), axis=1)
    assert steps.max() < 2 * np.median(steps)


def test_from_a_z_to_its_very_opposite_there_is_a_way_on_the_sphere() -> None:
    z = np.random.RandomState(0).standard_normal((1, 64))
    pair = np.concatenate([z, -z, 0 * z])
    points = great_circles(pair[:2], np.arange(0, 2, 0.01))
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.linalg.norm(z))
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert steps == pytest.approx(steps.mean(), rel=1e-3)
    for positions in (np.arange(0, 3, 0.1), np.arange(3.0)):  # and nothing breaks at a z of nothing but zeros
        assert np.isfinite(geodesic_points(pair, positions)).all()
        assert np.isfinite(filtered_points(pair, 0.7, positions)).all()


def test_time_passes_evenly_where_there_is_no_way_at_all() -> None:
    pace = Pace.of(np.zeros(4), np.arange(5.0))
    assert [pace.at(phase) for phase in (0.0, 0.5, 1.0)] == [0.0, 2.0, 4.0]


def test_a_loop_in_z_cannot_run_through_latents_that_have_none(network: Any, wide_file: str) -> None:
    with pytest.raises(PatchError, match=r"latents\.1: found latents in W .*w\.npy.*Choose"):
        Choreographer(looped("geodesic", (3, FileLatent(wide_file))), network)


def test_a_keyed_phase_finds_the_way_ready(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped: list[int] = []
    mapping = network.mapping
    monkeypatch.setattr(network, "mapping", lambda *inputs: mapped.append(1) or mapping(*inputs))
    choreographer = Choreographer(looped("geodesic"), network)
    choreographer.inputs({"audio_bars": 0.0})
    once = len(mapped)
    for bars in range(20):
        choreographer.inputs({"audio_bars": bars / 7, "latent_layers.0.source.phase.offset": bars})
    assert len(mapped) == once


@each_kind
def test_a_loop_is_of_the_class_that_is_asked_for(network: Any, kind: str) -> None:
    network.c_dim = 10
    choreographer = Choreographer(looped(kind), network)
    first, other = (choreographer.inputs({"audio_bars": 3.3, "label": label}).ws for label in (0.0, 4.0))
    assert not torch.allclose(first, other)
    assert torch.equal(choreographer.inputs({"audio_bars": 3.3}).ws, first)
