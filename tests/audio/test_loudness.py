# SPDX-License-Identifier: GPL-3.0-or-later
"""Loudness: EBU R128 against the facts of its standard (EBU Tech 3341), and RMS over bands and times."""

import numpy as np
import pytest

from stylegan_reactive.audio import analyse

RATE = 44100


def tone(decibels: float, seconds: float, *, hertz: float = 997.0, rate: int = RATE) -> np.ndarray:
    return 10 ** (decibels / 20) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def stereo(sound: np.ndarray) -> np.ndarray:
    return np.stack([sound, sound], axis=1).astype(np.float32)


@pytest.mark.parametrize("rate", [32000, 44100, 48000, 96000])
@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_a_tone_in_both_channels_reads_its_level(write_song, rate, level):
    analysis = analyse(write_song(stereo(tone(level, 5, rate=rate)), rate=rate, subtype="FLOAT"), 30, ["loudness"])
    assert analysis.loudness == pytest.approx(level, abs=0.05)
    np.testing.assert_allclose(analysis["loudness"][13:], level, atol=0.1)


def test_short_term_loudness_takes_three_seconds_to_rise(write_song):
    path = write_song(stereo(tone(-23, 8)), subtype="FLOAT")
    loudness = analyse(path, 30, ["loudness~3", "loudness"])["loudness~3"]
    assert loudness[45] == pytest.approx(-23 - 3, abs=0.1)  # half of the time: half of the energy
    np.testing.assert_allclose(loudness[91:], -23, atol=0.1)


def test_pauses_and_soft_parts_do_not_count_in_the_whole_song(write_song):
    # EBU Tech 3341, test 3: the softer parts lie below the relative gate
    song = np.concatenate([tone(-36, 5), tone(-23, 30), tone(-36, 5), np.zeros(5 * RATE)])
    analysis = analyse(write_song(stereo(song), subtype="FLOAT"), 10, ["loudness"])
    assert analysis.loudness == pytest.approx(-23.0, abs=0.1)


def test_channels_that_cancel_in_the_mix_are_still_loud(write_song):
    sound = tone(-23, 4)
    song = np.stack([sound, -sound], axis=1).astype(np.float32)
    assert analyse(write_song(song, subtype="FLOAT"), 30, ["loudness"]).loudness == pytest.approx(-23, abs=0.05)


def test_surround_channels_count_more_and_the_subwoofer_not_at_all(write_song):
    # EBU Tech 3341, test 6: left and right at -28 dB, centre at -24, both surrounds at -30
    levels = {0: -28.0, 1: -28.0, 2: -24.0, 3: 0.0, 4: -30.0, 5: -30.0}
    song = np.stack([tone(level, 5) for level in levels.values()], axis=1).astype(np.float32)
    assert analyse(write_song(song, subtype="FLOAT"), 30, ["loudness"]).loudness == pytest.approx(-23, abs=0.1)


def test_silence_is_at_the_bottom_of_the_scale(write_song):
    analysis = analyse(write_song(np.zeros(RATE, np.float32)), 30, ["loudness"])
    assert analysis.loudness == -70.0
    assert (analysis["loudness"] == -70.0).all()


@pytest.mark.parametrize("samples", [1, 50, 1000])
def test_songs_shorter_than_a_measurement_have_a_loudness(write_song, samples):
    analysis = analyse(write_song(np.full((samples, 2), 0.5, np.float32)), 30, ["loudness"])
    assert -70.0 <= analysis.loudness < 0.0
    assert np.isfinite(analysis["loudness"]).all()


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_constant_offset_has_no_loudness(write_song, channels):
    song = np.full((3 * RATE, channels), 0.7, np.float32)
    analysis = analyse(write_song(song, subtype="FLOAT"), 30, ["loudness"])
    assert analysis.loudness == -70.0
    assert (analysis["loudness"] == -70.0).all()


def test_builtin_song_is_as_loud_as_it_was_mastered(builtin_song):
    assert analyse(builtin_song, 30, ["loudness"]).loudness == pytest.approx(-14.0, abs=0.2)


def test_rms_of_a_band_hears_only_that_band(write_song):
    low, high = tone(-12, 2, hertz=60), tone(-12, 2, hertz=3000)
    analysis = analyse(write_song(np.concatenate([low, high]).astype(np.float32)), 30, ["rms@40-120", "rms@2000-5000"])
    bass, treble = analysis["rms@40-120"], analysis["rms@2000-5000"]
    assert bass[10:58].min() > 0.9
    assert bass[65:].max() < 0.05
    assert treble[3:58].max() < 0.05
    assert treble[65:].min() > 0.9
    assert treble[:60].max() < 0.1  # nothing is heard before it sounds


def test_rms_over_seconds_is_steady_through_hits_and_never_early(write_song, drum_loop):
    song = np.concatenate([np.zeros(4 * RATE, np.float32), drum_loop({"kick": np.arange(0, 12, 0.5).tolist()}, 12)])
    analysis = analyse(write_song(song), 30, ["rms", "rms~2"])
    long = analysis["rms~2"]
    assert not long[:120].any()
    assert np.std(long[200:400]) < 0.1 * np.std(analysis["rms"][200:400])
    assert long[300] > 0.9
