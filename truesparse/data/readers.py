"""Reading a chunk: features and targets, by the kind of its file.

| suffix | content | read by |
|---|---|---|
| ``.npz`` | ``X`` (or ``x``) and ``y``; of CSR ``data``, ``indices``, ``indptr``, ``shape`` and ``y`` | NumPy |
| two of ``.npy`` | the features, and the targets | NumPy |
| ``.parquet`` | a column ``target``, or several; all others are features | pyarrow |
| ``.svmlight``, ``.svm``, ``.libsvm`` (also ``.gz``, ``.bz2``) | lines ``target feature:value …`` | scikit-learn |
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from truesparse.runtime.memory import MappedRows

Chunk = str | os.PathLike | Callable[[], Any] | tuple[Any, Any]
"""A file; or ``(X, y)`` as arrays or ``.npy`` files; or a function that returns such a pair or a file."""

_PACKED = (".gz", ".bz2")
_LONE_X = re.compile(r"(?<![A-Za-z])[Xx](?![A-Za-z])")  # no part of a word


@dataclass
class Reader:
    """Reader of chunks of every kind.

    Parameters
    ----------
    target, n_features, zero_based
        As for `truesparse.data.Chunks`.
    dtype : dtype
        Of the features of Parquet files, whose columns may have several.
    """

    dtype: np.dtype
    target: str | Sequence[str] | None = None
    n_features: int | None = None
    zero_based: bool = False
    _columns: list[str] | None = field(default=None, repr=False)  # features of the first Parquet file

    def read(self, chunk: Chunk) -> tuple[Any, Any]:
        """Return ``(X, y)`` of a chunk as its file or function has them."""
        if callable(chunk):
            chunk = chunk()
        if isinstance(chunk, str | os.PathLike):
            return self._reader_of(chunk)(os.fspath(chunk))
        X, y = chunk  # type: ignore[misc]  # a callable may be any object
        return _array(X), _array(y)

    def _reader_of(self, path):
        suffix = suffix_of(path)
        readers = {".npz": _read_npz, ".parquet": self._read_parquet} | dict.fromkeys(_SVMLIGHT, self._read_svmlight)
        if suffix == ".npy":
            raise ValueError("an .npy file holds the features or the targets alone; give a pair of files.")
        if suffix not in readers:
            raise ValueError(f"files that end with {suffix!r} cannot be read; {', '.join(SUFFIXES)} can.")
        return readers[suffix]

    def _read_parquet(self, path):
        try:
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            raise ImportError(
                f"pyarrow is needed to read the Parquet file {path!r}: pip install pyarrow, or truesparse[chunks]."
            ) from error
        targets = [self.target] if isinstance(self.target, str) else list(self.target or ())
        with ParquetFile(path) as file:
            names = file.schema_arrow.names
            if not targets or not set(targets) <= set(names):
                raise ValueError(f"target={self.target!r} must name the column of the targets, one of {names}.")
            features = [name for name in names if name not in targets]
            if self._columns is None:
                self._columns = features
            if sorted(features) != sorted(self._columns):
                raise ValueError(f"the columns of the features are {features}, but those before are {self._columns}.")
            table = file.read(columns=[*self._columns, *targets], use_threads=False)
        X = np.empty((table.num_rows, len(self._columns)), dtype=self.dtype)
        for place, name in enumerate(self._columns):
            with np.errstate(over="ignore"):  # an overflow is refused as infinite later
                X[:, place] = _numbers(name, table.column(name))
        columns = [_labels_or_numbers(name, table.column(name)) for name in targets]
        return X, columns[0] if isinstance(self.target, str) else np.column_stack(columns)

    def _read_svmlight(self, path):
        from sklearn.datasets import load_svmlight_file

        if self.n_features is None:
            raise ValueError("n_features=None: give the number of features, which SVMLight files do not tell.")
        # The number of columns is not given, so that an index that is too large can be told from a damaged line.
        X, y = load_svmlight_file(path, zero_based=True)
        shift = 0 if self.zero_based else 1
        if X.nnz and X.indices.min() < shift:
            raise ValueError("there is a feature 0, but features count from 1; give zero_based=True.")
        if X.shape[1] - shift > self.n_features:
            hint = "; with zero_based=False they count from 1" if X.shape[1] - 1 == self.n_features else ""
            raise ValueError(
                f"there is a feature {X.shape[1] - 1}, more than n_features={self.n_features} allows{hint}."
            )
        return csr_array((X.data, X.indices - shift, X.indptr), shape=(X.shape[0], self.n_features)), y


_SVMLIGHT = (".svmlight", ".svm", ".libsvm")
SUFFIXES = (".npz", ".npy", ".parquet", *_SVMLIGHT)


def suffix_of(path: str | os.PathLike) -> str:
    """Return the suffix of a file that tells its kind: that before ``.gz`` or ``.bz2`` if there is one."""
    path = Path(path)
    return (path.with_suffix("") if path.suffix in _PACKED else path).suffix


def chunks_in(folder: str | os.PathLike) -> list[Chunk]:
    """Return the files of a folder as chunks, in the order of their names.

    The name of an ``.npy`` file with features has an ``X`` or ``x`` that is no part of a word, and ``y`` stands there
    in the name of the file with its targets: ``X_03.npy`` and ``y_03.npy``, or ``03.X.npy`` and ``03.y.npy``. Names
    that begin with a dot or an underscore are left out. Raises ValueError for files of other kinds and for folders.
    """
    folder = Path(folder)
    names = sorted(name for name in os.listdir(folder) if name[0] not in "._")
    for name in names:
        if suffix_of(name) not in SUFFIXES or (folder / name).is_dir():
            raise ValueError(
                f"The folder {str(folder)!r} holds {name!r}; files with {', '.join(SUFFIXES)} are allowed."
            )
    partners = {name: _LONE_X.sub("y", name) for name in names if suffix_of(name) == ".npy"}
    targets = {partner for name, partner in partners.items() if partner != name}
    chunks: list[Chunk] = []
    for name in names:
        if name not in partners:
            chunks.append(folder / name)
        elif name in targets and partners[name] == name:
            continue
        elif partners[name] == name or partners[name] not in partners:
            missing = "" if partners[name] == name else f", but no {partners[name]!r}"
            raise ValueError(
                f"The folder {str(folder)!r} holds {name!r}{missing}; the features are in files such as X_03.npy, and "
                "their targets in y_03.npy."
            )
        else:
            chunks.append((folder / name, folder / partners[name]))
    if not chunks:
        raise ValueError(f"The folder {str(folder)!r} holds no chunks: no file with {', '.join(SUFFIXES)}.")
    return chunks


def n_rows(array: Any) -> int:
    """Return the number of rows; arrays of Zarr and sparse arrays have no ``len``."""
    return int(array.shape[0]) if hasattr(array, "shape") else len(array)


class Slices(Sequence):
    """Consecutive rows of `X` and `y` as chunks; see `truesparse.data.Chunks.from_arrays`."""

    def __init__(self, X: Any, y: Any, rows: int):
        self._X, self._y, self._rows = X, y, rows
        is_map = isinstance(X, np.memmap) and X.flags.c_contiguous
        self._mapped = MappedRows(X) if is_map else None  # whose pages would count as memory of the process

    def __len__(self):
        return -(-n_rows(self._y) // self._rows)

    def __getitem__(self, number):
        if not 0 <= number < len(self):
            raise IndexError(number)
        part = slice(self._rows * number, self._rows * (number + 1))
        y = np.asarray(self._y[part])
        return (self._X[part] if self._mapped is None else self._mapped.take(np.arange(n_rows(self._y))[part])), y


def _read_npz(path):
    with np.load(path, allow_pickle=False) as arrays:
        if "indptr" in arrays:
            parts = arrays["data"], arrays["indices"], arrays["indptr"]
            return csr_array(parts, shape=tuple(arrays["shape"])), arrays["y"]
        return arrays["X" if "X" in arrays else "x"], arrays["y"]


def _numbers(name, column):
    """Return a column of a Parquet file as numbers; missing ones are NaN, which is refused later."""
    from pyarrow import types

    if not (types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)):
        raise ValueError(f"the column {name!r} holds {column.type}; features must be numbers.")
    return column.to_numpy()


def _labels_or_numbers(name, column):
    """Return a column of a Parquet file as targets."""
    from pyarrow import types

    if column.null_count:
        raise ValueError(f"the column {name!r} has {column.null_count} missing targets.")
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.to_numpy() if types.is_primitive(column.type) else np.array(column.to_pylist())


def _array(part):
    if not isinstance(part, str | os.PathLike):
        return part
    if Path(part).suffix != ".npy":
        raise ValueError(f"{os.fspath(part)!r} must be an .npy file.")
    return np.load(part, allow_pickle=False)
