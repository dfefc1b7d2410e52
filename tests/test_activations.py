import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.activations import ACTIVATIONS, AllReLU, PiecewiseLinear


def test_smooth_ones_by_their_formulas(rng):
    formulas = {"tanh": np.tanh, "logistic": lambda z: 1 / (1 + np.exp(-z))}
    assert formulas.keys() == {name for name, activation in ACTIVATIONS.items() if activation.is_smooth}
    for name, formula in formulas.items():
        z = rng.standard_normal((6, 7))
        expected = formula(z)
        ACTIVATIONS[name].apply(z)
        assert_allclose(z, expected, rtol=1e-12)


def test_all_relu_alternates():
    assert [AllReLU(0.5).at_layer(layer) for layer in range(3)] == [
        PiecewiseLinear(-0.5), PiecewiseLinear(0.5), PiecewiseLinear(-0.5)
    ]  # fmt: skip


def test_bad_slopes_are_named():
    with pytest.raises(ValueError, match="slope=nan"):
        PiecewiseLinear(float("nan"))


def test_logistic_does_not_overflow():
    z = np.array([[-1000.0, 1000.0]], dtype=np.float32)
    ACTIVATIONS["logistic"].apply(z)
    assert_array_equal(z, [[0, 1]])
