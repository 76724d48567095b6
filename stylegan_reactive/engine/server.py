# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: reads requests from its standard input, answers on its standard output, and ends when the input closes.

One thread reads, so that a cancellation or the parent's end is noticed at once. Three threads work: one makes pictures
and holds the networks, one listens to songs, one separates stems, which takes minutes; so pictures are made meanwhile.
Everything heavy is imported by the hello, whose answer can then say in plain words what is missing.
"""

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..builtin_networks import BUILTIN, find_builtin, is_builtin
from ..errors import CheckpointError, EngineError, ReactiveError
from ..files import Stamp, stamp
from . import machine, protocol
from .confinement import Confinement
from .lanes import Lane
from .protocol import Message, Settings
from .recent import Recent

if TYPE_CHECKING:
    from multiprocessing.shared_memory import SharedMemory

    import torch

    from ..audio import Analysis
    from ..generator import Generator
    from .painting import HeldPatch, Network

KEPT_NETWORKS = 4  # without a limit of memory that says otherwise
KEPT_SLOTS = 24
TRIM_EVERY = 64  # pictures between two looks at the memory
LIMITED = 1 << 20

Progress = Callable[[float, str], None]
Result = dict[str, Any]


class Cancelled(Exception):
    """The client no longer wants the answer."""


class Server:
    """The operations of `protocol`, one method each; what they keep are caches and nothing else."""

    def __init__(self, confinement: Confinement | None = None) -> None:
        self.confinement = confinement or Confinement()  # one that was not begun refuses nothing
        self.device: torch.device | None = None
        self.device_name = ""
        self.automatic = False  # whether the device is ours to choose
        self.note: Callable[[str], None] = lambda text: None  # tells the artist something that nobody asked for
        self.versions: dict[str, str] = {}
        self.settings = Settings()
        self.refusal: ReactiveError | None = EngineError("The engine was asked something before it was greeted.")
        self.greeted = threading.Event()
        self.networks: Recent[Stamp, Network] = Recent(KEPT_NETWORKS)
        self.patches: Recent[str, HeldPatch] = Recent(protocol.KEPT_PATCHES)
        self.analyses: Recent[str, Analysis] = Recent(4)
        self.slots: Recent[str, SharedMemory] = Recent(KEPT_SLOTS)
        self.painted = 0

    # Life

    def hello(self, message: Message, progress: Progress) -> Result:
        """Check the packages, load torch, choose the device. What is wrong here is the answer to all that follows."""
        try:
            if message["protocol"] != protocol.PROTOCOL:
                raise EngineError("This engine belongs to another version of the add-on. Restart Blender.")
            self.versions = machine.versions()
            machine.check_packages(self.versions)
            progress(0.0, "Loading torch")
            from ..generator import keep_freed_memory

            keep_freed_memory()  # pictures are all this process makes, and fresh memory for each costs half their time
            self.automatic = message.get("device", "auto") == "auto"
            self.device, self.device_name = machine.choose_device(message.get("device", "auto"))
            self.settings_(message, progress)
        except ReactiveError as error:
            self.refusal = error
            raise
        else:
            self.refusal = None
        finally:
            self.greeted.set()
        return {
            "protocol": protocol.PROTOCOL,
            "versions": self.versions,
            "device": str(self.device),
            "device_name": self.device_name,
            "pid": os.getpid(),
        }

    def settings_(self, message: Message, progress: Progress) -> Result:
        """Take over limits and folders."""
        import torch

        self.settings = Settings.of(message["settings"])
        if self.settings.cache_folder:
            self.confinement.allow_writing(self.settings.cache_folder)
        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        self.networks.most = LIMITED if self.settings.memory else KEPT_NETWORKS
        self.trim()
        return {}

    # Networks and pictures

    def network(self, checkpoint: str) -> "Network":
        """The network of a file, loaded where it is not there or was replaced."""
        from ..generator import load_generator, prepare
        from .painting import Network

        def load() -> Network:
            generator = load_generator(path, device=str(self.device), cache_folder=self.settings.cache_folder or None)
            prepare(generator)
            return Network(generator, key)

        builtin = find_builtin(checkpoint) if is_builtin(checkpoint) else None
        path = str(builtin.path) if builtin is not None else checkpoint
        key = stamp(path)
        for other, _ in self.networks.items():  # the same file as it was before: nobody can ask for that any more
            if other[0] == path and other != key:
                self.networks.drop(other)
        return self.used(self.networks.get_or_make(key, load))

    def used(self, network: "Network") -> "Network":
        """Note that a network was used, and let go of patches whose network was pushed out."""
        self.networks.put(network.identity, network)
        kept = [other for _, other in self.networks.items()]
        for key, held in self.patches.items():
            if held.network not in kept:
                self.patches.drop(key)
        return network

    def patch(self, message: Message, progress: Progress) -> Result:
        """Check a patch, load its network and its files, and keep it under its key."""
        from ..choreography import Patch
        from .painting import HeldPatch

        held = self.patches.get(message["key"])
        if held is None:
            check_unchanged(message.get("files", ()))
            patch = Patch.from_json(message["patch"])
            progress(0.0, "Loading the network")
            network = self.network(patch.checkpoint)
            progress(0.5, "Loading what the layers need")
            held = HeldPatch(patch, network)
            self.patches.put(message["key"], held)
        network = self.used(held.network)
        notes = held.on(None, lambda fraction, text: progress(0.5 + 0.5 * fraction, text)).notes
        self.trim()
        return asdict(facts_of(network.generator, notes))

    def read_patch(self, message: Message, progress: Progress) -> Result:
        """Read the text of a patch: checked, and as plain data of today's version."""
        from ..choreography import Patch

        return {"patch": Patch.from_json(message["text"]).to_plain()}

    def frame(self, message: Message, progress: Progress) -> Result:
        """Make one picture and write it into the slot."""
        import torch

        from .painting import paint
        from .pixels import to_blender

        began = time.perf_counter()
        held = self.patches.get(message["patch"])
        if held is None:
            raise protocol.PatchLost("The engine does not hold this mapping.")
        self.used(held.network)
        width, height = machine.checked_size(message["size"])
        slot = self.slots.get_or_make(message["slot"], lambda: machine.attach(message["slot"]))
        if width * height * 16 > slot.size:  # before anything is painted in a size that nobody has memory for
            raise EngineError(f"The memory {message['slot']} is too small for {width} x {height} pixels.")
        with torch.inference_mode():
            picture = paint(held, message["values"], (width, height), message["fit"], message["quality"])
            target = torch.frombuffer(slot.buf, dtype=torch.float32, count=width * height * 4)
            target.view(height, width, 4).copy_(to_blender(picture, (width, height), message["fit"]))
            del target  # the slot cannot be closed while a tensor looks into it
        self.painted += 1
        if self.painted % TRIM_EVERY == 0:
            self.trim()
        return {"seconds": time.perf_counter() - began}

    def thumbnails(self, message: Message, progress: Progress) -> Result:
        """Small pictures of latents, each as a latent layer over the whole network would show it."""
        from .painting import thumbnails

        network = self.network(text(message, "checkpoint"))
        side, latents = message["size"], message["latents"]
        if type(side) is not int or not 1 <= side <= protocol.LARGEST_THUMBNAIL:
            raise EngineError(f"A thumbnail has 1 to {protocol.LARGEST_THUMBNAIL} pixels on each side.")
        if not isinstance(latents, list) or len(latents) > protocol.MOST_THUMBNAILS:
            raise EngineError(f"At most {protocol.MOST_THUMBNAILS} thumbnails are made at once.")
        return {"pictures": protocol.pack_bytes(thumbnails(network, message["label"], latents, side))}

    def latents(self, message: Message, progress: Progress) -> Result:
        """How many latents a file holds."""
        from ..generator.latent_files import load_latents

        network = self.network(text(message, "checkpoint"))
        return {"count": len(load_latents(text(message, "file"), message["space"], network.generator))}

    # Songs

    def song(self, message: Message, progress: Progress) -> Result:
        """Look at a song without listening to it: how long it lasts."""
        from ..audio.decode import SongReader

        with SongReader(text(message, "song")) as reader:
            return {
                "duration": reader.expected_samples / reader.rate,
                "sample_rate": reader.rate,
                "channels": reader.channels,
            }

    def analyse(self, message: Message, progress: Progress) -> Result:
        """Listen to a song, where that was not done before, and bake the recipes that are asked for."""
        from ..audio import DEFAULT_FEATURES, Recipe, analyse, bake, features_of
        from . import songs
        from .knowledge import Knowledge

        song, fps, knowledge = text(message, "song"), Fraction(*message["fps"]), Knowledge.of(message)
        recipes = [Recipe.from_dict(recipe) for recipe in message["recipes"]]
        asked = features_of(recipes)
        key = songs.song_key(song, fps, knowledge)
        folder = Path(self.settings.cache_folder, "songs") if self.settings.cache_folder else None

        def listen(features: Iterable[str]) -> "Analysis":
            return analyse(song, fps, features, **knowledge.arguments(), progress=progress)

        analysis = self.analyses.get(key) or (songs.load(folder, key) if folder else None)
        missing = songs.features_missing(analysis, asked)
        if analysis is None or missing:
            if analysis is None:
                analysis = listen(dict.fromkeys((*DEFAULT_FEATURES, *asked)))
            else:
                analysis = analysis.with_features_of(listen(missing))
            if folder:
                songs.save(analysis, folder, key, self.settings.cache_bytes)
        self.analyses.put(key, analysis)
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

    def separate(self, message: Message, progress: Progress) -> Result:
        """Make stems of a song by a network, or find those of an earlier time. Touches nothing that the others keep."""
        from ..audio.neural import separate

        assert self.device is not None
        folder = text(message, "folder")
        self.confinement.allow_writing(folder)
        online = bool(message["online"])
        with self.confinement.online() if online else contextlib.nullcontext():
            stems = separate(
                text(message, "song"),
                folder,
                model=message["model"],
                weights=message["weights"] or None,
                online=online,
                device=str(self.device),
                progress=progress,
            )
        return {"stems": {name: str(path) for name, path in stems.items()}}

    # Memory

    def unload(self, message: Message, progress: Progress) -> Result:
        """Give back networks and caches."""
        for cache in (self.patches, self.networks, self.analyses, self.slots):
            cache.clear()
        machine.give_back_freed_memory()
        return {}

    def trim(self) -> None:
        """Let go of what was used longest ago until the limit is kept: patches, then songs, then networks.

        What was used last stays, whatever it takes.
        """
        if not self.settings.memory or self.held() <= self.settings.memory:
            return
        for forget in (self.patches.drop_oldest, self.analyses.drop_oldest, self.drop_oldest_network):
            while forget():
                if self.held() <= self.settings.memory:
                    machine.give_back_freed_memory()
                    return
        machine.give_back_freed_memory()

    def drop_oldest_network(self) -> bool:
        """Forget the network that was used longest ago, and the patches for it; False where there is but one."""
        if not self.networks.drop_oldest():
            return False
        self.used(self.networks.items()[-1][1])
        return True

    def held(self) -> int:
        """Bytes of networks and caches."""
        return sum(size for _, size in self.network_bytes()) + sum(self.cache_bytes().values())

    def network_bytes(self) -> tuple[tuple[str, int], ...]:
        """Each network that is loaded, by its file."""
        return tuple((key[0], machine.held_bytes(network)) for key, network in self.networks.items())

    def cache_bytes(self) -> dict[str, int]:
        """All else that is kept."""
        return {
            "patches": sum(machine.held_bytes(held, held.network.generator) for _, held in self.patches.items()),
            "songs": sum(machine.held_bytes(analysis) for _, analysis in self.analyses.items()),
        }

    def report(self, message: Message, progress: Progress) -> Result:
        """What the engine is and holds, and how fast it is."""
        import torch

        speed = 0.0
        if message["seconds"]:
            progress(0.0, "Loading the network")
            generator = self.network(BUILTIN).generator
            ws = generator.w_avg.expand(1, generator.num_ws, -1)
            with torch.inference_mode():
                generator.synthesis(ws)  # the first one prepares
                began, pictures = time.perf_counter(), 0
                while (taken := time.perf_counter() - began) < message["seconds"] or not pictures:
                    progress(min(1.0, taken / message["seconds"]), "Painting test pictures")
                    generator.synthesis(ws).sum().item()  # waits for a graphics card, too
                    pictures += 1
            speed = pictures / taken
        self.trim()
        return asdict(
            protocol.Report(
                device=str(self.device),
                device_name=self.device_name,
                versions=self.versions,
                resident=machine.resident_bytes(),
                device_memory=machine.device_bytes(),
                limit=self.settings.memory,
                networks=self.network_bytes(),
                caches=self.cache_bytes(),
                pictures_per_second=speed,
            )
        )

    def make_room(self) -> None:
        """Memory has run out: keep what was used last, and give back the rest."""
        for forget in (self.patches.drop_oldest, self.analyses.drop_oldest, self.drop_oldest_network):
            while forget():
                pass
        machine.give_back_freed_memory()

    def move_on(self) -> bool:
        """Memory has run out although there is nothing left to give back: go on with the next device, where one is.

        A device that was chosen by name is never left: others make pictures that differ by rounding.
        """
        following = machine.next_device(self.device) if self.device is not None and self.automatic else None
        if following is None:
            return False
        left, (self.device, self.device_name) = self.device_name, following
        self.patches.clear()
        self.networks.clear()
        machine.give_back_freed_memory()
        self.note(
            f"The memory of {left} is full, so {self.device_name} makes the pictures now, slower and different by "
            "rounding. Close other programs and stop the engine to go back, or choose a smaller size or network."
        )
        return True


def check_unchanged(files: Iterable[Iterable[Any]]) -> None:
    """Raise `CheckpointError` where a file is not what it was when the client looked at it, as at a film's begin."""
    for wanted in map(tuple, files):
        found = stamp(wanted[0])
        if found != wanted:
            fate = "was replaced" if any(found[1:]) else "is no longer there"
            raise CheckpointError(
                f"The file {wanted[0]} {fate} while it was needed. Put the one from before back and render the "
                "frames again that are missing, or render the film again from its start."
            )


def text(message: Message, name: str) -> str:
    """A field that has to be a text: a number would be taken for an open file, and a path may hold no null."""
    value = message.get(name)
    if not isinstance(value, str) or "\0" in value:
        raise EngineError(f"The engine was given {str(value)[:60]!r} as {name}, which is no text. Restart Blender.")
    return value


def facts_of(generator: "Generator", notes: Iterable[str]) -> protocol.NetworkFacts:
    """What one has to know of a network."""
    from ..choreography.ranges import scales

    return protocol.NetworkFacts(
        num_ws=generator.num_ws,
        resolution=generator.resolution,
        noise_inputs=len(generator.noise_shapes),
        c_dim=generator.c_dim,
        img_channels=generator.img_channels,
        layer_names=tuple(generator.layer_names),
        scales=tuple((label, first, last) for label, first, last in scales(generator.tools.ws_sizes)),
        notes=tuple(notes),
    )


PICTURES = ("hello", "settings", "patch", "read_patch", "frame", "thumbnails", "latents", "unload", "report")
SONGS = ("song", "analyse")
STEMS = ("separate",)
NO_MEMORY = "There is not enough memory. Close other programs, or choose a smaller size or network."
NO_DEVICE_MEMORY = (
    "There is not enough memory on {}. Close other programs, choose a smaller size or network, or choose Automatic as "
    "device in the preferences of this add-on: then another one takes over."
)


class Desk:
    """Takes requests from the client to the threads that work, and answers back."""

    def __init__(self, sink: BinaryIO, confinement: Confinement | None = None) -> None:
        self.server = Server(confinement)
        self.server.note = lambda text: self.send({"id": 0, "note": text})
        self.lanes = {names: Lane() for names in (PICTURES, SONGS, STEMS)}
        self.cancelled: set[int] = set()
        self._sink = sink
        self._writing = threading.Lock()

    def receive(self, message: Message) -> None:
        """Hand a request to its thread, or take one back."""
        if message.get("op") == "cancel":
            self.cancel(int(message["target"]))
            return
        if message.get("op") == "ping":
            self.send({"id": message["id"], "result": {}})
            return
        for names, lane in self.lanes.items():
            if message.get("op") in names:
                lane.put(message)
                return
        error = EngineError(f"The engine does not know the request {message.get('op')!r}. Restart Blender.")
        self.send({"id": message["id"], "error": protocol.error_fields(error)})

    def cancel(self, number: int) -> None:
        """Nobody wants an answer any more: what was not begun never is."""
        for lane in self.lanes.values():
            dropped = lane.drop(number)
            if dropped is None:
                self.cancelled.add(number)
            elif dropped:
                self.send({"id": number, "error": CANCELLED})

    def send(self, message: Message) -> None:
        """Write one line."""
        line = protocol.encode(message)
        with self._writing:
            self._sink.write(line)
            self._sink.flush()

    def listen(self) -> None:
        """Answer the requests about songs. What they need is loaded beforehand, so that the first one is quick."""
        self.server.greeted.wait()
        if self.server.refusal is None:
            with contextlib.suppress(Exception):  # said by the request that needs it
                from . import songs  # noqa: F401
        self.work(self.lanes[SONGS])

    def work(self, lane: Lane) -> None:
        """Answer the requests of a lane, for ever."""
        while True:
            self.send(self.answer(lane.take()))

    def answer(self, message: Message) -> Message:
        """Do what a request asks for."""
        number = message["id"]

        def progress(fraction: float, text: str) -> None:
            if number in self.cancelled:
                raise Cancelled
            self.send({"id": number, "progress": float(fraction), "text": text})

        try:
            return {"id": number, "result": self.result(message, progress)}
        except Cancelled:
            return {"id": number, "error": CANCELLED}
        except ReactiveError as error:
            return {"id": number, "error": protocol.error_fields(error)}
        except Exception as fault:
            if machine.is_out_of_memory(fault):
                own_memory = self.server.device is not None and self.server.device.type != "cpu"
                text = NO_DEVICE_MEMORY.format(self.server.device_name) if own_memory else NO_MEMORY
                return {"id": number, "error": protocol.error_fields(EngineError(text))}
            traceback.print_exc()
            own = EngineError(
                f"The engine met a fault of its own ({type(fault).__name__}: {fault}). Its log says more."
            )
            return {"id": number, "error": protocol.error_fields(own)}
        finally:
            self.cancelled.discard(number)

    def result(self, message: Message, progress: Progress) -> Result:
        """Call the operation; a picture for which memory has run out is tried again with more room, then elsewhere.

        Pictures are made one by one, so there is no batch that could be halved.
        """
        server, op = self.server, message["op"]
        if op != "hello":
            server.greeted.wait()
            if server.refusal is not None:
                raise server.refusal
        operation = getattr(server, "settings_" if op == "settings" else op)
        try:
            return operation(message, progress)  # type: ignore[no-any-return]
        except Exception as fault:
            if op not in ("patch", "frame", "thumbnails") or not machine.is_out_of_memory(fault):
                raise
        server.make_room()  # outside of the handler, whose traceback would hold on to the memory
        try:
            return operation(message, progress)  # type: ignore[no-any-return]
        except Exception as fault:
            if not machine.is_out_of_memory(fault):
                raise
            words, full = str(fault), machine.is_device_full(fault)
        if not (full and server.move_on()):
            raise MemoryError(words)
        return operation(message, progress)  # type: ignore[no-any-return]


CANCELLED = protocol.error_fields(EngineError("Cancelled."))


def serve(source: BinaryIO, sink: BinaryIO, confinement: Confinement | None = None) -> None:
    """Answer requests from `source` on `sink` until `source` ends; then the process ends too."""
    desk = Desk(sink, confinement)

    def read() -> None:
        with contextlib.suppress(Exception):
            while line := source.readline(protocol.LONGEST_LINE):
                desk.receive(protocol.decode(line))
        os._exit(0)  # the parent is gone, or talks nonsense: nobody waits for what is being computed

    threading.Thread(target=read, name="requests", daemon=True).start()
    threading.Thread(target=desk.listen, name="songs", daemon=True).start()
    threading.Thread(target=desk.work, args=(desk.lanes[STEMS],), name="stems", daemon=True).start()
    desk.work(desk.lanes[PICTURES])


def main() -> None:
    """Take the pipe for the protocol alone, so that whatever a library prints goes to the log, and serve."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    confinement = Confinement()
    told: set[str] = set()

    def refusing(what: str) -> None:
        if what not in told:  # once each: some packages ask again and again
            told.add(what)
            print(f"Refused: the engine may not {what}.", file=sys.stderr, flush=True)

    confinement.begin(refusing)
    serve(source, sink, confinement)
