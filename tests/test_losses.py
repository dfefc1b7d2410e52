import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss

from truesparse.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError


def cases(rng):
    z = rng.standard_normal((3, 5))
    return {
        "softmax": (SoftmaxCrossEntropy(), z, rng.integers(3, size=5)),
        "binary": (BinaryCrossEntropy(), z, rng.integers(2, size=(5, 3)).astype(float)),
        "squared": (SquaredError(), z, rng.standard_normal((5, 3))),
    }


@pytest.mark.parametrize("name", ["softmax", "binary", "squared"])
def test_gradient_is_the_slope_of_the_loss(name, rng):
    loss, z, target = cases(rng)[name]
    gradient, scratch = np.empty_like(z), np.empty_like(z)
    loss(z, target, gradient)
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = 1e-6
        slope = (loss(z + step, target, scratch) - loss(z - step, target, scratch)) / 2e-6
        assert_allclose(gradient[index], slope, rtol=1e-6, atol=1e-9)


def test_values_by_other_means(rng):
    loss, z, target = cases(rng)["softmax"]
    assert_allclose(loss(z, target, np.empty_like(z)), log_loss(target, loss.predictions(z).T, labels=range(3)))
    loss, z, target = cases(rng)["binary"]
    p = loss.predictions(z).T
    by_hand = -np.mean(np.sum(target * np.log(p) + (1 - target) * np.log(1 - p), axis=1))
    assert_allclose(loss(z, target, np.empty_like(z)), by_hand)
    loss, z, target = cases(rng)["squared"]
    assert_allclose(loss(z, target, np.empty_like(z)), 0.5 * np.mean(np.sum((z.T - target) ** 2, axis=1)))


@pytest.mark.parametrize("name", ["softmax", "binary"])
def test_extreme_outputs_stay_finite(name, rng, dtype):
    loss, z, target = cases(rng)[name]
    z = np.where(z > 0, dtype(1e4), dtype(-1e4)).astype(dtype)
    gradient = np.empty_like(z)
    assert np.isfinite(loss(z, target.astype(dtype) if target.ndim > 1 else target, gradient))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["softmax", "binary", "squared"])
def test_dtype_is_kept(name, rng):
    loss, z, _ = cases(rng)[name]
    assert loss.predictions(z.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("name", ["softmax", "binary", "squared"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_infinite_sums_make_an_infinite_loss_without_a_warning(name, value, rng):
    loss, z, target = cases(rng)[name]
    z[:] = value
    if name == "squared":
        target[:] = value  # ∞ − ∞
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.isfinite(loss(z, target, np.empty_like(z)))
