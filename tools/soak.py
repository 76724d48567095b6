# SPDX-License-Identifier: GPL-3.0-or-later
"""The long run: thousands of pictures the way a film gets them, with a crash in the middle, while memory is watched.

Pictures come through the client and the engine, in order and at random, of changing patches and sizes; a share of them
from the built-in network, and a share in a Blender without a window, which renders them to files. Printed is what both
processes hold: memory as a slope with its 95 % confidence, open files, threads, and shared memory. The status is 1
where anything grew or a picture was not the same the second time.

    python tools/soak.py --frames 20000
"""

import argparse
import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_reactive.engine.client import Engine, FrameRequest
from stylegan_reactive.engine.shared_pixels import FOLDER, PREFIX

SAMPLES = 100  # looks at the processes in each part
WARM_UP = 0.2  # of each life of a process: caches fill, the allocator finds its size
KNOWN = 1000  # pictures whose second time is compared with the first
SIZES = ((32, 24), (48, 48), (64, 36), (40, 96))
PATCHES = 12  # more than the engine keeps
BUILTIN_SHARE, BLENDER_SHARE = 0.01, 0.3
FLAT = 8.0  # megabytes in 10,000 pictures; if one in ten leaked 16 KB, its size, there would be twice as much


@dataclass
class Sample:
    """What two processes hold after so many pictures; bytes and numbers."""

    pictures: int
    lives: int  # of the engine
    memory: tuple[int, int]  # of the caller, of the engine
    files: tuple[int, int]
    threads: tuple[int, int]
    shared: int  # pieces of shared memory


@dataclass
class Part:
    """One part of the run."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    wrong: int = 0
    seconds: float = 0.0


def look(pictures: int, lives: int, engine_pid: int) -> Sample:
    """Read from /proc what this process and the engine hold."""
    pids = (os.getpid(), engine_pid)
    page = os.sysconf("SC_PAGE_SIZE")

    def both(read: Any) -> tuple[int, int]:
        return read(Path(f"/proc/{pids[0]}")), read(Path(f"/proc/{pids[1]}"))

    maps = Path("/proc/self/maps").read_text().splitlines()
    return Sample(
        pictures,
        lives,
        both(
            lambda proc: (
                (int((proc / "statm").read_text().split()[1]) - int((proc / "statm").read_text().split()[2])) * page
            )
        ),
        both(lambda proc: len(list((proc / "fd").iterdir()))),
        both(lambda proc: len(list((proc / "task").iterdir()))),
        len({line.split()[-1] for line in maps if PREFIX in line}),
    )


def engine_python() -> str:
    """The Python that has torch."""
    return os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable


def is_abandoned(path: Path) -> bool:
    """Whether nobody holds a piece of shared memory; those of other Blenders are held."""
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def with_package() -> dict[str, str]:
    """The environment of a child that shall find our package."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


def make_network(path: Path) -> None:
    """Write a network of random weights that paints 32 x 32 pixels at once; runs in the engine's Python."""
    import torch

    from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, save_generator
    from stylegan_reactive.generator.mapping import MappingConfig

    torch.manual_seed(0)
    save_generator(StyleGAN2(StyleGAN2Config(MappingConfig(8, 0, 8, (8, 8)), 32, (8, 8, 8, 8))), path)


def requests_of(
    checkpoint: str, count: int, chance: random.Random
) -> Iterator[tuple[FrameRequest, list[FrameRequest]]]:
    """Pictures as artists ask for them: runs in order with a look-ahead, jumps, other patches and sizes."""
    left = count
    while left:
        seed, size = chance.randrange(PATCHES), chance.choice(SIZES)
        layer = {"name": "", "source": {"kind": "static", "latents": str(seed)}}
        noise = {"name": "", "source": {"kind": "fixed"}} if seed % 3 == 0 else None
        patch = {
            "version": 2,
            "checkpoint": checkpoint,
            "latent_layers": [layer],
            "noise_layers": [noise] if noise else [],
        }
        first, length = chance.randrange(500), min(left, chance.choice((1, 1, 5, 40)))

        def at(frame: int, patch: dict[str, Any] = patch, size: tuple[int, int] = size) -> FrameRequest:
            return FrameRequest(patch, {"latent_layers.0.influence.amount": (frame % 500) / 500}, size)

        for frame in range(first, first + length):
            yield at(frame), [at(frame + 1), at(frame + 2)]
        left -= length


def through_the_engine(name: str, checkpoint: str, count: int, folder: Path) -> Part:
    """Ask an engine for pictures, and kill it half way."""
    part, chance, began = Part(name), random.Random(1), time.monotonic()
    engine = Engine(engine_python(), "cpu", folder)
    seen: dict[tuple[Any, ...], bytes] = {}
    every = max(1, count // SAMPLES)
    try:
        for number, (request, ahead) in enumerate(requests_of(checkpoint, count, chance), 1):
            picture = engine.picture(request, ahead)
            digest = hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
            if len(seen) < KNOWN or request.key in seen:
                part.wrong += seen.setdefault(request.key, digest) != digest
            if number == count // 2 and engine.pid is not None:
                os.kill(engine.pid, signal.SIGKILL)
            elif number % every == 0 and engine.pid is not None:
                part.samples.append(look(number, engine.starts, engine.pid))
    finally:
        engine.close()
    part.seconds = time.monotonic() - began
    return part


def inside_blender(checkpoint: str, count: int, folder: Path) -> Part:
    """Render in a Blender without a window, in a process of its own."""
    command = [sys.executable, __file__, "--inside-blender", checkpoint, "--frames", str(count)]
    environment = {**with_package(), "BLENDER_USER_RESOURCES": str(folder / "blender")}
    began = time.monotonic()
    output = subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
    told = json.loads(next(line for line in output.splitlines() if line.startswith('{"samples"')))
    samples = [
        Sample(**{**each, **{key: tuple(each[key]) for key in ("memory", "files", "threads")}})
        for each in told["samples"]
    ]
    return Part("Blender without a window", samples, told["wrong"], time.monotonic() - began)


def render_here(checkpoint: str, count: int) -> None:
    """The child's side of `inside_blender`."""
    import bpy

    import stylegan_reactive
    from stylegan_reactive.blender.properties import settings_of
    from stylegan_reactive.blender.session import session

    stylegan_reactive.register()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene: Any = bpy.context.scene
    settings = settings_of(scene)
    settings.size, settings.checkpoint = (32, 32), checkpoint
    ours: Any = bpy.ops.stylegan_reactive  # type: ignore[attr-defined]
    for step in (ours.use_builtin_song, ours.set_up, ours.bake):
        step()
    for name in dir(scene.render):
        if name.startswith("use_stamp_"):
            setattr(scene.render, name, False)  # equal pictures are equal files then
    if hasattr(scene.render.image_settings, "media_type"):
        scene.render.image_settings.media_type = "IMAGE"
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = f"{os.getcwd()}/frames/"
    rounds, length = max(2, math.ceil(count / 250)), min(count, 250)
    samples: list[Sample] = []
    made = [0]

    def after(_scene: Any, _: object = None) -> None:
        made[0] += 1
        engine = session.engine()
        if made[0] == rounds * length // 2 and engine.pid is not None:
            os.kill(engine.pid, signal.SIGKILL)
        elif made[0] % max(1, rounds * length // SAMPLES) == 0 and engine.pid is not None:
            samples.append(look(made[0], engine.starts, engine.pid))

    bpy.app.handlers.render_write.append(after)
    frames: list[dict[str, bytes]] = []
    for turn in range(rounds):
        scene.frame_step = 1 + turn % 2
        scene.frame_start, scene.frame_end = 1, length * scene.frame_step
        bpy.ops.render.render(animation=True)
        if turn < 2 or turn == rounds - 1:
            frames.append({path.name: path.read_bytes() for path in Path("frames").glob("*.png")})
    common = frames[0].keys() & frames[-1].keys()
    wrong = sum(frames[0][name] != frames[-1][name] for name in common)
    print(json.dumps({"samples": [vars(each) for each in samples], "wrong": wrong}), flush=True)
    session.close()
    os._exit(0)  # leaving the interpreter after a render can hang


def slope(samples: list[Sample], which: int) -> tuple[float, float]:
    """Megabytes in 10,000 pictures, and half of its 95 % confidence interval.

    Least squares with one slope for all lives of the engine and an offset for each; each life's warm-up is left out.
    """
    rows, values = [], []
    lives = sorted({each.lives for each in samples})
    for life in lives:
        own = [each for each in samples if each.lives == life]
        for each in own[math.ceil(len(own) * WARM_UP) :]:
            rows.append([each.pictures / 1e4, *(float(life == other) for other in lives)])
            values.append(each.memory[which] / 1e6)
    if len(rows) < len(lives) + 3:
        return math.nan, math.nan
    table, wanted = np.array(rows), np.array(values)
    found, _, _, _ = np.linalg.lstsq(table, wanted, rcond=None)
    rest = wanted - table @ found
    variance = float(rest @ rest) / (len(rows) - table.shape[1])
    error = math.sqrt(variance * float(np.linalg.pinv(table.T @ table)[0, 0]))
    return float(found[0]), 1.96 * error


def report(part: Part, judge: bool) -> bool:
    """Print a part; whether nothing grew."""
    print(f"\n{part.name}: {part.samples[-1].pictures} pictures in {part.seconds:.0f} s, {part.wrong} wrong")
    good = part.wrong == 0
    warm = [each for each in part.samples if each.pictures > part.samples[-1].pictures * WARM_UP / 2]
    for which, process in enumerate(("caller", "engine")):
        megabytes, error = slope(part.samples, which)
        now = part.samples[-1].memory[which] / 1e6
        print(f"  {process:7} {now:7.1f} MB, {megabytes:+7.2f} ± {error:.2f} MB in 10,000 pictures", end="")
        for name in ("files", "threads"):
            counts = [getattr(each, name)[which] for each in warm]
            print(f"; {name} {min(counts)}..{max(counts)}, {counts[-1]} at the end", end="")
            good &= not judge or counts[-1] <= min(counts) + 3
        print()
        good &= not judge or not megabytes - error > FLAT
    pieces = [each.shared for each in warm]
    print(f"  shared memory: {min(pieces)}..{max(pieces)} pieces; the engine began {part.samples[-1].lives} times")
    return good and (not judge or pieces[-1] <= max(pieces[: len(pieces) // 2]))


def main() -> int:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--frames", type=int, default=20000)
    parser.add_argument("--inside-blender", metavar="NETWORK", help=argparse.SUPPRESS)
    parser.add_argument("--make-network", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.make_network:
        make_network(chosen.make_network)
        return 0
    if chosen.inside_blender:
        render_here(chosen.inside_blender, chosen.frames)
    if sys.platform != "linux":
        print("The long run reads /proc, so it needs Linux.")
        return 2
    in_blender = int(chosen.frames * BLENDER_SHARE)
    builtin = max(4, int(chosen.frames * BUILTIN_SHARE))
    judge = chosen.frames >= 2000  # fewer say nothing of a slope
    before = set(FOLDER.glob(f"{PREFIX}*"))
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        tiny = str(folder / "tiny.safetensors")
        subprocess.run([engine_python(), __file__, "--make-network", tiny], check=True, env=with_package())
        parts = (
            lambda: through_the_engine("tiny network", tiny, chosen.frames - in_blender - builtin, folder),
            lambda: through_the_engine("built-in network", "builtin", builtin, folder),
            lambda: inside_blender(tiny, in_blender, folder),
        )
        good = True
        for number, part in enumerate(parts):
            good &= report(part(), judge and number != 1)
    left = [path for path in set(FOLDER.glob(f"{PREFIX}*")) - before if is_abandoned(path)]
    print(f"\nshared memory left behind: {len(left)} pieces")
    print("Nothing grew." if good and not left else "SOMETHING GREW, OR WAS WRONG.")
    return 0 if good and not left else 1


if __name__ == "__main__":
    sys.exit(main())
