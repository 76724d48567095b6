# SPDX-License-Identifier: GPL-3.0-or-later
"""How the sound is coloured, where it builds and where it drops: sounds of which that is known."""

import numpy as np
import pytest

from stylegan_reactive.audio import Recipe, analyse, bake

RATE = 44100
COLOURS = ["centroid", "flatness", "flux", "contrast", "build", "drop"]


def tone(hertz: float, seconds: float, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


@pytest.mark.parametrize("hertz", [500.0, 2000.0, 8000.0])
def test_centroid_of_a_tone_is_its_frequency(write_song, hertz):
    values = analyse(write_song(tone(hertz, 2).astype(np.float32)), 30, ["centroid"])["centroid"]
    np.testing.assert_allclose(values[5:55], hertz, rtol=0.02)


def test_centroid_of_a_band_stays_in_it_and_keeps_through_silence(write_song):
    song = np.concatenate([noise(1), np.zeros(RATE), tone(1000, 1)])
    values = analyse(write_song(song.astype(np.float32)), 30, ["centroid@500-2000"])["centroid@500-2000"]
    assert values.min() >= 500
    assert values.max() <= 2000
    assert np.ptp(values[35:59]) == 0.0
    assert values[75] == pytest.approx(1000, rel=0.05)


def test_noise_is_flat_and_full_of_news_and_a_tone_is_neither(write_song):
    song = np.concatenate([tone(440, 2), noise(2)]).astype(np.float32)
    analysis = analyse(write_song(song), 30, COLOURS)
    assert analysis["flatness"][5:55].max() < 0.01
    assert analysis["flatness"][65:115].min() > 0.3
    assert np.median(analysis["flux"][5:55]) < 0.05 < 0.2 < np.median(analysis["flux"][65:115])
    assert analysis["contrast"][20:50, 2].min() > 2 * analysis["contrast"][75:110, 2].max()  # 400 to 800 Hz


@pytest.mark.parametrize("fps", [24, 60])
def test_no_colour_changes_before_the_sound_does(write_song, fps):
    song = np.concatenate([tone(300, 3), noise(3, 0.2)]).astype(np.float32)
    analysis = analyse(write_song(song), fps, COLOURS)
    for name in ("centroid", "flatness", "flux"):
        before, after = analysis[name][fps : 3 * fps], analysis[name][3 * fps + 4 : 5 * fps]
        assert before[-1] - np.median(before) < 0.1 * (np.median(after) - np.median(before)), name
    for name in ("build", "drop"):
        assert analysis[name][: 3 * fps].max() < 0.05, name


@pytest.mark.parametrize("silence", [0.0, 0.3, 5.0])
def test_silence_before_a_song_neither_builds_nor_drops(write_song, silence):
    song = np.concatenate([np.zeros(round(silence * RATE)), 0.5 * noise(14)]).astype(np.float32)
    analysis = analyse(write_song(song), 30, ["build", "drop"])
    for name in ("build", "drop"):
        assert analysis[name].max() < 0.1, name


def test_a_song_builds_while_it_grows_and_drops_when_the_bass_comes_in(write_song):
    seconds = np.arange(8 * RATE) / RATE
    rise = noise(8, 0.3) * 10 ** (-2 * (1 - seconds / 8))  # 40 dB in eight seconds, without any bass
    rise = np.diff(rise, prepend=0.0)
    drop = 0.6 * np.sin(2 * np.pi * 55 * seconds) + 0.1 * noise(8)
    song = np.concatenate([tone(330, 8, 0.01), rise, drop]).astype(np.float32)
    analysis = analyse(write_song(song), 30, ["build", "drop"])
    build, drops = analysis["build"], analysis["drop"]
    assert build[60:235].max() < 0.2
    assert build[420:480].min() > 0.7
    assert build[660:].max() < 0.2
    assert drops[481:500].max() > 0.8
    assert drops[480 - 30 : 480].max() < 0.5
    assert drops[660:].max() < 0.2


def test_envelopes_of_any_unit_lie_between_zero_and_one(builtin_song):
    names = ["centroid", "contrast.3", "loudness", "loudness~3", "tempo", "flux", "rms@60-250~1", "drums:onset"]
    analysis = analyse(builtin_song, 30, names)
    for name in names:
        envelope = bake(analysis, Recipe("audio_x", name))
        assert envelope.dtype == np.float32, name
        assert envelope.min() >= 0.0, name
        assert envelope.max() <= 1.0, name
        if name != "tempo":
            assert np.ptp(envelope) > 0.5, name


def test_what_never_changes_becomes_a_flat_envelope(write_song):
    analysis = analyse(write_song(np.zeros(2 * RATE, np.float32)), 30, [*COLOURS, "loudness"])
    for name in ("centroid", "flatness", "flux", "contrast.2", "build", "drop", "loudness"):
        assert not bake(analysis, Recipe("audio_x", name)).any(), name


@pytest.mark.parametrize("samples", [1, 10, 441, 3000])
def test_short_songs_have_finite_colours(write_song, samples):
    analysis = analyse(write_song(np.full(samples, 0.4, np.float32)), 60, COLOURS)
    assert all(np.isfinite(values).all() for values in analysis.features.values())
