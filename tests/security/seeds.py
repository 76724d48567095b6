# SPDX-License-Identifier: GPL-3.0-or-later
"""Small good files of every kind: where fuzzing begins, and what attacks are made of."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors

from stylegan_reactive.audio import Analysis, Section
from stylegan_reactive.choreography import Patch
from stylegan_reactive.engine import protocol, songs
from stylegan_reactive.generator import cluster_files, save_generator
from tests.generator import test_foreign_files as foreign
from tests.generator import test_lucidrains as lucid
from tests.generator import test_stylegan1 as first


def torch_file(value: Any, *, zipped: bool = True) -> bytes:
    """As torch.save writes it."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@contextmanager
def names_of_nvidia() -> Iterator[dict[str, Any]]:
    """What the names in NVIDIA's files stand for while such a file is written."""

    def rebuild(meta: Any) -> None:
        raise AssertionError("something from a file was called")

    kind = type("Network", (), {"__module__": "dnnlib.tflib.network"})
    rebuild.__module__, rebuild.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
    found: dict[str, Any] = {"_reconstruct_persistent_obj": rebuild, "Network": kind}
    modules = ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.tflib", "dnnlib.tflib.network")
    before = {name: sys.modules.get(name) for name in modules}
    try:
        for name in modules:
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__dict__.update(found)
        yield found
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def networks(folder: Path) -> dict[str, bytes]:
    """One of each kind of network file."""
    generator = foreign.random_generator(foreign.CONFIG)
    save_generator(generator, folder / "own.safetensors")
    found = {"own.safetensors": (folder / "own.safetensors").read_bytes()}
    with names_of_nvidia() as originals:
        tree = foreign.module_tree(generator)
        found["nvidia.pkl"] = pickle.dumps({"G_ema": foreign.nvidia_network(originals, tree)})
    found["lucidrains.pt"] = torch_file({"GAN": lucid.file_tensors(), "version": "1.8.8"})
    shapes = foreign.rosinality_shapes(4, 3)
    tensors = {name: torch.randn(shape) for name, shape in shapes.items()}
    tensors["convs.0.conv.blur.kernel"] = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 16
    found["rosinality.pt"] = torch_file({"g_ema": tensors})
    tensors = first.rosinality_tensors(3, 3)
    found["rosinality1.model"] = torch_file(tensors, zipped=False)
    return found


def pickles() -> dict[str, bytes]:
    """Values of all kinds, in all protocols."""
    value = {"a": [1, 2.5, "text", b"bytes", None], "b": np.arange(3.0), "c": (1 << 70, {"d": np.float32(1)}, {1, 2})}
    found = {f"plain {number}": pickle.dumps(value, number) for number in range(6)}
    found["tensor"] = pickle.dumps(torch.arange(3.0))
    found["module"] = pickle.dumps(torch.nn.Linear(2, 2))
    for zipped in (True, False):
        found[f"torch {zipped}"] = torch_file({"a": torch.arange(3.0), "b": torch.ones(2, 2).half()}, zipped=zipped)
    return found


def latents() -> dict[str, bytes]:
    """Arrays in each kind of file."""
    array, found = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32), {}
    writers: dict[str, Callable[[Any], None]] = {
        "w.npy": lambda file: np.save(file, array),
        "w.npz": lambda file: np.savez(file, w=array),
        "packed.npz": lambda file: np.savez_compressed(file, w=array),
    }
    for name, write in writers.items():
        buffer = io.BytesIO()
        write(buffer)
        found[name] = buffer.getvalue()
    found["w.safetensors"] = save_arrays({"w": array})
    return found


def patches() -> dict[str, bytes]:
    """Patches of both versions."""
    signal = {"amount": 1.0, "envelope": "audio_kick", "gain": 2.0}
    image = {"width": 2, "height": 2, "pixels": "AAECAw=="}
    rich = {
        "version": 2,
        "truncation": signal,
        "latent_layers": [{"name": "a", "source": {"kind": "loop", "latents": [1, 2, 3]}, "range": [0, 3]}],
        "noise_layers": [{"source": {"kind": "evolving"}, "mask": {"shape": "image", "image": image}}],
    }
    old = {"version": 1, "latent_layers": [{"name": "a", "source": {"kind": "static", "seed": 3}}]}
    return {
        "plain.json": Patch().to_json().encode(),
        "rich.json": json.dumps(rich).encode(),
        "old.json": json.dumps(old).encode(),
    }


def sounds() -> dict[str, bytes]:
    """A tenth of a second in each format."""
    sound, found = np.sin(np.arange(4410) / 10).astype(np.float32)[:, None] * [0.5, 0.4], {}
    kinds = ("WAV", "FLAC", "OGG", "AIFF", "CAF", "AU", "W64", "RF64", "MP3")
    for kind in kinds:
        buffer = io.BytesIO()
        soundfile.write(buffer, sound, 44100, format=kind)
        found[kind.lower()] = buffer.getvalue()
    found.update(_packets(sound))
    return found


def _packets(sound: np.ndarray) -> dict[str, bytes]:
    """What PyAV writes, where it is installed."""
    try:
        import av
    except ImportError:
        return {}
    found = {}
    for kind, codec in (("mp4", "aac"), ("adts", "aac"), ("matroska", "aac")):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=kind) as container:
            stream: Any = container.add_stream(codec, rate=44100)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T[:1]).astype(np.float32), "fltp", "mono")
            frame.sample_rate = 44100
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)
        found[kind] = buffer.getvalue()
    return found


def heard(folder: Path) -> dict[str, bytes]:
    """What was heard in a song, as it is kept."""
    features = {"kick": np.zeros(8, np.float32), "chroma/4": np.zeros((8, 4), np.float32)}
    parts = (Section(0.0, 2.0, "A"),)
    songs.save(
        Analysis(features, np.arange(4.0), np.zeros(0), 120.0, 2.0, Fraction(4), 8, sections=parts), folder, "k", 9
    )
    return {"analysis.npz": (folder / f"k{songs.SUFFIX}").read_bytes()}


def kept_clusters(folder: Path) -> dict[str, bytes]:
    """Groups of channels, as they are kept."""
    place = folder / "clusters"
    cluster_files.write_entry(place, "identity", "layer/2/8/0", (0, 0, 1, 1, 0, 1), np.zeros((2, 4, 4, 3), np.uint8))
    return {"clusters.safetensors": place.read_bytes()}


def separators() -> dict[str, bytes]:
    """Weights as separation networks publish them, though of none that is any good."""
    state = {"fc1.weight": torch.zeros(4, 8), "input_mean": torch.zeros(4), "output_mean": torch.zeros(5)}
    state |= {f"lstm.weight_ih_l0{ending}": torch.zeros(8, 4) for ending in ("", "_reverse")}
    package = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": '{"channels": 4, "depth": 1}'}
    return {
        "unmix.pth": torch_file(state),
        "empty.safetensors": save_tensors({"a": torch.zeros(3)}, {**package, "args": '[["a", "b"]]', "kwargs": "{}"}),
        "demucs.safetensors": save_tensors({"a": torch.zeros(3)}, package),
    }


def requests() -> dict[str, bytes]:
    """A line of each kind from the client."""
    key = protocol.patch_key({"version": 2})
    frame = {
        "patch": key,
        "values": {"audio_kick": 0.5},
        "size": [8, 8],
        "fit": "crop",
        "quality": 1.0,
        "slot": "psm_12345678",
    }
    recipe = {"name": "audio_kick", "feature": "kick"}
    lines: tuple[dict[str, Any], ...] = (
        {"op": "settings", "settings": dataclasses.asdict(protocol.Settings())},
        {"op": "patch", "key": key, "patch": {"version": 2}},
        {"op": "read_patch", "text": '{"version": 2}'},
        {"op": "frame", **frame},
        {"op": "thumbnails", "checkpoint": "builtin", "label": 0, "latents": [1], "size": 8},
        {"op": "latents", "checkpoint": "builtin", "file": "nowhere", "space": "w"},
        {"op": "song", "song": "nowhere.wav"},
        {"op": "analyse", "song": "nowhere.wav", "fps": [24, 1], "recipes": [recipe], "rhythm": {"taps": [1.0]}},
        {"op": "unload"},
    )
    return {line["op"]: protocol.encode({"id": 1, **line}) for line in lines}


def answers() -> dict[str, bytes]:
    """A line of each kind from the engine."""
    facts = protocol.NetworkFacts(4, (8, 8), 2, 0, 3, ("b4",), (("coarse", 0, 1),), ("note",))
    hello = protocol.Hello(protocol.PROTOCOL, {"torch": "2"}, "cpu", "CPU", 1)
    report = protocol.Report("cpu", "CPU", {}, 1, 0, 0, (("file", 1),), {"songs": 1}, 2.0)
    rhythm = {"beats": [0.5], "downbeats": [], "beats_per_bar": 4, "beat_confidence": 1.0, "bar_confidence": 0.0}
    numbers = {"frames": 2, "duration": 1.0, "tempo": 120.0, "loudness": None, "sections": [[0.0, 1.0, "A"]]}
    analysed = {"envelopes": {"audio_kick": protocol.pack(np.zeros(2, np.float32))}, **rhythm, **numbers}
    results = {
        "facts": dataclasses.asdict(facts),
        "hello": dataclasses.asdict(hello),
        "report": dataclasses.asdict(report),
        "analysed": analysed,
    }
    found = {name: protocol.encode({"id": 1, "result": result}) for name, result in results.items()}
    found["progress"] = protocol.encode({"id": 1, "progress": 0.5, "text": "Loading"})
    found["error"] = protocol.encode({"id": 1, "error": {"kind": "SongError", "message": "no"}})
    return found


MAKERS: dict[str, Callable[[Path], dict[str, bytes]]] = {
    "network": networks,
    "pickle": lambda folder: pickles(),
    "latents": lambda folder: latents(),
    "patch": lambda folder: patches(),
    "song": lambda folder: sounds(),
    "analysis": heard,
    "clusters": kept_clusters,
    "weights": lambda folder: separators(),
    "stems": lambda folder: {"stems.json": json.dumps({"drums": "0" * 64}).encode()},
    "stem_folder": lambda folder: sounds(),
    "to_client": lambda folder: answers(),
    "to_engine": lambda folder: requests(),
}
TARGETS = tuple(MAKERS)
"""The names of the readers."""


def seeds_for(target: str, folder: Path) -> dict[str, bytes]:
    """Good files for one of the readers; `folder` is for what has to be written on the way."""
    return MAKERS[target](folder)
