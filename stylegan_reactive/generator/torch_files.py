# SPDX-License-Identifier: GPL-3.0-or-later
"""PyTorch's two containers: the zip archive (``data.pkl`` beside ``data/0``, ``data/1``, ...) and the older stream.

The older one is five pickles (a magic number, a version, the writer's system, the object, the keys of its storages) and
then each storage: its length as 64 bits, and its numbers. It is also what lies inside other pickles for each tensor.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .. import archives
from .pickle_machine import Budget, PickleError, PickleMachine, PlainGlobal
from .pickled_arrays import Storage, StorageType, storage_from, storage_globals

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
LOCAL_HEADER = struct.Struct("<4s5H3L2H")

FindGlobal = Callable[[str, str], Any]


def find_storage_types(module: str, name: str) -> Any:
    """The only globals that a lone storage needs; all others stay inert."""
    return storage_globals().get((module, name)) or PlainGlobal(module, name)


def storage_request(identifier: Any) -> tuple[torch.dtype, str, int]:
    """Type, key and length out of a persistent id ("storage", type, key, device, length)."""
    if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
        raise PickleError("it refers to something outside of itself that is no storage")
    _, kind, key, _, numel, *view = identifier
    if (
        not isinstance(kind, StorageType)
        or not isinstance(key, str)
        or type(numel) is not int
        or not 0 <= numel < 1 << 48
    ):
        raise PickleError("it has a storage of a kind that is not known")
    if any(part is not None for part in view):
        raise PickleError("it has a storage that is a view of another one, as only very old files have")
    return kind.dtype, key, numel


class LegacyFile:
    """The older container.

    Its storages come after the object that needs them, so the object is read twice: first only to learn where it ends
    and which storages it needs.
    """

    def __init__(self, data: memoryview, budget: Budget) -> None:
        self.data = data
        self.budget = budget
        self.kinds: dict[str, tuple[torch.dtype, int]] = {}
        self.storages: dict[str, Storage] = {}

    def read(self, find_global: FindGlobal) -> Any:
        magic, position = self.value(0)
        version, position = self.value(position)
        if magic != LEGACY_MAGIC or version != LEGACY_VERSION:
            raise PickleError("it is not in a version of PyTorch's format that we know")
        system, start = self.value(position)
        if not isinstance(system, dict):
            raise PickleError("it does not tell the system that wrote it")
        skim = self.machine(start, find_storage_types)
        skim.persistent = self.note
        skim.run()
        keys, position = self.value(skim.position)
        if not isinstance(keys, list):
            raise PickleError("it does not list its storages")
        self.read_storages(keys, position, swap=system.get("little_endian") is False)
        machine = self.machine(start, find_global)
        machine.persistent = self.storage
        return machine.run()

    def machine(self, position: int, find_global: FindGlobal = PlainGlobal) -> PickleMachine:
        return PickleMachine(self.data, self.budget, find_global, position=position)

    def value(self, position: int) -> tuple[Any, int]:
        """The pickle at a position, nothing in it known, and where the next one begins."""
        machine = self.machine(position)
        return machine.run(), machine.position

    def note(self, identifier: Any) -> PlainGlobal:
        dtype, key, numel = storage_request(identifier)
        if self.kinds.setdefault(key, (dtype, numel)) != (dtype, numel):
            raise PickleError(f"it describes its storage {key[:40]} in two ways")
        return PlainGlobal("storage", key)

    def storage(self, identifier: Any) -> Storage:
        _, key, _ = storage_request(identifier)
        if key not in self.storages:
            raise PickleError(f"it lacks the storage {key[:40]}")
        return self.storages[key]

    def read_storages(self, keys: list[Any], position: int, *, swap: bool) -> None:
        for key in keys:
            if not isinstance(key, str) or key not in self.kinds:
                raise PickleError("it holds a storage that nothing refers to")
            dtype, expected = self.kinds[key]
            machine = self.machine(position)
            numel = machine.number("<q")
            if numel != expected:
                raise PickleError(f"its storage {key[:40]} has {numel} numbers, not {expected}")
            raw = machine.read(numel * dtype.itemsize)
            self.storages[key] = storage_from(raw, dtype, numel, self.budget, swap=swap)
            position = machine.position


def load_from_bytes(budget: Budget) -> Callable[[Any], Storage]:
    """The stand-in for torch.storage._load_from_bytes: one storage in the older container, and nothing else."""

    def load(data: Any) -> Storage:
        if isinstance(data, str):  # as Python 2 would have written it
            budget.spend(len(data))
            data = data.encode("latin-1")
        if not isinstance(data, bytes | memoryview):
            raise PickleError("it has a storage whose data are not bytes")
        storage = LegacyFile(memoryview(data), budget).read(find_storage_types)
        if not isinstance(storage, Storage):
            raise PickleError("it has something else than numbers where a tensor's storage should be")
        return storage

    return load


class ZipArchive:
    """The newer container, read in place: its entries are stored, never packed."""

    def __init__(self, path: Path, data: memoryview, budget: Budget) -> None:
        self.data = data
        self.budget = budget
        try:
            # A network that somebody packed is told so, by the name of what it packs.
            with archives.opened(path, packed=True) as archive:
                self.entries = {entry.filename: entry for entry in archive.infolist()}
        except archives.ArchiveError as error:
            raise PickleError(f"it begins like a zip archive but cannot be read as one: {error}") from error
        names = [name for name in self.entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(names) != 1:
            raise PickleError(
                "it is a zip archive, but not one of PyTorch's (those hold one data.pkl); if it is a network that "
                "was packed, unpack it first"
            )
        self.root = names[0].removesuffix("data.pkl")
        self.storages: dict[str, tuple[torch.dtype, int, Storage]] = {}

    def read(self, find_global: FindGlobal) -> Any:
        order = bytes(self.content("byteorder")) if self.root + "byteorder" in self.entries else b"little"
        if order not in (b"little", b"big"):
            raise PickleError(f"it has an unknown byte order {order[:20]!r}")
        self.swap = order == b"big"
        machine = PickleMachine(self.content("data.pkl"), self.budget, find_global, self.storage)
        return machine.run()

    def content(self, name: str) -> memoryview:
        """The bytes of an entry, as they lie in the file."""
        entry = self.entries.get(self.root + name)
        if entry is None:
            raise PickleError(f"it lacks the entry {name[:80]}")
        if not archives.is_plain(entry):
            raise PickleError("its entries are compressed, which PyTorch never does; unpack it and save it again")
        begin = entry.header_offset
        if not 0 <= begin <= len(self.data) - LOCAL_HEADER.size:
            raise PickleError(f"it is cut short: the entry {name[:80]} is not there")
        signature, *_, name_length, extra_length = LOCAL_HEADER.unpack_from(self.data, begin)
        begin += LOCAL_HEADER.size + name_length + extra_length
        if signature != b"PK\x03\x04" or begin + entry.file_size > len(self.data):
            raise PickleError(f"it is cut short or damaged at the entry {name[:80]}")
        return self.data[begin : begin + entry.file_size]

    def storage(self, identifier: Any) -> Storage:
        dtype, key, numel = storage_request(identifier)
        if key not in self.storages:
            raw = self.content(f"data/{key}")
            self.storages[key] = (dtype, numel, storage_from(raw, dtype, numel, self.budget, swap=self.swap))
        known_dtype, known_numel, storage = self.storages[key]
        if (known_dtype, known_numel) != (dtype, numel):
            raise PickleError(f"it describes its storage {key[:40]} in two ways")
        return storage
