"""Samples in chunks, a few of which are in memory at a time."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from truesparse._typing import IndexArray
from truesparse.data.loading import Loader
from truesparse.data.mapping import fit_in_parts
from truesparse.data.readers import Chunk, Reader, Slices, chunks_in, n_rows
from truesparse.data.source import Source, array_source
from truesparse.data.windows import Extent, Windows
from truesparse.network.workspace import Workspace
from truesparse.runtime.checks import check_count, plain

_BYTES_OF_SLICE = 2**24


class Chunks(Source):
    """Samples in chunks: in files, or made by functions.

    All chunks are read once at the beginning for their sizes, their targets and a check, so that an error names the
    chunk before training begins; targets stay in memory. An epoch takes the chunks in random order, a window of a few
    chunks at a time, and shuffles the samples of each window. While it is in one window, a thread loads the next. Rules
    of evolution look at samples of the window that the epoch is in.

    Two windows and a chunk are in memory, a window and a chunk if `prefetch` is False and there is no validation data
    in the same chunks. Joining chunks of CSR takes another half of a window. Results are the same bytes with and
    without the thread.

    Parameters
    ----------
    chunks : path or sequence
        A folder, whose files are the chunks, in the order of their names; or anything with ``len`` and ``[i]``, an item
        of which is

        - the path of an ``.npz`` file that holds ``X`` (or ``x``) and ``y``, or ``y`` and the ``data``, ``indices``,
          ``indptr`` and ``shape`` of a CSR matrix;
        - the path of a Parquet file, ``.parquet``; needs pyarrow;
        - the path of an SVMLight file, ``.svmlight``, ``.svm`` or ``.libsvm``, also with ``.gz`` or ``.bz2`` after it;
        - ``(X, y)``, each an array, a SciPy sparse matrix or the path of an ``.npy`` file;
        - a function without arguments that returns one of these.

        In a folder, ``X_03.npy`` and ``y_03.npy`` belong together, and so do all ``.npy`` files whose names differ by
        a lone ``X`` (or ``x``) and ``y``. Names that begin with a dot or an underscore are left out.
    window : int, default=4
        Chunks that are shuffled together.
    dtype : {"float32", "float64"}, default="float32"
        The estimator's dtype.
    target : str or list of str, default=None
        Of Parquet files, the column with the targets, or several for several outputs. All other columns are features.
    n_features : int, default=None
        Of SVMLight files, the number of features.
    zero_based : bool, default=False
        Whether SVMLight files count features from 0, as ``sklearn.datasets.dump_svmlight_file`` does unless told
        otherwise, and not from 1.
    classes : (n_classes,), default=None
        All classes, for a classifier, where the chunks may lack some. None means those that occur.
    prefetch : bool, default=True
        Whether a thread loads the next window. Functions are then called in that thread.

    See Also
    --------
    truesparse.callbacks.Checkpoint : Writes checkpoints, from which a fit goes on.

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

    def __init__(
        self,
        chunks: str | os.PathLike | Sequence[Chunk],
        *,
        window: int = 4,
        dtype: str = "float32",
        target: str | Sequence[str] | None = None,
        n_features: int | None = None,
        zero_based: bool = False,
        classes: Any = None,
        prefetch: bool = True,
    ):
        check_count("window", window)
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype={dtype!r} must be 'float32' or 'float64'.")
        if n_features is not None:
            check_count("n_features", n_features)
        for name, value in (("zero_based", zero_based), ("prefetch", prefetch)):
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{name}={value!r} must be True or False.")
        if isinstance(chunks, str | os.PathLike):
            chunks = chunks_in(chunks)
        if len(chunks) == 0:
            raise ValueError("chunks must hold at least one chunk.")
        self.dtype, self._window, self._prefetch = np.dtype(dtype), int(window), bool(prefetch)
        self.classes = None if classes is None else np.asarray(classes)
        self._loader = Loader(chunks, Reader(self.dtype, target, plain(n_features), bool(zero_based)), self.dtype)
        targets = self._loader.first_pass(self.classes)
        try:
            self.target = np.concatenate(targets)
        except ValueError as error:
            raise ValueError(f"The targets of the chunks do not fit together: {error}") from error
        self._take_from(self._loader)
        if self.n_samples == 0:
            raise ValueError("chunks must hold at least one sample.")

    @classmethod
    def from_arrays(cls, X: Any, y: Any, *, rows: int | None = None, **options: Any) -> Self:
        """Return consecutive rows of two objects as chunks.

        Parameters
        ----------
        X, y : objects with slices, and ``len`` or a shape
            Such as arrays of Zarr or h5py, or a `numpy.memmap`. Slices of `X` are arrays or SciPy sparse matrices.
        rows : int, default=None
            Rows of a chunk. None means those of a chunk of the Zarr or h5py array `X`, and otherwise about 16 MB.
        **options
            The parameters `window`, `dtype`, `classes` and `prefetch` of `Chunks`.

        Examples
        --------
        >>> import numpy as np
        >>> from truesparse.data import Chunks
        >>> X, y = np.random.default_rng(0).normal(size=(1000, 5)), np.arange(1000) % 3
        >>> source = Chunks.from_arrays(X, y, rows=100)
        >>> source.n_samples, source.n_features
        (1000, 5)
        """
        if rows is not None:
            check_count("rows", rows)
        if n_rows(X) != n_rows(y):
            raise ValueError(f"X has {n_rows(X)} rows, but y has {n_rows(y)}.")
        if rows is None:
            own = getattr(X, "chunks", None) or (None,)
            row_bytes = max(1, np.asarray(X[:1]).nbytes) if not hasattr(X[:1], "indptr") else max(1, X[:1].data.nbytes)
            rows = own[0] if isinstance(own[0], int) else max(1, _BYTES_OF_SLICE // row_bytes)
        return cls(Slices(X, y, int(rows)), **options)

    def map(self, transformer: Any) -> Self:
        """Return the chunks with features that a transformer of scikit-learn transforms when they are loaded.

        The transformer is fitted in one pass over the chunks by its ``partial_fit``, unless it is fitted already; a
        copy of it transforms them. Predictions need it too, by ``make_pipeline(transformer, model).predict(X)``, and
        so do validation data: ``X_val.map(transformer)``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> from truesparse import SparseMLPClassifier
        >>> from truesparse.data import Chunks
        >>> X = np.random.default_rng(0).normal(loc=50, scale=5, size=(1000, 5))
        >>> y = (X[:, 0] > 50).astype(int)
        >>> scaler = StandardScaler()
        >>> source = Chunks.from_arrays(X, y, rows=100).map(scaler)
        >>> model = SparseMLPClassifier((50,), epsilon=5, max_iter=20, update_every=50, random_state=0).fit(source)
        >>> bool(make_pipeline(scaler, model).score(X, y) > 0.9)
        True
        """
        filled = np.flatnonzero(np.diff(self._loader.starts)).tolist()
        parts = ((f"chunk {number}", self._loader.chunk(number)) for number in filled)
        fit_in_parts(transformer, parts)
        other = self.with_target(self.target)
        other._take_from(self._loader.mapped(transformer))
        return other

    def rows(self, samples: IndexArray) -> Any:
        """Return a copy of some rows; fastest if their chunks are in memory."""
        if (found := self._in_present_window(samples)) is not None:
            return found[0].rows(found[1])
        places, parts = [np.empty(0, dtype=np.int64)], []
        for of_part, rows in self._in_windows(samples, lambda source, rows: source.rows(rows)):
            places.append(of_part)
            parts.append(rows)
        if not self.is_sparse:
            gathered = np.empty((samples.size, self.n_features), dtype=self.dtype)
            for of_part, rows in zip(places[1:], parts, strict=True):
                gathered[of_part] = rows
            return gathered
        if not parts:
            return csr_array((0, self.n_features), dtype=self.dtype)
        return csr_array(vstack(parts))[np.argsort(np.concatenate(places))]

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Put the features of some samples, checked when their chunks were loaded, into a workspace."""
        source, rows = self._in_present_window(samples) or (array_source(self.rows(samples)), np.arange(samples.size))
        source.read(rows, workspace)

    def stored_features(self, samples: IndexArray) -> NDArray[np.bool_]:
        """Return which features some of these samples store, (n_features,); of sparse data only."""
        found = np.zeros(self.n_features, dtype=bool)
        for _, of_part in self._in_windows(samples, lambda source, rows: source.stored_features(rows)):
            found |= of_part
        return found

    def in_memory(self, samples: IndexArray) -> tuple[np.ndarray, IndexArray] | None:
        """Return the present window and the rows of it, or a copy of samples that are not all there; None for CSR."""
        if self.is_sparse:
            return None
        found = self._in_present_window(samples)
        return (self.rows(samples), np.arange(samples.size)) if found is None else found[0].in_memory(found[1])

    def order(self, rng: np.random.Generator | None) -> Iterator[IndexArray]:
        """Yield the samples of one window of chunks after another."""
        windows, owner = self._windows_of_epoch(rng), object()
        try:
            for place, numbers in enumerate(windows):
                following = self._extent(windows[place + 1]) if place + 1 < len(windows) else None
                samples = self._samples_of(numbers)
                if rng is not None:
                    rng.shuffle(samples)
                self._windows.enter(owner, self._extent(numbers), place * self._window, following)
                yield samples
        finally:
            self._windows.leave(owner)

    @property
    def chunks_passed(self) -> int:
        """Chunks of the windows that the epoch has passed."""
        return self._windows.passed

    def proceed(self) -> None:
        """Load the window that the epoch is in, unless it is there, and let the thread load the next one."""
        self._windows.proceed()

    def announce(self, rng: np.random.Generator | None) -> None:
        """Tell the order of the next epoch, whose first window is loaded during the last one of this epoch."""
        self._windows.announced = self._extent(self._windows_of_epoch(rng)[0])

    def release(self) -> None:
        """Let go of all chunks in memory, and end the thread."""
        self._windows.release()

    def near(self, rng: np.random.Generator) -> IndexArray:
        """Return the samples of the window that an epoch is in; outside of epochs those of some random chunks."""
        present = self._windows.present if self._windows.in_epoch else None
        if present is None:
            present = self._extent(rng.permutation(self._n_chunks)[: self._window])
            self._windows.present = present
        return self._samples_of(present.numbers)

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_windows"}

    def __setstate__(self, state):
        vars(self).update(state)
        self._windows = self._no_windows()  # a copy has its own

    def _no_windows(self):
        return Windows(self._loader.window, partial(self._loader.buffer, self._window), self._prefetch)

    @property
    def _n_chunks(self):
        return self._starts.size - 1

    def _take_from(self, loader):
        self._loader, self._starts = loader, loader.starts
        self.n_samples, self.n_features, self.is_sparse = int(loader.starts[-1]), loader.n_features, loader.is_sparse
        self._windows = self._no_windows()

    def _windows_of_epoch(self, rng):
        """Return the chunks of each window, in the order of an epoch."""
        numbers = np.arange(self._n_chunks) if rng is None else rng.permutation(self._n_chunks)
        return [numbers[start : start + self._window] for start in range(0, numbers.size, self._window)]

    def _samples_of(self, numbers):
        return np.concatenate([np.arange(self._starts[n], self._starts[n + 1]) for n in numbers])

    def _extent(self, numbers):
        numbers = np.sort(numbers)
        return Extent(tuple(numbers.tolist()), self._starts[numbers], self._starts[numbers + 1])

    def _in_present_window(self, samples):
        """Return the source of the present window, and rows in it, if all samples are there; otherwise None."""
        present = self._windows.present
        if present is None or samples.size == 0:
            return None
        rows, are_inside = present.locate(samples)
        if not are_inside.all():
            return None
        return self._windows.get(present).source, rows

    def _in_windows(self, samples, of):
        """Yield places in `samples` and ``of(source, rows)`` of the window that holds them, first of those in memory.

        It is called here, so that no variable of the caller keeps a window that makes room for another one.
        """
        places, windows = np.arange(samples.size), self._windows
        chunk_of = np.searchsorted(self._starts, samples, side="right") - 1
        windows.finish_if(lambda extent: bool(np.isin(chunk_of, extent.numbers).any()))
        held = windows.held
        while places.size:
            if held:
                window = held.pop()
            else:  # before others replace it, all of the present one
                numbers = np.unique(chunk_of[places])
                present = windows.present
                if present is None or not np.isin(numbers, present.numbers).any():
                    present = self._extent(numbers[: self._window])
                window = windows.get(present)
            rows, are_inside = window.extent.locate(samples[places])
            if are_inside.any():
                yield places[are_inside], of(window.source, rows[are_inside])
            places = places[~are_inside]
            del window
