"""Units from which a path leads to an output, and the transposed index of their weights.

A unit that no output depends on has no influence on the loss: its errors and the gradients of its weights are zero.
After updates that grow connections between similar units, most hidden units are of this kind. Both passes leave them
out: the forward pass goes through the other units only, and the backward pass through an index without their weights.
"""

import numpy as np

from truesparse.kernels.jit import serial


@serial
def mark_inputs(indptr, indices, on_path, inputs_on_path):
    """Set ``inputs_on_path[i] = 1`` for every input i of a unit that is on a path.

    Parameters
    ----------
    indptr, indices : CSR pattern (fan_out, fan_in)
    on_path, inputs_on_path : (fan_out,), (fan_in,) uint8; the latter holds zeros before
    """
    for row in range(indptr.size - 1):
        if on_path[row]:
            for slot in range(indptr[row], indptr[row + 1]):
                inputs_on_path[indices[slot]] = 1


@serial
def transpose(indptr, indices, units, shift, indptr_t, entries_t):
    """Write the transposed index of some rows of a pattern: by columns, where each entry is.

        entries_t = row · 2^shift + slot − indptr[row]

    One number for the row and the slot takes half the memory of two, and the entries of a column rise.

    Parameters
    ----------
    indptr, indices : CSR pattern (fan_out, fan_in)
    units : (n,), the rows, increasing
    shift : int; no row has more than 2^shift entries, and the dtype of the pattern holds fan_out · 2^shift − 1
    indptr_t, entries_t : (fan_in + 1,), (number of entries,), of the dtype of the pattern; overwritten
    """
    indptr_t[:] = 0
    for row in units:
        for slot in range(indptr[row], indptr[row + 1]):
            indptr_t[indices[slot] + 1] += 1
    for column in range(indptr_t.size - 1):
        indptr_t[column + 1] += indptr_t[column]
    # While entries are placed, indptr_t[column] is where the next one goes; afterwards, the end of the column.
    for row in units:
        for slot in range(indptr[row], indptr[row + 1]):
            entry = indptr_t[indices[slot]]
            entries_t[entry] = (np.int64(row) << shift) + (slot - indptr[row])
            indptr_t[indices[slot]] = entry + 1
    for column in range(indptr_t.size - 1, 0, -1):
        indptr_t[column] = indptr_t[column - 1]
    indptr_t[0] = 0
