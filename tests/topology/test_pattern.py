import copy
import pickle
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from scipy.stats import chisquare

from truesparse.topology import Pattern


def assert_canonical(pattern):
    csr = csr_array((np.ones(pattern.nnz), pattern.indices, pattern.indptr), shape=pattern.shape)
    csr.check_format(full_check=True)
    assert np.all(np.diff(pattern.keys) > 0)
    assert pattern.indptr[0] == 0
    assert pattern.indptr[-1] == pattern.nnz


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.booleans())
def test_sample_has_exactly_nnz_canonical_connections(seed, fan_out, fan_in, density, balanced):
    nnz = round(density * fan_out * fan_in)
    pattern = Pattern.sample((fan_out, fan_in), nnz, np.random.default_rng(seed), balanced=balanced)
    assert pattern.nnz == nnz
    assert_canonical(pattern)
    if balanced:
        for units, size in ((pattern.rows, fan_out), (pattern.indices, fan_in)):
            degrees = np.bincount(units, minlength=size)
            assert degrees.max() - degrees.min() <= 1


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("nnz", [2, 6, 9])
def test_every_pair_is_equally_likely(balanced, nnz, rng):
    counts = np.zeros(12)
    for _ in range(6000):
        counts[Pattern.sample((3, 4), nnz, rng, balanced=balanced).keys] += 1
    assert counts.sum() == 6000 * nnz
    assert chisquare(counts).pvalue > 1e-4


def test_every_uniform_pattern_is_equally_likely(rng):
    patterns = [tuple(Pattern.sample((2, 3), 3, rng).keys) for _ in range(8000)]
    _, counts = np.unique(patterns, axis=0, return_counts=True)
    assert counts.size == 20  # 6 choose 3
    assert chisquare(counts).pvalue > 1e-4


@given(st.integers(0, 2**32), st.integers(1, 15), st.integers(1, 15), st.floats(0, 1), st.floats(0, 1))
def test_absent_pairs_are_absent_and_distinct(seed, fan_out, fan_in, density, share):
    rng = np.random.default_rng(seed)
    pattern = Pattern.sample((fan_out, fan_in), round(density * fan_out * fan_in), rng)
    n = round(share * (pattern.n_pairs - pattern.nnz))
    rows, columns = pattern.sample_absent(n, rng)
    both = Pattern.from_edges(
        np.concatenate([pattern.rows, rows]), np.concatenate([pattern.indices, columns]), pattern.shape
    )
    assert both.nnz == pattern.nnz + n


def test_absent_pairs_are_uniform(rng):
    pattern = Pattern.from_edges(np.array([0, 1, 2]), np.array([1, 1, 3]), (3, 4))
    counts = np.zeros(12)
    for _ in range(6000):
        rows, columns = pattern.sample_absent(4, rng)
        counts[rows * 4 + columns] += 1
    assert_array_equal(np.flatnonzero(counts == 0), pattern.keys)
    assert chisquare(counts[counts > 0]).pvalue > 1e-4


def test_too_many_absent_pairs(rng):
    with pytest.raises(ValueError, match=r"n=3 .* only 2 are absent"):
        Pattern.sample((2, 2), 2, rng).sample_absent(3, rng)


def test_a_layer_of_a_million_by_a_million(rng):
    """10⁷ of 10¹² pairs: possible only in time and memory that follow nnz."""
    started = time.perf_counter()
    pattern = Pattern.sample((10**6, 10**6), 10**7, rng)
    print(f"{time.perf_counter() - started:.1f} s")
    assert pattern.nnz == 10**7
    assert pattern.indices.dtype == np.int32
    assert np.all(np.diff(pattern.keys) > 0)


@pytest.mark.parametrize("nnz", [-1, 7])
def test_impossible_nnz(nnz, rng):
    with pytest.raises(ValueError, match=rf"nnz={nnz} must lie between 0 and fan_out · fan_in = 6"):
        Pattern.sample((2, 3), nnz, rng)


def test_a_pattern_is_immutable_and_copies_are_itself(rng):
    pattern = Pattern.sample((4, 5), 5, rng)
    with pytest.raises(ValueError, match="read-only"):
        pattern.indices[0] = 3
    assert copy.deepcopy(pattern) is pattern
    stored = pickle.dumps(pattern)
    again = pickle.loads(stored)
    assert_array_equal(again.keys, pattern.keys)
    assert not again.indices.flags.writeable


def test_full(rng):
    assert_array_equal(Pattern.full((2, 3)).keys, np.arange(6))
    assert Pattern.sample((2, 3), 6, rng, balanced=True).indices.dtype == np.int32


def test_density_and_sparsity(rng):
    pattern = Pattern.sample((4, 5), 5, rng)
    assert pattern.density == 0.25
    assert pattern.sparsity == 0.75


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([0, 3], [0, 0], r"rows must lie in \[0, 3\)"),
        ([-1], [0], r"rows must lie in \[0, 3\)"),
        ([0], [4], r"columns must lie in \[0, 4\)"),
        ([1, 1], [2, 2], "distinct"),
        ([1, 1], [2], "one length"),
        ([0.5], [0], "integers"),
    ],
)
def test_edges_are_checked(rows, columns, message):
    with pytest.raises(ValueError, match=message):
        Pattern.from_edges(np.array(rows), np.array(columns), (3, 4))


def test_csr_with_indices_outside_is_refused():
    """SciPy makes such a matrix without complaint; a kernel would read foreign memory."""
    damaged = csr_array((np.ones(1), np.array([10**6]), np.array([0, 1, 1, 1, 1])), shape=(4, 4))
    with pytest.raises(ValueError, match=r"indices|column index"):
        Pattern.from_csr(damaged)
