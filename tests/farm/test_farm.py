# SPDX-License-Identifier: GPL-3.0-or-later
"""A short film on a farm: submitted, moved, checked, rendered in chunks by several workers, and joined.

The commands are those of the job templates, filled in as the farms do it; `make farm` runs a longer one with the
farms' own programs.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.conftest import RunBlender

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))

from blender import write_launcher  # noqa: E402
from farm_jobs import Task, compiled, flamenco_tasks, node, openjd_tasks  # noqa: E402

FRAMES = range(40, 48)
SCRIPT = REPOSITORY / "stylegan_reactive" / "farm" / "flamenco" / "stylegan_reactive.js"


@dataclass
class Farm:
    """A bundle that was moved away from where it was made, and what is needed to run its job."""

    bundle: Path
    onego: Path
    blender: Path
    environment: dict[str, str]

    def tasks(self) -> dict[str, Task]:
        """Of the template, by name."""
        template = json.loads((self.bundle / "template.json").read_text("utf-8"))
        return {task.name: task for task in openjd_tasks(template, self.bundle, {"Blender": str(self.blender)})}

    def start(self, task: Task, **environment: str) -> subprocess.Popen[str]:
        """Begin a task, as a worker does."""
        (command,) = task.commands
        variables = {**self.environment, **environment}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=self.bundle.parent, env=variables)

    def run(self, task: Task, **environment: str) -> tuple[int, str]:
        """Run a task: status, and all that it printed."""
        child = self.start(task, **environment)
        output, errors = child.communicate(timeout=120)
        return child.returncode, output + errors


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory, blender_in: Callable[[Path], RunBlender]) -> Farm:
    made = tmp_path_factory.mktemp("artist")
    blender_in(made)(REPOSITORY / "tests" / "farm" / "film.py", made, made / "bundle")
    elsewhere = tmp_path_factory.mktemp("farm") / "moved bundle"
    shutil.move(made / "bundle", elsewhere)
    for name in ("a song.ogg", "a network.safetensors", "film.blend"):
        (made / name).unlink()  # nothing of the artist's may be needed any more
    launcher = write_launcher(elsewhere.parent / "blender")
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(elsewhere.parent / "user"), "OMP_NUM_THREADS": "1"}
    return Farm(elsewhere, made, launcher, environment)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def decoded(film: Path) -> tuple[np.ndarray, np.ndarray]:
    """All pictures of a film as they are stored, and its sound."""
    with av.open(str(film)) as container:
        pictures = np.stack([frame.to_ndarray() for frame in container.decode(video=0)])
    with av.open(str(film)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=-1)
    return pictures, sound


def test_a_bundle_names_no_place_outside_itself(farm: Farm) -> None:
    patch = (farm.bundle / "patch.json").read_text("utf-8")
    assert json.loads(patch)["checkpoint"] == "//files/a network.safetensors"
    assert {path.name for path in (farm.bundle / "files").iterdir()} == {"a song.ogg", "a network.safetensors"}
    for path in farm.bundle.rglob("*.json"):
        assert str(farm.onego) not in path.read_text("utf-8"), path


def test_the_film_of_a_farm_is_the_film_rendered_in_one_go(farm: Farm) -> None:
    tasks = farm.tasks()
    assert list(tasks) == ["Check", "Render 40", "Render 44", "Join"]
    assert tasks["Join"].after == ("Render 40", "Render 44")
    status, output = farm.run(tasks["Check"])
    assert status == 0, output
    assert "This machine can render the film." in output

    frames = farm.bundle / "output" / "frames"
    frames.mkdir()
    there = frames / "frame_000046.png"
    shutil.copyfile(farm.onego / "onego" / "frame_000046.png", there)
    os.utime(there, (1e9, 1e9))
    half = frames / ".partial-dead-1" / "frame_000045.png"  # of a worker that was killed
    half.parent.mkdir()
    half.write_bytes(b"\x89PNG half")
    cut = (farm.onego / "onego" / "frame_000047.png").read_bytes()[:-20]  # as a share that broke off leaves it
    (frames / "frame_000047.png").write_bytes(cut)
    last = tasks["Render 44"]
    join = tasks["Join"]
    if node():  # Flamenco does the second half of the work
        settings = {"blendfile": f"{farm.bundle}/film.blend", "frames": "40-47", "chunk_size": 4}
        job = farm.bundle.parent / "job.json"
        job.write_text(json.dumps({"name": "film", "settings": settings}), encoding="utf-8")
        others = {task.name: task for task in flamenco_tasks(SCRIPT, job, str(farm.blender))}
        assert list(others) == ["check", "render-40-43", "render-44-47", "join"]
        last, join = others["render-44-47"], others["join"]
        assert last.after == ("check",)
        assert "--thorough" in last.commands[0], "the other workers are never compared with the first"
        assert join.after == ("render-40-43", "render-44-47")

    workers = [farm.start(tasks["Render 40"]), farm.start(last)]
    for worker in workers:
        output, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, output + errors
    assert there.stat().st_mtime == 1e9, "a frame that was there was made again"
    status, output = farm.run(join)
    assert status == 0, output

    assert sorted(path.name for path in frames.iterdir()) == [f"frame_{frame:06d}.png" for frame in FRAMES]
    for frame in FRAMES:
        name = f"frame_{frame:06d}.png"
        assert np.array_equal(pixels(frames / name), pixels(farm.onego / "onego" / name)), name
    pictures, sound = decoded(farm.bundle / "output" / "film.mp4")
    wanted_pictures, wanted_sound = decoded(farm.onego / "film.mp4")
    assert len(np.unique(pictures.reshape(len(pictures), -1), axis=0)) == len(FRAMES), "the film stands still"
    assert np.array_equal(pictures, wanted_pictures)
    assert np.array_equal(sound, wanted_sound)


def test_a_worker_whose_files_were_changed_is_stopped_with_their_names(farm: Farm, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(farm.bundle, bundle, ignore=shutil.ignore_patterns("output"))
    network = bundle / "files" / "a network.safetensors"
    network.write_bytes(network.read_bytes()[:-1])
    (bundle / "files" / "a song.ogg").unlink()
    other = Farm(bundle, farm.onego, farm.blender, farm.environment)
    status, output = other.run(other.tasks()["Check"])
    assert status == 1
    assert "a network.safetensors has" in output
    assert "a song.ogg is not in the bundle" in output
    assert not (bundle / "output").exists()


def test_a_frame_that_fails_ends_its_task_and_leaves_no_stripes(farm: Farm, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(farm.bundle, bundle, ignore=shutil.ignore_patterns("output"))
    (bundle / "files" / "a network.safetensors").write_bytes(b"no network")  # after the check
    other = Farm(bundle, farm.onego, farm.blender, farm.environment)
    status, output = other.run(other.tasks()["Render 40"])
    assert status == 1
    assert "a network.safetensors" in output
    assert list((bundle / "output" / "frames").glob("*.png")) == []


def test_a_worker_that_paints_otherwise_or_into_results_of_another_job_makes_no_frame(
    farm: Farm, tmp_path: Path
) -> None:
    output = tmp_path / "results"
    output.mkdir()
    task = farm.tasks()["Render 40"]
    command = [*task.commands[0], "--output", str(output), "--thorough"]
    np.save(output / "reference.npy", np.zeros((96 * 64, 3), np.uint8))
    status, said = farm.run(Task("another picture", (tuple(command),), ()))
    assert status == 1
    assert "picture differs from the first machine's" in said
    np.save(output / "reference.npy", np.zeros((96 * 64, 3), object), allow_pickle=True)
    status, said = farm.run(Task("no picture", (tuple(command),), ()))
    assert status == 1
    assert "reference.npy cannot be read" in said
    (output / "reference.npy").unlink()
    (output / "job.txt").write_text("another")
    status, said = farm.run(Task("another job", (tuple(command[:-1]),), ()))
    assert status == 1
    assert "holds results of another job" in said
    assert not (output / "frames").exists()


def test_a_job_type_script_refuses_what_is_no_bundle(tmp_path: Path) -> None:
    if not node():
        pytest.skip("there is no Node here")
    job = tmp_path / "job.json"
    for settings, words in (
        ({"blendfile": "/shared/shot.blend", "frames": "1-10"}, "Submit to Farm"),
        ({"blendfile": "/shared/film.blend", "frames": "1-10", "chunk_size": 0}, "1 or more"),
    ):
        job.write_text(json.dumps({"settings": settings}), encoding="utf-8")
        with pytest.raises(RuntimeError, match=words):
            compiled(SCRIPT, job)
