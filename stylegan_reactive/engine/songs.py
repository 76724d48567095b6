# SPDX-License-Identifier: GPL-3.0-or-later
"""What was heard in songs, kept on disk by what the songs contain: a second look at one takes no time.

Only raw features are kept, so a change of an envelope's post-processing needs no listening. Files are named by a hash
of all that they depend on: the song's bytes, those of its stems, the frame rate, the artist's knowledge, and the code
that listens. They are written beside their place and then moved there; one that is damaged is made again.
"""

import contextlib
import hashlib
import io
import json
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import asdict
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import archives, audio
from ..audio import Analysis, Section
from ..files import Stamp, stamp, write_whole
from .knowledge import Knowledge

SUFFIX = ".analysis.npz"
FORMAT = 1
LISTS = ("beats", "downbeats")
LARGEST_NUMBER = 1e12  # of seconds, frames and beats: more than any song has
# What numpy, zipfile and json meet in a damaged file.
FILE_ERRORS = (
    *(OSError, ValueError, LookupError, TypeError, EOFError, ArithmeticError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, SyntaxError, tokenize.TokenError),
)
NUMBERS = ("tempo", "duration", "frames", "beats_per_bar", "beat_confidence", "bar_confidence", "loudness")


def song_key(song: str, fps: Fraction, knowledge: Knowledge) -> str:
    """Equal for songs in which the same is heard, wherever they lie and whatever they are called."""
    files = {"": content_hash(stamp(song)), **{name: content_hash(stamp(path)) for name, path in knowledge.stems}}
    known = {name: value for name, value in asdict(knowledge).items() if name != "stems"}
    about = [FORMAT, listener_hash(), [fps.numerator, fps.denominator], known, files]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=64)
def content_hash(identity: Stamp) -> str:
    """Hash of a file's bytes; "" for one that cannot be read, which its reader will say. Found once for each stamp."""
    try:
        with open(identity[0], "rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError:
        return ""


@lru_cache(maxsize=1)
def listener_hash() -> str:
    """Hash of the code that listens and of its table of features: another version may hear something else."""
    digest = hashlib.blake2b()
    room = Path(audio.__file__).parent
    for path in [*sorted(room.glob("*.py")), room / "feature.json"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def save(analysis: Analysis, folder: Path, key: str, limit: int) -> None:
    """Keep an analysis, and remove the oldest ones beyond `limit` bytes. That it cannot be written is no error."""
    head = {name: getattr(analysis, name) for name in NUMBERS}
    head["fps"] = [analysis.fps.numerator, analysis.fps.denominator]
    head["sections"] = [[part.start, part.end, part.label] for part in analysis.sections]
    arrays = {f"feature {name}": values for name, values in analysis.features.items()}
    arrays |= {name: getattr(analysis, name) for name in LISTS}
    path = folder / f"{key}{SUFFIX}"
    archive = io.BytesIO()
    np.savez(archive, **arrays, head=np.array(json.dumps(head, default=lambda number: number.item())))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, archive.getvalue(), durable=False)  # its checksums tell whether it is whole
        prune(folder, limit, path)
    except OSError:
        return


def prune(folder: Path, limit: int, newest: Path) -> None:
    """Remove the analyses that were used longest ago until the others fit; never the newest."""
    files = []
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            status = path.stat()
            files.append((path == newest, status.st_mtime_ns, status.st_size, path))
    left = sum(size for _, _, size, _ in files)
    for is_newest, _, size, path in sorted(files):
        if left <= limit or is_newest:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            left -= size


def load(folder: Path, key: str) -> Analysis | None:
    """The analysis of a key; None where there is none, or its file is damaged. It counts as used now."""
    path = folder / f"{key}{SUFFIX}"
    try:
        if path.is_symlink():
            return None
        found = read_arrays(path)
        head = json.loads(str(found["head"]))
        features = {name.removeprefix("feature "): found[name] for name in found if name.startswith("feature ")}
        analysis = Analysis(
            features=MappingProxyType(features),
            beats=found["beats"],
            downbeats=found["downbeats"],
            **{name: head[name] for name in NUMBERS},
            fps=Fraction(*head["fps"]),
            sections=tuple(Section(start, end, label) for start, end, label in head["sections"]),
        )
        if not is_sane(analysis):
            return None
        os.utime(path, follow_symlinks=os.utime not in os.supports_follow_symlinks)
        return analysis
    except FILE_ERRORS:
        return None


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive that `save` wrote; together they take no more memory than the file."""
    with archives.opened(path) as archive:
        found = {}
        for entry in archive.infolist():
            with archive.open(entry) as file:
                found[entry.filename.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
        return found


def is_sane(analysis: Analysis) -> bool:
    """Whether what was read could have been heard: numbers of the right kind, as many as there are frames."""
    numbers = [getattr(analysis, name) for name in NUMBERS if name != "loudness"]
    numbers += [0.0 if analysis.loudness is None else analysis.loudness]
    numbers += [time for part in analysis.sections for time in (part.start, part.end)]
    return (
        all(type(number) in (int, float) and abs(number) < LARGEST_NUMBER for number in numbers)
        and all(isinstance(part.label, str) for part in analysis.sections)
        and isinstance(analysis.frames, int)
        and isinstance(analysis.beats_per_bar, int)
        and all(
            values.dtype == np.float32 and values.ndim in (1, 2) and len(values) == analysis.frames
            for values in analysis.features.values()
        )
        and all(getattr(analysis, name).dtype == np.float64 and getattr(analysis, name).ndim == 1 for name in LISTS)
        and all(np.isfinite(values).all() for values in (*analysis.features.values(), analysis.beats))
    )


def features_missing(analysis: Analysis | None, asked: Iterable[str]) -> list[str]:
    """Which features have not been listened for yet."""
    there: Any = {} if analysis is None else analysis.features
    return [feature for feature in asked if feature not in there]
