"""Samples in chunks, a few of which are in memory at a time."""

import os
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from scipy.sparse import csr_array, issparse, vstack

from truesparse._typing import IndexArray
from truesparse.data.checks import sound_features
from truesparse.data.source import Source, array_source
from truesparse.kernels.update import all_finite
from truesparse.network.workspace import Workspace
from truesparse.runtime.checks import check_count, refuse_masked, refuse_sparse

Chunk = str | os.PathLike | Callable[[], tuple[Any, Any]] | tuple[Any, Any]
"""A file, ``(X, y)`` as arrays or ``.npy`` files, or a function that returns such a pair."""


class Chunks(Source):
    """Samples in chunks: in files, or made by functions.

    All chunks are read once at the beginning for their sizes, their targets and a check; targets stay in memory. An
    epoch takes the chunks in random order and shuffles samples within a window of a few chunks, the only ones in
    memory. Rules of evolution look at as many chunks, drawn anew for each update.

    Parameters
    ----------
    chunks : sequence
        Anything with ``len`` and ``[i]``. An item is the path of an ``.npz`` file that holds ``X`` (or ``x``) and
        ``y``, or ``y`` and the ``data``, ``indices``, ``indptr`` and ``shape`` of a CSR matrix; or ``(X, y)``, each an
        array, a SciPy sparse matrix or the path of an ``.npy`` file; or a function without arguments that returns such
        a pair.
    window : int, default=4
        Chunks in memory.
    dtype : {"float32", "float64"}, default="float32"
        The estimator's dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.data import Chunks
    >>> rng = np.random.default_rng(0)
    >>> def chunk():  # in earnest, a file
    ...     y = rng.integers(2, size=100)
    ...     return y[:, None] + rng.normal(scale=0.3, size=(100, 5)), y
    >>> source = Chunks([chunk() for _ in range(8)], window=2)
    >>> model = SparseMLPClassifier((20,), epsilon=3, max_iter=5, update_every=10, random_state=0).fit(source)
    >>> model.n_features_in_
    5
    """

    in_pieces = True

    def __init__(self, chunks: Sequence[Chunk], *, window: int = 4, dtype: str = "float32"):
        check_count("window", window)
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype={dtype!r} must be 'float32' or 'float64'.")
        if len(chunks) == 0:
            raise ValueError("chunks must hold at least one chunk.")
        self.dtype = np.dtype(dtype)
        self._chunks, self._window = chunks, int(window)
        self._held: OrderedDict[int, Any] = OrderedDict()
        self._n_rows: list[int] = []
        targets = []
        for number in range(len(chunks)):
            X, y = self._load(number)
            self._n_rows.append(X.shape[0])
            targets.append(y)
            del X  # before the next chunk is loaded
        self._starts = np.concatenate([[0], np.cumsum(self._n_rows)])
        self.n_samples = int(self._starts[-1])
        if self.n_samples == 0:
            raise ValueError("chunks must hold at least one sample.")
        try:
            self.target = np.concatenate(targets)
        except ValueError as error:
            raise ValueError(f"The targets of the chunks do not fit together: {error}") from error

    def rows(self, samples: IndexArray) -> Any:
        """Return a copy of some rows; fastest if their chunks are in memory."""
        chunk_of = np.searchsorted(self._starts, samples, side="right") - 1
        places_of = {n: np.flatnonzero(chunk_of == n) for n in np.unique(chunk_of).tolist()}
        # Chunks in memory come first, before others replace them; the chunk of the last rows is read last and stays.
        numbers = sorted(places_of, key=lambda n: (n not in self._held, places_of[n][-1]))
        parts = [self._chunk(n)[samples[places_of[n]] - self._starts[n]] for n in numbers]
        if len(parts) == 1:
            return parts[0]
        places = np.argsort(np.concatenate([places_of[n] for n in numbers]))
        return csr_array(vstack(parts))[places] if self.is_sparse else np.concatenate(parts)[places]

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Put the features of some samples, checked when their chunks were loaded, into a workspace."""
        array_source(self.rows(samples)).read(np.arange(samples.size), workspace)

    def order(self, rng: np.random.Generator | None) -> Iterator[IndexArray]:
        """Yield the samples of one window of chunks after another."""
        numbers = np.arange(len(self._n_rows)) if rng is None else rng.permutation(len(self._n_rows))
        for start in range(0, numbers.size, self._window):
            samples = self._samples_of(numbers[start : start + self._window])
            if rng is not None:
                rng.shuffle(samples)
            yield samples

    def near(self, rng: np.random.Generator) -> IndexArray:
        """Return the samples of one window of random chunks."""
        return self._samples_of(np.sort(rng.permutation(len(self._n_rows))[: self._window]))

    def _samples_of(self, numbers):
        return np.concatenate([np.arange(self._starts[n], self._starts[n + 1]) for n in numbers])

    def _chunk(self, number):
        """Return the features of a chunk, which replaces the least recently used one in memory."""
        if number in self._held:
            self._held.move_to_end(number)
        else:
            while len(self._held) >= self._window:
                self._held.popitem(last=False)
            X, _ = self._load(number)
            if X.shape[0] != self._n_rows[number]:
                raise ValueError(f"chunk {number} has {X.shape[0]} samples, but had {self._n_rows[number]} at first.")
            self._held[number] = X
        return self._held[number]

    def _load(self, number):
        """Return features and targets of a chunk, checked."""
        name = f"chunk {number}"
        item = self._chunks[number]
        try:
            X, y = _read(item)
        except OSError as error:
            raise OSError(f"{name}, {item!r:.200}, cannot be read: {error}") from error
        except (EOFError, KeyError, TypeError, ValueError, BadZipFile, zlib.error) as error:
            raise ValueError(f"{name}, {item!r:.200}, holds no X and y: {error}") from error
        refuse_sparse(f"y of {name}", y)
        refuse_masked(f"y of {name}", y)
        X, y = self._of_dtype(f"X of {name}", sound_features(f"X of {name}", X)), np.asarray(y)
        if not self._n_rows:
            self.is_sparse, self.n_features = issparse(X), X.shape[1] if X.ndim == 2 else 0
        if X.ndim != 2 or X.shape[1] != self.n_features or issparse(X) != self.is_sparse:
            kind = "CSR" if self.is_sparse else "dense"
            raise ValueError(f"X of {name} has shape {X.shape}; it must be {kind}, with {self.n_features} features.")
        if y.shape[:1] != X.shape[:1]:
            raise ValueError(f"{name} has {X.shape[0]} samples, but targets of shape {y.shape}.")
        if not all_finite(X.data if self.is_sparse else X.reshape(-1)):
            raise ValueError(f"X of {name} holds NaN or infinity.")
        return X, y

    def _of_dtype(self, name, X):
        """Return features as CSR or a C-contiguous array of our dtype."""
        try:
            given = X if issparse(X) else np.asarray(X)
            if given.dtype.kind not in "fiubO":
                raise ValueError(f"the dtype is {given.dtype}.")
            convert = csr_array if issparse(given) else np.ascontiguousarray
            with np.errstate(over="ignore"):  # an overflow is refused as infinite later
                return convert(given, dtype=self.dtype)
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"{name} must hold real numbers: {error}") from error


def _read(item):
    """Return ``(X, y)`` of a chunk as its file or function has them."""
    if callable(item):
        item = item()
    if isinstance(item, str | os.PathLike):
        with np.load(item, allow_pickle=False) as arrays:
            if "indptr" in arrays:
                parts = arrays["data"], arrays["indices"], arrays["indptr"]
                return csr_array(parts, shape=tuple(arrays["shape"])), arrays["y"]
            return arrays["X" if "X" in arrays else "x"], arrays["y"]
    X, y = item
    return _array(X), _array(y)


def _array(part):
    if not isinstance(part, str | os.PathLike):
        return part
    if Path(part).suffix != ".npy":
        raise ValueError(f"{os.fspath(part)!r} must be an .npy file.")
    return np.load(part, allow_pickle=False)
