# SPDX-License-Identifier: GPL-3.0-or-later
"""Chroma: how much of each pitch class sounds, in twelve classes or any other number.

The peaks of long spectra are placed on the pitch circle with their interpolated frequencies (after Gómez, "Tonal
Description of Polyphonic Audio", 2006), so that the song's own tuning can be measured and taken out afterwards. Before
that, what is an overtone is given back to its note: the peaks of each window are explained by as few notes with
overtones as will do, by non-negative least squares (after Mauch and Dixon, "Approximate Note Transcription for the
Improved Identification of Difficult Chords", 2010). Else every low G would also sound as a D and a B.
"""

from fractions import Fraction

import numpy as np

from .collecting import Collected
from .moments import moments
from .peaks import Peaks, spectral_peaks

CLASSES = 12
"""Pitch classes of an octave, where nothing else is asked for."""

LOWEST, HIGHEST = 45.0, 2500.0
"""Hz. Below, a bass is heard by its overtones; above lie mostly overtones."""

CENTRE, OCTAVES = 400.0, 1.7
"""Notes around the middle of the keyboard count most: a bell over the octaves, by its centre in Hz and its width."""

STEPS = 5
"""Parts of a semitone in which peaks are collected until the tuning is known."""

POWER = 0.7
"""Exponent of magnitudes, between amplitude and loudness as heard: a faint note beside a strong one counts too."""

SILENCE = 1e-4**POWER
"""Strength of a sine at -80 dB of full scale; with less than this, no pitch class is preferred."""

OVERTONES = 10
"""Partials of a note that are looked for."""

FALL = 0.6
"""From one partial to the next, a note's loudness falls to this share: between a flute's and a reed's."""

MISSING = 0.5
"""How readily a partial is explained by a note an octave below another peak, whose fundamental is not heard."""

MISTUNED = 0.2
"""Semitones by which a partial may miss its place: the stretch of a piano's strings is less."""

ROUNDS = 8
"""Steps of the least squares; more change less than a hundredth."""

RISE, AT_ONCE = 0.1, 0.3
"""Seconds in which a note that begins comes up, as it does for the ear, and the share of it that is there at once."""

TINY = np.float32(1e-9)
"""Keeps nothing from being divided by nothing."""


class PitchStream:
    """Collect the notes of magnitude spectra that arrive in blocks, by place on the pitch circle.

    What is kept grows by 60 numbers for each window.
    """

    def __init__(self) -> None:
        self._kept = Collected(CLASSES * STEPS)

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins] of the grid ``PITCH``."""
        if len(magnitudes):
            self._kept.add(place_on_circle(without_overtones(spectral_peaks(magnitudes, LOWEST, HIGHEST))[0]))

    def result(self) -> np.ndarray:
        """Strength around the pitch circle, C first, in fifths of a semitone: float32 [windows, 60]."""
        return self._kept.result()


def without_overtones(peaks: Peaks, fall: float = FALL, missing: float = MISSING) -> tuple[Peaks, np.ndarray]:
    """Give each peak the strength, magnitude to the power of ``POWER``, of the note whose fundamental it is.

    Parameters
    ----------
    peaks
        Of some windows.
    fall
        From one partial to the next, a note's loudness falls to this share.
    missing
        How readily partials are explained by a note an octave below a peak; 0: not at all.

    Returns
    -------
    notes
        The same frequencies; ``magnitude`` is the strength of each as a note.
    explained
        How much of a window's strength each note accounts for with all its partials: float32 [windows, peaks].

    Notes
    -----
    Non-negative least squares by the multiplicative rule of Lee and Seung ("Algorithms for Non-negative Matrix
    Factorization", 2001); each peak may be a note, and each note explains the peaks that lie on its partials.
    """
    loudness = peaks.magnitude ** np.float32(POWER)
    ratio = peaks.frequency[:, None, :] / peaks.frequency[:, :, None]  # [windows, notes, peaks]
    heard = peaks.magnitude > 0
    share = np.where(heard[:, :, None] & heard[:, None, :], _shares(ratio, fall, missing), np.float32(0))
    # One product of matrices for each window: [notes, peaks] by [peaks, 1] and back.
    found = share @ loudness[:, :, None]
    notes = loudness[:, :, None]
    for _ in range(ROUNDS):
        explained = share.transpose(0, 2, 1) @ notes
        notes = notes * found / np.maximum(share @ explained, TINY)
    return Peaks(peaks.frequency, notes[:, :, 0]), notes[:, :, 0] * share.sum(axis=2)


def _shares(ratio: np.ndarray, fall: float, missing: float) -> np.ndarray:
    """How strong a note is at a given multiple of its frequency: zero but near a partial; float32, the same shape."""
    share = np.zeros_like(ratio)
    for partial in range(1, OVERTONES + 1):
        strength = fall ** (partial - 1)
        share[np.abs(ratio / partial - 1.0) < MISTUNED * np.log(2) / 12] = strength
        if missing and partial % 2 and partial > 1:
            share[np.abs(ratio * 2 / partial - 1.0) < MISTUNED * np.log(2) / 12] = missing * strength
    return share


def place_on_circle(notes: Peaks) -> np.ndarray:
    """Add up notes by their place on the pitch circle, whatever their octave: float32 [windows, 60]."""
    circle = CLASSES * STEPS
    window, rank = np.nonzero(notes.magnitude)
    frequency = notes.frequency[window, rank].astype(np.float64)
    octaves = np.log2(frequency / CENTRE)
    weight = notes.magnitude[window, rank] * np.exp(-0.5 * np.square(octaves / OCTAVES))
    place = np.mod(circle * np.log2(frequency / 440.0) + 9 * STEPS, circle)  # 0 is C
    lower = np.floor(place).astype(np.int64)
    part = place - lower
    size = len(notes.magnitude) * circle
    flat = np.bincount(window * circle + lower % circle, weight * (1 - part), size)
    flat += np.bincount(window * circle + (lower + 1) % circle, weight * part, size)
    return flat.reshape(-1, circle).astype(np.float32)


def tuning(circle: np.ndarray) -> float:
    """How far the song is tuned above A = 440 Hz, in semitones from -0.5 to 0.5; zero when nothing sounds.

    The circular mean of where the peaks lie within their semitones.
    """
    within = circle.sum(axis=0, dtype=np.float64).reshape(CLASSES, STEPS).sum(axis=0)
    direction = np.sum(within * np.exp(2j * np.pi * np.arange(STEPS) / STEPS))
    return float(np.angle(direction) / (2 * np.pi)) if abs(direction) > 0 else 0.0


def fold(circle: np.ndarray, tuned: float, bins: int = CLASSES) -> np.ndarray:
    """Add up the pitch circle to classes, each reaching to the middle of its neighbours after tuning.

    Parameters
    ----------
    circle
        As ``PitchStream`` gives it: float32 [windows, 60].
    tuned
        As ``tuning`` gives it.
    bins
        Classes of an octave; the first is C.

    Returns
    -------
    numpy.ndarray
        float64 [windows, bins], C first; rows sum to one, and to equal values where the song is silent.
    """
    return _to_one(_classes(circle, tuned, bins))


def _classes(circle: np.ndarray, tuned: float, bins: int) -> np.ndarray:
    places = CLASSES * STEPS
    position = (np.arange(places) / STEPS - tuned) * bins / CLASSES
    distance = np.abs(np.mod(position[:, None] - np.arange(bins)[None, :] + bins / 2, bins) - bins / 2)
    reach = max(1.0, bins / places)  # a class finer than the circle's steps takes part of the nearest step
    weights = np.clip(1.0 - distance / reach, 0.0, 1.0) ** 2
    return circle @ weights.astype(np.float32)


def _to_one(strength: np.ndarray) -> np.ndarray:
    heard = strength.astype(np.float64) + SILENCE
    return heard / heard.sum(axis=1, keepdims=True)


def chroma_envelope(
    circle: np.ndarray, fps: Fraction, frames: int, bins: int = CLASSES, attacks: np.ndarray | None = None
) -> np.ndarray:
    """Chroma of each video frame: what sounds at its end.

    Parameters
    ----------
    circle
        As ``PitchStream`` gives it: float32 [windows, 60].
    fps, frames
        The video.
    bins
        Classes of an octave; the first is C.
    attacks
        When something starts in the song, in samples, ascending: int64 [attacks]. With them, a chord is shown from
        the frame on in which it begins; without, a few frames later.

    Returns
    -------
    numpy.ndarray
        float32 [frames, bins], C first; rows sum to one.
    """
    if len(circle) == 0:
        return np.full((frames, bins), 1 / bins, np.float32)
    strength = _classes(circle, tuning(circle), bins)
    at = moments(len(circle), fps, frames, attacks)
    now = strength[at.window]
    share = np.clip(at.age / RISE, AT_ONCE, 1.0)[:, None]
    lasting = np.minimum(now, strength[at.before])
    return _to_one(lasting + share * (now - lasting)).astype(np.float32)
