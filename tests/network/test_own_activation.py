"""Activations of a user's own, each defined in one place: here."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from helpers import forward, gradient_by_differences, loss_and_gradient, make
from numpy.testing import assert_allclose
from scipy.sparse import csr_array
from scipy.special import expit

from truesparse import SparseMLPClassifier
from truesparse.network.activations import Activation, Tanh
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.runtime.plugins import names, plugin, resolve


@dataclass(frozen=True)
class Swish(Activation):
    """z / (1 + exp(−steepness · z)), whose derivative cannot be computed from its values."""

    steepness: float = 1.0

    def apply(self, z):
        z *= expit(self.steepness * z)

    def times_derivative(self, errors, sums):
        s = expit(self.steepness * sums)
        errors *= s * (1 + self.steepness * sums * (1 - s))


@dataclass(frozen=True)
class OwnTanh(Activation):
    """tanh z, with a derivative from its values."""

    keeps_sums: ClassVar[bool] = False

    def apply(self, z):
        np.tanh(z, out=z)

    def times_derivative(self, errors, outputs):
        errors *= 1 - outputs**2


@dataclass(frozen=True)
class PReLU(Activation):
    """z where z > 0, else slope · z, with a slope that every unit learns."""

    n_params: ClassVar[int] = 1

    def first_params(self, n_units, rng):
        return np.full((1, n_units), 0.25)

    def forward(self, workspace, layer, params):
        a, sums = workspace.lanes_of(layer), workspace.saved_of(layer)
        sums[:] = a
        a *= np.where(sums > 0, 1, params.T)

    def backward(self, workspace, layer, params, gradient, bias_gradient):
        errors, sums = workspace.lanes_of(layer), workspace.saved_of(layer)
        np.sum(errors * np.minimum(sums, 0), axis=1, out=gradient[0])
        errors *= np.where(sums > 0, 1, params.T)
        np.sum(errors, axis=1, out=bias_gradient)


OWN = [Swish(), OwnTanh(), PReLU()]


@pytest.fixture(scope="module")
def _short_names():
    """Registered when the tests run, so that no other test is made for them."""
    plugin("activation", swish={}, steep_swish={"steepness": 3.0})(Swish)


@pytest.mark.parametrize("activation", OWN)
@pytest.mark.parametrize("dense", [(), (1,), (0, 1, 2)])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradient_is_the_slope_of_the_loss(activation, dense, dropout, rng):
    network = make(rng, activation, dense=dense, density=1.0 if dense else 0.4, dropout=dropout)
    x, target = rng.standard_normal((6, 10)), rng.integers(3, size=10)
    value = lambda: loss_and_gradient(network, SoftmaxCrossEntropy(), x, target, np.random.default_rng(5))  # noqa: E731
    _, gradient = value()
    assert_allclose(gradient, gradient_by_differences(network, lambda: value()[0]), rtol=1e-5, atol=1e-7)


def test_a_derivative_from_values_is_that_of_the_kernels(rng):
    x, target = rng.standard_normal((6, 10)), rng.integers(3, size=10)
    results = [
        loss_and_gradient(make(np.random.default_rng(1), activation), SoftmaxCrossEntropy(), x, target)
        for activation in (Tanh(), OwnTanh())
    ]
    for own, known in zip(*results, strict=True):
        assert_allclose(own, known, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("activation", ["swish", "steep_swish", *OWN], ids=str)
@pytest.mark.parametrize("kind", [np.asarray, csr_array])
@pytest.mark.usefixtures("_short_names")
def test_estimators_train_with_it(activation, kind, digits):
    X_train, X_test, y_train, y_test = digits
    model = SparseMLPClassifier((100, 80), activation=activation, epsilon=3, max_iter=20, random_state=0)
    assert model.fit(kind(X_train), y_train).score(kind(X_test), y_test) > 0.9


def test_snip_scores_with_it(digits):
    X_train, X_test, y_train, y_test = digits
    model = SparseMLPClassifier(
        (100, 80), evolution="static", topology_init="snip", activation=Swish(), epsilon=3, max_iter=20, random_state=0
    )
    assert model.fit(X_train, y_train).score(X_test, y_test) > 0.8


def test_an_own_function_never_meets_what_an_earlier_batch_left_in_unread_units(rng):
    @dataclass(frozen=True)
    class Exp(Activation):
        def apply(self, z):
            assert np.all(z < 50)
            np.exp(z, out=z)

        def times_derivative(self, errors, sums):
            errors *= np.exp(sums)

    network = make(rng, Exp(), density=0.1, dense=())
    x, workspace = 0.1 * rng.standard_normal((6, 10)), network.workspace(10)
    loss_and_gradient(network, SoftmaxCrossEntropy(), x, rng.integers(3, size=10))  # from now on, it skips some units
    for _ in range(5):
        assert np.isfinite(forward(network, x, workspace)).all()


@pytest.mark.usefixtures("_short_names")
def test_short_names_are_registered():
    assert {"swish", "steep_swish", "relu"} <= set(names("activation"))
    assert resolve("activation", "steep_swish") == Swish(3.0)
    assert resolve("activation", Swish(2.0)) == Swish(2.0)
    with pytest.raises(ValueError, match=r"activation='swash' is not registered"):
        resolve("activation", "swash")


def test_exports_say_that_they_do_not_know_it(digits, tmp_path):
    model = SparseMLPClassifier((10,), activation=Swish(), max_iter=1).fit(*digits[::2])
    with pytest.raises(ValueError, match=r"activation=Swish\(steepness=1.0\) cannot be exported"):
        model.export_numpy(tmp_path / "model")
    assert not (tmp_path / "model").exists()
