"""The forward pass of sparse layers: products of a sparse matrix with a batch of activations (SpMM).

    a_l = dropout(f(W_l a_(l−1) + b_l))

Weights are CSR of shape ``(fan_out, fan_in)``. All activations lie in one array ``a`` of shape (rows, stride): first
the features, then the units of one layer after another; a row is a unit, a column a sample. A stored weight is one
scaled addition of a row to another, and the sum over a unit's weights stays in registers until it has gone through the
activation (see `lanes`). Every output row has one writer, which gathers what it needs.

The sign of each sum is kept as one bit in ``masks``. The backward pass reads the derivative of a piecewise-linear
activation from it, so that errors can take the place of activations, and slopes may be negative. What dropout keeps is
one bit in ``kept`` (see `dropout`).

The first layer can take its inputs as the rows that are not zero in a batch: `forward_sparse_inputs` spreads each of
them along its column of W, in the order in which the other kernel would have gathered them.

Cost: 2 · nnz · lanes operations; with sparse inputs, 2 · lanes for every connection of a feature that is not zero.
"""

import numpy as np
from numba import prange

from truesparse.kernels import table as fields
from truesparse.kernels.draws import draw, where_kept
from truesparse.kernels.jit import parallel, serial
from truesparse.kernels.lanes import CHUNK, axpy, full, load, positive, store, where_positive
from truesparse.kernels.parts import inner


@inner
def _draw_rows(layer, kept, dropout, units, skip, width, column, first, last):
    """Draw the bits of dropout for some units; in a loop of its own, they do not take registers from the sums."""
    key, threshold, _ = dropout
    for k in range(first, last):
        row = layer[fields.OUTPUTS] + (np.intp(units[k]) if skip else k)
        draw(key, row, column, threshold, kept, row * len(width), width)


@inner
def _activated(z, layer, slope, masks, kept, factor, bits):
    """Return dropout(f(z)) and write the signs of z; smooth activations are left to others."""
    if layer[fields.ACTIVATION] != fields.PIECEWISE_LINEAR:
        return z
    positive(z, masks, bits)
    z = where_positive(z, slope, masks, bits)
    return where_kept(z, factor, kept, bits) if kept.size > 0 else z


@inner
def forward_part(layer, slope, params, a, masks, kept, dropout, stride, skip, index, width, column, part, n_parts):
    """Compute one part of a layer's rows, over the lanes from `column` on; arguments as for `forward`."""
    indices, indptr = fields.pattern_of(layer, index)
    units = fields.units_of(layer, index)
    first, last = fields.units_of_part(units, indptr, part, n_parts, skip)
    data, bias = params[layer[fields.WEIGHTS] :], params[layer[fields.BIASES] :]
    x, out = layer[fields.INPUTS] * stride + column, layer[fields.OUTPUTS] * stride + column
    if kept.size > 0 and layer[fields.ACTIVATION] == fields.PIECEWISE_LINEAR:
        _draw_rows(layer, kept, dropout, units, skip, width, column, first, last)
    for k in range(first, last):
        row = np.intp(units[k]) if skip else k
        z = full(bias[row], width)
        for slot in range(np.uintp(indptr[row]), np.uintp(indptr[row + 1])):  # unsigned: no sign to look at
            z = axpy(data[slot], load(a, x + indices[slot] * stride, width), z)
        bits = (layer[fields.OUTPUTS] + row) * len(width)
        store(a, out + row * stride, _activated(z, layer, slope, masks, kept, dropout[2], bits))


@parallel
def forward(
    table, slopes, first_layer, last_layer, params, a, masks, kept, dropout, stride, skip, index, width, n_tiles,
    n_parts,
):  # fmt: skip
    """Compute some layers, one after another; overwrite their rows of `a`, `masks` and `kept`.

    Parameters
    ----------
    table : (n_layers, N_FIELDS) int64, see `table`
    slopes : (n_layers,), of the dtype of `params`: f(z) = z where z > 0, else slope · z
    first_layer, last_layer : int, which layers: from `first_layer` up to but not including `last_layer`
    params : (n_params,)
    a : (n_rows · stride,); the inputs of the first layer are there already
    masks, kept : (n_tiles · n_units · lanes / 16,) uint16, one bit per activation, tile by tile, so that no two threads
        write to one cache line; `kept` is of size 0 without dropout
    dropout : key, threshold, factor as `dropout` explains them
    stride : int, numbers from one row to the next, a multiple of 16
    skip : bool, whether units that are on no path to an output may keep what their rows held before
    index : (0,) of the dtype of the index arrays
    width : tuple, see `lanes`
    n_tiles : int, how many times `width` the samples take; at most stride / lanes
    n_parts : int, how many threads share a layer
    """
    for tile in range(n_tiles):
        column = tile * len(width) * CHUNK
        signs, keeps = fields.of_tile(masks, tile, n_tiles), fields.of_tile(kept, tile, n_tiles)
        for i in range(first_layer, last_layer):
            layer, slope = table[i], slopes[i]
            if n_parts == 1 or layer[fields.NNZ] + layer[fields.FAN_OUT] < fields.SMALL:
                forward_part(layer, slope, params, a, signs, keeps, dropout, stride, skip, index, width, column, 0, 1)
                continue
            for part in prange(n_parts):
                forward_part(
                    layer, slope, params, a, signs, keeps, dropout, stride, skip, index, width, column, part, n_parts
                )


@inner
def _activate_rows(layer, slope, a, masks, kept, dropout, stride, index, width, column, first, last):
    """z ← dropout(f(z)) for some rows of a layer with a piecewise-linear activation."""
    if layer[fields.ACTIVATION] != fields.PIECEWISE_LINEAR:
        return
    if kept.size > 0:
        _draw_rows(layer, kept, dropout, index, False, width, column, first, last)
    for row in range(first, last):
        offset, bits = (layer[fields.OUTPUTS] + row) * stride + column, (layer[fields.OUTPUTS] + row) * len(width)
        z = load(a, offset, width)
        store(a, offset, _activated(z, layer, slope, masks, kept, dropout[2], bits))


@inner
def _spread_rows(
    layer, slope, params, a, masks, kept, dropout, stride, features, x, index, width, column, part, n_parts
):
    """Compute one part of the first layer's rows from the features that are not zero."""
    indptr, shift = fields.pattern_of(layer, index)[1], np.uintp(layer[fields.SHIFT])
    first, last = fields.rows_of_part(indptr, part, n_parts)
    entries_t, indptr_t = fields.transposed_of(layer, index)
    data, bias = params[layer[fields.WEIGHTS] :], params[layer[fields.BIASES] :]
    out = layer[fields.OUTPUTS] * stride + column
    for row in range(first, last):
        store(a, out + row * stride, full(bias[row], width))
    for k in range(features.size):
        start, stop = indptr_t[features[k]], indptr_t[features[k] + 1]
        values = load(x, k * stride + column, width)
        for entry in range(start + np.searchsorted(entries_t[start:stop], first << shift), stop):
            row, slot = fields.row_and_slot(entries_t[entry], indptr, shift)
            if row >= last:
                break
            offset = out + np.intp(row) * stride
            store(a, offset, axpy(data[slot], values, load(a, offset, width)))
    _activate_rows(layer, slope, a, masks, kept, dropout, stride, index, width, column, first, last)


@parallel
def forward_sparse_inputs(
    layer, slope, params, a, masks, kept, dropout, stride, features, x, index, width, n_tiles, n_parts
):
    """Compute one layer from the features that are not zero in a batch; same bytes as from `forward`.

    Parameters
    ----------
    layer : (N_FIELDS,) int64, a row of a table with a transposed index of all its rows
    slope : as one of `forward`'s
    features : (n,) int64, sorted
    x : (≥ n · stride,), their values
    others : as for `forward`
    """
    for tile in range(n_tiles):
        column = tile * len(width) * CHUNK
        signs, keeps = fields.of_tile(masks, tile, n_tiles), fields.of_tile(kept, tile, n_tiles)
        for part in prange(n_parts):
            _spread_rows(
                layer, slope, params, a, signs, keeps, dropout, stride, features, x, index, width, column, part, n_parts
            )


@serial
def activate(layer, slope, a, masks, kept, dropout, stride, index, width, n_tiles):
    """z ← dropout(f(z)) in the rows of a layer whose sums were made elsewhere; arguments as above."""
    for tile in range(n_tiles):
        column, last = tile * len(width) * CHUNK, layer[fields.FAN_OUT]
        signs, keeps = fields.of_tile(masks, tile, n_tiles), fields.of_tile(kept, tile, n_tiles)
        _activate_rows(layer, slope, a, signs, keeps, dropout, stride, index, width, column, np.int64(0), last)
