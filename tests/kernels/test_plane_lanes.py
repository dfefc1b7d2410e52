import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import lanes, plane_lanes
from truesparse.kernels.lanes import CHUNK, width_of


@numba.njit
def _use(x, y, out, sums, width):
    a, b = lanes.load(x, 0, width), lanes.load(y, 0, width)
    n = CHUNK * len(width)
    lanes.store(out, 0, plane_lanes.plus(a, b))
    lanes.store(out, n, plane_lanes.add_product(a, b, a))
    lanes.store(out, 2 * n, plane_lanes.relu(a))
    lanes.store(out, 3 * n, plane_lanes.where_above_zero(a, b))
    plane_lanes.add_products(a, b, sums, 1)


@pytest.mark.parametrize("n", [16, 48, 128])
def test_every_function_against_numpy(n, dtype, rng):
    x, y = rng.standard_normal((2, n)).astype(dtype)
    x[0], y[1], x[2] = np.nan, 0, -0.0
    out, sums = np.full(4 * n, np.nan, dtype), np.arange(18, dtype=dtype)
    _use(x, y, out, sums, width_of(n))
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    assert_array_equal(out[:n], x + y)
    assert_allclose(out[n : 2 * n], x * y + x, **close)
    assert_array_equal(out[2 * n : 3 * n], np.where(x <= 0, 0, x))  # NaN remains, so that a training sees it
    assert_array_equal(out[3 * n :], np.where(y > 0, x, 0))
    assert_allclose(sums[1:17], np.arange(1, 17) + (x * y).reshape(-1, CHUNK).sum(axis=0), **close)
    assert_array_equal(sums[[0, 17]], [0, 17])
