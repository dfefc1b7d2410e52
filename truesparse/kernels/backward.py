"""The backward pass of sparse layers: the gradient of the stored weights only, and the errors of the units below.

    ∂L/∂W_l = δ_l a_(l−1)ᵀ at the stored pairs          a dense product, sampled at a pattern (SDDMM)
    ∂L/∂b_l = Σ_batch δ_l
    δ_(l−1) = (W_lᵀ δ_l) · factors · f′(z_(l−1))        gathered along the columns of W, through its transposed index

All arrays are those of `forward`, a row for each unit. The errors of a layer replace its activations as soon as nothing
needs these any more: a network trains in the memory of one number per unit and sample.

Cost: 4 · nnz · lanes operations, half of them for a first layer, whose inputs have no error.
"""

import numpy as np
from numba import prange

from truesparse.kernels.jit import parallel, serial
from truesparse.kernels.lanes import CHUNK, axpy, dot, dots, full, load, store, times, total, where_positive
from truesparse.kernels.table import (
    ACTIVATION,
    BIASES,
    FAN_IN,
    FAN_OUT,
    INDICES,
    INDPTR,
    INDPTR_T,
    INPUTS,
    NNZ,
    OUTPUTS,
    PERM_T,
    PIECEWISE_LINEAR,
    ROWS_T,
    TANH,
    WEIGHTS,
    array_at,
    consumers_of,
    first_row_of_part,
    is_read,
)  # fmt: skip

_SMALL = 500  # weights and units of a layer that are too few for several threads


@serial()
def _gradient_rows(layer, gradient, a, stride, index, width, tile, first, last):
    """The gradient of the weights and biases of some rows; what later tiles find is added."""
    column = tile * len(width) * CHUNK
    indptr = array_at(layer[INDPTR], layer[FAN_OUT] + 1, index)
    indices = array_at(layer[INDICES], layer[NNZ], index)
    consumers = consumers_of(layer, index)
    weights, biases = gradient[layer[WEIGHTS] :], gradient[layer[BIASES] :]
    x, delta = layer[INPUTS] * stride + column, layer[OUTPUTS] * stride + column
    eight = np.empty(8, dtype=gradient.dtype)
    for row in range(first, last):
        slot, end = np.intp(indptr[row]), np.intp(indptr[row + 1])
        if not is_read(consumers, row):
            weights[slot:end] = 0
            biases[row] = 0
            continue
        d = load(a, delta + row * stride, width)
        biases[row] = total(d) if tile == 0 else biases[row] + total(d)
        while slot + 8 <= end:
            if tile == 0:
                dots(weights, slot, d, a, x, indices, slot, stride)
            else:
                dots(eight, 0, d, a, x, indices, slot, stride)
                for k in range(8):
                    weights[slot + k] += eight[k]
            slot += 8
        while slot < end:
            g = dot(d, load(a, x + indices[slot] * stride, width))
            weights[slot] = g if tile == 0 else weights[slot] + g
            slot += 1


@serial()
def _times_smooth_derivative(d, f, activation, minus_one):
    """d · f′, from the activation's value f."""
    if activation == TANH:
        return axpy(minus_one, times(times(d, f), f), d)  # d · (1 − f²)
    d = times(d, f)
    return axpy(minus_one, times(d, f), d)  # d · f · (1 − f)


@serial()
def _error_rows(layer, below, slope, params, a, masks, factors, stride, index, width, column, first, last):
    """The errors of some units of the layer below, which replace their activations."""
    indptr_t = array_at(layer[INDPTR_T], layer[FAN_IN] + 1, index)
    rows_t = array_at(layer[ROWS_T], layer[NNZ], index)
    perm_t = array_at(layer[PERM_T], layer[NNZ], index)
    data = params[layer[WEIGHTS] :]
    delta, out = layer[OUTPUTS] * stride + column, layer[INPUTS] * stride + column
    drops, minus_one = factors.size > 0, a.dtype.type(-1)
    for unit in range(first, last):
        start, stop = indptr_t[unit], indptr_t[unit + 1]
        d = full(params.dtype.type(0), width)
        if start == stop:
            store(a, out + unit * stride, d)
            continue
        for entry in range(np.uintp(start), np.uintp(stop)):
            d = axpy(data[perm_t[entry]], load(a, delta + rows_t[entry] * stride, width), d)
        offset = out + unit * stride
        if drops:
            d = times(d, load(factors, offset, width))
        if below == PIECEWISE_LINEAR:
            d = where_positive(d, slope, masks, offset // CHUNK)
        else:
            # Errors of silenced units are zero by now, and all other factors are 1 / slope.
            f = times(load(a, offset, width), full(slope, width))
            d = _times_smooth_derivative(d, f, below, minus_one)
        store(a, offset, d)


@parallel()
def backward(
    table, slopes, first_layer, last_layer, params, gradient, a, masks, factors, stride, index, width, n_tiles, n_parts
):
    """Some layers from the upper to the lower: fills their gradient and turns activations into errors.

    Parameters
    ----------
    table : (n_layers, N_FIELDS) int64, see `table`
    slopes : (n_layers,): slopes of what the layers' outputs go through; for tanh and logistic, one over the
        factor of the units that are not silenced
    first_layer, last_layer : int, which layers: from `first_layer` up to but not including `last_layer`
    params, gradient : (n_params,)
    a : (n_rows · stride,), as `forward` left it, but with the errors of the upper layer in its rows
    masks, factors, stride, index, width, n_tiles, n_parts : as for `forward`
    """
    for tile in range(n_tiles):
        column = tile * len(width) * CHUNK
        for i in range(last_layer - 1, first_layer - 1, -1):
            layer = table[i]
            in_parts = n_parts > 1 and layer[NNZ] + layer[FAN_OUT] >= _SMALL
            if in_parts:
                indptr = array_at(layer[INDPTR], layer[FAN_OUT] + 1, index)
                for part in prange(n_parts):
                    first = first_row_of_part(indptr, part, n_parts)
                    last = first_row_of_part(indptr, part + 1, n_parts)
                    _gradient_rows(layer, gradient, a, stride, index, width, tile, first, last)
            else:
                _gradient_rows(layer, gradient, a, stride, index, width, tile, np.int64(0), layer[FAN_OUT])
            if i == 0:
                continue  # nothing asks for the errors of the features
            below, slope = table[i - 1, ACTIVATION], slopes[i - 1]
            if in_parts:
                indptr_t = array_at(layer[INDPTR_T], layer[FAN_IN] + 1, index)
                for part in prange(n_parts):
                    first = first_row_of_part(indptr_t, part, n_parts)
                    last = first_row_of_part(indptr_t, part + 1, n_parts)
                    _error_rows(
                        layer, below, slope, params, a, masks, factors, stride, index, width, column, first, last
                    )
            else:
                all_units = np.int64(0), layer[FAN_IN]
                _error_rows(layer, below, slope, params, a, masks, factors, stride, index, width, column, *all_units)


@serial()
def _spread_gradient(layer, gradient, a, stride, features, x, index, width, column, first, last):
    """What the features number `first` to `last` of a batch add to the gradient of their weights."""
    indptr_t = array_at(layer[INDPTR_T], layer[FAN_IN] + 1, index)
    rows_t = array_at(layer[ROWS_T], layer[NNZ], index)
    perm_t = array_at(layer[PERM_T], layer[NNZ], index)
    consumers = consumers_of(layer, index)
    weights = gradient[layer[WEIGHTS] :]
    delta = layer[OUTPUTS] * stride + column
    for k in range(first, last):
        values = load(x, k * stride + column, width)
        for entry in range(indptr_t[features[k]], indptr_t[features[k] + 1]):
            row = rows_t[entry]
            if is_read(consumers, row):
                weights[perm_t[entry]] += dot(load(a, delta + row * stride, width), values)


@parallel()
def backward_sparse_inputs(layer, gradient, a, stride, features, x, index, width, n_tiles, n_parts):
    """The gradient of one layer whose inputs are given as the features that are not zero in a batch.

    Parameters
    ----------
    layer : (N_FIELDS,) int64, a row of a table with a transposed index
    features, x : as for `forward_sparse_inputs`
    others : as for `backward`
    """
    consumers = consumers_of(layer, index)
    biases = gradient[layer[BIASES] : layer[BIASES] + layer[FAN_OUT]]
    gradient[layer[WEIGHTS] : layer[WEIGHTS] + layer[NNZ]] = 0
    biases[:] = 0
    for tile in range(n_tiles):
        column = tile * len(width) * CHUNK
        for row in range(biases.size):
            if is_read(consumers, row):
                biases[row] += total(load(a, (layer[OUTPUTS] + row) * stride + column, width))
        for part in prange(n_parts):
            first, last = part * features.size // n_parts, (part + 1) * features.size // n_parts
            _spread_gradient(layer, gradient, a, stride, features, x, index, width, column, first, last)


@serial()
def errors_of_products(layer, d, slope, a, masks, factors, stride, width, n_tiles):
    """a ← d · factors · f′(z) in the rows of a layer whose errors' products were made elsewhere.

    Parameters
    ----------
    layer : (N_FIELDS,) int64, a row of a table
    d : (fan_out · lanes · n_tiles,)
    slope : as one of `backward`'s
    others : as for `backward`
    """
    n_lanes, activation = len(width) * CHUNK, layer[ACTIVATION]
    for row in range(layer[FAN_OUT]):
        for tile in range(n_tiles):
            errors = load(d, (row * n_tiles + tile) * n_lanes, width)
            offset = (layer[OUTPUTS] + row) * stride + tile * n_lanes
            if factors.size > 0:
                errors = times(errors, load(factors, offset, width))
            if activation == PIECEWISE_LINEAR:
                errors = where_positive(errors, slope, masks, offset // CHUNK)
            else:
                f = times(load(a, offset, width), full(slope, width))
                errors = _times_smooth_derivative(errors, f, activation, a.dtype.type(-1))
            store(a, offset, errors)
