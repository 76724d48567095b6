# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading any generator file, and writing our own: safetensors with the architecture as JSON in the metadata.

safetensors (https://github.com/huggingface/safetensors) holds tensors and strings and nothing that could be run. Other
files are read as plain data (`unpickle`) and by the readers in `formats`. What a file is, its content tells, never its
name. It is believed in nothing: the architecture is checked first, then the name and shape of every tensor against what
that architecture needs, then the values. Until all of that has passed, no memory for the network has been taken.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..builtin_networks import BUILTIN, DEFAULT, find_builtin, known_builtins
from ..errors import CheckpointError
from ..files import write_whole
from .architectures import ARCHITECTURES, build, config_from_json, config_to_json
from .base import Generator
from .formats import READERS
from .formats.tensors import Reading, expected_shapes, is_finite
from .unpickle import DATA_ERRORS, described, read_pickle

FORMAT = "stylegan_reactive.generator"
FORMAT_VERSION = "1"
LARGEST_HALF = torch.finfo(torch.float16).max
FLOATING_TYPES = ("F16", "BF16", "F32", "F64")
AVERAGED_SAMPLES = 4096
KNOWN_KINDS = (
    "NVIDIA's .pkl of StyleGAN 1, 2, 2-ADA and 3, .pt and .pth files of their PyTorch ports, and .safetensors files "
    "that this extension wrote"
)
# How files begin that are often taken for networks, and what to do about it.
OTHER_KINDS = (
    (b"version https://git-lfs", "is only a pointer to a large file, as git leaves it; run `git lfs pull` to fetch it"),
    (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it first"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it first"),
    (b"Rar!", "is a RAR archive; unpack it first"),
    (b"\x89HDF", "is an HDF5 file, which holds no network that we know"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
    (b"\x93NUMPY", "is a numpy array, not a network"),
)


def builtin_checkpoint(name: str = DEFAULT) -> Path:
    """The file of a generator that comes with the extension, such as ``"silk"`` (made by the scripts in ``tools/``).

    Raises
    ------
    CheckpointError
        If there is none of this name.
    """
    network = find_builtin(f"{BUILTIN}:{name}")
    if network is None:
        raise CheckpointError(f'There is no built-in network "{name}". Choose one of {known_builtins()}.')
    return network.path


def load_generator(
    path: str | Path, device: str | torch.device = "cpu", *, cache_folder: str | Path | None = None
) -> Generator:
    """Read a generator from a file, without running anything from it.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file written by `save_generator`, a pickle of NVIDIA's (PyTorch or TensorFlow), or a file
        of one of the PyTorch ports.
    device : str or torch.device
        Where the generator is to live and compute, in single precision.
    cache_folder : str, Path or None
        Where ``generator.tools`` may keep what takes long to find out about a network; None: nowhere.

    Raises
    ------
    CheckpointError
        With file, tensor and what was expected, if the file is missing, damaged, of another kind, or does not hold
        exactly the tensors of the architecture that it names, with finite values.
    """
    path = Path(path)
    beginning = read_beginning(path)
    if beginning[4:9] == b"\0\0\0\0{":  # the header's length in 8 bytes, then the header
        generator = load_safetensors(path)
    else:
        check_kind(path, beginning)
        generator = complete(path, read_foreign(path))
    generator.checkpoint = path
    generator.cache_folder = None if cache_folder is None else Path(cache_folder)
    return generator.to(device)


def read_beginning(path: Path) -> bytes:
    """The first bytes of a file that must be one."""
    try:
        if not path.exists():
            raise CheckpointError(f"There is no generator file at {path}. Choose an existing file.")
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder. Choose the network file in it.")
        if not path.is_file():
            raise CheckpointError(f"{path} is no ordinary file. Choose a network file.")
        with path.open("rb") as file:
            beginning = file.read(512)
    except OSError as error:
        raise CheckpointError(
            f"The generator file {path} cannot be opened ({error.strerror or error}). Allow reading it, or choose "
            "another file."
        ) from error
    if not beginning:
        raise CheckpointError(f"The generator file {path} is empty. Copy or download it again.")
    return beginning


def check_kind(path: Path, beginning: bytes) -> None:
    """Name files that are often mistaken for networks."""
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body", b"<script")):
        raise CheckpointError(
            f"{path} is a web page, not a network: the download gave a page instead of the file. Open it in a browser "
            "to read why (a limit, a login, a question), and download the file again."
        )
    for sign, meaning in OTHER_KINDS:
        if beginning.startswith(sign):
            raise CheckpointError(f"{path} {meaning}. Choose a network file: {KNOWN_KINDS}.")


def load_safetensors(path: Path) -> Generator:
    """A file of our own."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            generator_class, config = read_config(path, file.metadata())
            expected = expected_shapes(generator_class, config)
            check_header(path, file, expected)
            state = {name: read_tensor(path, file, name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a safetensors file ({error}). It is cut short, damaged or of another kind: "
            f"it has {path.stat().st_size} bytes. Copy or download it again, or choose another file."
        ) from error
    return build(generator_class, config, state)


def read_foreign(path: Path) -> Reading:
    """Any other file, by the first reader that recognises it."""
    data = read_pickle(path)
    try:
        for reader in READERS:
            if reader.recognise(data):
                return reader.read(data, path)
    except CheckpointError:
        raise
    except DATA_ERRORS as error:  # wrong kinds of values where a reader looked for others
        raise CheckpointError(
            f"{path} looks like a network, but its description cannot be used ({str(error)[:300]}). Copy or download "
            "it again, or choose another file."
        ) from error
    raise CheckpointError(
        f"{path} holds {described(data)}, and none of the networks that we know: {KNOWN_KINDS}. Choose another file."
    )


def complete(path: Path, reading: Reading) -> Generator:
    """The generator of a reading, its average w computed if the file has none."""
    try:
        expected = expected_shapes(reading.generator_class, reading.config)
    except ValueError as error:
        raise CheckpointError(f"{path} describes an impossible network ({error}). Choose another file.") from error
    state = dict(reading.state)
    averaged = "mapping.w_avg" in state
    if not averaged:
        state["mapping.w_avg"] = torch.zeros(expected["mapping.w_avg"])
    for name in sorted(expected.keys() ^ state.keys()):
        problem = "lacks" if name in expected else "has no place for"
        raise CheckpointError(f"{path}: the network {problem} the tensor {name}. It is a variant that we do not know.")
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise CheckpointError(
                f"{path}: tensor {name} has shape {list(state[name].shape)}; {list(shape)} was expected. "
                "Choose another file."
            )
        check_finite(path, name, state[name])  # a conversion may have left what single precision can hold
    generator = build(reading.generator_class, reading.config, state)
    if not averaged:
        generator.mapping.w_avg.copy_(average_w(generator))
        check_finite(path, "mapping.w_avg", generator.w_avg)
    return generator


@torch.no_grad()
def average_w(generator: Generator) -> Tensor:
    """The mean w of many seeded z, of all classes alike.  [w_dim]"""
    random = np.random.RandomState(0)
    z = torch.from_numpy(random.standard_normal((AVERAGED_SAMPLES, generator.z_dim)).astype(np.float32))
    total = torch.zeros(generator.w_dim, dtype=torch.float64)
    for start in range(0, AVERAGED_SAMPLES, 256):
        c = None
        if generator.c_dim:
            c = F.one_hot(torch.arange(start, start + 256) % generator.c_dim, generator.c_dim).float()
        total += generator.mapping(z[start : start + 256], c)[:, 0].double().sum(dim=0)
    return (total / AVERAGED_SAMPLES).float()


def convert(source: str | Path, target: str | Path, *, half: bool = True) -> Generator:
    """Write any generator file as one of our own; `half` stores 16 instead of 32 bits per value.

    Raises
    ------
    CheckpointError
        If the source cannot be read, or the target cannot be written (see `save_generator`).
    """
    generator = load_generator(source)
    save_generator(generator, target, half=half)
    return generator


def save_generator(generator: Generator, path: str | Path, *, half: bool = True) -> None:
    """Write a generator to a file that `load_generator` reads; `half` stores 16 instead of 32 bits per value.

    The file is either written as a whole or stays as it was.

    Raises
    ------
    CheckpointError
        If a value is not finite or too large for 16 bits where they are asked for, or the file cannot be written.
    """
    dtype = torch.float16 if half else torch.float32
    state = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in generator.state_dict().items()}
    for name, tensor in generator.state_dict().items():
        check_finite(Path(path), name, tensor)
        if not is_finite(state[name]):
            raise CheckpointError(
                f"{path}: tensor {name} has the value {float(tensor.abs().max()):.6g}, and 16 bits hold none above "
                f"{LARGEST_HALF:.0f}. Keep 32 bits per value: convert with --full, save with half=False."
            )
    metadata = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "architecture": generator.architecture,
        "config": config_to_json(generator.config),
    }
    try:
        write_whole(Path(path), in_order(save(state, metadata)))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The generator cannot be written to {path} ({error}). Choose another place.") from error


def in_order(data: bytes) -> bytes:
    """The same safetensors file with a sorted header; the library's order of metadata is another one at each call.

    A file begins with the header's length (8 bytes, little endian) and the header, JSON filled up with spaces.
    """
    (length,) = struct.unpack("<Q", data[:8])
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def read_config(path: Path, metadata: dict[str, str] | None) -> tuple[type[Generator], Any]:
    """The architecture that the metadata names."""
    metadata = metadata or {}
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file, but not a generator of ours: its metadata has format "
            f'"{metadata.get("format", "nothing")}" where "{FORMAT}" was expected. Choose another file.'
        )
    if metadata.get("version") != FORMAT_VERSION:
        raise CheckpointError(
            f'{path} has version "{metadata.get("version")}" of the generator format; this extension reads version '
            f"{FORMAT_VERSION}. Update the extension, or choose another file."
        )
    generator_class = ARCHITECTURES.get(metadata.get("architecture", ""))
    if generator_class is None:
        raise CheckpointError(
            f'{path} holds a generator of architecture "{metadata.get("architecture")}"; '
            f"this extension knows {', '.join(ARCHITECTURES)}. Choose another file."
        )
    try:
        return generator_class, config_from_json(generator_class.config_class, metadata.get("config", ""))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise CheckpointError(
            f'{path} describes its architecture wrongly: "config" in its metadata is not a '
            f"{generator_class.__name__} ({error}). Copy or download it again, or choose another file."
        ) from error


def check_header(path: Path, file: Any, expected: dict[str, tuple[int, ...]]) -> None:
    """The names, shapes and types that the file declares, against those that its architecture needs."""
    found = set(file.keys())
    missing = sorted(expected.keys() - found)
    if missing:
        raise CheckpointError(
            f"{path} lacks {len(missing)} of {len(expected)} tensors, first {missing[0]} "
            f"{list(expected[missing[0]])}. Copy or download it again, or choose another file."
        )
    surplus = sorted(found - expected.keys())
    if surplus:
        raise CheckpointError(
            f"{path} holds {len(surplus)} tensors that its architecture has no place for, first {surplus[0]}. "
            "The file does not match its description; choose another one."
        )
    for name, shape in expected.items():
        entry = file.get_slice(name)
        if tuple(entry.get_shape()) != shape:
            raise CheckpointError(
                f"{path}: tensor {name} has shape {list(entry.get_shape())}; {list(shape)} was expected. "
                "The file does not match its description; choose another one."
            )
        if entry.get_dtype() not in FLOATING_TYPES:
            raise CheckpointError(
                f"{path}: tensor {name} holds values of type {entry.get_dtype()}; "
                f"one of {', '.join(FLOATING_TYPES)} was expected. Choose another file."
            )


def read_tensor(path: Path, file: Any, name: str) -> Tensor:
    """One tensor in single precision, its values checked."""
    tensor = file.get_tensor(name).to(torch.float32, copy=True)
    check_finite(path, name, tensor)
    return tensor


def check_finite(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse NaN and infinity."""
    if not is_finite(tensor):
        raise CheckpointError(
            f"{path}: tensor {name} has values that are not finite numbers (NaN or infinity). "
            "The network is damaged; choose another file."
        )
