# SPDX-License-Identifier: GPL-3.0-or-later
"""Onsets: all that begin and nothing else, in mixes, in stems, in bands."""

import json

import mir_eval
import numpy as np
import pytest

from stylegan_reactive.audio import analyse

RATE = 44100
SOUND_AFTER_NOTE = 0.0045  # seconds by which the reference songs' instruments follow the written time
JOINED = 0.05  # seconds within which the ear hears notes as one


def joined(times: list[float]) -> np.ndarray:
    """Times of what is heard as one, by its first."""
    heard: list[float] = []
    for time in sorted(times):
        if not heard or time - heard[-1] > JOINED:
            heard.append(time)
    return np.array(heard)


def f_within_a_frame(onset: np.ndarray, times: np.ndarray, fps: int) -> float:
    """F-measure of the frames in which something is seen, within one frame of those in which it begins."""
    beyond = np.concatenate([[0.0], onset, [0.0]])
    seen = np.flatnonzero((onset > 0.05) & (onset >= beyond[:-2]) & (onset > beyond[2:]))
    true = np.unique((times * fps).astype(int))
    return float(mir_eval.onset.f_measure(true.astype(float), seen.astype(float), window=1.001)[0])


@pytest.mark.parametrize(("fps", "mix", "stem"), [(24, 0.93, 0.97), (30, 0.92, 0.97), (60, 0.88, 0.97)])
def test_onsets_of_a_band_are_seen_within_a_frame(shared_folder, fps, mix, stem):
    songs = shared_folder / "reference/songs"
    notes = json.loads((songs / "truth_a.json").read_text())["notes"]
    times = {name: [note[0] + SOUND_AFTER_NOTE for note in of_stem] for name, of_stem in notes.items()}
    everything = joined([time for of_stem in times.values() for time in of_stem])
    assert f_within_a_frame(analyse(songs / "truth_a.flac", fps, ["onset"])["onset"], everything, fps) >= mix
    drums = analyse(songs / "truth_a.drums.flac", fps, ["onset"])["onset"]
    assert f_within_a_frame(drums, joined(times["drums"]), fps) >= stem


def test_onsets_of_the_built_in_song_are_nearly_all_real(builtin_song):
    onsets = json.loads(builtin_song.with_suffix(".json").read_text())["onsets"]
    times = joined([time for of_instrument in onsets.values() for time in of_instrument])
    onset = analyse(builtin_song, 30, ["onset"])["onset"]
    seen = np.flatnonzero(onset > 0.1)
    true = (times * 30).astype(int)
    distance = np.abs(seen[:, None] - true).min(axis=1)
    assert np.mean(distance <= 1) >= 0.95
    assert f_within_a_frame(onset, times, 30) >= 0.88


def test_vibrato_and_beating_are_no_onsets(write_song):
    time = np.arange(6 * RATE) / RATE
    swell = np.clip(time / 0.02, 0, 1)
    phase = 2 * np.pi * 440 * time + 4.0 * np.sin(2 * np.pi * 6 * time)
    vibrato = sum(np.sin(number * phase) / number for number in range(1, 9))
    chorus = sum(np.sin(2 * np.pi * frequency * time) for frequency in (220.0, 221.3, 330.0, 331.9))
    song = (swell * (0.15 * vibrato + 0.05 * chorus)).astype(np.float32)
    onset = analyse(write_song(song), 30, ["onset"])["onset"]
    assert onset[:2].max() == 1.0
    assert np.count_nonzero(onset[2:-2]) == 0


def test_onsets_of_a_band_belong_to_that_band(write_song, drum_loop):
    kicks, hats = np.arange(0.5, 9.5, 1.0), np.arange(1.0, 9.5, 1.0)
    song = drum_loop({"kick": kicks.tolist(), "hats": hats.tolist()}, 10)
    analysis = analyse(write_song(song), 30, ["onset@30-120", "onset@9000-16000", "onset"])
    low, high = analysis["onset@30-120"], analysis["onset@9000-16000"]
    at_kicks, at_hats = (kicks * 30).astype(int), (hats * 30).astype(int)
    assert low[at_kicks].min() > 0.8
    assert low[at_hats].max() < 0.1
    assert high[at_hats].min() > 0.8
    assert high[at_kicks].max() < 0.5
    assert analysis["onset"][np.concatenate([at_kicks, at_hats])].min() > 0.3


@pytest.mark.parametrize("band", ["0-20", "0-22050", "20-21", "21000-22050", "440-441"])
def test_bands_narrower_than_a_bin_still_hear(write_song, drum_loop, band):
    song = drum_loop({"snare": [0.5, 1.0, 1.5]}, 2) + 0.001
    analysis = analyse(write_song(song), 30, [f"onset@{band}", f"rms@{band}", f"centroid@{band}"])
    assert all(np.isfinite(values).all() for values in analysis.features.values())


def test_drums_bass_and_the_rest_are_heard_without_stems(shared_folder, tmp_path):
    import soundfile

    songs = shared_folder / "reference/songs"
    sounds = [soundfile.read(songs / f"truth_a.{stem}.flac", dtype="float32") for stem in ("chords", "lead")]
    soundfile.write(tmp_path / "other.wav", sounds[0][0] + sounds[1][0], sounds[0][1])
    files = {
        "drums": songs / "truth_a.drums.flac",
        "bass": songs / "truth_a.bass.flac",
        "other": tmp_path / "other.wav",
    }
    guessed = analyse(songs / "truth_a.flac", 30, [f"{stem}:rms" for stem in files])
    true = analyse(songs / "truth_a.flac", 30, [f"{stem}:rms" for stem in files], stems=files)
    for stem, target in {"drums": 0.9, "bass": 0.8, "other": 0.9}.items():
        assert np.corrcoef(guessed[f"{stem}:rms"], true[f"{stem}:rms"])[0, 1] >= target, stem


@pytest.mark.parametrize("fps", [24, 60])
@pytest.mark.parametrize(
    "feature", ["percussive:onset", "drums:rms", "percussive:rms", "rms@2000-12000", "drums:snare"]
)
def test_parts_and_bands_show_nothing_before_it_sounds(write_song, drum_loop, feature, fps):
    times = np.arange(0.5, 7.5, 0.5) + np.random.default_rng(5).uniform(0, 0.1, 14)
    values = analyse(write_song(drum_loop({"snare": times.tolist()}, 8)), fps, [feature])[feature]
    frames = (times * fps).astype(int)
    after = np.maximum(values[frames], values[frames + 1])
    assert after.min() > 0.4
    before = values[frames - 1] - np.minimum(values[frames - 2], values[frames - 1])
    assert before.max() < 0.02


@pytest.mark.parametrize("decibels", [-140, -125, -115])
def test_nothing_starts_in_noise_that_nobody_hears(write_song, decibels):
    noise = 10 ** (decibels / 20) * np.random.default_rng(1).standard_normal(4 * RATE)
    analysis = analyse(write_song(noise.astype(np.float32), subtype="FLOAT"), 30, ["onset", "onset@2000-8000"])
    assert not analysis["onset"].any()
    assert not analysis["onset@2000-8000"].any()
