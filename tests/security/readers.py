# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reader of what a stranger may have made, as a function of a file: what attacks and fuzzing are tried on.

Each returns what came out, or raises a `ReactiveError`. Anything else is a fault of ours.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import soundfile
import torch

from stylegan_reactive.audio import neural, neural_models
from stylegan_reactive.audio.decode import SongReader
from stylegan_reactive.audio.stems import find_stems
from stylegan_reactive.choreography import Patch
from stylegan_reactive.engine import protocol, songs
from stylegan_reactive.engine.server import Desk
from stylegan_reactive.errors import PatchError, ReactiveError, SongError
from stylegan_reactive.generator import cluster_files, load_generator
from stylegan_reactive.generator.latent_files import load_directions, load_latents
from stylegan_reactive.generator.unpickle import read_pickle

MOST_SAMPLES = 1 << 22
LIKE_A_NETWORK: Any = SimpleNamespace(z_dim=8, w_dim=8, num_ws=4, device=torch.device("cpu"))
"""As much of a generator as the readers of latents ask for."""


def network(path: Path) -> Any:
    """A network, which then paints."""
    generator = load_generator(path)
    assert all(bool(tensor.isfinite().all()) for tensor in generator.state_dict().values())
    return generator


def pickle(path: Path) -> Any:
    """Plain data out of a pickle or PyTorch file."""
    return read_pickle(path)


def latents(path: Path) -> Any:
    """Latents of both spaces, and directions."""
    found: list[Any] = []
    refusal = ReactiveError()
    for read in (
        lambda: load_latents(path, "w", LIKE_A_NETWORK),
        lambda: load_latents(path, "z", LIKE_A_NETWORK),
        lambda: load_directions(path, LIKE_A_NETWORK),
    ):
        try:
            found.append(read())
        except ReactiveError as error:
            refusal = error
    if not found:
        raise refusal
    return found


def patch(path: Path) -> Any:
    """A patch, written again and read again."""
    text = path.read_bytes().decode("utf-8", errors="surrogateescape")
    found = Patch.from_json(text)
    assert Patch.from_json(found.to_json()) == found
    return found


def song(path: Path) -> Any:
    """A song, decoded (but no hour of it)."""
    with SongReader(path) as reader:
        count = 0
        for block in reader.blocks():
            assert np.isfinite(block).all()
            count += len(block)
            if count > MOST_SAMPLES:
                break
        return count


def analysis(path: Path) -> Any:
    """What was heard in a song at an earlier time; none if it is damaged."""
    there = path.with_name(f"key{songs.SUFFIX}")
    with contextlib.suppress(FileNotFoundError):
        there.unlink()
    there.hardlink_to(path)
    return songs.load(path.parent, "key")


def clusters(path: Path) -> Any:
    """Groups of channels that were found at an earlier time; none if they are damaged."""
    return cluster_files.read_entry(path, "identity", "layer/2/8/0", 6)


def weights(path: Path) -> Any:
    """A network that separates stems, of either package."""
    if path.read_bytes()[8:9] == b"{":
        path = path.rename(path.with_suffix(".safetensors"))
    try:
        return neural_models.load_network("htdemucs", [path], "cpu")
    except SongError:
        return neural_models.load_network("umxhq", [path], "cpu")


def stems(path: Path) -> Any:
    """The list of stems that were made at an earlier time."""
    folder = path.parent / "home"
    folder.mkdir(exist_ok=True)
    (folder / neural.MANIFEST).write_bytes(path.read_bytes())
    found = neural._whole(folder)
    assert all(stem.resolve().parent == folder.resolve() for stem in found.values())
    return found


def stem_folder(path: Path) -> Any:
    """A stem beside a song."""
    folder = path.parent / "stems"
    folder.mkdir(exist_ok=True)
    (folder / "drums.wav").write_bytes(path.read_bytes())
    if not (path.parent / "song.wav").exists():
        soundfile.write(path.parent / "song.wav", np.zeros(4410), 44100)
    return find_stems(folder, path.parent / "song.wav")


def to_client(path: Path) -> Any:
    """A line of the engine, and each answer that it could be."""
    try:
        message = protocol.decode(path.read_bytes())
    except ValueError as error:
        raise PatchError(str(error)) from error
    protocol.error_from(message.get("error"))
    found: Any = message.get("result")
    for kind in (protocol.Analysed, protocol.NetworkFacts, protocol.Report):
        with contextlib.suppress(ReactiveError):
            protocol.understood(lambda kind=kind: kind.of(found))  # type: ignore[misc, attr-defined]
    with contextlib.suppress(ReactiveError):
        protocol.understood(lambda: protocol.Hello(**found))
    return message


@lru_cache(maxsize=1)
def desk() -> Desk:
    """The engine's side of the pipe, in this process, greeted."""
    found = Desk(io.BytesIO())
    hello = {"id": 0, "op": "hello", "protocol": protocol.PROTOCOL, "device": "cpu"}
    assert "result" in found.answer({**hello, "settings": dataclasses.asdict(protocol.Settings())})
    return found


OPERATIONS = ("settings", "patch", "read_patch", "frame", "thumbnails", "latents", "song", "analyse", "unload")


def to_engine(path: Path) -> Any:
    """A line of the client, answered."""
    try:
        message = protocol.decode(path.read_bytes())
    except ValueError as error:
        raise PatchError(str(error)) from error
    if message.get("op") not in OPERATIONS:
        return None
    with contextlib.redirect_stderr(io.StringIO()):
        answer = desk().answer(message)
    protocol.encode(answer)
    if "error" in answer:
        raise protocol.error_from(answer["error"])
    return answer


READERS: Mapping[str, Callable[[Path], Any]] = {
    read.__name__: read
    for read in (
        *(network, pickle, latents, patch, song, analysis, clusters, weights, stems, stem_folder),
        *(to_client, to_engine),
    )
}
