# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo film, as `make demo` makes it, only smaller: as long as its song, in step with it, and moved by it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

FPS = 30
SIZE = 256


@dataclass(frozen=True)
class Film:
    """The finished film, decoded: grey pictures [frames, 64, 64] in 0..255, mono sound [samples], and the log."""

    pictures: np.ndarray
    sound: np.ndarray
    rate: int
    output: str
    folder: Path


@pytest.fixture(scope="module")
def film(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Run the demo, and read what it made."""
    import av

    folder = tmp_path_factory.mktemp("demo")
    command = [
        sys.executable,
        "-u",
        str(repository / "examples" / "demo.py"),
        "--size",
        str(SIZE),
        "--out",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with av.open(str(folder / "demo.mp4")) as container:
        pictures = [frame.reformat(64, 64, "gray").to_ndarray() for frame in container.decode(video=0)]
    with av.open(str(folder / "demo.mp4")) as container:
        rate = container.streams.audio[0].rate
        blocks = [(frame.pts, frame.to_ndarray().mean(0)) for frame in container.decode(audio=0)]
    sound = np.concatenate([block for _, block in blocks if block.size])
    start = max(0, -blocks[0][0])  # what the encoder put before time zero, and players cut off
    return Film(np.array(pictures, np.float32), sound[start:], rate, done.stdout, folder)


@pytest.fixture(scope="module")
def truth(builtin_song: Path) -> dict:
    """The song's true onsets."""
    return json.loads(builtin_song.with_suffix(".json").read_text())


def change(film: Film) -> np.ndarray:
    """How much each frame differs from the one before, float [frames]; 0 for the first."""
    steps = np.abs(np.diff(film.pictures, axis=0)).mean((1, 2))
    return np.concatenate([[0.0], steps])


def frames_of(seconds: list[float]) -> np.ndarray:
    """The frames in which some times lie."""
    return np.unique((np.array(seconds) * FPS + 1e-6).astype(int))


def loud(truth: dict, instrument: str) -> list[float]:
    """Onsets that are not ghost notes, in seconds."""
    return [t for t, v in zip(truth["onsets"][instrument], truth["velocities"][instrument], strict=True) if v >= 0.8]


def test_everything_is_where_the_demo_says(film: Film) -> None:
    for name in ("demo.mp4", "demo.blend", "curves.png"):
        assert str(film.folder / name) in film.output
        assert (film.folder / name).stat().st_size > 10_000
    assert "left" in film.output


def test_film_is_as_long_as_its_song(film: Film, truth: dict) -> None:
    assert abs(len(film.pictures) - truth["duration"] * FPS) <= 1
    assert abs(len(film.sound) / film.rate - truth["duration"]) <= 1 / FPS


def test_sound_starts_with_the_picture(film: Film, builtin_song: Path) -> None:
    import soundfile
    import soxr

    song, rate = soundfile.read(builtin_song, dtype="float32")
    song = soxr.resample(song.mean(1), rate, film.rate)
    length = min(len(song), len(film.sound), 20 * film.rate)
    product = np.fft.rfft(film.sound[:length], 2 * length) * np.conj(np.fft.rfft(song[:length], 2 * length))
    lag = int(np.argmax(np.fft.irfft(product)))
    lag -= 2 * length if lag > length else 0
    assert abs(lag) / film.rate < 0.5 / FPS, f"the sound is {lag / film.rate * 1000:.1f} ms late"


def test_picture_moves_with_the_drums_and_not_before(film: Film, truth: dict) -> None:
    moved = change(film)
    every = frames_of([t for name in ("kick", "snare", "hats") for t in truth["onsets"][name]])
    drums = frames_of(loud(truth, "kick") + loud(truth, "snare"))
    drums = drums[(drums > 4) & (drums < len(moved) - 1)]
    near = np.zeros(len(moved), bool)
    for shift in range(3):
        near[np.minimum(every + shift, len(moved) - 1)] = True
    elsewhere = moved[~near][1:]
    ratio = np.median(moved[drums]) / np.median(elsewhere)
    print(f"change at drums over change elsewhere: {ratio:.2f}")
    assert ratio > 2.0

    alone = np.array([f for f in drums if not np.isin(every, [f - 1, f - 2]).any()])
    assert len(alone) >= 10
    before = np.median(moved[alone - 1]) / np.median(moved[alone - 2])
    print(f"change in the frame before a drum over that of two before: {before:.2f}")
    assert before < 1.25
    at_once = np.mean(moved[alone] > 1.5 * moved[alone - 1])
    print(f"drums that are seen in their own frame: {at_once:.0%}")
    assert at_once > 0.85


def test_no_stretch_of_the_film_stands_still_or_is_black(film: Film) -> None:
    seconds = change(film)[: len(film.pictures) // FPS * FPS].reshape(-1, FPS).mean(1)
    assert seconds[:-1].min() > 0.05
    assert film.pictures.mean((1, 2)).min() > 8
    assert film.pictures.std((1, 2)).min() > 8
