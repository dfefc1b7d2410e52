"""Samples of a batch (n, n_features) mixed with one another, in place.

A block of features is copied for all samples, so that samples which have changed already are still there as they were.
Blocks have a fixed size, and one writer each.
"""

import numpy as np
from numba import prange

from truesparse.kernels.draws import number
from truesparse.kernels.jit import parallel

_BLOCK = 64


@parallel
def mix_rows(x, partner, share):
    """new[i] = share[i] · old[i] + (1 − share[i]) · old[partner[i]].

    Parameters
    ----------
    x : (n, n_features), C-contiguous, changed in place
    partner, share : (n,) int64, in range; (n,) of the dtype of x
    """
    n, n_features = x.shape
    one = x.dtype.type(1)
    for block in prange((n_features + _BLOCK - 1) // _BLOCK):
        begin, end = block * _BLOCK, min(n_features, (block + 1) * _BLOCK)
        old = x[:, begin:end].copy()
        for i in range(n):
            new, own, other = x[i, begin:end], old[i], old[partner[i]]
            for j in range(new.size):
                new[j] = share[i] * own[j] + (one - share[i]) * other[j]


@parallel
def mask_features(x, key, threshold, from_samples):
    """Replace random entries, by 0 or by the same feature of a random sample of the batch.

    Entry (i, f) has a random number of 64 bits, which depends on key, i and f only (`truesparse.kernels.draws`). It is
    replaced if the upper 32 bits are below `threshold`. The lower 32 bits choose the sample.

    Parameters
    ----------
    x : (n, n_features), C-contiguous, changed in place
    key, threshold : uint64; the share of the entries that are replaced, times 2³²
    from_samples : bool
    """
    n, n_features = x.shape
    zero = x.dtype.type(0)
    for block in prange((n_features + _BLOCK - 1) // _BLOCK):
        begin, end = block * _BLOCK, min(n_features, (block + 1) * _BLOCK)
        old, drawn = x[:, begin:end].copy(), np.empty(_BLOCK, dtype=np.uint64)
        for i in range(n):
            new = x[i, begin:end]
            for j in range(new.size):
                drawn[j] = number(key, (i << 32) + begin + j)
            for j in range(new.size):
                if drawn[j] >> np.uint64(32) < threshold:
                    sample = ((drawn[j] & np.uint64(0xFFFFFFFF)) * np.uint64(n)) >> np.uint64(32)
                    new[j] = old[sample, j] if from_samples else zero
