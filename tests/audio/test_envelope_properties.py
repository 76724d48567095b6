# SPDX-License-Identifier: GPL-3.0-or-later
"""Post-processing as an artist relies on it: neutral, in order, never early, and alike at every frame rate."""

import inspect
import json

import numpy as np
import pytest
from scipy import ndimage

from stylegan_reactive.audio import envelopes
from stylegan_reactive.audio.envelope_steps import (
    STEPS,
    Compress,
    Delay,
    Expand,
    Follower,
    GainAndClip,
    Gate,
    Gaussian,
    Normalise,
    NormaliseLoudness,
    NormaliseRange,
    Power,
    Step,
    Trigger,
    apply_chain,
    chain_from_plain,
    chain_to_plain,
    step_from_plain,
)
from stylegan_reactive.errors import PatchError

RATES = [24000 / 1001, 24, 30, 60]

NEUTRAL = [
    Gaussian(0, 0),
    Gaussian(0, 1),
    Follower(0, 0, 0),
    NormaliseRange(0, 1),
    Expand(0.5, 1, 6),
    Compress(0.5, 1, 0),
    GainAndClip(1, 0, 1),
    Power(1),
    Gate(0, 0, 0),
    Delay(0),
]

LIVELY = [
    Gaussian(0.004, 0),
    Gaussian(0.1, 0),
    Gaussian(0.1, 0.5),
    Gaussian(40, 0),
    Gaussian(40, 1),
    Follower(0.05, 0, 0),
    Follower(0, 0.07, 0),
    Follower(0.03, 0.1, 0.3),
    Normalise(95),
    Normalise(0),
    NormaliseRange(1, 0),
    NormaliseLoudness(0.5),
    Expand(0.5, 2, 0),
    Expand(0, 2, 0),
    Compress(0.3, 4, 12),
    GainAndClip(1e6, 0, 1),
    Power(0),
    Power(0.3),
    Gate(0.2, 0.1, 0.1),
    Trigger(0.5, 0.2, 0.1),
    Trigger(0, 0, 0),
    Delay(0.05),
    Delay(600),
]

LOOKING_AHEAD = [Gaussian(0.1, 0.5), Gaussian(40, 1), NormaliseRange(1, 0)]  # upside down, a rest is high

CAUSAL = [Gaussian(0.1, 0), Gaussian(30, 0), Follower(0.1, 0.1, 0.3), Gate(0.3, 0.1, 0.2), Trigger(0.3, 0.1, 0.2)]

RELATIVE = (Normalise, NormaliseRange, NormaliseLoudness, Trigger)
"""Steps that do not follow the level of the song."""

AWKWARD = {
    "silence": np.zeros(50),
    "near silence": np.full(50, 1e-9),
    "one frame": np.array([0.7]),
    "one silent frame": np.zeros(1),
    "two frames": np.array([0.0, 1.0]),
    "no frames": np.zeros(0),
    "constant": np.full(50, 0.3),
    "one hit": np.eye(1, 50, 20)[0],
    "ramp": np.linspace(0, 1, 50),
    "chroma": np.random.default_rng(1).dirichlet(np.ones(12), 50),
    "no frames of chroma": np.zeros((0, 12)),
    "float32": np.linspace(0, 1, 50, dtype=np.float32),
}


def song(frames: int = 400) -> np.ndarray:
    """Hits of all strengths with their tails, between rests."""
    random = np.random.default_rng(5)
    values = np.zeros(frames)
    at = random.choice(np.arange(12, frames - 12), frames // 14, replace=False)
    values[at] = random.uniform(0.1, 1.0, len(at))
    tails = np.exp(-np.arange(12) / random.uniform(1, 4))
    return np.minimum(np.convolve(values, tails)[:frames], 1.0)


def curve(rate: float, seconds: float = 8.0) -> np.ndarray:
    """Sampled at the middle of each frame: slow swells, and a quick one that a frame at 24 still shows."""
    time = (np.arange(round(seconds * rate)) + 0.5) / rate
    swell = 0.4 + 0.25 * np.sin(2 * np.pi * 0.5 * time) + 0.15 * np.sin(2 * np.pi * 1.3 * time + 1)
    return swell + 0.2 * np.exp(-np.square((time - 4) / 0.15))


def identify(step: Step) -> str:
    return str(step).replace(" ", "")


@pytest.mark.parametrize("step", NEUTRAL, ids=identify)
def test_neutral_settings_give_back_exactly_what_came_in(step):
    values = song()
    values[100] = 1.0  # so that the song has the whole range already
    np.testing.assert_array_equal(step.apply(values, 30), values)
    np.testing.assert_array_equal(
        step.apply(np.stack([values, values[::-1]], 1), 24), np.stack([values, values[::-1]], 1)
    )


@pytest.mark.parametrize("envelope", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize("step", LIVELY, ids=identify)
@pytest.mark.filterwarnings("error")
def test_whatever_comes_in_leaves_finite_and_in_its_shape(step, envelope):
    given = envelope.copy()
    result = step.apply(envelope, 30)
    assert result.shape == envelope.shape
    assert result.dtype == np.float64
    assert np.isfinite(result).all()
    assert (result >= 0).all()
    np.testing.assert_array_equal(envelope, given)
    if not isinstance(step, Expand | Compress):  # these may leave 0..1, as the paper has it
        assert (result <= 1 + 1e-12).all()


@pytest.mark.parametrize("step", [s for s in LIVELY if not isinstance(s, NormaliseRange)], ids=identify)
def test_silence_stays_silent(step):
    assert not step.apply(np.zeros(90), 30).any()


@pytest.mark.parametrize("step", [s for s in LIVELY if s not in LOOKING_AHEAD], ids=identify)
@pytest.mark.parametrize("start", [1, 3, 40, 200])
def test_nothing_moves_before_its_sound(step, start):
    values = song()
    values[:start] = 0.0
    values[start] = 1.0
    assert not step.apply(values, 30)[:start].any()


@pytest.mark.parametrize("step", CAUSAL, ids=identify)
def test_what_is_shown_does_not_depend_on_what_comes_later(step):
    values = song()
    other = values.copy()
    other[250:] = 0.77
    np.testing.assert_allclose(step.apply(values, 30)[:250], step.apply(other, 30)[:250], rtol=0, atol=1e-12)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frames", [0.05, 0.2, 0.5, 0.8, 1.0, 1.7, 5.0])
def test_gaussian_has_exactly_its_standard_deviation_even_below_a_frame(rate, frames):
    hit = np.eye(1, 101, 50)[0]
    kernel = envelopes.gaussian(hit, frames / rate, rate)
    offset = (np.arange(101) - 50) / rate
    assert kernel.sum() == pytest.approx(1.0)
    assert kernel @ offset == pytest.approx(0.0, abs=1e-12)
    assert np.sqrt(kernel @ np.square(offset)) * rate == pytest.approx(frames, rel=2e-3)
    assert np.argmax(kernel) == 50


def test_gaussian_is_the_textbook_one_from_a_frame_on():
    values = song()
    for deviation in (1.0, 4.0, 60.0, 300.0):
        expected = ndimage.gaussian_filter1d(values, deviation, mode="reflect", truncate=5)
        np.testing.assert_allclose(envelopes.gaussian(values, deviation / 30, 30), expected, atol=2e-4)


@pytest.mark.parametrize("future", [0.0, 1.0])
def test_long_gaussians_of_long_songs_are_those_of_short_ones(future):
    values = np.repeat(song(), 40)  # so long that it is filtered another way
    smooth = envelopes.gaussian(values, 20.0, 40, future=future)
    seen = smooth.reshape(-1, 40).mean(axis=1) if future else smooth[39::40]
    np.testing.assert_allclose(seen, envelopes.gaussian(song(), 20.0, 1, future=future), atol=1e-3)
    columns = envelopes.gaussian(np.stack([values, 1 - values], 1), 20.0, 40, future=future)
    np.testing.assert_allclose(columns, np.stack([smooth, 1 - smooth], 1), atol=1e-9)


@pytest.mark.parametrize("future", [0.0, 0.25, 0.5, 1.0])
def test_every_gaussian_keeps_a_constant_and_stays_within_its_envelope(future):
    np.testing.assert_allclose(envelopes.gaussian(np.full(40, 0.3), 0.5, 30, future=future), 0.3)
    smooth = envelopes.gaussian(song(), 0.3, 30, future=future)
    assert smooth.min() >= 0
    assert smooth.max() <= song().max()


def test_more_future_makes_a_gaussian_look_further_ahead():
    step = np.repeat([0.0, 1.0], 60)
    early = [envelopes.gaussian(step, 0.2, 30, future=future)[:60].sum() for future in (0.0, 0.2, 0.5, 1.0)]
    assert early[0] == 0
    assert (np.diff(early) > 0.05).all()


@pytest.mark.parametrize("rate", RATES)
def test_causal_gaussian_shows_a_hit_at_once_and_loudest_on_its_frame(rate):
    for seconds in (0.01, 0.05, 0.2, 1.0):
        smooth = envelopes.gaussian(np.eye(1, 300, 90)[0], seconds, rate, future=0.0)
        assert not smooth[:90].any()
        assert np.argmax(smooth) == 90


FOLLOWING = [Gaussian(0.1, 0), Gaussian(0.01, 0), Follower(0.08, 0, 0), Delay(0.1)]


@pytest.mark.parametrize("step", FOLLOWING, ids=identify)
@pytest.mark.parametrize("rate", RATES)
def test_twice_as_many_frames_show_the_same_at_each_frames_end(step, rate):
    values = song(200)
    doubled = step.apply(np.repeat(values, 2), 2 * rate)
    np.testing.assert_allclose(
        doubled[1::2], step.apply(values, rate), atol=0.51 if isinstance(step, Delay) else 1e-4
    )  # a delay by a part of a frame is shared out between two
    if isinstance(step, Delay):
        np.testing.assert_allclose(doubled.reshape(-1, 2).mean(axis=1), step.apply(values, rate), atol=1e-12)


SMOOTH = [
    *(Gaussian(seconds, future) for seconds in (0.02, 0.15, 1.0) for future in (0.0, 0.5, 1.0)),
    Follower(0.1, 0.2, 0.5),
    Follower(0.0, 0.1, 0.3),
    Normalise(90),
    NormaliseRange(),
    NormaliseLoudness(0.4),
    Expand(),
    Compress(),
    Power(2),
    Delay(0.07),
]


@pytest.mark.parametrize("step", SMOOTH, ids=identify)
@pytest.mark.parametrize("rate", [24000 / 1001, 24, 30])
def test_a_song_looks_the_same_at_other_frame_rates(step, rate):
    coarse, fine = step.apply(curve(rate), rate), step.apply(curve(60), 60)
    ends = (np.arange(len(coarse)) + 1) / rate
    remembers = isinstance(step, Follower) or (isinstance(step, Gaussian) and step.future < 1)
    middle = 0.5 / 60 if remembers else 0.5 / rate  # what looks into the past shows it as of a frame's end
    seen = np.interp(ends - middle, (np.arange(len(fine)) + 0.5) / 60, fine)
    assert np.abs(seen - coarse)[(ends > 0.5) & (ends < 7.5)].max() < 0.05


@pytest.mark.parametrize("rate", RATES)
def test_follower_rises_holds_and_falls_in_its_times(rate):
    values = np.zeros(round(4 * rate))
    hit = round(rate)
    values[hit] = 1.0
    seen = envelopes.follower(values, 0.1, 0.8, 0.5, rate)
    assert not seen[:hit].any()
    assert 0.1 < seen[hit] < 0.4
    time = (np.arange(len(values)) + 1 - hit) / rate  # since the hit, at each frame's end
    assert np.interp(0.1, time, seen) == pytest.approx(1 - np.exp(-1), abs=0.02)
    assert np.interp(0.75, time, seen) > 0.99
    fall = (np.arange(len(values)) - hit) / rate
    assert np.interp(0.8 + 0.5, fall, seen) == pytest.approx(np.exp(-1), abs=0.02)


def test_follower_without_attack_and_hold_is_the_release():
    np.testing.assert_array_equal(
        envelopes.follower(song(), 0, 0, 0.3, 30), np.maximum(song(), envelopes.release(song(), 0.3, 30))
    )


def test_follower_agrees_with_the_same_said_frame_by_frame():
    values, rate, attack, hold, release = song(), 30, 0.11, 0.085, 0.2
    held = [
        max(values[j] * np.exp(-max(0.0, (i - j) - hold * rate) / (release * rate)) for j in range(i + 1))
        for i in range(len(values))
    ]
    factor, level, expected = np.exp(-1 / (attack * rate)), 0.0, []
    for value in held:
        level = min(value, factor * level + (1 - factor) * value)
        expected.append(level)
    np.testing.assert_allclose(envelopes.follower(values, attack, hold, release, rate), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("shorter", "longer", "rises"),
    [
        (Follower(0.05, 0.1, 0.2), Follower(0.1, 0.1, 0.2), False),
        (Follower(0.05, 0.1, 0.2), Follower(0.05, 0.11, 0.2), True),
        (Follower(0.05, 0.1, 0.2), Follower(0.05, 0.1, 0.3), True),
        (Follower(0, 0, 0), Follower(0, 0.001, 0), True),
        (Follower(0, 0, 0.2), Follower(0, 0.001, 0.2), True),
        (Gate(0.3, 0.0, 0.0), Gate(0.3, 0.1, 0.0), True),
        (Gate(0.3, 0.1, 0.0), Gate(0.3, 0.1, 0.1), True),
        (Gate(0.3, 0.1, 0.1), Gate(0.4, 0.1, 0.1), False),
        (Power(1.5), Power(2), False),
        (GainAndClip(1), GainAndClip(1.5), True),
        (Normalise(95), Normalise(50), True),
        (NormaliseLoudness(0.2), NormaliseLoudness(0.4), True),
    ],
)
def test_turning_a_knob_up_never_does_the_opposite_anywhere(shorter, longer, rises):
    values = song()
    difference = longer.apply(values, 30) - shorter.apply(values, 30)
    assert ((difference if rises else -difference) >= -1e-12).all()
    assert isinstance(shorter, Follower) or np.abs(difference).max() > 0


@pytest.mark.parametrize("step", [s for s in LIVELY if not isinstance(s, RELATIVE)], ids=identify)
def test_a_louder_song_is_nowhere_shown_weaker(step):
    values = song()
    louder = values * np.linspace(1.05, 1.4, len(values))
    assert (step.apply(louder, 30) >= step.apply(values, 30) - 1e-12).all()


def test_expand_doubles_above_the_threshold_and_halves_below_as_in_the_paper():
    values = np.array([0.0, 0.1, 0.49, 0.51, 0.8, 1.0])
    np.testing.assert_allclose(envelopes.expand(values, threshold=0.5, ratio=2.0), [0.0, 0.05, 0.245, 1.02, 1.6, 2.0])
    np.testing.assert_allclose(envelopes.compress(np.array([0.1, 0.2, 1.2]), threshold=0.5), [0.2, 0.4, 0.6])


@pytest.mark.parametrize("knee", [0.0, 1.0, 6.0, 24.0])
@pytest.mark.parametrize("ratio", [1.2, 2.0, 10.0])
def test_compress_undoes_expand(ratio, knee):
    values = np.linspace(0.0, 1.0, 999)
    there = envelopes.expand(values, threshold=0.4, ratio=ratio, knee=knee)
    np.testing.assert_allclose(envelopes.compress(there, threshold=0.4, ratio=ratio, knee=knee), values, atol=1e-12)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 2.0, 10.0])
@pytest.mark.parametrize("knee", [0.0, 6.0])
def test_expand_and_compress_keep_the_order_and_jump_only_with_a_hard_knee(ratio, knee):
    values = np.linspace(0.0, 1.0, 100001)
    changed = envelopes.expand(values, threshold=0.4, ratio=ratio, knee=knee)
    steps = np.diff(changed)
    assert (steps >= -1e-12).all()
    if knee or ratio < 1:
        assert steps.max() < 1e-3
    else:
        assert steps.max() == pytest.approx(0.4 * (ratio - 1 / ratio), rel=0.6)


def test_normalise_is_not_misled_by_ripples_between_the_hits_or_by_shoulders():
    values = 0.005 * np.random.default_rng(2).uniform(size=3000)
    values[10::100] = 0.5
    assert envelopes.normalise(values)[np.arange(10, 3000, 100)] == pytest.approx(1.0)
    assert envelopes.normalise(values)[50] < 0.02
    staircase = np.repeat(np.linspace(0.1, 1.0, 10), 4)
    assert np.sum(envelopes.normalise(staircase) == 1.0) == 4


def test_normalise_loudness_gives_sparse_and_busy_songs_the_same_average_while_they_play():
    sparse, busy = np.zeros(900), np.zeros(900)
    sparse[::60] = 0.3
    busy[::5] = 0.9
    for values in (sparse, busy):
        result = envelopes.normalise_loudness(values, target=0.5)
        assert result.max() == pytest.approx(0.5)


def test_normalise_range_spans_exactly_what_is_asked_for():
    for low, high in ((0, 1), (0.2, 0.7), (1, 0)):
        result = envelopes.normalise_range(0.1 + 0.3 * song(), low=low, high=high)
        assert sorted((result.min(), result.max())) == pytest.approx(sorted((low, high)))
    loudest = np.argmax(song())
    assert envelopes.normalise_range(song(), low=1, high=0)[loudest] == 0


def test_gate_does_not_flicker_around_its_threshold_and_closes_after_its_hold():
    values = np.array([0, 0.1, 0.31, 0.28, 0.31, 0.26, 0.1, 0.1, 0.1, 0.1, 0.31, 0.1])
    np.testing.assert_array_equal(envelopes.gate(values, 0.3, 0.1, 0.0, 10) > 0, [0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(envelopes.gate(values, 0.3, 0.1, 0.2, 10) > 0, [0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1])


@pytest.mark.parametrize("rate", RATES)
def test_trigger_fires_once_for_each_crossing_and_fades_in_its_time(rate):
    values = np.zeros(round(6 * rate))
    first, second = round(rate), round(4 * rate)
    values[first : first + 4] = [0.7, 0.55, 0.7, 0.5]  # one hit that shakes
    values[second] = 0.6
    pulses = envelopes.trigger(values, 0.6, 0.2, 0.0, rate)
    assert np.flatnonzero(pulses).tolist() == [first, second]
    fading = envelopes.trigger(values, 0.6, 0.2, 0.5, rate)
    assert fading[first] == 1.0
    time = (np.arange(len(values)) - first) / rate
    assert np.interp(0.5, time, fading) == pytest.approx(np.exp(-1), abs=0.005)


@pytest.mark.parametrize("rate", RATES)
def test_delay_moves_by_seconds_to_a_part_of_a_frame(rate):
    values = np.zeros(round(6 * rate))
    values[round(rate) : round(3 * rate)] = song(len(values))[round(rate) : round(3 * rate)]
    later = envelopes.delay(values, 0.123, rate)
    assert not later[: round(rate) + int(0.123 * rate)].any()
    time = np.arange(len(values)) / rate
    assert later @ time / later.sum() - values @ time / values.sum() == pytest.approx(0.123, abs=1e-9)
    np.testing.assert_array_equal(envelopes.delay(values, 3 / rate, rate)[3:], values[:-3])
    assert not envelopes.delay(values, 7.0, rate).any()


def test_chains_survive_json_and_are_taken_in_their_order():
    chain = (Gaussian(0.2, 0.1), Normalise(90), Expand(0.5, 2, 6), GainAndClip(1.2), Follower(0.01, 0.1, 0.3))
    assert chain_from_plain(json.loads(json.dumps(chain_to_plain(chain)))) == chain
    values = song()
    expected = values
    for step in chain:
        expected = step.apply(expected, 30)
    np.testing.assert_array_equal(apply_chain(chain, values, 30), expected)
    np.testing.assert_array_equal(apply_chain((), values, 30), values)


@pytest.mark.parametrize("name", STEPS)
def test_every_step_says_what_an_artist_can_set(name):
    step = step_from_plain({"step": name})
    function = inspect.signature(getattr(envelopes, name)).parameters
    about = STEPS[name]
    assert step.to_plain() == {"step": name, **{parameter.name: parameter.default for parameter in about.parameters}}
    assert set(function) - {"envelope", "rate"} == {parameter.name for parameter in about.parameters}
    assert about.description
    for parameter in about.parameters:
        assert parameter.description
        assert parameter.low <= parameter.default <= parameter.high
        for value in (parameter.low, parameter.high):
            with np.errstate(all="ignore"):
                others = {"high": 1.0} if parameter.name == "low" else {"low": 0.0} if parameter.name == "high" else {}
                others = {key: value for key, value in others.items() if key in function}
                result = step_from_plain({"step": name, parameter.name: value, **others}).apply(song(), 30)
            assert np.isfinite(result).all()
        with pytest.raises(PatchError, match=parameter.name):
            step_from_plain({"step": name, parameter.name: parameter.high * 1.01 + 1})


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ([{"step": "echo"}], "no step of post-processing 'echo'"),
        ([{"seconds": 1}], "no step of post-processing None"),
        ([{"step": ["gaussian"]}], "no step"),
        (["gaussian"], "no step"),
        ([{"step": "gaussian", "sigma": 1}], "has no “sigma”"),
        ([{"step": "gaussian", "seconds": "long"}], "seconds is 'long'"),
        ([{"step": "gaussian", "seconds": float("nan")}], "seconds is nan"),
        ([{"step": "gaussian", "seconds": True}], "seconds is True"),
        ([{"step": "gaussian", "future": 1.5}], "from 0 to 1"),
        ([{"step": "gain_and_clip", "low": 0.8, "high": 0.2}], "Exchange"),
        ({"step": "gaussian"}, "a list"),
        ("gaussian", "a list"),
    ],
)
def test_wrong_chains_say_what_is_wrong(data, complaint):
    with pytest.raises(PatchError, match=complaint):
        chain_from_plain(data)


@pytest.mark.parametrize("last", [Gaussian(0.2, 0.5), Follower(0.1, 0.1, 0.1), Power(3.0), NormaliseRange(0, 1)])
def test_steps_that_outgrow_all_numbers_still_leave_finite_ones(last):
    envelope = np.abs(np.sin(np.arange(90)))
    steep = [Expand(0.1, 100), Expand(0.1, 100), Expand(0.1, 100), Power(100), last]
    shown = apply_chain(steep, envelope, 30)
    assert np.isfinite(shown.astype(np.float32)).all()
    assert shown[envelope > 0.9].min() > 0
