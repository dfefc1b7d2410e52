"""Layer table for the kernels: one row of integers per layer.

A kernel that takes a whole network in one call cannot take a list of layers: numba would compile it anew for every
length, or spend longer on unpacking the list than a small network computes. So a row of a table says where the arrays
of a layer are. Whoever makes a table keeps the arrays alive that it points to.

Below, ``index`` is a vector of the dtype of the index arrays; it may be empty.
"""

import numpy as np
from llvmlite import ir
from numba import carray, config, types
from numba.extending import intrinsic

from truesparse.kernels.parts import inner

FAN_OUT, FAN_IN, NNZ = 0, 1, 2  # shape and number of weights
WEIGHTS, BIASES = 3, 4  # where the layer's weights and biases begin in the vector of parameters
INPUTS, OUTPUTS = 5, 6  # the first row of its inputs and of its outputs in the array of activations
INDICES, INDPTR = 7, 8  # addresses of the CSR pattern
ENTRIES_T, INDPTR_T = 9, 10  # addresses of the transposed index; 0 where nothing needs it
SHIFT = 11  # how its entries are written, see `truesparse.kernels.paths.transpose`
ON_PATH, UNITS, N_UNITS = 12, 13, 14  # addresses of `on_path_of` and `units_of`, and the size of the latter
ACTIVATION = 15  # one of the kinds below
N_FIELDS = 16

PIECEWISE_LINEAR, TANH, LOGISTIC, LEARNED, OUTPUT = range(5)  # kernels leave the derivative of learned ones to others

SMALL = 500  # weights and units of a layer that are too few for several threads


def empty_table(n_layers):
    """Return a table of `n_layers` rows of zeros."""
    return np.zeros((n_layers, N_FIELDS), dtype=np.int64)


def address(array):
    """Return where the numbers of a C-contiguous array lie."""
    return array.__array_interface__["data"][0]


@intrinsic
def _pointer(typing, number):
    return types.voidptr(number), lambda context, b, _, args: b.inttoptr(args[0], ir.IntType(8).as_pointer())


def _compiled_view(number, size, like):
    """Return the vector of `size` numbers at an address, of the dtype of the vector `like`."""
    return carray(_pointer(number), size, like.dtype)


def _python_view(number, size, like):
    kind = np.ctypeslib.as_ctypes_type(like.dtype)
    return np.ctypeslib.as_array((kind * int(size)).from_address(int(number)))


_view = _python_view if config.DISABLE_JIT else inner(_compiled_view)
vector_at = _view  # for the kernels of other files


@inner
def pattern_of(layer, index):
    """Return ``indices, indptr`` of a layer."""
    return _view(layer[INDICES], layer[NNZ], index), _view(layer[INDPTR], layer[FAN_OUT] + 1, index)


@inner
def transposed_of(layer, index):
    """Return ``entries_t, indptr_t``: the transposed index of a layer, without rows that are on no path."""
    indptr_t = _view(layer[INDPTR_T], layer[FAN_IN] + 1, index)
    return _view(layer[ENTRIES_T], indptr_t[-1], index), indptr_t


@inner
def row_and_slot(entry, indptr, shift):
    """Return the row and the slot of an entry of a transposed index; `shift` is unsigned."""
    entry = np.uintp(entry)
    row = entry >> shift
    return row, np.uintp(indptr[row]) + (entry & ((np.uintp(1) << shift) - np.uintp(1)))


@inner
def on_path_of(layer):
    """Return (fan_out,) uint8: 1 for the units from which a path leads to an output."""
    return _view(layer[ON_PATH], layer[FAN_OUT], np.empty(0, dtype=np.uint8))


@inner
def units_of(layer, index):
    """Return the units from which a path leads to an output, in increasing order."""
    return _view(layer[UNITS], layer[N_UNITS], index)


@inner
def rows_of_part(indptr, part, n_parts):
    """Return the first row of a part and the one behind its last."""
    return _first_row(indptr, part, n_parts), _first_row(indptr, part + 1, n_parts)


@inner
def of_tile(bits, tile, n_tiles):
    """Return the part of a vector of bits, as kernels keep them, that belongs to a tile."""
    size = bits.size // n_tiles
    return bits[tile * size : (tile + 1) * size]


@inner
def units_of_part(units, indptr, part, n_parts, skip):
    """Return the range of a part's units: of places in `units` if the others are skipped, else of the units."""
    first, last = rows_of_part(indptr, part, n_parts)
    if skip:
        return _place(units, first), _place(units, last)
    return first, last


@inner
def _place(units, first):
    """Return the place of the first unit that is not below `first`. NumPy's ``searchsorted`` takes long to compile."""
    low, high = 0, units.size
    while low < high:
        middle = (low + high) // 2
        if units[middle] < first:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def _first_row(indptr, part, n_parts):
    """Return the row with which a part begins; all parts hold about as many weights and rows together."""
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
