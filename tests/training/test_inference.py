import numpy as np
from helpers import make, random_csr
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.training import inference
from truesparse.training.inference import forward_all


def test_forward_all_is_the_same_bytes_alone_and_among_others(rng):
    network = make(rng, sizes=(6, 50, 50, 3), dtype=np.float32)
    X = rng.standard_normal((300, 6)).astype(np.float32)
    together = forward_all(network, X)
    assert together.shape == (3, 300)
    for sample in (0, 17, 299):
        assert_array_equal(forward_all(network, X[sample : sample + 1])[:, 0], together[:, sample])
    order = rng.permutation(300)
    assert_array_equal(forward_all(network, X[order]), together[:, order])


def test_dense_and_sparse_data_in_batches_of_any_size(rng):
    network = make(rng)
    X = random_csr((300, 6), 0.5, rng)
    whole = forward_all(network, X.toarray())
    assert_array_equal(forward_all(network, X), whole)
    assert_allclose(forward_all(network, X, batch_size=7), whole, rtol=1e-12, atol=1e-12)


def test_a_large_network_takes_few_samples_at_a_time_for_the_same_bytes(rng, monkeypatch):
    network = make(rng, sizes=(6, 50, 50, 3), dtype=np.float32, dense=())
    assert network.is_batch_invariant
    X = rng.standard_normal((300, 6)).astype(np.float32)
    whole = forward_all(network, X)
    sizes, workspace = [], network.workspace

    def noted(batch_size, **options):
        sizes.append(batch_size)
        return workspace(batch_size, **options)

    monkeypatch.setattr(network, "workspace", noted)
    forward_all(network, X[:1])
    monkeypatch.setattr(inference, "_LARGE", 0)
    for n_samples in (1, 20, 50, 300):
        assert_array_equal(forward_all(network, X[:n_samples]), whole[:, :n_samples])
    assert sizes == [112, 1, 20, 50, 112]


def test_what_is_made_of_each_batch(rng):
    network = make(rng, sizes=(6, 50, 50, 3))
    X = rng.standard_normal((300, 6))
    z, shapes = forward_all(network, X), []

    def best(z):
        shapes.append(z.shape)
        return z.argmax(axis=0)

    assert_array_equal(forward_all(network, X, of=best), z.argmax(axis=0))
    assert shapes == [(3, 112), (3, 112), (3, 76)]
