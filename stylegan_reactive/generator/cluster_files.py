# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that keeps what `clusters` found for a network: safetensors, so nothing in it can be run.

For each search it has the tensors ``<layer>/<count>/<samples>/<seed>/labels`` and ``.../pictures``; the metadata name
the format and the weights. It is only a memory: whatever is wrong with it, it is made anew, and no error is raised.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..files import write_whole
from .base import Generator

FORMAT = "stylegan_reactive.clusters"
FORMAT_VERSION = "2"  # another one for every change of how clusters are found
LARGEST_FILE = 1 << 30


def network_hash(generator: Generator) -> str:
    """A name for the architecture and the weights of a network, whatever file they came from."""
    digest = hashlib.sha256(f"{generator.architecture} {generator.config!r}".encode())
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        for part in tensor.detach().flatten().split(1 << 22):
            digest.update(part.to("cpu", torch.float32).numpy().tobytes())
    return digest.hexdigest()


def cluster_file(checkpoint: Path, folder: Path | None, identity: str) -> Path:
    """Beside the network's file, or in a folder, where networks of the same name must not meet."""
    if folder is None:
        return checkpoint.with_name(f"{checkpoint.stem}.clusters.safetensors")
    return folder / f"{checkpoint.stem}-{identity[:12]}.clusters.safetensors"


def read_entry(path: Path, identity: str, key: str, channels: int) -> tuple[tuple[int, ...], np.ndarray] | None:
    """The labels and pictures of one search in a layer of so many channels, if they are there and whole."""
    tensors = read_all(path, identity, f"{key}/")
    labels, pictures = tensors.get(f"{key}/labels"), tensors.get(f"{key}/pictures")
    if labels is None or pictures is None or labels.ndim != 1 or labels.dtype != np.int64:
        return None
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
        return None
    if len(labels) != channels or labels.min() < 0 or labels.max() + 1 != len(pictures):
        return None
    return tuple(labels.tolist()), pictures


def write_entry(path: Path, identity: str, key: str, labels: tuple[int, ...], pictures: np.ndarray) -> None:
    """Add one search to the file, if it can be written; it is replaced as a whole, so no reader sees a part of it."""
    tensors = read_all(path, identity)
    tensors[f"{key}/labels"] = np.array(labels, dtype=np.int64)
    tensors[f"{key}/pictures"] = np.ascontiguousarray(pictures)
    data = save(tensors, {"format": FORMAT, "version": FORMAT_VERSION, "network": identity})
    with contextlib.suppress(OSError):  # a folder that cannot be written, or a full disk
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data, durable=False)  # its length and shapes tell whether it is whole


def read_all(path: Path, identity: str, prefix: str = "") -> dict[str, np.ndarray]:
    """What the file has for these weights, under names with this beginning; nothing if there is anything wrong."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_FILE:
            return {}
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if (metadata.get("format"), metadata.get("version")) != (FORMAT, FORMAT_VERSION):
                return {}
            if metadata.get("network") != identity:
                return {}
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 it is no mapping
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError):  # numpy lacks some types
        return {}
