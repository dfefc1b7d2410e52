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

Cost: 2 · nnz · places · samples operations forward, twice as many backward.
"""

import numpy as np
from numba import prange

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
    data, offsets, indptr, bias, x, added_planes, out, out_starts, steps, n_rows, n_runs, activates, sums, width
):
    """Compute z of all places of all tiles.

    Parameters
    ----------
    data, offsets, indptr : (nnz,), (nnz,), (n_channels + 1,): weights by output channel, and where the first run of
        places finds its inputs
    bias : (n_channels,)
    x, out : the input and the output planes, as vectors, tile by tile
    added_planes : what is added to z, laid out as `out`; of size 0 for nothing
    out_starts : (n_channels,) where the first place of each plane is in a tile
    steps : four int, entries from one tile of x to the next, from one row; the same for out
    n_rows, n_runs : int, rows of places, and runs of lanes in each
    activates : bool, whether a rectifier follows
    sums : (n_tiles, n_rows, n_channels, 2), overwritten by Σ z and Σ z²
    """
    x_tile, x_row, out_tile, out_row = steps
    for item in prange(sums.shape[0] * n_rows):
        tile, row = item // n_rows, item % n_rows
        sums[tile, row] = 0
        for first in range(0, n_runs, _RUNS):
            _convolve_runs(
                data, offsets, indptr, bias, x, added_planes, out, out_starts, tile * x_tile + row * x_row,
                tile * out_tile + row * out_row, first, min(first + _RUNS, n_runs), activates, sums[tile, row], width,
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


@parallel
def convolve_backward(
    data, slots, offsets, indptr, delta, x, out, starts, steps, n_rows, n_runs, adds, masks, products, width
):
    """Compute the errors of the inputs, and the partial sums of the gradient, of all tiles.

    Parameters
    ----------
    data, slots : (nnz,): weights, and their numbers by input plane
    offsets, indptr : (nnz,), (n_planes + 1,): where the first run of an input plane finds the errors that it went into
    delta : the errors of the sums, as a vector, tile by tile, with zeros around each plane
    x, out : the input planes, and the errors of the inputs
    starts : (n_planes,) where the first place of each input plane is in a tile of x and of out
    steps : four int, entries from one tile of delta to the next, from one row; the same for x and out
    n_rows, n_runs : int, rows of places, and runs of lanes in each
    adds : bool, whether the errors are added to what `out` holds
    masks : bool, whether errors are zero where the inputs are not above zero, as for outputs of a rectifier
    products : (n_tiles, nnz · 16), overwritten by Σ x · δ in 16 parts, in the order of `slots`
    """
    delta_tile, delta_row, x_tile, x_row = steps
    n_lanes = len(width) * CHUNK
    for tile in prange(products.shape[0]):
        products[tile] = 0
        for row in range(n_rows):
            for plane in range(indptr.size - 1):
                first, last = indptr[plane], indptr[plane + 1]
                for run in range(n_runs):
                    at = tile * x_tile + row * x_row + starts[plane] + run * n_lanes
                    delta_at = tile * delta_tile + row * delta_row + run * n_lanes
                    d = load(out, at, width) if adds else full(out.dtype.type(0), width)
                    d = _backward_run(
                        data, slots, offsets, first, last, delta, delta_at, x, at, d, products[tile], width
                    )
                    store(out, at, where_above_zero(d, load(x, at, width)) if masks else d)


@parallel
def gradient_of_products(products, slots, gradient):
    """gradient[slots] = Σ over tiles and parts, in a fixed order; arguments as for `convolve_backward`."""
    for entry in prange(slots.size):
        g = gradient.dtype.type(0)
        for tile in range(products.shape[0]):
            for part in range(CHUNK):
                g += products[tile, entry * CHUNK + part]
        gradient[slots[entry]] = g
