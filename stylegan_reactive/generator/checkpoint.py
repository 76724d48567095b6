# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing our own generator files: safetensors with the architecture as JSON in the metadata.

safetensors (https://github.com/huggingface/safetensors) holds tensors and strings and nothing that could be run. A file
is believed in nothing: its architecture is checked first, then the name and shape of every tensor against what that
architecture needs, then the values. Until all of that has passed, no memory for the network has been taken.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import CheckpointError
from .layers import filter_kernel
from .mapping import MappingConfig
from .stylegan2 import StyleGAN2, StyleGAN2Config

FORMAT = "stylegan_reactive.generator"
FORMAT_VERSION = "1"
FLOATING_TYPES = ("F16", "BF16", "F32", "F64")


def builtin_checkpoint() -> Path:
    """The generator that comes with the extension (made by ``tools/make_generator.py``)."""
    return Path(__file__).resolve().parent.parent / "assets" / "generator.safetensors"


def load_generator(path: str | Path, device: str | torch.device = "cpu") -> StyleGAN2:
    """Read a generator from a file.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file written by `save_generator`, with weights in half or single precision.
    device : str or torch.device
        Where the generator is to live and compute, in single precision.

    Raises
    ------
    CheckpointError
        With file, tensor and what was expected, if the file is missing, damaged, of another kind, or does not hold
        exactly the tensors of the architecture that it names, with finite values.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no generator file at {path}. Choose an existing .safetensors file.")
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"The generator file {path} is empty. Copy or download it again.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            config = read_config(path, file.metadata())
            with torch.device("meta"):
                generator = StyleGAN2(config)
            expected = {name: tuple(tensor.shape) for name, tensor in generator.state_dict().items()}
            check_header(path, file, expected)
            state = {name: read_tensor(path, file, name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a safetensors file ({error}). It is cut short, damaged or of another kind: "
            f"it has {size} bytes. Copy or download it again, or choose another file."
        ) from error
    generator.load_state_dict(state, assign=True)
    for module in generator.modules():  # what is not stored was made on the meta device and has no values yet
        if isinstance(getattr(module, "kernel", None), Tensor):
            module.kernel = filter_kernel(config.resample_taps)
    return generator.requires_grad_(False).eval().to(device)


def save_generator(generator: StyleGAN2, path: str | Path, *, half: bool = True) -> None:
    """Write a generator to a file that `load_generator` reads; `half` stores 16 instead of 32 bits per value.

    Raises
    ------
    CheckpointError
        If a value is not finite in the precision asked for, or the file cannot be written.
    """
    dtype = torch.float16 if half else torch.float32
    state = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in generator.state_dict().items()}
    for name, tensor in state.items():
        check_finite(Path(path), name, tensor)
    metadata = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "architecture": generator.architecture,
        "config": json.dumps(dataclasses.asdict(generator.config)),
    }
    try:
        Path(path).write_bytes(in_order(save(state, metadata)))
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


def read_config(path: Path, metadata: dict[str, str] | None) -> StyleGAN2Config:
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
    if metadata.get("architecture") != StyleGAN2.architecture:
        raise CheckpointError(
            f'{path} holds a generator of architecture "{metadata.get("architecture")}"; '
            f'this extension knows "{StyleGAN2.architecture}". Choose another file.'
        )
    try:
        values: dict[str, Any] = json.loads(metadata.get("config", ""))
        values["channels"] = tuple(values["channels"])
        values["resample_taps"] = tuple(values["resample_taps"])
        values["mapping"]["widths"] = tuple(values["mapping"]["widths"])
        values["mapping"] = MappingConfig(**values["mapping"])
        return StyleGAN2Config(**values)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(
            f'{path} describes its architecture wrongly: "config" in its metadata is not a StyleGAN2 ({error}). '
            "Copy or download it again, or choose another file."
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
    if not bool(tensor.isfinite().all()):
        raise CheckpointError(
            f"{path}: tensor {name} has values that are not finite numbers (NaN or infinity). "
            "The network is damaged; choose another file."
        )
