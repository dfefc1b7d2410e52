"""Batches of samples out of the training data, turned features-major.

Users hold samples in rows; the kernels want a row per feature. Transposing once per batch costs little beside the
products that profit from it. Of sparse data, only the features that are not zero in a batch get a row.
"""

import numpy as np
from numba import prange

from truesparse.kernels.jit import parallel, serial

_BLOCK = 16  # samples at a time: their numbers of one feature fill a cache line as float32


@parallel
def gather_dense(x, samples, out):
    """out[:, s] = x[samples[s], :].

    Parameters
    ----------
    x, out : (n_samples, n_features), (n_features, stride), C-contiguous; stride is at least batch, rounded up to 16;
        columns up to there are overwritten, those behind the batch by its last sample
    samples : (batch,) int64, in range, not empty
    """
    n_features, flat = x.shape[1], x.reshape(-1)
    for block in prange((samples.size + _BLOCK - 1) // _BLOCK):
        start = np.empty(_BLOCK, dtype=np.int64)
        for lane in range(_BLOCK):
            start[lane] = samples[min(block * _BLOCK + lane, samples.size - 1)] * n_features
        for feature in range(n_features):
            for lane in range(_BLOCK):
                out[feature, block * _BLOCK + lane] = flat[start[lane] + feature]


@serial
def present_features(indices, indptr, samples, seen, features):
    """List the features that the samples of a CSR matrix store, in the order of their appearance; return how many.

    Parameters
    ----------
    indices, indptr, samples : as for `gather_csr`
    seen : (n_features,) int32, zeros, and zeros again in the end
    features : (≥ number found,) int64, overwritten
    """
    n = 0
    for s in range(samples.size):
        for slot in range(indptr[samples[s]], indptr[samples[s] + 1]):
            if seen[indices[slot]] == 0:
                seen[indices[slot]] = 1
                features[n] = indices[slot]
                n += 1
    seen[features[:n]] = 0
    return n


@serial
def gather_csr(data, indices, indptr, samples, features, row_of, out):
    """out[k, s] = x[samples[s], features[k]]; entries of x that occur twice are added up.

    Parameters
    ----------
    data, indices, indptr, samples : the CSR matrix x; (batch,) int64, in range
    features : (n,) int64, with all that the samples store
    row_of : (n_features,) int32, scratch; zeros in the end
    out : (n, stride), overwritten, zero where nothing is stored
    """
    out[:] = out.dtype.type(0)
    for k in range(features.size):
        row_of[features[k]] = k
    for s in range(samples.size):
        for slot in range(indptr[samples[s]], indptr[samples[s] + 1]):
            out[row_of[indices[slot]], s] += data[slot]
    row_of[features] = 0
