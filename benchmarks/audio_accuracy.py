# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the audio room hears: against songs of which everything is known, ours beside librosa, in one run.

    PYTHONPATH=. python benchmarks/audio_accuracy.py          the built-in song: part of make bench
    PYTHONPATH=. python benchmarks/audio_accuracy.py --all    and the reference songs: make eval-audio

Reference songs lie in the folder named by SGR_SHARED, or ../shared, in reference/songs: NAME.flac with NAME.json, and
NAME.STEM.flac where there are stems. What a song has no truth for is left out. In each cell: ours | librosa.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import librosa
import mir_eval
import numpy as np
import soundfile
from scipy import signal

from stylegan_reactive.audio import Analysis, analyse
from stylegan_reactive.audio.envelopes import release
from stylegan_reactive.audio.feature import KINDS

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SGR_SHARED") or REPOSITORY.parent / "shared")
ATTACK_RATES = (Fraction(24000, 1001), Fraction(24), Fraction(30000, 1001), Fraction(30), Fraction(60))
ONSET_RATES = (24, 30, 60)
DRUMS = {"kick": (35, 36), "snare": (38, 40), "hats": (42, 44, 46)}
SOUNDS_LATE = {"drums": 0.0045, "bass": 0.022}
"""Seconds by which the stems of the reference songs sound after their written time; others by ``OTHERS_LATE``."""

OTHERS_LATE = 0.005

TOGETHER = 0.03
"""Seconds within which notes are heard as one onset."""

SETTLED = 0.05
"""Seconds after which a note is expected in the chroma."""

BASS = 250.0
"""Hz below which librosa's harmonic part stands for the bass."""


@dataclass
class Song:
    """A song and what is known of it; empty where nothing is."""

    path: Path
    onsets: np.ndarray  # seconds at which anything starts to sound
    hits: dict[str, list[tuple[float, float]]]  # per drum: seconds and strength, as written
    drums: np.ndarray  # seconds, of all drums, as written
    drums_late: float  # seconds by which drums sound later than written
    notes: np.ndarray  # [notes, 3]: start, end, MIDI number
    truth: dict = field(repr=False)
    stems: dict[str, Path]

    @cached_property
    def samples(self) -> tuple[np.ndarray, int]:
        """As librosa loads it: mono at 22050 Hz."""
        return librosa.load(self.path)


def main() -> None:
    """Print one table for each question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="the reference songs too")
    songs = list(known_songs(reference=parser.parse_args().all))
    print(f"Songs: {', '.join(song.path.stem for song in songs)}. In each cell: ours | librosa")
    onsets(songs)
    attacks(songs)
    drums(songs)
    chroma(songs)
    rhythm(songs)
    sections(songs)
    stems(songs)


def onsets(songs: Iterable[Song]) -> None:
    """F-measure of onsets within one video frame to either side, of mixes and of drum stems."""
    print("\nOnsets within one video frame, F")
    row("song", "onsets", *(f"{rate} frames per second" for rate in ONSET_RATES))
    for song in songs:
        parts = {song.path.stem: (song.path, song.onsets)}
        if "drums" in song.stems:
            parts[song.stems["drums"].stem] = (song.stems["drums"], song.drums + song.drums_late)
        for name, (path, times) in parts.items():
            known = first_of_each(times)
            if len(known) == 0:
                continue
            theirs = librosa.onset.onset_detect(y=librosa.load(path)[0], units="time")
            cells = []
            for rate in ONSET_RATES:
                seen = np.flatnonzero(analyse(path, rate, ["onset"])["onset"])
                pair = (onset_score(known, found, rate) for found in (seen / rate, theirs))
                cells.append(" | ".join(f"{score:.3f}" for score in pair))
            row(name, str(len(known)), *cells)


def attacks(songs: Iterable[Song]) -> None:
    """Known hits, as written, and the frame on which each is seen."""
    print("\nVisible attack: known hits on their exact frame / within one frame / seen early, per cent")
    row("song", "frames per second", "hits", "ours", "librosa, Fourier resampled")
    for song in songs:
        alone = len(song.drums) == len(song.onsets) > 0
        if not (alone or song.hits.get("kick")):
            continue
        feature, times = ("onset", song.drums) if alone else ("kick", np.array([hit[0] for hit in song.hits["kick"]]))
        samples, rate = song.samples
        strength = librosa.onset.onset_strength(y=samples, sr=rate)
        for fps in ATTACK_RATES:
            frames = round(len(samples) / rate * float(fps))
            ours = percent(analyse(song.path, fps, [feature])[feature], times, fps)
            theirs = percent(signal.resample(strength, frames), times, fps)
            row(song.path.stem, f"{float(fps):.3f}", f"{len(times)} {feature}", ours, theirs)


def drums(songs: Iterable[Song]) -> None:
    """Correlation of each drum's envelope with one drawn from its true hits."""
    print("\nDrums: correlation with the envelope of the true hits and their strengths, both falling in 0.12 s, at 30")
    row("song", *DRUMS)
    for song in songs:
        if any(song.hits.values()):
            analysis = analyse(song.path, 30, list(DRUMS))
            samples, rate = song.samples
            percussive = librosa.effects.percussive(samples)
            cells = []
            for name, (low, high) in {"kick": (20, 150), "snare": (150, 4000), "hats": (5000, 11000)}.items():
                strength = librosa.onset.onset_strength(y=percussive, sr=rate, fmin=low, fmax=high)
                resampled = np.maximum(signal.resample(strength, analysis.frames), 0.0)
                hits = [(time + song.drums_late, strength) for time, strength in song.hits[name]]
                pair = [hit_score(curve, hits, analysis) for curve in (analysis[name] ** 1.5, resampled)]
                cells.append(" | ".join(f"{score:.3f}" for score in pair) if hits else "-")
            row(song.path.stem, *cells)


def chroma(songs: Iterable[Song]) -> None:
    """Share of the sounding pitch classes that are among the strongest, as many as sound."""
    print("\nChroma: share of the sounding pitch classes found, at 30")
    row("song", "notes", "ours", "ours, harmonic part", "librosa, CQT", "librosa, CQT, harmonic")
    for song in songs:
        if len(song.notes) == 0:
            continue
        samples, rate = song.samples
        harmonic = librosa.effects.harmonic(samples)
        analysis = analyse(song.path, 30, ["chroma", "harmonic:chroma"])
        curves = [analysis["chroma"], analysis["harmonic:chroma"]]
        place = librosa.time_to_frames((np.arange(analysis.frames) + 0.5) / 30, sr=rate)
        for sound in (samples, harmonic):
            found = librosa.feature.chroma_cqt(y=sound, sr=rate).T
            curves.append(found[np.clip(place, 0, len(found) - 1)])
        row(song.path.stem, str(len(song.notes)), *(f"{classes_found(curve, song.notes, 30):.3f}" for curve in curves))


def rhythm(songs: Iterable[Song]) -> None:
    """F-measure of beats and downbeats within 70 ms, and by how much the beats are late."""
    print("\nBeats and downbeats, F within 70 ms; lag of the beats, median")
    row("song", "metre, true | ours", "beats", "lag in ms", "downbeats (confidence)", "tempo, true | ours")
    for song in songs:
        if not song.truth.get("beats"):
            continue
        beats, downbeats = (np.array(song.truth[name]) for name in ("beats", "downbeats"))
        analysis = analyse(song.path, 30, ["bars"])
        samples, rate = song.samples
        theirs = librosa.beat.beat_track(y=samples, sr=rate, units="time")[1]
        pair = (analysis.beats, theirs)
        metre = np.median(np.diff(np.searchsorted(beats, downbeats - 0.01)))
        row(
            song.path.stem,
            f"{metre:.0f} | {analysis.beats_per_bar}",
            " | ".join(f"{mir_eval.beat.f_measure(beats, found):.3f}" for found in pair),
            " | ".join(f"{1000 * lag(beats, found):+.1f}" for found in pair),
            f"{mir_eval.beat.f_measure(downbeats, analysis.downbeats):.3f} ({analysis.bar_confidence:.2f}) | -",
            f"{60 / np.median(np.diff(beats)):.1f} | {analysis.tempo:.1f}",
        )


def sections(songs: Iterable[Song]) -> None:
    """F-measure of section boundaries within 3 seconds; librosa is told how many there are."""
    print("\nSection boundaries, F within 3 s")
    row("song", "sections", "ours", "librosa, agglomerative")
    for song in songs:
        if not song.truth.get("sections"):
            continue
        known = np.array([part[:2] for part in song.truth["sections"]], float)
        analysis = analyse(song.path, 30, ["sections"] if "sections" in KINDS else ["bars"])
        found = np.array([(part.start, part.end) for part in analysis.sections]).reshape(-1, 2)
        samples, rate = song.samples
        bounds = librosa.segment.agglomerative(librosa.feature.chroma_cqt(y=samples, sr=rate), len(known))
        edges = [*librosa.frames_to_time(bounds, sr=rate), len(samples) / rate]
        theirs = np.stack([edges[:-1], edges[1:]], axis=1)
        scores = [boundary_score(known, part) if len(part) else "-" for part in (found, theirs)]
        row(song.path.stem, str(len(known)), *scores)


def stems(songs: Iterable[Song]) -> None:
    """Correlation of the envelopes of drums, bass and the rest, heard in the mix, with those of the true stems."""
    print("\nEnvelopes without stems: correlation of the RMS with that of the true stem, at 30")
    row("song", "drums", "bass", "other")
    for song in songs:
        if not {"drums", "bass"} <= set(song.stems) or len(song.stems) < 3:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rest = [
                soundfile.read(path, always_2d=True)
                for name, path in song.stems.items()
                if name not in ("drums", "bass")
            ]
            length = max(len(samples) for samples, _ in rest)
            total = sum(np.pad(samples, ((0, length - len(samples)), (0, 0))) for samples, _ in rest)
            path = Path(folder) / "other.wav"
            soundfile.write(path, total, rest[0][1], subtype="FLOAT")
            true = {"drums": song.stems["drums"], "bass": song.stems["bass"], "other": path}
            names = [f"{name}:rms" for name in true]
            with_stems = analyse(song.path, 30, names, stems=true)
        guessed = analyse(song.path, 30, names)
        theirs = librosa_parts(song.samples[0])
        cells = []
        for name, stem in zip(names, true, strict=True):
            curves = (guessed[name], signal.resample(theirs[stem], guessed.frames))
            cells.append(" | ".join(f"{np.corrcoef(curve, with_stems[name])[0, 1]:.3f}" for curve in curves))
        row(song.path.stem, *cells)


def known_songs(*, reference: bool) -> Iterable[Song]:
    """The built-in song, and those of the reference folder that have a truth."""
    yield builtin_song(REPOSITORY / "stylegan_reactive" / "assets" / "song.ogg")
    folder = SHARED / "reference" / "songs"
    if not reference:
        return
    if not folder.is_dir():
        print(f"There are no reference songs at {folder}; name their folder in SGR_SHARED.")
    for path in sorted(folder.glob("*.flac")):
        if "." not in path.stem and path.with_suffix(".json").exists():
            yield reference_song(path)


def builtin_song(path: Path) -> Song:
    """Read the truth that tools/make_song.py has written."""
    truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    hits = {name: list(zip(truth["onsets"][name], truth["velocities"][name], strict=True)) for name in DRUMS}
    return Song(
        path=path,
        onsets=np.sort(np.concatenate(list(truth["onsets"].values()))),
        hits=hits,
        drums=np.sort([time for of_drum in hits.values() for time, _ in of_drum]),
        drums_late=0.0,
        notes=np.array([(note["start"], note["end"], note["midi"]) for note in truth["notes"]]),
        truth=truth,
        stems={},
    )


def reference_song(path: Path) -> Song:
    """Read the truth of a reference song: notes per stem as [onset, offset, MIDI number, velocity]."""
    truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    notes = {stem: np.array(of_stem, float).reshape(-1, 4) for stem, of_stem in truth.get("notes", {}).items()}
    drum_notes = notes.pop("drums", np.zeros((0, 4)))
    pitched = np.concatenate([*notes.values(), np.zeros((0, 4))])
    alone = "align" in path.stem  # hits over a pad
    starts = {stem: of_stem[:, 0] + SOUNDS_LATE.get(stem, OTHERS_LATE) for stem, of_stem in notes.items()}
    starts["drums"] = drum_notes[:, 0] + SOUNDS_LATE["drums"]
    return Song(
        path=path,
        onsets=np.sort(starts["drums"] if alone else np.concatenate(list(starts.values()))),
        hits={
            name: [(note[0], note[3] / 127) for note in drum_notes if note[2] in midi] for name, midi in DRUMS.items()
        },
        drums=np.sort(drum_notes[:, 0]),
        drums_late=SOUNDS_LATE["drums"],
        notes=np.zeros((0, 3)) if alone else pitched[:, :3],
        truth=truth,
        stems={part.stem.partition(".")[2]: part for part in sorted(path.parent.glob(f"{path.stem}.*.flac"))},
    )


def row(first: str, *cells: str) -> None:
    """Print one line of a table."""
    print(f"{first:<18}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def first_of_each(times: np.ndarray) -> np.ndarray:
    """Join what is heard as one onset: its first note."""
    firsts: list[float] = []
    for time in np.sort(times):
        if not firsts or time - firsts[-1] > TOGETHER:
            firsts.append(float(time))
    return np.array(firsts)


def onset_score(known: np.ndarray, found: np.ndarray, rate: int) -> float:
    """F-measure of the frames in which something starts, one frame of difference allowed."""
    frames = [np.unique(np.floor(np.asarray(times) * rate + 1e-6)) / rate for times in (known, found)]
    return float(mir_eval.onset.f_measure(*frames, window=1.5 / rate)[0])


def percent(envelope: np.ndarray, times: np.ndarray, fps: Fraction) -> str:
    """Compare the peaks of an envelope with the frames in which hits are known to begin."""
    envelope = envelope / envelope.max()
    beyond = np.concatenate([[0.0], envelope, [0.0]])
    peaks = np.flatnonzero((envelope > beyond[:-2]) & (envelope >= beyond[2:]) & (envelope > 0.1))
    frames = np.array([int(Fraction(float(time)) * fps) for time in times])
    error = peaks[np.abs(peaks[None, :] - frames[:, None]).argmin(axis=1)] - frames
    return " / ".join(f"{100 * np.mean(part):.1f}" for part in (error == 0, np.abs(error) <= 1, error < 0))


def hit_score(curve: np.ndarray, hits: list[tuple[float, float]], analysis: Analysis) -> float:
    """Correlate an envelope with the one drawn from true hits, both falling like the default recipe."""
    true = np.zeros(analysis.frames)
    for start, strength in hits:
        frame = min(int(start * analysis.fps), analysis.frames - 1)
        true[frame] = max(true[frame], strength)
    curves = [release(each, 0.12, float(analysis.fps)) for each in (true, curve)]
    return float(np.corrcoef(*curves)[0, 1])


def classes_found(curve: np.ndarray, notes: np.ndarray, rate: int) -> float:
    """Share of the pitch classes that sound in a frame which are among as many of its strongest."""
    middle = (np.arange(len(curve)) + 0.5) / rate
    sounding = np.zeros((len(curve), 12), bool)
    for start, end, midi in notes:
        sounding[(middle >= start + SETTLED) & (middle < end), int(midi) % 12] = True
    rank = np.argsort(np.argsort(-curve, axis=1, kind="stable"), axis=1)
    found = sounding & (rank < sounding.sum(axis=1, keepdims=True))
    return found.sum() / sounding.sum()


def lag(known: np.ndarray, found: np.ndarray) -> float:
    """Seconds by which beats are late: the median over those within 70 ms."""
    late = found[np.abs(found[None, :] - known[:, None]).argmin(axis=1)] - known
    return float(np.median(late[np.abs(late) <= 0.07])) if (np.abs(late) <= 0.07).any() else np.nan


def boundary_score(known: np.ndarray, found: np.ndarray) -> str:
    """F-measure of boundaries within 3 s, and how many sections were found; the song's two ends do not count."""
    score = mir_eval.segment.detection(known, found, window=3.0, trim=True)[2]
    return f"{score:.3f} ({len(found)})"


def librosa_parts(samples: np.ndarray) -> dict[str, np.ndarray]:
    """RMS of what stands for drums, bass and the rest with librosa: its percussive part, and two bands of the other."""
    spectrum = librosa.stft(samples)
    harmonic, percussive = librosa.decompose.hpss(spectrum, margin=1.0)
    low = librosa.fft_frequencies() < BASS
    parts = {"drums": percussive, "bass": harmonic * low[:, None], "other": harmonic * ~low[:, None]}
    return {name: np.sqrt(np.mean(np.square(np.abs(part)), axis=0)) for name, part in parts.items()}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
