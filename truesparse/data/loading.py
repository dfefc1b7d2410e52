"""Loading chunks: read, checked, transformed, and put together as windows."""

import copy
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from scipy.sparse import csr_array, issparse

from truesparse._typing import IndexArray
from truesparse.data.checks import sound_features
from truesparse.data.readers import Chunk, Reader
from truesparse.data.source import array_source
from truesparse.data.stored_array import stored_array
from truesparse.data.windows import Extent, Window
from truesparse.kernels.update import all_finite
from truesparse.runtime.checks import refuse_masked, refuse_sparse

_NO_CHUNK = (EOFError, IndexError, KeyError, NotImplementedError, TypeError, ValueError, BadZipFile, zlib.error)


class NotFiniteError(ValueError):
    """Features hold NaN or infinity."""


class Loader:
    """Loader of the chunks of a `truesparse.data.Chunks`; `first_pass` comes before all else.

    ``starts`` has the number of the first sample of each chunk, and that of all samples in the end.
    """

    n_features: int
    is_sparse: bool
    starts: IndexArray

    def __init__(self, chunks: Sequence[Chunk], reader: Reader, dtype: np.dtype):
        self._chunks, self._reader, self._dtype = chunks, reader, dtype
        self._transformers: tuple[Any, ...] = ()
        self._n_rows: list[int] = []

    def first_pass(self, classes: np.ndarray | None) -> list[np.ndarray]:
        """Check all chunks and keep their sizes; return the targets of each."""
        targets = []
        for number in range(len(self._chunks)):
            X, y = self._checked(number)
            if not self._n_rows:
                self.is_sparse, self.n_features = issparse(X), X.shape[1]
            self._check_form(f"X of chunk {number}", X)
            _check_classes(f"chunk {number}", y, classes)
            self._n_rows.append(X.shape[0])
            targets.append(y)
            del X  # before the next chunk is loaded
        self.starts = np.concatenate([[0], np.cumsum(self._n_rows)])
        return targets

    def chunk(self, number: int) -> Any:
        """Return the features of a chunk."""
        X, _ = self._checked(number)
        name = f"chunk {number}"
        if X.shape[0] != self._n_rows[number]:
            raise ValueError(f"{name} has {X.shape[0]} samples, but had {self._n_rows[number]} at first.")
        for transformer in self._transformers:
            X = self._transformed(f"X of {name}, transformed by {transformer!r:.200},", X, transformer)
        self._check_form(f"X of {name}", X)
        return X

    def window(self, extent: Extent, buffer: Any, is_cancelled: Callable[[], bool]) -> Window:
        """Return a window, in the rows of a buffer if there is one; of a cancelled one only a part."""
        if self.is_sparse:
            return Window(extent, array_source(self._joined_csr(extent.numbers, is_cancelled)), None)
        X = buffer[: np.sum(extent.ends - extent.firsts)]
        start = 0
        for number in extent.numbers:
            if is_cancelled():
                break
            stop = start + self._n_rows[number]
            self._fill(X[start:stop], number)
            start = stop
        return Window(extent, array_source(X), buffer)

    def buffer(self, n_chunks: int) -> Any:
        """Return room for the dense features of any so many chunks; of CSR None."""
        n_rows = sum(sorted(self._n_rows)[-n_chunks:])
        return None if self.is_sparse else np.empty((n_rows, self.n_features), dtype=self._dtype)

    def _fill(self, out, number):
        """Load a chunk into rows of a window; read what can be without a copy of the chunk."""
        try:
            stored = None if self._transformers else stored_array(self._chunks[number])
            if stored is not None and stored.shape == out.shape:
                for part in stored.read_into(out):
                    _check_finite(f"X of chunk {number}", part)
                return
        except NotFiniteError:
            raise
        except (OSError, *_NO_CHUNK):
            pass  # below, the same fails with a message
        out[:] = self.chunk(number)

    def mapped(self, transformer: Any) -> Self:
        """Return a loader whose chunks are transformed as well, by a copy of the transformer."""
        other = copy.copy(self)
        transformer = copy.deepcopy(transformer)
        for number in range(len(self._chunks)):
            if self._n_rows[number]:
                name = f"X of chunk {number}, transformed by {transformer!r:.200},"
                X = self._transformed(name, self.chunk(number), transformer)
                other.is_sparse, other.n_features = issparse(X), X.shape[1]
                break
        other._transformers = (*self._transformers, transformer)
        return other

    def _joined_csr(self, numbers, is_cancelled):
        """Return chunks below each other; one part of the copies after the other, to need half a window for them."""
        data: Any = []
        indices: Any = []
        sizes = [np.zeros(1, dtype=np.int64)]
        for number in numbers:
            if is_cancelled():
                break
            X = self.chunk(number)
            data.append(X.data)
            indices.append(X.indices)
            sizes.append(np.diff(X.indptr).astype(np.int64))
        del X
        data = np.concatenate(data)
        indices = np.concatenate(indices)
        indptr = np.cumsum(np.concatenate(sizes))
        if indices.dtype == np.int32 and data.size < 2**31:
            indptr = indptr.astype(np.int32)
        return csr_array((data, indices, indptr), shape=(indptr.size - 1, self.n_features))

    def _transformed(self, name, X, transformer):
        """Return the transformed features of a chunk, of our dtype and finite."""
        if X.shape[0] == 0:  # which scikit-learn refuses
            return (csr_array if self.is_sparse else np.empty)((0, self.n_features), dtype=self._dtype)
        X = X if getattr(transformer, "copy", True) else X.copy()  # it may be the user's array
        try:
            transformed = self._of_dtype(name, sound_features(name, transformer.transform(X)))
        except Exception as error:
            raise ValueError(f"{name} fails: {error}") from error
        if transformed.ndim != 2 or transformed.shape[0] != X.shape[0]:
            raise ValueError(f"{name} has shape {transformed.shape}; it must have {X.shape[0]} rows.")
        _check_finite(name, transformed)
        return transformed

    def _checked(self, number):
        """Return features and targets of a chunk as they are before any transformer, checked."""
        name = f"chunk {number}"
        item = f"chunk {number}"
        try:
            item = self._chunks[number]
            X, y = self._reader.read(item)
        except ImportError as error:
            raise ImportError(f"{name}, {item!r:.200}: {error}") from error
        except OSError as error:
            raise OSError(f"{name}, {item!r:.200}, cannot be read: {error}") from error
        except _NO_CHUNK as error:
            raise ValueError(f"{name}, {item!r:.200}, holds no X and y: {error}") from error
        refuse_sparse(f"y of {name}", y)
        refuse_masked(f"y of {name}", y)
        X, y = self._of_dtype(f"X of {name}", sound_features(f"X of {name}", X)), np.asarray(y)
        if X.ndim != 2:
            raise ValueError(f"X of {name} has shape {X.shape}; it must be a table with a row for each sample.")
        if y.shape[:1] != X.shape[:1]:
            raise ValueError(f"{name} has {X.shape[0]} samples, but targets of shape {y.shape}.")
        _check_finite(f"X of {name}", X)
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ValueError(f"y of {name} holds NaN or infinity.")
        return X, y

    def _check_form(self, name, X):
        if X.shape[1] != self.n_features or issparse(X) != self.is_sparse:
            kind = "CSR" if self.is_sparse else "dense"
            raise ValueError(f"{name} has shape {X.shape}; it must be {kind}, with {self.n_features} features.")

    def _of_dtype(self, name, X):
        """Return features as CSR or a C-contiguous array of our dtype."""
        try:
            given = X if issparse(X) else np.asarray(X)
            if given.dtype.kind not in "fiubO":
                raise ValueError(f"the dtype is {given.dtype}.")
            convert = csr_array if issparse(given) else np.ascontiguousarray
            with np.errstate(over="ignore"):  # an overflow is refused as infinite later
                return convert(given, dtype=self._dtype)
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"{name} must hold real numbers: {error}") from error


def _check_finite(name, X):
    if not all_finite(X.data if issparse(X) else X.reshape(-1)):
        raise NotFiniteError(f"{name} holds NaN or infinity.")


def _check_classes(name, y, classes):
    if classes is not None and not (known := np.isin(y, classes)).all():
        unknown = np.unique(y[~known])
        raise ValueError(f"y of {name} holds {unknown[:20].tolist()}, which are not among classes={classes.tolist()}.")
