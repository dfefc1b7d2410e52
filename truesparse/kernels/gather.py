"""Take a batch of samples out of the training data and turn it features-major.

Users hold samples in rows; the kernels want ``(n_features, batch)``. Transposing once per batch costs little
beside the products that profit from it. Rows of a sparse matrix are scattered into a batch of zeros, so that
the data are never dense as a whole.
"""

from truesparse.kernels.jit import serial

_TILE = 16  # features at a time: 16 float32 fill a cache line, read whole from each sample


@serial()
def gather_dense(x, samples, out):
    """out[:, s] = x[samples[s], :].

    Parameters
    ----------
    x : (n_samples, n_features), C-contiguous
    samples : (batch,) int64, in range
    out : (n_features, batch), C-contiguous, overwritten
    """
    n_features = x.shape[1]
    for start in range(0, n_features, _TILE):
        stop = min(start + _TILE, n_features)
        for s in range(samples.size):
            sample = x[samples[s]]
            for feature in range(start, stop):
                out[feature, s] = sample[feature]


@serial()
def gather_csr(data, indices, indptr, samples, out):
    """As `gather_dense`, for samples that are the rows of a CSR matrix; entries that occur twice are added up."""
    out[:] = out.dtype.type(0)
    for s in range(samples.size):
        for slot in range(indptr[samples[s]], indptr[samples[s] + 1]):
            out[indices[slot], s] += data[slot]
