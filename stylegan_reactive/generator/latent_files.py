# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of latents: what projectors, other programs and we ourselves save. ``.npy``, ``.npz``, ``.safetensors``.

Only arrays of plain numbers are read: nothing in a file is ever run, and nothing larger than `LARGEST_ARRAY` is
unpacked. What kind a file is is read off its first bytes; its ending does not matter.
"""

from __future__ import annotations

import io
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .. import archives
from ..errors import CheckpointError
from ..files import write_whole
from .base import Generator

FORMAT = "stylegan_reactive.ws.1"
LARGEST_ARRAY = 1 << 30  # bytes that an array may take
SMALL = 1 << 24  # bytes that any array may be unpacked to
MOST_PACKED = 20  # times; numbers of a network are noise, of which hardly a tenth can be saved
# Under which names archives hold what is wanted, the likeliest first; where there is but one array, its name does not
# matter. ("w" is what NVIDIA's projector writes, "ws" what we do.)
W_NAMES = ("w", "ws", "dlatents", "latents")
Z_NAMES = ("z", "zs", "latents")
DIRECTION_NAMES = ("directions", "direction", "vectors", "w", "ws")
# What numpy and the archives that it reads meet in a damaged file.
FILE_ERRORS = (
    SafetensorError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    lzma.LZMAError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def save_ws(ws: Tensor, path: str | Path) -> None:
    """Write ws [batch, num_ws, w_dim] as ``.npy``, or as ``.safetensors``."""
    path, ws = Path(path), ws.detach().to("cpu", torch.float32).contiguous()
    try:
        if path.suffix == ".npy":
            data = io.BytesIO()
            np.save(data, ws.numpy(), allow_pickle=False)
            write_whole(path, data.getvalue())
        else:
            write_whole(path, save({"ws": ws}, {"format": FORMAT}))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The latents cannot be written to {path} ({error}). Choose another place.") from error


def load_ws(path: str | Path, generator: Generator) -> Tensor:
    """Read ws for a generator: ours, or another projector's.

    Returns
    -------
    Tensor
        [batch, num_ws, w_dim]. One w is repeated for all layers.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another kind, or its latents do not fit the generator.
    """
    ws = load_latents(path, "w", generator)
    if ws.shape[1] not in (1, generator.num_ws):
        raise CheckpointError(
            f"{path} holds latents of {ws.shape[1]} layers; this network has {generator.num_ws}. They are another "
            "network's: choose another file."
        )
    return ws.expand(-1, generator.num_ws, -1).contiguous().to(generator.device)


def load_latents(path: str | Path, space: str, generator: Generator) -> Tensor:
    """Read the latents of a file, as a list, for a generator of any depth.

    Parameters
    ----------
    space : "w" or "z"
        "w": ``[w_dim]``, ``[count, w_dim]`` or ``[count, layers, w_dim]``; but ``[layers, w_dim]`` with just as many
        layers as the generator has is one w for each of them, as some projectors write it. "z": ``[z_dim]``,
        ``[count, z_dim]`` or ``[count, 1, z_dim]``.

    Returns
    -------
    Tensor
        On the CPU, float32. "w": [count, layers, w_dim], with 1 layer where one w is meant for all of them, else with
        as many as the file has, whatever the generator's depth. "z": [count, z_dim].

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another kind, or its latents are of another width.
    """
    width = generator.z_dim if space == "z" else generator.w_dim
    found = read_rows(path, Z_NAMES if space == "z" else W_NAMES, width, space)
    if space == "z":
        if found.ndim == 3 and found.shape[1] != 1:
            raise CheckpointError(
                f"{path} holds latents of {found.shape[1]} layers, but a z has none. "
                "If they are w, choose W as the space of this file."
            )
        return found.reshape(-1, width)
    if found.ndim == 2 and len(found) == generator.num_ws:
        return found[None]
    return found.reshape(-1, found.shape[1] if found.ndim == 3 else 1, width)


def load_directions(path: str | Path, generator: Generator) -> Tensor:
    """Read directions of w: ``[w_dim]``, ``[count, w_dim]`` or ``[count, layers, w_dim]``.

    Returns
    -------
    Tensor
        [count, 1 or layers, w_dim], on the CPU, float32.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another kind, or its directions are of another width.
    """
    found = read_rows(path, DIRECTION_NAMES, generator.w_dim, "w")
    return found.reshape(-1, found.shape[1] if found.ndim == 3 else 1, generator.w_dim)


def read_rows(path: str | Path, names: Sequence[str], width: int, space: str) -> Tensor:
    """An array whose last dimension is `width`, of one to three dimensions, none of them empty, all numbers finite."""
    path = Path(path)
    try:
        found = read_array(path, names)
        check_size(math.prod(found.shape) * 4)
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            numbers = np.array(found, dtype=np.float32) if found.dtype.kind == "f" else None
    except FILE_ERRORS as error:
        raise CheckpointError(
            f"{path} cannot be read as latents ({error}). Choose a .npy, .npz or .safetensors file of {space}."
        ) from error
    if numbers is None or not 1 <= found.ndim <= 3 or found.shape[-1] != width or 0 in found.shape:
        raise CheckpointError(
            f"{path} holds an array of shape {list(found.shape)} ({found.dtype}); this network takes {space} of width "
            f"{width}. They are another network's: choose another file."
        )
    rows = torch.from_numpy(numbers)
    if not bool(rows.isfinite().all()):
        raise CheckpointError(f"{path} holds latents that are not finite numbers. Choose another file.")
    return rows


def read_array(path: Path, names: Sequence[str]) -> np.ndarray:
    """The array of one of these names, or the only one, in a file; one of FILE_ERRORS if there is none."""
    with path.open("rb") as file:
        beginning = file.read(9)
    if beginning[4:] == b"\0\0\0\0{":  # as `checkpoint.load_generator` knows it
        with safe_open(str(path), framework="pt", device="cpu") as tensors:
            name = wanted_name(list(tensors.keys()), names)
            check_size(math.prod(tensors.get_slice(name).get_shape()) * 4)  # before any of it is read
            tensor = tensors.get_tensor(name)
            array: np.ndarray = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
            return array
    if beginning[:2] != b"PK":
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    with archives.opened(path, packed=True) as archive:
        arrays = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        entry = archive.getinfo(arrays[wanted_name(list(arrays), names)])
        check_size(entry.file_size)
        if entry.file_size > SMALL + MOST_PACKED * entry.compress_size:
            raise ValueError(f"its array is packed from {entry.file_size} bytes into {entry.compress_size}")
        with archive.open(entry) as file:
            return np.lib.format.read_array(file, allow_pickle=False)  # type: ignore[no-any-return]


def check_size(size: int) -> None:
    """Refuse an array of more bytes than `LARGEST_ARRAY`."""
    if size > LARGEST_ARRAY:
        raise ValueError(f"its array takes {size} bytes, at most {LARGEST_ARRAY} are read")


def wanted_name(there: Sequence[str], names: Sequence[str]) -> str:
    """The first of some names that is there, or the only one that is."""
    for name in names:
        if name in there:
            return name
    if len(there) == 1:
        return there[0]
    raise ValueError(f"it has {', '.join(there) or 'nothing'}, but none of {', '.join(names)}")
