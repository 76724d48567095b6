# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the pipe between Blender and the engine: one JSON object a line, in both directions.

Client to engine: ``{"id": 3, "op": "frame", ...}``. Engine to client, with the same id: any number of
``{"id": 3, "progress": 0.4, "text": "..."}``, then one ``{"id": 3, "result": {...}}`` or
``{"id": 3, "error": {"kind": "SongError", "message": "..."}}``; and with the id 0, without being asked,
``{"id": 0, "note": "..."}``, what the artist should know. Arrays travel as base64 of little-endian float32;
pixels do not travel here at all but through shared memory. Nothing that is read is ever executed.

==========  ===================================================  ==============================================
op          fields                                               result
==========  ===================================================  ==============================================
hello       protocol, device, settings                           protocol, versions, device, ...: see `Hello`
settings    settings: see `Settings`                             none
patch       key, patch; if wanted, files: stamps that they       see `NetworkFacts`
            must still have where the patch is not held yet
read_patch  text                                                 patch: plain data of today's version
frame       patch (key), values, size [w, h], fit, quality,      seconds
            slot (name), ahead: nobody waits for it
thumbnails  checkpoint, label, latents, size                     pictures: base64 of bytes [n, size, size, 4]
latents     checkpoint, file, space                              count: how many latents a file holds
song        song                                                 duration, sample_rate, channels
analyse     song, fps [n, d], recipes; if wanted: offset,        envelopes, frames, duration, tempo, beats, ...:
            duration, rhythm, form, stems (`Engine.analyse`)     see `Analysed`
separate    song, folder, model, weights, online                 stems (name to path); others are answered meanwhile
unload      none                                                 none: networks and caches are given back
report      seconds (of the test; 0: none)                       see `Report`
cancel      target (id)                                          none: it is never answered
ping        none                                                 none: it is answered at once, whatever is under way
==========  ===================================================  ==============================================
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .. import errors
from ..builtin_networks import is_builtin
from ..files import Stamp, stamp

if TYPE_CHECKING:
    import numpy as np  # imported where it is used: the engine can answer the hello on a Python that has nothing

PROTOCOL = 2
KEPT_PATCHES = 8  # the engine keeps those used last; the client sends another one again when it hears `PatchLost`
MOST_THREADS = 1024
LARGEST_THUMBNAIL = 512  # pixels
MOST_THUMBNAILS = 16  # in one request
LARGEST_SIDE = 16384  # pixels of a picture
LONGEST_LINE = 256 * 1024 * 1024  # bytes; a line beyond this is a fault, not a message
MOST_VALUES = 4 << 20  # in one line; its bulk is base64, and lists of millions would take many times its length
SHARED_MEMORY = re.compile(r"sgr_[0-9a-f]{16}")  # as `shared_pixels` names it
"""Names that Blender gives to shared memory: no path, and nothing that another program would have made."""

FITS = ("canvas", "crop", "contain", "stretch")
"""How a picture of the network's own shape comes into a size of another shape: the network itself paints that shape;
it is filled and what stands over is cut off; it is shown whole between transparent bars; it is stretched."""

QUALITIES = (1.0, 0.5, 0.25)
"""1 is the picture; less is a preview of it in the size asked for, with that share of the network's resolution."""

Message = dict[str, Any]
Answer = TypeVar("Answer")


class PatchLost(errors.PatchError):
    """The engine does not hold the patch of a request (any more)."""


_KINDS: dict[str, type[errors.ReactiveError]] = {
    cls.__name__: cls
    for cls in (
        errors.ReactiveError,
        errors.SongError,
        errors.CheckpointError,
        errors.PatchError,
        errors.EngineError,
        PatchLost,
    )
}


@dataclass(frozen=True)
class Settings:
    """What the artist, or the machine, sets.

    Attributes
    ----------
    memory : int
        Bytes that networks and caches may take together; what was used longest ago goes first, and what is in use
        stays. 0: no limit.
    cache_folder : str
        Where analyses of songs, and what takes long to find in a network, are kept for the next start; "": nowhere.
    cache_bytes : int
        Of that folder's analyses; the oldest go first.
    threads : int
        Of the processor, for one picture; 0: as many as torch thinks right.
    """

    memory: int = 0
    cache_folder: str = ""
    cache_bytes: int = 256 << 20
    threads: int = 0

    @classmethod
    def of(cls, fields: Any) -> "Settings":
        """From the plain data of a request; raises `EngineError` where they are no settings."""
        try:
            found = cls(**fields)
        except TypeError:
            raise errors.EngineError("The engine was given settings that it does not know. Restart Blender.") from None
        sizes = (found.memory, found.cache_bytes, found.threads)
        if not all(type(size) is int and 0 <= size < 1 << 62 for size in sizes) or not isinstance(
            found.cache_folder, str
        ):
            raise errors.EngineError("The engine was given settings that are no sizes and folders. Restart Blender.")
        if found.threads > MOST_THREADS:  # OpenMP ends the process where it cannot have as many as it was told
            raise errors.EngineError(f"The engine cannot use {found.threads} threads. Choose {MOST_THREADS} at most.")
        return found


@dataclass(frozen=True)
class Hello:
    """What the engine says of itself when it starts; `versions` maps a package to its version, or to ``""``."""

    protocol: int
    versions: dict[str, str]
    device: str
    device_name: str
    pid: int


@dataclass(frozen=True)
class NetworkFacts:
    """What one has to know of a patch's network.

    Attributes
    ----------
    num_ws : int
        Generator layers that a latent layer can reach.
    resolution : (int, int)
        Height and width of its own picture in pixels.
    noise_inputs : int
        0 for a network without noise.
    c_dim : int
        Classes; 0 without.
    img_channels : int
        1 grey, 3 colour; 2 and 4 with transparency.
    layer_names : tuple of str
        Where the network can be bent.
    scales : tuple of (label, first, last)
        Ranges of the generator's layers by what they paint, coarsest first; both ends are meant.
    notes : tuple of str
        What of the patch could not be adapted to this network.
    """

    num_ws: int
    resolution: tuple[int, int]
    noise_inputs: int
    c_dim: int
    img_channels: int
    layer_names: tuple[str, ...]
    scales: tuple[tuple[str, int, int], ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "NetworkFacts":
        """From the plain data that `dataclasses.asdict` and JSON have made of it."""
        return cls(
            num_ws=int(fields["num_ws"]),
            resolution=(int(fields["resolution"][0]), int(fields["resolution"][1])),
            noise_inputs=int(fields["noise_inputs"]),
            c_dim=int(fields["c_dim"]),
            img_channels=int(fields["img_channels"]),
            layer_names=tuple(map(str, fields["layer_names"])),
            scales=tuple((str(label), int(first), int(last)) for label, first, last in fields["scales"]),
            notes=tuple(map(str, fields["notes"])),
        )


@dataclass(frozen=True)
class Report:
    """What the engine is and holds.

    Attributes
    ----------
    device, device_name : str
        As in `Hello`.
    versions : dict of str to str
        Of the packages.
    resident : int
        Bytes of memory that the process takes at the moment, as the system counts them; 0 where it does not tell.
    device_memory : int
        Bytes taken on the graphics card; 0 without one.
    limit : int
        Bytes that networks and caches may take together; 0: no limit.
    networks : tuple of (file, bytes)
        That are loaded, the one used last at the end.
    caches : dict of str to int
        Bytes by what is kept.
    pictures_per_second : float
        Of a test with the built-in network at its own size; 0 where none was made.
    """

    device: str
    device_name: str
    versions: dict[str, str]
    resident: int
    device_memory: int
    limit: int
    networks: tuple[tuple[str, int], ...]
    caches: dict[str, int]
    pictures_per_second: float

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Report":
        """From the plain data that `dataclasses.asdict` and JSON have made of it."""
        return cls(**{**fields, "networks": tuple((str(file), int(size)) for file, size in fields["networks"])})


@dataclass(frozen=True)
class Analysed:
    """A song's envelopes, as the engine hands them over.

    Attributes
    ----------
    envelopes : dict of str to float32 [frames]
        By the names of the recipes that were asked for.
    frames : int
        Frames that the song lasts, the last one begun counted.
    duration, tempo : float
        Seconds; beats per minute (0 where no beat was found).
    beats, downbeats : float64 [n]
        Seconds from the start of the song, or of the part of it that was asked for.
    beats_per_bar : int
        The metre.
    beat_confidence, bar_confidence : float
        How sure the beats are, and the bars if the beats are right: 0 to 1.
    sections : tuple of (start, end, label)
        Seconds, like the beats, and what kind of section it is.
    loudness : float, optional
        Of the whole song in LUFS; none unless a recipe listens to loudness.
    """

    envelopes: "dict[str, np.ndarray]"
    frames: int
    duration: float
    tempo: float
    beats: "np.ndarray"
    downbeats: "np.ndarray"
    beats_per_bar: int
    beat_confidence: float
    bar_confidence: float
    sections: tuple[tuple[float, float, str], ...]
    loudness: float | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Analysed":
        """From the plain data of an answer."""
        import numpy as np

        return cls(
            envelopes={str(name): unpack(text) for name, text in fields["envelopes"].items()},
            frames=int(fields["frames"]),
            duration=float(fields["duration"]),
            tempo=float(fields["tempo"]),
            beats=np.array(fields["beats"], np.float64),
            downbeats=np.array(fields["downbeats"], np.float64),
            beats_per_bar=int(fields["beats_per_bar"]),
            beat_confidence=float(fields["beat_confidence"]),
            bar_confidence=float(fields["bar_confidence"]),
            sections=tuple((float(start), float(end), str(label)) for start, end, label in fields["sections"]),
            loudness=None if fields["loudness"] is None else float(fields["loudness"]),
        )


def encode(message: Message) -> bytes:
    """One message as one line; raises ValueError on NaN or infinity, which JSON does not have."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message on a line; raises ValueError where it is none."""
    if sum(line.count(sign) for sign in (b",", b"[", b"{")) > MOST_VALUES:
        raise ValueError("a message has far fewer values")
    try:
        message = json.loads(line, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("a message is not nested so deeply") from None
    if not isinstance(message, dict) or type(message.get("id")) is not int:
        raise ValueError("a message is an object with an id")
    return message


def _no_number(name: str) -> NoReturn:
    """For NaN and infinity, which `encode` does not write."""
    raise ValueError(f"{name} is no number of JSON")


def understood(read: Callable[[], Answer]) -> Answer:
    """What `read` makes of an answer; raises `EngineError` where the answer is not what was agreed."""
    try:
        return read()
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as fault:
        raise errors.EngineError(
            f"The engine answered something that cannot be read ({type(fault).__name__}: {fault!s:.100}). Restart it: "
            "switch this add-on off and on in the preferences."
        ) from fault


def pack(array: "np.ndarray") -> str:
    """A vector of numbers as base64 of little-endian float32."""
    import numpy as np

    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode("ascii")


def unpack(text: str) -> "np.ndarray":
    """The float32 vector that `pack` wrote."""
    import numpy as np

    return np.frombuffer(base64.b64decode(text, validate=True), "<f4")


def pack_bytes(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode("ascii")


def unpack_bytes(text: str) -> bytes:
    """The bytes that `pack_bytes` wrote."""
    return base64.b64decode(text, validate=True)


def files_of(value: Any) -> Iterator[str]:
    """Paths of the files that the plain data of a patch names: its network, latents, masks, weights."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("checkpoint", "file") and isinstance(item, str):
                yield item
            else:
                yield from files_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from files_of(item)


def stamps_of(patch: Mapping[str, Any], known: dict[str, Stamp] | None = None) -> list[Stamp]:
    """The files that a patch names, as they are now.

    Parameters
    ----------
    patch : dict
    known : dict, optional
        How files were when something began for which they must not change. Those that are not in it yet are added.
    """
    known = {} if known is None else known
    stamps = []
    for path in sorted(set(files_of(patch)) - {""}):
        if is_builtin(path):
            continue
        found = known.get(path) or stamp(path)
        if any(found[1:]):  # one that is missing may still come
            known[path] = found
        stamps.append(found)
    return stamps


def patch_key(patch: Mapping[str, Any], files: Sequence[Stamp] | None = None) -> str:
    """The name of a patch on the pipe: equal patches, whose files (`stamps_of`) are the same, are sent once."""
    files = stamps_of(patch) if files is None else files
    canonical = json.dumps([dict(patch), files], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def error_fields(error: errors.ReactiveError) -> dict[str, str]:
    """An error as data."""
    return {"kind": type(error).__name__, "message": str(error)}


def error_from(fields: Any) -> errors.ReactiveError:
    """The error that `error_fields` wrote; an unknown kind becomes a plain `ReactiveError`."""
    if not isinstance(fields, dict):
        return errors.EngineError("The engine answered with an error that cannot be read. Restart it.")
    return _KINDS.get(str(fields.get("kind")), errors.ReactiveError)(str(fields.get("message")))
