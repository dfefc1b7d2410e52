"""Batches of samples, out of dense or CSR data into the arrays that a network works on."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.checks import sound_csr
from truesparse.kernels.gather import gather_csr, gather_dense, present_features
from truesparse.kernels.update import all_finite
from truesparse.network.workspace import SparseInputs
from truesparse.runtime.checks import refuse_masked

BatchTransform = Callable[[Any, np.random.Generator], Any]
"""``transform(X_batch, rng)``: what a training batch (n, n_features) is replaced by."""


class BatchReader:
    """Reads batches of chosen samples.

    Parameters
    ----------
    X : (n_samples, n_features), C-contiguous array or CSR, of the network's dtype
    """

    def __init__(self, X):
        self.n_samples, self.n_features = X.shape
        self.dtype = X.dtype
        self.is_sparse = issparse(X)
        self._X = X
        self._values = np.empty((0, 0), dtype=X.dtype)
        if self.is_sparse:
            self._scratch = np.zeros(self.n_features, dtype=np.int32)

    def transformed(self, samples: IndexArray, transform: BatchTransform, rng: np.random.Generator) -> "BatchReader":
        """A reader of what `transform` makes of a copy of these samples.

        Raises
        ------
        ValueError
            If that is of another kind or shape, or not finite.
        """
        batch = self._X[samples]
        returned = transform(batch, rng)
        refuse_masked(f"What batch_transform={transform!r} returned", returned)
        try:
            given = returned if issparse(returned) else np.asarray(returned)
        except ValueError:  # rows of different lengths
            given = np.empty(0, dtype=object)
        if issparse(given) != self.is_sparse or given.shape != batch.shape or given.dtype.kind not in "fiub":
            kind = "a CSR array" if self.is_sparse else "a dense array"
            raise ValueError(
                f"batch_transform={transform!r} must return {kind} of shape {batch.shape} and of real numbers, got "
                f"{type(returned).__name__} of shape {given.shape} and dtype {given.dtype}."
            )
        with np.errstate(over="ignore"):  # what overflows is refused as infinite, in words
            if self.is_sparse:
                given = sound_csr(f"What batch_transform={transform!r} returned", given).astype(self.dtype)
            else:
                given = np.ascontiguousarray(given, dtype=self.dtype)
        if not all_finite(given.data if self.is_sparse else given.reshape(-1)):
            raise ValueError(f"batch_transform={transform!r} returned numbers that are infinite or NaN.")
        return BatchReader(given)

    def read_into(self, out: FloatArray, samples: IndexArray) -> None:
        """Dense data: fill the rows of `out`, (n_features, stride), with samples as columns."""
        gather_dense(self._X, samples, out)

    def read_sparse(self, samples: IndexArray, stride: int) -> SparseInputs:
        """CSR data: the features that these samples store; valid until the next call."""
        data, indices, indptr = self._X.data, self._X.indices, self._X.indptr
        n_stored = int(np.sum(indptr[samples + 1] - indptr[samples]))
        found = np.empty(min(n_stored, self.n_features), dtype=np.int64)
        n = present_features(indices, indptr, samples, self._scratch, found)
        features = np.sort(found[:n])
        if n * stride > self._values.size:
            self._values = np.empty((n, stride), dtype=self.dtype)
        values = self._values.reshape(-1)[: n * stride].reshape(n, stride)
        gather_csr(data, indices, indptr, samples, features, self._scratch, values)
        return SparseInputs(features, values)


def in_batches(samples: IndexArray, batch_size: int):
    """Consecutive parts of `samples`, all of `batch_size` but the last."""
    for start in range(0, samples.size, batch_size):
        yield samples[start : start + batch_size]
