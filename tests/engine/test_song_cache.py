# SPDX-License-Identifier: GPL-3.0-or-later
"""A song is listened to once: later bakes, even after a restart, only shape what was heard."""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stylegan_reactive.audio import Analysis, Section
from stylegan_reactive.engine import songs
from stylegan_reactive.engine.client import Engine, Settings

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable
KICK = {"name": "audio_kick", "feature": "kick"}
BARS = {"name": "audio_bars", "feature": "bars"}
RMS = {"name": "audio_rms", "feature": "rms~1"}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Four seconds with a beat."""
    rate = 22050
    time = np.arange(4 * rate) / rate
    sound = 0.1 * np.sin(2 * np.pi * 220 * time) + 0.8 * np.sin(2 * np.pi * 60 * time) * np.exp(-20 * (time % 0.5))
    path = tmp_path / "song.wav"
    soundfile.write(path, sound.astype(np.float32), rate)
    return path


@pytest.fixture
def engine_for(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Make engines that share a folder, as after a restart."""
    engines: list[Engine] = []

    def make(**settings: Any) -> Engine:
        folder = str(tmp_path / "cache")
        engines.append(Engine(PYTHON, "cpu", tmp_path, settings=Settings(cache_folder=folder, **settings)))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def bake(engine: Engine, song: Path, *recipes: dict[str, Any], **more: Any) -> tuple[Any, bool]:
    """The envelopes, and whether anything new was heard."""

    def kept() -> set[tuple[str, int]]:
        return {(path.name, path.stat().st_ino) for path in song.parent.glob("cache/songs/*.npz")}

    before = kept()
    analysed = engine.analyse(str(song), Fraction(30), list(recipes), **more)
    return analysed, kept() != before


def test_another_engine_finds_what_was_heard_under_another_name(
    engine_for: Callable[..., Engine], song: Path, tmp_path: Path
) -> None:
    first, listened = bake(engine_for(), song, KICK, BARS)
    assert listened
    moved = song.rename(tmp_path / "renamed.wav")
    os.utime(moved, (1, 1))
    smoother = {**KICK, "smooth": 0.2}
    again, listened = bake(engine_for(), moved, KICK, BARS, smoother | {"name": "audio_smooth"})
    assert not listened
    for name, curve in first.envelopes.items():
        np.testing.assert_array_equal(again.envelopes[name], curve)
    assert np.abs(np.diff(again.envelopes["audio_smooth"])).max() < np.abs(np.diff(curve_of(first))).max()
    for field in ("frames", "duration", "tempo", "beats_per_bar", "beat_confidence", "bar_confidence", "sections"):
        assert getattr(again, field) == getattr(first, field)
    np.testing.assert_array_equal(again.beats, first.beats)
    np.testing.assert_array_equal(again.downbeats, first.downbeats)


def curve_of(analysed: Any) -> np.ndarray:
    """The kick."""
    curve: np.ndarray = analysed.envelopes["audio_kick"]
    return curve


def test_what_was_not_listened_for_is_added(engine_for: Callable[..., Engine], song: Path) -> None:
    first, _ = bake(engine_for(), song, KICK)
    both, _ = bake(engine_for(), song, KICK, RMS)
    np.testing.assert_array_equal(curve_of(both), curve_of(first))
    last, listened = bake(engine_for(), song, RMS)
    assert not listened
    np.testing.assert_array_equal(last.envelopes["audio_rms"], both.envelopes["audio_rms"])


def test_another_song_in_the_same_place_or_another_beat_is_heard_anew(
    engine_for: Callable[..., Engine], song: Path
) -> None:
    engine = engine_for()
    before, _ = bake(engine, song, KICK)
    times = song.stat()
    sound, rate = soundfile.read(song)
    soundfile.write(song, sound[::-1], rate)
    os.utime(song, ns=(times.st_atime_ns, times.st_mtime_ns))  # same path, same size, same time
    after, listened = bake(engine, song, KICK)
    assert listened
    assert not np.array_equal(curve_of(before), curve_of(after))
    assert bake(engine, song, KICK, rhythm={"fixed_bpm": 100.0})[1]
    assert not bake(engine, song, KICK, rhythm={"fixed_bpm": 100.0})[1]


def heard(value: float) -> Analysis:
    """Something that was heard."""
    features = {"kick": np.full(1000, value, np.float32), "chroma/4": np.full((1000, 4), value, np.float32)}
    parts = (Section(0.0, 2.0, "A"), Section(2.0, 4.0, "B"))
    return Analysis(features, np.arange(4.0), np.zeros(0), 120.5, 4.0, Fraction(30000, 1001), 1000, sections=parts)


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    songs.save(heard(0.25), tmp_path / "songs", "key", 1 << 20)
    back = songs.load(tmp_path / "songs", "key")
    assert back is not None
    for field in dataclasses.fields(Analysis):
        if field.name not in ("features", "beats", "downbeats"):
            assert getattr(back, field.name) == getattr(heard(0.25), field.name)
    assert sorted(back.features) == ["chroma/4", "kick"]
    np.testing.assert_array_equal(back["kick"], heard(0.25)["kick"])
    np.testing.assert_array_equal(back.beats, heard(0.25).beats)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY", None])
def test_damaged_file_is_not_believed(tmp_path: Path, damage: bytes | None) -> None:
    songs.save(heard(0.25), tmp_path, "key", 1 << 20)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :] if damage is None else damage)
    assert songs.load(tmp_path, "key") is None


def test_folder_keeps_its_limit_and_lets_the_oldest_go(tmp_path: Path) -> None:
    for number in range(4):
        songs.save(heard(number), tmp_path, str(number), 60_000)
        os.utime(tmp_path / f"{number}{songs.SUFFIX}", (number, number))
        songs.load(tmp_path, "0")  # this one is in use
    assert {path.name for path in tmp_path.iterdir()} == {f"0{songs.SUFFIX}", f"3{songs.SUFFIX}"}


def test_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here is no room for a folder")
    songs.save(heard(0.5), tmp_path / "file", "key", 1 << 20)
    assert songs.load(tmp_path / "file", "key") is None
