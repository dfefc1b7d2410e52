import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from truesparse.topology import Pattern, Rewiring


@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(2, 12), st.floats(0.1, 0.9), st.floats(0, 1))
def test_values_follow_their_pairs(seed, fan_out, fan_in, density, share):
    rng = np.random.default_rng(seed)
    old = Pattern.sample((fan_out, fan_in), max(1, round(density * fan_out * fan_in)), rng)
    dropped = np.zeros(old.nnz, dtype=bool)
    dropped[rng.choice(old.nnz, int(share * old.nnz), replace=False)] = True
    kept = Pattern.from_keys(old.keys[~dropped], old.shape)
    rows, columns = kept.sample_absent(int(dropped.sum()), rng)
    grown_keys = rng.permutation(rows * fan_in + columns)
    rewiring = Rewiring.replace(old, dropped, grown_keys)

    dense = np.zeros(old.shape)
    dense[old.rows, old.indices] = np.arange(1, old.nnz + 1)
    dense_kept = np.zeros(old.n_pairs)
    for key in np.concatenate([kept.keys, np.intersect1d(grown_keys, old.keys)]):
        dense_kept[key] = dense.flat[key]

    new = rewiring.pattern
    assert new.nnz == old.nnz
    assert_array_equal(new.keys, np.sort(np.concatenate([kept.keys, grown_keys])))
    assert_array_equal(rewiring.carry(np.arange(1.0, old.nnz + 1)), dense_kept[new.keys])
    assert_array_equal(rewiring.grown, ~np.isin(new.keys, old.keys))
    assert rewiring.n_replaced == rewiring.grown.sum()


def test_a_pair_that_returns_at_once_keeps_its_value():
    old = Pattern.from_edges(np.array([0, 1]), np.array([0, 1]), (2, 2))
    rewiring = Rewiring.replace(old, np.array([True, True]), np.array([3, 2]))  # (1, 1) returns, (1, 0) is new
    assert_array_equal(rewiring.pattern.keys, [2, 3])
    assert_array_equal(rewiring.source, [-1, 1])
    assert_array_equal(rewiring.carry(np.array([5.0, 7.0])), [0, 7])
    assert rewiring.n_replaced == 1


def test_carry_keeps_the_dtype():
    old = Pattern.from_edges(np.array([0]), np.array([0]), (1, 2))
    rewiring = Rewiring.replace(old, np.array([True]), np.array([1]))
    assert rewiring.carry(np.ones(1, dtype=np.float32)).dtype == np.float32
