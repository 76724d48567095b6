# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender plays each kind of song from its very start, and decodes for the engine what that cannot read."""

from pathlib import Path

import av
import bpy
import numpy as np
import pytest
import soundfile

from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.sound import for_engine

RATE = 48000


@pytest.fixture(scope="session")
def bursts() -> np.ndarray:
    """Three seconds of noise that starts and stops, the first burst at the very start."""
    time = np.arange(3 * RATE) / RATE
    noise = np.convolve(np.random.default_rng(5).standard_normal(len(time)), np.hanning(24) / 8, "same")
    return (0.2 * noise * (time % 1.3 < 0.1)).astype(np.float32)


def write(path: Path, samples: np.ndarray) -> Path:
    """Write a mono file; m4a by PyAV, all others by libsndfile."""
    if path.suffix != ".m4a":
        soundfile.write(path, samples, RATE)
        return path
    with av.open(str(path), "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def delay(sound: np.ndarray, original: np.ndarray) -> int:
    """Samples by which a sound is late."""
    size = len(sound) + len(original)
    match = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(original, size)))
    at = int(np.argmax(match))
    return at - len(match) if at > len(match) // 2 else at


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "m4a"])
def test_song_is_played_from_its_very_start(scene: bpy.types.Scene, tmp_path: Path, bursts: np.ndarray, ending: str):
    settings_of(scene).song = str(write(tmp_path / f"song.{ending}", bursts))
    assert bpy.ops.stylegan_reactive.set_up() == {"FINISHED"}
    bpy.ops.sound.mixdown(filepath=str(tmp_path / "played.wav"), container="WAV", codec="PCM", format="F32")
    played, rate = soundfile.read(tmp_path / "played.wav", always_2d=True)
    assert rate == RATE
    assert abs(delay(played[:, 0], bursts)) <= 1


def test_song_that_the_engine_cannot_read_is_handed_on_as_a_copy_in_step(tmp_path: Path, bursts: np.ndarray):
    song = write(tmp_path / "My song.m4a", bursts)
    copy = Path(for_engine(str(song)))
    assert copy.name == "My song.flac"
    samples, rate = soundfile.read(copy)
    assert rate == RATE
    assert delay(samples, bursts) == 0
    assert len(samples) == pytest.approx(len(bursts), abs=1024)
    assert for_engine(str(song)) == str(copy)
    write(song, bursts[: 2 * RATE])
    assert Path(for_engine(str(song))) != copy


def test_song_that_the_engine_reads_is_left_alone(tmp_path: Path, bursts: np.ndarray):
    song = str(write(tmp_path / "song.flac", bursts))
    assert for_engine(song) == song


def test_file_that_is_no_sound_is_left_to_the_engine_to_explain(tmp_path: Path):
    letter = tmp_path / "letter.m4a"
    letter.write_text("Dear friend\n" * 99)
    assert for_engine(str(letter)) == str(letter)
    assert for_engine(str(tmp_path / "gone.m4a")) == str(tmp_path / "gone.m4a")
