# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pitch is followed, when it moves, and what it does where there is none."""

import json
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from stylegan_reactive.audio.decode import SongReader
from stylegan_reactive.audio.pitch import MelodyStream, Notes, height, pitch_envelope, semitones, voicing_envelope
from stylegan_reactive.audio.spectrum import PITCH, SpectrumStream

RATE = 44100
FPS = Fraction(60)


def sing(hertz: np.ndarray, partials: int = 8, fall: float = 1.0) -> np.ndarray:
    """A voice that follows a frequency given for each sample; partials fall by the given power of their number."""
    turns = 2 * np.pi * np.cumsum(hertz) / RATE
    audible = [number for number in range(1, partials + 1) if number * hertz.max() < 16000]
    return (0.2 * sum(np.sin(number * turns + number) / number**fall for number in audible)).astype(np.float32)


def steady(hertz: float, seconds: float) -> np.ndarray:
    return np.full(round(seconds * RATE), hertz)


def notes_of(song: np.ndarray, *band: float) -> Notes:
    spectra, stream = SpectrumStream(PITCH), MelodyStream(*band)
    for start in range(0, len(song), 100_000):
        stream.feed(spectra.feed(song[start : start + 100_000]))
    return stream.result()


def cents(found: np.ndarray, true: np.ndarray | float) -> np.ndarray:
    return 1200 * np.log2(found / true)


@pytest.mark.parametrize("partials", [1, 8])
@pytest.mark.parametrize("hertz", [55.0, 98.3, 220.0, 466.16, 1001.0, 1567.98])
def test_pitch_of_a_steady_voice_is_right_to_a_few_cents(hertz, partials):
    found = pitch_envelope(notes_of(sing(steady(hertz, 1.5), partials)), FPS, 90)
    assert np.abs(cents(found[15:], hertz)).max() < 5


def test_a_voice_with_a_faint_fundamental_keeps_its_octave():
    time = np.arange(2 * RATE) / RATE
    levels = (0.3, 1.0, 0.7, 0.5, 0.4, 0.3)
    song = sum(level * np.sin(2 * np.pi * 82.4 * n * time + n) for n, level in enumerate(levels, 1))
    found = pitch_envelope(notes_of((0.1 * song).astype(np.float32)), FPS, 120)
    assert np.abs(cents(found[15:], 82.4)).max() < 10


@pytest.mark.parametrize("direction", [1, -1])
def test_a_glide_is_followed_smoothly_and_not_ahead_of_time(direction):
    octaves = direction * np.clip((np.arange(4 * RATE) / RATE - 1.0) / 2.0, 0.0, 1.0)  # one octave in two seconds
    true = 330.0 * 2.0**octaves
    found = pitch_envelope(notes_of(sing(true)), FPS, 240)
    at_end = true[np.arange(1, 241) * RATE // 60 - 1]
    late = cents(found, at_end) * -direction
    assert late[20:].max() < 100  # within a semitone of where the voice is
    assert late[20:].min() > -5  # never further than the voice is
    assert np.abs(np.diff(cents(found, 330.0)))[20:].max() < 30


def test_vibrato_stays_within_its_semitone():
    time = np.arange(3 * RATE) / RATE
    found = pitch_envelope(notes_of(sing(440.0 * 2 ** (0.4 * np.sin(2 * np.pi * 5.5 * time) / 12))), FPS, 180)
    assert np.abs(cents(found[15:], 440.0)).max() < 45


def test_pitch_rests_where_it_was_in_pauses_and_says_that_it_is_not_sure():
    pause = np.zeros(RATE, np.float32)
    song = np.concatenate([pause, sing(steady(300.0, 1.0)), pause, sing(steady(450.0, 1.0)), pause])
    notes = notes_of(song)
    pitch, sure = pitch_envelope(notes, FPS, 300), voicing_envelope(notes, FPS, 300)
    assert np.abs(cents(pitch[:178], 300.0)).max() < 20
    assert np.abs(cents(pitch[192:], 450.0)).max() < 20
    assert sure[:59].max() < 0.05
    assert sure[75:110].min() > 0.6
    assert sure[135:178].max() < 0.05
    assert sure[195:230].min() > 0.6


@pytest.mark.parametrize("step", [0.2, 0.35, 0.5])
def test_with_attacks_known_each_note_is_shown_from_its_first_frame_and_never_before(step):
    hertz = [262.0, 330.0, 392.0, 294.0, 349.0, 440.0, 262.0]
    time = np.arange(round(step * RATE)) / RATE
    shape = (np.minimum(1.0, time / 0.003) * np.exp(-time / 0.4) * np.minimum(1.0, (step - time) / 0.01)).astype("f")
    song = np.concatenate([sing(steady(f, step))[: len(shape)] * shape for f in hertz])
    attacks = np.arange(len(hertz)) * len(shape)
    frames = int(len(song) * FPS / RATE)
    found = pitch_envelope(notes_of(song), FPS, frames, attacks)
    now = np.arange(1, frames + 1) * RATE // 60 - 1
    true = np.array(hertz)[np.minimum(now // len(shape), len(hertz) - 1)]
    assert np.abs(cents(found, true)).max() < 50


def test_noise_has_no_sure_pitch():
    noise = np.random.default_rng(5).standard_normal(3 * RATE).astype(np.float32) * np.float32(0.1)
    assert voicing_envelope(notes_of(noise), FPS, 180)[15:].mean() < 0.3


def test_a_band_chooses_the_voice():
    song = sing(steady(110.0, 2.0), 6, 1.5) + sing(steady(659.3, 2.0), 4, 1.5) + sing(steady(3520.0, 2.0), 1)
    for band, true in (((50.0, 250.0), 110.0), ((500.0, 1000.0), 659.3), ((3000.0, 5000.0), 3520.0)):
        found = pitch_envelope(notes_of(song, *band), FPS, 120)
        assert np.abs(cents(found[15:], true)).max() < 10, band


@pytest.mark.parametrize("song", [np.zeros(RATE), np.zeros(1), np.ones(3), np.ones(RATE)], ids=str)
def test_songs_without_a_pitch_have_a_constant_finite_one(song):
    notes = notes_of(song.astype(np.float32))
    pitch, sure = pitch_envelope(notes, FPS, 60), voicing_envelope(notes, FPS, 60)
    assert np.isfinite(pitch).all()
    assert np.isfinite(sure).all()
    assert not np.diff(pitch).any()


@pytest.mark.parametrize(("stem", "share"), [("lead", 0.98), ("bass", 0.9)])
def test_melodies_of_the_reference_song_are_followed(
    shared_folder, stem: str, share: float, attacks_of: Callable[[np.ndarray], np.ndarray]
):
    folder = shared_folder / "reference/songs"
    truth = np.array([note[:3] for note in json.loads((folder / "truth_a.json").read_text())["notes"][stem]])
    with SongReader(folder / f"truth_a.{stem}.flac") as song:
        notes = notes_of(np.concatenate(list(song.blocks())))
    found = semitones(pitch_envelope(notes, FPS, 5800, attacks_of(truth[:, 0])))
    right = [
        np.abs(found[int(start * 60) + 3 : int(end * 60)] - midi) < 0.5
        for start, end, midi in truth
        if int(end * 60) < 5800
    ]
    assert np.concatenate(right).mean() >= share


@pytest.fixture
def attacks_of() -> Callable[[np.ndarray], np.ndarray]:
    """Dates in samples of times in seconds, ascending."""
    return lambda seconds: np.sort(np.round(seconds * RATE).astype(np.int64))


def test_equal_intervals_are_equal_steps_of_an_envelope():
    pitch = 110.0 * 2.0 ** np.linspace(-1.0, 4.0, 11)
    steps = height(pitch, 110.0, 880.0)
    assert steps[0] == 0.0
    assert steps[-1] == 1.0
    np.testing.assert_allclose(np.diff(steps[2:9]), 1 / 6, atol=1e-6)
    np.testing.assert_allclose(semitones(np.array([440.0, 261.6256])), [69.0, 60.0], atol=1e-4)
