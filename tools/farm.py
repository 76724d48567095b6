# SPDX-License-Identifier: GPL-3.0-or-later
"""A short film on real farms' terms: `make farm` runs this, for a few minutes. It ends with 1 where anything differs.

The built-in film is rendered in one go, and then from job bundles: for Open Job Description by `openjd` itself, in
several worker processes side by side; for Flamenco by the commands that its job type script emits under Node. A worker
is killed in the midst of its frames and its task is given out again. Then frames and films are compared bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from blender import write_launcher
from farm_jobs import Task, flamenco_tasks, node, openjd_tasks

REPOSITORY = Path(__file__).resolve().parent.parent
OPENJD = "openjd-cli==0.8.0"
RUN = REPOSITORY / "stylegan_reactive" / "farm" / "run.py"
SCRIPT = REPOSITORY / "stylegan_reactive" / "farm" / "flamenco" / "stylegan_reactive.js"
WORKERS = 3

MAKE_FILM = """
import os, sys
import bpy
import stylegan_reactive
from stylegan_reactive.blender.session import session
film, size, first, frames = sys.argv[1], *map(int, sys.argv[2:])
bpy.ops.wm.read_factory_settings(use_empty=True)
stylegan_reactive.register()
scene = bpy.context.scene
scene.stylegan_reactive.size = (size, size)
bpy.ops.stylegan_reactive.use_builtin_song()
bpy.ops.stylegan_reactive.set_up()
bpy.ops.stylegan_reactive.bake()
scene.frame_start, scene.frame_end = first, first + frames - 1
scene.render.filepath = "//film.mp4"
bpy.ops.wm.save_as_mainfile(filepath=film)
bpy.ops.render.render(animation=True)
settings = scene.render.image_settings
if hasattr(settings, "media_type"):
    settings.media_type = "IMAGE"
settings.file_format = "PNG"
scene.render.filepath = "//frames/frame_######"
bpy.ops.render.render(animation=True)
session.close()
sys.stdout.flush()
os._exit(0)
"""


class FarmError(Exception):
    """Something went otherwise than it should; the message says what."""


def openjd_program(folder: Path) -> str:
    """The program `openjd`, installed into a folder of its own where it is not there yet."""
    found = folder / ("Scripts/openjd.exe" if os.name == "nt" else "bin/openjd")
    if not found.is_file():
        print(f"Installing {OPENJD} into {folder} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        python = found.with_name("python.exe" if os.name == "nt" else "python")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", OPENJD], check=True)
    return str(found)


class Stage:
    """Runs commands, says how long each took, and keeps what they printed in a log."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Begin a command."""
        with self.log.open("ab") as file:
            file.write(f"\n$ {' '.join(command)}\n".encode())
            return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=self.environment)

    def together(self, what: str, commands: Sequence[Sequence[str]]) -> None:
        """Run commands side by side; raises `FarmError` where one fails."""
        began = time.monotonic()
        children = [self.start(command) for command in commands]
        if any([child.wait() for child in children]):
            raise FarmError(f"{what} failed. See the end of {self.log}.")
        print(f"  {what:58}{time.monotonic() - began:7.1f} s", flush=True)


def kill_in_the_midst(stage: Stage, task: Task, frames: Path) -> None:
    """Give a task to a worker that dies, as by a power cut, once it has stored some frames."""
    child = stage.start(task.commands[0])
    end = time.monotonic() + 120
    while len(list(frames.glob("*.png"))) < 3:
        if child.poll() is not None or time.monotonic() > end:
            raise FarmError("The worker that was to be killed ended by itself.")
        time.sleep(0.02)
    child.kill()
    child.wait()
    left = sorted(path.name for path in frames.glob("*.png"))
    print(f"  {f'a worker was killed; {len(left)} frames are whole':58}", flush=True)


def compare(bundle: Path, onego: Path, first: int, frames: int) -> None:
    """Frames, pictures of the film and its sound, bit for bit; raises `FarmError`."""
    import av
    import numpy as np
    from PIL import Image

    for frame in range(first, first + frames):
        name = f"frame_{frame:06d}.png"
        made, wanted = (np.asarray(Image.open(folder / "frames" / name)) for folder in (bundle / "output", onego))
        if not np.array_equal(made, wanted):
            raise FarmError(f"{name} is not the frame that was rendered in one go.")
    videos, sounds = [], []
    for film in (bundle / "output" / "film.mp4", onego / "film.mp4"):
        with av.open(str(film)) as container:
            videos.append(np.stack([picture.to_ndarray() for picture in container.decode(video=0)]))
        with av.open(str(film)) as container:
            sounds.append(np.concatenate([piece.to_ndarray() for piece in container.decode(audio=0)], axis=-1))
    if not np.array_equal(videos[0], videos[1]) or not np.array_equal(sounds[0], sounds[1]):
        raise FarmError("The joined film is not the film that was rendered in one go.")
    counts = f"{frames} frames, {len(videos[0])} decoded pictures and {sounds[0].shape[-1]} samples of sound"
    print(f"  {counts}: equal, bit for bit")


def open_job_description(stage: Stage, program: str, bundle: Path, blender: Path) -> None:
    """The job of a bundle, by `openjd`: check, several workers at once, one of them dying, join."""
    template = str(bundle / "template.json")
    given = ["--job-param", f"Blender={blender}"]
    stage.together("openjd check", [[program, "check", template]])
    stage.together("openjd run, step Check", [[program, "run", template, "--step", "Check", *given]])
    tasks = openjd_tasks(json.loads(Path(template).read_text("utf-8")), bundle, {"Blender": str(blender)})
    renders = [task for task in tasks if task.name.startswith("Render")]
    kill_in_the_midst(stage, renders[0], bundle / "output" / "frames")
    shares: list[list[dict[str, str]]] = [[] for _ in range(WORKERS)]
    for number, task in enumerate(renders):
        shares[number % WORKERS].append({"ChunkStart": task.name.split()[1]})
    commands = [
        [program, "run", template, "--step", "Render", "--tasks", json.dumps(share), *given]
        for share in shares
        if share
    ]
    stage.together(f"openjd run, step Render, {len(renders)} chunks in {len(commands)} workers", commands)
    stage.together("openjd run, step Join", [[program, "run", template, "--step", "Join", *given]])


def flamenco(stage: Stage, bundle: Path, blender: Path) -> None:
    """The job of a bundle, by the commands that Flamenco's job type script emits, some of them side by side."""
    tasks = flamenco_tasks(SCRIPT, bundle / "flamenco" / "job.json", str(blender))
    done: set[str] = set()
    while len(done) < len(tasks):
        ready = [task for task in tasks if task.name not in done and set(task.after) <= done][:WORKERS]
        stage.together(", ".join(task.name for task in ready), [task.commands[0] for task in ready])
        done |= {task.name for task in ready}


def main() -> int:
    """Exit status for the shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--openjd", type=Path, default=REPOSITORY / ".venv-farm", help="environment with openjd-cli")
    parser.add_argument("--frames", type=int, default=60, help="frames of the built-in film (default: 60)")
    parser.add_argument("--first", type=int, default=300, help="the first of them (default: 300)")
    parser.add_argument("--chunk", type=int, default=10, help="frames per task (default: 10)")
    parser.add_argument("--size", type=int, default=256, help="width and height in pixels (default: 256)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="stylegan_reactive_farm_"))
    os.environ["BLENDER_USER_RESOURCES"] = str(folder / "user")
    stage, blender = Stage(folder / "log.txt"), write_launcher(folder / "blender")
    film = folder / "artist" / "film.blend"
    film.parent.mkdir()
    numbers = [str(number) for number in (options.size, options.first, options.frames)]
    try:
        program = openjd_program(options.openjd)
        print(f"{options.frames} frames of the built-in film, {options.size} px", flush=True)
        stage.together("the film and its frames in one go", [[sys.executable, "-c", MAKE_FILM, str(film), *numbers]])
        for farm in ("openjd", "flamenco"):
            title = "Open Job Description" if farm == "openjd" else "Flamenco's commands"
            if farm == "flamenco" and not node():
                raise FarmError("There is no Node here, so Flamenco's job type script cannot be run.")
            print(title, flush=True)
            bundle = folder / farm
            submit = [sys.executable, str(RUN), "submit", str(film), str(bundle), "--farm", farm]
            stage.together("submit", [[*submit, "--chunk", str(options.chunk)]])
            if farm == "openjd":
                open_job_description(stage, program, bundle, blender)
            else:
                flamenco(stage, bundle, blender)
            compare(bundle, film.parent, options.first, options.frames)
    except (FarmError, subprocess.CalledProcessError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
