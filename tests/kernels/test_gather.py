import numpy as np
import pytest
from helpers import random_csr, read_only
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from truesparse.kernels import reference
from truesparse.kernels.gather import gather_csr, gather_dense


@pytest.mark.parametrize("n_features", [1, 15, 16, 17, 50])
@pytest.mark.parametrize("samples", [[0], [3, 1, 1, 9], list(range(10))])
def test_dense_and_csr_are_the_reference(n_features, samples, dtype, rng):
    x = random_csr((10, n_features), 0.4, rng, dtype)
    dense, samples = x.toarray(), np.array(samples)
    out = np.full((n_features, samples.size), np.nan, dtype=dtype)
    gather_dense(*read_only(dense, samples), out)
    assert_array_equal(out, reference.gather_dense(dense, samples))
    out[:] = np.nan
    gather_csr(*read_only(x.data, x.indices, x.indptr, samples), out)
    assert_array_equal(out, reference.gather_csr(x.data, x.indices, x.indptr, samples, n_features))


def test_entries_that_occur_twice_are_added_up():
    x = csr_array((np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 3))
    gather_csr(x.data, x.indices, x.indptr, np.array([0]), out := np.empty((3, 1)))
    assert_array_equal(out[:, 0], [4, 3, 0])
