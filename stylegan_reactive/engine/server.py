# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: reads requests from its standard input, answers on its standard output, and ends when the input closes.

One thread reads, so that a cancellation or the parent's end is noticed at once; one thread works, in order of arrival.
Separating stems takes minutes and has a thread of its own, so that pictures are made meanwhile.
Everything heavy is imported by the hello, whose answer can then say in plain words what is missing.
"""

import contextlib
import os
import platform
import queue
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import asdict
from fractions import Fraction
from importlib import metadata
from importlib.util import find_spec
from multiprocessing import resource_tracker, shared_memory
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from ..errors import EngineError, PatchError, ReactiveError
from . import protocol

if TYPE_CHECKING:
    import torch

    from ..audio import Analysis
    from ..choreography import Choreographer
    from ..generator import Generator

NEEDED = ("numpy", "torch", "scipy", "soundfile", "soxr", "safetensors")
REPORTED = (*NEEDED, "librosa")
OLDEST = {"torch": (2, 1), "numpy": (1, 24)}

Kept = TypeVar("Kept")
Progress = Callable[[float, str], None]


class Cancelled(Exception):
    """The client no longer wants the answer."""


class Recent(OrderedDict[Hashable, Any]):
    """A cache that keeps the few entries used last; its entries depend on their key alone."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def get_or_make(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """The entry of a key, made where it is not there."""
        if key not in self:
            self[key] = make()
            while len(self) > self.most:
                self.popitem(last=False)
        self.move_to_end(key)
        return self[key]  # type: ignore[no-any-return]


def attach(name: str) -> shared_memory.SharedMemory:
    """Open the client's shared memory without becoming responsible for its end.

    Before Python 3.13 attaching also registers the block with this process's resource tracker, which would remove it
    from under Blender when the engine stops (CPython issue 82300).
    """
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name=name, track=False)
    register = resource_tracker.register
    resource_tracker.register = lambda *_: None
    try:
        return shared_memory.SharedMemory(name=name)
    finally:
        resource_tracker.register = register


def stamp(path: str) -> tuple[str, int, int]:
    """A file's identity for a cache: it changes when the file is replaced. A missing file is left to its reader."""
    try:
        status = os.stat(path)
    except OSError:
        return (path, 0, 0)
    return (path, status.st_mtime_ns, status.st_size)


def check_packages() -> dict[str, str]:
    """Versions of what the engine needs; raises `EngineError` that names what is missing or too old."""
    versions = {}
    for name in REPORTED:
        try:
            versions[name] = metadata.version(name) if find_spec(name) else ""
        except metadata.PackageNotFoundError:
            versions[name] = ""
    missing = [name for name in NEEDED if not versions[name]]
    if missing:
        raise EngineError(
            f"The engine's Python, {sys.executable}, has no {' and no '.join(missing)}. Install "
            f"{'it' if len(missing) == 1 else 'them'} there, or choose another in the preferences of this add-on."
        )
    for name, oldest in OLDEST.items():
        found = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in versions[name].split(".")[:2])
        if found < oldest:
            raise EngineError(
                f"The engine's Python, {sys.executable}, has {name} {versions[name]}, but "
                f"{'.'.join(map(str, oldest))} or later is needed. Update it there with pip."
            )
    return versions


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
    names = {"cuda": lambda: torch.cuda.get_device_name(), "mps": lambda: "Apple GPU", "cpu": platform.processor}
    return torch.device(kind), names[kind]() or kind.upper()


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether something failed for want of memory; torch says so of a CPU by the text of a RuntimeError alone."""
    torch = sys.modules.get("torch")
    on_device = torch is not None and isinstance(fault, torch.OutOfMemoryError)
    return isinstance(fault, MemoryError) or on_device or "not enough memory" in str(fault)


def size_of(generator: "Generator") -> int:
    """Bytes of a network's weights and constants."""
    tensors = (*generator.parameters(), *generator.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def facts_of(generator: "Generator", notes: Iterable[str]) -> protocol.NetworkFacts:
    """What one has to know of a network."""
    synthesis = generator.synthesis
    scales: dict[int, list[int]] = {}
    for layer, (_, index) in synthesis.styles.items():
        if not layer.endswith("torgb"):
            scales.setdefault(max(synthesis.map_size(layer)) - 2 * synthesis.margin(layer), []).append(index)
    found = [(f"{size} px", min(places), max(places)) for size, places in scales.items()]
    if found:
        found[-1] = (*found[-1][:2], generator.num_ws - 1)  # the last w is for the colours
    return protocol.NetworkFacts(
        num_ws=generator.num_ws,
        resolution=generator.resolution,
        noise_inputs=len(generator.noise_shapes),
        c_dim=generator.c_dim,
        img_channels=generator.img_channels,
        layer_names=tuple(generator.layer_names),
        scales=tuple(found),
        notes=tuple(notes),
    )


class Server:
    """The operations of `protocol`, one method each; what they keep are caches and nothing else."""

    def __init__(self) -> None:
        self.device: torch.device | None = None
        self.device_name = ""
        self.generators = Recent(2)
        self.choreographers = Recent(protocol.KEPT_PATCHES)
        self.analyses = Recent(2)
        self.slots = Recent(8)

    def hello(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Check the packages, load torch and choose the device."""
        if message["protocol"] != protocol.PROTOCOL:
            raise EngineError("This engine belongs to another version of the add-on. Restart Blender.")
        versions = check_packages()
        progress(0.0, "Loading torch")
        from ..generator import keep_freed_memory

        keep_freed_memory()  # pictures are all this process makes, and fresh memory for each costs half their time
        self.device, self.device_name = choose_device(message.get("device", "auto"))
        return {
            "protocol": protocol.PROTOCOL,
            "versions": {"python": platform.python_version(), **versions},
            "device": str(self.device),
            "device_name": self.device_name,
            "pid": os.getpid(),
        }

    def network(self, checkpoint: str) -> "Generator":
        """The network of a file, loaded where it is not there or was replaced."""
        from ..generator import Generator, builtin_checkpoint, load_generator, prepare

        def load() -> Generator:
            generator = load_generator(path, device=str(self.device))
            prepare(generator)
            return generator

        path = str(builtin_checkpoint()) if checkpoint == "builtin" else checkpoint
        return self.generators.get_or_make(stamp(path), load)

    def patch(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Check a patch, load its network, and keep both under the patch's key."""
        from ..choreography import Choreographer, Patch

        patch = Patch.from_json(message["patch"])
        progress(0.0, "Loading the network")
        generator = self.network(patch.checkpoint)
        choreographer = self.choreographers.get_or_make(message["key"], lambda: Choreographer(patch, generator))
        return asdict(facts_of(generator, getattr(choreographer, "notes", ())))

    def read_patch(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Read the text of a patch: checked, and as plain data of today's version."""
        from ..choreography import Patch

        return {"patch": Patch.from_json(message["text"]).to_plain()}

    def frame(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Make one picture and write it into the slot."""
        import torch

        from .pixels import to_blender

        began = time.perf_counter()
        if message["patch"] not in self.choreographers:
            raise PatchError("The engine no longer holds this mapping.")
        self.choreographers.move_to_end(message["patch"])  # the client counts on this order of use
        choreographer: Choreographer = self.choreographers[message["patch"]]
        width, height = message["size"]
        slot = self.slots.get_or_make(message["slot"], lambda: attach(message["slot"]))
        with torch.inference_mode():
            inputs = choreographer.inputs(message["values"])
            picture = choreographer.generator.synthesis(inputs.ws, noise=inputs.noise)
            if not bool(torch.isfinite(picture).all()):
                raise ReactiveError(
                    "The network's picture has values that are not numbers. A gain or an amplitude may be far too high."
                )
            target = torch.frombuffer(slot.buf, dtype=torch.float32, count=width * height * 4)
            fit = "crop" if message["fit"] == "canvas" else message["fit"]
            target.view(height, width, 4).copy_(to_blender(picture, (width, height), fit))
            del target  # the slot cannot be closed while a tensor looks into it
        return {"seconds": time.perf_counter() - began}

    def thumbnails(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Small pictures of latents, each as a latent layer over the whole network would show it."""
        import torch

        from ..choreography import Choreographer, Patch, StaticLatent
        from .pixels import fitted

        generator, side, pictures = self.network(message["checkpoint"]), int(message["size"]), []
        for number, latent in enumerate(message["latents"]):
            progress(number / len(message["latents"]), "Painting thumbnails")
            source = {"kind": StaticLatent.kind, "latents": [latent]}
            plain = {"version": 2, "label": message["label"], "latent_layers": [{"name": "", "source": source}]}
            inputs = Choreographer(Patch.from_json(plain), generator).inputs({})
            with torch.inference_mode():
                small = fitted(generator.synthesis(inputs.ws, noise=inputs.noise), (side, side), "crop")[0]
                display = ((small + 1) / 2).clamp(0, 1)
                alpha = display[-1:] if len(display) in (2, 4) else torch.ones_like(display[:1])
                color = display[:3] if len(display) >= 3 else display[:1].expand(3, -1, -1)
                pictures.append((torch.cat((color, alpha)) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu())
        return {"pictures": protocol.pack_bytes(torch.stack(pictures).numpy().tobytes()) if pictures else ""}

    def unload(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Give back networks and caches."""
        import gc

        self.generators.clear()
        self.choreographers.clear()
        self.analyses.clear()
        gc.collect()
        return {}

    def report(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """What the engine is and holds, and how fast it is."""
        import torch

        speed = 0.0
        if message["seconds"]:
            generator = self.network("builtin")
            ws, began, pictures = generator.w_avg.expand(1, generator.num_ws, -1), time.perf_counter(), 0
            with torch.inference_mode():
                while time.perf_counter() - began < message["seconds"]:
                    progress((time.perf_counter() - began) / message["seconds"], "Painting test pictures")
                    generator.synthesis(ws)
                    pictures += 1
            speed = pictures / (time.perf_counter() - began)
        networks = tuple((str(key[0]), size_of(generator)) for key, generator in self.generators.items())  # type: ignore[index]
        return asdict(
            protocol.Report(str(self.device), self.device_name, check_packages(), 0, 0, 0, networks, {}, speed)
        )

    def song(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Look at a song without listening to it: how long it lasts."""
        from ..audio.decode import SongReader

        with SongReader(message["song"]) as reader:
            return {
                "duration": reader.expected_samples / reader.rate,
                "sample_rate": reader.rate,
                "channels": reader.channels,
            }

    def analyse(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Listen to a song and bake the recipes that are asked for."""
        from ..audio import DEFAULT_FEATURES, Recipe, analyse, bake, features_of
        from .knowledge import Knowledge

        song, fps, knowledge = message["song"], Fraction(*message["fps"]), Knowledge.of(message)
        recipes = [Recipe.from_dict(recipe) for recipe in message["recipes"]]
        asked = features_of(recipes)
        key = (*stamp(song), fps, knowledge, tuple(stamp(path) for _, path in knowledge.stems))

        def listen(features: Iterable[str]) -> "Analysis":
            return analyse(song, fps, features, **knowledge.arguments(), progress=progress)

        analysis = self.analyses.get_or_make(key, lambda: listen(dict.fromkeys((*DEFAULT_FEATURES, *asked))))
        if missing := [feature for feature in asked if feature not in analysis.features]:
            analysis = analysis.with_features_of(listen(missing))
            self.analyses[key] = analysis
        return {
            "envelopes": {recipe.name: protocol.pack(bake(analysis, recipe)) for recipe in recipes},
            "frames": analysis.frames,
            "duration": analysis.duration,
            "tempo": float(analysis.tempo),
            "beats": [float(beat) for beat in analysis.beats],
            "downbeats": [float(beat) for beat in analysis.downbeats],
            "beats_per_bar": int(analysis.beats_per_bar),
            "beat_confidence": float(analysis.beat_confidence),
            "bar_confidence": float(analysis.bar_confidence),
            "sections": [[float(part.start), float(part.end), part.label] for part in analysis.sections],
            "loudness": None if analysis.loudness is None else float(analysis.loudness),
        }

    def separate(self, message: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Make stems of a song by a network, or find those of an earlier time. Touches nothing that the others keep."""
        from ..audio.neural import separate

        assert self.device is not None
        stems = separate(
            message["song"],
            message["folder"],
            model=message["model"],
            weights=message["weights"] or None,
            online=bool(message["online"]),
            device=str(self.device),
            progress=progress,
        )
        return {"stems": {name: str(path) for name, path in stems.items()}}


OPERATIONS = (
    "hello",
    "patch",
    "read_patch",
    "frame",
    "thumbnails",
    "song",
    "analyse",
    "separate",
    "unload",
    "report",
)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests from `source` on `sink` until `source` ends; then the process ends too."""
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    separations: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    writing = threading.Lock()
    cancelled: set[int] = set()
    server = Server()

    def read() -> None:
        with contextlib.suppress(Exception):
            while line := source.readline(protocol.LONGEST_LINE):
                message = protocol.decode(line)
                if message.get("op") == "cancel":
                    cancelled.add(int(message["target"]))
                else:
                    (separations if message.get("op") == "separate" else waiting).put(message)
        os._exit(0)  # the parent is gone, or talks nonsense: nobody waits for what is being computed

    def send(message: dict[str, Any]) -> None:
        line = protocol.encode(message)
        with writing:
            sink.write(line)
            sink.flush()

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        number = message["id"]

        def progress(fraction: float, text: str) -> None:
            if number in cancelled:
                raise Cancelled
            send({"id": number, "progress": float(fraction), "text": text})

        try:
            if number in cancelled:
                raise Cancelled
            if message.get("op") not in OPERATIONS:
                raise EngineError(f"The engine does not know the request {message.get('op')!r}. Restart Blender.")
            return {"id": number, "result": getattr(server, message["op"])(message, progress)}
        except Cancelled:
            return {"id": number, "error": {"kind": "EngineError", "message": "Cancelled."}}
        except ReactiveError as error:
            return {"id": number, "error": protocol.error_fields(error)}
        except Exception as fault:
            if not is_out_of_memory(fault):
                traceback.print_exc()
                own = EngineError(
                    f"The engine met a fault of its own ({type(fault).__name__}: {fault}). Its log says more."
                )
                return {"id": number, "error": protocol.error_fields(own)}
            short = EngineError(
                "There is not enough memory. Close other programs, or choose a smaller size or network."
            )
            return {"id": number, "error": protocol.error_fields(short)}
        finally:
            cancelled.discard(number)

    def work(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
        while True:
            send(answer(requests.get()))

    threading.Thread(target=read, name="requests", daemon=True).start()
    threading.Thread(target=work, args=(separations,), name="separations", daemon=True).start()
    work(waiting)


def main() -> None:
    """Take the pipe for the protocol alone, so that whatever a library prints goes to the log, and serve."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    serve(source, sink)
