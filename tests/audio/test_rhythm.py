# SPDX-License-Identifier: GPL-3.0-or-later
"""Beats, bars and tempo of songs that are written here, so that every beat of them is known."""

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import mir_eval
import numpy as np
import pytest

from stylegan_reactive.audio.attack import DifferenceStream
from stylegan_reactive.audio.chroma import PitchStream
from stylegan_reactive.audio.decode import SongReader
from stylegan_reactive.audio.onset import NoveltyStream
from stylegan_reactive.audio.rhythm import (
    Rhythm,
    RhythmSettings,
    bars_curve,
    find_rhythm,
    rhythm_from_taps,
    tempo_curve,
)
from stylegan_reactive.audio.spectrum import PITCH, TIMING, SpectrumStream
from stylegan_reactive.errors import SongError

RATE = 44100
FPS = Fraction(30)
ROOTS = (220.0, 174.61, 261.63, 196.0)

Band = Callable[..., np.ndarray]


def hear(blocks: list[np.ndarray] | np.ndarray, settings: RhythmSettings | None = None) -> Rhythm:
    """Find the rhythm of sound at 44.1 kHz, as ``analyse`` does."""
    timing, pitch = SpectrumStream(TIMING), SpectrumStream(PITCH)
    novelty, circle, difference = NoveltyStream(), PitchStream(), DifferenceStream()
    for block in blocks if isinstance(blocks, list) else [blocks.astype(np.float32)]:
        novelty.feed(timing.feed(block))
        circle.feed(pitch.feed(block))
        difference.feed(block)
    return find_rhythm(novelty.result(), circle.result(), difference.result(), settings or RhythmSettings())


@pytest.fixture(scope="module")
def band(drum_loop: Callable[..., np.ndarray]) -> Band:
    """Return a function that plays drums and a chord in each bar, on given beats, four or three to the bar."""

    def play(beats: np.ndarray, metre: int = 4, hats: int = 2, drums: bool = True, first: int = 0) -> np.ndarray:
        place = (np.arange(len(beats)) - first) % metre
        between = np.interp(np.arange(hats * (len(beats) - 1) + 1) / hats, np.arange(len(beats)), beats)
        hits = {
            "kick": beats[(place == 0) | ((place == 2) & (metre == 4))].tolist(),
            "snare": beats[place % 2 == 1 if metre == 4 else place > 0].tolist(),
            "hats": between.tolist(),
        }
        song = drum_loop(hits if drums else {}, float(beats[-1]) + 1.5)
        bars = [*beats[place == 0], beats[-1] + 0.5]
        for number, (start, end) in enumerate(pairwise(bars)):
            for ratio in (1.0, 1.26, 1.5):
                time = np.arange(int((end - start) * RATE)) / RATE
                tone = 0.05 * np.sin(2 * np.pi * ROOTS[number % 4] * ratio * time) * np.exp(-time / 1.5)
                song[int(start * RATE) : int(start * RATE) + len(time)] += tone[: len(song) - int(start * RATE)]
        return song

    return play


def even_beats(tempo: float, count: int, start: float = 0.4) -> np.ndarray:
    return start + np.arange(count) * 60.0 / tempo


def beats_at(tempi: np.ndarray, start: float = 0.4) -> np.ndarray:
    return start + np.concatenate([[0.0], np.cumsum(60.0 / np.asarray(tempi))])


def agreement(truth: np.ndarray, found: np.ndarray) -> float:
    return float(mir_eval.beat.f_measure(truth, found))


@pytest.mark.parametrize("tempo", [64, 92, 128, 174])
def test_slow_and_fast_songs_are_counted_as_their_drums_are_played(band: Band, tempo: int) -> None:
    beats = even_beats(tempo, 40)
    rhythm = hear(band(beats))
    assert rhythm.tempo == pytest.approx(tempo, rel=0.002)
    assert agreement(beats, rhythm.beats) >= 0.98
    assert agreement(beats[::4], rhythm.downbeats) >= 0.9
    assert rhythm.beats_per_bar == 4


@pytest.mark.parametrize("tempo", [90, 150])
def test_a_waltz_has_three_beats_in_a_bar(band: Band, tempo: int) -> None:
    beats = even_beats(tempo, 45)
    rhythm = hear(band(beats, metre=3))
    assert rhythm.beats_per_bar == 3
    assert agreement(beats, rhythm.beats) >= 0.98
    assert agreement(beats[::3], rhythm.downbeats) >= 0.9


def test_beats_of_a_machine_are_even_and_on_their_attacks(band: Band) -> None:
    beats = even_beats(126, 64)
    rhythm = hear(band(beats))
    assert len(rhythm.beats) == len(beats)
    assert np.ptp(np.diff(rhythm.beats)) < 1e-4
    assert np.abs(rhythm.beats - beats).max() < 0.003


def test_beats_of_a_recorded_band_lie_on_the_written_ones(shared_folder) -> None:
    songs = shared_folder / "reference" / "songs"
    truth = json.loads((songs / "truth_a.json").read_text())
    with SongReader(songs / "truth_a.flac") as song:
        rhythm = hear(list(song.blocks()))
    pairs = mir_eval.util.match_events(np.array(truth["beats"]), rhythm.beats, 0.07)
    late = [rhythm.beats[found] - truth["beats"][written] for written, found in pairs]
    assert agreement(np.array(truth["beats"]), rhythm.beats) >= 0.99
    assert agreement(np.array(truth["downbeats"]), rhythm.downbeats) >= 0.9
    assert abs(np.mean(late)) < 0.005
    assert np.std(late) < 0.004
    assert rhythm.confidence > 0.8
    assert rhythm.bar_confidence > 0.8


def test_a_tempo_that_rises_is_followed(band: Band) -> None:
    tempi = np.linspace(95, 135, 70)
    beats = beats_at(tempi)
    rhythm = hear(band(beats))
    assert agreement(beats, rhythm.beats) >= 0.97
    frames = int(beats[-1] * FPS)
    heard = tempo_curve(rhythm, FPS, frames)
    played = np.interp(np.arange(frames) / 30, beats[:-1], tempi)
    assert np.median(np.abs(heard / played - 1)) < 0.03
    assert heard[-60] > heard[60] + 25


def test_a_sudden_change_of_tempo_is_followed(band: Band) -> None:
    beats = beats_at(np.repeat([100.0, 118.0], 36))
    rhythm = hear(band(beats))
    assert agreement(beats, rhythm.beats) >= 0.97
    steps = 60.0 / np.diff(rhythm.beats)
    assert np.abs(steps[4:30] - 100).max() < 3
    assert np.abs(steps[-30:-4] - 118).max() < 3


def test_beats_go_on_after_a_breath(band: Band) -> None:
    tempi = np.full(72, 110.0)
    tempi[55] = 80.0  # the last chorus comes a third of a beat late
    beats = beats_at(tempi)
    rhythm = hear(band(beats))
    last = beats[60:]
    assert max(np.abs(rhythm.beats - beat).min() for beat in last) < 0.03
    assert agreement(beats, rhythm.beats) >= 0.95


def test_count_is_found_again_after_a_bar_of_two(band: Band, drum_loop) -> None:
    beats = even_beats(120, 66)
    song = band(beats[:34])
    rest = band(beats[34:], first=0)
    whole = np.zeros(max(len(song), len(rest)), np.float32)
    cut = int((beats[34] - 0.01) * RATE)
    whole[:cut] = song[:cut]
    whole[cut:] = rest[cut:]
    rhythm = hear(whole)
    downbeats = np.concatenate([beats[:34:4], beats[34::4]])
    assert agreement(downbeats, rhythm.downbeats) >= 0.9
    bars = bars_curve(rhythm.downbeats, rhythm.tempo, FPS, 900, beats=rhythm.beats, beats_per_bar=rhythm.beats_per_bar)
    assert np.diff(bars).min() > 0


def test_pads_silence_and_scattered_clicks_have_no_beat(drum_loop) -> None:
    time = np.arange(20 * RATE) / RATE
    pad = 0.2 * np.sin(2 * np.pi * 220 * time) * (1 + 0.3 * np.sin(2 * np.pi * 0.13 * time))
    clicks = np.sort(np.random.default_rng(3).uniform(0, 20, 12)).tolist()
    for song in (pad, np.zeros(5 * RATE), np.zeros(441), np.zeros(1), drum_loop({"click": clicks}, 20.0)):
        rhythm = hear(song)
        assert len(rhythm.beats) == 0 or rhythm.confidence < 0.3
        assert np.isfinite(rhythm.tempo)
        bars = bars_curve(rhythm.downbeats, rhythm.tempo, FPS, 60)
        assert np.isfinite(bars).all()
        assert np.diff(bars).min() > 0


def test_a_beat_in_doubt_is_less_sure_than_a_clear_one(band: Band, drum_loop) -> None:
    clear = hear(band(even_beats(120, 48)))
    random = np.random.default_rng(5)
    loose = hear(drum_loop({"snare": np.sort(random.uniform(0, 24, 60)).tolist()}, 24.0))
    assert clear.confidence > 0.7
    assert loose.confidence < 0.5 * clear.confidence


def test_bars_are_whole_at_downbeats_and_go_on_evenly_outside() -> None:
    beats = beats_at(np.concatenate([np.full(8, 100.0), np.full(8, 140.0)]), start=3.0)
    rhythm = Rhythm(120.0, beats, beats[::4])
    frames = 600
    bars = bars_curve(rhythm.downbeats, 120.0, FPS, frames, beats=beats, beats_per_bar=4).astype(np.float64)
    time = np.arange(frames) / 30
    assert np.interp(rhythm.downbeats, time, bars) == pytest.approx(np.arange(5), abs=0.02)
    assert np.interp(beats[2], time, bars) == pytest.approx(0.5, abs=0.02)
    assert np.diff(bars).min() > 0
    assert bars[0] == pytest.approx(-3.0 * 100 / 240, abs=0.01)
    assert bars[-1] - bars[-31] == pytest.approx(140 / 240, abs=0.01)


def test_a_tempo_that_the_artist_fixes_is_kept_to_the_end(band: Band) -> None:
    beats = even_beats(117.5, 60, start=0.65)
    rhythm = hear(band(beats), RhythmSettings(fixed_bpm=117.5))
    assert np.diff(rhythm.beats) == pytest.approx(60 / 117.5, abs=1e-9)
    near = np.array([np.abs(rhythm.beats - beat).min() for beat in beats])
    assert near.max() < 0.005
    placed = hear(band(beats), RhythmSettings(fixed_bpm=100.0, first_beat=1.1))
    assert np.abs(placed.beats - 1.1).min() < 1e-9
    assert placed.tempo == pytest.approx(100.0)


def test_half_and_double_time_keep_the_downbeats_as_beats(band: Band) -> None:
    song = band(even_beats(120, 48))
    found, half, double = (hear(song, RhythmSettings(speed=speed)) for speed in (1.0, 0.5, 2.0))
    assert half.tempo == pytest.approx(found.tempo / 2, rel=1e-3)
    assert double.tempo == pytest.approx(found.tempo * 2, rel=1e-3)
    assert np.isin(half.beats, found.beats).all()
    assert np.isin(half.downbeats, found.downbeats).all()
    assert np.isin(found.downbeats, double.downbeats).all()


def test_artist_can_say_where_bars_begin_and_how_long_they_are(band: Band) -> None:
    song = band(even_beats(120, 48))
    found = hear(song)
    later = hear(song, RhythmSettings(bar_offset=1))
    assert np.isin(found.beats[np.searchsorted(found.beats, found.downbeats[:-1]) + 1], later.downbeats).all()
    assert not np.isin(later.downbeats, found.downbeats).any()
    back = hear(song, RhythmSettings(bar_offset=-4))
    np.testing.assert_array_equal(back.downbeats, found.downbeats)
    sevens = hear(song, RhythmSettings(beats_per_bar=7))
    assert sevens.beats_per_bar == 7
    assert np.all(np.diff(np.searchsorted(sevens.beats, sevens.downbeats)) == 7)


def test_careless_taps_are_drawn_to_the_song(band: Band) -> None:
    beats = even_beats(104, 56)
    random = np.random.default_rng(11)
    taps = np.delete(beats[16:28] + random.normal(-0.02, 0.02, 12), [4, 9])  # early, uneven, and two are missing
    rhythm = hear(band(beats), RhythmSettings(taps=tuple(taps)))
    assert agreement(beats, rhythm.beats) >= 0.98
    assert rhythm.tempo == pytest.approx(104, rel=0.002)
    matched = [np.abs(rhythm.beats - beat).min() for beat in beats]
    assert np.median(matched) < 0.004


def test_taps_choose_between_the_beat_and_twice_as_fast(band: Band) -> None:
    beats = even_beats(100, 40)
    eighths = even_beats(200, 79)
    rhythm = hear(band(beats), RhythmSettings(taps=tuple(eighths[20:36])))
    assert rhythm.tempo == pytest.approx(200, rel=0.002)
    assert agreement(eighths, rhythm.beats) >= 0.97


def test_taps_alone_make_an_even_grid() -> None:
    random = np.random.default_rng(2)
    taps = 5.0 + np.arange(16) * 0.5 + random.normal(0.0, 0.015, 16)
    taps = np.append(np.delete(taps, 7), taps[3] + 0.01)  # one is missing, one bounced
    rhythm = rhythm_from_taps(taps, 60.0, beats_per_bar=3)
    assert rhythm.tempo == pytest.approx(120, rel=0.01)
    assert np.ptp(np.diff(rhythm.beats)) < 1e-9
    assert rhythm.beats[0] < 0.51
    assert rhythm.beats[-1] > 59.4
    assert np.abs(rhythm.downbeats - 5.0).min() < 0.05
    assert len(rhythm.beats) == pytest.approx(3 * len(rhythm.downbeats), abs=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"beats_per_bar": 0},
        {"beats_per_bar": 3.5},
        {"bar_offset": 0.5},
        {"fixed_bpm": 0.0},
        {"fixed_bpm": float("nan")},
        {"speed": 3.0},
        {"taps": (1.0, np.inf)},
        {"taps": "1.0"},
        {"taps": ("1.0", "1.5")},
        {"fixed_bpm": "120"},
        {"fixed_bpm": 120.0, "first_beat": "1"},
        {"first_beat": 1.0},
    ],
)
def test_settings_that_make_no_rhythm_are_refused(wrong: dict) -> None:
    with pytest.raises(SongError, match=r"give|tap"):
        RhythmSettings(**wrong)


def test_one_tap_is_not_enough() -> None:
    with pytest.raises(SongError, match="two taps"):
        rhythm_from_taps([1.0], 60.0)


@pytest.mark.parametrize(
    "settings",
    [
        RhythmSettings(fixed_bpm=90.0),
        RhythmSettings(taps=(0.1, 0.6, 1.1)),
        RhythmSettings(speed=0.5),
        RhythmSettings(beats_per_bar=5, bar_offset=3),
        RhythmSettings(beats_per_bar=1, speed=0.5, fixed_bpm=999.0),
    ],
)
@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.3, 3.0])
def test_corrections_of_clicks_are_finite(settings: RhythmSettings, seconds: float, drum_loop) -> None:
    rhythm = hear(drum_loop({"click": np.arange(0.0, seconds, 0.25).tolist()}, seconds), settings)
    assert np.isfinite(rhythm.tempo)
    assert np.isfinite(rhythm.beats).all()
    assert np.isfinite(bars_curve(rhythm.downbeats, rhythm.tempo, FPS, 90)).all()
