"""More functions of rows in registers, for planes of images; see `truesparse.kernels.lanes`."""

from functools import reduce

import numpy as np
from llvmlite import ir
from numba import types

from truesparse.kernels.lanes import (
    CHUNK,
    Lanes,
    _chunks,
    _chunkwise,
    _fma,
    _load,
    _plain_fma,
    _store,
    _vector_of,
)


def _plain_plus(x, y):
    return x + y


@_vector_of(_plain_plus)
def plus(typing, x, y):
    """Return x + y, lane by lane."""
    return x(x, y), lambda context, b, _, args: _chunkwise(b, b.fadd, *args)


def _plain_add_product(x, y, row):
    return _plain_fma(x, y, row)


@_vector_of(_plain_add_product)
def add_product(typing, x, y, row):
    """Return x · y + row, each lane rounded once."""
    return row(x, y, row), lambda context, b, _, args: _chunkwise(b, lambda p, q, r: _fma(b, p, q, r), *args)


def _zeros(vector):
    return ir.Constant(vector.type, [0.0] * CHUNK)


def _plain_relu(x):
    return np.where(x <= 0, x.dtype.type(0), x)


@_vector_of(_plain_relu)
def relu(typing, x):
    """Return x where it is not below zero, else zero; NaN remains."""

    def emit(context, b, _, args):
        return _chunkwise(b, lambda v: b.select(b.fcmp_ordered("<=", v, _zeros(v)), _zeros(v), v), args[0])

    return x(x), emit


def _plain_where_above_zero(x, y):
    return np.where(y > 0, x, x.dtype.type(0))


@_vector_of(_plain_where_above_zero)
def where_above_zero(typing, x, y):
    """Return x where y is above zero, else zero."""

    def emit(context, b, _, args):
        return _chunkwise(b, lambda v, w: b.select(b.fcmp_ordered(">", w, _zeros(w)), v, _zeros(v)), *args)

    return x(x, y), emit


def _plain_add_products(x, y, sums, offset):
    total = sums[offset : offset + CHUNK].copy()
    for start in range(0, x.size, CHUNK):
        total = _plain_fma(x[start : start + CHUNK], y[start : start + CHUNK], total)
    sums[offset : offset + CHUNK] = total


@_vector_of(_plain_add_products)
def add_products(typing, x, y, sums, offset):
    """Add x · y to sixteen sums, chunk after chunk."""

    def emit(context, b, _, args):
        rows = zip(_chunks(b, args[0]), _chunks(b, args[1]), strict=True)
        (total,) = _load(b, context, sums, args[2], args[3], Lanes(sums.dtype, CHUNK))
        total = reduce(lambda acc, pair: _fma(b, pair[0], pair[1], acc), rows, total)
        return _store(b, context, sums, args[2], args[3], [total])

    return types.void(x, y, sums, types.intp), emit
