# SPDX-License-Identifier: GPL-3.0-or-later
"""Separate a song into stems by a neural network, once: the result is kept, under the hash of what the song holds.

The song goes through the network in segments that overlap by a quarter and are faded into one another by triangles, as
Demucs does, so that memory does not grow with the song. Stems are written beside their place and renamed when they are
whole: whatever happens, there are all stems or none.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ..errors import SongError
from .decode import SongReader
from .neural_models import MODELS, Network, fingerprint, load_network, model_named, weight_files

__all__ = ["MODELS", "cached_stems", "separate"]

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and a line for the artist. May raise to cancel."""

OVERLAP = 0.25
"""Share of a segment that the next one hears too (Demucs' own default)."""

MANIFEST = "stems.json"
STEM_NAME = re.compile(r"[\w-]{1,64}")  # what `_separate_into` makes of any name: no path
PARTIAL = ".partial-"
FORGOTTEN = 24 * 3600
"""Seconds after which what a crash has left half done is deleted."""

LEAST_DEVIATION = 1e-8
"""Keeps silence from being divided by silence; -160 dB."""


def separate(
    song: str | Path,
    cache: str | Path,
    *,
    model: str = "htdemucs",
    weights: str | Path | None = None,
    online: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Separate a song into stems, or return those of an earlier time.

    This takes minutes: give it a thread or a process of its own.

    Parameters
    ----------
    song
        A file that ``SongReader`` reads.
    cache
        Folder in which stems, and downloaded weights, are kept.
    model
        A name in ``MODELS``.
    weights
        A file with the network's weights, or a folder where it has several; none: the published ones.
    online
        Whether weights may be downloaded.
    device
        Of torch: ``cpu``, ``cuda``, ``mps``.
    progress
        Told how far the work is; an exception from it cancels, passes through, and leaves nothing behind.

    Returns
    -------
    dict
        Name of the stem → flac file of the song's length: what ``analyse`` takes as ``stems``.

    Raises
    ------
    SongError
        The song, the package or the weights are missing or will not do, or the disk is full.
    """
    song, cache = Path(song), Path(cache)
    tell = progress or (lambda fraction, text: None)
    known, local = model_named(model), None if weights is None else Path(weights)
    with SongReader(song):  # a song that cannot be read is told before anything is downloaded
        pass
    tell(0.0, f"Looking for the stems of {song.name}")
    home = cache / _key(song, model, fingerprint(known, local))
    if stems := _whole(home):
        tell(1.0, f"{song.name}: stems from an earlier time")
        return stems
    files = weight_files(model, local, cache / "weights", online=online, tell=lambda part, text: tell(0.1 * part, text))
    tell(0.1, f"Loading {model}")
    network = load_network(model, files, device)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _sweep(cache)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=cache))
        try:
            text = f"Separating {song.name} with {model}"
            _separate_into(partial, song, network, lambda part: tell(0.1 + 0.9 * part, text))
            return _put_in_place(partial, home)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise SongError(
            f"The stems of “{song.name}” cannot be kept in “{cache}” ({error}). Make room there."
        ) from error


def cached_stems(
    song: str | Path, cache: str | Path, *, model: str = "htdemucs", weights: str | Path | None = None
) -> dict[str, Path]:
    """The stems that ``separate`` has made of a song before, none where it has not; loads no package."""
    known, local = model_named(model), None if weights is None else Path(weights)
    return _whole(Path(cache) / _key(Path(song), model, fingerprint(known, local)))


def _key(song: Path, model: str, weights: str) -> str:
    try:
        with song.open("rb") as file:
            return f"{hashlib.file_digest(file, 'sha256').hexdigest()[:24]}-{model}-{weights}"
    except OSError as error:
        raise SongError(f"The song “{song}” cannot be opened ({error}). Choose it again.") from error


def _whole(home: Path) -> dict[str, Path]:
    """The stems in a folder, none where one of them is missing or is no longer what was written, or lies elsewhere."""
    if any(path.is_symlink() for path in (home, *(home.iterdir() if home.is_dir() else ()))):
        return {}
    try:
        manifest = json.loads((home / MANIFEST).read_text(encoding="utf-8"))
        stems = {}
        for name, digest in manifest.items():
            if not STEM_NAME.fullmatch(name):
                return {}
            with (home / f"{name}.flac").open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return {}
            stems[name] = home / f"{name}.flac"
        return stems
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _put_in_place(partial: Path, home: Path) -> dict[str, Path]:
    """Give finished stems their name, unless somebody else was faster."""
    digests = {}
    for file in sorted(partial.glob("*.flac")):
        with file.open("rb") as opened:
            digests[file.stem] = hashlib.file_digest(opened, "sha256").hexdigest()
    (partial / MANIFEST).write_text(json.dumps(digests), encoding="utf-8")
    if stems := _whole(home):
        return stems
    shutil.rmtree(home, ignore_errors=True)
    try:
        os.replace(partial, home)
    except OSError:
        if not _whole(home):
            raise
    return {name: home / f"{name}.flac" for name in digests}


def _sweep(cache: Path) -> None:
    """Delete what a crash has left."""
    for left in cache.glob(f"{PARTIAL}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > FORGOTTEN:
                shutil.rmtree(left, ignore_errors=True)


def _separate_into(folder: Path, song: Path, network: Network, tell: Callable[[float], None]) -> None:
    names = [re.sub(r"[^\w-]+", "_", name.lower()) or "stem" for name in network.stems]
    if len(set(names)) != len(names):
        raise SongError(f"The network has two stems of one name ({', '.join(names)}). Choose another.")
    mean, deviation = _statistics(song, tell) if network.standardises else (0.0, 1.0)
    with contextlib.ExitStack() as stack:
        outputs = [
            stack.enter_context(
                soundfile.SoundFile(folder / f"{name}.flac", "w", network.rate, 2, "PCM_16", format="FLAC")
            )
            for name in names
        ]
        reader = stack.enter_context(SongReader(song))
        sound = ((block - mean) / deviation for block in _stereo(reader, network.rate))
        first = 0.05 if network.standardises else 0.0
        total, done = reader.expected_samples / reader.rate * network.rate, 0
        for stems in overlap_add(sound, network):
            done += stems.shape[2]
            tell(first + (1 - first) * min(1.0, done / total))
            if not np.isfinite(stems).all():
                raise SongError("The network's stems hold values that are not numbers. Choose other weights.")
            for output, stem in zip(outputs, stems, strict=True):
                # libsndfile would wrap what is above full scale
                output.write(np.clip(stem.T * deviation + mean, -1.0, 1.0))
    tell(1.0)


def _statistics(song: Path, tell: Callable[[float], None]) -> tuple[float, float]:
    """Mean and standard deviation of the whole song, its channels averaged."""
    total = squares = count = 0.0
    with SongReader(song) as reader:
        for block in reader.channel_blocks():
            mono = block.mean(axis=1, dtype=np.float64)
            total, squares, count = total + mono.sum(), squares + np.square(mono).sum(), count + len(mono)
            tell(0.05 * reader.progress)
    mean = total / count
    return float(mean), float(np.sqrt(max(0.0, squares / count - mean**2))) + LEAST_DEVIATION


def _stereo(reader: SongReader, rate: int) -> Iterator[np.ndarray]:
    """A song as float32 [2, samples] at a network's rate; more channels go left and right by turns."""
    resampler = soxr.ResampleStream(reader.rate, rate, 2, dtype="float32") if reader.rate != rate else None
    for block in reader.channel_blocks():
        left, right = block[:, ::2].mean(axis=1), block[:, min(1, block.shape[1] - 1) :: 2].mean(axis=1)
        pair = np.stack([left, right], axis=1)
        yield (pair if resampler is None else resampler.resample_chunk(pair)).T
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True).T


def overlap_add(sound: Iterator[np.ndarray], network: Network) -> Iterator[np.ndarray]:
    """Put a sound through a network segment by segment.

    Parameters
    ----------
    sound
        Blocks of any length: float32 [2, samples].

    Yields
    ------
    numpy.ndarray
        float32 [stems, 2, samples]; together as long as the sound.
    """
    length = network.segment
    step = max(1, round((1 - OVERLAP) * length))
    fade = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float32)
    waiting = np.zeros((2, 0), np.float32)
    total, weight = np.zeros((len(network.stems), 2, length), np.float32), np.zeros(length, np.float32)
    ended = False
    while not ended:
        blocks = [waiting]
        have = waiting.shape[1]
        while have <= length and not ended:  # one sample more than a segment says that this is not the last
            block = next(sound, None)
            ended = block is None
            if block is not None:
                blocks.append(block)
                have += block.shape[1]
        waiting = np.concatenate(blocks, axis=1)
        ended = ended and have <= length
        heard = min(have, length)
        segment = np.zeros((2, length), np.float32)
        segment[:, :heard] = waiting[:, :heard]
        total += fade * network.separate(segment)
        weight += fade
        ready = heard if ended else step
        yield total[:, :, :ready] / weight[:ready]
        waiting = waiting[:, step:]
        total = np.concatenate([total[:, :, step:], np.zeros_like(total[:, :, :step])], axis=2)
        weight = np.concatenate([weight[step:], np.zeros(step, np.float32)])
