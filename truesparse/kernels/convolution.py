"""Sparse convolutions: each stored weight is one addition of a shifted, scaled plane, over places and samples at once.

    z[o, y, x] = b_o + Σ W[o, (i, dy, dx)] · a[i, s · y + dy − 1, s · x + dx − 1]

Activations are planes (channels, rows, columns, samples) with samples innermost, and a border of zeros around each
plane. A run of one row of a plane, all samples of some places side by side, is a row of lanes as in
`truesparse.kernels.forward`, and a weight moves it by an offset that `truesparse.network.planes` computes from
(i, dy, dx). A batch is divided into tiles of samples, so that the planes that a row of outputs needs stay in the cache.

For a stride of 2, planes are first divided into their four phases (even and odd rows and columns). A convolution over
phases has a stride of 1.

The backward pass goes along the input planes. For each run it reads those of the errors that it went into, and
multiplies each twice: by the weight for the errors of the inputs, and by the inputs for the gradient, whose 16 partial
sums stay in memory until all runs are done.

Planes of a whole batch are larger than the cache. What is done to them before and after a convolution
(`truesparse.kernels.batch_norm`) is therefore done in the same call, row by row, while the rows are in the cache. A row
of outputs needs the rows of inputs up to the next one. What only this call reads *rolls*: of each plane there is room
for three rows, and row r takes the place of row r − 3. Where a row is then depends on r modulo 3, and so do offsets.

Cost: 2 · nnz · places · samples operations forward, twice as many backward.
"""

import numpy as np
from numba import prange

from truesparse.kernels.batch_norm import clear_part, errors_part, normalise_part
from truesparse.kernels.jit import parallel
from truesparse.kernels.lanes import CHUNK, axpy, full, load, store, total
from truesparse.kernels.parts import inner
from truesparse.kernels.plane_lanes import add_product, add_products, plus, relu, where_above_zero

_RUNS = 2  # of lanes at a time, of all channels: as many as the first-level cache has inputs for


@inner
def _convolve_runs(
    data, offsets, indptr, bias, x, added_planes, out, out_starts, x_at, out_at, first, last, activates, totals, width
):
    """Compute some runs of one row of places, of all output planes, and add Σ z and Σ z² of each to the totals."""
    n_lanes = len(width) * CHUNK
    for channel in range(indptr.size - 1):
        start, stop, b = np.uintp(indptr[channel]), np.uintp(indptr[channel + 1]), bias[channel]
        added, squared = full(out.dtype.type(0), width), full(out.dtype.type(0), width)
        for run in range(first, last):
            z = full(b, width)
            at = x_at + run * n_lanes
            for slot in range(start, stop):
                z = axpy(data[slot], load(x, at + offsets[slot], width), z)
            added, squared = plus(added, z), add_product(z, z, squared)
            place = out_starts[channel] + out_at + run * n_lanes
            if added_planes.size > 0:
                z = plus(z, load(added_planes, place, width))
            store(out, place, relu(z) if activates else z)
        totals[channel, 0] += total(added)
        totals[channel, 1] += total(squared)


@inner
def _clear_borders(planes, layout, row, n_rows, n_channels, n_runs, width):
    """Before the first and the last row of places: set the row above, or below it, to zero."""
    if row == 0:
        clear_part(planes, layout, -1, n_channels, n_runs, width)
    if row == n_rows - 1:
        clear_part(planes, layout, n_rows, n_channels, n_runs, width)


@parallel
def convolve(
    before, data, offsets, indptr, bias, x, added_planes, out, out_starts, steps, n_rows, n_runs, activates, totals,
    width, n_parts,
):  # fmt: skip
    """Compute z of all places of all tiles.

    Parameters
    ----------
    before : ``of_sums`` of `normalise_part`, of which x is made; with `z` of size 0, x is there already
    data, indptr : (nnz,), (n_channels + 1,): weights by output channel
    offsets : (1, nnz), where the first run of places finds its inputs; (3, nnz) if x rolls, for rows 0, 1, 2 and those
        three after them
    bias : (n_channels,)
    x, out : the input and the output planes, as vectors, tile by tile; if x rolls, it has room for three rows of the
        planes of `n_parts` tiles, which are made of `before`
    added_planes : what is added to z, laid out as `out`; of size 0 for nothing
    out_starts : (n_channels,) where the first place of each plane is in a tile
    steps : five int, entries from one tile of x to the next, from one plane, from one row; from one tile of out to the
        next, from one row
    n_rows, n_runs : int, rows of places, and runs of lanes in each
    activates : bool, whether a rectifier follows
    totals : (n_tiles, n_channels, 2), overwritten by Σ z and Σ z²
    n_parts : int, how many threads share the tiles
    """
    x_tile, x_plane, x_row, out_tile, out_row = steps
    n_tiles, n_turns = totals.shape[0], offsets.shape[0]
    rolls = n_turns > 1
    for part in prange(n_parts):
        for tile in range(part * n_tiles // n_parts, (part + 1) * n_tiles // n_parts):
            totals[tile] = 0
            x_start = (part if rolls else tile) * x_tile
            layout = x_start, x_plane, x_row, before[-1] - x_row, x_plane // x_row  # the first place is at [1, 1]
            for row in range(n_rows):
                if before[0].size > 0:
                    rows = (row + 1 if row > 0 else 0, min(row + 2, n_rows))
                    normalise_part(before, tile, x, layout, rows, n_runs, width)
                    _clear_borders(x, layout, row, n_rows, before[1].size, n_runs, width)
                x_at = x_start + (0 if rolls else row * x_row)
                for first in range(0, n_runs, _RUNS):
                    _convolve_runs(
                        data, offsets[row % n_turns], indptr, bias, x, added_planes, out, out_starts, x_at,
                        tile * out_tile + row * out_row, first, min(first + _RUNS, n_runs), activates, totals[tile],
                        width,
                    )  # fmt: skip


@inner
def _backward_run(data, slots, offsets, first, last, delta, delta_at, a, d, has_errors, products, width):
    """Return d + Σ w · δ for one run a of an input plane; add its products a · δ to the sums of the gradient."""
    for entry in range(first, last):
        row = load(delta, delta_at + offsets[entry], width)
        if has_errors:
            d = axpy(data[slots[entry]], row, d)
        add_products(a, row, products, entry * CHUNK)
    return d


@inner
def _backward_row(
    after, tile, data, slots, offsets, indptr, delta, delta_start, x, scale, shift, out, starts, start, n_runs, adds,
    masks, products, width,
):  # fmt: skip
    """Compute the errors of one row of places of all input planes, and add its shares of the gradient and of totals."""
    n_lanes, (totals, z, means) = len(width) * CHUNK, after
    for plane in range(indptr.size - 1):
        first, last = indptr[plane], indptr[plane + 1]
        added, deviations = full(out.dtype.type(0), width), full(out.dtype.type(0), width)
        for run in range(n_runs):
            at, delta_at = start + starts[plane] + run * n_lanes, delta_start + run * n_lanes
            a = load(x, at, width)
            if scale.size > 0:
                a = relu(axpy(scale[plane], a, full(shift[plane], width)))
            d = load(out, at, width) if adds else full(out.dtype.type(0), width)
            d = _backward_run(data, slots, offsets, first, last, delta, delta_at, a, d, out.size > 0, products, width)
            d = where_above_zero(d, a) if masks else d
            if out.size > 0:
                store(out, at, d)
            if totals.size > 0:
                added = plus(added, d)
                deviations = add_product(d, plus(load(z, at, width), full(-means[plane], width)), deviations)
        if totals.size > 0:
            totals[tile, plane, 0] += total(added)
            totals[tile, plane, 1] += total(deviations)


@parallel
def convolve_backward(
    before, after, data, slots, offsets, indptr, delta, x, scale, shift, out, starts, steps, n_rows, n_runs, adds,
    masks, products, width, n_parts,
):  # fmt: skip
    """Compute the errors of the inputs, and the partial sums of the gradient, of all tiles.

    Parameters
    ----------
    before : ``of_errors`` of `errors_part`, of which `delta` is made; with δ of size 0, it is there already
    after : tuple of totals, (n_tiles, n_planes, 2), overwritten by Σ d and Σ d (z − mean) of the errors d of the
        inputs; and z, laid out as x, and means, (n_planes,), of the batch norm below; there is none with totals of
        size 0
    data, slots : (nnz,): weights, and their numbers by input plane
    offsets, indptr : (1, nnz), (n_planes + 1,): where the first run of an input plane finds the errors that it went
        into; (3, nnz) if delta rolls, as for `convolve`
    delta : the errors of the sums, as a vector, with zeros around each plane, tile by tile; if it rolls, room for three
        rows of the planes of `n_parts` tiles, which are made of `before`
    x, scale, shift : the input planes; or the sums z of which they are relu(scale · z + shift), and (n_planes,) each,
        which otherwise have the size 0
    out : the errors of the inputs; of size 0 if nobody needs them
    starts : (n_planes,) where the first place of each input plane is in a tile of x and of out
    steps : five int, entries from one tile of delta to the next, from one plane, from one row; from one tile of x and
        out to the next, from one row
    n_rows, n_runs : int, rows of places, and runs of lanes in each
    adds : bool, whether the errors are added to what `out` holds
    masks : bool, whether errors are zero where the inputs are not above zero, as for outputs of a rectifier
    products : (n_tiles, nnz · 16), overwritten by Σ x · δ in 16 parts, in the order of `slots`
    n_parts : int, how many threads share the tiles
    """
    delta_tile, delta_plane, delta_row, x_tile, x_row = steps
    n_tiles, n_turns = products.shape[0], offsets.shape[0]
    rolls = n_turns > 1
    for part in prange(n_parts):
        for tile in range(part * n_tiles // n_parts, (part + 1) * n_tiles // n_parts):
            products[tile] = 0
            if after[0].size > 0:
                after[0][tile] = 0
            delta_start = (part if rolls else tile) * delta_tile
            layout = delta_start, delta_plane, delta_row, before[-1] - delta_row, delta_plane // delta_row
            for row in range(n_rows):
                if before[0].size > 0:
                    rows = (row + 1 if row > 0 else 0, min(row + 2, n_rows))
                    errors_part(before, tile, delta, layout, rows, n_runs, width)
                    _clear_borders(delta, layout, row, n_rows, before[2].shape[0], n_runs, width)
                delta_at = delta_start + (0 if rolls else row * delta_row)
                _backward_row(
                    after, tile, data, slots, offsets[row % n_turns], indptr, delta, delta_at, x, scale, shift, out,
                    starts, tile * x_tile + row * x_row, n_runs, adds, masks, products[tile], width,
                )  # fmt: skip


@parallel
def gradient_of_products(products, slots, gradient):
    """gradient[slots] = Σ over tiles and parts, in a fixed order; arguments as for `convolve_backward`."""
    for entry in prange(slots.size):
        g = gradient.dtype.type(0)
        for tile in range(products.shape[0]):
            for part in range(CHUNK):
                g += products[tile, entry * CHUNK + part]
        gradient[slots[entry]] = g
