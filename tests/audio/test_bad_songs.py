# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are no songs, or hardly any: a message that an artist can act on, or finite envelopes."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylegan_reactive.audio import DEFAULT_RECIPES, Analysis, analyse, bake
from stylegan_reactive.audio.decode import SongReader
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


@pytest.mark.parametrize("fps", [0, -24, 1e-9, float("nan"), float("inf"), 1e9, "fast", None])
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


def test_the_search_for_the_beat_can_be_cancelled_on_its_way(write_song, drum_loop):
    path = write_song(drum_loop({"kick": np.arange(0, 12, 0.5).tolist()}, 12))
    searching = []

    def cancel(fraction: float, text: str) -> None:
        if text == "Finding the beat":
            searching.append(fraction)
            if fraction > 0.9:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyse(path, 30, ["bars"], progress=cancel)
    assert len(searching) > 3
    assert searching == sorted(searching)


# Decoding alone: what is behind it has then nothing to fear


def decode(path: Path) -> np.ndarray:
    with SongReader(path) as song:
        return np.concatenate(list(song.blocks()))


@pytest.fixture(scope="module")
def small_songs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One second in each format."""
    folder = tmp_path_factory.mktemp("small")
    samples = tone(1.0) + 0.05 * np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    songs = {}
    for ending in ("wav", "aiff", "flac", "ogg", "mp3"):
        soundfile.write(folder / f"song.{ending}", samples, RATE)
        songs[ending] = (folder / f"song.{ending}").read_bytes()
    soundfile.write(folder / "song.opus", samples[::2], 24000, format="OGG", subtype="OPUS")
    songs["opus"] = (folder / "song.opus").read_bytes()
    try:
        import av
    except ImportError:
        return songs
    for ending, container_format in (("m4a", "ipod"), ("aac", "adts"), ("webm", "webm")):
        with av.open(str(folder / f"song.{ending}"), "w", format=container_format) as container:
            stream = container.add_stream("libopus" if ending == "webm" else "aac", rate=48000, layout="mono")
            for start in range(0, RATE - 960, 960 if ending == "webm" else 1024):
                part = samples[None, start : start + (960 if ending == "webm" else 1024)]
                part = part if ending != "webm" else (part * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(part, format="s16" if ending == "webm" else "fltp", layout="mono")
                frame.sample_rate, frame.pts = 48000, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        songs[ending] = (folder / f"song.{ending}").read_bytes()
    return songs


@pytest.mark.parametrize("ending", ["wav", "aiff", "flac", "ogg", "mp3", "opus", "m4a", "aac", "webm"])
def test_damaged_file_gives_an_error_for_the_artist_or_finite_sound(small_songs, tmp_path, ending):
    if ending not in small_songs:
        pytest.skip("the package av is not installed")
    for seed in range(40):
        random = np.random.default_rng(seed)
        content = bytearray(small_songs[ending])
        kind = seed % 5
        at, other = sorted(random.integers(0, len(content), 2).tolist())
        if kind == 0:  # flip some bytes anywhere
            for place in random.integers(0, len(content), random.integers(1, 40)):
                content[place] = random.integers(0, 256)
        elif kind == 1:  # and in the header
            for place in random.integers(0, min(400, len(content)), random.integers(1, 8)):
                content[place] = random.integers(0, 256)
        elif kind == 2:
            del content[max(1, at) :]
        elif kind == 3:
            del content[at:other]
        else:
            content[at:other] = bytes(other - at)
        path = tmp_path / f"{seed}.{ending}"
        path.write_bytes(content or b"\0")
        samples, refusal = np.zeros(0), path.name
        try:
            samples = decode(path)
        except SongError as error:
            refusal = str(error)
        assert path.name in refusal
        assert np.isfinite(samples).all()
        assert len(samples) < 100 * RATE


def wave_header(channels: int, rate: int, data: bytes) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * channels * 2, 0xFFFFFFFF), channels * 2 & 0xFFFF, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("channels", "rate"), [(0, RATE), (1, 0), (1, 1), (1, 2**31), (1, 2**32 - 1), (1000, RATE), (65535, 192000)]
)
def test_header_that_claims_the_impossible_is_refused(tmp_path, channels, rate):
    path = tmp_path / "song.wav"
    path.write_bytes(wave_header(channels, rate, bytes(40000)))
    with pytest.raises(SongError, match=r"song\.wav"):
        decode(path)


@pytest.mark.parametrize("loudest", [1.0, 32768.0])
def test_float_song_of_either_full_scale_is_read(write_song, loudest):
    assert_usable(analyse(write_song(loudest * tone(1), subtype="FLOAT"), 30))


@pytest.mark.parametrize("value", [1e9, -1e30, 3.4e38])
def test_samples_beyond_all_measure_are_found(write_song, value):
    samples = tone(3)
    samples[2 * RATE] = value
    with pytest.raises(SongError, match=r"far too loud, the first at 2\.00 s"):
        decode(write_song(samples, subtype="FLOAT"))


def test_number_that_is_none_in_one_channel_is_found(write_song):
    pair = np.stack([tone(2), tone(2)], axis=1)
    pair[RATE, 1] = np.nan
    with pytest.raises(SongError, match=r"not numbers, the first at 1\.00 s"):
        decode(write_song(pair, subtype="FLOAT"))


def test_infinities_that_cancel_out_are_found(write_song):
    pair = np.stack([tone(1), tone(1)], axis=1)
    pair[RATE // 2] = np.inf, -np.inf
    with pytest.raises(SongError, match="not numbers"):
        decode(write_song(pair, subtype="FLOAT"))


def test_any_rate_and_channel_count_gives_the_length_of_the_song(write_song):
    random = np.random.default_rng(2)
    for number in range(30):
        rate = int(random.choice([8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000]))
        channels, length = int(random.integers(1, 9)), int(random.integers(1, 30000))
        samples = random.uniform(-1, 1, (length, channels)).astype(np.float32)
        path = write_song(samples, rate=rate, name=f"{number}.{random.choice(['wav', 'flac', 'aiff'])}")
        assert abs(len(decode(path)) - length * RATE / rate) <= 1, (rate, channels, length)


def test_three_hours_are_read_in_small_blocks_and_to_the_sample(tmp_path):
    rate, seconds = 4000, 3 * 3600
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        silence = np.zeros(60 * rate, np.int16)
        for _ in range(seconds // 60 - 1):
            file.write(silence)
        silence[-1] = 16384
        file.write(silence)
    with SongReader(path) as song:
        longest = max(len(block) for block in song.channel_blocks())
        assert song.duration == seconds
    assert longest <= 10 * rate
    with SongReader(path, offset=seconds - 1) as song:
        end = np.concatenate(list(song.channel_blocks()))[:, 0]
    assert np.flatnonzero(end).tolist() == [rate - 1]


def test_song_that_may_not_be_read_is_named(write_song, tmp_path):
    pipe = tmp_path / "pipe.wav"
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(pipe)
    with pytest.raises(SongError, match=r"pipe\.wav.*is not a file"):
        decode(pipe)
