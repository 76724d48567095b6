# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the pipe between Blender and the engine: one JSON object a line, in both directions.

Client to engine: ``{"id": 3, "op": "frame", ...}``. Engine to client, with the same id: any number of
``{"id": 3, "progress": 0.4, "text": "..."}``, then one ``{"id": 3, "result": {...}}`` or
``{"id": 3, "error": {"kind": "SongError", "message": "..."}}``. Arrays travel as base64 of little-endian float32;
pixels do not travel here at all but through shared memory. Nothing that is read is ever executed.

=========  =====================================================  ==============================================
op         fields                                                 result
=========  =====================================================  ==============================================
hello      protocol, device                                       protocol, versions, device, ...: see `Hello`
patch      key, patch                                             num_ws, resolution, noise_inputs
frame      patch (key), values, size [w, h], slot (name)          seconds
song       song                                                   duration, sample_rate, channels
analyse    song, fps [n, d], recipes; if wanted: offset,          envelopes, frames, duration, tempo, beats, ...:
           duration, rhythm, form, stems (see `Engine.analyse`)   see `Analysed`
separate   song, folder, model, weights, online                   stems (name to path); others are answered meanwhile
cancel     target (id)                                            none: it is never answered
=========  =====================================================  ==============================================
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import errors

if TYPE_CHECKING:
    import numpy as np  # imported where it is used: the engine can answer the hello on a Python that has nothing

PROTOCOL = 1
KEPT_PATCHES = 8  # the engine keeps those used last; the client sends an older one again
LONGEST_LINE = 256 * 1024 * 1024  # bytes; a line beyond this is a fault, not a message

Message = dict[str, Any]

_KINDS: dict[str, type[errors.ReactiveError]] = {
    cls.__name__: cls
    for cls in (
        errors.ReactiveError,
        errors.SongError,
        errors.CheckpointError,
        errors.PatchError,
        errors.EngineError,
    )
}


@dataclass(frozen=True)
class Hello:
    """What the engine says of itself when it starts; `versions` maps a package to its version, or to ``""``."""

    protocol: int
    versions: dict[str, str]
    device: str
    device_name: str
    pid: int


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


def encode(message: Message) -> bytes:
    """One message as one line; raises ValueError on NaN or infinity, which JSON does not have."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message on a line; raises ValueError where it is none."""
    message = json.loads(line)
    if not isinstance(message, dict) or not isinstance(message.get("id"), int):
        raise ValueError("a message is an object with an id")
    return message


def pack(array: "np.ndarray") -> str:
    """A vector of numbers as base64 of little-endian float32."""
    import numpy as np

    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode("ascii")


def unpack(text: str) -> "np.ndarray":
    """The float32 vector that `pack` wrote."""
    import numpy as np

    return np.frombuffer(base64.b64decode(text, validate=True), "<f4")


def patch_key(patch: dict[str, Any]) -> str:
    """The name of a patch on the pipe: a hash of its content, so that equal patches are sent once."""
    canonical = json.dumps(patch, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def error_fields(error: errors.ReactiveError) -> dict[str, str]:
    """An error as data."""
    return {"kind": type(error).__name__, "message": str(error)}


def error_from(fields: Any) -> errors.ReactiveError:
    """The error that `error_fields` wrote; an unknown kind becomes a plain `ReactiveError`."""
    if not isinstance(fields, dict):
        return errors.EngineError("The engine answered with an error that cannot be read. Restart it.")
    return _KINDS.get(str(fields.get("kind")), errors.ReactiveError)(str(fields.get("message")))
