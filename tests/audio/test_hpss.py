# SPDX-License-Identifier: GPL-3.0-or-later
"""Harmonic and percussive parts: what rings, what strikes, and that nothing is invented."""

import numpy as np
import pytest

from stylegan_reactive.audio import analyse
from stylegan_reactive.audio.hpss import SeparationStream, running_median
from stylegan_reactive.audio.spectrum import PITCH, TIMING, SpectrumStream

RATE = 44100
HITS = np.arange(0.5, 7.6, 0.5)


@pytest.fixture
def band(drum_loop) -> tuple[np.ndarray, np.ndarray]:
    """Drums, and a chord that rings through all of them."""
    time = np.arange(8 * RATE) / RATE
    chord = 0.08 * sum(np.sin(2 * np.pi * frequency * time) for frequency in (220, 277.18, 329.63, 440, 659.26))
    return drum_loop({"snare": HITS.tolist(), "hats": (HITS + 0.25).tolist()}, 8), chord.astype(np.float32)


def test_drums_and_chords_go_their_ways(write_song, band):
    drums, chord = band
    features = ["rms", "percussive:rms", "harmonic:rms"]
    mix = analyse(write_song(drums + chord), 30, features)
    true = analyse(write_song(drums, name="drums.wav"), 30, ["rms"])["rms"]
    hits = (HITS * 30).astype(int)
    assert np.corrcoef(mix["percussive:rms"], true)[0, 1] > 0.75  # a snare's skin rings
    assert mix["percussive:rms"][hits].min() > 5 * np.median(mix["percussive:rms"][hits - 2])
    steady = mix["harmonic:rms"][10:230]
    assert steady.std() / steady.mean() < 0.5 * mix["rms"][10:230].std() / mix["rms"][10:230].mean()


def test_onsets_of_the_percussive_part_leave_chords_out(write_song, drum_loop):
    time = np.arange(8 * RATE) / RATE
    chords = np.zeros(8 * RATE)
    for start in np.arange(0.25, 7.5, 0.5):
        at = time - start
        swell = np.clip(at / 0.01, 0, 1) * np.exp(-np.maximum(at, 0) / 0.4)
        chords += 0.2 * swell * sum(np.sin(2 * np.pi * frequency * at) for frequency in (330, 415.3, 1320, 1661))
    song = drum_loop({"snare": HITS.tolist()}, 8) + chords.astype(np.float32)
    analysis = analyse(write_song(song), 30, ["onset", "percussive:onset"])
    at_snares, at_chords = (HITS * 30).astype(int), ((HITS + 0.25)[:-1] * 30).astype(int)
    struck = analysis["percussive:onset"]
    assert struck[at_snares].min() > 0.6
    around = np.max([struck[at_chords + step] for step in range(3)], axis=0)
    assert np.median(around) < 0.1
    assert np.median(np.max([analysis["onset"][at_chords + step] for step in range(3)], axis=0)) > 2 * np.median(around)


@pytest.mark.parametrize("grid", [TIMING, PITCH], ids=["timing", "pitch"])
def test_parts_never_exceed_the_mix_and_all_windows_come_back(band, grid):
    magnitudes = SpectrumStream(grid).feed(sum(band))
    stream = SeparationStream(grid)
    given = [stream.feed(part) for part in np.array_split(magnitudes, 7)] + [stream.finish()]
    np.testing.assert_array_equal(np.concatenate([parts.mix for parts in given]), magnitudes)
    percussive = np.concatenate([parts.percussive for parts in given])
    harmonic = np.concatenate([parts.harmonic for parts in given])
    assert (percussive >= 0).all()
    assert (harmonic >= 0).all()
    assert (percussive + harmonic <= magnitudes * 1.0001 + 1e-9).all()


def test_blocks_of_any_length_give_the_same_parts(band):
    magnitudes = SpectrumStream(TIMING).feed(sum(band))[:700]
    whole, pieces = SeparationStream(TIMING), SeparationStream(TIMING)
    at_once = [whole.feed(magnitudes), whole.finish()]
    in_pieces = [pieces.feed(part) for part in np.array_split(magnitudes, [1, 2, 40, 41, 333])] + [pieces.finish()]
    for name in ("percussive", "harmonic"):
        one, other = (np.concatenate([getattr(parts, name) for parts in given]) for given in (at_once, in_pieces))
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_what_waits_does_not_grow(band):
    magnitudes = SpectrumStream(TIMING).feed(sum(band))
    stream = SeparationStream(TIMING)
    for part in np.array_split(magnitudes, 30):
        stream.feed(part)
        assert stream._blocks.waiting < TIMING.rate


def test_running_median_is_the_one_of_the_textbook():
    values = np.random.default_rng(2).random((6, 40)).astype(np.float32)
    padded = np.pad(values, ((0, 0), (3, 3)), mode="symmetric")
    expected = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7, axis=1), axis=2)
    np.testing.assert_array_equal(running_median(values, 7), expected)


@pytest.mark.parametrize("samples", [1, 300, 5000])
def test_short_sounds_and_silence_stay_finite(write_song, samples):
    features = ["percussive:onset", "harmonic:rms", "drums:kick", "harmonic:chroma", "bass:rms@30-200"]
    for sound in (np.zeros(samples, np.float32), np.full(samples, 0.7, np.float32)):
        analysis = analyse(write_song(sound), 60, features)
        assert all(np.isfinite(values).all() for values in analysis.features.values())


def test_own_stems_are_heard_in_place_of_what_the_mix_tells(write_song, drum_loop, band):
    drums, chord = band
    files = {"drums": write_song(drums, name="drums.wav"), "strings": write_song(chord, name="strings.wav")}
    song = write_song(drums + chord)
    analysis = analyse(song, 30, ["drums:rms", "strings:rms", "rms"], stems=files)
    np.testing.assert_array_equal(analysis["drums:rms"], analyse(files["drums"], 30, ["rms"])["rms"])
    np.testing.assert_array_equal(analysis["strings:rms"], analyse(files["strings"], 30, ["rms"])["rms"])
    np.testing.assert_array_equal(analysis["rms"], analyse(song, 30, ["rms"])["rms"])


def test_progress_through_song_and_stems_rises_to_one(write_song, drum_loop, band):
    files = {"drums": write_song(band[0], name="drums.wav")}
    told: list[float] = []
    analyse(write_song(sum(band)), 30, ["drums:rms"], stems=files, progress=lambda share, text: told.append(share))
    assert told == sorted(told)
    assert told[0] == 0.0
    assert told[-1] == 1.0
