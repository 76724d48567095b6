# SPDX-License-Identifier: GPL-3.0-or-later
"""The built-in song: what its JSON claims is what the encoded file plays, and the script in tools/ makes both."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import mir_eval
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from scipy import signal

from stylegan_reactive.audio import Analysis, analyse

Sound = npt.NDArray[np.float64]
PITCH_CLASSES = 12


@pytest.fixture(scope="module")
def song(builtin_song: Path) -> tuple[Sound, int]:
    """The decoded file [samples, 2] and its sample rate."""
    sound, rate = soundfile.read(builtin_song, always_2d=True)
    return sound, rate


@pytest.fixture(scope="module")
def truth(builtin_song: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(builtin_song.with_suffix(".json").read_text(encoding="utf-8"))
    return data


@pytest.fixture(scope="module")
def maker(repository: Path) -> Any:
    """The module tools/make_song.py, with its neighbours importable as they are for a script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "tools"))
        import make_song

        yield make_song


@pytest.fixture(scope="module")
def played_again(maker: ModuleType) -> tuple[Sound, dict[str, Any]]:
    """The song as the script plays it today, before encoding, and its truth."""
    score = maker.compose()
    stems = maker.play(score)
    sound, _ = maker.mix(stems, score)
    return sound, maker.truth(score, stems, sound)


@pytest.fixture(scope="module")
def heard(builtin_song: Path) -> Analysis:
    """What an artist's envelopes are made of."""
    return analyse(builtin_song, 30, ["kick", "snare", "hats", "sections"])


def band(sound: Sound, rate: int, low: float, high: float) -> Sound:
    sections = signal.butter(2, [low, high], "bandpass", fs=rate, output="sos")
    return np.asarray(signal.sosfilt(sections, sound.mean(axis=1)))


def rises(filtered: Sound, rate: int, onsets: list[float], seconds: float = 0.02) -> Sound:
    """By how many dB the power just after each onset exceeds the power just before it."""
    width = round(seconds * rate)
    starts = [round(onset * rate) for onset in onsets]
    power = filtered**2
    return np.array(
        [10 * np.log10(power[s : s + width].mean() / (power[max(0, s - width) : s].mean() + 1e-12)) for s in starts]
    )


def delays(filtered: Sound, rate: int, onsets: list[float]) -> Sound:
    """Seconds from each onset of the truth until the sound has made 10 % of the way up to its attack's peak."""
    level = np.abs(filtered)
    early, before, after = round(0.002 * rate), round(0.013 * rate), round(0.03 * rate)
    found = []
    for onset in onsets:
        start = round(onset * rate)
        floor = level[start - early - before : start - early].max()
        attack = level[start - early : start + after]
        found.append((int(np.argmax(attack >= floor + 0.1 * (attack.max() - floor))) - early) / rate)
    return np.array(found)


def loud_hits(truth: dict[str, Any], instrument: str, velocity: float) -> list[float]:
    pairs = zip(truth["onsets"][instrument], truth["velocities"][instrument], strict=True)
    return [onset for onset, strength in pairs if strength >= velocity]


def level(sound: Sound) -> float:
    return float(10 * np.log10((sound**2).mean() + 1e-12))


def test_song_is_small_stereo_and_as_long_as_it_says(
    builtin_song: Path, song: tuple[Sound, int], truth: dict[str, Any]
) -> None:
    sound, rate = song
    assert builtin_song.stat().st_size < 1_000_000
    assert rate == truth["sample_rate"]
    assert sound.shape[1] == 2
    assert len(sound) / rate == pytest.approx(truth["duration"], abs=1 / rate)
    assert 24 <= truth["duration"] <= 40
    assert truth["licence"] == "CC0-1.0"


def test_song_stays_a_decibel_below_full_scale_carries_no_offset_and_ends_in_silence(song: tuple[Sound, int]) -> None:
    sound, rate = song
    between_samples = np.abs(signal.resample_poly(sound, 4, 1, axis=0)).max()
    assert between_samples < 10 ** (-1 / 20)  # what streaming services ask for
    assert np.abs(sound.mean(axis=0)).max() < 1e-3
    assert level(sound[-rate // 10 :]) < -60
    assert level(sound[: rate // 2]) > -40


def test_song_works_in_mono_and_is_wide_in_stereo(song: tuple[Sound, int]) -> None:
    sound, _ = song
    correlation = np.corrcoef(sound.T)[0, 1]
    assert 0.3 < correlation < 0.97


def test_tempo_is_not_120_and_beats_lie_on_its_grid(truth: dict[str, Any]) -> None:
    assert abs(truth["tempo"] - 120) > 3
    beats = np.array(truth["beats"])
    assert np.allclose(beats, np.arange(len(beats)) * 60 / truth["tempo"], atol=1e-5)
    assert truth["downbeats"] == truth["beats"][:: truth["metre"][0]]


def test_hits_lie_on_sixteenths_with_the_same_swing(truth: dict[str, Any]) -> None:
    sixteenth = 15 / truth["tempo"]
    for name in ("kick", "snare", "hats"):
        times = np.array(truth["onsets"][name])
        late = times - np.floor(times / sixteenth + 1e-3) * sixteenth
        assert late.min() > -1e-3
        assert late.max() < 0.2 * sixteenth


def test_each_kick_is_heard_within_two_milliseconds_of_its_time(song: tuple[Sound, int], truth: dict[str, Any]) -> None:
    sound, rate = song
    kicks = truth["onsets"]["kick"]
    assert len(kicks) > 30
    assert rises(band(sound, rate, 100, 400), rate, kicks).min() > 5
    assert np.abs(delays(band(sound, rate, 100, 2000), rate, kicks)).max() <= 0.002


def test_each_backbeat_is_heard_within_two_milliseconds_of_its_time(
    song: tuple[Sound, int], truth: dict[str, Any]
) -> None:
    sound, rate = song
    snares = loud_hits(truth, "snare", 0.8)
    assert len(snares) > 14
    rattle = band(sound, rate, 3000, 10_000)
    assert rises(rattle, rate, snares).min() > 5
    assert np.abs(delays(rattle, rate, snares)).max() <= 0.002


def test_hats_are_heard_where_the_truth_has_them(song: tuple[Sound, int], truth: dict[str, Any]) -> None:
    sound, rate = song
    air = band(sound, rate, 8000, 15_000)
    at_hats = rises(air, rate, loud_hits(truth, "hats", 0.4), 0.01)
    elsewhere = rises(air, rate, list(np.random.default_rng(1).uniform(8, 26, 300)), 0.01)
    assert np.median(at_hats) > 8
    assert np.median(at_hats) > np.percentile(elsewhere, 85)


def test_loud_parts_are_louder_than_quiet_ones(song: tuple[Sound, int], truth: dict[str, Any]) -> None:
    sound, rate = song
    names = [name for _, _, name in truth["sections"]]
    assert names == ["intro", "verse", "build", "drop", "break", "build", "drop", "outro"]
    loud = [level(sound[round(start * rate) : round(end * rate)]) for start, end, _ in truth["sections"]]
    intro, verse, build, drop, rest, second_build, second_drop, outro = loud
    assert intro + 3 < verse < build + 1
    assert build + 2 < drop < second_drop
    assert rest + 6 < drop
    assert second_build + 2 < second_drop
    assert outro + 3 < second_drop


@pytest.mark.parametrize("drum", ["kick", "snare", "hats"])
def test_each_drum_is_told_from_all_others(heard: Analysis, truth: dict[str, Any], drum: str) -> None:
    seen = (np.flatnonzero(heard[drum] > 0.4) + 0.5) / 30
    assert mir_eval.onset.f_measure(np.array(truth["onsets"][drum]), seen, window=0.05)[0] > 0.82


def test_sections_are_found_where_they_begin(heard: Analysis, truth: dict[str, Any]) -> None:
    written = np.array([part[:2] for part in truth["sections"]])
    found = np.array([(part.start, part.end) for part in heard.sections])
    assert mir_eval.segment.detection(written, found, window=0.5, trim=True)[2] >= 0.8


def test_sections_and_chords_fill_the_song_and_change_on_beats(truth: dict[str, Any]) -> None:
    for spans in (truth["sections"], truth["chords"]):
        assert spans[0][0] == 0
        assert spans[-1][1] == truth["duration"]
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
        assert all(np.abs(np.array(truth["beats"]) - start).min() < 1e-5 for start, _, _ in spans)


def test_each_chord_sounds_with_its_own_notes(song: tuple[Sound, int], truth: dict[str, Any]) -> None:
    sound, rate = song
    for start, end, name in truth["chords"]:
        part = sound[round(start * rate) : round(min(end, start + 2.0) * rate)].mean(axis=1)
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 17))
        frequencies = np.fft.rfftfreq(1 << 17, 1 / rate)
        heard = (frequencies > 200) & (frequencies < 1100)
        classes = np.round(69 + 12 * np.log2(frequencies[heard] / 440)).astype(int) % PITCH_CLASSES
        chroma = np.bincount(classes, spectrum[heard] ** 2, PITCH_CLASSES)
        written = {
            note["midi"] % PITCH_CLASSES
            for note in truth["notes"]
            if note["instrument"] == "chords" and start <= note["start"] < end
        }
        silent = [number for number in range(PITCH_CLASSES) if number not in written]
        assert chroma[sorted(written)].mean() > 3 * chroma[silent].mean(), name


def test_melody_never_rubs_a_semitone_above_a_chord_tone(truth: dict[str, Any]) -> None:
    lead = [note for note in truth["notes"] if note["instrument"] == "lead"]
    others = [note for note in truth["notes"] if note["instrument"] in ("chords", "bass")]
    assert lead
    for note in lead:
        for other in others:
            together = min(note["end"], other["end"]) - max(note["start"], other["start"])
            assert together < 0.1 or (note["midi"] - other["midi"]) % PITCH_CLASSES != 1, (note, other)


def test_script_still_makes_the_song_that_is_committed(
    maker: ModuleType, played_again: tuple[Sound, dict[str, Any]]
) -> None:
    assert maker.check(*played_again) == []


def test_check_notices_a_song_or_a_truth_that_is_not_the_scripts(
    maker: ModuleType, builtin_song: Path, tmp_path: Path, played_again: tuple[Sound, dict[str, Any]]
) -> None:
    sound, data = played_again
    (tmp_path / "song.ogg").write_bytes(builtin_song.read_bytes())
    (tmp_path / "song.json").write_text(json.dumps({**data, "tempo": 120}), encoding="utf-8")
    assert any("song.json" in fault for fault in maker.check(sound, data, tmp_path))
    assert any("song.ogg" in fault for fault in maker.check(np.roll(sound, 100, axis=0), data, tmp_path))


def test_decoded_file_starts_on_the_same_sample_as_the_song(
    song: tuple[Sound, int], played_again: tuple[Sound, dict[str, Any]]
) -> None:
    decoded, rate = song
    length = 4 * rate
    likeness = signal.correlate(decoded[:length, 0], played_again[0][:length, 0], method="fft")
    assert int(np.argmax(likeness)) - (length - 1) == 0
