"""Choosing slots and pairs: the k smallest of many scores, and pairs that a pattern does not hold.

A pair (row, column) of a layer is written as one integer, its *key* = row · fan_in + column. The sorted keys of a
pattern are its canonical order, so a pair that is absent is found by merging, in O(nnz), without ever listing
all pairs.
"""

import numpy as np

from truesparse.kernels.jit import serial


def k_smallest(scores, k):
    """Mark the `k` smallest of `scores`; among equal scores the first ones are taken.

    Parameters
    ----------
    scores : (n,), floating, without NaN
    k : int, between 0 and n

    Returns
    -------
    (n,) bool, with exactly `k` entries True
    """
    chosen = np.zeros(scores.size, dtype=np.bool_)
    if k > 0:
        _mark_up_to(scores, np.partition(scores, k - 1)[k - 1], k, chosen)
    return chosen


@serial()
def _mark_up_to(scores, threshold, k, chosen):
    """Mark all scores below `threshold` (the k-th smallest) and as many equal ones as make k."""
    below = 0
    for i in range(scores.size):
        below += scores[i] < threshold
    ties = k - below
    for i in range(scores.size):
        if scores[i] < threshold:
            chosen[i] = True
        elif scores[i] == threshold and ties > 0:
            chosen[i] = True
            ties -= 1


@serial()
def nth_absent(ranks, keys):
    """The keys of the absent pairs with the given ranks, counted from 0 in increasing order of their keys.

    Parameters
    ----------
    ranks : (n,) int64, sorted
    keys : (nnz,) int64, sorted and unique, the pairs that are present

    Returns
    -------
    (n,) int64, sorted; unique where `ranks` are

    Notes
    -----
    ``keys[j] − j`` absent pairs come before the j-th present one, so the absent pair of rank r lies behind all
    present ones with ``keys[j] − j ≤ r``. One merge, O(nnz + n).
    """
    absent = np.empty(ranks.size, dtype=np.int64)
    before = 0
    for i in range(ranks.size):
        while before < keys.size and keys[before] - before <= ranks[i]:
            before += 1
        absent[i] = ranks[i] + before
    return absent
