"""One file for metadata and arrays: NumPy's npz, a zip file, with one more member, ``metadata.json``.

The metadata hold the format, its version, and the dtype, shape and SHA-256 of every array.

A file can come from anywhere, so reading one executes nothing and trusts nothing:

- Arrays hold numbers or text, never objects. Nothing is unpickled.
- Members are not compressed, do not overlap, and have the lengths that the declared dtypes and shapes ask for. No file
  can make us allocate much more memory than its own size.
- Everything else raises a `ModelFormatError`.

A file is written beside its place, flushed to the disk, and then renamed. Whenever the process or the machine stops,
the old file or the new one is there, whole.
"""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from truesparse.runtime.checks import check_folder

FORMAT = "truesparse"
VERSION = (1, 0)  # a newer major version cannot be read by older libraries, a newer minor one without new keys can

_METADATA = "metadata.json"
_MOST_METADATA = 1 << 22  # bytes, for thousands of layers; JSON takes thirty times its size when it is parsed
_DEEPEST_METADATA = 64  # levels; decoding is recursive
_LONGEST_HEADER = 512  # bytes in front of an array's numbers
_CHUNK = 1 << 20
_SHORTEST_LOCAL_HEADER = 30  # bytes before the name of a member
_KINDS = "biufU"  # booleans, integers, floats, text


class ModelFormatError(ValueError):
    """Error of a file that is not a model this version can read, or of a model that cannot be stored."""


@contextmanager
def naming(file: str | os.PathLike | BinaryIO) -> Iterator[None]:
    """Put the file's path, if it has one, in front of the message of a `ModelFormatError` in the ``with`` block."""
    try:
        yield
    except ModelFormatError as error:
        if not isinstance(file, str | os.PathLike):
            raise
        raise ModelFormatError(f"{os.fspath(file)}: {error}") from error


def write_archive(file: str | os.PathLike | BinaryIO, metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]):
    """Write metadata for JSON, without the keys ``format``, ``version``, ``arrays``, and arrays of numbers or text.

    A path is replaced only by a whole file; missing directories are not made.
    """
    text, arrays = prepared(metadata, arrays)
    with _opened(file, replaced_when_whole, "write") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_METADATA), text)  # without the time, so that equal models are equal files
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def prepared(metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, np.ndarray]]:
    """Return what `write_archive` writes; ModelFormatError if that cannot be written, or not be read again."""
    arrays = {name: _portable(array) for name, array in arrays.items()}
    declared = {name: _declared(array) for name, array in arrays.items()}
    metadata = {"format": FORMAT, "version": list(VERSION), **metadata, "arrays": declared}
    _refuse_depth(metadata)
    text = json.dumps(metadata, allow_nan=False, indent=1).encode()
    _refuse_size("The metadata have", len(text))
    return text, arrays


def read_archive(file: str | os.PathLike | BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the metadata and the arrays that `write_archive` was given.

    Raises ModelFormatError if the file is damaged, or not of this format and version; OSError if it cannot be read.
    """
    with _opened(file, partial(open, mode="rb"), "read", "seek") as whole:
        try:
            with zipfile.ZipFile(whole) as archive:
                return _read(archive)
        except Exception as error:  # zipfile and json raise a dozen kinds for damaged input
            # EINVAL: a damaged directory of members sends zipfile to places before the file.
            if isinstance(error, ModelFormatError) or (isinstance(error, OSError) and error.errno != errno.EINVAL):
                raise
            raise ModelFormatError(f"The file is damaged, or no model of truesparse: {error!r}.") from error


def _opened(file, open_path, *methods) -> AbstractContextManager[BinaryIO]:
    if isinstance(file, str | os.PathLike):
        return open_path(file)
    if not all(hasattr(file, method) for method in methods):
        raise TypeError(f"file={file!r:.200} must be a path or a binary file object.")
    return nullcontext(file)


@contextmanager
def replaced_when_whole(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a new file, which takes the place of `path` when the ``with`` block ends without an error."""
    path = os.path.realpath(path)  # a link goes on pointing to its file
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "a directory or a device cannot be replaced by a model", path)
    check_folder(path)
    unfinished = f"{path}.{secrets.token_hex(8)}.unfinished"  # several processes may write to one path
    try:
        with open(unfinished, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(path, unfinished)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    if os.name == "posix":  # elsewhere, directories cannot be opened
        directory = os.open(Path(path).parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _read(archive):
    members = archive.infolist()
    size = archive.fp.seek(0, os.SEEK_END)
    if sum(member.file_size for member in members) > size:
        raise ModelFormatError("The members of the file are larger than the file.")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ModelFormatError("The file has compressed members; a model is stored as it is.")
    _refuse_overlaps(members, archive.start_dir)
    by_name = {member.filename: member for member in members}
    if len(by_name) < len(members) or _METADATA not in by_name:
        raise ModelFormatError("The file has no metadata.json, or two members of one name: it is no model.")
    metadata = _read_metadata(archive, by_name.pop(_METADATA))
    declared = metadata.pop("arrays", None)
    if not isinstance(declared, dict) or {f"{name}.npy" for name in declared} != by_name.keys():
        raise ModelFormatError("The arrays in the file are not those that its metadata declare.")
    layouts = {name: _layout(name, entry, by_name[f"{name}.npy"]) for name, entry in declared.items()}
    arrays = {name: _read_array(archive, name, *layout) for name, layout in layouts.items()}
    return metadata, arrays


def _refuse_overlaps(members, end):
    """Refuse members that begin within another one: a small file could hold many large arrays."""
    members = sorted(members, key=lambda member: member.header_offset)
    starts = [member.header_offset for member in members] + [end]
    for member, following in zip(members, starts[1:], strict=True):
        if member.header_offset + _SHORTEST_LOCAL_HEADER + len(member.orig_filename) + member.file_size > following:
            raise ModelFormatError(f"The member {member.filename!r} of the file reaches into the next one.")


def _read_metadata(archive, member):
    _refuse_size("metadata.json has", member.file_size)
    metadata = json.loads(
        archive.read(member), object_pairs_hook=_distinct, parse_constant=_finite, parse_float=_finite
    )
    if not isinstance(metadata, dict) or metadata.pop("format", None) != FORMAT:
        raise ModelFormatError("metadata.json does not say that this is a model of truesparse.")
    _refuse_depth(metadata)
    version = metadata.pop("version", None)
    if not (isinstance(version, list) and len(version) == 2 and all(type(part) is int for part in version)):
        raise ModelFormatError(f"version={version!r} is not a format version such as {list(VERSION)}.")
    if version[0] != VERSION[0]:
        raise ModelFormatError(
            f"The file has format version {version[0]}.{version[1]}, this library reads {VERSION[0]}.x only."
        )
    return metadata


def _refuse_size(has, n_bytes):
    if n_bytes > _MOST_METADATA:
        raise ModelFormatError(f"{has} {n_bytes} bytes; at most {_MOST_METADATA} are allowed.")


def _refuse_depth(metadata):
    level = [metadata]
    for _ in range(_DEEPEST_METADATA):
        level = [item for items in level for item in (items.values() if isinstance(items, dict) else items)
                 if isinstance(item, dict | list)]  # fmt: skip
        if not level:
            return
    raise ModelFormatError(f"The metadata are nested more than {_DEEPEST_METADATA} levels deep.")


def _distinct(pairs):
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ModelFormatError("metadata.json has a key twice.")
    return content


def _finite(text):
    number = float(text)
    if not math.isfinite(number):
        raise ModelFormatError(f"metadata.json holds {text:.100}, which is no finite number.")
    return number


def _layout(name, entry, member):
    """Return the member, dtype, shape and SHA-256 of an array, after its length is checked."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "sha256"}:
        raise ModelFormatError(f"The array {name!r} must be declared by dtype, shape and sha256.")
    text, shape, sha256 = entry["dtype"], entry["shape"], entry["sha256"]
    is_plain = isinstance(text, str) and re.fullmatch(f"[<|][{_KINDS}][0-9]{{1,13}}", text)
    dtype = np.dtype(text) if is_plain else None
    if dtype is None or dtype.str != text:
        raise ModelFormatError(f"The array {name!r} is declared with dtype={text!r}, which is not allowed.")
    if not (isinstance(shape, list) and len(shape) <= 2 and all(type(n) is int and n >= 0 for n in shape)):
        raise ModelFormatError(f"The array {name!r} is declared with shape={shape!r}, which is not allowed.")
    header = member.file_size - math.prod(shape) * dtype.itemsize
    if dtype.itemsize == 0 or not 0 < header <= _LONGEST_HEADER:
        raise ModelFormatError(f"The array {name!r} is declared with shape={shape!r}, but does not have that size.")
    return member, dtype, tuple(shape), sha256


def _read_array(archive, name, member, dtype, shape, sha256):
    array = np.empty(shape, dtype)
    bytes_left = array.reshape(-1).view(np.uint8)
    digest = hashlib.sha256()
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns of headers that Python 2 may have written
            found = np.lib.format.read_array_header_1_0(file, max_header_size=_LONGEST_HEADER)
        if version != (1, 0) or found != (shape, False, dtype):
            raise ModelFormatError(f"The array {name!r} is not of the dtype and shape that are declared.")
        while bytes_left.size:
            chunk = file.read(min(_CHUNK, bytes_left.size))
            if not chunk:
                raise ModelFormatError(f"The array {name!r} ends too early.")
            digest.update(chunk)
            bytes_left[: len(chunk)] = np.frombuffer(chunk, np.uint8)
            bytes_left = bytes_left[len(chunk) :]
        if file.read(1):  # also lets zipfile compare its checksum
            raise ModelFormatError(f"The array {name!r} is longer than declared.")
    if digest.hexdigest() != sha256:
        raise ModelFormatError(f"The array {name!r} was changed after it was written: its SHA-256 differs.")
    if dtype.kind == "U":
        points = array.reshape(-1).view(np.uint32)
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points <= 0xDFFF))).any():
            raise ModelFormatError(f"The array {name!r} holds what is no text.")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _portable(array):
    array = np.ascontiguousarray(array)
    if array.dtype.kind not in _KINDS or array.dtype.itemsize == 0:
        raise ModelFormatError(f"An array of dtype {array.dtype} cannot be stored; numbers and text are allowed.")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _declared(array):
    sha256 = hashlib.sha256(array.reshape(-1).view(np.uint8)).hexdigest()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": sha256}
