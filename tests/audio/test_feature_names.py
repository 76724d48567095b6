# SPDX-License-Identifier: GPL-3.0-or-later
"""How features are written, and what is said about those that do not exist."""

import numpy as np
import pytest

from stylegan_reactive.audio import DEFAULT_FEATURES, KINDS, Feature, analyse
from stylegan_reactive.errors import PatchError


@pytest.mark.parametrize(
    "text",
    [
        *DEFAULT_FEATURES,
        "onset@60-250",
        "rms@30-62.5~0.25",
        "percussive:onset@2000-8000",
        "my_stem-2:rms~2",
        "harmonic:chroma/24.13",
        "chroma.11",
        "loudness~3",
        "sections/4.3~0.5bars",
    ],
)
def test_a_feature_is_written_as_it_is_read(text):
    assert str(Feature.parse(text)) == text


def test_the_parts_of_a_feature_mean_what_they_say():
    feature = Feature.parse("drums:rms@60-250~2")
    assert (feature.source, feature.kind, feature.band, feature.seconds) == ("drums", "rms", (60.0, 250.0), 2.0)
    assert Feature.parse("mix:onset") == Feature("onset")
    assert Feature.parse("chroma/6.5").whole == Feature("chroma", bins=6)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tuba", "no feature “tuba”"),
        ("", "Write one as"),
        ("onset@250-60", "low to high"),
        ("onset@60", "Write one as"),
        ("onset@20-30000", "22050 Hz"),
        ("kick@60-250", "kick has no band"),
        ("rms~0", "seconds"),
        ("rms~601", "seconds"),
        ("rms~1e2", "Write one as"),
        ("rms.0", "no parts"),
        ("chroma.12", "0 to 11"),
        ("chroma/6.6", "0 to 5"),
        ("chroma/1", "bins"),
        ("bars~2", "no seconds"),
        ("rms~2bars", "no bars"),
        ("sections/4.4", "0 to 3"),
        ("sections~0bars", "bars"),
        ("harmonic:bars", "no source"),
        ("two words:rms", "Write one as"),
        ("ONSET", "Write one as"),
        (None, "Write one as"),
    ],
)
def test_nonsense_is_refused_and_says_what_is_wrong(text, complaint):
    with pytest.raises(PatchError, match=complaint):
        Feature.parse(text)


def test_unknown_sources_are_refused_before_anything_is_heard(tmp_path):
    with pytest.raises(PatchError, match=r"no stem “tuba”.*percussive"):
        analyse(tmp_path / "not there.wav", 30, ["tuba:rms"])
    with pytest.raises(PatchError, match="called “mix”"):
        analyse(tmp_path / "not there.wav", 30, ["rms"], stems={"mix": tmp_path / "not there.wav"})


def test_every_kind_of_feature_can_be_asked_for_and_has_the_length_of_the_video(write_song, drum_loop):
    song = drum_loop({"kick": np.arange(0, 6, 0.5).tolist(), "snare": np.arange(0.25, 6, 1.0).tolist()}, 6)
    analysis = analyse(write_song(song), 30, KINDS)
    assert set(analysis.features) == set(KINDS)
    for name, values in analysis.features.items():
        columns = KINDS[name].columns
        assert values.dtype == np.float32, name
        assert len(values) == analysis.frames, name
        assert (values.ndim == 1) == (columns == 0), name
        assert np.isfinite(values).all(), name
        if (KINDS[name].low, KINDS[name].high) == (0.0, 1.0):
            assert values.min() >= 0.0, name
            assert values.max() <= 1.0, name


def test_nothing_is_heard_that_was_not_asked_for(write_song, drum_loop):
    path = write_song(drum_loop({"kick": [0.5, 1.0]}, 2))
    analysis = analyse(path, 30, ["rms", "chroma.3"])
    assert set(analysis.features) == {"rms", "chroma"}
    assert len(analysis.beats) == 0
    assert set(analyse(path, 30, "percussive:onset").features) == {"percussive:onset"}
    assert set(analyse(path, 30).features) == set(DEFAULT_FEATURES)
    with pytest.raises(KeyError, match=r"onset.*chroma, rms"):
        analysis["onset"]


def test_what_is_heard_does_not_depend_on_what_else_is_asked_for(builtin_song):
    everything = analyse(builtin_song, 30, ["onset", "kick", "hats", "bars", "drums:rms", "harmonic:rms", "loudness"])
    for name in ("kick", "bars", "drums:rms"):
        np.testing.assert_array_equal(analyse(builtin_song, 30, [name])[name], everything[name])


def test_two_analyses_of_a_song_join(builtin_song):
    one, two = analyse(builtin_song, 30, ["rms"]), analyse(builtin_song, 30, ["bars", "loudness"])
    for joined in (one.with_features_of(two), two.with_features_of(one)):
        assert set(joined.features) == {"rms", "bars", "loudness"}
        assert joined.tempo == two.tempo
        assert len(joined.beats) == len(two.beats) > 0
        assert joined.loudness == two.loudness
