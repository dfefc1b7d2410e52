import numpy as np
from helpers import random_csr
from numpy.testing import assert_array_equal

from truesparse.data.batches import BatchReader, in_batches
from truesparse.network.workspace import BatchShape


def test_dense_and_csr_hold_the_same(rng, dtype):
    X = random_csr((20, 7), 0.2, rng, dtype)
    dense, sparse = BatchReader(X.toarray()), BatchReader(X)
    for samples in (np.array([4, 4, 19]), np.arange(8)):
        out = np.empty((7, 16), dtype=dtype)
        dense.read_into(out, samples)
        assert_array_equal(out[:, : samples.size], X.toarray()[samples].T)
        inputs = sparse.read_sparse(samples, 16)
        assert_array_equal(inputs.features, np.unique(X[samples].indices))
        assert_array_equal(inputs.values[:, : samples.size], X.toarray()[samples].T[inputs.features])


def test_shapes_of_batches():
    for batch, n_tiles, n_lanes in ((1, 1, 16), (100, 1, 112), (128, 1, 128), (129, 2, 112), (1000, 8, 128)):
        shape = BatchShape.of(batch)
        assert (shape.n_tiles, shape.n_lanes) == (n_tiles, n_lanes)
        assert n_tiles * n_lanes <= shape.stride <= n_tiles * n_lanes + 16
        assert shape.stride // 16 % 2 == 1


def test_in_batches():
    assert [part.tolist() for part in in_batches(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]
