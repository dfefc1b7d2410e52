"""Products of a sparse weight matrix with a batch of activations.

Weights are CSR of shape ``(fan_out, fan_in)``; activations are features-major, ``(n_units, batch)`` and
C-contiguous. A stored weight is then one scaled addition of ``batch`` contiguous numbers. Both products *gather*:
every output row has one writer, which reads the rows it needs. Four weights are taken per pass, so that the
output row is loaded and stored once for four multiply-adds; they are chained, each fused in the only possible way.

Cost: 2 · nnz · batch operations each.
"""

from numba import prange

from truesparse.kernels.jit import parallel_products


@parallel_products()
def spmm_bias(data, indices, indptr, bias, x, out):
    """out = W · x + bias.

    Parameters
    ----------
    data, indices, indptr : the CSR arrays of W, shape (fan_out, fan_in)
    bias : (fan_out,)
    x : (fan_in, batch), C-contiguous
    out : (fan_out, batch), C-contiguous, overwritten
    """
    batch = x.shape[1]
    for row in prange(indptr.size - 1):
        acc = out[row]
        acc[:] = bias[row]
        slot, end = indptr[row], indptr[row + 1]
        while slot + 4 <= end:
            w0, w1, w2, w3 = data[slot], data[slot + 1], data[slot + 2], data[slot + 3]
            x0, x1 = x[indices[slot]], x[indices[slot + 1]]
            x2, x3 = x[indices[slot + 2]], x[indices[slot + 3]]
            for s in range(batch):
                acc[s] = acc[s] + w0 * x0[s] + w1 * x1[s] + w2 * x2[s] + w3 * x3[s]
            slot += 4
        while slot < end:
            w0, x0 = data[slot], x[indices[slot]]
            for s in range(batch):
                acc[s] += w0 * x0[s]
            slot += 1


@parallel_products()
def spmm_transposed(data, rows_t, indptr_t, perm_t, delta, out):
    """out = Wᵀ · delta, gathered along the columns of W through its transposed index.

    Parameters
    ----------
    data : (nnz,), the weights in CSR order
    rows_t, indptr_t : the CSC index of W: column c holds the rows ``rows_t[indptr_t[c]:indptr_t[c + 1]]``
    perm_t : (nnz,), the CSR slot of each CSC entry
    delta : (fan_out, batch), C-contiguous
    out : (fan_in, batch), C-contiguous, overwritten
    """
    batch = delta.shape[1]
    for column in prange(indptr_t.size - 1):
        acc = out[column]
        acc[:] = out.dtype.type(0)
        entry, end = indptr_t[column], indptr_t[column + 1]
        while entry + 4 <= end:
            w0, w1 = data[perm_t[entry]], data[perm_t[entry + 1]]
            w2, w3 = data[perm_t[entry + 2]], data[perm_t[entry + 3]]
            d0, d1 = delta[rows_t[entry]], delta[rows_t[entry + 1]]
            d2, d3 = delta[rows_t[entry + 2]], delta[rows_t[entry + 3]]
            for s in range(batch):
                acc[s] = acc[s] + w0 * d0[s] + w1 * d1[s] + w2 * d2[s] + w3 * d3[s]
            entry += 4
        while entry < end:
            w0, d0 = data[perm_t[entry]], delta[rows_t[entry]]
            for s in range(batch):
                acc[s] += w0 * d0[s]
            entry += 1
