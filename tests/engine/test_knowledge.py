# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist knows better than the ear reaches the engine, and is told apart from other requests."""

import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stylegan_reactive.engine.client import Engine
from stylegan_reactive.errors import PatchError, ReactiveError, SongError

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable
RATE = 22050
FPS = Fraction(30)
LEVEL = [{"name": "audio_level", "feature": "rms"}]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that all tests here share: what one has asked for must not answer another."""
    engine = Engine(PYTHON, "cpu", log_folder=tmp_path_factory.mktemp("engine"))
    yield engine
    engine.close()


def ticks(seconds: float, every: float) -> np.ndarray:
    """Short noises at equal distances."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(5).uniform(-0.7, 0.7, len(time))
    return np.asarray(noise * np.exp(-(time % every) / 0.03), np.float32)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twelve seconds at 120 BPM."""
    path = tmp_path_factory.mktemp("song") / "ticking.wav"
    soundfile.write(path, ticks(12.0, 0.5), RATE)
    return str(path)


def test_fixed_tempo_and_metre_move_the_bars_and_leave_other_requests_alone(engine: Engine, song: str) -> None:
    found = engine.analyse(song, FPS, LEVEL)
    assert found.tempo == pytest.approx(120, rel=0.02)
    waltz = engine.analyse(song, FPS, LEVEL, rhythm={"fixed_bpm": 90.0, "first_beat": 0.0, "beats_per_bar": 3})
    assert waltz.beats_per_bar == 3
    assert waltz.tempo == pytest.approx(90)
    np.testing.assert_allclose(np.diff(waltz.downbeats), 2.0, atol=1e-6)
    np.testing.assert_array_equal(engine.analyse(song, FPS, LEVEL).downbeats, found.downbeats)


def test_bars_begin_later_by_the_beats_that_were_asked_for(engine: Engine, song: str) -> None:
    known = {"fixed_bpm": 120.0, "first_beat": 0.0, "beats_per_bar": 4}
    plain = engine.analyse(song, FPS, LEVEL, rhythm=known)
    later = engine.analyse(song, FPS, LEVEL, rhythm={**known, "bar_offset": 1})
    moved = (later.downbeats[0] - plain.downbeats[0]) % 2.0
    assert moved == pytest.approx(0.5, abs=1e-6)


def test_taps_give_the_beat(engine: Engine, song: str) -> None:
    tapped = engine.analyse(song, FPS, LEVEL, rhythm={"taps": [1.0 * tap for tap in range(1, 11)]})
    assert tapped.tempo == pytest.approx(60, rel=0.02)


def test_part_of_a_song_has_its_own_frames_and_sections(engine: Engine, song: str) -> None:
    part = engine.analyse(song, FPS, LEVEL, offset=2.0, duration=4.0, form={"kinds": 1})
    assert part.frames == 120
    assert part.envelopes["audio_level"].shape == (120,)
    assert part.duration == pytest.approx(4.0)
    ((start, end, label),) = part.sections
    assert (start, label) == (0.0, "A")
    assert end == pytest.approx(4.0)
    assert engine.analyse(song, FPS, LEVEL).frames == 360


def test_folder_of_stems_is_heard_and_a_changed_stem_is_heard_anew(engine: Engine, song: str, tmp_path: Path) -> None:
    stem = tmp_path / "drums.wav"
    half = np.where(np.arange(12 * RATE) < 6 * RATE, ticks(12.0, 0.5), 0.0)
    recipes = [{"name": "audio_drums", "feature": "drums:rms"}]

    def level(stems: Any) -> np.ndarray:
        return engine.analyse(song, FPS, recipes, stems=stems).envelopes["audio_drums"]

    soundfile.write(stem, half, RATE)
    first = level(str(tmp_path))
    assert first[:180].max() > 10 * first[190:].max()
    np.testing.assert_array_equal(level({"drums": str(stem)}), first)
    soundfile.write(stem, half[::-1], RATE)
    os.utime(stem, ns=(1, 1))
    second = level(str(tmp_path))
    assert second[190:].max() > 10 * second[:170].max()
    assert not np.array_equal(level(None), second)


@pytest.mark.parametrize(
    ("known", "kind", "says"),
    [
        ({"rhythm": {"bpm": 120}}, PatchError, "no value “bpm”.*fixed_bpm"),
        ({"rhythm": {"fixed_bpm": "fast"}}, PatchError, "fixed_bpm.*a number.*fast"),
        ({"rhythm": {"fixed_bpm": 1e6}}, SongError, "no tempo"),
        ({"rhythm": {"beats_per_bar": 3.5}}, PatchError, "beats_per_bar.*whole number"),
        ({"rhythm": {"taps": [1.0, "two"]}}, PatchError, "taps.*list of numbers"),
        ({"form": {"kinds": True}}, PatchError, "kinds.*whole number"),
        ({"form": {"method": "dice"}}, PatchError, "no segmentation “dice”"),
        ({"offset": "one"}, SongError, "offset 'one'"),
        ({"duration": -1.0}, SongError, "duration"),
        ({"offset": 60.0}, SongError, "nothing is left"),
        ({"stems": "no such folder"}, SongError, "no such folder"),
        ({"stems": {"drums": "gone.wav"}}, SongError, r"“drums” is not there.*gone\.wav"),
        ({"stems": {"drums": 3}}, PatchError, "name and file"),
    ],
)
def test_what_cannot_be_is_named(
    engine: Engine, song: str, known: dict[str, Any], kind: type[ReactiveError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        engine.analyse(song, FPS, LEVEL, **known)
