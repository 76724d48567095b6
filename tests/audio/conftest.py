# SPDX-License-Identifier: GPL-3.0-or-later
"""Sounds to test the audio room with: written by formula, so that it is known when and what should be heard."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 44100

WriteSong = Callable[..., Path]


@pytest.fixture
def write_song(tmp_path: Path) -> WriteSong:
    """Return a function that writes samples to a file and gives its path."""

    def write(samples: np.ndarray, *, rate: int = RATE, name: str = "song.wav", subtype: str | None = None) -> Path:
        path = tmp_path / name
        soundfile.write(path, samples, rate, subtype=subtype)
        return path

    return write


@pytest.fixture(scope="session")
def drum_loop() -> Callable[..., np.ndarray]:
    """Return a function that plays drums at given times: kick, snare, hats or click, mono at 44.1 kHz."""

    def play(hits: dict[str, list[float]], seconds: float) -> np.ndarray:
        random = np.random.default_rng(7)
        song = np.zeros(round(seconds * RATE))
        time = np.arange(RATE // 2) / RATE
        noise = random.standard_normal(len(time))
        dull = np.convolve(noise, [0.1, 0.2, 0.4, 0.2, 0.1], "same")  # snares fade above some 6 kHz
        fade = np.minimum(1.0, np.linspace(5.0, 0.0, len(time)))  # so that the end of a sound is no click
        sounds = {
            "kick": 0.8 * np.exp(-time / 0.12) * np.sin(2 * np.pi * (50 * time + 4.0 * (1 - np.exp(-time / 0.03)))),
            "snare": np.exp(-time / 0.08) * (0.25 * dull + 0.3 * np.sin(2 * np.pi * 190 * time)),
            "hats": 0.2 * np.exp(-time / 0.03) * np.diff(np.diff(noise, prepend=0.0), prepend=0.0) / 2,
            "click": 0.9 * (time == 0.0),
        }
        for name, times in hits.items():
            for start in times:
                at = round(start * RATE)
                end = min(len(song), at + len(time))
                song[at:end] += (sounds[name] * fade)[: end - at]
        return np.clip(song, -1.0, 1.0).astype(np.float32)

    return play
