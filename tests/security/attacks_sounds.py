# SPDX-License-Identifier: GPL-3.0-or-later
"""Songs whose headers lie: gigabytes that are not there, no channels, rates of no sound, samples of no numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.security import seeds
from tests.security.canary import Attack


def wav(
    *,
    kind: int = 1,
    channels: int = 2,
    rate: int = 44100,
    bits: int = 16,
    data: bytes = bytes(4000),
    claimed: int | None = None,
    whole: int | None = None,
    align: int | None = None,
    extra: bytes = b"",
) -> bytes:
    """A wav file with a header of one's choice."""
    step = channels * bits // 8 if align is None else align
    about = struct.pack("<HHIIHH", kind, channels, rate & 0xFFFFFFFF, rate * step & 0xFFFFFFFF, step & 0xFFFF, bits)
    size = len(data) if claimed is None else claimed
    body = b"WAVEfmt " + struct.pack("<I", len(about)) + about + extra + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body) if whole is None else whole) + body


def waves(folder: Path) -> Iterator[Attack]:
    """Wav, the easiest to lie in."""
    floats = np.zeros(1000, np.float32)
    no_numbers = {"not a number": np.nan, "infinity": np.inf, "far too loud": 1e30, "a tiny number": 1e-45}
    found = {
        "gigabytes claimed": wav(claimed=0x7FFFFFF0, whole=0x7FFFFFFF),
        "4 GB claimed": wav(claimed=0xFFFFFFF0, whole=0xFFFFFFFF),
        "no sound": wav(data=b"", claimed=0),
        "no channels": wav(channels=0),
        "65535 channels": wav(channels=65535, data=bytes(200_000)),
        "300 channels": wav(channels=300, data=bytes(60_000)),
        "no rate": wav(rate=0),
        "a rate of 1 Hz": wav(rate=1),
        "a rate of 4 GHz": wav(rate=0xFFFFFFFF),
        "a rate of 700 kHz": wav(rate=700_000),
        "no bits": wav(bits=0),
        "64 bits": wav(bits=64),
        "65535 bits": wav(bits=65535),
        "an unknown kind": wav(kind=0xABCD),
        "floats of 3 bytes": wav(kind=3, bits=24),
        "steps of nothing": wav(align=0),
        "steps too wide": wav(align=65535),
        "chunks in circles": wav(extra=b"LIST" + struct.pack("<I", 0xFFFFFFF8)),
        "a thousand chunks": wav(extra=(b"junk" + struct.pack("<I", 0)) * 20_000),
        "two headers": wav(extra=b"fmt " + struct.pack("<IHHIIHH", 16, 1, 9, 8000, 8000, 1, 8)),
        **{
            f"samples that are {name}": wav(kind=3, bits=32, data=np.full_like(floats, value).tobytes())
            for name, value in no_numbers.items()
        },
    }
    harmless = {"a rate of 700 kHz", "chunks in circles", "a thousand chunks", "two headers", "steps of nothing"}
    harmless |= {"steps too wide", "samples that are a tiny number", "64 bits", "gigabytes claimed", "4 GB claimed"}
    for name, data in found.items():
        yield Attack(name, "song", data, harmless=name in harmless)
        yield Attack(name, "stem_folder", data, harmless=True)


def other_sounds(folder: Path) -> Iterator[Attack]:
    """Every format with its numbers replaced by those that formats are careless with, at every place of its header."""
    numbers = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\x80\0\0\0", b"\0\0\0\x80")
    for kind, data in seeds.sounds().items():
        for place in range(4, min(len(data), 400), 8):
            changed = bytearray(data)
            changed[place : place + 4] = numbers[(place // 8) % len(numbers)]
            yield Attack(
                f"{kind}, {numbers[(place // 8) % len(numbers)].hex()} at {place}",
                "song",
                bytes(changed),
                harmless=True,
            )
        for share in (0.05, 0.3, 0.7, 0.95):
            yield Attack(f"{kind} cut at {share}", "song", data[: int(len(data) * share)], harmless=True)
    flac = bytearray(seeds.sounds()["flac"])
    flac[18:26] = b"\xff" * 8  # rate, channels, bits and length in one
    yield Attack("flac of all", "song", bytes(flac), harmless=True)
    flac[18:21] = b"\0\0\0"
    yield Attack("flac without a rate", "song", bytes(flac), harmless=True)
    mp4 = seeds.sounds().get("mp4", b"")
    for atom in (b"stsz", b"stts", b"stsc", b"stco", b"mdhd", b"elst"):
        place = mp4.find(atom)
        if place > 0:
            for number in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"):
                for offset in (8, 12, 16):
                    changed = bytearray(mp4)
                    changed[place + offset : place + offset + 4] = number
                    yield Attack(f"mp4 {atom.decode()}+{offset} {number.hex()}", "song", bytes(changed), harmless=True)
    atoms = b"".join(struct.pack(">I4s", 8 * (3000 - level), b"moov") for level in range(3000))
    yield Attack("mp4 of atoms in atoms", "song", struct.pack(">I4s", 16, b"ftyp") + b"isom\0\0\0\0" + atoms)
    playlist = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\nfile:///etc/passwd\nhttp://127.0.0.1:9/\n"
    yield Attack("a list of other files", "song", playlist)
    yield Attack("a list of concatenated files", "song", b"ffconcat version 1.0\nfile /etc/passwd\n")
    yield Attack(
        "a film's description by address",
        "song",
        b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>',
    )
    references = struct.pack(">I4s", 16, b"ftyp") + b"qt  \0\0\0\0" + mp4.replace(b"url ", b"alis")
    yield Attack("a film that is elsewhere", "song", references, harmless=True)


GROUPS: dict[str, Callable[[Path], Iterator[Attack]]] = {"waves": waves, "other sounds": other_sounds}
