# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job bundle holds and what it was made with, as JSON: a worker compares itself with it before it renders.

A bundle is a folder that can be moved or copied anywhere::

    film.blend       the scene; every path in it is relative (//files/song.flac)
    patch.json       the layers as a patch, for people and other programs
    files/           song, network, latents, images
    run.py           what workers start
    manifest.json    this
    template.json    the job for Open Job Description, with parameter_values.json
    flamenco/        the job for Flamenco, and its job type script
    output/          frames/, then the film

What a bundle says of itself may be a lie: no name in it leads out of the folders of the bundle and of its results.
"""

import hashlib
import json
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ..errors import ReactiveError
from ..files import write_whole
from .frames import MOST_FRAMES, FilmRange, FrameFiles

FORMAT = 1
NAME = "manifest.json"
BLEND = "film.blend"
PATCH = "patch.json"
RUN = "run.py"
FILES = "files"
OUTPUT = "output"
OF_THE_FARM = ("template.json", "parameter_values.json", "asset_references.json")  # a farm may fill them in
LARGEST = 1 << 26  # bytes of a manifest: some 300 000 files
ENDING = re.compile(r"(\.\w{1,16})?")


class BundleError(ReactiveError):
    """A job bundle cannot be written or read."""


@dataclass(frozen=True)
class BundledFile:
    """A file of the bundle: its relative path with forward slashes, SHA-256 in hexadecimal, and bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a job is and needs.

    Attributes
    ----------
    name : str
        The film's, without ending.
    addon, fingerprint : str
        Version of the add-on that wrote the bundle, and `fingerprint` of its code.
    blender : (int, int)
        Version of Blender; pictures may differ between those that differ in one of the two.
    device : str
        The kind that every worker must have: ``cpu``, ``cuda`` or ``mps``; "": any, also mixed.
    films : FilmRange
        Which frames, of which scene.
    fps : float
        Frames per second.
    width, height : int
        Pixels of a frame.
    frame_ending, film_name : str
        ``.png`` or whatever the scene renders; "": the frames are the result, and no film is made of them.
    frame_bytes : int
        Of a frame's raw pixels, to know how much room is needed.
    video : str
        Container and codecs for people, such as ``MPEG4 H264 AAC``.
    files : tuple of BundledFile
        All but the manifest and the output.
    """

    name: str
    addon: str
    fingerprint: str
    blender: tuple[int, int]
    device: str
    scene: str
    range: FilmRange
    fps: float
    width: int
    height: int
    frame_ending: str
    film_name: str
    frame_bytes: int
    video: str
    files: tuple[BundledFile, ...] = ()
    notes: tuple[str, ...] = field(default=())
    format: int = FORMAT

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Manifest":
        """From JSON data; raises `BundleError`."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise BundleError(
                "This job bundle was written by another version of the add-on. Submit the film again, or install the "
                "version that wrote it."
            )
        try:
            known = {one.name: data[one.name] for one in fields(cls)}
            manifest = cls(
                **{
                    **known,
                    "blender": (int(data["blender"][0]), int(data["blender"][1])),
                    "range": FilmRange(**data["range"]),
                    "files": tuple(BundledFile(**one) for one in data["files"]),
                    "notes": tuple(map(str, data["notes"])),
                }
            )
            manifest._check()
            return manifest
        except (KeyError, TypeError, ValueError, IndexError) as fault:
            raise BundleError(f"The job bundle's {NAME} is not whole ({fault!r}). Submit the film again.") from None

    def _check(self) -> None:
        """Raise ValueError where a value is of another kind, or a name leads somewhere else."""
        texts = [
            *(self.name, self.addon, self.fingerprint, self.device, self.scene, self.frame_ending, self.film_name),
            *(self.video, *(text for one in self.files for text in (one.path, one.sha256))),
        ]
        counts = [
            *(self.width, self.height, self.frame_bytes, self.range.first, self.range.last, self.range.step),
            *(one.size for one in self.files),
        ]
        if not all(type(text) is str and "\0" not in text for text in texts) or type(self.fps) not in (int, float):
            raise ValueError("a text or number is of another kind")
        if not all(type(count) is int for count in counts):
            raise ValueError("a count is no whole number")
        if self.range.step < 1 or not 0 <= self.range.last - self.range.first < MOST_FRAMES:
            raise ValueError("no such range of frames")
        if ENDING.fullmatch(self.frame_ending) is None or (self.film_name and not _is_name(self.film_name)):
            raise ValueError("a name leads somewhere else")
        if not all(one.path and _stays_inside(one.path) for one in self.files):
            raise ValueError("a file lies outside")

    @property
    def identity(self) -> str:
        """Another for every film that was submitted: results of one are none of another."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def frame_files(self, output: Path) -> FrameFiles:
        """Where the frames lie below the folder of the results."""
        return FrameFiles(output / "frames", self.frame_ending)


def _is_name(text: str) -> bool:
    """Whether a text is the name of a file in a folder, on every system."""
    return text not in (".", "..") and all(kind(text).name == text for kind in (PurePosixPath, PureWindowsPath))


def _stays_inside(text: str) -> bool:
    """Whether a relative path leads nowhere but below its folder, on every system."""
    return all(not kind(text).anchor and ".." not in kind(text).parts for kind in (PurePosixPath, PureWindowsPath))


def write_beside(path: Path, data: bytes) -> None:
    """Write a file so that it is whole or not there; raises `BundleError`."""
    try:
        write_whole(path, data)
    except OSError as fault:
        raise BundleError(
            f"{path} cannot be written ({fault.strerror or fault}). Make room, or choose another place."
        ) from None


def write_json(path: Path, data: Any) -> None:
    """Write JSON for people to read too."""
    write_beside(path, (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_manifest(bundle: Path, manifest: Manifest) -> None:
    """Write ``manifest.json``."""
    write_json(bundle / NAME, asdict(manifest))


def read_manifest(bundle: Path) -> Manifest:
    """Read ``manifest.json``; raises `BundleError`."""
    try:
        with (bundle / NAME).open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError("too long")
        return Manifest.of(json.loads(data.decode("utf-8")))
    except OSError as fault:
        raise BundleError(f"{bundle} is no job bundle: {NAME} cannot be read ({fault.strerror}).") from None
    except (ValueError, RecursionError, MemoryError):
        raise BundleError(f"The job bundle's {NAME} is not whole. Submit the film again.") from None


def checksum(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file in hexadecimal; `progress` is told of each piece's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            if progress is not None:
                progress(len(piece))
    return digest.hexdigest()


def bundled_files(bundle: Path) -> tuple[BundledFile, ...]:
    """Checksums of everything that the film is made from: not the manifest, the farm's job, and the results."""
    found = []
    for path in sorted(bundle.rglob("*")):
        name = path.relative_to(bundle).as_posix()
        if path.is_file() and name not in (NAME, *OF_THE_FARM) and not name.startswith((f"{OUTPUT}/", "flamenco/")):
            found.append(BundledFile(name, checksum(path), path.stat().st_size))
    return tuple(found)


def changed_files(bundle: Path, files: Iterable[BundledFile]) -> list[str]:
    """What is wrong with the files of a bundle on this machine, one sentence each."""
    wrong = []
    for one in files:
        path = bundle / one.path
        try:
            status = path.stat()
            size = status.st_size
            if not stat.S_ISREG(status.st_mode):
                wrong.append(f"{one.path} is no file on this machine. Copy the bundle here again.")
            elif size != one.size:
                wrong.append(f"{one.path} has {size} bytes instead of {one.size}. Copy the bundle here again.")
            elif checksum(path) != one.sha256:
                wrong.append(f"{one.path} was changed since the film was submitted. Copy the bundle here again.")
        except FileNotFoundError:
            wrong.append(f"{one.path} is not in the bundle on this machine. Copy the bundle here again.")
        except OSError as fault:
            wrong.append(f"{one.path} cannot be read on this machine ({fault.strerror or fault}).")
    return wrong


def fingerprint(package: Path) -> str:
    """A short name for an add-on's code and networks: the same wherever they are, whatever their line ends."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package).as_posix()
        if path.suffix in (".py", ".json", ".safetensors"):
            data = path.read_bytes()
            text = data.replace(b"\r\n", b"\n") if path.suffix != ".safetensors" else data
            digest.update(name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()[:16]
