"""The backward pass of sparse layers: the gradient of the stored weights only, and the errors of the units below.

    ∂L/∂W_l = δ_l a_(l−1)ᵀ at the stored pairs          a dense product, sampled at a pattern (SDDMM)
    δ_(l−1) = dropout(W_lᵀ δ_l) · f′(z_(l−1))           gathered along the columns of W, through its transposed index
    ∂L/∂b_l = Σ_batch δ_l

Both products take the same rows of δ_l for the weights of an input unit, so they share one pass over these: each row is
read once, multiplied with the unit's activations for the gradient, and added up for its error. The error then takes
the place of the activations, which are not needed any more: one number per unit and sample is all that is held.

Units that are on no path to an output have no error, and the gradients of their weights are zero: the vector of the
gradient holds zeros there before, and nothing writes to them. All arrays are those of `forward`, a row for each unit.
Cost: 4 · nnz · lanes operations; half of them for a first layer, whose inputs have no error, and whose gradient is
gathered along its rows.
"""

import numpy as np
from numba import prange

from truesparse.kernels import table as fields
from truesparse.kernels.draws import where_kept
from truesparse.kernels.jit import parallel, serial
from truesparse.kernels.lanes import CHUNK, axpy, dot, dots, full, load, store, times, total, where_positive
from truesparse.kernels.parts import inner


@inner
def bias_gradient_part(layer, gradient, a, stride, width, column, adds, part, n_parts):
    """Compute ∂L/∂b of one part of the units whose errors come from the loss."""
    n_rows, biases = layer[fields.FAN_OUT], gradient[layer[fields.BIASES] :]
    for row in range(part * n_rows // n_parts, (part + 1) * n_rows // n_parts):
        g = total(load(a, (layer[fields.OUTPUTS] + row) * stride + column, width))
        biases[row] = biases[row] + g if adds else g


@inner
def _gradient_rows(layer, gradient, a, stride, index, width, column, adds, part, n_parts):
    """Compute ∂L/∂W of one part of a first layer's rows from the lanes from `column` on."""
    indices, indptr = fields.pattern_of(layer, index)
    units = fields.units_of(layer, index)
    low, high = fields.units_of_part(units, indptr, part, n_parts, True)
    weights = gradient[layer[fields.WEIGHTS] :]
    x, delta = layer[fields.INPUTS] * stride + column, layer[fields.OUTPUTS] * stride + column
    eight = np.empty(8, dtype=gradient.dtype)
    for k in range(low, high):
        row = np.intp(units[k])
        slot, end = np.intp(indptr[row]), np.intp(indptr[row + 1])
        d = load(a, delta + row * stride, width)
        while slot + 8 <= end:
            if adds:
                dots(eight, 0, d, a, x, indices, slot, stride)
                for n in range(8):
                    weights[slot + n] += eight[n]
            else:
                dots(weights, slot, d, a, x, indices, slot, stride)
            slot += 8
        while slot < end:
            g = dot(d, load(a, x + indices[slot] * stride, width))
            weights[slot] = weights[slot] + g if adds else g
            slot += 1


@inner
def _times_smooth_derivative(d, f, activation, minus_one):
    """Return d · f′ from the activation's value f; d itself for `LEARNED` activations."""
    if activation == fields.LEARNED:
        return d
    if activation == fields.TANH:
        return axpy(minus_one, times(times(d, f), f), d)  # d · (1 − f²)
    d = times(d, f)
    return axpy(minus_one, times(d, f), d)  # d · f · (1 − f)


@inner
def backward_part(
    table, slopes, i, params, gradient, a, masks, kept, factor, stride, skip, index, width, column, adds, part, n_parts
):
    """Compute ∂L/∂W of layer `i` for one part of its input units, their errors, and ∂L/∂b of the layer below."""
    if i == 0:
        return _gradient_rows(table[0], gradient, a, stride, index, width, column, adds, part, n_parts)
    layer, below, slope = table[i], table[i - 1], slopes[i - 1]
    entries_t, indptr_t = fields.transposed_of(layer, index)
    indptr, shift = fields.pattern_of(layer, index)[1], np.uintp(layer[fields.SHIFT])
    activation, minus_one = below[fields.ACTIVATION], a.dtype.type(-1)
    units = fields.units_of(below, index)
    skip = skip and activation != fields.LEARNED  # whoever takes its derivative takes that of all units
    first, last = fields.units_of_part(units, indptr_t, part, n_parts, skip)
    data = params[layer[fields.WEIGHTS] :]
    weights, biases = gradient[layer[fields.WEIGHTS] :], gradient[below[fields.BIASES] :]
    delta, inputs = layer[fields.OUTPUTS] * stride + column, layer[fields.INPUTS] * stride + column
    for k in range(first, last):
        unit = np.intp(units[k]) if skip else k
        offset = inputs + unit * stride
        x = load(a, offset, width)
        d = full(params.dtype.type(0), width)
        for entry in range(np.uintp(indptr_t[unit]), np.uintp(indptr_t[unit + 1])):
            row, slot = fields.row_and_slot(entries_t[entry], indptr, shift)
            d_row = load(a, delta + np.intp(row) * stride, width)
            g = dot(x, d_row)
            d = axpy(data[slot], d_row, d)
            weights[slot] = weights[slot] + g if adds else g
        # As a function, shared with `errors_of_products`, the rest of this loop would take twice as long.
        bits = (layer[fields.INPUTS] + unit) * len(width)
        if kept.size > 0:
            d = where_kept(d, factor, kept, bits)
        if activation == fields.PIECEWISE_LINEAR:
            d = where_positive(d, slope, masks, bits)
        else:  # errors of silenced units are zero by now, and all other activations were multiplied by 1 / slope
            d = _times_smooth_derivative(d, times(x, full(slope, width)), activation, minus_one)
        store(a, offset, d)
        biases[unit] = biases[unit] + total(d) if adds else total(d)


@parallel
def backward(
    table, slopes, first_layer, last_layer, params, gradient, a, masks, kept, factor, stride, skip, index, width,
    n_tiles, n_parts,
):  # fmt: skip
    """Fill the gradient of some layers, from the upper to the lower, and turn activations into errors.

    Parameters
    ----------
    slopes : (n_layers,): slopes of piecewise-linear activations of the layers' outputs; for tanh and logistic, the
        share of units that dropout keeps
    params, gradient : (n_params,); the gradient of the biases is filled for the units whose errors are made here, and
        for the outputs of the network; zero, and left so, for units that are on no path
    a : (n_rows · stride,), as `forward` left it, but with the errors of the upper layer in its rows
    factor : number, what dropout multiplies kept activations by
    skip : bool, whether the rows of units that are on no path may keep what they hold, instead of zero
    others : as for `forward`
    """
    for tile in range(n_tiles):
        column, adds = tile * len(width) * CHUNK, tile > 0
        signs, keeps = fields.of_tile(masks, tile, n_tiles), fields.of_tile(kept, tile, n_tiles)
        if last_layer == table.shape[0]:
            outputs = table[last_layer - 1]
            if n_parts == 1 or outputs[fields.FAN_OUT] < fields.SMALL:
                bias_gradient_part(outputs, gradient, a, stride, width, column, adds, 0, 1)
            else:
                for part in prange(n_parts):
                    bias_gradient_part(outputs, gradient, a, stride, width, column, adds, part, n_parts)
        for i in range(last_layer - 1, first_layer - 1, -1):
            layer = table[i]
            if n_parts == 1 or layer[fields.NNZ] + layer[fields.FAN_OUT] < fields.SMALL:
                backward_part(
                    table, slopes, i, params, gradient, a, signs, keeps, factor, stride, skip, index, width, column,
                    adds, 0, 1,
                )  # fmt: skip
                continue
            for part in prange(n_parts):
                backward_part(
                    table, slopes, i, params, gradient, a, signs, keeps, factor, stride, skip, index, width, column,
                    adds, part, n_parts,
                )  # fmt: skip


@inner
def _spread_gradient(layer, gradient, a, stride, features, x, index, width, column, first, last):
    """Add the share of some features of a batch, from the lanes from `column` on, to the gradient of their weights."""
    entries_t, indptr_t = fields.transposed_of(layer, index)
    indptr, shift = fields.pattern_of(layer, index)[1], np.uintp(layer[fields.SHIFT])
    on_path = fields.on_path_of(layer)
    weights = gradient[layer[fields.WEIGHTS] :]
    delta = layer[fields.OUTPUTS] * stride + column
    for k in range(first, last):
        values = load(x, k * stride + column, width)
        for entry in range(indptr_t[features[k]], indptr_t[features[k] + 1]):
            row, slot = fields.row_and_slot(entries_t[entry], indptr, shift)
            if on_path[row]:
                weights[slot] += dot(load(a, delta + np.intp(row) * stride, width), values)


@parallel
def backward_sparse_inputs(layer, gradient, a, stride, features, x, index, width, n_tiles, n_parts):
    """Compute the gradient of the weights of one layer from the features that are not zero in a batch.

    Parameters
    ----------
    layer, features, x : as for `forward_sparse_inputs`
    others : as for `backward`
    """
    gradient[layer[fields.WEIGHTS] : layer[fields.WEIGHTS] + layer[fields.NNZ]] = 0
    for tile in range(n_tiles):
        column = tile * len(width) * CHUNK
        for part in prange(n_parts):
            first, last = part * features.size // n_parts, (part + 1) * features.size // n_parts
            _spread_gradient(layer, gradient, a, stride, features, x, index, width, column, first, last)


@serial
def errors_of_products(layer, d, slope, gradient, a, masks, kept, factor, stride, width, n_tiles):
    """a ← dropout(d) · f′(z), and ∂L/∂b, for a layer whose errors' products d were made elsewhere.

    Parameters
    ----------
    layer : (N_FIELDS,) int64, a row of a table
    d : (fan_out · lanes · n_tiles,)
    slope, others : as for `backward`
    """
    n_lanes, activation = len(width) * CHUNK, layer[fields.ACTIVATION]
    biases = gradient[layer[fields.BIASES] :]
    for tile in range(n_tiles):
        signs, keeps = fields.of_tile(masks, tile, n_tiles), fields.of_tile(kept, tile, n_tiles)
        for row in range(layer[fields.FAN_OUT]):
            errors = load(d, (row * n_tiles + tile) * n_lanes, width)
            offset = (layer[fields.OUTPUTS] + row) * stride + tile * n_lanes
            bits = (layer[fields.OUTPUTS] + row) * len(width)
            if keeps.size > 0:
                errors = where_kept(errors, factor, keeps, bits)
            if activation == fields.PIECEWISE_LINEAR:
                errors = where_positive(errors, slope, signs, bits)
            else:
                f = times(load(a, offset, width), full(slope, width))
                errors = _times_smooth_derivative(errors, f, activation, a.dtype.type(-1))
            store(a, offset, errors)
            biases[row] = biases[row] + total(errors) if tile > 0 else total(errors)
