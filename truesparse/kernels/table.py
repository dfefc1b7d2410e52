"""What compiled code knows of the layers of a network: one row of integers for each.

A kernel that takes a whole network in one call cannot be handed a list of layers: numba would compile it anew for
every number of them, or spend longer on unpacking the list than a small network computes. So each layer is a row of a
table, which says where its arrays are:

| field | meaning |
|---|---|
| ``FAN_OUT``, ``FAN_IN``, ``NNZ`` | shape and number of weights |
| ``WEIGHTS``, ``BIASES`` | where the layer's weights and biases begin in the vector of parameters |
| ``INPUTS``, ``OUTPUTS`` | the first row of its inputs and of its outputs in the array of activations |
| ``INDICES``, ``INDPTR`` | addresses of the CSR pattern |
| ``ROWS_T``, ``INDPTR_T``, ``PERM_T`` | addresses of the transposed index; 0 where nothing needs it |
| ``CONSUMERS`` | address of the next layer's ``INDPTR_T``, which tells what units nothing reads; or 0 |
| ``ACTIVATION`` | what its outputs go through; kernels leave the derivative of `LEARNED` ones to others |

Whoever makes a table keeps the arrays alive that it points to.
"""

import ctypes

import numpy as np
from llvmlite import ir
from numba import carray, config, njit, types
from numba.extending import intrinsic

FAN_OUT, FAN_IN, NNZ, WEIGHTS, BIASES, INPUTS, OUTPUTS = range(7)
INDICES, INDPTR, ROWS_T, INDPTR_T, PERM_T, CONSUMERS, ACTIVATION = range(7, 14)
N_FIELDS = 14

PIECEWISE_LINEAR, TANH, LOGISTIC, LEARNED = range(4)

SMALL = 500  # weights and units of a layer that are too few for several threads


def address(array):
    """Where the numbers of a C-contiguous array lie."""
    return array.__array_interface__["data"][0]


@intrinsic
def _pointer(typing, number):
    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(number), codegen


@njit
def array_at(number, size, like):
    """The vector of `size` numbers at an address, of the dtype of the vector `like`."""
    return carray(_pointer(number), size, like.dtype)


if config.DISABLE_JIT:

    def array_at(number, size, like):
        """Return the same in Python, without an intrinsic."""
        if size == 0:
            return np.empty(0, dtype=like.dtype)
        return np.frombuffer((ctypes.c_char * int(size * like.dtype.itemsize)).from_address(int(number)), like.dtype)


@njit
def is_read(consumers, unit):
    """Whether a unit has outgoing connections; `consumers` is empty where that is not known."""
    return consumers.size == 0 or consumers[unit] < consumers[unit + 1]


@njit
def consumers_of(layer, index):
    """What `is_read` asks: the transposed ``indptr`` of the layer above, or nothing."""
    return array_at(layer[CONSUMERS], layer[FAN_OUT] + 1 if layer[CONSUMERS] else 0, index)


@njit
def first_row_of_part(indptr, part, n_parts):
    """The row with which a part begins, such that all parts hold about as many weights and rows together."""
    n_rows = indptr.size - 1
    goal = part * (np.int64(indptr[n_rows]) + n_rows) // n_parts
    low, high = 0, n_rows
    while low < high:
        middle = (low + high) // 2
        if indptr[middle] + middle < goal:
            low = middle + 1
        else:
            high = middle
    return low


def empty_table(n_layers):
    """A table of `n_layers` rows of zeros."""
    return np.zeros((n_layers, N_FIELDS), dtype=np.int64)
