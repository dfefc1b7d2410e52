"""Batch norm of planes, element by element, and the phases of planes for a stride of 2.

    forward     a = relu(scale · z + shift + residual)
    backward    δ_z = p · δ + q · z + r, with p, q, r of each channel from Σ δ and Σ δ (z − mean)

`truesparse.network.batch_norm` computes the numbers of the channels. Planes are laid out as in
`truesparse.kernels.convolution`, whose kernels call those of a tile here. A tile has one writer, and sums have a fixed
order.
"""

from numba import prange

from truesparse.kernels.jit import parallel
from truesparse.kernels.lanes import CHUNK, axpy, full, load, store, total
from truesparse.kernels.parts import inner
from truesparse.kernels.plane_lanes import add_product, plus, relu, where_above_zero


@inner
def normalise_part(of_sums, out, start, row_step, rows, n_runs, width):
    """Write scale · z + shift + residual, or its positive part, in some rows of all channels of a tile.

    Parameters
    ----------
    of_sums : tuple of
        z : planes, as a vector
        scale, shift : (n_channels,)
        residual : planes, or of size 0 for none
        activates : bool, whether a rectifier follows
        plane, first : int, entries from one plane to the next, and to its first place
    out : planes
    start : int, where the tile begins
    row_step : int, entries from one row to the next
    rows : two int, the first row and the one behind the last
    n_runs : int, runs of lanes in a row
    """
    z, scale, shift, residual, activates, plane, first = of_sums
    for row in range(rows[0], rows[1]):
        for channel in range(scale.size):
            for run in range(n_runs):
                at = start + channel * plane + first + row * row_step + run * len(width) * CHUNK
                a = axpy(scale[channel], load(z, at, width), full(shift[channel], width))
                if residual.size > 0:
                    a = plus(a, load(residual, at, width))
                store(out, at, relu(a) if activates else a)


@inner
def error_sums_part(room, tile, delta, start, row_step, rows, n_runs, width):
    """Add Σ δ and Σ δ (z − mean) of some rows to the sums of a tile.

    `room` is a tuple of ``sums``, (n_tiles, n_channels, 2), z, ``means``, (n_channels,), and the last two of `of_sums`;
    others as for `normalise_part`.
    """
    sums, z, means, plane, first = room
    for row in range(rows[0], rows[1]):
        for channel in range(means.size):
            added, products = full(z.dtype.type(0), width), full(z.dtype.type(0), width)
            below = full(-means[channel], width)
            for run in range(n_runs):
                at = start + channel * plane + first + row * row_step + run * len(width) * CHUNK
                d = load(delta, at, width)
                added = plus(added, d)
                products = add_product(d, plus(load(z, at, width), below), products)
            sums[tile, channel, 0] += total(added)
            sums[tile, channel, 1] += total(products)


@inner
def errors_part(of_errors, out, start, out_start, row_step, rows, n_runs, width):
    """out = p · δ + q · z + r in some rows of a tile.

    `of_errors` is a tuple of δ, z, factors p, q, r, (n_channels, 3), and the last two of `of_sums`; others as for
    `normalise_part`.
    """
    delta, z, factors, plane, first = of_errors
    for row in range(rows[0], rows[1]):
        for channel in range(factors.shape[0]):
            p, q, r = factors[channel, 0], factors[channel, 1], factors[channel, 2]
            for run in range(n_runs):
                at = channel * plane + first + row * row_step + run * len(width) * CHUNK
                d = axpy(q, load(z, start + at, width), full(r, width))
                store(out, out_start + at, axpy(p, load(delta, start + at, width), d))


@parallel
def normalise(of_sums, out, size, row_step, n_rows, n_runs, n_tiles, width):
    """Make the planes `out` of others, see `normalise_part`; `size` is the entries of a tile."""
    for tile in prange(n_tiles):
        normalise_part(of_sums, out, tile * size, row_step, (0, n_rows), n_runs, width)


@parallel
def error_sums(room, delta, size, row_step, n_rows, n_runs, width):
    """Compute the sums of all tiles, see `error_sums_part`; `size` is the entries of a tile."""
    sums = room[0]
    for tile in prange(sums.shape[0]):
        sums[tile] = 0
        error_sums_part(room, tile, delta, tile * size, row_step, (0, n_rows), n_runs, width)


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
