"""Every kernel once more in plain, dense NumPy: what it computes, without how.

Read this file first. The tests compare each compiled kernel with its twin here, which has the same name and
arguments and returns what the kernel writes. These are the only functions of the package that make arrays of
``fan_out × fan_in``; nothing but tests and examples calls them.
"""

import numpy as np


def dense_weight(data, indices, indptr, fan_in):
    """The dense (fan_out, fan_in) matrix of CSR arrays."""
    weight = np.zeros((indptr.size - 1, fan_in), dtype=data.dtype)
    weight[rows_of(indptr), indices] = data
    return weight


def rows_of(indptr):
    """The row of every slot of a CSR pattern."""
    return np.repeat(np.arange(indptr.size - 1), np.diff(indptr))


# spmm.py


def spmm_bias(data, indices, indptr, bias, x):
    """W · x + bias."""
    return dense_weight(data, indices, indptr, x.shape[0]) @ x + bias[:, None]  # (fan_out, batch)


def spmm_transposed(data, rows_t, indptr_t, perm_t, delta):
    """Wᵀ · delta; the CSC arrays of W are the CSR arrays of Wᵀ."""
    return dense_weight(data[perm_t], rows_t, indptr_t, delta.shape[0]) @ delta  # (fan_in, batch)


# sddmm.py


def sddmm(indices, indptr, delta, x):
    """The gradient delta · xᵀ at the stored pairs."""
    return (delta @ x.T)[rows_of(indptr), indices]  # (nnz,)


# update.py


def sgd_step(params, gradient, velocity, learning_rate, momentum, nesterov, alpha, n_penalised, tiny):
    """New parameters and velocity."""
    g = gradient + alpha * np.where(np.arange(params.size) < n_penalised, params, 0)
    v = flush(momentum * velocity - learning_rate * g, tiny)
    step = momentum * v - learning_rate * g if nesterov else v
    return flush(params + step, tiny), v


def adam_step(params, gradient, mean, square, step_size, beta1, beta2, root_eps, alpha, n_penalised, tiny):
    """New parameters, mean and mean square of the gradients."""
    g = gradient + alpha * np.where(np.arange(params.size) < n_penalised, params, 0)
    m = flush(beta1 * mean + (1 - beta1) * g, tiny)
    v = flush(beta2 * square + (1 - beta2) * g**2, tiny)
    return flush(params - step_size * m / (np.sqrt(v) + root_eps), tiny), m, v


def flush(values, tiny):
    """Subnormal numbers become zero."""
    return np.where(np.abs(values) < tiny, 0, values)


# select.py


def k_smallest(scores, k):
    """Mask of the k smallest, the first ones among equals."""
    chosen = np.zeros(scores.size, dtype=bool)
    chosen[np.argsort(scores, kind="stable")[:k]] = True
    return chosen


def nth_absent(ranks, keys, n_pairs):
    """The absent keys out of ``range(n_pairs)`` that have the given ranks."""
    return np.setdiff1d(np.arange(n_pairs), keys)[ranks]


# pointwise.py


def piecewise_linear(z, slope):
    """f(z)."""
    return np.where(z > 0, z, slope * z)


def piecewise_linear_backward(z, slope, delta):
    """delta · f′(z)."""
    return np.where(z > 0, delta, slope * delta)


# gather.py


def gather_dense(x, samples):
    """The chosen samples as columns."""
    return x[samples].T


def gather_csr(data, indices, indptr, samples, n_features):
    """The chosen samples of a CSR matrix as columns."""
    return dense_weight(data, indices, indptr, n_features)[samples].T


# similarity.py


def add_to_sketch(a, bucket, sign, width):
    """The count sketch, sum and sum of squares of every unit over a batch."""
    projection = np.zeros((a.shape[1], width))
    projection[np.arange(a.shape[1]), bucket] = sign
    return a @ projection, a.sum(axis=1), (a**2).sum(axis=1)


def pair_products(rows, columns, z, a, z_shift, a_shift):
    """⟨z_row − shift, a_column − shift⟩ for each pair."""
    return ((z - z_shift[:, None]) @ (a - a_shift[:, None]).T)[rows, columns]


def top_absent_pairs(row_signatures, column_signatures, indices, indptr, k):
    """Keys and scores of the k absent pairs with the largest |inner product|, ties by key, zeros left out."""
    scores = np.abs(row_signatures @ column_signatures.T)  # (fan_out, fan_in)
    scores[rows_of(indptr), indices] = 0
    scores = scores.ravel()
    best = np.argsort(-scores, kind="stable")[:k]
    best = best[scores[best] > 0]
    return best, scores[best]
