"""The search for the most similar pairs of units among those that are not connected.

Units are compared by their *signatures*: rows of numbers whose inner product is, or estimates, the similarity.
A count sketch (Charikar, Chen & Farach-Colton, 2002) squeezes the activations of a unit over any number of
samples into ``width`` numbers while the data stream by:

    sketch[u, h(s)] += σ(s) · a[u, s],   h(s) uniform over the width, σ(s) = ±1 at random

so that ⟨sketch_i, sketch_j⟩ is an unbiased estimate of ⟨a_i, a_j⟩ with a standard deviation of at most about
‖a_i‖ ‖a_j‖ / √(width / 2).

`top_absent_pairs` multiplies signatures tile by tile and keeps the best pairs so far; the largest array it holds is
one tile. `pair_products` then adds up the exact inner products of the few pairs that were found.

Cost of the search: 2 · fan_in · fan_out · width operations, in BLAS.
"""

import numpy as np
from numba import prange

from truesparse.kernels.jit import parallel_sums, serial

_TILE_ROWS = 256
_TILE_COLUMNS = 2048
_ROOM = 65536


@parallel_sums()
def add_to_sketch(a, bucket, sign, sketch, total, squares):
    """Add a batch to the count sketch of every unit, to its sum and to its sum of squares.

    Parameters
    ----------
    a : (n_units, batch), C-contiguous
    bucket : (batch,) int64, in ``range(width)``
    sign : (batch,), ±1 in the dtype of `sketch`
    sketch : (n_units, width), added to
    total, squares : (n_units,) float64, added to
    """
    for unit in prange(a.shape[0]):
        sums = np.float64(0)
        sums_of_squares = np.float64(0)
        for s in range(a.shape[1]):
            value = a[unit, s]
            sketch[unit, bucket[s]] += sign[s] * value
            sums += np.float64(value)
            sums_of_squares += np.float64(value) * np.float64(value)
        total[unit] += sums
        squares[unit] += sums_of_squares


@parallel_sums()
def pair_products(rows, columns, z, a, z_shift, a_shift, out):
    """out[p] += ⟨z[rows[p]] − z_shift[rows[p]], a[columns[p]] − a_shift[columns[p]]⟩ over a batch.

    Shifting before multiplying keeps the digits that a correction of the sum afterwards would cancel.

    Parameters
    ----------
    rows, columns : (n_pairs,), in range
    z : (fan_out, batch), C-contiguous
    a : (fan_in, batch), C-contiguous
    z_shift, a_shift : (fan_out,) and (fan_in,), of the same dtype
    out : (n_pairs,) float64, added to
    """
    for pair in prange(rows.size):
        row, column = rows[pair], columns[pair]
        z_pair, a_pair = z[row], a[column]
        z_0, a_0 = z_shift[row], a_shift[column]
        product = z.dtype.type(0)
        for s in range(z.shape[1]):
            product += (z_pair[s] - z_0) * (a_pair[s] - a_0)
        out[pair] += np.float64(product)


def top_absent_pairs(row_signatures, column_signatures, indices, indptr, k):
    """The absent pairs (row, column) with the largest |⟨row signature, column signature⟩|.

    Parameters
    ----------
    row_signatures : (fan_out, width)
    column_signatures : (fan_in, width)
    indices, indptr : the canonical CSR pattern, shape (fan_out, fan_in), whose pairs are left out
    k : int, how many pairs to return at most

    Returns
    -------
    keys : (≤ k,) int64, row · fan_in + column, best pair first, equal ones by key
    scores : the pairs' scores, in the same order

    Notes
    -----
    Pairs whose score is zero are never returned. ``k`` must be positive.
    """
    fan_out, fan_in = row_signatures.shape[0], column_signatures.shape[0]
    dtype = row_signatures.dtype
    # Room behind the k best for newcomers: selecting again costs a pass over all that are held.
    keys = np.empty(2 * k + _ROOM, dtype=np.int64)
    scores = np.empty(keys.size, dtype=dtype)
    held, threshold = 0, dtype.type(0)
    tile = np.empty(min(_TILE_ROWS, fan_out) * min(_TILE_COLUMNS, fan_in), dtype=dtype)
    for first_row in range(0, fan_out, _TILE_ROWS):
        rows = row_signatures[first_row : first_row + _TILE_ROWS]
        for first_column in range(0, fan_in, _TILE_COLUMNS):
            columns = column_signatures[first_column : first_column + _TILE_COLUMNS]
            products = tile[: len(rows) * len(columns)].reshape(len(rows), len(columns))
            np.matmul(rows, columns.T, out=products)
            _blank_present(products, first_row, first_column, indices, indptr)
            position = 0
            while position < products.size:
                held, position = _collect(
                    products, first_row, first_column, fan_in, position, threshold, keys, scores, held
                )
                if held > 2 * k:
                    held, threshold = _keep_best(keys, scores, held, k)
    order = np.lexsort((keys[:held], -scores[:held]))[:k]
    return keys[order], scores[order]


@serial()
def _blank_present(products, first_row, first_column, indices, indptr):
    """Set the scores of the pairs of a tile that are present to zero, which is never collected."""
    last_column = first_column + products.shape[1]
    for r in range(products.shape[0]):
        start, stop = indptr[first_row + r], indptr[first_row + r + 1]
        slot = start + np.searchsorted(indices[start:stop], first_column)
        while slot < stop and indices[slot] < last_column:
            products[r, indices[slot] - first_column] = 0
            slot += 1


@serial()
def _collect(products, first_row, first_column, fan_in, position, threshold, keys, scores, held):
    """Append the pairs of a tile that reach the threshold, from `position` on, until tile or room ends."""
    n_columns = products.shape[1]
    c = position % n_columns
    for r in range(position // n_columns, products.shape[0]):
        row = products[r]
        while c < n_columns:
            score = abs(row[c])
            if score >= threshold and score > 0:
                if held == keys.size:
                    return held, r * n_columns + c
                keys[held] = (first_row + r) * fan_in + first_column + c
                scores[held] = score
                held += 1
            c += 1
        c = 0
    return held, products.size


def _keep_best(keys, scores, held, k):
    """Move the k best of the held pairs to the front, ties by key; returns k and the k-th best score."""
    threshold = np.partition(scores[:held], held - k)[held - k]
    above = np.flatnonzero(scores[:held] > threshold)
    equal = np.flatnonzero(scores[:held] == threshold)
    equal = equal[np.argsort(keys[equal])[: k - above.size]]
    best = np.concatenate([above, equal])
    keys[:k], scores[:k] = keys[best], scores[best]
    return k, threshold
