import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels.table import LOGISTIC, TANH
from truesparse.network.activations import AllReLU, PiecewiseLinear, SReLU
from truesparse.runtime.plugins import names, resolve


def test_smooth_ones_by_their_formulas(rng):
    formulas = {"tanh": np.tanh, "logistic": lambda z: 1 / (1 + np.exp(-z))}
    assert formulas.keys() == {
        name for name in names("activation") if resolve("activation", name).kind in (TANH, LOGISTIC)
    }
    for name, formula in formulas.items():
        z = rng.standard_normal((6, 7))
        expected = formula(z)
        resolve("activation", name).apply(z)
        assert_allclose(z, expected, rtol=1e-12)


def test_all_relu_alternates():
    assert [AllReLU(0.5).at_layer(layer) for layer in range(3)] == [
        PiecewiseLinear(-0.5), PiecewiseLinear(0.5), PiecewiseLinear(-0.5)
    ]  # fmt: skip
    assert AllReLU(np.uint8(1)).at_layer(0).slope == -1


@pytest.mark.parametrize("activation", [PiecewiseLinear, AllReLU])
@pytest.mark.parametrize("slope", [float("nan"), 1e300, -1e39, 10**400, True])
def test_bad_slopes_are_named(activation, slope):
    with pytest.raises(ValueError, match=f"slope={slope!r} must be a number".replace("+", r"\+")):
        activation(slope)


def test_logistic_does_not_overflow():
    z = np.array([[-1000.0, 1000.0]], dtype=np.float32)
    resolve("activation", "logistic").apply(z)
    assert_array_equal(z, [[0, 1]])


def test_srelu_begins_as_the_experiments_of_set_do(rng):
    t_l, a_l, w, a_r = SReLU().first_params(3000, rng)
    assert_array_equal(t_l, 0)
    assert_array_equal(a_r, 1)
    bound = np.sqrt(3 / 3000)
    for drawn in (a_l, w):
        assert abs(drawn).max() <= bound
        assert_allclose(drawn.std(), bound / np.sqrt(3), rtol=0.05)
