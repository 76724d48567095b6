# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory, shared memory and disks that are full, for real where the system lets a test make small ones."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylegan_reactive.engine.client import Engine, FrameRequest
from stylegan_reactive.errors import EngineError
from stylegan_reactive.files import MARK, write_whole
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, save_generator
from stylegan_reactive.generator.mapping import MappingConfig

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable
SMALL = (32, 24)

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of another process")


def network(path: Path, seed: int = 0) -> Path:
    """A tiny network of random weights."""
    torch.manual_seed(seed)
    save_generator(StyleGAN2(StyleGAN2Config(MappingConfig(8, 0, 8, (8, 8)), 32, (8, 8, 8, 8))), path)
    return path


def request(checkpoint: Path, size: tuple[int, int] = SMALL, share: float = 0.5) -> FrameRequest:
    """A picture of the network."""
    layer = {"name": "", "source": {"kind": "static", "latents": "1"}}
    patch = {"version": 2, "checkpoint": str(checkpoint), "latent_layers": [layer]}
    return FrameRequest(patch, {"latent_layers.0.influence.amount": share}, size)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that may run out of memory."""
    engine = Engine(PYTHON, "cpu", tmp_path_factory.mktemp("log"))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network."""
    return network(tmp_path_factory.mktemp("network") / "own.safetensors")


# Memory


@linux
def test_picture_for_which_there_is_no_memory_is_refused_in_words_and_the_next_one_is_right(
    engine: Engine, own: Path
) -> None:
    import resource

    expected = engine.picture(request(own)).copy()
    assert engine.pid is not None
    pid, page = engine.pid, os.sysconf("SC_PAGE_SIZE")
    taken = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * page
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (taken + (100 << 20), before[1]))
    try:
        with pytest.raises(EngineError, match=r"not enough memory.*smaller size or network"):
            engine.picture(request(own, (2400, 2400)))  # 92 MB to share, and as much again to paint it
        np.testing.assert_array_equal(engine.picture(request(own)), expected)
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)
    assert engine.picture(request(own, (2400, 2400))).any()
    assert engine.pid == pid  # nothing had to die for it


# An engine that believes in a graphics card with the memory of a sparrow: its networks are on the processor all the
# time, but as long as its device is called cuda, whatever is painted fails as torch fails there.
SMALL_CARD = """
import runpy, sys
main = sys.argv[2]
runpy.run_path(main, run_name="loaded")["load_package"]()
import torch
from stylegan_reactive import generator
from stylegan_reactive.engine import machine, painting, server
choose, load, paint, serve = machine.choose_device, generator.load_generator, painting.paint, server.Server.frame

machine.choose_device = lambda wanted: choose("cpu") if wanted == "cpu" else (torch.device("cuda"), "Small Card")
generator.load_generator = lambda path, device, **more: load(path, device="cpu", **more)
device = [None]

def frame(self, message, progress):
    device[0] = self.device.type
    return serve(self, message, progress)

def paint_there(*asked):
    if device[0] == "cuda":
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return paint(*asked)

server.Server.frame, painting.paint = frame, paint_there
server.main()
"""


@pytest.fixture
def small_card(tmp_path: Path) -> str:
    """A Python whose engine has that card."""
    (tmp_path / "card.py").write_text(SMALL_CARD)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{PYTHON}" "{tmp_path}/card.py" "$@"\n')
    python.chmod(0o755)
    return str(python)


@pytest.mark.skipif(os.name != "posix", reason="the false Python is a shell script")
def test_card_without_memory_hands_over_to_the_processor_and_says_so(
    small_card: str, engine: Engine, own: Path, tmp_path: Path
) -> None:
    expected = engine.picture(request(own)).copy()
    there = Engine(small_card, "auto", tmp_path)
    try:
        assert there.start().device == "cuda"
        np.testing.assert_array_equal(there.picture(request(own), [request(own, share=0.6)]), expected)
        assert there.report(seconds=0).device == "cpu"
        assert len(there.incidents) == 1
        assert "memory of Small Card is full" in there.incidents[0]
        assert "different by rounding" in there.incidents[0]
    finally:
        there.close()


@pytest.mark.skipif(os.name != "posix", reason="the false Python is a shell script")
def test_card_that_was_chosen_by_name_is_never_left(small_card: str, own: Path, tmp_path: Path) -> None:
    """A farm that asks for one kind of device gets pictures of that kind, or none."""
    there = Engine(small_card, "cuda", tmp_path)
    try:
        with pytest.raises(EngineError, match=r"not enough memory on Small Card.*choose Automatic"):
            there.picture(request(own))
        assert there.report(seconds=0).device == "cuda"
    finally:
        there.close()


# Small disks


@pytest.fixture
def on_small_disk(tmp_path: Path, repository: Path) -> Callable[..., str]:
    """Run a script in which a folder is a disk of its own with so many kilobytes (a tmpfs in a mount namespace)."""
    unshare = shutil.which("unshare")
    trial = [str(unshare), "-rm", "sh", "-c", f"mount -t tmpfs -o size=64k tmpfs '{tmp_path}'"]
    if unshare is None or subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")

    def run(script: str, folder: Path, kilobytes: int, *arguments: object) -> str:
        path = tmp_path / "script.py"
        path.write_text(script)
        mount = f"mount -t tmpfs -o size={kilobytes}k tmpfs '{folder}' && exec \"$@\""
        done = subprocess.run(
            [unshare, "-rm", "sh", "-c", mount, "sh", PYTHON, str(path), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(repository)},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


SHARED_MEMORY = """
import sys
from pathlib import Path
import numpy as np
from stylegan_reactive.engine.client import Engine, FrameRequest
from stylegan_reactive.errors import EngineError
python, checkpoint, folder = sys.argv[1:4]
layer = {"name": "", "source": {"kind": "static", "latents": "1"}}
patch = {"version": 2, "checkpoint": checkpoint, "latent_layers": [layer]}
def request(share, size):
    return FrameRequest(patch, {"latent_layers.0.influence.amount": share}, size)
engine = Engine(python, "cpu", Path(folder))
# One picture of 48 KB fits into the 64 KB, those ahead of it do not.
np.save(folder + "/first.npy", engine.picture(request(0.1, (64, 48)), [request(0.2, (64, 48)), request(0.3, (64, 48))]))
np.save(folder + "/second.npy", engine.picture(request(0.2, (64, 48)), [request(0.3, (64, 48))]))
try:
    engine.picture(request(0.1, (200, 200)))
except EngineError as error:
    print(error)
np.save(folder + "/third.npy", engine.picture(request(0.3, (64, 48))))
engine.close()
print("LEFT", list(Path("/dev/shm").iterdir()))
"""


@linux
def test_full_shared_memory_takes_the_look_ahead_and_no_picture(
    on_small_disk: Callable[..., str], engine: Engine, own: Path, tmp_path: Path
) -> None:
    told = on_small_disk(SHARED_MEMORY, Path("/dev/shm"), 64, PYTHON, own, tmp_path)
    assert "no shared memory left for a picture of 200 x 200" in told
    assert "choose a smaller size" in told
    assert "LEFT []" in told
    for name, share in (("first", 0.1), ("second", 0.2), ("third", 0.3)):
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), engine.picture(request(own, (64, 48), share)))


WRITERS = """
import sys
from pathlib import Path
import numpy as np, torch
from fractions import Fraction
from stylegan_reactive.audio import Analysis
from stylegan_reactive.engine import songs
from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, load_generator, save_generator
from stylegan_reactive.generator.cluster_files import write_entry
from stylegan_reactive.generator.latent_files import save_ws
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.plan import Plan
from stylegan_reactive.generator.rewriting import save_deltas

disk, own = Path(sys.argv[1]), Path(sys.argv[2])
make = {
    "net.safetensors": lambda path, n: save_generator(load_generator(own), path),
    "latents.npy": lambda path, n: save_ws(torch.full((1, 4, 8 * n), 1.0), path),
    "latents.safetensors": lambda path, n: save_ws(torch.full((1, 4, 8 * n), 1.0), path),
    "rewrites.safetensors": lambda path, n: save_deltas({"b4": torch.zeros(8 * n)}, path),
}
caches = {
    "key.analysis.npz": lambda path, n: songs.save(
        Analysis({"kick": np.zeros(n)}, np.zeros(0), np.zeros(0), 120.0, 1.0, Fraction(30), n),
        path.parent,
        "key",
        1 << 30,
    ),
    "plan.json": lambda path, n: Plan({str(i): "direct" for i in range(n)}).save(path),
    "c.safetensors": lambda path, n: write_entry(path, "id", f"k{n}", (0,) * n, np.zeros((1, 4, 4, 3), np.uint8)),
}
for name, write in {**make, **caches}.items():
    write(disk / name, 1)
before = {path.name: path.read_bytes() for path in disk.iterdir()}
assert before.keys() == make.keys() | caches.keys(), before.keys()
filler = disk / "filler"
with open(filler, "wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError:
        pass
for name, write in {**make, **caches}.items():
    try:
        write(disk / name, 3000)
        assert name in caches, name
    except CheckpointError as error:
        assert name in str(error) and "Choose another place" in str(error), error
after = {path.name: path.read_bytes() for path in disk.iterdir() if path != filler}
assert after == before, (after.keys(), [name for name in before if after.get(name) != before[name]])
filler.unlink()
for name, write in {**make, **caches}.items():
    write(disk / name, 30)
    assert name == "net.safetensors" or (disk / name).read_bytes() != before[name], name
print("WHOLE")
"""


@linux
def test_full_disk_leaves_every_file_as_it_was(on_small_disk: Callable[..., str], own: Path, tmp_path: Path) -> None:
    """Networks, latents and rewrites of the artist, and all caches."""
    (tmp_path / "disk").mkdir()
    assert "WHOLE" in on_small_disk(WRITERS, tmp_path / "disk", 256, tmp_path / "disk", own)


SLOW_WRITER = """
import os, sys, time
from pathlib import Path
from stylegan_reactive import files
files.os.fsync = lambda number: (print("WRITING", flush=True), time.sleep(60))
files.write_whole(Path(sys.argv[1]), b"half")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")
def test_what_a_killed_writer_left_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(b"as it was")
    writers = [
        subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert "WRITING" in writer.stdout.readline()
        assert len(list(tmp_path.glob(f".*{MARK}*.part"))) == 2
        assert path.read_bytes() == b"as it was"
        os.kill(writers[0].pid, signal.SIGKILL)
        writers[0].wait(10)
        write_whole(path, b"new")
        assert path.read_bytes() == b"new"
        assert len(list(tmp_path.glob(f".*{MARK}*.part"))) == 1
    finally:
        for writer in writers:
            writer.kill()
            writer.wait(10)
            assert writer.stdout is not None
            writer.stdout.close()
    write_whole(path, b"newer")
    assert {each.name for each in tmp_path.iterdir()} == {"mine.json"}


def test_no_timeout_asks_the_clock_that_somebody_may_set(repository: Path) -> None:
    asked: dict[str, Any] = {
        path.relative_to(repository).as_posix(): path.read_text(encoding="utf-8").count("time.time(")
        for path in (repository / "stylegan_reactive").rglob("*.py")
    }
    # Stems that were begun a day ago and never finished are swept up: files have no other age.
    assert {name for name, count in asked.items() if count} <= {"stylegan_reactive/audio/neural.py"}


def test_torch_without_a_name_for_it_still_tells_that_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before torch 2.5; an error that is met while another is answered leaves Blender without any answer."""
    import torch

    from stylegan_reactive.engine import machine

    full = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    assert machine.is_device_full(full)
    monkeypatch.delattr(torch, "OutOfMemoryError")
    assert machine.is_device_full(full)
    assert not machine.is_out_of_memory(ValueError("another fault"))
