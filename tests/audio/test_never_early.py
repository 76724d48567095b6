# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is seen before it sounds, of any feature of any source, whatever the frame rate."""

from fractions import Fraction

import numpy as np
import pytest

from stylegan_reactive.audio import KINDS, analyse, exact_fps
from stylegan_reactive.audio.listening import SOURCES

RATE = 44100
START = 44177
"""Sample with which the sound begins after silence: on no frame's edge."""

TIMELESS = ("bars", "beats", "downbeats", "seconds", "sections", "tempo")
"""Clocks, and what follows from the beat."""


def hit(time: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(3).standard_normal(len(time))
    return 0.6 * np.sin(2 * np.pi * 180 * time) * np.exp(-time / 0.08) + 0.3 * noise * np.exp(-time / 0.03)


def chord(time: np.ndarray) -> np.ndarray:
    tones = [np.sin(2 * np.pi * hertz * partial * time) / partial for hertz in (262, 330, 392) for partial in (1, 2, 3)]
    return 0.1 * np.minimum(time / 0.005, 1.0) * sum(tones)


@pytest.mark.parametrize("fps", [23.976, 24, 29.97, 30, 60])
@pytest.mark.parametrize("sound", [hit, chord])
def test_no_feature_moves_before_the_frame_in_which_a_sound_begins(write_song, sound, fps):
    song = np.zeros(START + RATE // 3, np.float32)
    song[START:] = sound(np.arange(len(song) - START) / RATE)
    features = [
        f"{source}:{name}"
        for name, kind in KINDS.items()
        for source in (SOURCES if "source" in kind.takes else ("mix",))
        if name not in TIMELESS
    ]
    analysis = analyse(write_song(song), fps, [*features, "chroma/7", "rms@60-250", "rms~0.5", "onset@2000-8000"])
    frame = int(Fraction(START, RATE) * exact_fps(fps))
    for name, values in analysis.features.items():
        before = values[:frame]
        assert np.ptp(before, axis=0).max() <= 0.01 * max(np.ptp(values), 1e-6), name


@pytest.mark.parametrize("feature", ["percussive:rms", "drums:rms"])
def test_a_hit_under_a_held_tone_makes_its_part_no_louder_before_it_sounds(write_song, feature):
    time = np.arange(4 * RATE) / RATE
    song = 0.05 * sum(np.sin(2 * np.pi * 110 * partial * time + partial) for partial in (1, 2, 3, 4))
    noise = np.random.default_rng(3).standard_normal(RATE // 4) * np.exp(-np.arange(RATE // 4) / (0.03 * RATE))
    starts = [RATE // 2 + number * (RATE // 2 + 130) for number in range(6)]  # at every offset within a frame
    for start in starts:
        song[start : start + len(noise)] += 0.3 * noise
    analysis = analyse(write_song(song.astype(np.float32)), 60, [feature])
    frames = np.array([start * 60 // RATE for start in starts])
    values = analysis[feature]
    assert values[frames + 1].min() > 0.3
    assert values[frames - 1].max() < values[frames - 4].max() + 0.05
