"""Planes of other shapes: phases for convolutions with a stride of 2, and means over all places.

Planes are laid out as in `truesparse.kernels.convolution`, here with the samples of one place as a row of lanes.
"""

from numba import prange

from truesparse.kernels.jit import parallel
from truesparse.kernels.lanes import CHUNK, axpy, full, load, store
from truesparse.kernels.plane_lanes import plus, where_above_zero


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
    """Copy phases back, but not the border, and zero where x is not above zero; arguments as for `split_phases`."""
    (n_rows, n_columns), (rows, columns) = shape, phase_shape
    n_lanes = len(width) * CHUNK
    for plane in prange(n_planes):
        for row in range(1, n_rows - 1):
            for column in range(1, n_columns - 1):
                phase = 4 * plane + 2 * (row % 2) + column % 2
                at = (phase * rows + row // 2) * columns + column // 2
                place = ((plane * n_rows + row) * n_columns + column) * n_lanes
                store(out, place, where_above_zero(load(phases, at * n_lanes, width), load(x, place, width)))


@parallel
def means_of_places(x, means, n_planes, shape, factor, width):
    """Write `factor` times the sum over all places within the border of each plane.

    Parameters
    ----------
    x : planes of places (rows, columns), with their borders
    means : planes of 3 × 3 places, of which the middle is written
    n_planes : int
    shape : two int, rows and columns of x
    factor : of the dtype of x, 1 / (rows · columns within the border)
    """
    n_lanes = len(width) * CHUNK
    for plane in prange(n_planes):
        total = full(x.dtype.type(0), width)
        for row in range(1, shape[0] - 1):
            for column in range(1, shape[1] - 1):
                total = plus(total, load(x, ((plane * shape[0] + row) * shape[1] + column) * n_lanes, width))
        store(means, (9 * plane + 4) * n_lanes, axpy(factor, total, full(x.dtype.type(0), width)))


@parallel
def errors_of_means(errors, x, out, n_planes, shape, factor, width):
    """Write `factor` times the errors of the means to all places where x is above zero, zero to the others.

    The border is not written. `errors` are planes of 3 × 3 places, `out` is laid out as `x`; other arguments as for
    `means_of_places`.
    """
    n_lanes = len(width) * CHUNK
    for plane in prange(n_planes):
        share = load(errors, (9 * plane + 4) * n_lanes, width)
        share = axpy(factor, share, full(x.dtype.type(0), width))
        for row in range(1, shape[0] - 1):
            for column in range(1, shape[1] - 1):
                at = ((plane * shape[0] + row) * shape[1] + column) * n_lanes
                store(out, at, where_above_zero(share, load(x, at, width)))
