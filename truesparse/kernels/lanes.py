"""Rows of numbers in vector registers: one unit's values for the samples of a batch.

The kernels work on one row of activations at a time: the same unit for up to 128 samples. A compiler that sees a loop
over the samples loads and stores the row for every weight. The kernels are fast because the row stays in registers
while all weights of a unit are added up. `Lanes` is a numba type for such a row; the functions below are all that can
be done with it, each a few vector instructions.

The number of lanes must be known when a kernel is compiled. It travels as the length of a tuple, ``width_of(n)``,
because a tuple's length is part of its type. Arrays are one-dimensional and contiguous; offsets count their elements
and are not checked.

Sums have a fixed order, so that all machines, all kernels and all numbers of threads agree: chunks of 16 lanes are
added up, the first product rounded and all others fused; then the halves of the chunk, down to one number. The first 64
lanes and the others are summed separately, so that a batch of 128 can also be two rows of 64, one for each of two
threads.

Each function is here twice: as a loop over a NumPy array, which says what it computes, and as vector instructions.
``TRUESPARSE_PLAIN_KERNELS=1`` in the environment compiles the loops, for processors without such instructions: the same
bytes, many times slower. Without compilation (``NUMBA_DISABLE_JIT=1``) the loops run as Python code; there, a fused
product may differ in its last bit.
"""

import os
from functools import reduce

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, register_model

PART = 64  # lanes whose sum does not depend on what other lanes are in the same row
CHUNK = 16  # lanes per vector: a register of 512 bits as float32; the compiler takes several where they are smaller
PLAIN = bool(config.DISABLE_JIT) or os.environ.get("TRUESPARSE_PLAIN_KERNELS", "0") not in ("", "0")


def width_of(n_lanes):
    """Return the argument that tells a kernel the number of lanes, a multiple of 16."""
    return (0,) * (n_lanes // CHUNK)


class Lanes(types.Type):
    """Numba type of `n` numbers of one dtype in registers."""

    def __init__(self, dtype, n):
        self.dtype, self.n = dtype, n
        super().__init__(name=f"Lanes({dtype}, {n})")


@register_model(Lanes)
class _LanesModel(PrimitiveModel):
    """A struct of vectors of 16: LLVM splits one long vector less well."""

    def __init__(self, manager, lanes):
        element = ir.FloatType() if lanes.dtype == types.float32 else ir.DoubleType()
        vector = ir.VectorType(element, CHUNK)
        super().__init__(manager, lanes, ir.LiteralStructType([vector] * (lanes.n // CHUNK)))


# Emission of instructions: `b` is the builder, `args` are LLVM values, chunks are vectors of 16.


def _chunks(b, row):
    return [b.extract_value(row, k) for k in range(len(row.type.elements))]


def _row(b, chunks):
    row = ir.Constant(ir.LiteralStructType([chunk.type for chunk in chunks]), ir.Undefined)
    for k, chunk in enumerate(chunks):
        row = b.insert_value(row, chunk, k)
    return row


def _chunkwise(b, operation, *rows):
    chunks = [_chunks(b, row) for row in rows]
    return _row(b, [operation(*of_one) for of_one in zip(*chunks, strict=True)])


def _splat(b, value, count=CHUNK):
    vector = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    return _shuffle(b, b.insert_element(vector, value, ir.Constant(ir.IntType(32), 0)), vector, [0] * count)


def _shuffle(b, x, y, lanes):
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


def _fma(b, x, y, z):
    bits = 32 if isinstance(z.type.element, ir.FloatType) else 64
    name = f"llvm.fma.v{z.type.count}f{bits}"
    return b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(z.type, [z.type] * 3), name), [x, y, z])


def _sums_of_products(b, x, y):
    """Return Σ x · y over the chunks of each part of 64 lanes, as vectors."""
    n = PART // CHUNK
    sums = []
    for start in range(0, len(x), n):
        acc = b.fmul(x[start], y[start])
        for p, q in zip(x[start + 1 : start + n], y[start + 1 : start + n], strict=True):
            acc = _fma(b, p, q, acc)
        sums.append(acc)
    return sums


def _fold(b, vectors):
    """Return the sums of the lanes of one, two or eight vectors, as one vector.

    Halves of each vector are added to each other until one number of it is left. Two vectors with h useful numbers
    each are packed into one on the way, so that eight sums take hardly more instructions than two.
    """
    useful = CHUNK
    while useful > 1:
        half = useful // 2
        low = [start + lane for start in range(0, vectors[0].type.count, useful) for lane in range(half)]
        if len(vectors) > 1:
            low += [CHUNK + lane for lane in low]
        high = [lane + half for lane in low]
        pairs = zip(vectors[0::2], vectors[1::2] or vectors, strict=True)
        vectors = [b.fadd(_shuffle(b, x, y, low), _shuffle(b, x, y, high)) for x, y in pairs]
        useful = half
    return vectors[0]


def _sum(b, vectors):
    """Return the sum of the sums of one or two vectors, as a number."""
    folded = _fold(b, vectors)
    sums = [b.extract_element(folded, ir.Constant(ir.IntType(32), k)) for k in range(len(vectors))]
    return reduce(b.fadd, sums)


def _element(b, context, array_type, array, offset):
    return b.gep(context.make_array(array_type)(context, b, array).data, [offset])


def _pointers(b, context, array_type, array, offset, n_chunks, kind):
    """Return where the chunks of a row lie in an array, as pointers to LLVM's type `kind`."""
    first = b.bitcast(_element(b, context, array_type, array, offset), kind.as_pointer())
    return [b.gep(first, [ir.Constant(ir.IntType(64), k)]) for k in range(n_chunks)]


def _load(b, context, array_type, array, offset, lanes):
    vector = context.get_value_type(lanes).elements[0]
    pointers = _pointers(b, context, array_type, array, offset, lanes.n // CHUNK, vector)
    return [b.load(pointer, align=lanes.dtype.bitwidth // 8) for pointer in pointers]


def _store(b, context, array_type, array, offset, chunks):
    pointers = _pointers(b, context, array_type, array, offset, len(chunks), chunks[0].type)
    for pointer, chunk in zip(pointers, chunks, strict=True):
        b.store(chunk, pointer, align=array_type.dtype.bitwidth // 8)
    return context.get_dummy_value()


def _load_bits(b, context, array_type, array, offset, n_chunks):
    pointers = _pointers(b, context, array_type, array, offset, n_chunks, ir.IntType(CHUNK))
    return [b.bitcast(b.load(pointer), ir.VectorType(ir.IntType(1), CHUNK)) for pointer in pointers]


# The functions: each as a loop over an array, and as the signature and the instructions for rows in registers.


def _vector_of(loop):
    """Return a decorator that makes a function of its instructions, or of the loop where no vectors are wanted."""
    return (lambda emission: njit(loop)) if PLAIN else intrinsic


def _plain_load(array, offset, width):
    return array[offset : offset + CHUNK * len(width)].copy()


@_vector_of(_plain_load)
def load(typing, array, offset, width):
    """Return array[offset : offset + n]."""
    lanes = Lanes(array.dtype, width.count * CHUNK)
    signature = lanes(array, types.intp, width)
    return signature, lambda context, b, _, args: _row(b, _load(b, context, array, args[0], args[1], lanes))


def _plain_store(array, offset, row):
    array[offset : offset + row.size] = row


@_vector_of(_plain_store)
def store(typing, array, offset, row):
    """Write a row to array[offset : offset + n]."""
    signature = types.void(array, types.intp, row)
    return signature, lambda context, b, _, args: _store(b, context, array, args[0], args[1], _chunks(b, args[2]))


def _plain_full(value, width):
    return np.full(CHUNK * len(width), value)


@_vector_of(_plain_full)
def full(typing, value, width):
    """Return a row with the same number in every lane."""
    signature = Lanes(value, width.count * CHUNK)(value, width)
    return signature, lambda context, b, _, args: _row(b, [_splat(b, args[0])] * width.count)


@intrinsic
def _scalar_fma(typing, x, y, z):
    return z(z, z, z), lambda context, b, _, args: b.fma(*args)


def _fma_by_lane(x, y, z):
    out = np.empty_like(z)
    for lane in range(z.size):
        out[lane] = _scalar_fma(x[lane], y[lane], z[lane])
    return out


def _fma_in_python(x, y, z):
    """Return x · y + z, by way of the next wider type, in which it is rounded a first time."""
    wide = np.float64 if z.dtype == np.float32 else np.longdouble
    return (x.astype(wide) * y + z).astype(z.dtype)


_plain_fma = _fma_in_python if config.DISABLE_JIT else njit(_fma_by_lane)


def _plain_axpy(scalar, x, row):
    return _plain_fma(np.full_like(row, scalar), x, row)


@_vector_of(_plain_axpy)
def axpy(typing, scalar, x, row):
    """Return scalar · x + row, each lane rounded once."""

    def emit(context, b, _, args):
        factor = _splat(b, args[0])
        return _chunkwise(b, lambda p, q: _fma(b, factor, p, q), *args[1:])

    return row(row.dtype, x, row), emit


def _plain_times(x, y):
    return x * y


@_vector_of(_plain_times)
def times(typing, x, y):
    """Return x · y, lane by lane."""
    return x(x, y), lambda context, b, _, args: _chunkwise(b, b.fmul, *args)


def _plain_total(x):
    return dot(x, np.ones_like(x))


@_vector_of(_plain_total)
def total(typing, x):
    """Return Σ x."""

    def emit(context, b, _, args):
        chunks, n = _chunks(b, args[0]), PART // CHUNK
        return _sum(b, [reduce(b.fadd, chunks[start : start + n]) for start in range(0, len(chunks), n)])

    return x.dtype(x), emit


def _plain_dot(x, y):
    total = x.dtype.type(0)
    for first in range(0, x.size, PART):
        p, q = x[first : first + PART], y[first : first + PART]
        acc = p[:CHUNK] * q[:CHUNK]
        for start in range(CHUNK, p.size, CHUNK):
            acc = _plain_fma(p[start : start + CHUNK], q[start : start + CHUNK], acc)
        while acc.size > 1:
            acc = acc[: acc.size // 2] + acc[acc.size // 2 :]
        total = acc[0] if first == 0 else total + acc[0]
    return total


@_vector_of(_plain_dot)
def dot(typing, x, y):
    """Return Σ x · y."""
    return x.dtype(x, y), lambda context, b, _, args: _sum(b, _sums_of_products(b, *(_chunks(b, row) for row in args)))


def _plain_dots(out, offset, d, array, start, rows, first, stride):
    for k in range(8):
        position = start + rows[first + k] * stride
        out[offset + k] = dot(d, array[position : position + d.size])


@_vector_of(_plain_dots)
def dots(typing, out, offset, d, array, start, rows, first, stride):
    """Write d · array[start + rows[first + k] · stride] to out[offset + k], for eight k."""

    def emit(context, b, _, args):
        out_array, out_offset, d_row, x_array, x_start, rows_array, first_row, row_stride = args
        d_chunks = _chunks(b, d_row)
        sums = []
        for k in range(8):
            position = b.add(first_row, ir.Constant(first_row.type, k))
            row = b.load(_element(b, context, rows, rows_array, position))
            position = b.add(x_start, b.mul(context.cast(b, row, rows.dtype, types.intp), row_stride))
            sums.append(_sums_of_products(b, d_chunks, _load(b, context, array, x_array, position, d)))
        of_parts = [_fold(b, list(of_eight)) for of_eight in zip(*sums, strict=True)]
        return _store(b, context, out, out_array, out_offset, [reduce(b.fadd, of_parts)])

    return types.void(out, types.intp, d, array, types.intp, rows, types.intp, types.intp), emit


def _plain_positive(x, masks, offset):
    for chunk in range(x.size // CHUNK):
        bits = np.uint16(0)
        for lane in range(CHUNK):
            bits |= np.uint16(x[chunk * CHUNK + lane] > 0) << np.uint16(lane)
        masks[offset + chunk] = bits


@_vector_of(_plain_positive)
def positive(typing, x, masks, offset):
    """Write one bit per lane: x > 0."""

    def emit(context, b, _, args):
        chunks = _chunks(b, args[0])
        zero = ir.Constant(chunks[0].type, [0.0] * CHUNK)
        bits = [b.bitcast(b.fcmp_ordered(">", chunk, zero), ir.IntType(CHUNK)) for chunk in chunks]
        return _store(b, context, masks, args[1], args[2], bits)

    return types.void(x, masks, types.intp), emit


def _plain_where_positive(x, slope, masks, offset):
    out = np.empty_like(x)
    for lane in range(x.size):
        is_set = (masks[offset + lane // CHUNK] >> np.uint16(lane % CHUNK)) & np.uint16(1)
        out[lane] = x[lane] if is_set else x.dtype.type(slope) * x[lane]
    return out


@_vector_of(_plain_where_positive)
def where_positive(typing, x, slope, masks, offset):
    """Return x where the bit is set, else slope · x."""

    def emit(context, b, _, args):
        factor, chunks = _splat(b, args[1]), _chunks(b, args[0])
        bits = _load_bits(b, context, masks, args[2], args[3], len(chunks))
        return _row(b, [b.select(m, chunk, b.fmul(factor, chunk)) for m, chunk in zip(bits, chunks, strict=True)])

    return x(x, x.dtype, masks, types.intp), emit


def _plain_transpose(array, starts, shift, out, offset, stride):
    for k in range(CHUNK):
        for lane in range(CHUNK):
            out[offset + k * stride + lane] = array[starts[lane] + shift + k]


@_vector_of(_plain_transpose)
def transpose(typing, array, starts, shift, out, offset, stride):
    """Write sixteen rows: out[offset + k · stride + lane] = array[starts[lane] + shift + k], for all k and lanes."""

    def emit(context, b, _, args):
        from_array, from_starts, from_shift, to_array, to_offset, to_stride = args
        lanes, index = Lanes(array.dtype, CHUNK), context.get_value_type(types.intp)
        rows = []
        for lane in range(CHUNK):
            start = b.load(_element(b, context, starts, from_starts, ir.Constant(index, lane)))
            rows += _load(b, context, array, from_array, b.add(start, from_shift), lanes)
        for half in (8, 4, 2, 1):  # exchange halves of blocks of 16, then of 8, and so on
            for k in (k for k in range(CHUNK) if not k & half):
                x, y = rows[k], rows[k + half]
                low = [lane if not lane & half else CHUNK + lane - half for lane in range(CHUNK)]
                rows[k] = _shuffle(b, x, y, low)
                rows[k + half] = _shuffle(b, x, y, [lane + half for lane in low])
        for k, row in enumerate(rows):
            place = b.add(to_offset, b.mul(to_stride, ir.Constant(index, k)))
            _store(b, context, out, to_array, place, [row])
        return context.get_dummy_value()

    return types.void(array, starts, types.intp, out, types.intp, types.intp), emit
