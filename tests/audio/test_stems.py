# SPDX-License-Identifier: GPL-3.0-or-later
"""Stems: what the mix alone tells of them, and those that the artist brings."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylegan_reactive.audio.decode import SongReader
from stylegan_reactive.audio.spectrum import PITCH, TIMING, Grid, SpectrumStream
from stylegan_reactive.audio.stems import PROXIES, StemStream, find_stems, stem_name
from stylegan_reactive.errors import SongError

RATE = 44100
FPS = 30


def spectra(samples: np.ndarray, grid: Grid) -> np.ndarray:
    return SpectrumStream(grid).feed(samples.astype(np.float32))


def proxies(magnitudes: np.ndarray, grid: Grid, blocks: int = 7) -> dict[str, np.ndarray]:
    stream = StemStream(grid, PROXIES)
    parts = [stream.feed(block) for block in np.array_split(magnitudes, blocks)] + [stream.finish()]
    return {name: np.concatenate([part[name] for part in parts]) for name in PROXIES}


def envelope(magnitudes: np.ndarray, grid: Grid) -> np.ndarray:
    """Root of the mean power in each frame of a video."""
    power = np.square(magnitudes).sum(axis=1)
    frame = np.maximum(grid.centres(len(power)) * FPS // RATE, 0)
    return np.sqrt(np.bincount(frame, power) / np.maximum(1, np.bincount(frame)))


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


@pytest.fixture(scope="module")
def band() -> dict[str, np.ndarray]:
    """Twelve seconds of three players in 5/4 at 97 BPM, by formula: kick and snare, a bass line, chords."""
    random = np.random.default_rng(8)
    length, beat = 12 * RATE, 60 / 97
    stems = {name: np.zeros(length) for name in ("drums", "bass", "other")}

    def add(name: str, start: float, sound: np.ndarray) -> None:
        at = round(start * RATE)
        sound = sound * np.minimum(1.0, np.linspace(20.0, 0.0, len(sound)))
        stems[name][at : at + len(sound)] += sound[: max(0, length - at)]

    time = np.arange(round(beat * RATE)) / RATE
    long = np.arange(round(2.5 * beat * RATE)) / RATE
    for number in range(int(12 / beat)):
        if number % 5 in (0, 3):
            add("drums", number * beat, 0.9 * np.exp(-time / 0.1) * np.sin(300 * time + 20 * np.exp(-time / 0.02)))
        else:
            add("drums", number * beat, 0.3 * np.exp(-time / 0.07) * random.standard_normal(len(time)))
        note = (41.2, 55.0, 49.0, 61.7, 73.4)[number % 5]
        if number % 7:
            add("bass", number * beat, 0.35 * sum(np.sin(2 * np.pi * note * k * time) / k**2 for k in (1, 2, 3)))
        if number % 5 in (0, 2):
            tones = (261.6, 329.6, 392.0) if number % 2 else (293.7, 349.2, 440.0)
            tone = sum(np.sin(2 * np.pi * f * k * long) / k**2 for f in tones for k in (1, 2, 3))
            add("other", number * beat, 0.08 * tone * (0.4 + 0.6 * random.random()))
    return stems


@pytest.mark.parametrize("grid", [TIMING, PITCH], ids=["short windows", "long windows"])
@pytest.mark.parametrize(("name", "least"), [("drums", 0.9), ("bass", 0.8), ("other", 0.9)])
def test_guessed_stem_moves_like_the_true_one(band, name, least, grid):
    guess = proxies(spectra(sum(band.values()), grid), grid)[name]
    truth = spectra(band[name], grid)
    mixed = spectra(sum(band.values()), grid)
    like = likeness(envelope(guess, grid), envelope(truth, grid))
    assert like >= least
    assert like > likeness(envelope(mixed, grid), envelope(truth, grid))


@pytest.mark.parametrize(("name", "least"), [("drums", 0.9), ("bass", 0.8), ("other", 0.9)])
def test_guessed_stems_of_the_reference_song_move_like_the_true_ones(shared_folder: Path, name: str, least: float):
    folder = shared_folder / "reference" / "songs"
    if not folder.is_dir():
        pytest.skip("the reference songs are not there")

    def read(stem: str) -> np.ndarray:
        with SongReader(folder / f"truth_a{stem}.flac", offset=20, duration=40) as song:
            return spectra(np.concatenate(list(song.blocks())), TIMING)

    truth = np.hypot(read(".chords"), read(".lead")) if name == "other" else read(f".{name}")
    guess = proxies(read(""), TIMING)[name]
    assert likeness(envelope(guess, TIMING), envelope(truth, TIMING)) >= least


def test_guesses_do_not_depend_on_how_the_sound_arrives(band):
    magnitudes = spectra(sum(band.values()), TIMING)[:600]
    whole, bits = proxies(magnitudes, TIMING, 1), proxies(magnitudes, TIMING, 97)
    for name in PROXIES:
        assert whole[name].shape == magnitudes.shape
        np.testing.assert_allclose(bits[name], whole[name], atol=1e-7)


@pytest.mark.parametrize("windows", [0, 1, 3, 50])
@pytest.mark.parametrize("value", [0.0, 1e-20, 1.0, 1e5])
def test_guesses_from_any_sound_are_finite_and_never_more_than_the_mix(windows, value):
    magnitudes = np.full((windows, TIMING.window // 2 + 1), value, np.float32)
    for name, guess in proxies(magnitudes, TIMING, 3).items():
        assert guess.shape == magnitudes.shape, name
        assert np.isfinite(guess).all(), name
        assert (guess >= 0).all(), name
        assert (guess <= magnitudes * 1.000001).all(), name


def test_drums_are_seen_when_they_sound(drum_loop):
    magnitudes = spectra(drum_loop({"kick": [1.0]}, 2.0), TIMING)
    guess = envelope(proxies(magnitudes, TIMING)["drums"], TIMING)
    truth = envelope(magnitudes, TIMING)
    assert np.argmax(guess) == np.argmax(truth)
    assert guess[: np.flatnonzero(truth > 1e-4)[0]].max() < 1e-6


# The artist's own


@pytest.fixture
def studio(tmp_path: Path):
    """Return a function that puts sound files of given lengths into a folder beside a song of two seconds."""

    def make(lengths: dict[str, float]) -> tuple[Path, Path]:
        folder = tmp_path / "stems"
        folder.mkdir(exist_ok=True)
        song = folder / "Night Drums.wav"
        for path, seconds in ((song, 2.0), *((folder / name, seconds) for name, seconds in lengths.items())):
            soundfile.write(path, np.zeros(round(seconds * 8000), np.float32), 8000)
        return folder, song

    return make


def test_stems_are_known_by_their_names(studio):
    folder, song = studio(
        {
            "Night Drums - Drums.wav": 2.0,
            "Night Drums - BASS (DI).flac": 2.0,
            "03_lead vox.wav": 2.4,
            "Night Drums Rhodes Left.wav": 1.5,
            "other.aiff": 2.0,
        }
    )
    (folder / "notes.txt").write_text("mixed on a Tuesday")
    (folder / "old").mkdir()
    assert {name: path.name for name, path in find_stems(folder, song).items()} == {
        "bass": "Night Drums - BASS (DI).flac",
        "drums": "Night Drums - Drums.wav",
        "other": "other.aiff",
        "rhodes_left": "Night Drums Rhodes Left.wav",
        "vocals": "03_lead vox.wav",
    }


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ({}, r"no stems in .*drums\.wav"),
        ({"drums.wav": 2.0, "percussion.wav": 2.0}, r"“drums\.wav” and “percussion\.wav”.*both be the stem “drums”"),
        ({"drums.wav": 2.0, "bass.wav": 4.0}, r"“bass\.wav” lasts 4\.0 s and the song 2\.0 s"),
    ],
)
def test_folder_that_will_not_do_is_explained(studio, lengths, words):
    folder, song = studio(lengths)
    with pytest.raises(SongError, match=words):
        find_stems(folder, song)


def test_missing_folder_and_broken_stem_are_named(studio, tmp_path):
    folder, song = studio({"drums.wav": 2.0})
    with pytest.raises(SongError, match=r"gone.*does not exist"):
        find_stems(tmp_path / "gone", song)
    (folder / "bass.wav").write_text("not a sound")
    with pytest.raises(SongError, match=r"bass\.wav.*is not a song that can be read"):
        find_stems(folder, song)


@pytest.mark.parametrize("title", ["drums", "Ünïcode: stem/1", "99", "a b.c~d@e", "…", "低音"])
def test_name_of_a_stem_can_be_written_in_a_feature(title):
    name = stem_name(title, "song")
    assert name
    assert not set(name) & set(" :/.@~")
