import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.select import k_smallest, nth_absent


@given(arrays(np.float32, st.integers(1, 60), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, np.inf, -1.0])), st.data())
def test_k_smallest_takes_exactly_k_and_the_first_of_equals(scores, data):
    k = data.draw(st.integers(0, scores.size))
    assert_array_equal(k_smallest(scores, k), reference.k_smallest(scores, k))


def test_all_equal_scores():
    assert_array_equal(k_smallest(np.zeros(5), 2), [True, True, False, False, False])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_k_smallest_of_many(dtype, rng):
    scores = rng.standard_normal(10_000).astype(dtype)
    chosen = k_smallest(scores, 1234)
    assert chosen.sum() == 1234
    assert scores[chosen].max() <= scores[~chosen].min()


@given(st.integers(1, 80), st.data())
def test_nth_absent_is_the_reference(n_pairs, data):
    keys = np.array(sorted(data.draw(st.sets(st.integers(0, n_pairs - 1), max_size=n_pairs - 1))), dtype=np.int64)
    n_absent = n_pairs - keys.size
    ranks = np.array(sorted(data.draw(st.sets(st.integers(0, n_absent - 1)))), dtype=np.int64)
    assert_array_equal(nth_absent(ranks, keys), reference.nth_absent(ranks, keys, n_pairs))


def test_nth_absent_beyond_32_bits():
    assert_array_equal(nth_absent(np.array([0, 10**12]), np.array([0, 5])), [1, 10**12 + 2])
