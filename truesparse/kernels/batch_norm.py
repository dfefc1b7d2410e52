"""Batch norm of planes, element by element, and the phases of planes for a stride of 2.

    forward     a = relu(scale · z + shift + residual)
    backward    δ_z = p · δ + q · z + r, with p, q, r of each channel from Σ δ and Σ δ (z − mean)

`truesparse.network.batch_norm` computes the numbers of the channels. Planes are laid out as in
`truesparse.kernels.convolution`. A channel of a tile has one writer, and sums have a fixed order.
"""

from numba import prange

from truesparse.kernels.jit import parallel
from truesparse.kernels.lanes import CHUNK, axpy, full, load, store, total
from truesparse.kernels.plane_lanes import add_product, plus, relu, where_above_zero


@parallel
def normalise(z, scale, shift, residual, activates, out, plane, first, row_step, n_rows, n_runs, n_tiles, width):
    """Write scale · z + shift + residual, or its positive part, of all channels of all tiles.

    Parameters
    ----------
    z, out : planes, as vectors
    scale, shift : (n_channels,)
    residual : planes, or of size 0 for none
    activates : bool, whether a rectifier follows
    plane, first, row_step : int, entries from one plane to the next, to its first place, and from one row to the next
    n_rows, n_runs, n_tiles : int
    """
    n_channels = scale.size
    for item in prange(n_tiles * n_channels):
        channel = item % n_channels
        for row in range(n_rows):
            for run in range(n_runs):
                at = item * plane + first + row * row_step + run * len(width) * CHUNK
                a = axpy(scale[channel], load(z, at, width), full(shift[channel], width))
                if residual.size > 0:
                    a = plus(a, load(residual, at, width))
                store(out, at, relu(a) if activates else a)


@parallel
def error_sums(delta, z, means, plane, first, row_step, n_rows, n_runs, sums, width):
    """sums[tile, channel] = Σ δ and Σ δ (z − mean) over the places and samples of a tile; others as for `normalise`."""
    n_tiles, n_channels = sums.shape[:2]
    for item in prange(n_tiles * n_channels):
        tile, channel = item // n_channels, item % n_channels
        added, products = full(z.dtype.type(0), width), full(z.dtype.type(0), width)
        below = full(-means[channel], width)
        for row in range(n_rows):
            for run in range(n_runs):
                at = item * plane + first + row * row_step + run * len(width) * CHUNK
                d = load(delta, at, width)
                added = plus(added, d)
                products = add_product(d, plus(load(z, at, width), below), products)
        sums[tile, channel, 0], sums[tile, channel, 1] = total(added), total(products)


@parallel
def errors_of_sums(delta, z, factors, out, plane, first, row_step, n_rows, n_runs, n_tiles, width):
    """out = p · δ + q · z + r, with factors (n_channels, 3); others as for `normalise`. `out` may be `delta`."""
    n_channels = factors.shape[0]
    for item in prange(n_tiles * n_channels):
        p, q, r = factors[item % n_channels, 0], factors[item % n_channels, 1], factors[item % n_channels, 2]
        for row in range(n_rows):
            for run in range(n_runs):
                at = item * plane + first + row * row_step + run * len(width) * CHUNK
                d = axpy(q, load(z, at, width), full(r, width))
                store(out, at, axpy(p, load(delta, at, width), d))


@parallel
def split_phases(x, phases, n_planes, shape, phase_shape, width):
    """Copy planes of places (rows, columns), with their borders, into four phases of `phase_shape` each."""
    (n_rows, n_columns), (rows, columns) = shape, phase_shape
    n_lanes = len(width) * CHUNK
    for plane in prange(n_planes):
        for row in range(n_rows):
            for column in range(n_columns):
                phase = 4 * plane + 2 * (row % 2) + column % 2
                at = (phase * rows + row // 2) * columns + column // 2
                store(phases, at * n_lanes, load(x, ((plane * n_rows + row) * n_columns + column) * n_lanes, width))


@parallel
def merge_phases(phases, x, out, n_planes, shape, phase_shape, width):
    """Copy phases back, zero where x is not above zero, and zero on the border; arguments as for `split_phases`."""
    (n_rows, n_columns), (rows, columns) = shape, phase_shape
    n_lanes = len(width) * CHUNK
    for plane in prange(n_planes):
        for row in range(1, n_rows - 1):
            for column in range(1, n_columns - 1):
                phase = 4 * plane + 2 * (row % 2) + column % 2
                at = (phase * rows + row // 2) * columns + column // 2
                place = ((plane * n_rows + row) * n_columns + column) * n_lanes
                store(out, place, where_above_zero(load(phases, at * n_lanes, width), load(x, place, width)))
