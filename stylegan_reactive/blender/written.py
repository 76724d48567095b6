# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what Blender has written is whole. On a full disk it goes on without a word, and leaves parts of files.

Only the few bytes are read that a format writes last, or that hold its length. A file of a kind that is not known here
is taken for whole unless it is empty.
"""

import struct
from pathlib import Path
from typing import BinaryIO

ENDINGS = ((b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"), (b"\xff\xd8\xff", b"\xff\xd9"))
"""How PNG and JPEG begin, and how they end."""

LONGEST_HEADER = 1 << 20  # of an OpenEXR file, bytes
FILM_ENDINGS = (".mp4", ".mov", ".m4v")


def is_whole(path: Path) -> bool:
    """Whether a frame or a film is there, up to its end."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(16)
            if path.suffix.lower() in FILM_ENDINGS:
                return _is_whole_film(file, size)
            for begin, end in ENDINGS:
                if head.startswith(begin):
                    file.seek(max(0, size - len(end)))
                    return file.read() == end
            if head[:4] == b"RIFF":  # WebP
                return size >= 8 + int.from_bytes(head[4:8], "little")
            if head[:4] in (b"II*\0", b"MM\0*"):
                return _is_whole_tiff(file, size, "<" if head[:1] == b"I" else ">")
            if head[:4] == b"\x76\x2f\x31\x01":
                return _is_whole_exr(file, size)
            if head[:2] == b"BM":
                return size >= int.from_bytes(head[2:6], "little")
            return size > 0
    except (OSError, struct.error):
        return False


def _is_whole_film(file: BinaryIO, size: int) -> bool:
    """ISO 14496-12: boxes, each with its length; without the one called moov nothing can play the rest."""
    place, found = 0, False
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - place
        if length < 8 or place + length > size:
            return False
        found = found or head[4:8] == b"moov"
        place += length
    return found and place == size


def _is_whole_exr(file: BinaryIO, size: int) -> bool:
    """OpenEXR: behind the header a table of where the chunks lie, which holds zeros until the file is closed."""
    file.seek(4)
    version = int.from_bytes(file.read(4), "little")
    header = file.read(min(size, LONGEST_HEADER))
    plain, place = not version & ~0x4FF, 0  # plain: one part, of rows; long names are no matter
    while True:
        while header[place : place + 1] not in (b"\0", b""):  # attributes: name, kind, length, value
            name = header[place : header.find(b"\0", place)]
            for _ in range(2):
                end = header.find(b"\0", place)
                if end < 0:
                    return len(header) == LONGEST_HEADER  # too long to be judged
                place = end + 1
            length = int.from_bytes(header[place : place + 4], "little")
            plain = plain and not (name == b"lineOrder" and header[place + 4] != 0)  # from the first row to the last
            place += 4 + length
        place += 1
        if not version & 0x1000 or header[place : place + 1] in (b"\0", b""):  # several parts end with an empty header
            place += 1 if version & 0x1000 else 0
            break
    table = 8 + place
    first = int.from_bytes(header[place : place + 8], "little")
    if not plain:
        return table < first < size
    if not table < first < size:
        return False
    file.seek(table)
    chunks = struct.unpack(f"<{(first - table) // 8}Q", file.read((first - table) // 8 * 8))
    if min(chunks) < first or max(chunks) + 8 > size:
        return False
    file.seek(max(chunks) + 4)  # after the number of its first row: how long it is
    return max(chunks) + 8 + int.from_bytes(file.read(4), "little") <= size


def _is_whole_tiff(file: BinaryIO, size: int, order: str) -> bool:
    """TIFF: the first directory names where each strip of the picture begins (tag 273) and how long it is (279)."""
    file.seek(4)
    (place,) = struct.unpack(f"{order}I", file.read(4))
    if not 8 <= place < size - 2:
        return False
    file.seek(place)
    (entries,) = struct.unpack(f"{order}H", file.read(2))
    found: dict[int, tuple[int, ...]] = {}
    for entry in range(entries):
        file.seek(place + 2 + 12 * entry)
        data = file.read(12)
        if len(data) < 12:
            return False
        tag, kind, count = struct.unpack(f"{order}HHI", data[:8])
        if tag in (273, 279) and kind in (3, 4):
            letter, width = ("H", 2) if kind == 3 else ("I", 4)
            if count * width > size:
                return False
            values = data[8:]
            if count * width > 4:
                file.seek(struct.unpack(f"{order}I", values)[0])
                values = file.read(count * width)
            if len(values) < count * width:
                return False
            found[tag] = struct.unpack(f"{order}{count}{letter}", values[: count * width])
    return all(start + length <= size for start, length in zip(found.get(273, ()), found.get(279, ()), strict=False))
