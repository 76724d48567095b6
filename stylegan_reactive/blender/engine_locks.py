# SPDX-License-Identifier: GPL-3.0-or-later
"""What pip is asked for when the engine is installed: exact versions, and the hashes of the files that may be taken.

``locks/packages.txt`` and ``locks/torch.txt`` name every package with the SHA-256 of each of its files, for all Pythons
and systems (``tools/lock_engine.py`` writes them); pip then takes nothing else, wherever it finds it. Of torch they
hold the build that the package index has for each system: CUDA on Linux, the processor's on Windows, Apple's on a Mac.
``locks/torch-cpu.txt`` has the build for the processor on Linux, as far as its hashes are known. Builds that come from
a source which the artist names (ROCm, CUDA on Windows) have hashes that nobody here has seen: of these the version is
exact, and all other packages are still taken by their hashes.
"""

import platform as system
import sys
from dataclasses import dataclass
from pathlib import Path

LOCKS = Path(__file__).with_name("locks")
PINS = {
    "torch": "2.13.0",
    "scipy": "1.17.1",
    "librosa": "0.11.0",
    "soundfile": "0.14.0",
    "soxr": "1.1.0",
    "safetensors": "0.8.0",
}
"""The versions that the engine is tested with; requirements.lock names the same."""
NUMPY = {(3, 11): "1.26.4"}
NEWER_NUMPY = "2.5.5"
CPU_ON_LINUX = (((3, 11), "x86_64"),)
"""For which Pythons and machines ``torch-cpu.txt`` has the hash."""


@dataclass(frozen=True)
class Step:
    """One run of pip.

    Attributes
    ----------
    arguments : tuple of str
        What it is asked for.
    hashed : bool
        Whether each file that it may take is known by its hash.
    """

    arguments: tuple[str, ...]
    hashed: bool


def requirements(build: str, version: tuple[int, int], platform: str = sys.platform) -> list[str]:
    """The packages that the engine needs by name, each with its exact version; what they bring along is in the locks.

    On Linux the build for the processor has a name of its own (``+cpu``).
    """
    pins = {"numpy": NUMPY.get(version, NEWER_NUMPY), **PINS}
    if build == "cpu" and platform == "linux":
        pins["torch"] += "+cpu"
    return [f"{name}=={pin}" for name, pin in pins.items()]


def steps(
    build: str,
    version: tuple[int, int],
    *,
    named_source: bool = False,
    platform: str = sys.platform,
    machine: str | None = None,
) -> tuple[Step, ...]:
    """The runs of pip that install a build.

    Parameters
    ----------
    build : str
        "cpu", "cuda", "rocm" or "mps".
    version : (int, int)
        Of Python.
    named_source : bool
        Whether the artist has named an address to look at beside pip's own index: torch is then taken from there.
    """
    machine = system.machine() if machine is None else machine
    torch = next(name for name in requirements(build, version, platform) if name.startswith("torch=="))
    is_cpu_on_linux = build == "cpu" and platform == "linux"
    if is_cpu_on_linux:
        lock = "torch-cpu.txt" if (version, machine) in CPU_ON_LINUX else ""
    else:
        lock = "" if named_source or build == "rocm" or (build == "cuda" and platform != "linux") else "torch.txt"
    packages = ("--require-hashes", "-r", str(LOCKS / "packages.txt"))
    if lock:
        return (Step((*packages, "-r", str(LOCKS / lock)), True),)
    return Step(packages, True), Step((torch,), False)
