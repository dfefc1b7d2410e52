"""Random bits of the lanes of a row, made by counting, and what they keep.

SplitMix64 (Steele, Lea & Flood, 2014) makes the 64-bit number with the index i by hashing key + i · _GOLDEN. Four lanes
share a number, 16 bits each, and a row has room for 2³² numbers. As in `truesparse.kernels.lanes`, each function is
here as a loop and as vector instructions.
"""

import numpy as np
from llvmlite import ir
from numba import config, types

from truesparse.kernels.lanes import (
    CHUNK,
    _chunks,
    _element,
    _load_bits,
    _row,
    _splat,
    _vector_of,
)
from truesparse.kernels.parts import inner

_GOLDEN, _FIRST_FACTOR, _SECOND_FACTOR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
LANES_PER_NUMBER = 4


def _compiled_number(key, index):
    x = key + np.uint64(index) * np.uint64(_GOLDEN)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_FIRST_FACTOR)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_SECOND_FACTOR)
    return x ^ (x >> np.uint64(31))


def number_in_python(key, index):
    """Return the same as `number`, without a kernel."""
    with np.errstate(over="ignore"):  # products are taken modulo 2⁶⁴
        return _compiled_number(key, index)


def moved(key, column):
    """Return the key whose draws begin with those that `key` has for a column, a multiple of `LANES_PER_NUMBER`."""
    with np.errstate(over="ignore"):
        return key + np.uint64(column // LANES_PER_NUMBER) * np.uint64(_GOLDEN)


number = number_in_python if config.DISABLE_JIT else inner(_compiled_number)
"""``number(key, index)``: the random 64-bit number of a uint64 key that has this index."""


def _plain_draw(key, row, column, threshold, kept, offset, width):
    for chunk in range(len(width)):
        bits = np.uint16(0)
        for lane in range(CHUNK):
            place = column + chunk * CHUNK + lane
            of_four = number(key, (row << 32) + place // LANES_PER_NUMBER)
            of_lane = (of_four >> np.uint64(16 * (place % LANES_PER_NUMBER))) & np.uint64(0xFFFF)
            bits |= np.uint16(of_lane >= threshold) << np.uint16(lane)
        kept[offset + chunk] = bits


@_vector_of(_plain_draw)
def draw(typing, key, row, column, threshold, kept, offset, width):
    """Write one random bit per lane of a row from `column` on: set unless 16 random bits are below `threshold`.

    The bits depend only on the key, the row and the lane's place in the row.
    """

    def emit(context, b, _, args):
        key_value, row_value, column_value, least, array, first, _width = args
        number_type = ir.IntType(64)

        def draw_chunks(chunk, n):
            lanes = n * CHUNK
            count = lanes // LANES_PER_NUMBER

            def constants(value, step=0):
                kind = ir.VectorType(number_type, count)
                return ir.Constant(kind, [(value + k * step) % 2**64 for k in range(count)])

            index = b.lshr(column_value, ir.Constant(number_type, LANES_PER_NUMBER.bit_length() - 1))
            index = b.add(b.shl(row_value, ir.Constant(number_type, 32)), index)
            start = b.add(key_value, b.mul(index, ir.Constant(number_type, _GOLDEN)))
            before = chunk * CHUNK // LANES_PER_NUMBER
            x = b.add(_splat(b, start, count), constants(before * _GOLDEN, _GOLDEN))
            x = b.mul(b.xor(x, b.lshr(x, constants(30))), constants(_FIRST_FACTOR))
            x = b.mul(b.xor(x, b.lshr(x, constants(27))), constants(_SECOND_FACTOR))
            x = b.bitcast(b.xor(x, b.lshr(x, constants(31))), ir.VectorType(ir.IntType(16), lanes))
            bits = b.bitcast(b.icmp_unsigned(">=", x, _splat(b, least, lanes)), ir.IntType(lanes))
            place = b.add(first, ir.Constant(first.type, chunk))
            b.store(bits, b.bitcast(_element(b, context, kept, array, place), bits.type.as_pointer()), align=2)

        for chunk in range(0, width.count, 2):  # numbers of two chunks fill a register of 512 bits
            draw_chunks(chunk, min(2, width.count - chunk))
        return context.get_dummy_value()

    return types.void(types.uint64, types.intp, types.intp, types.uint16, kept, types.intp, width), emit


def _plain_where_kept(x, factor, kept, offset):
    out = np.empty_like(x)
    for lane in range(x.size):
        is_set = (kept[offset + lane // CHUNK] >> np.uint16(lane % CHUNK)) & np.uint16(1)
        out[lane] = x.dtype.type(factor) * x[lane] if is_set else x.dtype.type(0)
    return out


@_vector_of(_plain_where_kept)
def where_kept(typing, x, factor, kept, offset):
    """Return factor · x where the bit is set, else 0."""

    def emit(context, b, _, args):
        scale, chunks = _splat(b, args[1]), _chunks(b, args[0])
        zero = ir.Constant(chunks[0].type, [0.0] * CHUNK)
        bits = _load_bits(b, context, kept, args[2], args[3], len(chunks))
        return _row(b, [b.select(m, b.fmul(scale, chunk), zero) for m, chunk in zip(bits, chunks, strict=True)])

    return x(x, x.dtype, kept, types.intp), emit
