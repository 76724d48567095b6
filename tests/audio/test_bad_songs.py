# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are no songs, or hardly any: a message that an artist can act on, or finite envelopes."""

from pathlib import Path

import numpy as np
import pytest

from stylegan_reactive.audio import DEFAULT_RECIPES, Analysis, analyse, bake
from stylegan_reactive.errors import SongError

RATE = 44100


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def cut_in_half(path: Path) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def assert_usable(analysis: Analysis) -> None:
    for name, values in analysis.features.items():
        assert len(values) == analysis.frames, name
        assert values.dtype == np.float32, name
        assert np.isfinite(values).all(), name
    for name in ("onset", "kick", "snare", "hats", "rms"):
        assert analysis[name].min() >= 0.0, name
        assert analysis[name].max() <= 1.0, name
    np.testing.assert_allclose(analysis["chroma"].sum(axis=1), 1.0, atol=1e-5)
    for recipe in DEFAULT_RECIPES:
        assert np.isfinite(bake(analysis, recipe)).all(), recipe.name


def test_missing_song_is_named(tmp_path):
    with pytest.raises(SongError, match=r"gone\.wav.*does not exist"):
        analyse(tmp_path / "gone.wav", 30)


def test_folder_in_place_of_a_song_is_refused(tmp_path):
    with pytest.raises(SongError, match="is a folder"):
        analyse(tmp_path, 30)


def test_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.wav").touch()
    with pytest.raises(SongError, match=r"empty\.wav.*is empty"):
        analyse(tmp_path / "empty.wav", 30)


@pytest.mark.parametrize("name", ["letter.wav", "letter.ogg", "letter.mp3", "letter.flac", "letter"])
def test_text_file_with_the_ending_of_a_song_is_refused(tmp_path, name):
    (tmp_path / name).write_text("Dear friend, this is a letter.\n" * 50)
    with pytest.raises(SongError, match="is not a song that can be read"):
        analyse(tmp_path / name, 30)


@pytest.mark.parametrize("start", [b"fLaC", b"OggS", b"RIFF", b"ID3\x04", b"\xff\xfb\x90"])
def test_noise_behind_the_first_bytes_of_a_format_never_crashes(tmp_path, start):
    for seed in range(8):
        path = tmp_path / f"noise{seed}"
        path.write_bytes(start + np.random.default_rng(seed).bytes(4000))
        with pytest.raises(SongError):
            analyse(path, 30)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "aiff", "mp3"])
def test_truncated_song_is_refused(write_song, ending):
    with pytest.raises(SongError, match="cut short or damaged"):
        analyse(cut_in_half(write_song(tone(20), name=f"song.{ending}")), 30)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "aiff", "mp3"])
def test_whole_song_of_every_format_is_read(write_song, ending):
    analysis = analyse(write_song(tone(3), name=f"song.{ending}"), 30)
    assert_usable(analysis)
    assert analysis.duration == pytest.approx(3.0, abs=0.06)


def test_wav_that_was_streamed_without_a_length_is_read(write_song):
    path = write_song(tone(2))
    content = bytearray(path.read_bytes())
    at = content.index(b"data")
    content[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert analyse(path, 30).frames == 60


def test_song_without_samples_is_refused(write_song):
    with pytest.raises(SongError, match="holds no sound"):
        analyse(write_song(np.zeros(0, np.float32)), 30)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_found(write_song, value):
    samples = tone(6)
    samples[5 * RATE] = value
    with pytest.raises(SongError, match=r"not numbers, the first at 5\.00 s"):
        analyse(write_song(samples, subtype="FLOAT"), 30)


@pytest.mark.parametrize("fps", [0, -24, float("nan"), float("inf"), 1e9, "fast", None])
def test_frame_rate_that_is_none_is_refused(write_song, fps):
    with pytest.raises(SongError, match="not a frame rate"):
        analyse(write_song(tone(1)), fps)


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        pytest.param(tone(3, 8000), 8000, id="mono at 8 kHz"),
        pytest.param(tone(2, 96000), 96000, id="96 kHz"),
        pytest.param(tone(1, 192000), 192000, id="192 kHz"),
        pytest.param(np.stack([tone(2)] * 6, axis=1), RATE, id="6 channels"),
        pytest.param(np.stack([tone(1)] * 32, axis=1), RATE, id="32 channels"),
        pytest.param(tone(0.01), RATE, id="10 ms"),
        pytest.param(np.array([0.5], np.float32), RATE, id="one sample"),
        pytest.param(np.clip(50 * tone(2), -1, 1), RATE, id="clipped"),
        pytest.param(np.random.default_rng(0).uniform(-1, 1, 3 * RATE).astype(np.float32), RATE, id="noise"),
    ],
)
def test_odd_songs_give_finite_envelopes_of_the_right_length(write_song, samples, rate):
    analysis = analyse(write_song(samples, rate=rate), 30)
    assert_usable(analysis)
    assert analysis.frames == max(1, round(30 * len(samples) / rate))


def test_silence_moves_nothing(write_song):
    analysis = analyse(write_song(np.zeros(4 * RATE, np.float32)), 30)
    assert_usable(analysis)
    for name in ("onset", "kick", "snare", "hats", "rms"):
        assert not analysis[name].any(), name
    np.testing.assert_allclose(analysis["chroma"], 1 / 12, atol=1e-6)
    assert len(analysis.beats) == 0
    assert (np.diff(analysis["bars"]) > 0).all()


def test_constant_offset_is_heard_as_silence(write_song):
    analysis = analyse(write_song(np.full(2 * RATE, 0.4, np.float32)), 30)
    assert_usable(analysis)
    assert not analysis["onset"].any()
    assert not analysis["rms"].any()


def test_single_click_is_one_hit_on_its_frame(write_song):
    samples = np.zeros(2 * RATE, np.float32)
    samples[30000] = 1.0  # frame 20.4
    analysis = analyse(write_song(samples), 30)
    assert_usable(analysis)
    assert np.flatnonzero(analysis["onset"]).tolist() == [20]
    assert analysis["onset"][20] == 1.0


def test_progress_rises_to_one_and_its_exception_cancels(write_song):
    path = write_song(tone(10))
    told = []
    analyse(path, 30, progress=lambda fraction, text: told.append((fraction, text)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all("song.wav" in text or text for _, text in told)

    def cancel(fraction: float, text: str) -> None:
        if fraction > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyse(path, 30, progress=cancel)
