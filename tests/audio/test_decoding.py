# SPDX-License-Identifier: GPL-3.0-or-later
"""Every format is heard when Blender plays it, to the sample; parts of a song are parts of the whole."""

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylegan_reactive.audio.decode import RATE, SongReader
from stylegan_reactive.errors import SongError

Encode = Callable[[str, np.ndarray], Path]

FORMATS = ("wav", "flac", "aiff", "ogg", "opus", "mp3", "m4a", "lossless.m4a", "webm")
FILE_RATE = 48000


def bursts(seconds: float, rate: int = FILE_RATE) -> np.ndarray:
    """Dull noise that starts and stops, the first burst at the very start: float32 [samples]."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.convolve(np.random.default_rng(11).standard_normal(len(time)), np.hanning(30) / 9, "same")
    return (0.2 * noise * (time % 1.3 < 0.1)).astype(np.float32)


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    """Return a function that writes mono samples at 48 kHz in a format: by libsndfile, or by PyAV where that cannot."""

    def write(name: str, samples: np.ndarray) -> Path:
        path = tmp_path / f"song.{name}"
        codec = {".m4a": "aac", ".webm": "libopus", ".aac": "aac"}.get(path.suffix)
        if path.suffix == ".opus":
            soundfile.write(path, samples, FILE_RATE, format="OGG", subtype="OPUS")
        elif codec is None:
            soundfile.write(path, samples, FILE_RATE)
        else:
            av = pytest.importorskip("av")
            codec = "alac" if name.startswith("lossless") else codec
            container_format = {".m4a": "ipod", ".aac": "adts"}.get(path.suffix)
            with av.open(str(path), "w", format=container_format) as container:
                stream = container.add_stream(codec, rate=FILE_RATE, layout="mono")
                kind = stream.codec_context.codec.audio_formats[0].name
                resampler = av.AudioResampler(kind, "mono", FILE_RATE, stream.codec_context.frame_size or 1024)
                frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = FILE_RATE, 0, Fraction(1, FILE_RATE)
                for part in (*resampler.resample(frame), *resampler.resample(None)):
                    container.mux(stream.encode(part))
                container.mux(stream.encode(None))
        return path

    return write


def whole(path: Path, **part: float | Fraction) -> np.ndarray:
    """The samples of a file, or of a part of it, first channel."""
    with SongReader(path, **part) as song:
        return np.concatenate(list(song.channel_blocks()))[:, 0]


def delay(sound: np.ndarray, original: np.ndarray) -> int:
    """Samples by which a sound is late."""
    size = len(sound) + len(original)
    match = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(original, size)))
    at = int(np.argmax(match))
    return at - len(match) if at > len(match) // 2 else at


@pytest.mark.parametrize("name", FORMATS)
def test_sound_of_every_format_has_its_date_and_length(encode, name):
    original = bursts(3.0)
    path = encode(name, original)
    assert delay(whole(path), original) == 0
    with SongReader(path) as song:
        assert (song.rate, song.channels) == (FILE_RATE, 1)
        sound = np.concatenate(list(song.blocks()))
        assert 0 <= song.duration - 3 <= (Fraction(1, 20) if name == "webm" else 0)  # which has whole packets only
        assert song.progress > 0.99
    at = np.arange(3 * RATE) * FILE_RATE / RATE
    assert delay(sound, np.interp(at, np.arange(len(original)), original).astype(np.float32)) == 0


def test_blender_hears_every_format_at_the_same_time(encode, run_blender):
    original = bursts(3.0)
    paths = [encode(name, original) for name in (*FORMATS, "aac")]
    ours = [delay(whole(path), original) for path in paths]
    np.save(paths[0].with_suffix(".npy"), original)
    script = """
        import sys
        import bpy  # makes aud known
        import aud
        import numpy as np
        original = np.load(sys.argv[1])
        for path in sys.argv[2:]:
            sound = aud.Sound(path).data()[:, 0]
            size = len(sound) + len(original)
            match = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(original, size)))
            at = int(np.argmax(match))
            print("late", at - len(match) if at > len(match) // 2 else at)
    """
    printed = run_blender(script, paths[0].with_suffix(".npy"), *paths)
    assert [int(line.split()[1]) for line in printed.splitlines() if line.startswith("late")] == ours


@pytest.mark.parametrize("name", FORMATS)
def test_part_of_a_song_is_that_part_of_the_whole(encode, name):
    path = encode(name, bursts(3.0))
    everything = whole(path)
    for offset, duration in ((1.3, 0.25), (0.0, 0.5), (Fraction(1, FILE_RATE), Fraction(100, FILE_RATE)), (2.5, None)):
        first = round(offset * FILE_RATE)
        last = None if duration is None else first + round(duration * FILE_RATE)
        np.testing.assert_array_equal(whole(path, offset=offset, duration=duration), everything[first:last])


def test_length_and_progress_are_those_of_the_part(encode):
    path = encode("flac", bursts(3.0))
    with SongReader(path, offset=1, duration=Fraction(3, 2)) as song:
        assert song.expected_samples == 1.5 * FILE_RATE
        sound = np.concatenate(list(song.blocks()))
        assert song.duration == Fraction(3, 2)
        assert song.progress == 1.0
    assert len(sound) == 1.5 * RATE
    with SongReader(path, offset=2, duration=60) as song:
        list(song.blocks())
        assert song.duration == 1


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"offset": 3.0}, "lasts 3.00 s: nothing is left from 3 s on"),
        ({"offset": 1e9}, "nothing is left"),
        ({"offset": -0.1}, "An offset of -0.1 is not a time.*0 or more"),
        ({"offset": float("nan")}, "An offset of nan"),
        ({"offset": float("inf")}, "An offset of inf"),
        ({"offset": "late"}, "An offset of late"),
        ({"duration": 0}, "A duration of 0"),
        ({"duration": -1.0}, "A duration of -1"),
        ({"duration": float("nan")}, "A duration of nan"),
    ],
)
def test_part_that_is_none_is_refused(encode, part, words):
    path = encode("wav", bursts(3.0))
    with pytest.raises(SongError, match=words):
        SongReader(path, **part)


def test_flac_that_was_streamed_without_a_length_is_read(encode):
    path = encode("flac", bursts(2.0))
    original = whole(path)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the last 36 bits of this field of STREAMINFO are the number of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with SongReader(path) as song:
        assert song.expected_samples == 2 * FILE_RATE
    np.testing.assert_array_equal(whole(path), original)


def test_bare_aac_is_read_to_its_end(encode):
    original = bursts(3.0)
    path = encode("aac", original)
    assert len(whole(path)) == pytest.approx(len(original), abs=3 * 1024)
    assert delay(whole(path), original) == 1024  # without a container nobody knows the delay, and Blender neither


def test_blocks_stay_small_for_many_channels(write_song):
    with SongReader(write_song(np.zeros((192000 * 4, 32), np.float32), rate=192000)) as song:
        assert max(block.nbytes for block in song.channel_blocks()) <= 1 << 23


def test_channels_and_their_mean_come_from_the_same_samples(write_song):
    pair = np.stack([bursts(1.0, RATE), np.zeros(RATE, np.float32)], axis=1)
    heard = []
    with SongReader(write_song(pair, subtype="FLOAT")) as song:
        list(song.blocks(channels=heard.append))
    np.testing.assert_array_equal(np.concatenate(heard), pair)


def test_m4a_without_its_package_says_what_to_install(encode, monkeypatch):
    path = encode("m4a", bursts(1.0))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SongError, match=r"song\.m4a.*pip install av.*or export the song as wav"):
        SongReader(path)


def test_copy_protected_song_is_named_as_such(encode, monkeypatch):
    path = encode("m4a", bursts(1.0))
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"drms"))
    for without_package in (False, True):
        if without_package:
            monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(SongError, match="copy-protected"):
            SongReader(path)


def test_film_without_sound_is_refused(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width = stream.height = 32
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(SongError, match="holds no sound"):
        SongReader(tmp_path / "film.mp4")


def test_list_of_other_files_is_not_followed(tmp_path, encode):
    song = encode("wav", bursts(1.0))
    for name, text in (
        ("list.m3u8", f"#EXTM3U\n#EXTINF:1,\n{song}\n"),
        ("list.m4a", f"ffconcat version 1.0\nfile {song}"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(SongError, match="is not a song that can be read"):
            SongReader(tmp_path / name)
