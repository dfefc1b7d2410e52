import numpy as np
import pytest
from helpers import random_csr, read_only, tolerance
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.jit import threads
from truesparse.kernels.spmm import spmm_bias, spmm_transposed
from truesparse.topology import Pattern

SHAPES = [(1, 1, 1), (5, 3, 1), (7, 30, 33), (64, 9, 128), (4, 5, 100)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_forward_is_the_dense_product(shape, density, dtype, rng):
    fan_out, fan_in, batch = shape
    w = random_csr((fan_out, fan_in), density, rng, dtype)
    x = rng.standard_normal((fan_in, batch)).astype(dtype)
    bias = rng.standard_normal(fan_out).astype(dtype)
    out = np.full((fan_out, batch), np.nan, dtype=dtype)
    spmm_bias(w.data, w.indices, w.indptr, bias, x, out)
    assert_allclose(out, reference.spmm_bias(w.data, w.indices, w.indptr, bias, x), **tolerance(dtype))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_transposed_is_the_dense_product(shape, density, dtype, rng):
    fan_out, fan_in, batch = shape
    w = random_csr((fan_out, fan_in), density, rng, dtype)
    delta = rng.standard_normal((fan_out, batch)).astype(dtype)
    index = Pattern.from_csr(w).transposed_index
    out = np.full((fan_in, batch), np.nan, dtype=dtype)
    spmm_transposed(w.data, *index, delta, out)
    assert_allclose(out, reference.spmm_transposed(w.data, *index, delta), **tolerance(dtype))
    assert_allclose(out, w.toarray().T @ delta, **tolerance(dtype))


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 20), st.integers(1, 40), st.floats(0, 1))
def test_the_two_products_are_adjoint(seed, fan_out, fan_in, batch, density):
    rng = np.random.default_rng(seed)
    w = random_csr((fan_out, fan_in), density, rng)
    x, y = rng.standard_normal((fan_in, batch)), rng.standard_normal((fan_out, batch))
    wx, wty = np.empty_like(y), np.empty_like(x)
    spmm_bias(w.data, w.indices, w.indptr, np.zeros(fan_out), x, wx)
    spmm_transposed(w.data, *Pattern.from_csr(w).transposed_index, y, wty)
    assert_allclose(np.sum(y * wx), np.sum(wty * x), rtol=1e-9, atol=1e-9)


def test_read_only_inputs(rng):
    w = random_csr((6, 5), 0.5, rng)
    x, bias = rng.standard_normal((5, 3)), np.zeros(6)
    out = np.empty((6, 3))
    spmm_bias(*read_only(w.data, w.indices, w.indptr, bias, x), out)
    assert_allclose(out, w @ x)


def test_int64_indices(rng):
    w = random_csr((6, 5), 0.5, rng)
    x, out = rng.standard_normal((5, 3)), np.empty((6, 3))
    spmm_bias(w.data, w.indices.astype(np.int64), w.indptr.astype(np.int64), np.zeros(6), x, out)
    assert_allclose(out, w @ x)


def test_same_bytes_for_every_number_of_threads(rng):
    w = random_csr((501, 300), 0.1, rng, np.float32)
    x = rng.standard_normal((300, 100)).astype(np.float32)
    delta = rng.standard_normal((501, 100)).astype(np.float32)
    index = Pattern.from_csr(w).transposed_index
    results = []
    for n in (1, 2):
        out, back = np.empty_like(delta), np.empty_like(x)
        with threads(n):
            spmm_bias(w.data, w.indices, w.indptr, np.zeros(501, np.float32), x, out)
            spmm_transposed(w.data, *index, delta, back)
        results.append((out, back))
    assert_array_equal(results[0][0], results[1][0])
    assert_array_equal(results[0][1], results[1][1])


def test_nan_reaches_only_what_it_touches():
    """Fast-math must not fold NaN away, and a sample must not leak into another one."""
    w = random_csr((3, 3), 1.0, np.random.default_rng(0), np.float32)
    x = np.ones((3, 4), dtype=np.float32)
    x[1, 2] = np.nan
    out = np.empty((3, 4), dtype=np.float32)
    spmm_bias(w.data, w.indices, w.indptr, np.zeros(3, np.float32), x, out)
    assert_array_equal(np.isnan(out), [[False, False, True, False]] * 3)
