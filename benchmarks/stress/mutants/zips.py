"""Zips that lie about themselves, and small members that become large ones."""

import hashlib
import struct
import zipfile
import zlib
from dataclasses import replace
from functools import cache

import numpy as np

from .writer import Member, declare, npy, pack, zip_bytes


@cache
def _deflated_zeros(size):
    """An array of zeros, compressed: its bytes, its CRC and what the metadata say of it."""
    start = npy(np.zeros(0, np.uint8), f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},)}}".encode())
    deflate, crc, digest, chunk = (
        zlib.compressobj(9, zlib.DEFLATED, -15),
        zlib.crc32(start),
        hashlib.sha256(),
        bytes(1 << 24),
    )
    stored = [deflate.compress(start) + deflate.flush(zlib.Z_FULL_FLUSH)]
    again = deflate.compress(chunk) + deflate.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it
    for _ in range(size // len(chunk)):
        stored.append(again)
        crc = zlib.crc32(chunk, crc)
        digest.update(chunk)
    declared = {"dtype": "|u1", "shape": [size], "sha256": digest.hexdigest()}
    return b"".join([*stored, deflate.flush()]), crc, len(start) + size, declared


def bomb(name, size=1 << 30):
    """A small member that becomes a large one, and what the metadata say of it."""
    stored, crc, length, declared = _deflated_zeros(size)
    return Member(name, b"", method=zipfile.ZIP_DEFLATED, stored=stored, crc=crc, size=length,
                  compressed=len(stored)), declared  # fmt: skip


def hostile_zip(honest, rng, files):
    """A zip that lies about itself."""
    metadata, arrays = honest.parts()
    members = pack(metadata, arrays)
    index = int(rng.integers(1, len(members)))
    member = members[index]
    what = rng.choice(["compressed", "all compressed", "a bomb", "a declared bomb", "a stored bomb", "overlapping",
                       "one for two", "absolute", "parent", "backslash", "folder", "null in a name", "encrypted",
                       "strongly encrypted", "descriptor", "zip64 lie", "zip64 offset", "size lie",
                       "compressed size lie", "crc lie", "directory lie", "count lie", "comment", "offset lie",
                       "negative zip64", "local name", "method 99", "bzip2", "lzma", "patched", "not written",
                       "utf-8 name", "metadata compressed", "50,000 members"])  # fmt: skip
    comment, n_members, directory_at = b"", None, None
    if what == "compressed":
        member.method = zipfile.ZIP_DEFLATED
    elif what == "all compressed":
        for each in members:
            each.method = zipfile.ZIP_DEFLATED
    elif what == "a bomb":
        members[index] = bomb(member.name)[0]
    elif what == "a declared bomb":
        bombed, declared = bomb(member.name)
        metadata["arrays"] = {name: declare(array) for name, array in arrays.items()}
        metadata["arrays"][member.name.decode()[:-4]] = declared
        members = pack(metadata, arrays, redeclare=False)
        members[index] = bombed
    elif what == "a stored bomb":
        members[index], metadata["arrays"][member.name.decode()[:-4]] = bomb(member.name)
        members[index].method = 0
        members = [*pack(metadata, arrays, redeclare=False)[:index], members[index], *members[index + 1 :]]
    elif what == "overlapping":
        member.at = max(0, int(rng.integers(200)))
    elif what == "one for two":
        members[index] = replace(member, data=members[index - 1].data, at=0, written=False)
    elif what in ("absolute", "parent", "backslash", "folder", "null in a name"):
        forms = {
            "absolute": b"/%s",
            "parent": b"../%s",
            "backslash": b"..\\%s",
            "folder": b"a/%s",
            "null in a name": b"%s\0x",
        }
        member.name = forms[what] % member.name
    elif what == "encrypted":
        member.flags = 1
    elif what == "strongly encrypted":
        member.flags = 0x41
    elif what == "descriptor":
        member.flags = 8
    elif what == "patched":
        member.flags = 0x20
    elif what == "utf-8 name":
        member.flags, member.name = 0x800, b"\xff" + member.name
    elif what == "zip64 lie":
        member.size = member.compressed = 0xFFFFFFFF
        member.extra = struct.pack("<HHQQ", 1, 16, 2**40, 2**40)
    elif what == "negative zip64":
        member.size = member.compressed = 0xFFFFFFFF
        member.extra = struct.pack("<HHQQ", 1, 16, 2**64 - 1, 2**64 - 1)
    elif what == "zip64 offset":
        member.at = 0xFFFFFFFF
        member.extra = struct.pack("<HHQ", 1, 8, 2**63 + 5)
    elif what == "size lie":
        member.size = int(rng.integers(2**31))
    elif what == "compressed size lie":
        member.compressed = int(rng.integers(len(member.data)))
    elif what == "crc lie":
        member.crc = int(rng.integers(2**32))
    elif what == "directory lie":
        directory_at = int(rng.integers(2**32))
    elif what == "count lie":
        n_members = int(rng.integers(2**16))
    elif what == "comment":
        comment = rng.bytes(int(rng.integers(1, 60000)))
    elif what == "offset lie":
        member.at = int(rng.integers(2**32))
    elif what == "local name":
        member.local_name = b"else.npy"
    elif what in ("method 99", "bzip2", "lzma"):
        member.method = {"method 99": 99, "bzip2": 12, "lzma": 14}[what]
    elif what == "not written":
        member.written = False
    elif what == "metadata compressed":
        members[0].method = zipfile.ZIP_DEFLATED
    elif what == "50,000 members":
        members += [Member(b"%d.npy" % number, b"", at=0, written=False) for number in range(50_000)]
    return f"zip: {what}", zip_bytes(members, comment, n_members, directory_at), what == "comment"
