"""The search for the absent pairs with the largest product of two factors, one for each unit.

    score(j, i) = r_j · c_i,   r, c ≥ 0

A matrix of such scores has rank one, and its best pairs are found without scoring the others. Sort both sides by their
factors, largest first. The pair of the ranks (p, q), counted from 0, is beaten by all (p + 1)(q + 1) − 1 pairs above
and to the left of it. At most nnz of these are present, so the best k absent pairs lie under a hyperbola:

    (p + 1)(q + 1) ≤ k + nnz

The rows are walked in the order of their ranks, and each of them only until the k best pairs so far cannot be beaten.

Cost: O((k + nnz) log(k + nnz)) at most, beside sorting the units; memory O(units + k).
"""

import numpy as np

from truesparse.kernels.jit import serial

_ROOM = 65536


def top_absent_products(row_factors, column_factors, indices, indptr, k, rng=None):
    """Return the absent pairs (row, column) with the largest row factor · column factor.

    Parameters
    ----------
    row_factors, column_factors : (fan_out,), (fan_in,), not negative, finite
    indices, indptr : the canonical CSR pattern, shape (fan_out, fan_in), whose pairs are left out
    k : int, how many pairs to return at most
    rng : numpy.random.Generator, optional
        Puts units with equal factors in a random order. By default, the first one comes first.

    Returns
    -------
    keys : (≤ k,) int64, row · fan_in + column, best pair first; among equal scores the one whose row comes first in the
        order of factors, then the one whose column does
    scores : (≤ k,) float64, each factor divided by the largest one of its side; never zero
    """
    fan_in = column_factors.size
    rows, row_factors = _ranked(row_factors, rng)
    columns, column_factors = _ranked(column_factors, rng)
    held, row, column, threshold = 0, 0, 0, 0.0
    keys = np.empty(2 * k + _ROOM, dtype=np.int64)
    scores = np.empty(keys.size)
    seen = np.full(fan_in, -1, dtype=np.int64)
    while columns.size > 0 and row < rows.size:
        held, row, column = _collect(
            rows, row_factors, columns, column_factors, indices, indptr,
            k + indices.size, row, column, threshold, seen, keys, scores, held,
        )  # fmt: skip
        if held > k:  # either there is no more room, or this was the last row
            best = np.lexsort((keys[:held], -scores[:held]))[:k]
            keys[:k], scores[:k] = keys[best], scores[best]
            held, threshold = k, scores[k - 1]
    best = np.lexsort((keys[:held], -scores[:held]))
    p, q = np.divmod(keys[best], max(columns.size, 1))  # ranks
    return rows[p] * fan_in + columns[q], scores[best]


def _ranked(factors, rng):
    """Return the units whose factor is not zero, largest first, and their factors, scaled against underflow."""
    factors = np.asarray(factors, dtype=np.float64)
    units = np.flatnonzero(factors)
    if rng is not None:
        rng.shuffle(units)
    units = units[np.argsort(-factors[units], kind="stable")]
    return units, factors[units] / factors[units[:1]]


@serial
def _collect(
    rows, row_factors, columns, column_factors, indices, indptr, limit, p, q, threshold, seen, keys, scores, held
):
    """Append the absent pairs above the threshold, from the ranks (p, q) on, until the room or the rows end.

    Return how many are held, and where to go on; keys are those of ranks, and come in increasing order.
    """
    while p < rows.size:
        row, factor = rows[p], row_factors[p]
        if factor * column_factors[0] <= threshold:
            return held, rows.size, 0
        for slot in range(indptr[row], indptr[row + 1]):
            seen[indices[slot]] = p
        end = min(columns.size, limit // (p + 1))
        while q < end:
            score = factor * column_factors[q]
            if score <= threshold:
                break
            if seen[columns[q]] != p:
                if held == keys.size:
                    return held, p, q
                keys[held] = p * columns.size + q
                scores[held] = score
                held += 1
            q += 1
        p, q = p + 1, 0
    return held, p, q
