import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.srelu import srelu, srelu_errors


def layer(rng, dtype, n_units=7, stride=48):
    """Sums of one layer that lies between others, and parameters with units on all three pieces."""
    a = rng.standard_normal((n_units + 5, stride)).astype(dtype)
    params = np.stack([rng.normal(-0.5, 0.3, n_units), *rng.normal(0, 0.5, (2, n_units)), rng.normal(1, 0.5, n_units)])
    return a, params.astype(dtype)


def test_values(rng, dtype):
    a, params = layer(rng, dtype)
    before, sums = a.copy(), np.full_like(a, np.nan)
    srelu(a.reshape(-1), sums.reshape(-1), params, 2, 48, 32)
    z = before[2:9, :32]
    assert_allclose(a[2:9, :32], reference.srelu(z, params), rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)
    assert_array_equal(sums[2:9, :32], z)
    a[2:9, :32] = z
    assert_array_equal(a, before)  # nothing else was touched


def test_errors_and_gradients(rng, dtype):
    a, params = layer(rng, dtype)
    sums = rng.standard_normal(a.shape).astype(dtype)
    before, gradient, biases = a.copy(), np.full_like(params, np.nan), np.full(7, np.nan, dtype=dtype)
    srelu_errors(a.reshape(-1), sums.reshape(-1), params, gradient, biases, 2, 48, 32)
    errors, expected = reference.srelu_errors(before[2:9, :32], sums[2:9, :32], params)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-11}
    assert_allclose(a[2:9, :32], errors, **close)
    assert_allclose(gradient, expected, **close)
    assert_allclose(biases, errors.sum(axis=1), **close)
    assert_array_equal(a[:2], before[:2])


def test_it_is_continuous_and_relu_for_its_parameters():
    relu = np.array([[0.0], [0.0], [0.0], [1.0]])
    z = np.linspace(-2, 2, 16)
    a, sums = z.copy(), np.empty(16)
    srelu(a, sums, relu, 0, 16, 16)
    assert_array_equal(a, np.maximum(z, 0))
    kinked = np.array([[-0.5], [0.2], [-1.0], [3.0]])  # thresholds -0.5 and 0.5
    at = np.array([-0.5 - 1e-9, -0.5 + 1e-9, 0.5 - 1e-9, 0.5 + 1e-9, -1.5, 1.5] + [0.0] * 10)
    a = at.copy()
    srelu(a, sums, kinked, 0, 16, 16)
    assert_allclose(a[:4], at[:4], atol=1e-8)
    assert_allclose(a[4:6], [-0.7, 3.5])
