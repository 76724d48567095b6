# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker lacks for a job, said before it renders a frame: a plain comparison of facts with a manifest."""

from dataclasses import dataclass, field

from .manifest import Manifest

DEVICES = {"cpu": "the processor", "cuda": "an NVIDIA or AMD graphics card", "mps": "an Apple graphics processor"}
ROOM_SHARE = 0.7
"""Of a frame's raw pixels that its file takes at most, as pictures of networks pack as PNG; and room to spare."""


@dataclass(frozen=True)
class Problem:
    """Something that stops a job here: what is wrong and what to do. Without `stops` it is only worth knowing."""

    text: str
    stops: bool = True


@dataclass(frozen=True)
class Worker:
    """What a machine has.

    Attributes
    ----------
    blender : (int, int)
        Version of Blender.
    addon, fingerprint : str
        The add-on's version and `manifest.fingerprint` of its code.
    python, engine_error : str
        The Python of the engine, and why the engine does not start; one of them is "".
    device, device_name : str
        The kind that the engine uses, and its name.
    versions : dict of str to str
        Of the engine's packages.
    free_bytes : int
        On the disk of the results.
    changed : tuple of str
        What is wrong with the bundle's files: `manifest.changed_files`.
    missing : tuple of str
        Files that the scene names and that are not there.
    encoder_error : str
        Why Blender cannot write such a film here; "" where it can, or where none is made.
    """

    blender: tuple[int, int]
    addon: str
    fingerprint: str
    python: str = ""
    engine_error: str = ""
    device: str = ""
    device_name: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    free_bytes: int = 0
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    encoder_error: str = ""


def room_needed(manifest: Manifest, missing_frames: int, present: int = 0, present_bytes: int = 0) -> int:
    """Bytes that the missing frames will take: as much as those which are there, else a careful guess."""
    each = present_bytes / present if present else manifest.frame_bytes * ROOM_SHARE
    return int(each * missing_frames)


def problems(manifest: Manifest, worker: Worker, needed_bytes: int = 0) -> list[Problem]:
    """Everything in which a worker does not fit a job; empty: it may begin."""
    found = []
    if worker.blender != manifest.blender:
        here, there = (".".join(map(str, version)) for version in (worker.blender, manifest.blender))
        found.append(
            Problem(f"Blender is version {here} here, but the film was made with {there}. Install Blender {there}.")
        )
    if worker.addon != manifest.addon:
        found.append(
            Problem(
                f"StyleGAN Reactive is version {worker.addon} here, but the film was made with {manifest.addon}. "
                f"Install version {manifest.addon} in this Blender."
            )
        )
    elif worker.fingerprint != manifest.fingerprint:
        found.append(
            Problem(
                f"StyleGAN Reactive {worker.addon} is another build here than where the film was made. "
                "Install the same zip on all machines."
            )
        )
    found += [Problem(text) for text in worker.changed]
    found += [Problem(f"The scene needs {text}, which is not there.") for text in worker.missing]
    if worker.engine_error:
        found.append(Problem(worker.engine_error))
    elif manifest.device and worker.device != manifest.device:
        found.append(
            Problem(
                f"The engine runs on {DEVICES.get(worker.device, worker.device)} here ({worker.device_name}), but this "
                f"job demands {DEVICES.get(manifest.device, manifest.device)}, so that all frames look the same. Leave "
                "this machine out, or submit the film again with Any Device."
            )
        )
    if worker.encoder_error:
        found.append(Problem(worker.encoder_error))
    if worker.free_bytes < needed_bytes:
        found.append(
            Problem(
                f"The frames need about {needed_bytes / 1e9:.1f} GB, but only {worker.free_bytes / 1e9:.1f} GB are "
                "free where the results go. Make room there."
            )
        )
    return found


def report(manifest: Manifest, worker: Worker, found: list[Problem]) -> list[str]:
    """The report of a check as lines of text, problems first."""
    lines = [f"{'STOP' if problem.stops else 'NOTE'}: {problem.text}" for problem in found]
    lines.append(f"Blender {'.'.join(map(str, worker.blender))}, StyleGAN Reactive {worker.addon}")
    if not worker.engine_error:
        packages = ", ".join(f"{name} {version}" for name, version in worker.versions.items() if version)
        lines.append(f"Engine: {worker.device_name} ({worker.device}), {worker.python}")
        lines.append(packages)
    lines.append(f"{len(manifest.files)} files of the bundle compared, {worker.free_bytes / 1e9:.1f} GB free")
    lines.append("This machine can render the film." if not any(p.stops for p in found) else "This machine cannot.")
    return lines
