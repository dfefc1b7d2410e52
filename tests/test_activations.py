import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.activations import ACTIVATIONS, AllReLU, PiecewiseLinear

FORMULAS = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "all_relu": lambda z: np.where(z > 0, z, -0.6 * z),  # the first layer's
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "identity": lambda z: z,
}


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_value_and_derivative(name, rng):
    activation = ACTIVATIONS[name].at_layer(0)
    z = rng.standard_normal((6, 7))
    kept = z.copy()
    a = z if activation.in_place else np.empty_like(z)
    activation.forward(z, a)
    assert_allclose(a, FORMULAS[name](kept), rtol=1e-12)
    delta = np.ones_like(z)
    activation.backward(z, a, delta)
    h = 1e-6
    assert_allclose(delta, (FORMULAS[name](kept + h) - FORMULAS[name](kept - h)) / (2 * h), rtol=1e-6, atol=1e-8)


def test_all_relu_alternates():
    assert [AllReLU(0.5).at_layer(layer) for layer in range(3)] == [
        PiecewiseLinear(-0.5), PiecewiseLinear(0.5), PiecewiseLinear(-0.5)
    ]  # fmt: skip


def test_the_input_is_kept_where_the_derivative_needs_it():
    """With a negative slope both signs of z give a positive output, which then says nothing of the slope."""
    assert not AllReLU().at_layer(0).in_place
    assert AllReLU().at_layer(1).in_place


def test_bad_slopes_are_named():
    with pytest.raises(ValueError, match="slope=nan"):
        PiecewiseLinear(float("nan"))


def test_logistic_does_not_overflow():
    z = np.array([[-1000.0, 1000.0]], dtype=np.float32)
    ACTIVATIONS["logistic"].forward(z, z)
    assert_array_equal(z, [[0, 1]])
