"""The search for the most similar absent pairs of units, and sketches of their activations.

Units are compared by their *signatures*: vectors whose inner product is, or estimates, the similarity. A count sketch
(Charikar, Chen & Farach-Colton, 2002) compresses the activations of a unit over any number of samples into ``width``
numbers while the data stream by:

    sketch[u, h(s)] += σ(s) · a[u, s],   h(s) = s mod width, σ(s) = ±1 at random

so that ⟨sketch_i, sketch_j⟩ is an unbiased estimate of ⟨a_i, a_j⟩: in the mean over the signs, products of different
samples cancel. Consecutive samples have consecutive buckets, so that a batch is added with vector instructions. The
cosine of two sketches estimates that of the vectors, with a standard deviation of about (1 − cos²) / √width.

`top_absent_pairs` multiplies signatures tile by tile and keeps the best pairs so far; the largest array it holds is one
tile. `pair_products` then adds up the exact inner products of the few pairs that were found.

Cost of the search: 2 · fan_in · fan_out · width operations, in BLAS, counting only units whose signature is not zero.
"""

from math import gcd

import numpy as np
from numba import prange

from truesparse.kernels.jit import parallel, parallel_sums, serial
from truesparse.kernels.lanes import CHUNK, axpy, full, load, store, times, total, width_of
from truesparse.kernels.parts import inner
from truesparse.kernels.table import address, vector_at

_TILE_ROWS, _TILE_COLUMNS = 256, 2048
_ROOM, _MUCH_ROOM = 2**16, 2**18
_STRETCH = 64
_SAMPLED_BEST = 512
_BLOCK = 512  # pairs or units that one thread takes at a time


def add_to_sketch(arrays, units, shift, bucket, sign, sketch, sums):
    """Add a batch to the count sketch of some units, and to their sums.

        sketch[k, bucket[s]] += sign[s] · (a[units[k], s] − shift[k]),   sums[k] += Σ_s (a[units[k], s] − shift[k])

    Fastest where buckets follow each other. With a bucket for every sample and signs of one, the samples are copied.

    Parameters
    ----------
    arrays : list of (n, batch), with contiguous rows: the units are numbered through all of them
    units : (n_units,) int64, rising
    shift : (n_units,), of the dtype of the arrays
    bucket : (batch,) int64, in ``range(width)``
    sign : (batch,), of the dtype of the arrays
    sketch : (n_units, width), added to
    sums : (n_units,) float64, added to
    """
    arrays = [a if a.strides[1] == a.itemsize else np.ascontiguousarray(a) for a in arrays]
    table, first = [], 0
    for a in arrays:
        table.append((first, first + len(a), address(a), a.strides[0]))
        first += len(a)
    _add_to_sketch(np.array(table), units, shift, bucket, sign, sketch, sums, width_of(CHUNK))


@inner
def _add_unit(a, shift, stop_of, bucket, sign, flat, start, chunk):
    """Add one unit to its sketch, which begins at `start` of `flat`; return its sum."""
    one, summed = sign.dtype.type(1), sign.dtype.type(0)
    back, of_lanes = full(-shift, chunk), full(summed, chunk)
    s = np.uintp(0)  # unsigned: no sign to look at
    while s < stop_of.size:
        stop, to = np.uintp(stop_of[s]), np.uintp(start + bucket[s])
        while s + np.uintp(CHUNK) <= stop:
            values = axpy(one, load(a, s, chunk), back)
            of_lanes = axpy(one, values, of_lanes)
            store(flat, to, axpy(one, times(values, load(sign, s, chunk)), load(flat, to, chunk)))
            s, to = s + np.uintp(CHUNK), to + np.uintp(CHUNK)
        while s < stop:
            value = a[s] - shift
            flat[to] += sign[s] * value
            summed += value
            s, to = s + np.uintp(1), to + np.uintp(1)
    return summed + total(of_lanes)


@parallel
def _add_to_sketch(table, units, shift, bucket, sign, sketch, sums, chunk):
    """Do the same with a row of `table` for every array: its first unit, the one behind its last, address, stride."""
    n, width, flat = bucket.size, sketch.shape[1], sketch.reshape(-1)
    stop_of = np.empty(n, dtype=np.int64)  # where the run of consecutive buckets ends
    for s in range(n - 1, -1, -1):
        stop_of[s] = stop_of[s + 1] if s + 1 < n and bucket[s + 1] == bucket[s] + 1 else s + 1
    for block in prange((units.size + _BLOCK - 1) // _BLOCK):
        number = 0
        for k in range(block * _BLOCK, min((block + 1) * _BLOCK, units.size)):
            while units[k] >= table[number, 1]:
                number += 1
            a = vector_at(table[number, 2] + (units[k] - table[number, 0]) * table[number, 3], n, sign)
            sums[k] += np.float64(_add_unit(a, shift[k], stop_of, bucket, sign, flat, k * width, chunk))


@parallel_sums
def centre(signatures, shift, ones, normalised, lengths):
    """Subtract shift · ones from each signature, divide it by its length if `normalised`, and write its length.

    The length of a unit that is constant up to rounding, or subnormal, is 0, and so is then its signature.

    Parameters
    ----------
    signatures : (n_units, width), changed
    shift : (n_units,), of the dtype of the signatures
    ones : (width,), the signature of a unit that is 1 on every sample
    normalised : bool
    lengths : (n_units,) float64, overwritten
    """
    tiny = np.float64(np.finfo(signatures.dtype).tiny)  # its inverse is finite
    for unit in prange(signatures.shape[0]):
        signature, back = signatures[unit], shift[unit]
        before = squares = np.float64(0)
        for k in range(ones.size):
            before += np.float64(signature[k]) * np.float64(signature[k])
            signature[k] -= back * ones[k]
            squares += np.float64(signature[k]) * np.float64(signature[k])
        varies = squares > max(1e-9 * before, tiny * tiny)
        lengths[unit] = np.sqrt(squares) if varies else 0
        if normalised:
            factor = signatures.dtype.type(1 / np.sqrt(squares) if varies else 0)
            for k in range(ones.size):
                signature[k] *= factor


@parallel_sums
def pair_products(rows, columns, units, n, out):
    """out[p] += ⟨units[rows[p]], units[columns[p]]⟩ over the first n samples.

    Parameters
    ----------
    rows, columns : (n_pairs,) integers
    units : (n_units, ≥ n), C-contiguous
    out : (n_pairs,) float64, added to
    """
    for block in prange((rows.size + _BLOCK - 1) // _BLOCK):
        for pair in range(block * _BLOCK, min((block + 1) * _BLOCK, rows.size)):
            y, x = units[rows[pair]], units[columns[pair]]
            product = units.dtype.type(0)
            for s in range(n):
                product += y[s] * x[s]
            out[pair] += np.float64(product)


def top_absent_pairs(row_signatures, column_signatures, indices, indptr, k, *, varying=(None, None), by_key=False):
    """Return the absent pairs (row, column) with the largest |⟨row signature, column signature⟩|.

    Parameters
    ----------
    row_signatures, column_signatures : (fan_out, width), (fan_in, width)
    indices, indptr : the canonical CSR pattern, shape (fan_out, fan_in), whose pairs are left out
    k : int, positive: how many pairs to return at most
    varying : the rows and the columns, (n,) int64, sorted, whose signature is not zero; None where that is not known
    by_key : bool, whether to return only the keys, sorted, which takes less time and memory

    Returns
    -------
    keys : (≤ k,), row · fan_in + column; int64, best pair first and equal ones by key, or sorted integers if `by_key`
    scores : (≤ k,), in the same order, or None if `by_key`; pairs whose score is zero are never returned
    """
    fan_in = len(column_signatures)
    row_signatures, rows = _without_silent(row_signatures, varying[0])
    column_signatures, columns = _without_silent(column_signatures, varying[1])
    for n_pairs in (rows.size * columns.size, 0):
        best = BestPairs(k, indices, indptr, fan_in, row_signatures.dtype, n_pairs=n_pairs)
        best.search(row_signatures, rows, column_signatures, columns)
        if best.is_full() or not best.has_guessed:
            return (best.sorted_keys(), None) if by_key else best.in_order()


def _without_silent(signatures, units):
    """Return the signatures of the varying units, and these units. The others, often most of a layer, match nothing."""
    units = np.flatnonzero(signatures.any(axis=1)) if units is None else units
    return signatures if units.size == len(signatures) else signatures.take(units, axis=0), units


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
    n_pairs : int
        How many pairs `search` will score. If given, a floor is guessed from the first tile; if it was too high, fewer
        than k pairs are found and `has_guessed` is True.
    """

    def __init__(self, k, indices, indptr, fan_in, dtype, floor=0, *, n_pairs=0):
        self._k, self._indices, self._indptr, self._fan_in = k, indices, indptr, fan_in
        # Room behind the k best for newcomers: selecting again costs a pass over all that are held. If k is large, room
        # for k more would take too much memory.
        self._most = k + min(k, max(k // 4, _MUCH_ROOM))
        self._keys = np.empty(self._most + _ROOM, dtype=np.int32 if (indptr.size - 1) * fan_in < 2**31 else np.int64)
        self._scores = np.empty(self._keys.size, dtype=dtype)
        self._held, self._threshold = 0, np.dtype(dtype).type(floor)
        self._n_pairs, self.has_guessed = n_pairs, False
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
                np.matmul(x, y.T, out=products)
                if self._n_pairs:
                    self._guess(products)
                self.take(products, some_rows, some_columns)

    def _guess(self, products):
        """Raise the threshold to what some more than k of all pairs reach, judging by a part of one tile."""
        share = products.size / self._n_pairs
        # Present pairs may be among the best: they have been grown for that.
        n_wanted = share * ((1.25 if share == 1 else 2) * self._k + self._indices.size)
        step = max(1, int(n_wanted / _SAMPLED_BEST))
        while gcd(step, products.shape[1]) > 1:  # so that all columns are sampled
            step += 1
        scores = np.abs(products.reshape(-1)[::step])
        rank = int(n_wanted / step)
        if _SAMPLED_BEST // 4 <= rank < scores.size // 2:
            self._threshold = np.partition(scores, scores.size - rank)[scores.size - rank]
            self.has_guessed = True
        self._n_pairs = 0

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
            if self._held > self._most:
                self._keep_best()

    def _keep_best(self):
        """Move the k best of the held pairs to the front, ties by key; raise the threshold to the k-th best score."""
        k, keys, scores = self._k, self._keys[: self._held], self._scores[: self._held]
        self._held, self._threshold = k, np.partition(scores, scores.size - k)[scores.size - k]
        chosen, equal = scores > self._threshold, np.flatnonzero(scores == self._threshold)
        chosen[equal[np.argsort(keys[equal])[: k - np.count_nonzero(chosen)]]] = True
        n = 0
        for start in range(0, chosen.size, _ROOM):  # in parts, which take little memory
            part = slice(start, start + _ROOM)
            some = np.flatnonzero(chosen[part])
            to = slice(n, n + some.size)
            keys[to], scores[to] = keys[part][some], scores[part][some]
            n += some.size

    def is_full(self):
        """Whether k pairs have been found."""
        return self._held >= self._k

    def sorted_keys(self):
        """Return the keys of the k best pairs, sorted, int32 if all pairs' are; nothing else can be done afterwards."""
        if self._held > self._k:
            self._keep_best()
        del self._scores, self._tile
        keys = self._keys[: self._held]
        keys.sort()
        return keys

    def in_order(self, *, by_key=False):
        """Return keys and scores of the k best pairs, best first and equal ones by key, or all by key."""
        if self._held > self._k:
            self._keep_best()
        keys, scores = self._keys[: self._held], self._scores[: self._held]
        order = np.argsort(keys) if by_key else _order(keys, scores)
        return keys[order].astype(np.int64), scores[order]


@serial
def _collect(products, rows, columns, indices, indptr, fan_in, position, threshold, keys, scores, held):
    """Append the absent pairs of a tile that reach the threshold, from `position` on, until tile or room ends."""
    n_columns = products.shape[1]
    passing = np.empty(_STRETCH, dtype=np.int64)
    c = position % n_columns
    for r in range(position // n_columns, products.shape[0]):
        row, line = rows[r], products[r]
        slot, stop = indptr[row], indptr[row + 1]
        while c < n_columns:
            # Once the threshold has risen, most stretches hold nothing. Counting uses vector instructions.
            end = min(c + _STRETCH, n_columns)
            n_passing = 0
            for q in range(c, end):
                n_passing += abs(line[q]) >= threshold
            if n_passing > 0:
                n_passing = 0
                for q in range(c, end):  # without a branch, which would often be mispredicted
                    passing[n_passing] = q
                    n_passing += (abs(line[q]) >= threshold) & (line[q] != 0)
                for k in range(n_passing):
                    q = passing[k]
                    column = columns[q]
                    while slot < stop and indices[slot] < column:
                        slot += 1
                    if slot < stop and indices[slot] == column:
                        continue
                    if held == keys.size:
                        return held, r * n_columns + q
                    keys[held] = row * fan_in + column
                    scores[held] = abs(line[q])
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
