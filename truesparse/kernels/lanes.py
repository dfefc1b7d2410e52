"""Numbers that stay in vector registers: the samples of a batch, side by side.

The kernels work on one row of activations at a time: the same unit for up to 128 samples. A compiler that sees a
loop over the samples loads and stores the row for every weight; what makes the kernels fast is to keep it in
registers while all weights of a unit are added up. `Lanes` is a numba type for such a row. These functions are all
that can be done with it, each the emission of a few vector instructions:

| function | result |
|---|---|
| ``load(array, offset, width)`` | ``array[offset : offset + n]`` |
| ``store(array, offset, row)`` | writes it back |
| ``full(value, width)`` | the same number in every lane |
| ``axpy(scalar, x, row)`` | scalar · x + row, each lane rounded once |
| ``times(x, y)`` | x · y, lane by lane |
| ``total(x)``, ``dot(x, y)`` | Σ x, Σ x · y, in the order given below |
| ``dots(out, offset, d, array, start, rows, first, stride)`` | eight products of d with the rows of ``array`` at
  ``start + rows[first + k] · stride``, into ``out`` |
| ``positive(x, masks, offset)`` | writes one bit per lane: x > 0 |
| ``where_positive(x, slope, masks, offset)`` | x where the bit is set, else slope · x |

The number of lanes must be known when a kernel is compiled. It travels as the length of a tuple, ``width_of(n)``, the
only number of an argument that is part of its type. Arrays are one-dimensional and contiguous; offsets count their
elements and are not checked.

Sums have a fixed order, so that all machines and all kernels agree: chunks of 16 lanes are added up, the first
product rounded and all others fused; then the halves of the chunk, down to one number.

Where vector instructions cannot be emitted, ``TRUESPARSE_PLAIN_KERNELS=1`` in the environment makes the same functions
out of loops over NumPy arrays: the same bytes, many times slower. Without compilation (``NUMBA_DISABLE_JIT=1``) these
run as Python code; there, `_plain_fma` may round the last bit of a sum differently.
"""

import os

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, register_model

CHUNK = 16  # lanes per vector: a register of 512 bits as float32; the compiler takes several where they are smaller
PLAIN = bool(config.DISABLE_JIT) or os.environ.get("TRUESPARSE_PLAIN_KERNELS", "0") not in ("", "0")


def width_of(n_lanes):
    """The argument that tells a kernel the number of lanes, a multiple of 16."""
    return (0,) * (n_lanes // CHUNK)


class Lanes(types.Type):
    """`n` numbers of one dtype in registers."""

    def __init__(self, dtype, n):
        self.dtype, self.n = dtype, n
        super().__init__(name=f"Lanes({dtype}, {n})")


@register_model(Lanes)
class _LanesModel(PrimitiveModel):
    """A struct of vectors of 16: one vector of any other length would be cut up in less happy ways."""

    def __init__(self, manager, lanes):
        element = ir.FloatType() if lanes.dtype == types.float32 else ir.DoubleType()
        vector = ir.VectorType(element, CHUNK)
        super().__init__(manager, lanes, ir.LiteralStructType([vector] * (lanes.n // CHUNK)))


# Emission of instructions: `b` is the builder, rows are Python lists of vectors of 16.


def _chunks(b, row):
    return [b.extract_value(row, k) for k in range(len(row.type.elements))]


def _row(b, chunks):
    row = ir.Constant(ir.LiteralStructType([chunk.type for chunk in chunks]), ir.Undefined)
    for k, chunk in enumerate(chunks):
        row = b.insert_value(row, chunk, k)
    return row


def _splat(b, value):
    vector = ir.Constant(ir.VectorType(value.type, CHUNK), ir.Undefined)
    return _shuffle(b, b.insert_element(vector, value, ir.Constant(ir.IntType(32), 0)), vector, [0] * CHUNK)


def _shuffle(b, x, y, lanes):
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


def _fma(b, x, y, z):
    bits = 32 if isinstance(z.type.element, ir.FloatType) else 64
    name = f"llvm.fma.v{z.type.count}f{bits}"
    return b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(z.type, [z.type] * 3), name), [x, y, z])


def _sum_of_products(b, x, y):
    acc = b.fmul(x[0], y[0])
    for p, q in zip(x[1:], y[1:], strict=True):
        acc = _fma(b, p, q, acc)
    return acc


def _fold(b, vectors):
    """The sums of the lanes of one or eight vectors, as one vector.

    Halves of each vector are added to each other until one number of it is left. Two vectors with h useful numbers
    each are packed into one on the way, so that eight sums take hardly more instructions than two.
    """
    useful = CHUNK
    while useful > 1:
        half = useful // 2
        low = [start + lane for start in range(0, vectors[0].type.count, useful) for lane in range(half)]
        if len(vectors) > 1:
            low += [CHUNK + lane for lane in low]
            pairs = zip(vectors[0::2], vectors[1::2], strict=True)
        else:
            pairs = [(vectors[0], vectors[0])]
        high = [lane + half for lane in low]
        vectors = [b.fadd(_shuffle(b, x, y, low), _shuffle(b, x, y, high)) for x, y in pairs]
        useful = half
    return vectors[0]


def _element(b, context, array_type, array, offset):
    return b.gep(context.make_array(array_type)(context, b, array).data, [offset])


def _pointers(b, context, array_type, array, offset, lanes):
    """Where the chunks of a row lie in an array, with the alignment that can be relied on."""
    vector = context.get_value_type(lanes).elements[0]
    first = b.bitcast(_element(b, context, array_type, array, offset), vector.as_pointer())
    return [b.gep(first, [ir.Constant(ir.IntType(64), k)]) for k in range(lanes.n // CHUNK)]


def _load(b, context, array_type, array, offset, lanes):
    size = lanes.dtype.bitwidth // 8
    return [b.load(p, align=size) for p in _pointers(b, context, array_type, array, offset, lanes)]


@intrinsic
def _vector_load(typing, array, offset, width):
    lanes = Lanes(array.dtype, width.count * CHUNK)

    def codegen(context, b, signature, args):
        return _row(b, _load(b, context, array, args[0], args[1], lanes))

    return lanes(array, types.intp, width), codegen


@intrinsic
def _vector_store(typing, array, offset, row):
    def codegen(context, b, signature, args):
        pointers = _pointers(b, context, array, args[0], args[1], row)
        for pointer, chunk in zip(pointers, _chunks(b, args[2]), strict=True):
            b.store(chunk, pointer, align=row.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, row), codegen


@intrinsic
def _vector_full(typing, value, width):
    def codegen(context, b, signature, args):
        return _row(b, [_splat(b, args[0])] * width.count)

    return Lanes(value, width.count * CHUNK)(value, width), codegen


@intrinsic
def _vector_axpy(typing, scalar, x, row):
    def codegen(context, b, signature, args):
        factor = _splat(b, args[0])
        return _row(b, [_fma(b, factor, p, q) for p, q in zip(_chunks(b, args[1]), _chunks(b, args[2]), strict=True)])

    return row(row.dtype, x, row), codegen


@intrinsic
def _vector_times(typing, x, y):
    def codegen(context, b, signature, args):
        return _row(b, [b.fmul(p, q) for p, q in zip(_chunks(b, args[0]), _chunks(b, args[1]), strict=True)])

    return x(x, y), codegen


@intrinsic
def _vector_total(typing, x):
    def codegen(context, b, signature, args):
        acc, *others = _chunks(b, args[0])
        for chunk in others:
            acc = b.fadd(acc, chunk)
        return b.extract_element(_fold(b, [acc]), ir.Constant(ir.IntType(32), 0))

    return x.dtype(x), codegen


@intrinsic
def _vector_dot(typing, x, y):
    def codegen(context, b, signature, args):
        acc = _sum_of_products(b, _chunks(b, args[0]), _chunks(b, args[1]))
        return b.extract_element(_fold(b, [acc]), ir.Constant(ir.IntType(32), 0))

    return x.dtype(x, y), codegen


@intrinsic
def _vector_dots(typing, out, offset, d, array, start, rows, first, stride):
    def codegen(context, b, signature, args):
        out_array, out_offset, d_row, x_array, x_start, rows_array, first_row, row_stride = args
        d_chunks = _chunks(b, d_row)
        sums = []
        for k in range(8):
            position = b.add(first_row, ir.Constant(first_row.type, k))
            row = b.load(_element(b, context, rows, rows_array, position))
            position = b.add(x_start, b.mul(context.cast(b, row, rows.dtype, types.intp), row_stride))
            sums.append(_sum_of_products(b, d_chunks, _load(b, context, array, x_array, position, d)))
        folded = _fold(b, sums)
        pointer = b.bitcast(_element(b, context, out, out_array, out_offset), folded.type.as_pointer())
        b.store(folded, pointer, align=d.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(out, types.intp, d, array, types.intp, rows, types.intp, types.intp), codegen


def _mask_pointers(b, context, array_type, array, offset, n_chunks):
    first = _element(b, context, array_type, array, offset)
    return [b.gep(first, [ir.Constant(ir.IntType(64), k)]) for k in range(n_chunks)]


@intrinsic
def _vector_positive(typing, x, masks, offset):
    def codegen(context, b, signature, args):
        chunks = _chunks(b, args[0])
        zero = ir.Constant(chunks[0].type, [0.0] * CHUNK)
        pointers = _mask_pointers(b, context, masks, args[1], args[2], len(chunks))
        for pointer, chunk in zip(pointers, chunks, strict=True):
            b.store(b.bitcast(b.fcmp_ordered(">", chunk, zero), ir.IntType(CHUNK)), pointer)
        return context.get_dummy_value()

    return types.void(x, masks, types.intp), codegen


@intrinsic
def _vector_where_positive(typing, x, slope, masks, offset):
    def codegen(context, b, signature, args):
        chunks = _chunks(b, args[0])
        factor = _splat(b, args[1])
        pointers = _mask_pointers(b, context, masks, args[2], args[3], len(chunks))
        bits = [b.bitcast(b.load(p), ir.VectorType(ir.IntType(1), CHUNK)) for p in pointers]
        return _row(b, [b.select(m, chunk, b.fmul(factor, chunk)) for m, chunk in zip(bits, chunks, strict=True)])

    return x(x, x.dtype, masks, types.intp), codegen


# The same without vectors: a row is a NumPy array, and every operation a loop.


@intrinsic
def _scalar_fma(typing, x, y, z):
    def codegen(context, b, signature, args):
        bits = 32 if z == types.float32 else 64
        kind = args[2].type
        function = cgutils.get_or_insert_function(b.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.f{bits}")
        return b.call(function, args)

    return z(z, z, z), codegen


@njit
def _plain_fma(x, y, z):
    out = np.empty_like(z)
    for lane in range(z.size):
        out[lane] = _scalar_fma(x[lane], y[lane], z[lane])
    return out


if config.DISABLE_JIT:

    def _plain_fma(x, y, z):
        """Return x · y + z, by way of the next wider type, in which it is rounded a first time."""
        wide = np.float64 if z.dtype == np.float32 else np.longdouble
        return (x.astype(wide) * y + z).astype(z.dtype)


@njit
def _plain_load(array, offset, width):
    return array[offset : offset + CHUNK * len(width)].copy()


@njit
def _plain_store(array, offset, row):
    array[offset : offset + row.size] = row


@njit
def _plain_full(value, width):
    row = np.empty(CHUNK * len(width), dtype=type(value))
    row[:] = value
    return row


@njit
def _plain_axpy(scalar, x, row):
    return _plain_fma(np.full_like(row, scalar), x, row)


@njit
def _plain_times(x, y):
    return x * y


@njit
def _plain_fold(acc):
    useful = CHUNK
    while useful > 1:
        useful //= 2
        acc = acc[:useful] + acc[useful:]
    return acc[0]


@njit
def _plain_total(x):
    acc = x[:CHUNK]
    for start in range(CHUNK, x.size, CHUNK):
        acc = acc + x[start : start + CHUNK]
    return _plain_fold(acc)


@njit
def _plain_dot(x, y):
    acc = x[:CHUNK] * y[:CHUNK]
    for start in range(CHUNK, x.size, CHUNK):
        acc = _plain_fma(x[start : start + CHUNK], y[start : start + CHUNK], acc)
    return _plain_fold(acc)


@njit
def _plain_dots(out, offset, d, array, start, rows, first, stride):
    for k in range(8):
        position = start + rows[first + k] * stride
        out[offset + k] = _plain_dot(d, array[position : position + d.size])


@njit
def _plain_positive(x, masks, offset):
    for chunk in range(x.size // CHUNK):
        bits = np.uint16(0)
        for lane in range(CHUNK):
            bits |= np.uint16(x[chunk * CHUNK + lane] > 0) << np.uint16(lane)
        masks[offset + chunk] = bits


@njit
def _plain_where_positive(x, slope, masks, offset):
    out = np.empty_like(x)
    for lane in range(x.size):
        is_set = (masks[offset + lane // CHUNK] >> np.uint16(lane % CHUNK)) & np.uint16(1)
        out[lane] = x[lane] if is_set else x.dtype.type(slope) * x[lane]
    return out


load = _plain_load if PLAIN else _vector_load
store = _plain_store if PLAIN else _vector_store
full = _plain_full if PLAIN else _vector_full
axpy = _plain_axpy if PLAIN else _vector_axpy
times = _plain_times if PLAIN else _vector_times
total = _plain_total if PLAIN else _vector_total
dot = _plain_dot if PLAIN else _vector_dot
dots = _plain_dots if PLAIN else _vector_dots
positive = _plain_positive if PLAIN else _vector_positive
where_positive = _plain_where_positive if PLAIN else _vector_where_positive
