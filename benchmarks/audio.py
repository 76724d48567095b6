# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the audio room hears, and on which video frame it shows an attack: ours beside librosa, in one run.

Run with ``make bench``. The built-in song is always measured; the reference songs are too where they are at hand
(the folder named by SGR_SHARED, or ../shared).
"""

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import librosa
import mir_eval
import numpy as np
from scipy import signal

from stylegan_reactive.audio import Analysis, analyse
from stylegan_reactive.audio.envelopes import release

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SGR_SHARED") or REPOSITORY.parent / "shared")
RATES = (Fraction(24000, 1001), Fraction(24), Fraction(30000, 1001), Fraction(30), Fraction(60))
DRUMS = {"kick": (35, 36), "snare": (38, 40), "hats": (42, 44, 46)}
LIBROSA_HOP = 512


def main() -> None:
    """Print one table for each question."""
    song = REPOSITORY / "stylegan_reactive" / "assets" / "song.ogg"
    truth = json.loads(song.with_suffix(".json").read_text())
    print("\nTime in seconds: best of 3, after one call that compiles")
    row("song", "length", "ours, all", "librosa strength", "librosa beats + chroma")
    songs = [song, *sorted((SHARED / "reference" / "songs").glob("truth_?.flac"))]
    for path in songs:
        samples, rate = librosa.load(path, sr=None)
        ours = fastest(lambda path=path: analyse(path, 30))
        strength = fastest(lambda path=path: librosa_strength(path))
        rest = fastest(
            lambda y=samples, sr=rate: (librosa.beat.beat_track(y=y, sr=sr), librosa.feature.chroma_cqt(y=y, sr=sr))
        )
        row(path.stem, f"{len(samples) / rate:.0f}", f"{ours:.2f}", f"{strength:.2f}", f"{rest:.2f}")

    print("\nVisible attack: known hits on their exact frame / within one frame / seen early, in per cent")
    row("song", "frames per second", "hits", "ours", "librosa, Fourier resampled")
    kicks = np.array(truth["onsets"]["kick"])
    aligned = SHARED / "reference" / "songs" / "truth_c_align.flac"
    attacks = [(song, "kick", kicks)]
    if aligned.exists():
        notes = json.loads(aligned.with_suffix(".json").read_text())["notes"]["drums"]
        attacks.append((aligned, "onset", np.array([note[0] for note in notes])))
    for path, feature, times in attacks:
        for fps in RATES:
            ours = percent(analyse(path, fps)[feature], times, fps)
            theirs = percent(resampled_to_frames(*librosa_strength(path), fps), times, fps)
            row(path.stem, f"{float(fps):.3f}", str(len(times)), ours, theirs)

    print("\nBeats and downbeats (F within 70 ms), tempo")
    row("song", "beats, ours", "beats, librosa", "downbeats, ours", "tempo, ours", "tempo, true")
    for path in songs:
        known = json.loads(path.with_suffix(".json").read_text())
        if "beats" not in known:
            continue
        analysis = analyse(path, 30)
        samples, rate = librosa.load(path, sr=None)
        theirs = librosa.beat.beat_track(y=samples, sr=rate, units="time")[1]
        row(
            path.stem,
            f"{beat_score(known['beats'], analysis.beats):.3f}",
            f"{beat_score(known['beats'], theirs):.3f}",
            f"{beat_score(known['downbeats'], analysis.downbeats):.3f}",
            f"{analysis.tempo:.1f}",
            f"{60 / np.median(np.diff(known['beats'])):.1f}",
        )

    print("\nDrums: correlation of each envelope with the one drawn from the true hits and their strengths, at 30")
    row("song", *DRUMS)
    drums = {name: list(zip(truth["onsets"][name], truth["velocities"][name], strict=True)) for name in DRUMS}
    row(song.stem, *drum_scores(analyse(song, 30), drums))
    for path in songs[1:]:
        notes = json.loads(path.with_suffix(".json").read_text())["notes"]["drums"]
        drums = {name: [(n[0] + 0.004, n[3] / 127) for n in notes if n[2] in midi] for name, midi in DRUMS.items()}
        row(path.stem, *drum_scores(analyse(path, 30), drums))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"\nPeak memory of this process, librosa included: {peak:.0f} MB")


def row(first: str, *cells: str) -> None:
    """Print one line of a table."""
    print(f"{first:<16}" + "".join(f"{cell:>28}" for cell in cells))


def fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three calls."""
    work()
    took = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)


def librosa_strength(path: Path) -> tuple[np.ndarray, float]:
    """Onset strength with librosa's defaults, and its values per second."""
    samples, rate = librosa.load(path, sr=None)
    return librosa.onset.onset_strength(y=samples, sr=rate, hop_length=LIBROSA_HOP), rate / LIBROSA_HOP


def resampled_to_frames(strength: np.ndarray, rate: float, fps: Fraction) -> np.ndarray:
    """Put an envelope on video frames as others do: by Fourier resampling."""
    return signal.resample(strength, round(len(strength) / rate * float(fps)))


def percent(envelope: np.ndarray, times: np.ndarray, fps: Fraction) -> str:
    """Compare the peaks of an envelope with the frames in which hits are known to begin."""
    envelope = envelope / envelope.max()
    beyond = np.concatenate([[0.0], envelope, [0.0]])
    peaks = np.flatnonzero((envelope > beyond[:-2]) & (envelope >= beyond[2:]) & (envelope > 0.1))
    frames = np.array([int(Fraction(float(time)) * fps) for time in times])
    error = peaks[np.abs(peaks[None, :] - frames[:, None]).argmin(axis=1)] - frames
    return " / ".join(f"{100 * np.mean(part):.1f}" for part in (error == 0, np.abs(error) <= 1, error < 0))


def beat_score(known: list[float], found: np.ndarray) -> float:
    """F-measure of beat times within 70 ms."""
    return float(mir_eval.beat.f_measure(np.array(known), np.asarray(found)))


def drum_scores(analysis: Analysis, drums: dict[str, list[tuple[float, float]]]) -> list[str]:
    """Correlate each drum's envelope with the true one, both falling like the default recipe."""
    scores = []
    for name, hits in drums.items():
        true = np.zeros(analysis.frames)
        for start, strength in hits:
            frame = int(start * analysis.fps)
            if frame < analysis.frames:
                true[frame] = max(true[frame], strength)
        curves = [release(curve, 0.12, float(analysis.fps)) for curve in (true, analysis[name] ** 1.5)]
        scores.append(f"{np.corrcoef(*curves)[0, 1]:.2f}" if hits else "-")
    return scores


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
