"""Changes of a CSR pattern, each in one pass over the slots.

Keys are row · fan_in + column, int64. All index arrays of a pattern have one dtype.
"""

import numpy as np

from truesparse.kernels.jit import serial

FINE, TWICE, PRESENT = range(3)


@serial
def split_keys(keys, fan_in, indptr, indices):
    """Write the CSR pattern of sorted, unique keys.

    Parameters
    ----------
    keys, fan_in : (nnz,) int64 or int32; int
    indptr, indices : (n_rows + 1,), (nnz,), overwritten
    """
    n = 0
    indptr[0] = 0
    for row in range(indptr.size - 1):
        first = row * fan_in
        while n < keys.size and keys[n] < first + fan_in:
            indices[n] = keys[n] - first
            n += 1
        indptr[row + 1] = n


@serial
def without(indptr, indices, dropped, new_indptr, new_indices):
    """Write the pattern without the marked slots.

    Parameters
    ----------
    indptr, indices, dropped : CSR pattern; (nnz,) bool
    new_indptr, new_indices : (n_rows + 1,), (number of slots not dropped, and one more), overwritten
    """
    n = 0
    new_indptr[0] = 0
    for row in range(indptr.size - 1):
        for slot in range(indptr[row], indptr[row + 1]):
            new_indices[n] = indices[slot]  # overwritten by the next one if it was dropped
            n += not dropped[slot]
        new_indptr[row + 1] = n


@serial
def keys_of(indptr, indices, chosen, fan_in, keys):
    """Write the keys of the chosen slots, (nnz,) bool, in their order."""
    n = 0
    for row in range(indptr.size - 1):
        for slot in range(indptr[row], indptr[row + 1]):
            if chosen[slot]:
                keys[n] = row * fan_in + np.int64(indices[slot])
                n += 1


@serial
def clash(indptr, indices, fan_in, keys):
    """Return whether sorted keys can be added to a pattern: `FINE`, or one occurs `TWICE` or is `PRESENT`."""
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


@serial
def replace(indptr, indices, dropped, fan_in, grown_keys, new_indptr, new_indices, source):
    """Write the pattern after slots have been dropped and pairs grown, and the old slot of each new one.

    Parameters
    ----------
    indptr, indices, dropped, fan_in : CSR pattern; (nnz,) bool; int
    grown_keys : (n,) int64, sorted, distinct, not those of slots that are kept; a dropped pair that is grown again
        keeps its slot
    new_indptr, new_indices, source : overwritten; source is −1 where a pair is new
    """
    n, grown = 0, 0
    new_indptr[0] = 0
    for row in range(indptr.size - 1):
        slot, stop = indptr[row], indptr[row + 1]
        while True:
            while slot < stop and dropped[slot]:
                # A dropped pair may be grown again, after the grown pairs before it.
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


@serial
def carry(values, source, out):
    """out = values[source], zero where `source` is negative; all (nnz,)."""
    for slot in range(source.size):
        value = values[max(source[slot], 0)]
        out[slot] = value if source[slot] >= 0 else values.dtype.type(0)  # selected, not branched to
