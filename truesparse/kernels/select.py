"""Selection of slots and pairs: the k smallest scores, and absent pairs by rank.

A pair (row, column) of a layer is written as one integer, its *key* = row · fan_in + column. The sorted keys of a
pattern are its canonical order, so an absent pair is found by merging, in O(nnz), without a list of all pairs.
"""

import numpy as np

from truesparse.kernels.jit import serial


def k_smallest(scores, k):
    """Return a mask, (n,) bool, of the `k` smallest scores, the first ones among equals.

    Parameters
    ----------
    scores, k : (n,), floating, without NaN; int, between 0 and n
    """
    if k == 0:
        return np.zeros(scores.size, dtype=bool)
    threshold = np.partition(scores, k - 1)[k - 1]
    chosen = scores < threshold
    ties = np.flatnonzero(scores == threshold)
    chosen[ties[: k - np.count_nonzero(chosen)]] = True
    return chosen


@serial
def nth_absent(ranks, keys):
    """Return the keys, (n,) int64, of the absent pairs with the given ranks in the order of keys, counted from 0.

    ``keys[j] − j`` absent pairs come before the j-th present one, so the absent pair of rank r lies behind all
    present ones with ``keys[j] − j ≤ r``. One merge, O(nnz + n).

    Parameters
    ----------
    ranks, keys : (n,) int64, sorted; (nnz,) int64, sorted and unique, the pairs that are present
    """
    absent = np.empty(ranks.size, dtype=np.int64)
    before = 0
    for i in range(ranks.size):
        while before < keys.size and keys[before] - before <= ranks[i]:
            before += 1
        absent[i] = ranks[i] + before
    return absent
