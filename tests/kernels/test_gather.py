import numpy as np
from helpers import random_csr, read_only
from numpy.testing import assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.gather import gather_csr, gather_dense, present_features


def test_dense_samples_become_columns(dtype, rng):
    x = rng.standard_normal((20, 33)).astype(dtype)
    for samples in (np.array([3]), np.array([19, 0, 3, 3]), rng.integers(20, size=37)):
        padded = -(-samples.size // 16) * 16
        out = np.full((33, padded + 16), np.nan, dtype)
        gather_dense(*read_only(x, samples), out)
        assert_array_equal(out[:, : samples.size], reference.gather_dense(x, samples))
        assert_array_equal(out[:, samples.size : padded], np.repeat(x[samples[-1:]].T, padded - samples.size, axis=1))
        assert np.isnan(out[:, padded:]).all()


def test_sparse_samples_become_columns_of_the_features_they_store(dtype, rng):
    x = random_csr((20, 33), 0.1, rng, dtype)
    samples = np.array([19, 0, 3, 3, 7])
    arrays = read_only(x.data, x.indices, x.indptr)
    seen, found = np.zeros(33, np.int32), np.full(40, -1)
    n = present_features(*arrays[1:], samples, seen, found)
    features, expected = reference.gather_csr(x.data, x.indices, x.indptr, samples, 33)
    assert_array_equal(found[:n], reference.present_features(x.indices, x.indptr, samples))
    assert_array_equal(np.sort(found[:n]), features)
    assert not seen.any()
    out = np.full((n, 16), np.nan, dtype)
    gather_csr(*arrays, samples, features, seen, out)
    assert_array_equal(out[:, :5], expected)
    assert not out[:, 5:].any()
    assert not seen.any()


def test_entries_that_occur_twice_are_added_up():
    data, indices, indptr = np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0], np.int32), np.array([0, 3], np.int32)
    seen, found, out = np.zeros(3, np.int32), np.empty(3, np.int64), np.empty((2, 16))
    assert present_features(indices, indptr, np.array([0]), seen, found) == 2
    gather_csr(data, indices, indptr, np.array([0]), np.array([0, 1]), seen, out)
    assert_array_equal(out[:, 0], [4, 3])
