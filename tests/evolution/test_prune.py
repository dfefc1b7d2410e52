import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from truesparse.evolution import Magnitude, SignedMagnitude


def row(*values):
    """One CSR row that stores all values, zeros included."""
    n = len(values)
    return csr_array((np.array(values, dtype=float), np.arange(n), np.array([0, n])), shape=(1, n))


def dropped(rule, n, *values):
    return np.flatnonzero(rule([row(*values)], [n])[0]).tolist()


def test_magnitude_drops_the_smallest():
    assert dropped(Magnitude(), 2, 0.5, -0.1, 0.3, -2, 0.2) == [1, 4]


def test_magnitude_with_ties_drops_exactly_as_many_as_asked():
    assert dropped(Magnitude(), 2, 1, 1, -1, 1) == [0, 1]


def test_signed_drops_both_signs_in_proportion():
    # Six positive, two negative: of four, three smallest positive and one largest negative.
    assert dropped(SignedMagnitude(), 4, 1, 2, 3, 4, 5, 6, -10, -9) == [0, 1, 2, 7]


def test_signed_drops_zeros_first():
    assert dropped(SignedMagnitude(), 1, 1, 0, -1) == [1]
    assert dropped(SignedMagnitude(), 2, 0, 0, 0, -1) == [0, 1]
    assert dropped(SignedMagnitude(), 3, 1, 0, 2, -1, -2) == [0, 1, 3]


@pytest.mark.parametrize("rule", [Magnitude(), SignedMagnitude()])
@given(st.data())
def test_exactly_as_many_as_asked_whatever_the_weights(rule, data):
    values = data.draw(st.lists(st.sampled_from([0.0, 0.1, -0.1, 1.0, -1.0, 2.0, -3.0]), min_size=1, max_size=40))
    n = data.draw(st.integers(0, len(values)))
    assert len(dropped(rule, n, *values)) == n


def test_two_hundred_of_a_thousand_keep_both_signs(rng):
    """A well-known library drops 900 of 1000 here and keeps only negative weights."""
    weight = row(*rng.standard_normal(1000))
    mask = SignedMagnitude()([weight], [200])[0]
    kept = weight.data[~mask]
    assert mask.sum() == 200
    assert abs((kept > 0).sum() - 0.8 * (weight.data > 0).sum()) <= 1
    for sign in (1, -1):
        assert (sign * weight.data[mask & (sign * weight.data > 0)]).max() < (sign * kept[sign * kept > 0]).min()


def test_layers_are_independent():
    masks = Magnitude()([row(1, 2), row(4, 3)], [1, 1])
    assert_array_equal(masks, [[True, False], [False, True]])
