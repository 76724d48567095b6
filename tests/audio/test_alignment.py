# SPDX-License-Identifier: GPL-3.0-or-later
"""On which video frame is an attack seen? On the one in which it sounds, and never before."""

import json
from fractions import Fraction

import numpy as np
import pytest

from stylegan_reactive.audio import DEFAULT_RECIPES, analyse, bake, exact_fps

RATE = 44100
RATES = [Fraction(24000, 1001), 24, 29.97, 30, 60]


def frame_errors(envelope: np.ndarray, times: np.ndarray, fps: Fraction) -> np.ndarray:
    """Frames between each attack and the peak nearest to it; negative is early."""
    beyond = np.concatenate([[0.0], envelope, [0.0]])
    peaks = np.flatnonzero((envelope > beyond[:-2]) & (envelope >= beyond[2:]) & (envelope > 0.1))
    frames = np.array([int(Fraction(float(time)) * fps) for time in times])
    return peaks[np.abs(peaks[None, :] - frames[:, None]).argmin(axis=1)] - frames


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_recorded_drums_off_any_grid_are_seen_on_their_frame(shared_folder, fps):
    truth = json.loads((shared_folder / "reference/songs/truth_c_align.json").read_text())
    analysis = analyse(shared_folder / "reference/songs/truth_c_align.flac", fps, ["onset"])
    onset = next(recipe for recipe in DEFAULT_RECIPES if recipe.name == "audio_onset")
    for envelope in (analysis["onset"], bake(analysis, onset)):
        errors = frame_errors(envelope, np.array([note[0] for note in truth["notes"]["drums"]]), analysis.fps)
        assert np.mean(errors == 0) >= (0.75 if fps == 60 else 0.85)
        assert np.abs(errors).max() <= 1
        assert np.mean(errors < 0) <= 0.01


@pytest.mark.parametrize("fps", RATES, ids=str)
@pytest.mark.parametrize("drum", ["kick", "snare", "hats", "click"])
def test_attack_is_never_seen_before_it_sounds(write_song, drum_loop, drum, fps):
    random = np.random.default_rng(3)
    times = np.arange(0.5, 39.5, 0.4) + random.uniform(0, 0.1, 98)  # every offset within a frame
    song = drum_loop({drum: times.tolist()}, 40)
    analysis = analyse(write_song(song), fps, ["onset"])
    onset = next(recipe for recipe in DEFAULT_RECIPES if recipe.name == "audio_onset")
    envelope = bake(analysis, onset)
    frames = np.array([round(time * RATE) * analysis.fps // RATE for time in times], dtype=int)
    assert (envelope[frames] > 0.5).mean() >= 0.95  # the rest sounds in a frame's last half-millisecond
    assert (np.maximum(envelope[frames], envelope[frames + 1]) > 0.5).all()
    assert (analysis["onset"][frames - 1] == 0).all()
    assert (envelope[frames - 1] <= envelope[frames - 2]).all()


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_beats_exactly_on_frames_are_not_a_frame_early(write_song, drum_loop, fps):
    times = np.arange(0.0, 20.0, 0.5)  # 120 BPM: all of them begin with a frame
    analysis = analyse(write_song(drum_loop({"kick": times.tolist()}, 20)), fps, ["onset", "kick"])
    assert np.flatnonzero(analysis["onset"]).tolist() == [int(time * fps) for time in times]
    assert (analysis["kick"][np.array(times * fps, dtype=int)] > 0.5).all()


@pytest.mark.parametrize("rate", [22050, 32000, 48000, 96000])
def test_resampled_song_keeps_its_time(write_song, rate):
    times = np.arange(0.5, 19.5, 0.37)
    song = np.zeros(20 * rate, np.float32)
    song[np.round(times * rate).astype(int)] = 0.9
    analysis = analyse(write_song(song, rate=rate), 60, ["onset"])
    for early in (0.0005, -0.0005):  # a single sample spreads over about a millisecond when it is resampled
        errors = frame_errors(analysis["onset"], np.round(times * rate) / rate - early, analysis.fps)
        assert np.all(errors >= 0) if early > 0 else np.all(errors <= 0)


def test_hit_on_the_first_sample_is_seen_on_the_first_frame(write_song, drum_loop):
    analysis = analyse(write_song(drum_loop({"kick": [0.0, 1.0]}, 2)), 30)
    assert np.flatnonzero(analysis["onset"]).tolist() == [0, 30]


def test_nothing_drifts_in_a_long_song(write_song, drum_loop):
    times = np.array([1.0, 299.99, 599.01])
    analysis = analyse(
        write_song(drum_loop({"click": times.tolist()}, 600), subtype="PCM_16"), 29.97, ["onset", "seconds"]
    )
    expected = [int(round(time * RATE) * Fraction(30000, 1001) // RATE) for time in times]
    assert np.flatnonzero(analysis["onset"]).tolist() == expected
    assert analysis["seconds"][-1] == pytest.approx((analysis.frames - 1) * 1001 / 30000, abs=1e-4)


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (24, Fraction(24)),
        (24.0, Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        (24000 / 1001, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (Fraction(30000, 1001), Fraction(30000, 1001)),
        (12.5, Fraction(25, 2)),
        (np.float32(29.97), Fraction(30000, 1001)),
        (np.int64(25), Fraction(25)),
    ],
)
def test_frame_rates_are_exact(fps, expected):
    assert exact_fps(fps) == expected


@pytest.mark.parametrize(("samples", "frames"), [(RATE, 30), (RATE + 1, 31), (RATE - 1, 30), (1470, 1), (1471, 2)])
def test_video_holds_the_whole_song_and_no_frame_more(write_song, samples, frames):
    analysis = analyse(write_song(np.full(samples, 0.1, np.float32)), 30)
    assert analysis.frames == frames
    assert all(len(values) == frames for values in analysis.features.values())
