import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss, mean_poisson_deviance

from truesparse.network.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    Huber,
    Poisson,
    SoftmaxCrossEntropy,
    SquaredError,
    Weighted,
)

NAMES = ["softmax", "binary", "squared", "absolute", "huber", "poisson"]


def cases(rng):
    z = rng.standard_normal((3, 5))
    return {
        "softmax": (SoftmaxCrossEntropy(), z, rng.integers(3, size=5)),
        "binary": (BinaryCrossEntropy(), z, rng.integers(2, size=(5, 3)).astype(float)),
        "squared": (SquaredError(), z, rng.standard_normal((5, 3))),
        "absolute": (AbsoluteError(), z, rng.standard_normal((5, 3))),
        "huber": (Huber(0.8), z, rng.standard_normal((5, 3))),
        "poisson": (Poisson(), z, rng.integers(4, size=(5, 3)).astype(float)),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_the_slope_of_the_loss(name, weighted, rng):
    loss, z, target = cases(rng)[name]
    target = Weighted(target, rng.uniform(0, 3, size=5)) if weighted else target
    gradient, scratch = np.empty_like(z), np.empty_like(z)
    loss(z, target, gradient)
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = 1e-6
        slope = (loss(z + step, target, scratch) - loss(z - step, target, scratch)) / 2e-6
        assert_allclose(gradient[index], slope, rtol=1e-6, atol=1e-9)


def test_values_by_other_means(rng):
    def value():
        return loss(z, target, np.empty_like(z))

    loss, z, target = cases(rng)["softmax"]
    assert_allclose(value(), log_loss(target, loss.predictions(z).T, labels=range(3)))
    loss, z, target = cases(rng)["binary"]
    p = loss.predictions(z).T
    by_hand = -np.mean(np.sum(target * np.log(p) + (1 - target) * np.log(1 - p), axis=1))
    assert_allclose(value(), by_hand)
    loss, z, target = cases(rng)["squared"]
    assert_allclose(value(), 0.5 * np.mean(np.sum((z.T - target) ** 2, axis=1)))
    loss, z, target = cases(rng)["absolute"]
    assert_allclose(value(), np.mean(np.sum(np.abs(z.T - target), axis=1)))
    loss, z, target = cases(rng)["poisson"]
    assert_allclose(value(), 0.5 * 3 * mean_poisson_deviance(target.ravel(), np.exp(z.T).ravel()))


@pytest.mark.parametrize(("residual", "expected", "slope"), [(0.5, 0.125, 0.5), (-2, 2, -2), (5, 8, 2), (-5, 8, -2)])
def test_huber_by_hand(residual, expected, slope):
    gradient = np.empty((1, 1))
    assert Huber(2.0)(np.array([[residual + 7.0]]), np.array([[7.0]]), gradient) == expected
    assert gradient[0, 0] == slope


@pytest.mark.parametrize(
    ("loss", "statistic"), [(SquaredError(), np.mean), (AbsoluteError(), np.median), (Poisson(), np.mean)]
)
def test_the_best_constant_is_the_statistic(loss, statistic):
    t = np.array([0.0, 1, 1, 2, 7])[:, None]
    best = minimize_scalar(lambda z: loss(np.full((1, 5), z), t, np.empty((1, 5))), bounds=(-5, 8), method="bounded")
    assert_allclose(loss.predictions(np.array([best.x])), statistic(t), atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_of_two_is_a_sample_taken_twice(name, rng):
    loss, z, target = cases(rng)[name]
    counts = np.array([1, 2, 0, 3, 1])
    gradient, expected = np.empty_like(z), np.empty((3, 7))
    value = loss(z, Weighted(target, counts * 5 / 7), gradient)
    repeated = np.repeat(np.arange(5), counts)
    assert_allclose(value, loss(np.ascontiguousarray(z[:, repeated]), target[repeated], expected))
    for sample in range(5):
        assert_allclose(gradient[:, sample], expected[:, repeated == sample].sum(axis=1), atol=1e-15)


def test_weighted_targets_of_some_samples():
    part = Weighted(np.arange(4) * 10, np.array([0.5, 1, 1.5, 1]))[np.array([2, 0])]
    assert_array_equal(part.values, [20, 0])
    assert_array_equal(part.weights, [1.5, 0.5])


@pytest.mark.parametrize("name", ["softmax", "binary"])
def test_extreme_outputs_stay_finite(name, rng, dtype):
    loss, z, target = cases(rng)[name]
    z = np.where(z > 0, dtype(1e4), dtype(-1e4)).astype(dtype)
    gradient = np.empty_like(z)
    assert np.isfinite(loss(z, target.astype(dtype) if target.ndim > 1 else target, gradient))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", NAMES)
def test_dtype_is_kept(name, rng):
    loss, z, target = cases(rng)[name]
    z = z.astype(np.float32)
    assert loss.predictions(z).dtype == np.float32
    gradient = np.empty_like(z)
    loss(z, Weighted(target, np.ones(5)), gradient)
    assert gradient.dtype == np.float32


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_infinite_sums_make_an_infinite_loss_without_a_warning(name, value, rng):
    loss, z, target = cases(rng)[name]
    z[:] = value
    if name in ("squared", "absolute", "huber"):
        target[:] = value  # ∞ − ∞
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.isfinite(loss(z, target, np.empty_like(z)))


@pytest.mark.parametrize("delta", [0, -1, np.nan, "1"])
def test_huber_wants_a_positive_delta(delta):
    with pytest.raises(ValueError, match="delta="):
        Huber(delta)
