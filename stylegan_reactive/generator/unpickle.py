# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading pickles and PyTorch files without running anything from them.

A pickle is a program: it names functions and calls them. Ours is run by a machine (`pickle_machine`) that only builds
plain data. The few globals that network files need have stand-ins of our own, picked by their exact module and name
from one table; every other one, a harmless optimiser or ``os.system``, becomes an inert `PlainObject` that remembers
what it was called and given. Nothing named in a file is ever imported, and no network is built of inert data: the
readers in `formats` ask for tensors and numbers.

NVIDIA's pickles bring the source code of their modules along. It is dropped: a module becomes a `PersistentObject`, its
class's name and its attributes.

Large strings are views of the mapped file, and so are tensors where they lie evenly in memory, so reading takes the
file's size once, plus what has to be moved, which is at most about the file's size again.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError
from .pickle_machine import Budget, Known, PickleError, PickleMachine, PlainGlobal, PlainObject
from .pickled_arrays import (
    StorageType,
    array_globals,
    rebuild_parameter,
    rebuild_tensor,
    rebuild_typed_tensor,
    storage_globals,
)
from .torch_files import LEGACY_MAGIC, LegacyFile, ZipArchive, load_from_bytes

__all__ = ["PersistentObject", "PlainObject", "read_pickle"]

# What the machine and the stand-ins meet in damaged data; a bug of ours among these is a refused file, not a crash.
DATA_ERRORS = (
    ArithmeticError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)
BYTES_PER_ENTRY = 100  # of a dictionary


def described(data: Any) -> str:
    """What plain data are, in few words, for a message."""
    if isinstance(data, dict):
        names = [key[:40] for key in data if isinstance(key, str)][:6]
        return f"a dictionary with {len(data)} entries ({', '.join(names)}{', ...' if len(data) > len(names) else ''})"
    if isinstance(data, list | tuple):
        kinds = [described(value) if not isinstance(value, dict | list | tuple) else "others" for value in data[:3]]
        return f"a sequence of {len(data)} ({', '.join(kinds)})"
    if isinstance(data, PersistentObject):
        return f"a {data.class_name[:60]}"
    if isinstance(data, PlainObject):
        return f"an object of {data.module[:60]}.{data.name[:60]}"
    return f"a {type(data).__name__}"


class PersistentObject:
    """A module out of an NVIDIA PyTorch pickle.

    Attributes
    ----------
    class_name : str
        The name of its class, without the module.
    state : dict
        Its attributes: ``_parameters``, ``_buffers``, ``_modules`` and plain ones.
    """

    def __init__(self, class_name: str, state: dict[str, Any]) -> None:
        self.class_name = class_name
        self.state = state

    def __repr__(self) -> str:
        return f"<{self.class_name} of a persistence pickle>"


def persistent_object(meta: Any) -> PersistentObject:
    """The stand-in for torch_utils.persistence._reconstruct_persistent_obj."""
    if not isinstance(meta, dict) or not isinstance(meta.get("class_name"), str):
        raise PickleError("it has a module without the name of its class")
    state = meta.get("state")
    if not isinstance(state, dict):
        raise PickleError(f"it has a module {meta['class_name'][:80]} without its attributes")
    return PersistentObject(meta["class_name"], state)


class PlainStandIns:
    """Stand-ins for Python's own containers; all that they copy is taken from a budget."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def dictionary(self, *args: Any) -> dict[Any, Any]:
        """For OrderedDict, EasyDict and dict, which Python 2 calls with a list of pairs."""
        if not args:
            return {}
        (pairs,) = args
        if isinstance(pairs, dict):
            pairs = list(pairs.items())
        if not isinstance(pairs, list | tuple) or not all(isinstance(pair, list | tuple) for pair in pairs):
            raise PickleError("it has a dictionary that is not made of pairs")
        self.budget.spend(BYTES_PER_ENTRY * len(pairs))
        machine = PickleMachine(memoryview(b""), self.budget)
        result: dict[Any, Any] = {}
        machine.push(result)
        machine.set_items([part for key, value in pairs for part in (key, value)])
        return result

    def default_dictionary(self, *args: Any) -> dict[Any, Any]:
        """For defaultdict: without its default."""
        return {}

    def encode(self, text: Any, encoding: Any = None) -> bytes:
        """For _codecs.encode, which protocol 2 uses for bytes."""
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise PickleError("it asks for an encoding that no bytes are written in")
        self.budget.spend(len(text))
        return text.encode("latin-1")

    def byte_string(self, *args: Any) -> bytes | memoryview:
        """For bytes and bytearray: of nothing, of bytes, or of a text in latin1."""
        if len(args) == 2:
            return self.encode(*args)
        if args and not isinstance(args[0], bytes | memoryview):
            raise PickleError("it makes bytes of something that is none")
        data: bytes | memoryview = args[0] if args else b""
        return data

    def sequence(self, *args: Any) -> list[Any] | tuple[Any, ...]:
        """For set, frozenset, list, tuple and torch.Size: the list or tuple that it is made of."""
        values = args[0] if args else []
        if not isinstance(values, list | tuple):
            raise PickleError("it makes a list or set of something that is none")
        return values


def rebuild_from_type(rebuild: Any, kind: Any, args: Any, state: Any) -> Any:
    """For torch._tensor._rebuild_from_type_v2 (tensors of a class of their own, or with attributes): a plain tensor."""
    if not isinstance(rebuild, Known) or not isinstance(args, tuple):
        return PlainObject("torch._tensor", "_rebuild_from_type_v2", (rebuild, kind, args, state))
    return rebuild.call(*args)


def reconstruct_object(kind: Any, base: Any = None, state: Any = None) -> Any:
    """For copyreg._reconstructor (objects of protocols 0 and 1): what NEWOBJ would give."""
    if isinstance(kind, PlainGlobal):
        return PlainObject(kind.module, kind.name)
    if isinstance(kind, Known):
        return kind.call()
    raise PickleError("it makes an object of something that is no class")


def allowed_globals(budget: Budget) -> dict[tuple[str, str], Known | StorageType]:
    """The whole table: exact module and name to what stands in."""
    plain = PlainStandIns(budget)
    calls: dict[tuple[str, str], Callable[..., Any]] = {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): persistent_object,
        ("torch.storage", "_load_from_bytes"): load_from_bytes(budget),
        ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v3"): rebuild_typed_tensor,
        ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter,
        ("torch._tensor", "_rebuild_from_type_v2"): rebuild_from_type,
        ("torch", "Size"): plain.sequence,
        ("collections", "OrderedDict"): plain.dictionary,
        ("collections", "defaultdict"): plain.default_dictionary,
        ("dnnlib.util", "EasyDict"): plain.dictionary,
        ("dnnlib", "EasyDict"): plain.dictionary,
        ("_codecs", "encode"): plain.encode,
        **array_globals(budget),
    }
    for module in ("builtins", "__builtin__"):
        calls[module, "dict"] = plain.dictionary
        for name in ("set", "frozenset", "list", "tuple"):
            calls[module, name] = plain.sequence
        for name in ("bytes", "bytearray"):
            calls[module, name] = plain.byte_string
    for module in ("copyreg", "copy_reg"):
        calls[module, "_reconstructor"] = reconstruct_object
    table: dict[tuple[str, str], Known | StorageType] = {name: Known(call) for name, call in calls.items()}
    table.update(storage_globals())
    for dtype in ("float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"):
        table["torch", dtype] = StorageType(getattr(torch, dtype))
    return table


def read_pickle(path: str | Path) -> Any:
    """Plain data out of a pickle, a PyTorch zip archive or an older PyTorch file.

    Returns
    -------
    object
        Dictionaries, lists (also for sets), tuples, numbers and texts; bytes, as views of the file if they are long;
        tensors and numpy arrays, which are views of the file too: copy what is to be changed; `PersistentObject` for
        NVIDIA's modules; `PlainObject` for all else.

    Raises
    ------
    CheckpointError
        If there is no such file, or it is cut short, damaged or not of these kinds.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            # Copy on write: nothing ever goes back into the file, but PyTorch insists on memory that may be written.
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}). Choose an existing network file.") from error
    try:
        return read_stream(path, data)
    except DATA_ERRORS as error:
        reason = str(error) if isinstance(error, PickleError) else f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{path} is no safetensors file, and cannot be read as a pickle or PyTorch file: {reason[:400]}. "
            f"It is cut short, damaged or of another kind: it has {len(data)} bytes. Copy or download it again, or "
            "choose another file."
        ) from error


def read_stream(path: Path, data: memoryview) -> Any:
    """`read_pickle` once the file is open; any of DATA_ERRORS for a bad file."""
    budget = Budget(len(data))
    table = allowed_globals(budget)

    def find(module: str, name: str) -> Any:
        return table.get((module, name)) or PlainGlobal(module, name)

    if bytes(data[:4]) == b"PK\x03\x04":
        return ZipArchive(path, data, budget).read(find)
    machine = PickleMachine(data, budget, find)
    value = machine.run()
    if type(value) is int and value == LEGACY_MAGIC:
        return LegacyFile(data, budget).read(find)
    return value
