# SPDX-License-Identifier: GPL-3.0-or-later
"""What hearing a song costs: processor time, the first start, memory, and drift; ours beside librosa, in one run.

    PYTHONPATH=. python benchmarks/audio.py                      a minute of music: part of make bench
    PYTHONPATH=. python benchmarks/audio.py --all                five minutes, and an hour of stereo: make bench-audio
    PYTHONPATH=. python benchmarks/audio.py --all --minutes 10   ten minutes in place of the hour

The music is made up here and written to a temporary file. Each measurement runs in a process of its own. Times are of
the processor, all threads together, so that a busy machine changes them less; only the start is measured with the
clock. librosa stands for what an artist would write: one call for each of the features.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

RATE = 44100
RATES = (Fraction(24000, 1001), Fraction(24), Fraction(30000, 1001), Fraction(30), Fraction(60))
LOOP_SECONDS, BEAT = 16, 0.5
LIBROSA_RATE = 22050
MEGABYTE = 1e6


def main() -> None:
    """Print one table for each question, or do one of the measurements as a child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="five minutes of music and an hour of stereo")
    parser.add_argument("--minutes", type=float, help="length of the long song, for memory and drift")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--song", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        warnings.filterwarnings("ignore")
        print(json.dumps(CHILDREN[options.child](options.song)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.wav", Path(folder) / "long.wav"
        write_music(short, 5.0 if options.all else 1.0)
        cost(short, folder)
        write_music(long, options.minutes or (60.0 if options.all else 3.0))
        memory_and_drift(long)


def cost(song: Path, folder: str) -> None:
    """Processor time of the default features, and the time until the artist sees that something happens."""
    seconds = soundfile.info(song).duration
    ours = measure("ours", song)
    theirs = measure("librosa", song, {"NUMBA_CACHE_DIR": str(Path(folder) / "numba")})
    print(f"\nAll default features of {seconds / 60:g} minutes of stereo: seconds of processor time")
    row("", "first call, with import", "later call", "times ours")
    row("ours", f"{ours['cold']:.2f}", f"{ours['warm']:.2f}", "1")
    for name, key in (("librosa, one call for each", "apart"), ("librosa, one separation for all", "shared")):
        cold, warm = (theirs[call][key] for call in ("cold", "warm"))
        row(name, f"{cold:.2f}", f"{warm:.2f}", f"{cold / ours['cold']:.1f} / {warm / ours['warm']:.1f}")
    print("librosa's later calls:", ", ".join(f"{name} {took:.2f}" for name, took in theirs["calls"].items()))
    print("\nFrom the start of a fresh process, in seconds by the clock")
    row("ours, first progress report", f"{min(measure('start', song)['first'] for _ in range(3)):.2f}", "best of 3")
    row("librosa, first feature, compiling", f"{theirs['first']:.2f}")


def memory_and_drift(song: Path) -> None:
    """Peak memory above the import for a long song, and the frames on which its last hits are seen."""
    seconds = soundfile.info(song).duration
    print(f"\nPeak memory for {seconds / 60:g} minutes of stereo: MB above the import")
    used = measure("memory", song)
    row("ours", f"{used['above']:.0f}", f"import alone: {used['import']:.0f}")
    sound = seconds * RATE * 8 / MEGABYTE
    row("librosa", f"> {sound:.0f}", "the decoded sound alone, float32")
    print(f"\nDrift after {seconds / 60:g} minutes, in frames: the last hits against their known frames")
    row("frames per second", "ours: worst of the last 20", "librosa, hop rounded to a frame")
    for rate, worst in measure("drift", song)["worst"].items():
        hop = round(LIBROSA_RATE / float(Fraction(rate)))
        row(f"{float(Fraction(rate)):.3f}", f"{worst:d}", f"{abs(seconds * (LIBROSA_RATE / hop - Fraction(rate))):.1f}")


def measure(child: str, song: Path, environment: dict[str, str] | None = None) -> dict:
    """Run one measurement in a fresh process; ``first`` is when its first line came, in seconds after its start."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", child, "--song", str(song)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert process.stdout is not None
    first, lines = 0.0, []
    for line in process.stdout:
        first = first or time.perf_counter() - start
        lines.append(line)
    if process.wait() != 0:
        sys.exit(f"The measurement “{child}” ended with {process.returncode}.")
    return {**json.loads(lines[-1]), "first": first}


def child_start(song: str) -> dict:
    """Import and listen until something is reported."""

    class Reported(Exception):
        pass

    def report(share: float, text: str) -> None:
        print(json.dumps({"text": text}), flush=True)
        raise Reported

    with contextlib.suppress(Reported):
        importlib.import_module("stylegan_reactive.audio").analyse(song, 30, progress=report)
    return {}


def child_ours(song: str) -> dict:
    """First call of ours, and the better of two more."""
    cold, *warm = (
        processor_time(lambda: importlib.import_module("stylegan_reactive.audio").analyse(song, 30)) for _ in range(3)
    )
    return {"cold": cold, "warm": min(warm)}


def child_librosa(song: str) -> dict:
    """First calls of librosa, whose functions are loaded and compiled then, and the better of two more of each."""
    cold, *rounds = (librosa_calls(song) for _ in range(3))
    warm = {name: min(calls[name] for calls in rounds) for name in cold}
    again = {"apart": (2, 1), "shared": (0, 0)}  # so often the percussive part more, and the harmonic part
    totals = [
        {
            key: sum(calls.values()) + percussive * warm["percussive"] + (harmonic - 1) * warm["harmonic"]
            for key, (percussive, harmonic) in again.items()
        }
        for calls in (cold, warm)
    ]
    return {"cold": totals[0], "warm": totals[1], "calls": warm}


def librosa_calls(song: str) -> dict[str, float]:
    """Our default features from the whole sound, which is what we hear: seconds of processor time for each call.

    Drums are looked for in the percussive part and chroma in the harmonic part, each of which costs a separation.
    """
    took, made = {}, {}

    def call(name: str, work: Callable[[], object]) -> None:
        took[name] = processor_time(lambda: made.update({name: work()}))

    call("import", lambda: importlib.import_module("librosa"))
    librosa = made["import"]
    call("load", lambda: librosa.load(song, sr=None))
    sound, rate = made["load"]
    call("onset", lambda: librosa.onset.onset_strength(y=sound, sr=rate))
    print("first", flush=True)
    call("percussive", lambda: librosa.effects.percussive(sound))
    call("harmonic", lambda: librosa.effects.harmonic(sound))
    for name, low, high in (("kick", 20, 150), ("snare", 150, 5000), ("hats", 5000, 16000)):
        call(
            name,
            lambda low=low, high=high: librosa.onset.onset_strength(y=made["percussive"], sr=rate, fmin=low, fmax=high),
        )
    call("rms", lambda: librosa.feature.rms(y=sound))
    call("chroma", lambda: librosa.feature.chroma_cqt(y=made["harmonic"], sr=rate))
    call("beats", lambda: librosa.beat.beat_track(y=sound, sr=rate))
    return took


def child_memory(song: str) -> dict:
    """Peak memory of a process that has imported us, and of what the song adds to it."""
    audio = importlib.import_module("stylegan_reactive.audio")
    imported = peak_memory()
    audio.analyse(song, 30)
    return {"import": imported, "above": peak_memory() - imported}


def child_drift(song: str) -> dict:
    """Frames between the last known hits and those that are seen, at every rate."""
    audio = importlib.import_module("stylegan_reactive.audio")
    hits = soundfile.info(song).frames // round(BEAT * RATE)
    known = np.arange(hits - 20, hits) * round(BEAT * RATE)  # samples
    worst = {}
    for rate in RATES:
        seen = np.flatnonzero(audio.analyse(song, rate, ["onset"])["onset"])
        frames = known * rate.numerator // (RATE * rate.denominator)
        worst[str(rate)] = int(np.abs(seen[None, :] - frames[:, None]).min(axis=1).max())
    return {"worst": worst}


CHILDREN = {
    "start": child_start,
    "ours": child_ours,
    "librosa": child_librosa,
    "memory": child_memory,
    "drift": child_drift,
}


def processor_time(work: Callable[[], object]) -> float:
    """Seconds of processor time, all threads together."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_memory() -> float:
    """Largest memory of this process until now, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, getrusage counts the memory of the process that started this one
        kilobytes = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(kilobytes) * 1024 / MEGABYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MEGABYTE


def write_music(path: Path, minutes: float) -> None:
    """Drums on whole beats over chords and noise, never quite the same twice: stereo, 16 bit, 44.1 kHz."""
    random = np.random.default_rng(4)
    time_in_loop = np.arange(LOOP_SECONDS * RATE) / RATE
    step = round(BEAT * RATE)
    since = (np.arange(len(time_in_loop)) % step) / RATE
    beat = np.arange(len(time_in_loop)) // step
    hiss = random.standard_normal(len(time_in_loop))
    kick = np.exp(-since / 0.1) * np.sin(2 * np.pi * (50 * since + 4 * (1 - np.exp(-since / 0.03))))
    snare = np.exp(-since / 0.08) * (0.3 * hiss + 0.4 * np.sin(2 * np.pi * 190 * since))
    hat = 0.3 * np.exp(-since / 0.03) * np.diff(hiss, prepend=0.0)
    drums = 0.5 * np.where(beat % 2 == 0, kick, snare) + 0.3 * hat
    left = round(minutes * 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        while left > 0:
            notes = 48 + random.choice([0, 2, 3, 5, 7, 9, 10], 4, replace=False) + 12 * random.integers(0, 3, 4)
            chord = sum(np.sin(2 * np.pi * 440 * 2 ** ((note - 69) / 12) * time_in_loop) for note in notes)
            sides = [drums + level * chord for level in random.uniform(0.02, 0.06, 2)]
            block = np.stack(sides, axis=1)[:left]
            file.write(np.clip(block, -1, 1))
            left -= len(block)


def row(first: str, *cells: str) -> None:
    """Print one line of a table."""
    print(f"{first:<34}" + "".join(f"{cell:>34}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
