"""The backward pass of sparse layers: the gradient of the stored weights only, and the errors of the units below.

    ∂L/∂W_l = δ_l a_(l−1)ᵀ at the stored pairs          a dense product, sampled at a pattern (SDDMM)
    δ_(l−1) = (W_lᵀ δ_l) · factors · f′(z_(l−1))        gathered along the columns of W, through its transposed index
    ∂L/∂b_l = Σ_batch δ_l

Both products take the same rows of δ_l for the weights of an input unit, so they share one pass over these: each row is
read once, multiplied with the unit's activations for the gradient, and added up for its error. The error then takes
the place of the activations, which nothing needs any more: a network trains in the memory of one number per
unit and sample.

All arrays are those of `forward`, a row for each unit. Cost: 4 · nnz · lanes operations; half of them for a first
layer, whose inputs have no error, and whose gradient is gathered along its rows.
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
    LEARNED,
    NNZ,
    OUTPUTS,
    PERM_T,
    PIECEWISE_LINEAR,
    ROWS_T,
    SMALL,
    TANH,
    WEIGHTS,
    array_at,
    consumers_of,
    first_row_of_part,
    is_read,
)  # fmt: skip


@serial()
def _bias_gradient(layer, gradient, a, stride, width, column, adds, first, last):
    """∂L/∂b of some units whose errors come from the loss."""
    biases = gradient[layer[BIASES] :]
    for row in range(first, last):
        g = total(load(a, (layer[OUTPUTS] + row) * stride + column, width))
        biases[row] = biases[row] + g if adds else g


@serial()
def _gradient_rows(layer, gradient, a, stride, index, width, column, adds, first, last):
    """∂L/∂W of some rows of a first layer, from the lanes from `column` on; added to what is there if `adds`."""
    indptr = array_at(layer[INDPTR], layer[FAN_OUT] + 1, index)
    indices = array_at(layer[INDICES], layer[NNZ], index)
    consumers = consumers_of(layer, index)
    weights = gradient[layer[WEIGHTS] :]
    x, delta = layer[INPUTS] * stride + column, layer[OUTPUTS] * stride + column
    eight = np.empty(8, dtype=gradient.dtype)
    for row in range(first, last):
        slot, end = np.intp(indptr[row]), np.intp(indptr[row + 1])
        if not is_read(consumers, row):
            weights[slot:end] = 0
            continue
        d = load(a, delta + row * stride, width)
        while slot + 8 <= end:
            if adds:
                dots(eight, 0, d, a, x, indices, slot, stride)
                for k in range(8):
                    weights[slot + k] += eight[k]
            else:
                dots(weights, slot, d, a, x, indices, slot, stride)
            slot += 8
        while slot < end:
            g = dot(d, load(a, x + indices[slot] * stride, width))
            weights[slot] = weights[slot] + g if adds else g
            slot += 1


@serial()
def _times_smooth_derivative(d, f, activation, minus_one):
    """d · f′, from the activation's value f; d itself where the derivative is left to others."""
    if activation == LEARNED:
        return d
    if activation == TANH:
        return axpy(minus_one, times(times(d, f), f), d)  # d · (1 − f²)
    d = times(d, f)
    return axpy(minus_one, times(d, f), d)  # d · f · (1 − f)


@serial()
def _backward_units(
    layer, below, slope, params, gradient, a, masks, factors, stride, index, width, column, adds, first, last
):
    """Some input units of a layer: ∂L/∂W of their weights, their errors, and with these ∂L/∂b of the layer below."""
    indptr_t = array_at(layer[INDPTR_T], layer[FAN_IN] + 1, index)
    rows_t = array_at(layer[ROWS_T], layer[NNZ], index)
    perm_t = array_at(layer[PERM_T], layer[NNZ], index)
    consumers = consumers_of(layer, index)
    data, weights, biases = params[layer[WEIGHTS] :], gradient[layer[WEIGHTS] :], gradient[below[BIASES] :]
    delta, inputs = layer[OUTPUTS] * stride + column, layer[INPUTS] * stride + column
    activation, drops, minus_one = below[ACTIVATION], factors.size > 0, a.dtype.type(-1)
    for unit in range(first, last):
        offset = inputs + unit * stride
        x = load(a, offset, width)
        d = full(params.dtype.type(0), width)
        for entry in range(np.uintp(indptr_t[unit]), np.uintp(indptr_t[unit + 1])):
            row, slot = rows_t[entry], perm_t[entry]
            g = gradient.dtype.type(0)
            if is_read(consumers, row):
                d_row = load(a, delta + row * stride, width)
                g = dot(x, d_row)
                d = axpy(data[slot], d_row, d)
            weights[slot] = weights[slot] + g if adds else g
        if drops:
            d = times(d, load(factors, offset, width))
        if activation == PIECEWISE_LINEAR:
            d = where_positive(d, slope, masks, offset // CHUNK)
        else:
            # Errors of silenced units are zero by now, and all other factors are 1 / slope.
            d = _times_smooth_derivative(d, times(x, full(slope, width)), activation, minus_one)
        store(a, offset, d)
        biases[unit] = biases[unit] + total(d) if adds else total(d)


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
    params, gradient : (n_params,); the gradient of the biases is filled for the units whose errors are made here, and
        for the outputs of the network
    a : (n_rows · stride,), as `forward` left it, but with the errors of the upper layer in its rows
    masks, factors, stride, index, width, n_tiles, n_parts : as for `forward`
    """
    for tile in range(n_tiles):
        column, adds = tile * len(width) * CHUNK, tile > 0
        if last_layer == table.shape[0]:
            outputs = table[last_layer - 1]
            n_outputs = outputs[FAN_OUT]
            if n_parts == 1 or n_outputs < SMALL:
                _bias_gradient(outputs, gradient, a, stride, width, column, adds, np.int64(0), n_outputs)
            else:
                for part in prange(n_parts):
                    first, last = part * n_outputs // n_parts, (part + 1) * n_outputs // n_parts
                    _bias_gradient(outputs, gradient, a, stride, width, column, adds, first, last)
        for i in range(last_layer - 1, first_layer - 1, -1):
            layer = table[i]
            n = n_parts if layer[NNZ] + layer[FAN_OUT] >= SMALL else 1
            if i == 0:
                if n == 1:
                    all_rows = np.int64(0), layer[FAN_OUT]
                    _gradient_rows(layer, gradient, a, stride, index, width, column, adds, *all_rows)
                    continue
                indptr = array_at(layer[INDPTR], layer[FAN_OUT] + 1, index)
                for part in prange(n):
                    first, last = first_row_of_part(indptr, part, n), first_row_of_part(indptr, part + 1, n)
                    _gradient_rows(layer, gradient, a, stride, index, width, column, adds, first, last)
                continue
            below, slope = table[i - 1], slopes[i - 1]
            if n == 1:
                all_units = np.int64(0), layer[FAN_IN]
                _backward_units(
                    layer, below, slope, params, gradient, a, masks, factors, stride, index, width, column, adds,
                    *all_units,
                )  # fmt: skip
                continue
            indptr_t = array_at(layer[INDPTR_T], layer[FAN_IN] + 1, index)
            for part in prange(n):
                first, last = first_row_of_part(indptr_t, part, n), first_row_of_part(indptr_t, part + 1, n)
                _backward_units(
                    layer, below, slope, params, gradient, a, masks, factors, stride, index, width, column, adds,
                    first, last,
                )  # fmt: skip


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
    """The gradient of the weights of one layer whose inputs are given as the features that are not zero in a batch.

    Parameters
    ----------
    layer : (N_FIELDS,) int64, a row of a table with a transposed index
    features, x : as for `forward_sparse_inputs`
    others : as for `backward`
    """
    gradient[layer[WEIGHTS] : layer[WEIGHTS] + layer[NNZ]] = 0
    for tile in range(n_tiles):
        column = tile * len(width) * CHUNK
        for part in prange(n_parts):
            first, last = part * features.size // n_parts, (part + 1) * features.size // n_parts
            _spread_gradient(layer, gradient, a, stride, features, x, index, width, column, first, last)


@serial()
def errors_of_products(layer, d, slope, gradient, a, masks, factors, stride, width, n_tiles):
    """a ← d · factors · f′(z), and ∂L/∂b, for a layer whose errors' products d were made elsewhere.

    Parameters
    ----------
    layer : (N_FIELDS,) int64, a row of a table
    d : (fan_out · lanes · n_tiles,)
    slope : as one of `backward`'s
    others : as for `backward`
    """
    n_lanes, activation = len(width) * CHUNK, layer[ACTIVATION]
    biases = gradient[layer[BIASES] :]
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
            biases[row] = biases[row] + total(errors) if tile > 0 else total(errors)
