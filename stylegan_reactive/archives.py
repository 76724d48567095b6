# SPDX-License-Identifier: GPL-3.0-or-later
"""Zip archives as far as a stranger's may be trusted: PyTorch's files, NumPy's ``.npz``, and what we keep of songs.

An archive lies in three ways. Its directory may have millions of entries, each of which costs a reader ten times its
bytes; entries may be packed a thousandfold ("zip bomb"), or lie over one another, so that all of them are the same
bytes (Fifield, "A better zip bomb", 2019); and two may have one name, so that what is checked is not what is read.
"""

import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGEST_DIRECTORY = 8 << 20
"""Bytes of an archive's directory: some 80 000 tensors."""


class ArchiveError(ValueError):
    """The archive is damaged, or promises more than it has."""


class _Careful(io.FileIO):
    """A file of which no reader takes more than `LARGEST_DIRECTORY` at once: `zipfile` reads a directory in one go."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = LARGEST_DIRECTORY
        if size > LARGEST_DIRECTORY:
            raise ArchiveError(f"its directory takes {size} bytes, far more than that of any network")
        return super().read(size) or b""


@contextmanager
def opened(path: str | Path, *, packed: bool = False) -> Iterator[zipfile.ZipFile]:
    """An archive whose directory has been checked.

    Parameters
    ----------
    packed : bool
        Whether its entries may be packed. What each comes to is then for the caller to look at before reading it.

    Raises
    ------
    ArchiveError
        It is no archive, or one that lies.
    OSError
        It cannot be read.
    """
    with _Careful(path) as file:
        size = file.seek(0, io.SEEK_END)
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, struct.error, OverflowError, UnicodeDecodeError) as error:
            raise ArchiveError(f"its directory cannot be read; it is cut short ({error})") from error
        with archive:
            entries = archive.infolist()
            if len({entry.filename for entry in entries}) != len(entries):
                raise ArchiveError("it has two entries of one name")
            if sum(entry.compress_size for entry in entries) > size:
                raise ArchiveError("its entries lie over one another, so that they come to more than the file")
            if not packed and any(not is_plain(entry) for entry in entries):
                raise ArchiveError("its entries are compressed, which PyTorch never does; unpack it and save it again")
            yield archive


def is_plain(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry lies in the archive as it is: neither packed nor encrypted."""
    stored = entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
    return stored and not entry.flag_bits & 1
