import numpy as np
import pytest
from helpers import tolerance
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.jit import threads
from truesparse.kernels.update import adam_step, all_finite, sgd_step, smallest_normal


def vectors(rng, dtype, n, how_many):
    return [rng.standard_normal(n).astype(dtype) for _ in range(how_many)]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("n_penalised", [0, 20, 37])
def test_sgd_is_the_reference(nesterov, n_penalised, dtype, rng):
    params, gradient, velocity = vectors(rng, dtype, 37, 3)
    scalars = dtype(0.1), dtype(0.9), nesterov, dtype(0.01), n_penalised, smallest_normal(dtype)
    expected = reference.sgd_step(params, gradient, velocity, *scalars)
    kept = gradient.copy()
    sgd_step(params, gradient, velocity, *scalars)
    assert_allclose(params, expected[0], **tolerance(dtype))
    assert_allclose(velocity, expected[1], **tolerance(dtype))
    assert_array_equal(gradient, kept)


@pytest.mark.parametrize("n_penalised", [0, 20, 37])
def test_adam_is_the_reference(n_penalised, dtype, rng):
    params, gradient, mean, square = vectors(rng, dtype, 37, 4)
    square = np.abs(square)
    scalars = dtype(0.1), dtype(0.9), dtype(0.999), dtype(1e-8), dtype(0.01), n_penalised, smallest_normal(dtype)
    expected = reference.adam_step(params, gradient, mean, square, *scalars)
    adam_step(params, gradient, mean, square, *scalars)
    for actual, wanted in zip((params, mean, square), expected, strict=True):
        assert_allclose(actual, wanted, **tolerance(dtype))


def test_same_bytes_for_every_number_of_threads(dtype, rng):
    """A length that no vector and no thread divides evenly."""
    start = vectors(rng, dtype, 10_007, 4)
    start[3] = np.abs(start[3])
    results = []
    for n in (1, 2):
        params, gradient, mean, square = (vector.copy() for vector in start)
        with threads(n):
            for step in (dtype(0.1), dtype(0.01)):
                adam_step(
                    params, gradient, mean, square, step, dtype(0.9), dtype(0.999), dtype(1e-8), dtype(0.01), 5000,
                    smallest_normal(dtype),
                )  # fmt: skip
                sgd_step(params, gradient, mean, step, dtype(0.9), True, dtype(0.01), 5000, smallest_normal(dtype))
        results.append((params, mean, square))
    for one, two in zip(*results, strict=True):
        assert_array_equal(one, two)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_subnormal_numbers_are_flushed(dtype):
    tiny = smallest_normal(dtype)
    params = np.array([tiny / 2, -tiny / 2, tiny * 4, 1], dtype=dtype)
    velocity = np.full(4, tiny / 4, dtype=dtype)
    sgd_step(params, np.zeros(4, dtype), velocity, dtype(0.1), dtype(0.9), False, dtype(0), 4, tiny)
    assert_array_equal(params, np.array([0, 0, tiny * 4, 1], dtype=dtype))
    assert_array_equal(velocity, 0)
    mean, square = np.full(4, tiny / 4, dtype=dtype), np.full(4, tiny / 4, dtype=dtype)
    params = np.array([tiny / 2, -tiny / 2, tiny * 4, 1], dtype=dtype)
    adam_step(params, np.zeros(4, dtype), mean, square, dtype(0), dtype(0.9), dtype(0.999), dtype(1), dtype(0), 4, tiny)
    assert_array_equal(params, np.array([0, 0, tiny * 4, 1], dtype=dtype))
    assert not mean.any()
    assert not square.any()


def test_nan_stays_nan():
    """Flushing compares magnitudes; NaN must not be taken for something small."""
    params, velocity = np.array([1.0, 1.0]), np.zeros(2)
    sgd_step(params, np.array([np.nan, 1.0]), velocity, 0.1, 0.9, True, 0.0, 2, smallest_normal(np.float64))
    assert np.isnan(params[0])
    assert np.isfinite(params[1])


@pytest.mark.parametrize("n", [0, 1, 5000])
def test_all_finite(n, dtype, rng):
    values = rng.standard_normal(n).astype(dtype)
    assert all_finite(values)
    assert reference.all_finite(values)
    for bad in (np.nan, np.inf, -np.inf):
        for i in (0, n // 2, n - 1) if n else ():
            kept, values[i] = values[i], bad
            assert not all_finite(values)
            assert not reference.all_finite(values)
            values[i] = kept
