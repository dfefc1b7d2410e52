import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array

from truesparse.evolution.snip import draw_as_in_dense
from truesparse.network.initial_weights import Dense, FanIn, Glorot, draw
from truesparse.topology import Pattern

# Rows with 3, 1 and 0 inputs out of 4.
PATTERN = Pattern.from_edges(np.array([0, 0, 0, 1]), np.array([0, 1, 3, 2]), (3, 4))


@pytest.mark.parametrize(
    ("initializer", "bounds"),
    [
        (FanIn(gain=1.0), [np.sqrt(6 / 3), np.sqrt(6), 0]),
        (FanIn(gain=0.5), [np.sqrt(6 / 3) / 2, np.sqrt(6) / 2, 0]),
        (Dense(gain=1.0), [np.sqrt(6 / 4)] * 3),
        (Glorot(gain=2.0), [2 * np.sqrt(6 / 7)] * 3),
    ],
)
def test_bounds_by_hand(initializer, bounds):
    assert_allclose(initializer.bounds(PATTERN), bounds)


def test_draws_are_uniform_within_the_bounds_of_their_rows(rng):
    draws = np.array([draw(FanIn(1.0), PATTERN, slice(None), rng) for _ in range(4000)])
    bounds = np.array([np.sqrt(2)] * 3 + [np.sqrt(6)])
    assert np.all(np.abs(draws) <= bounds)
    assert_allclose(draws.std(axis=0), bounds / np.sqrt(3), rtol=0.05)
    assert_allclose(draws.mean(axis=0), 0, atol=0.1)


@pytest.mark.parametrize("initializer", [FanIn, Dense, Glorot])
@pytest.mark.parametrize("gain", [float("nan"), -1, float("inf"), "a", 10**400, 1e39, True])
def test_bad_gains_are_named(initializer, gain):
    with pytest.raises(ValueError, match=re.escape(f"gain={gain!r}")):
        initializer(gain)


@pytest.mark.parametrize(
    "returned",
    [
        None, 0.5, "wide", [0.5, 0.5], [[0.5], [0.5], [0.5]], [0.5, [0.5], 0.5], [0.5, np.nan, 0.5], [0.5, -0.1, 0.5],
        [0.5, np.inf, 0.5], [0.5, 1e39, 0.5], ["1", "1", "1"], [1j, 1j, 1j], [None, 1, 1], [True, True, True],
        np.ma.masked_array([0.5, 0.5, 0.5], mask=[True, False, False]), csr_array([[0.5, 0.5, 0.5]]),
    ],
)  # fmt: skip
def test_bounds_of_a_custom_initializer_are_checked(returned, rng):
    class Custom:
        def bounds(self, pattern):
            return returned

        def __repr__(self):
            return "Custom()"

    message = (
        r"Custom\(\) must return bounds of shape \(3,\) between 0 and 3\.4e\+38 for the weights into 3 units, got "
    )
    for function in (draw, draw_as_in_dense):
        arguments = (slice(None), rng) if function is draw else (rng,)
        with pytest.raises(ValueError, match=message):
            function(Custom(), PATTERN, *arguments)


def test_bounds_may_be_a_list_of_integers(rng):
    class Custom:
        def bounds(self, pattern):
            return [0, 1, 2]

    assert_allclose(draw(Custom(), PATTERN, slice(0, 3), rng), 0)


def test_some_slots_only(rng):
    assert draw(Dense(), PATTERN, np.array([False, True, False, True]), rng).shape == (2,)


@pytest.mark.parametrize(("initializer", "factor"), [(FanIn(1.0), 1.0), (Dense(1.0), 2 / 2000)])
def test_mean_square_behind_a_relu_layer(initializer, factor, rng):
    """The reason for the rule: with 2 of 2000 inputs per unit, a layer keeps the mean square, or a thousandth of it."""
    x = np.maximum(rng.standard_normal((2000, 300)), 0)
    pattern = Pattern.sample((2000, 2000), 4000, rng, balanced=True)
    weights = np.zeros((2000, 2000))
    weights[pattern.rows, pattern.indices] = draw(initializer, pattern, slice(None), rng)
    after = np.maximum(weights @ x, 0)
    assert_allclose((after**2).mean() / (x**2).mean(), factor, rtol=0.1)
