"""Batch norm of planes, element by element.

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
from truesparse.kernels.plane_lanes import add_product, plus, relu


@inner
def _start_of_row(layout, row):
    """Return where the first place of a row is in the first of some planes.

    Parameters
    ----------
    layout : tuple of int
        Where the planes start; entries from one plane to the next, from one row to the next, and of the border beside a
        row; and how many rows there is room for in a plane: all, with the borders, or three if it rolls.
    row : int, −1 for the border
    """
    start, _, row_step, border, n_rows = layout
    return start + (row + 1) % n_rows * row_step + border


@inner
def clear_part(out, layout, row, n_channels, n_runs, width):
    """Set one row of places of all channels to zero."""
    for channel in range(n_channels):
        at = _start_of_row(layout, row) + channel * layout[1]
        for run in range(n_runs):
            store(out, at + run * len(width) * CHUNK, full(out.dtype.type(0), width))


@inner
def normalise_part(of_sums, tile, out, layout, rows, n_runs, width):
    """Write scale · z + shift + residual, or its positive part, in some rows of all channels of a tile.

    Parameters
    ----------
    of_sums : tuple of
        z : planes, as a vector
        scale, shift : (n_channels,)
        residual : planes, or of size 0 for none
        factor, summand : (n_channels,), of the residual before it is added; or of size 0
        activates : bool, whether a rectifier follows
        size, plane, first : int, entries from one tile to the next, from one plane, and to its first place
    tile : int
    out : planes
    layout : of `_start_of_row`, for the tile in `out`, whose rows are as wide as those of z
    rows : two int, the first row and the one behind the last
    n_runs : int, runs of lanes in a row
    """
    z, scale, shift, residual, factor, summand, activates, size, plane, first = of_sums
    for row in range(rows[0], rows[1]):
        place = _start_of_row(layout, row)
        for channel in range(scale.size):
            for run in range(n_runs):
                at = run * len(width) * CHUNK
                read = tile * size + channel * plane + first + row * layout[2] + at
                a = axpy(scale[channel], load(z, read, width), full(shift[channel], width))
                if residual.size > 0:
                    r = load(residual, read, width)
                    if factor.size > 0:
                        r = axpy(factor[channel], r, full(summand[channel], width))
                    a = plus(a, r)
                store(out, place + channel * layout[1] + at, relu(a) if activates else a)


@inner
def errors_part(of_errors, tile, out, layout, rows, n_runs, width):
    """out = p · δ + q · z + r in some rows of a tile.

    `of_errors` is a tuple of δ, z, factors p, q, r, (n_channels, 3), and size, plane and first; all as for
    `normalise_part`.
    """
    delta, z, factors, size, plane, first = of_errors
    for row in range(rows[0], rows[1]):
        place = _start_of_row(layout, row)
        for channel in range(factors.shape[0]):
            p, q, r = factors[channel, 0], factors[channel, 1], factors[channel, 2]
            for run in range(n_runs):
                at = run * len(width) * CHUNK
                read = tile * size + channel * plane + first + row * layout[2] + at
                d = axpy(q, load(z, read, width), full(r, width))
                store(out, place + channel * layout[1] + at, axpy(p, load(delta, read, width), d))


@parallel
def normalise(of_sums, out, row_step, n_rows, n_runs, n_tiles, width):
    """Make the planes `out` of others, see `normalise_part`."""
    size, plane, first = of_sums[-3:]
    for tile in prange(n_tiles):
        layout = tile * size, plane, row_step, first - row_step, n_rows + 2
        normalise_part(of_sums, tile, out, layout, (0, n_rows), n_runs, width)


@parallel
def error_totals(room, delta, row_step, n_rows, n_runs, width):
    """Compute Σ δ and Σ δ (z − mean) of each channel of all tiles.

    Parameters
    ----------
    room : tuple of
        totals : (n_tiles, n_channels, 2), overwritten
        z : planes, as a vector
        means : (n_channels,)
        size, plane, first : int, as for `normalise_part`
    delta : planes, as a vector
    row_step : int, entries from one row to the next
    n_rows, n_runs : int, rows, and runs of lanes in each
    """
    totals, z, means, size, plane, first = room
    for tile in prange(totals.shape[0]):
        totals[tile] = 0
        for row in range(n_rows):
            for channel in range(means.size):
                added, products = full(z.dtype.type(0), width), full(z.dtype.type(0), width)
                below = full(-means[channel], width)
                for run in range(n_runs):
                    at = tile * size + channel * plane + first + row * row_step + run * len(width) * CHUNK
                    d = load(delta, at, width)
                    added = plus(added, d)
                    products = add_product(d, plus(load(z, at, width), below), products)
                totals[tile, channel, 0] += total(added)
                totals[tile, channel, 1] += total(products)
