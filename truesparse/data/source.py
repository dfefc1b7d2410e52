"""Sources: where the samples of a training come from.

The training loop, validation, signals for rules and predictions read samples only through `Source`. A source of your
own is a subclass with ``rows``.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from truesparse._typing import IndexArray
from truesparse.data.checks import sound_batch
from truesparse.kernels.gather import gather_csr, gather_dense, present_features
from truesparse.network.losses import BatchTarget, Target
from truesparse.network.workspace import SparseInputs, Workspace
from truesparse.runtime.memory import MappedRows

Reduce = Callable[[NDArray], NDArray]
"""Function that returns the sum of the arrays of this shape over all processes that train together."""


def alone(array: NDArray) -> NDArray:
    """Return the array itself: the `Reduce` of one process."""
    return array


class Source(ABC):
    """Samples with their targets, which may be None."""

    n_samples: int
    n_features: int
    dtype: np.dtype  # float32 or float64, as the network's
    is_sparse: bool = False  # whether features come as CSR
    target: Target | None = None  # encoded targets, (n_samples, …) array or Weighted
    in_pieces: bool = False  # whether only samples that are near each other can be read together at little cost
    reduce: Reduce = staticmethod(alone)  # adds arrays up over the processes that share the samples
    first: int = 0  # samples of the processes before this one
    column: int = 0  # of the batch that `batches` has yielded, those of the processes before this one
    classes: Any = None  # all classes of unencoded targets, where some may not occur

    @abstractmethod
    def rows(self, samples: IndexArray) -> Any:
        """Return the features of some samples, (n, n_features), a copy: an array, or CSR if ``is_sparse``."""

    def gathered_rows(self, samples: IndexArray) -> Any:
        """Return `rows`, also of samples that other processes hold; all of them must call this."""
        return self.rows(samples)

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Put the features of some samples into a workspace, as columns; refuse unsuitable ones of `rows`."""
        array_source(self._sound_rows(samples)).read(np.arange(samples.size), workspace)

    def read_batch(self, samples: IndexArray, workspace: Workspace) -> BatchTarget:
        """Put the features of some samples into a workspace; return their targets."""
        self.read(samples, workspace)
        return self.target[samples]  # type: ignore[index]  # a source that is trained on has targets

    def _sound_rows(self, samples):
        name, shape = f"{type(self).__name__}.rows", (samples.size, self.n_features)
        return sound_batch(name, self.rows(samples), shape, self.dtype, is_sparse=self.is_sparse)

    def stored_features(self, samples: IndexArray) -> NDArray[np.bool_]:
        """Return which features some of these samples store, (n_features,); of sparse data only."""
        found = np.zeros(self.n_features, dtype=bool)
        for part in in_batches(samples, 1000):
            found[self._sound_rows(part).indices] = True
        return found

    def in_memory(self, samples: IndexArray) -> tuple[np.ndarray, IndexArray] | None:
        """Return a C-contiguous array that kernels can read, and the rows of it that some samples are; or None."""
        return None

    def order(self, rng: np.random.Generator | None) -> Iterator[IndexArray]:
        """Yield all samples once, in pieces: shuffled by `rng`, or in order for None."""
        samples = np.arange(self.n_samples)
        if rng is not None:
            rng.shuffle(samples)
        yield samples

    def batches(self, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[IndexArray]:
        """Yield the samples of an epoch, `batch_size` at a time; the last batch may be smaller."""
        return self.runs(batch_size, 1, rng)

    def runs(
        self, batch_size: int, most: int, rng: np.random.Generator | None = None, n_seen: int = 0
    ) -> Iterator[IndexArray]:
        """Yield the samples of an epoch after the first `n_seen` of whole batches, up to `most` batches at a time.

        A batch that begins in one piece of the order comes alone, so that all others can be read together.
        """
        left: IndexArray = np.empty(0, dtype=np.int64)
        n_begun = 0
        for piece in self.order(rng):
            n_begun += piece.size
            if left.size:
                n_missing = batch_size - left.size
                left, piece = np.concatenate([left, piece[:n_missing]]), piece[n_missing:]
                if left.size == batch_size:
                    if n_seen == 0:
                        yield left
                    n_seen, left = max(0, n_seen - batch_size), left[:0]
            n_skipped = min(n_seen, piece.size - piece.size % batch_size)
            n_seen, piece = n_seen - n_skipped, piece[n_skipped:]
            if piece.size:
                if n_seen == 0:
                    self.proceed()
                n_whole = piece.size - piece.size % batch_size
                yield from in_batches(piece[:n_whole], batch_size * most)
                left = piece[n_whole:]
            if left.size and n_begun == self.n_samples:  # while the order is still in its last piece with samples
                yield left
                left = left[:0]

    @property
    def chunks_passed(self) -> int:
        """Chunks of this epoch whose samples are not needed any more; arrays have no chunks."""
        return 0

    def proceed(self) -> None:  # noqa: B027  # a choice, not a duty
        """Note that of the samples of an epoch so far only those of the last piece of its `order` are still needed."""

    def n_batches(self, batch_size: int) -> int:
        """Return how many batches an epoch has."""
        return -(-self.n_samples // batch_size)

    def most_of(self, batch_size: int, multiple: int = 1) -> int:
        """Return how many samples of a batch are here at most, with those before them down to a multiple."""
        return batch_size

    def in_order(self, batch_size: int) -> Iterator[IndexArray]:
        """Yield the samples that this process holds, `batch_size` at a time, in an order that is read fast."""
        return self.batches(batch_size)

    def announce(self, rng: np.random.Generator | None) -> None:  # noqa: B027
        """Tell the random generator of the `order` after the next one, so that its first samples can be loaded."""

    def release(self) -> None:  # noqa: B027
        """Let go of what is only held to read it faster, and end threads; called after every training."""

    def compute(self, function: Callable[["Source"], NDArray]) -> NDArray:
        """Return ``function(source)``, (…, n_samples), computed where the samples are; it can be pickled."""
        return function(self)

    def draw(self, n: int | None, rng: np.random.Generator) -> IndexArray:
        """Draw `n` distinct samples for rules, which are `near`, in increasing order; all for None or a large `n`."""
        if n is None or n >= self.n_samples:
            return np.arange(self.n_samples)
        near = self.near(rng)
        return near[draw_samples(near.size, n, rng)]

    def near(self, rng: np.random.Generator) -> IndexArray:
        """Return samples that can be read together at little cost, in increasing order: here all."""
        return np.arange(self.n_samples)

    def locate(self, drawn: IndexArray) -> tuple[IndexArray, IndexArray]:
        """Return which of the drawn samples are here: their places in `drawn`, and their numbers here."""
        return np.arange(drawn.size), drawn

    def subset(self, samples: IndexArray) -> "Source":
        """Return some of the samples as a source that reads them from this one, without a copy."""
        return Subset(self, samples)

    def with_target(self, target: Target | None) -> Self:
        """Return the same samples with other targets, (n_samples, …)."""
        other = copy.copy(self)
        other.target = target
        return other


class ArraySource(Source):
    """Samples of a C-contiguous array or `numpy.memmap` X, (n_samples, n_features), or of its rows `chosen`, (n,)."""

    def __init__(self, X: Any, target: Target | None = None, chosen: IndexArray | None = None):
        self.X, self.target, self._chosen = X, target, chosen
        self.n_samples, self.n_features = X.shape[0] if chosen is None else chosen.size, X.shape[1]
        self.dtype = X.dtype
        self._rows = MappedRows(X)

    def rows(self, samples: IndexArray) -> np.ndarray:
        """Return a copy of some rows."""
        return self._rows.take(self._places(samples))

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Gather rows as columns of the workspace."""
        workspace.begin(samples.size)
        if self._rows.is_mapped:
            gather_dense(self.rows(samples), np.arange(samples.size), workspace.features)
        else:
            gather_dense(self.X, self._places(samples), workspace.features)

    def in_memory(self, samples: IndexArray) -> tuple[np.ndarray, IndexArray] | None:
        """Return the array and the rows, unless it is a memory map."""
        return None if self._rows.is_mapped else (self.X, self._places(samples))

    def subset(self, samples: IndexArray) -> "ArraySource":
        """Return some of the samples; `X` is shared."""
        return type(self)(self.X, None if self.target is None else self.target[samples], self._places(samples))

    def _places(self, samples):
        return samples if self._chosen is None else self._chosen[samples]


class CSRSource(ArraySource):
    """Samples of a CSR matrix with sound indices, or of its rows `chosen`, (n,)."""

    is_sparse = True

    def __init__(self, X: Any, target: Target | None = None, chosen: IndexArray | None = None):
        super().__init__(X, target, chosen)
        self._values = np.empty((0, 0), dtype=X.dtype)
        self._row_of = np.zeros(self.n_features, dtype=np.int32)

    def rows(self, samples: IndexArray) -> Any:
        """Return a copy of some rows, CSR."""
        return self.X[self._places(samples)]

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Give the workspace a row for each feature that some of these samples store."""
        workspace.begin(samples.size)
        workspace.sparse_inputs = self.present(samples, workspace.shape.stride)

    def stored_features(self, samples: IndexArray) -> NDArray[np.bool_]:
        """Return which features some of these samples store, (n_features,)."""
        found = np.zeros(self.n_features, dtype=bool)
        found[self._stored(self._places(samples))] = True
        return found

    def in_memory(self, samples: IndexArray) -> None:
        """Return None: kernels read rows of an array only."""

    def present(self, samples: IndexArray, stride: int) -> SparseInputs:
        """Return the features that some samples store, and their values (n, stride), valid until the next call."""
        places = self._places(samples)
        features = np.sort(self._stored(places))
        n = features.size
        if n * stride > self._values.size:
            self._values = np.empty((n, stride), dtype=self.dtype)
        values = self._values.reshape(-1)[: n * stride].reshape(n, stride)
        gather_csr(self.X.data, self.X.indices, self.X.indptr, places, features, self._row_of, values)
        return SparseInputs(features, values)

    def _stored(self, places):
        """Return the features that some rows of X store, in any order."""
        indices, indptr = self.X.indices, self.X.indptr
        n_stored = int(np.sum(indptr[places + 1] - indptr[places]))
        found = np.empty(min(n_stored, self.n_features), dtype=np.int64)
        return found[: present_features(indices, indptr, places, self._row_of, found)]


class Subset(Source):
    """Distinct samples (n,) of another source, read in its order."""

    def __init__(self, source: Source, samples: IndexArray):
        self._source, self._samples = source, samples
        self.n_samples, self.n_features = samples.size, source.n_features
        self.dtype, self.is_sparse = source.dtype, source.is_sparse
        self.target = None if source.target is None else source.target[samples]
        self.in_pieces = source.in_pieces

    def rows(self, samples: IndexArray) -> Any:
        """Return a copy of some rows."""
        return self._source.rows(self._samples[samples])

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Put some samples into a workspace."""
        self._source.read(self._samples[samples], workspace)

    def in_memory(self, samples: IndexArray) -> tuple[np.ndarray, IndexArray] | None:
        """Return what the other source has in memory."""
        return self._source.in_memory(self._samples[samples])

    @property
    def chunks_passed(self) -> int:
        """Chunks that the other source has passed."""
        return self._source.chunks_passed

    def proceed(self) -> None:
        """Tell the other source."""
        self._source.proceed()

    def announce(self, rng: np.random.Generator | None) -> None:
        """Tell the other source."""
        self._source.announce(rng)

    def release(self) -> None:
        """Tell the other source."""
        self._source.release()

    def order(self, rng: np.random.Generator | None) -> Iterator[IndexArray]:
        """Yield the samples in the order of the other source."""
        own = np.full(self._source.n_samples, -1)
        own[self._samples] = np.arange(self.n_samples)
        for piece in self._source.order(rng):
            samples = own[piece]
            yield samples[samples >= 0]

    def near(self, rng: np.random.Generator) -> IndexArray:
        """Return the samples that are near each other in the other source; all if there are none."""
        samples = np.flatnonzero(np.isin(self._samples, self._source.near(rng)))
        return samples if samples.size else np.arange(self.n_samples)


@contextmanager
def released(*sources: Source) -> Iterator[None]:
    """Release some sources after a ``with`` block, also if it fails."""
    try:
        yield
    finally:
        for source in sources:
            source.release()


def array_source(X: Any, target: Target | None = None) -> ArraySource:
    """Return the source of an array or a CSR matrix, (n_samples, n_features)."""
    return CSRSource(X, target) if issparse(X) else ArraySource(X, target)


def in_batches(samples: IndexArray, batch_size: int) -> Iterator[IndexArray]:
    """Yield consecutive parts of `samples`, of `batch_size` each, the last perhaps smaller."""
    for start in range(0, samples.size, batch_size):
        yield samples[start : start + batch_size]


def without_small_end(batches: Iterator[IndexArray], batch_size: int, n_samples: int) -> Iterator[IndexArray]:
    """Yield batches of `n_samples` in all; if the last one is less than half full, the last two share theirs equally.

    Only a small last batch is read ahead: a source of chunks keeps the samples of the batch that it has yielded last.
    """
    for batch in batches:
        n_samples -= batch.size
        if 0 < 2 * n_samples < batch_size:
            both = np.concatenate([batch, next(batches)])
            yield from np.split(both, [-(-both.size // 2)])
            return
        yield batch


def draw_samples(n_samples: int, n_wanted: int | None, rng: np.random.Generator) -> IndexArray:
    """Draw `n_wanted` distinct samples in increasing order; all for None or a large number."""
    if n_wanted is None or n_wanted >= n_samples:
        return np.arange(n_samples)
    return np.sort(rng.choice(n_samples, n_wanted, replace=False))
