"""A writer of zip and npy files that does as it is told, and computes what it is not told."""

import hashlib
import json
import pickle
import struct
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np


@dataclass
class Member:
    """A member of a zip; what is not told is computed."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    compressed: int | None = None
    extra: bytes = b""
    at: int | None = None  # the offset that the directory says
    local_name: bytes | None = None
    written: bool = True
    stored: bytes | None = None  # in place of the data, already compressed


def zip_bytes(members, comment=b"", n_members=None, directory_at=None):
    """A zip with these members."""
    body, directory = bytearray(), bytearray()
    for member in members:
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        stored = member.data if member.stored is None else member.stored
        if member.stored is None and member.method == zipfile.ZIP_DEFLATED:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            stored = deflate.compress(member.data) + deflate.flush()
        size = len(member.data) if member.size is None else member.size
        compressed = len(stored) if member.compressed is None else member.compressed
        at = len(body) if member.at is None else member.at
        common = struct.pack("<HHHHIII", member.flags, member.method, 0, 33, crc, compressed, size)
        if member.written:
            name = member.name if member.local_name is None else member.local_name
            body += b"PK\3\4" + struct.pack("<H", 20) + common + struct.pack("<HH", len(name), 0) + name + stored
        directory += b"PK\1\2" + struct.pack("<HH", 0x0314, 20) + common
        directory += struct.pack("<HHHHHII", len(member.name), len(member.extra), 0, 0, 0, 0, at)
        directory += member.name + member.extra
    n_members = len(members) if n_members is None else n_members
    directory_at = len(body) if directory_at is None else directory_at
    end = struct.pack("<HHHHIIH", 0, 0, n_members, n_members, len(directory), directory_at, len(comment))
    return bytes(body + directory) + b"PK\5\6" + end + comment


def npy(array, header=None, version=(1, 0), order=False):
    """An array as NumPy writes it, or with another header."""
    array = np.asarray(array)
    if header is None:
        header = repr({"descr": array.dtype.str, "fortran_order": order, "shape": array.shape}).encode()
    length = "<H" if version == (1, 0) else "<I"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    if len(header) >= 1 << 16 and length == "<H":
        header = header[: (1 << 16) - 1]
    data = pickle.dumps(array) if array.dtype.hasobject else array.tobytes(order="F" if order else "C")
    return b"\x93NUMPY" + bytes(version) + struct.pack(length, len(header)) + header + data


def declare(array):
    """What the metadata say of an array."""
    data = pickle.dumps(array) if array.dtype.hasobject else np.ascontiguousarray(array).tobytes()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": hashlib.sha256(data).hexdigest()}


def pack(metadata, arrays, text=None, npys=None, redeclare=True):
    """Members of a file with these parts, all checksums right; `npys` replaces members by other bytes."""
    if redeclare:
        metadata = metadata | {"arrays": {name: declare(array) for name, array in arrays.items()}}
    text = json.dumps(metadata).encode() if text is None else text
    written = {name: npy(array) for name, array in arrays.items()} | (npys or {})
    return [Member(b"metadata.json", text), *(Member(f"{name}.npy".encode(), data) for name, data in written.items())]
