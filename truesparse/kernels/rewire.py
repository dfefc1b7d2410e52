"""From one CSR pattern to the next, each in one pass over the slots.

Keys are row · fan_in + column. All index arrays of a pattern have one dtype; keys are int64.
"""

import numpy as np

from truesparse.kernels.jit import serial

FINE, TWICE, PRESENT = range(3)


@serial()
def without(indptr, indices, dropped, new_indptr, new_indices):
    """The pattern that is left when the marked slots are dropped.

    Parameters
    ----------
    indptr, indices : CSR pattern
    dropped : (nnz,) bool
    new_indptr : (n_rows + 1,), overwritten
    new_indices : (number of slots not dropped, and one more), overwritten
    """
    n = 0
    new_indptr[0] = 0
    for row in range(indptr.size - 1):
        for slot in range(indptr[row], indptr[row + 1]):
            new_indices[n] = indices[slot]  # overwritten by the next one if it was dropped
            n += not dropped[slot]
        new_indptr[row + 1] = n


@serial()
def keys_of(indptr, indices, chosen, fan_in, keys):
    """keys = those of the chosen slots, (nnz,) bool, in their order."""
    n = 0
    for row in range(indptr.size - 1):
        for slot in range(indptr[row], indptr[row + 1]):
            if chosen[slot]:
                keys[n] = row * fan_in + np.int64(indices[slot])
                n += 1


@serial()
def clash(indptr, indices, fan_in, keys):
    """Whether sorted keys can be added to a pattern: `FINE`, or one of them occurs `TWICE` or is `PRESENT`."""
    n = 0
    for row in range(indptr.size - 1):
        slot = indptr[row]
        while n < keys.size and keys[n] < (row + 1) * fan_in:
            if n > 0 and keys[n] == keys[n - 1]:
                return TWICE
            column = keys[n] - row * fan_in
            while slot < indptr[row + 1] and indices[slot] < column:
                slot += 1
            if slot < indptr[row + 1] and indices[slot] == column:
                return PRESENT
            n += 1
    return FINE


@serial()
def replace(indptr, indices, dropped, fan_in, grown_keys, new_indptr, new_indices, source):
    """The pattern after some slots have been dropped and pairs grown, and the old slot of each new one.

    Parameters
    ----------
    indptr, indices : CSR pattern
    dropped : (nnz,) bool
    fan_in : int
    grown_keys : (n,) int64, sorted, distinct, not those of slots that are kept; a pair that is grown and was dropped
        keeps its slot
    new_indptr, new_indices : overwritten
    source : (nnz of the new pattern,), overwritten; −1 where a pair is new
    """
    n, grown = 0, 0
    new_indptr[0] = 0
    for row in range(indptr.size - 1):
        slot, stop = indptr[row], indptr[row + 1]
        while True:
            while slot < stop and dropped[slot]:
                # A dropped pair that is next among the grown ones returns; others before it come first.
                key = row * fan_in + np.int64(indices[slot])
                if grown < grown_keys.size and grown_keys[grown] <= key:
                    break
                slot += 1
            grows = grown < grown_keys.size and grown_keys[grown] < (row + 1) * fan_in
            if not grows and slot == stop:
                break
            column = grown_keys[grown] - row * fan_in if grows else fan_in
            if slot < stop and indices[slot] <= column:
                new_indices[n], source[n] = indices[slot], slot
                grown += indices[slot] == column
                slot += 1
            else:
                new_indices[n], source[n] = column, -1
                grown += 1
            n += 1
        new_indptr[row + 1] = n


@serial()
def carry(values, source, out):
    """out = the values at `source`, zero where it is negative; all (nnz,)."""
    for slot in range(source.size):
        value = values[max(source[slot], 0)]
        out[slot] = value if source[slot] >= 0 else values.dtype.type(0)  # selected, not branched to
