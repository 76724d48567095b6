# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker does first: opens the film of a bundle, finds out what this machine has, and compares it with the job.

Two workers of one kind can still differ, in their processors or in torch. So the check of a job paints one picture of
the film and keeps it beside the results; every other worker paints it too, and one whose picture differs by more than
nobody could see stops there. Frames of another job in the folder of the results would come into the film unseen, so
results say whose they are.
"""

import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ..errors import ReactiveError
from ..farm.manifest import BLEND, BundleError, Manifest, changed_files, fingerprint, read_manifest, write_beside
from ..farm.preflight import Problem, Worker, problems, report, room_needed
from . import picture
from .farm_bundle import PACKAGE, addon_version
from .farm_join import encoder_error
from .farm_packing import external_files
from .image_users import images_shown
from .preferences import engine_python
from .properties import settings_of
from .session import session
from .trust import trust

REFERENCE = "reference.npy"
LARGEST_REFERENCE = 1 << 30  # bytes
OWNER = "job.txt"  # whose results these are
INVISIBLE = 1  # levels of 256 by which a picture may differ from the reference


@dataclass(frozen=True)
class Job:
    """A bundle whose film is open in this Blender, and the folder of its results."""

    bundle: Path
    output: Path
    manifest: Manifest
    scene: bpy.types.Scene


def open_job(bundle: Path, output: Path | None = None) -> Job:
    """Open the film of a bundle, where it is not open already; raises `BundleError`."""
    bundle = bundle.resolve()
    manifest = read_manifest(bundle)
    film = bundle / BLEND
    opened = bpy.data.filepath
    if not film.is_file():
        raise BundleError(f"{BLEND} is not in the bundle {bundle}, which should be copied here again.")
    trust.allowed.add(str(film))  # whoever gave the command means this file
    if not opened or Path(opened).resolve() != film:
        bpy.ops.wm.open_mainfile(filepath=str(film), load_ui=False)
    scene: bpy.types.Scene | None = bpy.data.scenes.get(manifest.scene)
    if scene is None:
        raise BundleError(f"The film of the bundle has no scene {manifest.scene!r}. It should be submitted again.")
    return Job(bundle, bundle / "output" if output is None else output.resolve(), manifest, scene)


def missing_files() -> list[str]:
    """Files that the open film names and that are not there."""
    return sorted(str(path) for path in external_files() if not path.exists() and "<UDIM>" not in path.name)


def check_owner(job: Job, *, take: bool = False) -> None:
    """Raise `BundleError` where the results are of another job; `take`: note that they are of this one."""
    path, mine = job.output / OWNER, job.manifest.identity
    try:
        with path.open("rb") as file:
            owner = file.read(200).strip()
    except FileNotFoundError:
        owner = b""
    except OSError as fault:
        raise BundleError(f"{path} cannot be read ({fault.strerror or fault}). Choose another output.") from None
    if owner and owner != mine.encode():
        raise BundleError(
            f"{job.output} holds results of another job, whose frames would come into this film. Choose another "
            "output, or delete that folder."
        )
    if take and not owner:
        try:
            job.output.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise BundleError(
                f"{job.output} cannot be made ({fault.strerror or fault}). Choose another output."
            ) from None
        write_beside(path, mine.encode())


def free_bytes(folder: Path) -> int:
    """Bytes that are free where a folder is or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def worker_here(job: Job, *, files: bool = True, encoder: bool = False) -> Worker:
    """What this machine has. `files`: read the bundle's files and compare them; `encoder`: try to write a film."""
    python = device = name = error = ""
    versions: dict[str, str] = {}
    try:
        python = engine_python()
        hello = session.engine().start()
        device, name, versions = hello.device, hello.device_name, hello.versions
    except ReactiveError as fault:
        error = str(fault)
    return Worker(
        blender=(bpy.app.version[0], bpy.app.version[1]),
        addon=addon_version(),
        fingerprint=fingerprint(PACKAGE),
        python=python,
        engine_error=error,
        device=device,
        device_name=name,
        versions=versions,
        free_bytes=free_bytes(job.output),
        changed=tuple(changed_files(job.bundle, job.manifest.files)) if files else (),
        missing=tuple(missing_files()),
        encoder_error=encoder_error(job.scene, job.manifest) if encoder and job.manifest.film_name else "",
    )


def room_for(job: Job, frames: list[int]) -> int:
    """Bytes that the frames will take which are not there yet."""
    stored = job.manifest.frame_files(job.output)
    missing = stored.missing(frames)
    present = len(frames) - len(missing)
    return room_needed(job.manifest, len(missing), present, stored.bytes_of(frames))


def painting_scenes(scene: bpy.types.Scene) -> list[bpy.types.Scene]:
    """The scenes whose networks paint for a scene, itself among them."""
    shown = images_shown(scene)
    return [
        other
        for other in bpy.data.scenes
        if (image := settings_of(other).image) is not None and (other == scene or image in shown)
    ]


def sample(job: Job) -> np.ndarray:
    """The pictures of the film's middle frame as the engine paints them, bytes [rows, 3], to compare workers by."""
    frames = job.manifest.range.frames()
    frame = frames[len(frames) // 2]
    found = []
    for scene in painting_scenes(job.scene):
        scene.frame_set(frame)
        pixels = picture.picture_at(scene, frame)[..., :3].clip(0.0, 1.0)
        shown = np.where(pixels <= 0.0031308, 12.92 * pixels, 1.055 * pixels ** (1 / 2.4) - 0.055)
        found.append(np.rint(shown * 255).astype(np.uint8).reshape(-1, 3))
    return np.concatenate(found) if found else np.zeros((0, 3), np.uint8)


def compared(job: Job, *, keep: bool) -> list[Problem]:
    """Paint the sample and compare it with the one that the job's check kept; `keep`: it is that check.

    A job for any device only tells by how much its workers differ.
    """
    path = job.output / REFERENCE
    mine = sample(job)
    if not path.is_file():
        if keep:
            data = io.BytesIO()
            np.save(data, mine, allow_pickle=False)
            check_owner(job, take=True)
            write_beside(path, data.getvalue())
        return []
    try:
        with path.open("rb") as file:
            stored = io.BytesIO(file.read(LARGEST_REFERENCE))
        first = np.lib.format.read_array(stored, allow_pickle=False)
    except (OSError, ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return [Problem(f"{path} cannot be read. Delete it and run the job's check again.")]
    if first.shape != mine.shape or first.dtype != mine.dtype:
        return [Problem("This machine paints pictures of another size than the first one. Submit the film again.")]
    away = np.abs(first.astype(np.int16) - mine)
    if not away.any():
        return []
    most, share = int(away.max()), 100 * float((away > 0).any(axis=1).mean())
    text = f"This machine's picture differs from the first machine's by up to {most} of 255 in {share:.2g} % of pixels."
    stops = most > INVISIBLE and bool(job.manifest.device)
    advice = " Use machines of one kind with the same torch, or submit the film again with Any Device." if stops else ""
    return [Problem(text + advice, stops)]


def check(job: Job, *, thorough: bool, keep: bool = False, frames: list[int] | None = None) -> list[str]:
    """The report of a check of this machine.

    Parameters
    ----------
    thorough : bool
        Also compare the bundle's files and paint the sample, and for the whole film try the encoder. The tasks of a
        render do without where the worker's session began with it.
    keep : bool
        Let the sample of this machine be the one that others are compared with.
    frames : list of int, optional
        For which there must be room; None: all of the film.

    Raises
    ------
    BundleError
        Something that stops the job; all of it is named.
    """
    check_owner(job)
    worker = worker_here(job, files=thorough, encoder=thorough and frames is None)
    needed = room_for(job, list(job.manifest.range.frames()) if frames is None else frames)
    found = problems(job.manifest, worker, needed)
    if thorough and not any(problem.stops for problem in found):
        found += compared(job, keep=keep)
    lines = report(job.manifest, worker, found)
    told = "\n  ".join(problem.text for problem in found if problem.stops)
    if told:
        raise BundleError(f"This machine lacks what the job needs. Mend this, or leave the machine out:\n  {told}")
    return lines
