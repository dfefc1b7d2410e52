import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.jit import threads
from truesparse.kernels.losses import (
    ABSOLUTE,
    BINARY,
    HUBER,
    POISSON,
    SQUARED,
    losses_of_outputs,
    softmax_cross_entropy,
    weigh,
)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(2, 1), (3, 16), (10, 100), (300, 7)])
def test_against_the_reference(shape, smoothing, dtype, rng):
    z = (5 * rng.standard_normal(shape)).astype(dtype)
    target = rng.integers(shape[0], size=shape[1])
    expected, expected_losses = reference.softmax_cross_entropy(z.astype(np.float64), target, smoothing)
    out, losses = np.full(shape, np.nan, dtype), np.empty(shape[1])
    softmax_cross_entropy(z, target, smoothing, out, losses)
    close = {"rtol": 1e-4, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-14}
    assert_allclose(out, expected, **close)
    assert_allclose(losses, expected_losses, rtol=1e-5, atol=1e-6)
    in_place = z.copy()
    softmax_cross_entropy(in_place, target, smoothing, in_place, losses)
    assert_array_equal(in_place, out)
    softmax_cross_entropy(z, target[:0], smoothing, out, losses[:0])
    assert_allclose(out.sum(axis=0), 1, rtol=1e-5)


def test_a_sample_has_the_same_bytes_wherever_it_stands(rng):
    z = rng.standard_normal((7, 50)).astype(np.float32)
    none, no_losses = np.empty(0, dtype=np.int64), np.empty(0)
    whole, alone = np.empty_like(z), np.empty((7, 1), dtype=np.float32)
    with threads(2):
        softmax_cross_entropy(z, none, 0.0, whole, no_losses)
    for s in (0, 17, 49):
        softmax_cross_entropy(np.ascontiguousarray(z[:, s : s + 1]), none, 0.0, alone, no_losses)
        assert_array_equal(alone[:, 0], whole[:, s])


@pytest.mark.parametrize("kind", [BINARY, SQUARED, ABSOLUTE, HUBER, POISSON])
def test_losses_of_outputs(kind, dtype, rng):
    z = rng.normal(0, 2, (3, 40)).astype(dtype)
    values = rng.integers(3 if kind == POISSON else 2, size=(40, 3)).astype(dtype)
    expected, expected_gradient = reference.losses_of_outputs(kind, 0.7, z, values)
    losses = np.empty(40)
    losses_of_outputs(kind, 0.7, z, values, z, losses)  # the gradient may take the place of z
    assert_allclose(losses, expected, rtol=1e-5)
    assert_allclose(z, expected_gradient, rtol=1e-5, atol=1e-6)


def test_weigh(dtype, rng):
    gradient, losses, weights = rng.standard_normal((3, 40)).astype(dtype), rng.random(40), rng.random(40)
    for given in (weights, np.empty(0)):
        expected = reference.weigh(gradient, losses, given if given.size else np.ones(40), 50)
        got = gradient.copy(), losses.copy()
        weigh(*got, given, 50)
        assert_allclose(got[0], expected[0], rtol=1e-6)
        assert_allclose(got[1], expected[1])
