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
of outputs needs the rows of inputs up to the next one.

Cost: 2 · nnz · places · samples operations forward, twice as many backward.
"""

import numpy as np
from numba import prange

from truesparse.kernels.batch_norm import error_sums_part, errors_part, normalise_part
from truesparse.kernels.jit import parallel
from truesparse.kernels.lanes import CHUNK, axpy, full, load, store, total
from truesparse.kernels.parts import inner
from truesparse.kernels.plane_lanes import add_product, add_products, plus, relu, where_above_zero

_RUNS = 2  # of lanes at a time, of all channels: as many as the first-level cache has inputs for


@inner
def _convolve_runs(
    data, offsets, indptr, bias, x, added_planes, out, out_starts, x_at, out_at, first, last, activates, sums, width
):
    """Compute some runs of one row of places, of all output planes, and add Σ z and Σ z² of each to the sums."""
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
        sums[channel, 0] += total(added)
        sums[channel, 1] += total(squared)


@parallel
def convolve(
    before, data, offsets, indptr, bias, x, added_planes, out, out_starts, steps, n_rows, n_runs, activates, sums, width
):
    """Compute z of all places of all tiles.

    Parameters
    ----------
    before : ``of_sums`` of `normalise_part`, of which x is made; with `z` of size 0, x is there already
    data, offsets, indptr : (nnz,), (nnz,), (n_channels + 1,): weights by output channel, and where the first run of
        places finds its inputs
    bias : (n_channels,)
    x, out : the input and the output planes, as vectors, tile by tile
    added_planes : what is added to z, laid out as `out`; of size 0 for nothing
    out_starts : (n_channels,) where the first place of each plane is in a tile
    steps : four int, entries from one tile of x to the next, from one row; the same for out
    n_rows, n_runs : int, rows of places, and runs of lanes in each
    activates : bool, whether a rectifier follows
    sums : (n_tiles, n_channels, 2), overwritten by Σ z and Σ z²
    """
    x_tile, x_row, out_tile, out_row = steps
    for tile in prange(sums.shape[0]):
        sums[tile] = 0
        for row in range(n_rows):
            if before[0].size > 0:
                rows = (row + 1 if row > 0 else 0, min(row + 2, n_rows))
                normalise_part(before, x, tile * x_tile, x_row, rows, n_runs, width)
            for first in range(0, n_runs, _RUNS):
                _convolve_runs(
                    data, offsets, indptr, bias, x, added_planes, out, out_starts, tile * x_tile + row * x_row,
                    tile * out_tile + row * out_row, first, min(first + _RUNS, n_runs), activates, sums[tile], width,
                )  # fmt: skip


@inner
def _backward_run(data, slots, offsets, first, last, delta, delta_at, x, x_at, d, products, width):
    """Return d + Σ w · δ for one run of an input plane; add its products x · δ to the partial sums of the gradient."""
    a = load(x, x_at, width)
    for entry in range(first, last):
        row = load(delta, delta_at + offsets[entry], width)
        d = axpy(data[slots[entry]], row, d)
        add_products(a, row, products, entry * CHUNK)
    return d


@inner
def _backward_row(
    data, slots, offsets, indptr, delta, delta_start, x, out, starts, start, n_runs, adds, masks, products, width
):
    """Compute the errors of one row of places of all input planes, and add its share of the gradient."""
    n_lanes = len(width) * CHUNK
    for plane in range(indptr.size - 1):
        first, last = indptr[plane], indptr[plane + 1]
        for run in range(n_runs):
            at, delta_at = start + starts[plane] + run * n_lanes, delta_start + run * n_lanes
            d = load(out, at, width) if adds else full(out.dtype.type(0), width)
            d = _backward_run(data, slots, offsets, first, last, delta, delta_at, x, at, d, products, width)
            store(out, at, where_above_zero(d, load(x, at, width)) if masks else d)


@parallel
def convolve_backward(
    before, after, data, slots, offsets, indptr, delta, x, out, starts, steps, n_rows, n_runs, adds, masks, products,
    width, n_parts,
):  # fmt: skip
    """Compute the errors of the inputs, and the partial sums of the gradient, of all tiles.

    Parameters
    ----------
    before : ``of_errors`` of `errors_part`, of which `delta` is made; with δ of size 0, it is there already
    after : ``room`` of `error_sums_part` for the batch norm below; with sums of size 0, there is none
    data, slots : (nnz,): weights, and their numbers by input plane
    offsets, indptr : (nnz,), (n_planes + 1,): where the first run of an input plane finds the errors that it went into
    delta : the errors of the sums, as a vector, with zeros around each plane: tile by tile, or with room for `n_parts`
        tiles if they are made here
    x, out : the input planes, and the errors of the inputs
    starts : (n_planes,) where the first place of each input plane is in a tile of x and of out
    steps : four int, entries from one tile of delta to the next, from one row; the same for x and out
    n_rows, n_runs : int, rows of places, and runs of lanes in each
    adds : bool, whether the errors are added to what `out` holds
    masks : bool, whether errors are zero where the inputs are not above zero, as for outputs of a rectifier
    products : (n_tiles, nnz · 16), overwritten by Σ x · δ in 16 parts, in the order of `slots`
    n_parts : int, how many threads share the tiles
    """
    delta_tile, delta_row, x_tile, x_row = steps
    n_tiles, has_all = products.shape[0], delta.size >= products.shape[0] * delta_tile
    for part in prange(n_parts):
        for tile in range(part * n_tiles // n_parts, (part + 1) * n_tiles // n_parts):
            delta_start = (tile if has_all else part) * delta_tile
            products[tile] = 0
            if after[0].size > 0:
                after[0][tile] = 0
            for row in range(n_rows):
                if before[0].size > 0:
                    rows = (row + 1 if row > 0 else 0, min(row + 2, n_rows))
                    errors_part(before, delta, tile * delta_tile, delta_start, delta_row, rows, n_runs, width)
                _backward_row(
                    data, slots, offsets, indptr, delta, delta_start + row * delta_row, x, out, starts,
                    tile * x_tile + row * x_row, n_runs, adds, masks, products[tile], width,
                )  # fmt: skip
                if after[0].size > 0:
                    error_sums_part(after, tile, out, tile * x_tile, x_row, (row, row + 1), n_runs, width)


@parallel
def gradient_of_products(products, slots, gradient):
    """gradient[slots] = Σ over tiles and parts, in a fixed order; arguments as for `convolve_backward`."""
    for entry in prange(slots.size):
        g = gradient.dtype.type(0)
        for tile in range(products.shape[0]):
            for part in range(CHUNK):
                g += products[tile, entry * CHUNK + part]
        gradient[slots[entry]] = g
