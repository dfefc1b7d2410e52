"""Arrays in ``.npy`` files and uncompressed ``.npz`` files, read into memory that is there already.

`numpy.load` makes a new array each time, and computes checksums of the members of an archive. Where chunks are read
again in every epoch, both take longer than the reading itself.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy

_BLOCK = 2**18  # bytes that are read and checked at a time, so that they are still in the processor's cache
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a member of an archive, from its beginning: lengths of name and extra


@dataclass(frozen=True)
class StoredArray:
    """A table of numbers in a file, (n_rows, n_columns), one row after the other."""

    path: str
    offset: int  # of the first number, in bytes
    shape: tuple[int, int]
    dtype: np.dtype

    def read_into(self, out: np.ndarray) -> Iterator[np.ndarray]:
        """Read all rows into `out`, of the same shape and any dtype; yield each part when it is there.

        Raises ValueError if the file ends too early.
        """
        n = max(1, _BLOCK // max(1, self.shape[1] * self.dtype.itemsize))
        converts = out.dtype != self.dtype
        block = np.empty((n, self.shape[1]), dtype=self.dtype) if converts else out[:0]
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.offset)
            for start in range(0, self.shape[0], n):
                part = out[start : start + n]
                rows = block[: len(part)] if converts else part
                _fill(file, rows)
                if converts:
                    with np.errstate(over="ignore"):  # an overflow is refused as infinite later
                        part[:] = rows
                yield part


def stored_array(item: Any) -> StoredArray | None:
    """Return where the features of a chunk are stored; None if `numpy.load` or something else has to read them.

    `item` is a chunk of `truesparse.data.Chunks`. Raises OSError or ValueError for files that are missing or damaged.
    """
    if isinstance(item, tuple | list) and len(item) == 2 and _is_path(item[0], ".npy"):
        with open(item[0], "rb") as file:
            return _stored_at(os.fspath(item[0]), file)
    if not _is_path(item, ".npz"):
        return None
    with ZipFile(item) as archive:
        names = archive.namelist()
        name = next((name for name in ("X.npy", "x.npy") if name in names), None)
        if name is None or archive.getinfo(name).compress_type != ZIP_STORED:
            return None
        start = archive.getinfo(name).header_offset
    with open(item, "rb") as file:
        file.seek(start)
        file.seek(start + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))))
        return _stored_at(os.fspath(item), file)


def _is_path(item, suffix):
    return isinstance(item, str | os.PathLike) and os.fspath(item).endswith(suffix)


def _stored_at(path, file: BinaryIO):
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(file))
    if read_header is None:
        return None
    shape, in_columns, dtype = read_header(file)
    if in_columns or len(shape) != 2 or dtype.kind not in "fiub" or not dtype.isnative:
        return None
    return StoredArray(path, file.tell(), shape, dtype)


def _fill(file, rows):
    """Read bytes into an array until it is full."""
    left = memoryview(rows.reshape(-1).view(np.uint8))
    while left:
        n = file.readinto(left)
        if not n:
            raise ValueError("the file ends too early.")
        left = left[n:]
