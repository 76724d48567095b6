# SPDX-License-Identifier: GPL-3.0-or-later
"""Post-processing: in seconds, whatever the frame rate, and finite for every input."""

import numpy as np
import pytest

from stylegan_reactive.audio.envelopes import gain_and_clip, gaussian, normalise, power, release

AWKWARD = {
    "silence": np.zeros(50),
    "one frame": np.array([0.7]),
    "no frames": np.zeros(0),
    "constant": np.full(50, 0.3),
    "one hit": np.eye(1, 50, 20)[0],
    "ramp": np.linspace(0, 1, 50),
    "two channels": np.ones((50, 2)),
}


@pytest.mark.parametrize("envelope", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize(
    "process",
    [
        lambda envelope: gaussian(envelope, 0.2, 30),
        lambda envelope: gaussian(envelope, 10.0, 30, future=0.0),
        lambda envelope: release(envelope, 0.2, 30),
        normalise,
        lambda envelope: power(envelope, 0.5),
        lambda envelope: gain_and_clip(envelope, 3.0),
    ],
    ids=["gaussian", "causal gaussian", "release", "normalise", "power", "gain"],
)
def test_awkward_envelopes_keep_their_shape_and_stay_finite(process, envelope):
    result = process(envelope)
    assert result.shape == envelope.shape
    assert np.isfinite(result).all()
    assert (result >= 0).all()
    assert (result <= 1 + 1e-9).all()


@pytest.mark.parametrize("rate", [24, 30, 60, 120])
def test_release_falls_to_a_third_in_its_time_at_every_frame_rate(rate):
    envelope = np.zeros(2 * rate)
    envelope[rate // 2] = 1.0
    fallen = release(envelope, 0.5, rate)
    assert not fallen[: rate // 2].any()
    assert fallen[rate // 2] == 1.0
    assert fallen[rate] == pytest.approx(np.exp(-1), rel=1e-6)


def test_release_starts_again_at_a_louder_hit_and_ignores_a_softer_one():
    envelope = np.zeros(60)
    envelope[[10, 12, 30]] = [0.5, 0.1, 1.0]
    fallen = release(envelope, 0.5, 30)
    assert fallen[12] > 0.4
    assert fallen[30] == 1.0


def test_release_is_exact_in_a_song_of_an_hour():
    envelope = np.zeros(3600 * 60)
    envelope[[0, -10]] = 1.0
    fallen = release(envelope, 0.1, 60)
    assert fallen[-10] == 1.0
    assert fallen[-4] == pytest.approx(np.exp(-1), rel=1e-6)


@pytest.mark.parametrize("rate", [24, 30, 60])
def test_gaussian_has_its_width_in_seconds_at_every_frame_rate(rate):
    step = np.repeat([0.0, 1.0], 3 * rate)
    smooth = gaussian(step, 0.4, rate)
    assert smooth[3 * rate] == pytest.approx(0.5, abs=0.05)
    assert smooth[3 * rate + round(0.4 * rate)] == pytest.approx(0.84, abs=0.03)
    assert smooth[3 * rate - round(0.4 * rate)] == pytest.approx(0.16, abs=0.03)


def test_causal_gaussian_never_moves_early_and_keeps_the_level():
    step = np.repeat([0.0, 1.0], 100)
    smooth = gaussian(step, 0.5, 30, future=0.0)
    assert not smooth[:100].any()
    assert smooth[100] > 0
    assert smooth[-1] == pytest.approx(1.0)
    np.testing.assert_allclose(gaussian(np.full(40, 0.3), 0.5, 30, future=0.3), 0.3)


def test_gaussian_does_not_carry_the_end_of_a_song_to_its_start():
    envelope = np.zeros(300)
    envelope[290:] = 1.0
    assert gaussian(envelope, 0.5, 30)[:100].max() == 0.0


def test_normalise_brings_usual_hits_to_one_and_clips_the_rest():
    envelope = np.zeros(800)
    envelope[10::20] = 0.2
    envelope[110] = 0.9
    result = normalise(envelope)
    assert result[30] == pytest.approx(1.0)
    assert result[110] == 1.0


def test_power_above_one_leaves_strong_hits_and_lowers_weak_ones():
    np.testing.assert_allclose(power(np.array([0.0, 0.5, 1.0]), 2), [0.0, 0.25, 1.0])
