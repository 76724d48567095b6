# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of songs: sections that are found, those that an artist marks, and their envelopes."""

import json
import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import mir_eval
import numpy as np
import pytest

from stylegan_reactive.audio import SectionSettings, analyse
from stylegan_reactive.audio.attack import DifferenceStream
from stylegan_reactive.audio.chroma import PitchStream
from stylegan_reactive.audio.decode import SongReader
from stylegan_reactive.audio.onset import NoveltyStream
from stylegan_reactive.audio.rhythm import Rhythm, find_rhythm
from stylegan_reactive.audio.sections import Section, section_envelopes, sections_from_markers
from stylegan_reactive.audio.spectrum import PITCH, TIMING, SpectrumStream
from stylegan_reactive.audio.structure import Method, find_sections
from stylegan_reactive.audio.timbre import TimbreStream
from stylegan_reactive.errors import PatchError, SongError

RATE = 44100
BEAT = 0.4
BAR = 4 * BEAT
MINOR, MAJOR, FOURTHS, SAD = (
    ((57, 60, 64), (53, 57, 60)),
    ((60, 64, 67), (67, 71, 74)),
    ((50, 55, 60),),
    ((49, 52, 56),),
)
METHODS: tuple[Method, ...] = ("laplacian", "novelty")


def play(form: str, parts: dict[str, dict], bars: int = 8) -> np.ndarray:
    """Synthesise a song: ``bars`` bars for each letter of the form, with that part's chords, sound and drums."""
    random = np.random.default_rng(3)
    song = np.zeros(round(len(form) * bars * BAR * RATE))
    time = np.arange(round(BEAT * RATE)) / RATE
    for number, beat_start in enumerate(np.arange(len(form) * bars * 4) * BEAT):
        part = parts[form[number // (4 * bars)]]
        chord = part["chords"][number // 4 % len(part["chords"])]
        sound = np.zeros(len(time))
        for midi in chord:
            for overtone in range(1, part.get("overtones", 4) + 1):
                frequency = 440 * 2 ** ((midi - 69) / 12) * overtone
                sound += 0.1 / overtone * np.sin(2 * np.pi * frequency * time) * np.exp(-2 * time)
        if part.get("drums", True):
            low = np.sin(2 * np.pi * 55 * time) * np.exp(-time / 0.05)
            noise = random.standard_normal(len(time)) * np.exp(-time / 0.04)
            sound += 0.5 * low if number % 2 == 0 else 0.15 * noise
        at = round(beat_start * RATE)
        song[at : at + len(sound)] += part.get("gain", 1.0) * random.uniform(0.9, 1.1) * sound[: len(song) - at]
    return (0.5 * song + 1e-4 * random.standard_normal(len(song))).astype(np.float32)


def listen(song: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """What the streams keep of a song that arrives in blocks, and its duration."""
    timing, pitch, timbre, circle = SpectrumStream(TIMING), SpectrumStream(PITCH), TimbreStream(), PitchStream()
    for block in np.array_split(song, max(1, len(song) // 100_000)):
        timbre.feed(timing.feed(block))
        circle.feed(pitch.feed(block))
    return timbre.result(), circle.result(), len(song) / RATE


def steady(duration: float) -> Rhythm:
    """The beats that ``play`` plays."""
    beats = np.arange(0.0, duration - 0.01, BEAT)
    return Rhythm(60 / BEAT, beats, beats[::4])


def form_of(sections: Sequence[Section]) -> str:
    return "".join(section.label for section in sections)


@pytest.fixture(scope="module")
def verse_and_chorus() -> tuple[np.ndarray, np.ndarray, float]:
    """A song of the form ABABCB with other chords, sounds and drums in each part."""
    parts = {
        "A": {"chords": MINOR, "overtones": 2, "drums": False},
        "B": {"chords": MAJOR, "overtones": 8},
        "C": {"chords": SAD, "overtones": 4, "gain": 0.5},
    }
    return listen(play("ABABCB", parts))


@pytest.mark.parametrize("method", METHODS)
def test_a_song_falls_into_verse_and_chorus(verse_and_chorus, method):
    timbre, circle, duration = verse_and_chorus
    sections = find_sections(timbre, circle, steady(duration), duration, method=method)
    assert form_of(sections) == "ABABCB"
    assert [section.start for section in sections] == pytest.approx([8 * BAR * number for number in range(6)])
    assert sections[-1].end == duration


def test_sections_are_told_apart_by_their_chords_alone():
    parts = {"A": {"chords": MINOR}, "B": {"chords": MAJOR}, "C": {"chords": SAD}}
    timbre, circle, duration = listen(play("ABACB", parts))
    sections = find_sections(timbre, circle, steady(duration), duration)
    assert form_of(sections) == "ABACB"
    assert [section.start for section in sections] == pytest.approx([8 * BAR * number for number in range(5)])


def test_a_crash_does_not_move_a_boundary():
    parts = {"A": {"chords": MINOR}, "B": {"chords": MAJOR}, "C": {"chords": SAD}}
    song = play("ABACB", parts)
    noise = np.random.default_rng(1).standard_normal(round(BAR * RATE)).astype(np.float32)
    for section in (1, 2, 3, 4):
        at = round(8 * BAR * section * RATE)
        song[at : at + len(noise)] += 0.1 * noise * np.linspace(1, 0, len(noise), dtype=np.float32) ** 2
    timbre, circle, duration = listen(song)
    sections = find_sections(timbre, circle, steady(duration), duration)
    assert form_of(sections) == "ABACB"
    assert [section.start for section in sections] == pytest.approx([8 * BAR * number for number in range(5)])


def test_sections_are_told_apart_by_their_instruments_alone():
    parts = {"A": {"chords": MINOR, "overtones": 2}, "B": {"chords": MINOR, "overtones": 12, "gain": 1.5}}
    timbre, circle, duration = listen(play("ABAB", parts))
    sections = find_sections(timbre, circle, steady(duration), duration)
    assert form_of(sections) == "ABAB"
    assert [section.start for section in sections] == pytest.approx([8 * BAR * number for number in range(4)])


@pytest.mark.parametrize("method", METHODS)
def test_one_loop_from_start_to_end_is_one_section(method):
    timbre, circle, duration = listen(play("AAAA", {"A": {"chords": (*MINOR, *MAJOR)}}))
    assert find_sections(timbre, circle, steady(duration), duration, method=method) == (Section(0.0, duration, "A"),)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_the_artist_sets_how_many_kinds_there_are(verse_and_chorus, method, kinds):
    timbre, circle, duration = verse_and_chorus
    sections = find_sections(timbre, circle, steady(duration), duration, kinds=kinds, method=method)
    assert set(form_of(sections)) == set("ABC"[:kinds])


@pytest.mark.parametrize("method", METHODS)
def test_sections_are_as_long_as_asked_for_and_start_on_downbeats(verse_and_chorus, method):
    timbre, circle, duration = verse_and_chorus
    late = Rhythm(60 / BEAT, np.arange(9.13, 60.0, BEAT), np.arange(9.13, 60.0, BAR))  # and none before and behind
    sections = find_sections(timbre, circle, late, duration, kinds=4, method=method, shortest_bars=5)
    assert len(sections) > 1
    lengths = [section.end - section.start for section in sections]
    assert min(lengths) >= 4.25 * BAR  # of the first and last section a bar may lie partly outside the song
    bars = [(section.start - 9.13) / BAR for section in sections[1:]]
    np.testing.assert_allclose(bars, np.round(bars), atol=1e-6)
    assert sections[0].start == 0.0
    assert sections[-1].end == duration
    assert all(one.end == other.start for one, other in pairwise(sections))


def test_music_without_beats_has_sections_too():
    random = np.random.default_rng(0)
    time = np.arange(48 * RATE) / RATE
    low = sum(np.sin(2 * np.pi * frequency * time) for frequency in (110, 165, 220))
    high = sum(np.sin(2 * np.pi * frequency * time) for frequency in (311, 622, 933))
    song = 0.1 * np.where(np.abs(time - 24) < 8, high, low) + 1e-3 * random.standard_normal(len(time))
    timbre, circle, duration = listen(song.astype(np.float32))
    sections = find_sections(timbre, circle, Rhythm(120.0, np.zeros(0), np.zeros(0)), duration)
    assert form_of(sections) == "ABA"
    assert [section.start for section in sections] == pytest.approx([0.0, 16.0, 32.0], abs=2.0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("samples", [0, 1, 441, 2 * RATE, 40 * RATE])
def test_silence_of_any_length_is_one_section(method, samples):
    timbre, circle, _ = listen(np.zeros(samples, np.float32))
    duration = max(samples, 1) / RATE
    for rhythm in (Rhythm(120.0, np.zeros(0), np.zeros(0)), steady(duration)):
        assert find_sections(timbre, circle, rhythm, duration, method=method) == (Section(0.0, duration, "A"),)


@pytest.mark.parametrize("method", METHODS)
def test_an_hour_has_its_sections_within_little_memory(method):
    random = np.random.default_rng(5)
    duration, span = 3600.0, 48.0
    kinds_of_spans = np.tile([0, 1, 2], 25)
    slices, windows = round(duration * RATE / 4096), round(duration * RATE / PITCH.hop)
    of_slice = kinds_of_spans[(np.arange(slices) / slices * 75).astype(int)]
    of_window = kinds_of_spans[(np.arange(windows) / windows * 75).astype(int)]
    timbre = np.exp(2 * random.standard_normal((3, 24)))[of_slice].astype(np.float32)
    circle = random.random((3, 60))[of_window].astype(np.float32)
    timbre *= np.exp(0.2 * random.standard_normal(timbre.shape, dtype=np.float32))
    circle *= np.exp(0.2 * random.standard_normal(circle.shape, dtype=np.float32))
    beats = np.arange(0.0, duration, 0.5)
    tracemalloc.start()
    sections = find_sections(timbre, circle, Rhythm(120.0, beats, beats[::4]), duration, method=method)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6
    assert form_of(sections) == "ABC" * 25
    np.testing.assert_allclose([section.start for section in sections], span * np.arange(75), atol=4.0)


def test_what_cannot_be_is_refused(verse_and_chorus):
    timbre, circle, duration = verse_and_chorus
    for wrong in ({"kinds": 0}, {"shortest_bars": 0}, {"method": "guess"}):
        with pytest.raises(PatchError, match=r"Choose 1 or more|Use laplacian or novelty"):
            find_sections(timbre, circle, steady(duration), duration, **wrong)


@pytest.mark.parametrize("wrong", [{"kinds": 2.5}, {"kinds": 0}, {"shortest_bars": 1.5}, {"shortest_bars": "4"}])
def test_counts_that_are_none_are_refused_before_the_song_is_heard(wrong):
    with pytest.raises(SongError, match="whole number"):
        SectionSettings(**wrong)


def test_a_reference_song_has_the_sections_of_its_score(shared_folder: Path):
    truth = json.loads((shared_folder / "reference" / "songs" / "truth_a.json").read_text(encoding="utf-8"))
    timing, pitch = SpectrumStream(TIMING), SpectrumStream(PITCH)
    timbre, circle, novelty, difference = TimbreStream(), PitchStream(), NoveltyStream(), DifferenceStream()
    with SongReader(shared_folder / "reference" / "songs" / "truth_a.flac") as song:
        for block in song.blocks():
            magnitudes = timing.feed(block)
            timbre.feed(magnitudes)
            novelty.feed(magnitudes)
            circle.feed(pitch.feed(block))
            difference.feed(block)
        duration = float(song.duration)
    rhythm = find_rhythm(novelty.result(), circle.result(), difference.result())
    sections = find_sections(timbre.result(), circle.result(), rhythm, duration)
    expected = np.array([[start, end] for start, end, _ in truth["sections"]])
    found = np.array([[section.start, section.end] for section in sections])
    assert mir_eval.segment.detection(expected, found, window=3.0)[2] >= 0.9


def test_markers_give_back_the_sections_that_they_were_made_of():
    sections = (Section(0.0, 10.0, "A"), Section(10.0, 22.5, "B"), Section(22.5, 40.0, "A"))
    markers = [(section.start, section.label) for section in reversed(sections)]
    assert sections_from_markers([at for at, _ in markers], [name for _, name in markers], 40.0) == sections


def test_sections_follow_markers_that_were_moved_renamed_and_deleted():
    assert sections_from_markers([5.0, 12.0, 99.0], ["verse", "drop", "end"], 40.0) == (
        Section(0.0, 12.0, "verse"),
        Section(12.0, 40.0, "drop"),
    )
    assert sections_from_markers([-3.0, -1.0, 8.0, 8.0], ["a", "b", "c", "d"], 10.0) == (
        Section(0.0, 8.0, "b"),
        Section(8.0, 10.0, "d"),
    )
    assert sections_from_markers([], [], 10.0) == (Section(0.0, 10.0, "A"),)
    assert sections_from_markers([50.0], ["late"], 10.0) == (Section(0.0, 10.0, "late"),)


@pytest.mark.parametrize(("times", "labels"), [([1.0], []), ([float("nan")], ["A"]), ([1.0], [" "])])
def test_markers_without_name_or_time_are_refused(times, labels):
    with pytest.raises(PatchError, match="marker"):
        sections_from_markers(times, labels, 10.0)


SONG = (Section(0.0, 4.0, "A"), Section(4.0, 4.5, "B"), Section(4.5, 9.0, "A"), Section(9.0, 12.0, "C"))
RATES = [Fraction(24000, 1001), Fraction(24), Fraction(30), Fraction(60)]


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("crossfade", [0.0, 0.3, 2.0, 100.0])
def test_section_envelopes_always_add_up_to_one(fps, crossfade):
    envelopes = section_envelopes(SONG, fps, round(13 * fps), crossfade)
    assert list(envelopes) == ["A", "B", "C"]
    np.testing.assert_allclose(np.sum(list(envelopes.values()), axis=0), 1.0, atol=1e-6)
    assert all(envelope.dtype == np.float32 and envelope.min() >= 0.0 for envelope in envelopes.values())
    assert all(envelope.max() > 0.85 for envelope in envelopes.values())  # 24 fps: half a second may end within a frame


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("crossfade", [0.0, 0.3, 2.0])
def test_a_section_is_seen_from_the_frame_in_which_it_begins_and_not_before(fps, crossfade):
    envelopes = section_envelopes(SONG, fps, round(13 * fps), crossfade)
    for label, start in (("B", 4.0), ("C", 9.0)):
        assert np.flatnonzero(envelopes[label])[0] == start * fps.numerator // fps.denominator
    reached = int((9.0 + crossfade) * fps)
    assert envelopes["C"][reached:].min() == pytest.approx(1.0)


def test_without_crossfade_a_section_is_there_at_once():
    envelopes = section_envelopes(SONG, Fraction(30), 390)
    assert set(np.unique(envelopes["B"])) == {0.0, 1.0}
    assert np.flatnonzero(envelopes["B"]).tolist() == list(range(120, 135))


def test_kinds_of_section_fit_into_as_many_envelopes_as_are_asked_for():
    sections = [Section(0.0, 4.0, "A"), Section(4.0, 8.0, "B"), Section(8.0, 12.0, "C"), Section(12.0, 16.0, "B")]
    two = section_envelopes(sections, Fraction(10), 160, 1.0, kinds=2)
    assert list(two) == ["A", "B"]
    assert two["A"][100] == 1.0  # C is heard in A's envelope
    five = section_envelopes(sections, Fraction(10), 160, 1.0, kinds=5)
    assert list(five) == ["A", "B", "C", "D", "E"]
    assert not five["D"].any()
    for envelopes in (two, five):
        np.testing.assert_allclose(sum(envelopes.values()), 1.0, atol=1e-6)


def test_sections_fade_over_in_bars_of_the_song(write_song):
    song = write_song(play("AB", {"A": {"chords": MINOR, "drums": False}, "B": {"chords": MAJOR, "overtones": 9}}, 6))
    analysis = analyse(song, 50, ["sections/3", "sections/3~0.5bars", "sections/3~1.0"])
    boundaries = [section.start for section in analysis.sections[1:]]
    assert boundaries
    bar = float(np.median(np.diff(analysis.downbeats)))
    for name, seconds in (("sections/3~0.5bars", bar / 2), ("sections/3~1.0", 1.0)):
        np.testing.assert_allclose(analysis[name].sum(axis=1), 1.0, atol=1e-6)
        moving = np.abs(np.diff(analysis[name], axis=0)).max(axis=1) > 0
        at = round(boundaries[0] * 50)
        assert not moving[max(0, at - 20) : at - 1].any()
        assert moving[at - 1 : at + 60].sum() / 50 == pytest.approx(seconds, abs=0.06)
