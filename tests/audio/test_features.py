# SPDX-License-Identifier: GPL-3.0-or-later
"""What the features say about songs of which everything is known."""

import json
import subprocess
import sys

import mir_eval
import numpy as np
import pytest

from stylegan_reactive.audio import analyse

RATE = 44100


def test_kick_snare_and_hats_are_told_apart(write_song, drum_loop):
    hits = {
        "kick": np.arange(0.0, 16.0, 1.0).tolist(),
        "snare": np.arange(0.5, 16.0, 1.0).tolist(),
        "hats": np.arange(0.25, 16.0, 0.5).tolist(),
    }
    analysis = analyse(write_song(drum_loop(hits, 16)), 30)
    for drum, own_times in hits.items():
        own = analysis[drum][(np.array(own_times) * 30).astype(int)]
        assert own.min() > 0.6, drum
        for other, times in hits.items():
            if other != drum:
                assert analysis[drum][(np.array(times) * 30).astype(int)].mean() < 0.4 * own.mean(), (drum, other)


def test_recorded_drums_are_told_apart(shared_folder):
    truth = json.loads((shared_folder / "reference/songs/truth_c_align.json").read_text())
    analysis = analyse(shared_folder / "reference/songs/truth_c_align.flac", 30)
    midi = {"kick": 36, "snare": 38, "hats": 42}

    def median_at(drum: str, number: int) -> float:
        starts = [int((note[0] + 0.004) * 30) for note in truth["notes"]["drums"] if note[2] == number]
        return float(np.median([analysis[drum][start : start + 2].max() for start in starts]))

    for drum, number in midi.items():
        assert median_at(drum, number) > 0.85
        assert all(median_at(drum, other) < 0.35 for other in midi.values() if other != number)


def test_envelopes_are_zero_between_hits(write_song, drum_loop):
    times = np.arange(0.5, 10.0, 0.5)
    analysis = analyse(write_song(drum_loop({"kick": times.tolist()}, 10)), 30)
    between = np.setdiff1d(np.arange(analysis.frames), (times * 30).astype(int))
    assert not analysis["onset"][between].any()
    assert not analysis["kick"][between].any()


def test_level_of_the_song_does_not_matter(write_song, drum_loop):
    song = drum_loop({"kick": [0.5, 1.5, 2.5], "snare": [1.0, 2.0, 3.0]}, 4)
    loud = analyse(write_song(song, subtype="FLOAT"), 30)
    quiet = analyse(write_song(song / 20, name="quiet.wav", subtype="FLOAT"), 30)
    for name in ("onset", "kick", "snare", "rms"):
        np.testing.assert_allclose(loud[name], quiet[name], atol=0.05, err_msg=name)


def test_rms_follows_loudness_and_reaches_one(write_song):
    time = np.arange(6 * RATE) / RATE
    song = np.sin(2 * np.pi * 220 * time) * np.where(time < 3, 0.1, 0.4)
    rms = analyse(write_song(song.astype(np.float32)), 30, ["rms"])["rms"]
    assert rms[10:80].mean() == pytest.approx(0.25, abs=0.01)
    assert rms[100:170].mean() == pytest.approx(1.0, abs=0.01)
    assert rms[88] < 0.27  # nothing rises before the sound does


@pytest.mark.parametrize("tuning", [440.0, 452.0, 430.0])
def test_chroma_names_the_notes_of_a_chord_at_any_tuning(write_song, tuning):
    time = np.arange(3 * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * tuning * 2 ** ((note - 69) / 12) * time) for note in (60, 64, 67))  # C E G
    chroma = analyse(write_song((0.2 * chord).astype(np.float32)), 30, ["chroma"])["chroma"]
    middle = chroma[45]
    assert set(np.argsort(middle)[-3:]) == {0, 4, 7}
    assert middle[[0, 4, 7]].sum() > 0.9


def test_chroma_changes_after_the_chord_and_not_before(write_song):
    time = np.arange(4 * RATE) / RATE
    frequency = np.where(time < 2, 261.63, 369.99)  # C, then F sharp
    chroma = analyse(write_song((0.3 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)), 60, ["chroma"])[
        "chroma"
    ]
    assert chroma[: 2 * 60 - 1, 6].max() < 0.1
    assert chroma[2 * 60 + 12 :, 6].min() > 0.9


def test_chroma_finds_the_sounding_notes_of_a_band(shared_folder):
    truth = json.loads((shared_folder / "reference/songs/truth_a.json").read_text())
    chroma = analyse(shared_folder / "reference/songs/truth_a.flac", 30, ["chroma"])["chroma"]
    found = []
    for frame, row in enumerate(chroma):
        now = (frame + 0.5) / 30
        notes = [note for stem in ("bass", "chords", "lead") for note in truth["notes"][stem]]
        sounding = {note[2] % 12 for note in notes if note[0] + 0.1 < now < note[1]}
        if sounding:
            found.append(len(sounding & set(np.argsort(row)[-len(sounding) :])) / len(sounding))
    assert np.mean(found) >= 0.92


def assert_rhythm(analysis, beats, downbeats, tempo):
    assert mir_eval.beat.f_measure(np.array(beats), analysis.beats) >= 0.95
    assert mir_eval.beat.f_measure(np.array(downbeats), analysis.downbeats) >= 0.9
    assert analysis.tempo == pytest.approx(tempo, rel=0.005)


def test_rhythm_of_the_built_in_song_is_found(builtin_song):
    truth = json.loads(builtin_song.with_suffix(".json").read_text())
    assert_rhythm(analyse(builtin_song, 30), truth["beats"], truth["downbeats"], truth["tempo"])


def test_rhythm_of_a_band_is_found(shared_folder):
    truth = json.loads((shared_folder / "reference/songs/truth_a.json").read_text())
    analysis = analyse(shared_folder / "reference/songs/truth_a.flac", 30)
    assert_rhythm(analysis, truth["beats"], truth["downbeats"], 112)


@pytest.mark.parametrize("tempo", [72, 95, 120, 150])
@pytest.mark.parametrize("start", [0.0, 0.37])
def test_rhythm_of_a_plain_drum_pattern_is_found_at_any_tempo(write_song, drum_loop, tempo, start):
    beats = np.arange(start, 24.5, 60 / tempo)
    hits = {"kick": [*beats[0::4], *beats[2::4]], "snare": beats[1::2], "hats": beats + 30 / tempo}
    song = drum_loop({name: list(times) for name, times in hits.items()}, 26)
    time = np.arange(len(song)) / RATE
    bar = np.clip((time - start) * tempo / 240, 0, None).astype(int) % 4
    song += (0.1 * np.sin(2 * np.pi * np.array([220.0, 174.61, 261.63, 196.0])[bar] * time)).astype(np.float32)
    analysis = analyse(write_song(song), 30)
    assert analysis.tempo == pytest.approx(tempo, rel=0.01)
    assert mir_eval.beat.f_measure(beats, analysis.beats) >= 0.95
    assert mir_eval.beat.f_measure(beats[::4], analysis.downbeats) >= 0.9


def test_bars_count_on_through_the_whole_song(builtin_song):
    truth = json.loads(builtin_song.with_suffix(".json").read_text())
    analysis = analyse(builtin_song, 30)
    frames = (np.array(truth["downbeats"][1:]) * 30).astype(int)
    phase = np.mod(analysis["bars"][frames] + 0.5, 1.0) - 0.5
    assert np.abs(phase).max() < 0.03
    steps = np.diff(analysis["bars"])
    assert steps.min() > 0.7 * np.median(steps)
    assert steps.max() < 1.3 * np.median(steps)


def test_kicks_of_the_built_in_song_are_seen_on_their_frames(builtin_song):
    kicks = np.array(json.loads(builtin_song.with_suffix(".json").read_text())["onsets"]["kick"])
    for fps in (24, 30, 60):
        kick = analyse(builtin_song, fps, ["kick"])["kick"]
        assert np.mean(kick[(kicks * fps).astype(int)] > 0.3) >= 0.9


def test_a_feature_that_does_not_exist_is_named(builtin_song):
    with pytest.raises(KeyError, match=r"tuba.*onset"):
        analyse(builtin_song, 30)["tuba"]


def test_the_room_loads_neither_torch_nor_bpy_nor_librosa(repository):
    code = (
        "import sys, stylegan_reactive.audio\n"
        "assert not {'torch', 'bpy', 'librosa', 'numba'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True)
