# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a film takes on N machines and what limits it: a simulation with times that are measured in the same run.

Measured here, with a worker's own commands on a short film: what a task takes before its first frame (starting Blender
and the engine, loading the network), a frame of it, the check, and the join's start and its time a frame. Then a farm
is played through: machines take chunks in order as they become free, and the join begins when all frames are there.
Efficiency is the time on one machine over N times that on N machines.

    python benchmarks/farm.py                                  measures, then simulates 100,000 frames
    python benchmarks/farm.py --frame 2.5 --network 40         your own network: seconds a frame and to load it
    python benchmarks/farm.py --film film.blend                measures a film of yours
"""

from __future__ import annotations

import argparse
import heapq
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
RUN = REPOSITORY / "stylegan_reactive" / "farm" / "run.py"
MACHINES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
CHUNKS = (1, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
NEARLY = 1.02
FEW, MANY = 4, 40  # frames of the two tasks whose difference is the time of a frame

MAKE_FILM = """
import os, sys
import bpy
import stylegan_reactive
from stylegan_reactive.blender.session import session
bpy.ops.wm.read_factory_settings(use_empty=True)
stylegan_reactive.register()
scene = bpy.context.scene
scene.stylegan_reactive.size = (int(sys.argv[2]), int(sys.argv[2]))
bpy.ops.stylegan_reactive.use_builtin_song()
bpy.ops.stylegan_reactive.set_up()
bpy.ops.stylegan_reactive.bake()
scene.frame_start, scene.frame_end = 300, 300 + int(sys.argv[3]) - 1
scene.render.filepath = "//film.mp4"
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1])
session.close()
sys.stdout.flush()
os._exit(0)
"""


@dataclass(frozen=True)
class Times:
    """Seconds.

    Attributes
    ----------
    start : float
        Of a task, until its first frame is begun.
    frame : float
        Of a frame, stored.
    check : float
        Of the check, once.
    join_start, join_frame : float
        Of the join, on one machine.
    """

    start: float
    frame: float
    check: float
    join_start: float
    join_frame: float


@dataclass(frozen=True)
class Played:
    """How long a simulated farm took: in seconds until the frames and until the film, and of all machines together."""

    frames: float
    film: float
    busy: float


def play(times: Times, frames: int, machines: int, chunk: int) -> Played:
    """Let machines take chunks in order, each when it is free. The check runs first, alone."""
    free = [times.check] * machines
    heapq.heapify(free)
    busy, end = times.check, times.check
    for begun in range(0, frames, chunk):
        seconds = times.start + min(chunk, frames - begun) * times.frame
        done = heapq.heappop(free) + seconds
        heapq.heappush(free, done)
        busy, end = busy + seconds, max(end, done)
    join = times.join_start + frames * times.join_frame
    return Played(end, end + join, busy + join)


def best_chunk(times: Times, frames: int, machines: int) -> int:
    """The smallest chunk with which the frames are ready nearly as soon as with any: a task that fails costs little."""
    ready = {chunk: play(times, frames, machines, chunk).frames for chunk in CHUNKS}
    return next(chunk for chunk in CHUNKS if ready[chunk] <= NEARLY * min(ready.values()))


def run(*arguments: str) -> tuple[float, str]:
    """A worker's command in a Blender of its own: seconds, and what it printed."""
    began = time.perf_counter()
    answer = subprocess.run(
        [sys.executable, str(RUN), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    if answer.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{answer.stdout[-2000:]}{answer.stderr[-2000:]}")
    return time.perf_counter() - began, answer.stdout


def measure(folder: Path, film: Path | None, size: int) -> Times:
    """The times of a film's job on this machine."""
    if film is None:
        film = folder / "film.blend"
        script = [sys.executable, "-c", MAKE_FILM, str(film), str(size), str(FEW + MANY)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        subprocess.run(script, check=True, capture_output=True, env=environment)
    bundle = folder / "bundle"
    run("submit", str(film), str(bundle))
    check, _ = run("check", str(bundle))
    name = str(bundle)
    few, _ = run("render", name, f"--frames={frames_of(bundle)[0]}-{frames_of(bundle)[0] + FEW - 1}")
    many, _ = run("render", name)
    count = len(frames_of(bundle))
    frame = (many - few) / (count - 2 * FEW)
    short, _ = run("join", name)
    return Times(max(0.0, few - FEW * frame), frame, check, *join_times(bundle, short, count))


def frames_of(bundle: Path) -> range:
    """The frames of a bundle's film."""
    sys.path.insert(0, str(REPOSITORY))
    from stylegan_reactive.farm.manifest import read_manifest

    return read_manifest(bundle).range.frames()


def join_times(bundle: Path, whole: float, count: int) -> tuple[float, float]:
    """Start of a join, and its time a frame: from a second join, of a quarter of the frames."""
    sys.path.insert(0, str(REPOSITORY))
    from stylegan_reactive.farm.manifest import read_manifest, write_manifest

    manifest = read_manifest(bundle)
    part = max(1, count // 4)
    shorter = replace(manifest.range, last=manifest.range.first + (part - 1) * manifest.range.step)
    write_manifest(bundle, replace(manifest, range=shorter))
    quarter, _ = run("join", str(bundle))
    write_manifest(bundle, manifest)
    frame = max(0.0, (whole - quarter) / (count - part))
    return max(0.0, whole - count * frame), frame


def spell(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds."""
    minutes, hours = divmod(round(seconds), 60), divmod(round(seconds / 60), 60)
    return f"{hours[0]} h {hours[1]:02} min" if seconds >= 3600 else f"{minutes[0]} min {minutes[1]:02} s"


def table(times: Times, frames: int) -> list[str]:
    """The film on more and more machines, each with the chunk that suits it best."""
    alone = play(times, frames, 1, best_chunk(times, frames, 1))
    lines = ["machines  frames/task   frames ready  efficiency     film ready  efficiency  the join's part"]
    for machines in MACHINES:
        chunk = best_chunk(times, frames, machines)
        played = play(times, frames, machines, chunk)
        lines.append(
            f"{machines:8}  {chunk:11}  {spell(played.frames):>13}  {alone.frames / played.frames / machines:10.2f}"
            f"  {spell(played.film):>13}  {alone.film / played.film / machines:10.2f}"
            f"  {(played.film - played.frames) / played.film:15.2f}"
        )
    return lines


def chunk_table(times: Times, frames: int, machines: int) -> list[str]:
    """What the size of a chunk costs on some machines."""
    best = min(play(times, frames, machines, chunk).frames for chunk in CHUNKS)
    return ["frames/task     starts take     frames ready, times the best"] + [
        f"{chunk:11}  {100 * times.start / (times.start + chunk * times.frame):12.0f} %"
        f"  {play(times, frames, machines, chunk).frames / best:18.2f}"
        for chunk in CHUNKS
    ]


def main() -> int:
    """Exit status for the shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--film", type=Path, help="a .blend file that is set up and baked (default: the built-in song)")
    parser.add_argument("--size", type=int, default=512, help="width and height in pixels of the built-in film")
    parser.add_argument("--frames", type=int, default=100_000, help="of the film that is simulated")
    parser.add_argument("--frame", type=float, help="seconds a frame on your machine, instead of the measured ones")
    parser.add_argument("--network", type=float, default=0.0, help="seconds to load your network, added to each start")
    options = parser.parse_args()
    os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="stylegan_reactive_benchmark_"))
    with tempfile.TemporaryDirectory() as folder:
        times = measure(Path(folder), options.film, options.size)
    print(f"Measured on this machine ({os.cpu_count()} processors):")
    for what, seconds in (
        ("a task, until its first frame", times.start),
        ("a frame", times.frame),
        ("the check", times.check),
        ("the join, until its first frame", times.join_start),
        ("a frame of the join", times.join_frame),
    ):
        print(f"  {what:34}{seconds:8.3f} s  {seconds / times.frame:8.1f} frames")
    if options.frame is not None or options.network:
        frame = times.frame if options.frame is None else options.frame
        times = replace(
            times, frame=frame, start=times.start + options.network, check=times.check + options.network + frame
        )
        print(f"Simulated with {times.frame:.3f} s a frame and {times.start:.1f} s before the first:")
    print(f"\n{options.frames} frames")
    print("\n".join(table(times, options.frames)))
    print("\nOn 50 machines")
    print("\n".join(chunk_table(times, options.frames, 50)))
    most = 1 / times.join_frame * times.frame if times.join_frame else float("inf")
    print(f"\nRendering keeps the join waiting up to {most:.0f} machines; beyond, encoding alone takes longer.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
