"""Batches of samples out of the training data, turned features-major.

Users hold samples in rows; the kernels want a row per feature. Transposing once per batch costs little beside the
products that profit from it. Of sparse data, only the features that are not zero in a batch get a row.
"""

import numpy as np
from numba import prange

from truesparse.kernels.jit import parallel, serial
from truesparse.kernels.lanes import CHUNK, transpose
from truesparse.kernels.parts import inner


@inner
def gather_chunk(x, samples, out, first_row, stride, column):
    """out[first_row + f, column + lane] = x[samples[column + lane], f], for 16 lanes and all features f.

    Arguments as for `gather_dense`, but `out` is a vector, with `stride` numbers from one row to the next.
    """
    n_features, flat = x.shape[1], x.reshape(-1)
    starts = np.empty(CHUNK, dtype=np.intp)
    for lane in range(CHUNK):
        starts[lane] = samples[min(column + lane, samples.size - 1)] * n_features
    n_whole = n_features // CHUNK * CHUNK
    for feature in range(0, n_whole, CHUNK):
        transpose(flat, starts, feature, out, (first_row + feature) * stride + column, stride)
    for feature in range(n_whole, n_features):
        for lane in range(CHUNK):
            out[(first_row + feature) * stride + column + lane] = flat[starts[lane] + feature]


@parallel
def gather_dense(x, samples, out):
    """out[:, s] = x[samples[s], :].

    Parameters
    ----------
    x, out : (n_samples, n_features), (n_features, stride), C-contiguous; stride is at least batch, rounded up to 16;
        columns up to there are overwritten, those behind the batch by its last sample
    samples : (batch,) int64, in range, not empty
    """
    for chunk in prange((samples.size + CHUNK - 1) // CHUNK):
        gather_chunk(x, samples, out.reshape(-1), 0, out.shape[1], chunk * CHUNK)


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
