"""The search for the most similar absent pairs of units, and sketches of their activations.

Units are compared by their *signatures*: vectors whose inner product is, or estimates, the similarity. A count sketch
(Charikar, Chen & Farach-Colton, 2002) compresses the activations of a unit over any number of samples into ``width``
numbers while the data stream by:

    sketch[u, h(s)] += σ(s) · a[u, s],   h(s) uniform over the width, σ(s) = ±1 at random

so that ⟨sketch_i, sketch_j⟩ is an unbiased estimate of ⟨a_i, a_j⟩ with a standard deviation of at most about
‖a_i‖ ‖a_j‖ / √(width / 2).

`top_absent_pairs` multiplies signatures tile by tile and keeps the best pairs so far; the largest array it holds is one
tile. `pair_products` then adds up the exact inner products of the few pairs that were found.

Cost of the search: 2 · fan_in · fan_out · width operations, in BLAS.
"""

import numpy as np
from numba import prange

from truesparse.kernels.jit import parallel, parallel_sums, serial
from truesparse.kernels.lanes import dot, dots, load

_TILE_ROWS, _TILE_COLUMNS = 256, 2048
_ROOM = 65536
_STRETCH = 64
_SAMPLED_SIDE, _FEWEST_BEST = 256, 100
_BLOCK = 512  # pairs that one thread takes at a time


@parallel_sums
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
        sums = sums_of_squares = np.float64(0)
        for s in range(a.shape[1]):
            value = a[unit, s]
            sketch[unit, bucket[s]] += sign[s] * value
            sums += np.float64(value)
            sums_of_squares += np.float64(value) * np.float64(value)
        total[unit] += sums
        squares[unit] += sums_of_squares


@parallel
def pair_products(rows, columns, z, a, stride, out, width):
    """out[p] += ⟨z[rows[p]], a[columns[p]]⟩ over the lanes of a batch.

    Parameters
    ----------
    rows, columns : (n_pairs,) int64, in range; fastest where equal rows follow each other
    z, a : (≥ n_units · stride,), a row of `stride` numbers for each unit, of which `width` lanes count
    out : (n_pairs,) float64, added to
    width : tuple, see `lanes`
    """
    for block in prange((rows.size + _BLOCK - 1) // _BLOCK):
        pair, stop = block * _BLOCK, min((block + 1) * _BLOCK, rows.size)
        eight = np.empty(8, dtype=z.dtype)
        while pair < stop:
            row = rows[pair]
            z_row = load(z, row * stride, width)
            while pair + 8 <= stop and rows[pair + 7] == row:
                dots(eight, 0, z_row, a, 0, columns, pair, stride)
                for k in range(8):
                    out[pair + k] += np.float64(eight[k])
                pair += 8
            while pair < stop and rows[pair] == row:
                out[pair] += np.float64(dot(z_row, load(a, columns[pair] * stride, width)))
                pair += 1


def top_absent_pairs(row_signatures, column_signatures, indices, indptr, k, *, by_key=False):
    """Return the absent pairs (row, column) with the largest |⟨row signature, column signature⟩|.

    Parameters
    ----------
    row_signatures, column_signatures : (fan_out, width), (fan_in, width)
    indices, indptr : the canonical CSR pattern, shape (fan_out, fan_in), whose pairs are left out
    k : int, positive: how many pairs to return at most
    by_key : bool, whether to return the pairs in the order of their keys, which takes less time

    Returns
    -------
    keys : (≤ k,) int64, row · fan_in + column; best pair first and equal ones by key, unless `by_key`
    scores : (≤ k,), in the same order; pairs whose score is zero are never returned
    """
    fan_out, fan_in = row_signatures.shape[0], column_signatures.shape[0]
    for floor in (_floor(row_signatures, column_signatures, k), 0):
        best = BestPairs(k, indices, indptr, fan_in, row_signatures.dtype, floor)
        best.search(row_signatures, np.arange(fan_out), column_signatures, np.arange(fan_in))
        if best.is_full() or floor == 0:
            return best.in_order(by_key=by_key)


def _floor(row_signatures, column_signatures, k):
    """Return a score that about 2 k pairs reach, estimated from some pairs at even distances."""
    rows = row_signatures[:: max(1, len(row_signatures) // _SAMPLED_SIDE)]
    columns = column_signatures[:: max(1, len(column_signatures) // _SAMPLED_SIDE)]
    n_sampled = len(rows) * len(columns)
    rank = int(2 * k * n_sampled / (len(row_signatures) * len(column_signatures)))
    if not _FEWEST_BEST <= rank < n_sampled // 2:
        return 0
    return np.partition(np.abs(rows @ columns.T), n_sampled - rank, axis=None)[n_sampled - rank]


class BestPairs:
    """The k best absent pairs so far, ties by key, whatever the order in which pairs are scored.

    Parameters
    ----------
    k : int, positive
    indices, indptr, fan_in : the canonical CSR pattern whose pairs are left out
    dtype : of the scores
    floor : float
        Pairs with lower scores are never taken. A floor near the k-th best score saves most of the time that is spent
        on pairs that better ones replace later.
    """

    def __init__(self, k, indices, indptr, fan_in, dtype, floor=0):
        self._k, self._indices, self._indptr, self._fan_in = k, indices, indptr, fan_in
        # Room behind the k best for newcomers: selecting again costs a pass over all that are held.
        self._keys = np.empty(2 * k + _ROOM, dtype=np.int64)
        self._scores = np.empty(self._keys.size, dtype=dtype)
        self._held, self._threshold = 0, np.dtype(dtype).type(floor)
        self._tile = np.empty(0, dtype=dtype)

    def search(self, row_signatures, rows, column_signatures, columns):
        """Score every pair of these rows and columns, tile by tile. No pair may be scored twice.

        Parameters
        ----------
        row_signatures, column_signatures : (n_rows, width), (n_columns, width)
        rows, columns : (n_rows,), (n_columns,) int64, the units that they belong to; columns sorted
        """
        size = min(_TILE_ROWS, rows.size) * min(_TILE_COLUMNS, columns.size)
        if self._tile.size < size:
            self._tile = np.empty(size, dtype=self._tile.dtype)
        for i in range(0, rows.size, _TILE_ROWS):
            x, some_rows = (array[i : i + _TILE_ROWS] for array in (row_signatures, rows))
            for j in range(0, columns.size, _TILE_COLUMNS):
                y, some_columns = (array[j : j + _TILE_COLUMNS] for array in (column_signatures, columns))
                products = self._tile[: len(x) * len(y)].reshape(len(x), len(y))
                self.take(np.matmul(x, y.T, out=products), some_rows, some_columns)

    def take(self, products, rows, columns):
        """Take the pairs of a tile that are absent and not worse than the k best so far; scores are |products|.

        Parameters
        ----------
        products : (n_rows, n_columns), C-contiguous, of the dtype of the scores
        rows, columns : as in `search`
        """
        position = 0
        while position < products.size:
            self._held, position = _collect(
                products, rows, columns, self._indices, self._indptr, self._fan_in,
                position, self._threshold, self._keys, self._scores, self._held,
            )  # fmt: skip
            if self._held > 2 * self._k:
                self._keep_best()

    def _keep_best(self):
        """Move the k best of the held pairs to the front, ties by key; raise the threshold to the k-th best score."""
        k, keys, scores = self._k, self._keys[: self._held], self._scores[: self._held]
        self._held, self._threshold = k, np.partition(scores, scores.size - k)[scores.size - k]
        above, equal = np.flatnonzero(scores > self._threshold), np.flatnonzero(scores == self._threshold)
        best = np.concatenate([above, equal[np.argsort(keys[equal])[: k - above.size]]])
        keys[:k], scores[:k] = keys[best], scores[best]

    def is_full(self):
        """Whether k pairs have been found."""
        return self._held >= self._k

    def in_order(self, *, by_key=False):
        """Return keys and scores of the k best pairs, best first and equal ones by key, or all by key."""
        if self._held > self._k:
            self._keep_best()
        keys, scores = self._keys[: self._held], self._scores[: self._held]
        order = np.argsort(keys) if by_key else _order(keys, scores)
        return keys[order], scores[order]


@serial
def _collect(products, rows, columns, indices, indptr, fan_in, position, threshold, keys, scores, held):
    """Append the absent pairs of a tile that reach the threshold, from `position` on, until tile or room ends."""
    n_columns = products.shape[1]
    c = position % n_columns
    for r in range(position // n_columns, products.shape[0]):
        row, line = rows[r], products[r]
        slot, stop = indptr[row], indptr[row + 1]
        while c < n_columns:
            # Once the threshold has risen, most stretches hold nothing. Counting uses vector instructions.
            end = min(c + _STRETCH, n_columns)
            passing = 0
            for q in range(c, end):
                passing += abs(line[q]) >= threshold
            if passing > 0:
                slot += np.searchsorted(indices[slot:stop], columns[c])
                for q in range(c, end):
                    score = abs(line[q])
                    if score >= threshold and score > 0:
                        column = columns[q]
                        while slot < stop and indices[slot] < column:
                            slot += 1
                        if slot < stop and indices[slot] == column:
                            continue
                        if held == keys.size:
                            return held, r * n_columns + q
                        keys[held] = row * fan_in + column
                        scores[held] = score
                        held += 1
            c = end
        c = 0
    return held, products.size


def _order(keys, scores):
    """Return ``np.lexsort((keys, -scores))``, several times as fast: best scores first, equal ones by key."""
    order = np.argsort(keys)
    scores = scores[order]
    if scores.dtype != np.float32 or scores.size > 2**32:
        return order[np.argsort(-scores, kind="stable")]
    # Bits of positive floats are in the order of the floats. So one sort of integers is enough: the complement of the
    # score's bits above, and the place among the keys below.
    both = (~scores.view(np.uint32)).astype(np.uint64)
    both <<= np.uint64(32)
    both |= np.arange(scores.size, dtype=np.uint64)
    both.sort()
    return order[(both & np.uint64(2**32 - 1)).astype(np.int64)]
