"""The gradient of the stored weights only: a dense product, sampled at the pattern of a sparse matrix (SDDMM).

The full gradient of a layer's weights is ``delta · xᵀ``, of shape (fan_out, fan_in). Only the entries that are
stored are computed, each as one dot product over the batch. Four weights of a row are taken per pass, so that the
row of ``delta`` is loaded once for four of them.

Cost: 2 · nnz · batch operations.
"""

from numba import prange

from truesparse.kernels.jit import parallel_sums


@parallel_sums()
def sddmm(indices, indptr, delta, x, out):
    """out[slot] = ⟨delta[row], x[column]⟩ for the pair (row, column) of every slot of the pattern.

    Parameters
    ----------
    indices, indptr : the CSR pattern, shape (fan_out, fan_in)
    delta : (fan_out, batch), C-contiguous
    x : (fan_in, batch), C-contiguous
    out : (nnz,), overwritten
    """
    batch = x.shape[1]
    zero = out.dtype.type(0)
    for row in prange(indptr.size - 1):
        d = delta[row]
        slot, end = indptr[row], indptr[row + 1]
        while slot + 4 <= end:
            x0, x1 = x[indices[slot]], x[indices[slot + 1]]
            x2, x3 = x[indices[slot + 2]], x[indices[slot + 3]]
            g0, g1, g2, g3 = zero, zero, zero, zero
            for s in range(batch):
                g0 += d[s] * x0[s]
                g1 += d[s] * x1[s]
                g2 += d[s] * x2[s]
                g3 += d[s] * x3[s]
            out[slot], out[slot + 1], out[slot + 2], out[slot + 3] = g0, g1, g2, g3
            slot += 4
        while slot < end:
            x0 = x[indices[slot]]
            g0 = zero
            for s in range(batch):
                g0 += d[s] * x0[s]
            out[slot] = g0
            slot += 1
