# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for what builds arrays and tensors in pickles; they accept plain numbers and views inside of their storage.

The real functions are not safe: numpy's ``scalar`` unpickles its argument if the type is "object", ``ndarray`` and
``dtype`` take any state, PyTorch's ``_load_from_bytes`` unpickles freely, and its views are checked by nobody here.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .pickle_machine import Budget, PickleError, PlainObject, Unfinished

NUMBER_TYPES = re.compile(r"[<>=|]?(b1|\?|[iu][1248]|f[248])")
MAX_DIMENSIONS = 16
MAX_ELEMENTS = 1 << 40
STORAGE_TYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape from a file: a short tuple of whole numbers that are not negative."""
    if not isinstance(shape, tuple | list) or len(shape) > MAX_DIMENSIONS:
        raise PickleError("it has an array whose shape is no short list of numbers")
    if not all(type(size) is int and 0 <= size <= MAX_ELEMENTS for size in shape):
        raise PickleError("it has an array with a size that is negative, enormous or no number")
    if math.prod(max(size, 1) for size in shape) > MAX_ELEMENTS:
        raise PickleError(f"it has an array of impossible shape {list(shape)}")
    return tuple(shape)


class NumberType(Unfinished):
    """A numpy dtype; its state tells the byte order."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.dtype = np.dtype(code)

    def finish(self, state: Any) -> NumberType:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise PickleError("it has a number type with a state that no plain number has")
        if any(part is not None for part in state[2:5]):
            raise PickleError("it has a number type with fields or parts; only plain numbers are read")
        self.dtype = self.dtype.newbyteorder(state[1])
        return self


def number_type(*args: Any) -> NumberType | PlainObject:
    """For numpy.dtype: a plain number's type; anything else (objects, texts, records) stays inert."""
    if args and isinstance(args[0], str) and NUMBER_TYPES.fullmatch(args[0]):
        return NumberType(args[0])
    return PlainObject("numpy", "dtype", args)


class ArrayReader:
    """The stand-ins for numpy; all that they copy is taken from a budget."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def raw(self, data: Any) -> memoryview:
        """Bytes from a file; Python 2 wrote them as text."""
        if isinstance(data, str):
            self.budget.spend(len(data))
            data = data.encode("latin-1")
        if not isinstance(data, bytes | memoryview):
            raise PickleError("it has an array whose data are not bytes")
        return memoryview(data)

    def array(self, shape: Any, dtype: NumberType, data: Any, *, fortran: bool) -> np.ndarray:
        """An array in this machine's byte order, a view of the data where that is possible."""
        shape, raw = checked_shape(shape), self.raw(data)
        if len(raw) != math.prod(shape) * dtype.dtype.itemsize:
            raise PickleError(f"it has an array {list(shape)} of {dtype.dtype} with {len(raw)} bytes of data")
        flat = np.frombuffer(raw, dtype.dtype)
        if not (flat.flags.aligned and dtype.dtype.isnative):
            self.budget.spend(len(raw))
            flat = flat.astype(dtype.dtype.newbyteorder("="), copy=True)
        if flat.dtype == np.bool_:
            self.budget.spend(len(raw))
            flat = flat.view(np.uint8) != 0  # any other byte than 0 and 1 would be no value at all
        return flat.reshape(shape, order="F" if fortran else "C")

    def scalar(self, dtype: Any, data: Any = b"") -> bool | int | float | PlainObject:
        """For numpy's scalar: a plain number, as Python's own."""
        if not isinstance(dtype, NumberType):
            return PlainObject("numpy", "scalar", (dtype, data))
        value: bool | int | float = self.array((1,), dtype, data, fortran=False)[0].item()
        return value

    def reconstruct(self, *args: Any) -> UnfinishedArray:
        """For numpy's _reconstruct and an ndarray without data; both come with the state."""
        return UnfinishedArray(self)

    def from_buffer(self, data: Any, dtype: Any, shape: Any, order: Any, *rest: Any) -> np.ndarray | PlainObject:
        """For numpy's _frombuffer (protocol 5)."""
        if rest or not isinstance(dtype, NumberType) or order not in ("C", "F"):
            return PlainObject("numpy", "ndarray", (data, dtype, shape, order, *rest))
        return self.array(shape, dtype, data, fortran=order == "F")


class UnfinishedArray(Unfinished):
    """A numpy array before its state: (version, shape, type, whether Fortran's order, data)."""

    def __init__(self, reader: ArrayReader) -> None:
        super().__init__()
        self.reader = reader

    def finish(self, state: Any) -> np.ndarray | PlainObject:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise PickleError("it has an array whose state is not that of an array")
        shape, dtype, fortran, data = state[-4:]
        if not isinstance(dtype, NumberType):  # objects, texts, records
            inert = PlainObject("numpy", "ndarray")
            inert.state = state
            return inert
        return self.reader.array(shape, dtype, data, fortran=bool(fortran))


class StorageType:
    """A class of PyTorch's storages: what type its numbers have."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class Storage:
    """The numbers that tensors are views of.  values [numel]"""

    def __init__(self, values: Tensor) -> None:
        self.values = values


def storage_from(raw: memoryview, dtype: torch.dtype, numel: int, budget: Budget, *, swap: bool = False) -> Storage:
    """A storage over bytes of the file, copied only if it lies askew in memory or is in another byte order."""
    if numel * dtype.itemsize != len(raw):
        raise PickleError(f"it has a storage of {numel:.6g} numbers of {dtype} with {len(raw)} bytes")
    if numel == 0:
        return Storage(torch.empty(0, dtype=dtype))
    address = np.frombuffer(raw, np.uint8).__array_interface__["data"][0]
    if raw.readonly or swap or address % dtype.itemsize:
        budget.spend(len(raw))
        raw = memoryview(bytearray(raw))
    values = torch.frombuffer(raw, dtype=torch.uint8)
    if swap:
        values = values.view(-1, dtype.itemsize).flip(1).flatten()
    if dtype != torch.bool:
        return Storage(values.view(dtype))
    budget.spend(len(raw))
    return Storage(values != 0)


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """For torch._utils._rebuild_tensor and _rebuild_tensor_v2: a view that is checked to lie inside its storage."""
    if not isinstance(storage, Storage):
        raise PickleError("it has a tensor without a storage")
    size, stride = checked_shape(size), checked_shape(stride)
    if len(size) != len(stride) or type(offset) is not int or not 0 <= offset <= MAX_ELEMENTS:
        raise PickleError(f"it has a tensor {list(size)} with strides {list(stride)} that begins nowhere")
    count = math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) if count else 0
    if count > len(storage.values) or last >= max(len(storage.values), 1):
        raise PickleError(
            f"it has a tensor {list(size)} with strides {list(stride)} from {offset} on that reaches out of its "
            f"storage of {len(storage.values)} numbers"
        )
    return storage.values.as_strided(size, stride, offset if count else 0)


def rebuild_typed_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor | PlainObject:
    """For torch._utils._rebuild_tensor_v3, whose storage is of bytes; (..., requires_grad, hooks, dtype)."""
    dtype = rest[2] if len(rest) > 2 else None
    if not isinstance(storage, Storage) or not isinstance(dtype, StorageType):
        return PlainObject("torch._utils", "_rebuild_tensor_v3", (storage, offset, size, stride, *rest))
    raw = storage.values.view(torch.uint8)
    if len(raw) % dtype.dtype.itemsize:
        raise PickleError(f"it has a storage of {len(raw)} bytes for a tensor of {dtype.dtype}")
    return rebuild_tensor(Storage(raw.view(dtype.dtype)), offset, size, stride)


def rebuild_parameter(data: Any, *rest: Any) -> Any:
    """For torch._utils._rebuild_parameter and _rebuild_parameter_with_state: the tensor itself."""
    return data


@functools.cache  # asked for each global of each tensor
def storage_globals() -> Mapping[tuple[str, str], StorageType]:
    """The names of PyTorch's storage classes."""
    names: dict[tuple[str, str], StorageType] = {}
    for name, dtype in STORAGE_TYPES.items():
        for module in ("torch", "torch.storage", "torch.cuda"):
            names[module, name] = StorageType(dtype)
    return MappingProxyType(names)


def array_globals(budget: Budget) -> dict[tuple[str, str], Callable[..., Any]]:
    """The names of numpy's functions, in numpy 1 and 2, and the stand-ins for them."""
    reader = ArrayReader(budget)
    names: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "dtype"): number_type,
        ("numpy", "ndarray"): reader.reconstruct,
    }
    for package in ("numpy.core", "numpy._core"):
        names[f"{package}.multiarray", "_reconstruct"] = reader.reconstruct
        names[f"{package}.multiarray", "scalar"] = reader.scalar
        names[f"{package}.numeric", "_frombuffer"] = reader.from_buffer
    return names
