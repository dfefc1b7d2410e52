"""Batches of samples, features-major, out of dense or CSR data."""

import numpy as np
from scipy.sparse import issparse

from truesparse._typing import FloatArray, IndexArray
from truesparse.kernels.gather import gather_csr, gather_dense


class BatchReader:
    """Reads batches of chosen samples into one buffer.

    Parameters
    ----------
    X : (n_samples, n_features), C-contiguous array or CSR, of the network's dtype
    batch_size : int
        The largest batch.
    """

    def __init__(self, X, batch_size: int):
        self.n_samples, self.n_features = X.shape
        self.dtype = X.dtype
        self._X = X
        self._buffer = np.empty(self.n_features * batch_size, dtype=X.dtype)

    def read(self, samples: IndexArray) -> FloatArray:
        """The samples as columns, (n_features, batch), C-contiguous; valid until the next call."""
        out = self._buffer[: self.n_features * samples.size].reshape(self.n_features, samples.size)
        if issparse(self._X):
            gather_csr(self._X.data, self._X.indices, self._X.indptr, samples, out)
        else:
            gather_dense(self._X, samples, out)
        return out


def in_batches(samples: IndexArray, batch_size: int):
    """Consecutive parts of `samples`, all of `batch_size` but the last."""
    for start in range(0, samples.size, batch_size):
        yield samples[start : start + batch_size]
