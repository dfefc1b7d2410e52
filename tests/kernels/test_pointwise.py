import numpy as np
import pytest
from numpy.testing import assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.pointwise import piecewise_linear, piecewise_linear_backward


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.6, -0.6, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (40, 33)])
def test_is_the_reference(slope, shape, dtype, rng):
    z = rng.standard_normal(shape).astype(dtype)
    z[0, 0] = 0
    delta = rng.standard_normal(shape).astype(dtype)
    out = np.full(shape, np.nan, dtype=dtype)
    piecewise_linear(z, slope, out)
    assert_array_equal(out, reference.piecewise_linear(z, dtype(slope)))
    expected = reference.piecewise_linear_backward(z, dtype(slope), delta)
    piecewise_linear_backward(z, slope, delta)
    assert_array_equal(delta, expected)


def test_in_place(dtype, rng):
    z = rng.standard_normal((4, 6)).astype(dtype)
    expected = np.maximum(z, 0)
    piecewise_linear(z, 0.0, z)
    assert_array_equal(z, expected)


def test_nan_is_not_hidden_by_the_comparison():
    z = np.array([[np.nan, -1.0]])
    piecewise_linear(z, 0.5, z)
    assert_array_equal(z, [[np.nan, -0.5]])
