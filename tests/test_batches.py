import numpy as np
from helpers import random_csr
from numpy.testing import assert_array_equal

from truesparse.batches import BatchReader, in_batches


def test_dense_and_csr_give_the_same_columns(rng, dtype):
    X = random_csr((20, 7), 0.3, rng, dtype)
    for samples in (np.array([4, 4, 19]), np.arange(8)):
        for data in (X, X.toarray()):
            batch = BatchReader(data, 8).read(samples)
            assert batch.flags.c_contiguous
            assert batch.dtype == dtype
            assert_array_equal(batch, X.toarray()[samples].T)


def test_in_batches():
    assert [part.tolist() for part in in_batches(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]
