# SPDX-License-Identifier: GPL-3.0-or-later
"""Which notes the chroma finds, when it shows them, and where the tonnetz puts them."""

import json
from fractions import Fraction

import numpy as np
import pytest

from stylegan_reactive.audio import analyse
from stylegan_reactive.audio.chroma import PitchStream, chroma_envelope
from stylegan_reactive.audio.spectrum import PITCH, SpectrumStream
from stylegan_reactive.audio.tonnetz import tonnetz

RATE = 44100
PARTIALS = {  # amplitudes of the partials of some instruments
    "reed": [1 / n for n in range(1, 12)],
    "organ": [1.0, 0.8, 0.6, 0.5, 0.0, 0.3, 0.0, 0.4],
    "clarinet": [1.0, 0.0, 0.6, 0.0, 0.4, 0.0, 0.25],
    "piano": [0.6**n for n in range(8)],
}


def play(midi: float, start: float, seconds: float, instrument: str, tuning: float = 440.0) -> tuple[int, np.ndarray]:
    """First sample and sound of a note that begins at once and leaves within 20 ms."""
    time = np.arange(round(seconds * RATE)) / RATE
    frequency = tuning * 2.0 ** ((midi - 69) / 12)
    sound = sum(
        level * np.sin(2 * np.pi * number * frequency * time + number)
        for number, level in enumerate(PARTIALS[instrument], 1)
        if number * frequency < 18000
    )
    shape = np.minimum(1.0, time / 0.004) * np.minimum(1.0, (seconds - time) / 0.02)
    if instrument == "piano":
        shape = shape * np.exp(-time / 0.6)
    return round(start * RATE), sound * shape


def band(chords: list[list[int]], step: float, instruments: tuple[str, str], tuning: float, drums: bool) -> tuple:
    """A song of chords with a bass below them, and what sounds in it: rows of start, end, MIDI number."""
    random = np.random.default_rng(3)
    song = np.zeros(round((len(chords) * step + 1.0) * RATE))
    notes = []
    for number, chord in enumerate(chords):
        start = 0.5 + number * step
        for midi, instrument, level in [(chord[0] - 24, instruments[0], 0.14)] + [
            (midi, instruments[1], 0.08) for midi in chord
        ]:
            at, sound = play(midi, start, step - 0.01, instrument, tuning)
            song[at : at + len(sound)] += level * sound
            notes.append((start, start + step - 0.01, midi))
        if drums:
            for beat in (0.0, step / 2):
                at = round((start + beat) * RATE)
                hit = random.standard_normal(RATE // 8) * np.exp(-np.arange(RATE // 8) / (0.03 * RATE))
                song[at : at + len(hit)] += 0.15 * hit
    return song.astype(np.float32), np.array(notes)


def share_found(chroma: np.ndarray, notes: np.ndarray, fps: float) -> float:
    """Of the pitch classes that sound in each frame, the share that is among as many of the strongest."""
    found = sounding = 0
    for frame, row in enumerate(chroma):
        now = (frame + 0.5) / fps
        classes = {int(midi) % 12 for start, end, midi in notes if start < now < end}
        found += len(classes & set(np.argsort(row)[len(row) - len(classes) :].tolist()))
        sounding += len(classes)
    return found / sounding


def circle_of(song: np.ndarray, block: int = 4 * RATE) -> np.ndarray:
    spectra, pitches = SpectrumStream(PITCH), PitchStream()
    for start in range(0, len(song), block):
        pitches.feed(spectra.feed(song[start : start + block]))
    return pitches.result()


SONGS = {
    "waltz for reeds": ([[57, 60, 64], [62, 65, 69], [64, 68, 71], [57, 60, 64]] * 2, 0.9, ("reed", "reed"), 440.0),
    "hymn, tuned low": ([[60, 64, 67, 71], [65, 69, 72], [67, 71, 74], [60, 64, 67]] * 2, 1.1, ("organ",) * 2, 432.0),
    "pop, tuned high": ([[61, 65, 68], [58, 61, 65], [66, 70, 73], [56, 60, 63]] * 2, 0.5, ("reed", "piano"), 445.0),
    "cluster": ([[60, 62, 63], [66, 67, 69], [70, 71, 73], [63, 64, 66]] * 2, 0.7, ("piano", "organ"), 440.0),
}


@pytest.mark.parametrize("drums", [False, True], ids=["alone", "with drums"])
@pytest.mark.parametrize("name", SONGS)
def test_chords_of_any_instrument_and_tuning_are_found_from_their_first_frame(write_song, name, drums):
    song, notes = band(*SONGS[name], drums)
    chroma = analyse(write_song(song), 30, ["chroma"])["chroma"]
    assert share_found(chroma, notes, 30) >= 0.97


def test_sounding_notes_of_the_reference_song_are_found(shared_folder):
    truth = json.loads((shared_folder / "reference/songs/truth_a.json").read_text())
    notes = np.array([note[:3] for stem in ("bass", "chords", "lead") for note in truth["notes"][stem]])
    chroma = analyse(shared_folder / "reference/songs/truth_a.flac", 30, ["chroma"])["chroma"]
    assert share_found(chroma, notes, 30) >= 0.97


@pytest.mark.parametrize(("instrument", "margin"), [("reed", 3), ("organ", 3), ("piano", 3), ("clarinet", 1.25)])
def test_overtones_of_a_low_note_are_not_taken_for_other_notes(write_song, instrument, margin):
    _, note = play(43, 0.0, 3.0, instrument)  # G, whose partials are also D, B and F
    row = analyse(write_song((0.2 * note).astype(np.float32)), 30, ["chroma"])["chroma"][45]
    assert row[7] > margin * np.delete(row, 7).max()


def test_a_chord_comes_up_with_its_attack_and_never_before(write_song):
    song, _ = band([[60, 64, 67], [61, 65, 68]] * 4, 0.7, ("piano", "piano"), 440.0, True)
    chroma = analyse(write_song(song), 60, ["chroma"])["chroma"]
    classes = ([0, 4, 7], [1, 5, 8])
    for number in range(1, 8):
        frame = int((0.5 + number * 0.7) * 60)
        new, old = classes[number % 2], classes[1 - number % 2]
        assert chroma[frame - 12 : frame, new].sum(axis=1).max() < 0.06
        assert chroma[frame + 1, new].sum() > chroma[frame + 1, old].sum()
        assert chroma[frame + 7 : frame + 30, new].sum(axis=1).min() > 0.8


@pytest.mark.parametrize("step", [0.125, 0.15])
def test_fast_notes_are_not_seen_before_they_sound(write_song, step):
    song, melody = np.zeros(9 * RATE, np.float32), [60, 66, 63, 69] * 12
    for number, midi in enumerate(melody):
        at, sound = play(midi, 0.5 + number * step, step, "reed")
        song[at : at + len(sound)] += 0.2 * sound
    chroma = analyse(write_song(song), 60, ["chroma"])["chroma"]
    starts = 0.5 + np.arange(1, len(melody)) * step
    classes = np.array(melody[1:]) % 12
    before = chroma[(starts * 60).astype(int) - 1, classes][1:]
    late = chroma[((starts + 0.8 * step) * 60).astype(int), classes][1:]
    assert before.max() < 0.04
    assert np.median(late) > 0.5


@pytest.mark.parametrize("bins", [1, 2, 6, 7, 12, 19, 24, 36, 120])
def test_any_number_of_classes_sums_to_one_and_has_the_note_in_its_place(bins):
    _, note = play(69, 0.0, 2.0, "piano")  # A is nine semitones above C
    chroma = chroma_envelope(circle_of(note.astype(np.float32)), Fraction(30), 60, bins)
    assert chroma.shape == (60, bins)
    np.testing.assert_allclose(chroma.sum(axis=1), 1.0, atol=1e-5)
    away = abs(chroma[30].argmax() - 9 * bins / 12)
    assert min(away, bins - away) <= 0.5 + bins / 120


def test_quarter_tones_have_classes_of_their_own(write_song):
    song = sum(play(midi, 0.0, 2.0, "piano")[1] for midi in (60, 64.5, 67))
    row = analyse(write_song((0.1 * song).astype(np.float32)), 30, ["chroma/24"])["chroma/24"][30]
    assert set(np.argsort(row)[-3:].tolist()) == {0, 9, 14}


def test_silence_prefers_no_note_and_songs_of_any_length_are_finite():
    for song in (np.zeros(RATE, np.float32), np.zeros(1, np.float32), np.ones(400, np.float32)):
        chroma = chroma_envelope(circle_of(song), Fraction(30), 30)
        assert np.isfinite(chroma).all()
        np.testing.assert_allclose(chroma.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(chroma_envelope(circle_of(np.zeros(RATE, np.float32)), Fraction(30), 30), 1 / 12)


def test_blocks_in_which_a_song_arrives_change_nothing():
    song, _ = band([[60, 64, 67], [61, 65, 68]], 0.6, ("reed", "piano"), 440.0, True)
    np.testing.assert_allclose(circle_of(song, 777), circle_of(song), rtol=1e-4, atol=1e-6)


def test_tonnetz_puts_related_chords_near_each_other():
    def chord(*classes: int) -> np.ndarray:
        return tonnetz(np.isin(np.arange(12), classes)[None].astype(float))[0]

    c_major, a_minor, f_sharp_major = chord(0, 4, 7), chord(9, 0, 4), chord(6, 10, 1)
    assert np.linalg.norm(c_major - a_minor) < 0.5 * np.linalg.norm(c_major - f_sharp_major)
    np.testing.assert_allclose(chord(0), [0, 1, 0, 1, 0, 0.5], atol=1e-6)


def test_tonnetz_moves_alike_for_chords_in_every_key():
    triad = np.isin(np.arange(12), (0, 4, 7)).astype(float)
    steps = [
        np.linalg.norm(tonnetz(np.roll(triad, key)[None]) - tonnetz(np.roll(triad, key + 7)[None])) for key in range(12)
    ]
    np.testing.assert_allclose(steps, steps[0], atol=1e-6)


def test_tonnetz_of_silence_rests_in_the_middle():
    np.testing.assert_allclose(tonnetz(np.full((4, 12), 1 / 12)), 0.0, atol=1e-6)
    np.testing.assert_allclose(tonnetz(np.zeros((4, 12))), 0.0, atol=1e-6)
