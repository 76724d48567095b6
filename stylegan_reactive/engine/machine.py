# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine runs on: its packages, its device, its memory. Read as it starts, and for the report."""

import ctypes
import gc
import os
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from multiprocessing import resource_tracker, shared_memory
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import EngineError
from .protocol import LARGEST_SIDE, SHARED_MEMORY

if TYPE_CHECKING:
    import torch

NEEDED = ("numpy", "torch", "scipy", "soundfile", "soxr", "safetensors")
REPORTED = (*NEEDED, "librosa")
# What torch says on Windows and on Linux, the system, and the C++ library; then MPS, CUDA, and CUDA's libraries.
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "Cannot allocate memory", "std::bad_alloc")
DEVICE_FULL = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
OLDEST = {"torch": (2, 1), "numpy": (1, 24)}


def versions() -> dict[str, str]:
    """Versions of the packages that the engine uses, of Python too; "" for one that is not there."""
    found = {"python": platform.python_version()}
    for name in REPORTED:
        try:
            found[name] = metadata.version(name) if find_spec(name) else ""
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def check_packages(found: dict[str, str]) -> None:
    """Raise `EngineError` that names what is missing or too old."""
    missing = [name for name in NEEDED if not found[name]]
    if missing:
        raise EngineError(
            f"The engine's Python, {sys.executable}, has no {' and no '.join(missing)}. Install "
            f"{'it' if len(missing) == 1 else 'them'} there, or choose another in the preferences of this add-on."
        )
    for name, oldest in OLDEST.items():
        version = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in found[name].split(".")[:2])
        if version < oldest:
            raise EngineError(
                f"The engine's Python, {sys.executable}, has {name} {found[name]}, but "
                f"{'.'.join(map(str, oldest))} or later is needed. Update it there with pip."
            )


def choose_device(wanted: str) -> tuple["torch.device", str]:
    """The torch device for ``auto``, ``cpu``, ``cuda`` or ``mps``, and its name for people."""
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    kind = next(kind for kind, found in there.items() if found) if wanted == "auto" else wanted
    if not there.get(kind, False):
        raise EngineError(
            f"The engine found no device of the kind {wanted!r} on this machine. "
            "Choose Automatic or CPU in the preferences of this add-on."
        )
    names = {"cuda": lambda: torch.cuda.get_device_name(), "mps": lambda: "Apple GPU", "cpu": platform.machine}
    return torch.device(kind), names[kind]() or kind.upper()


def checked_size(size: Any) -> tuple[int, int]:
    """Width and height of a picture, as a request has them; raises `EngineError` where they are none."""
    if isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size):
        width, height = size
        if 1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE:
            return width, height
    raise EngineError(f"A picture of {str(size)[:60]} pixels cannot be made. Choose 1 to {LARGEST_SIDE} on each side.")


def next_device(device: "torch.device") -> tuple["torch.device", str] | None:
    """Where to go on when a device has no memory left, and its name; None where there is nothing but this one."""
    return choose_device("cpu") if device.type != "cpu" else None


def attach(name: str) -> shared_memory.SharedMemory:
    """Open the client's shared memory without becoming responsible for its end.

    Before Python 3.13 attaching also registers the block with this process's resource tracker, which would remove it
    from under Blender when the engine stops (CPython issue 82300).

    Raises
    ------
    EngineError
        It is not there, or not a name that `shared_pixels` gives: nothing else on this machine is written to.
    """
    if not isinstance(name, str) or not SHARED_MEMORY.fullmatch(name):
        raise EngineError(f"{str(name)[:60]!r} is no shared memory of Blender's.")
    try:
        return _attached(name)
    except (OSError, ValueError) as fault:
        raise EngineError(f"The shared memory {name} cannot be opened ({fault}). Try again.") from fault


def _attached(name: str) -> shared_memory.SharedMemory:
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name=name, track=False)
    register = resource_tracker.register
    resource_tracker.register = lambda *_: None
    try:
        return shared_memory.SharedMemory(name=name)
    finally:
        resource_tracker.register = register


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether something failed for want of memory; but for CUDA, torch says so by the text of a RuntimeError alone."""
    words = any(words in str(fault) for words in OUT_OF_MEMORY)
    return isinstance(fault, MemoryError) or words or is_device_full(fault)


def is_device_full(fault: BaseException) -> bool:
    """Whether it was the memory of a graphics card that was not enough."""
    torch = sys.modules.get("torch")
    kind = getattr(torch, "OutOfMemoryError", None)  # since torch 2.5; the words are older
    return (kind is not None and isinstance(fault, kind)) or any(words in str(fault) for words in DEVICE_FULL)


def resident_bytes() -> int:
    """Memory that this process takes at the moment; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


def device_bytes() -> int:
    """Memory that this process takes on the graphics card."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.memory_reserved())
    return int(torch.mps.driver_allocated_memory()) if torch.backends.mps.is_available() else 0


def give_back_freed_memory() -> None:
    """Hand to the system what is free in this process; glibc was asked to keep it (see the generator's workspace)."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if sys.platform.startswith("linux"):
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):
            return  # another C library


def held_bytes(root: object, beside: object = None) -> int:
    """Bytes of all tensors and arrays that an object holds, however deep, each memory once.

    Parameters
    ----------
    root
        The object.
    beside
        What is counted elsewhere: neither it nor what only it holds.
    """
    import numpy as np
    import torch

    seen, sizes, waiting = {id(beside)}, {}, [root]
    while waiting:
        here = waiting.pop()
        if id(here) in seen or isinstance(here, ModuleType | type | str | int | float):
            continue
        seen.add(id(here))
        if isinstance(here, torch.Tensor):
            if here.layout == torch.strided:
                storage = here.untyped_storage()
                sizes[storage.data_ptr()] = storage.nbytes()
            else:  # weights that were made ready for the processor's own library
                sizes[id(here)] = here.numel() * here.element_size()
        elif isinstance(here, np.ndarray):
            sizes[here.__array_interface__["data"][0]] = here.nbytes
        if isinstance(here, FunctionType):  # but not its module, which leads everywhere
            waiting += [*(here.__closure__ or ()), here.__defaults__]
        else:
            waiting += gc.get_referents(here)
    return sum(sizes.values())
