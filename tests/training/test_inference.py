import numpy as np
from helpers import make, random_csr
from numpy.testing import assert_array_equal

from truesparse.data.source import array_source
from truesparse.training import inference


def forward_all(network, X, **options):
    return inference.forward_all(network, array_source(X), **options)


def test_forward_all_is_the_same_bytes_alone_and_among_others(rng):
    network = make(rng, sizes=(6, 50, 50, 3), dtype=np.float32)
    X = rng.standard_normal((300, 6)).astype(np.float32)
    together = forward_all(network, X)
    assert together.shape == (3, 300)
    for sample in (0, 17, 299):
        assert_array_equal(forward_all(network, X[sample : sample + 1])[:, 0], together[:, sample])
    order = rng.permutation(300)
    assert_array_equal(forward_all(network, X[order]), together[:, order])


def test_dense_and_sparse_data(rng):
    network = make(rng)
    X = random_csr((300, 6), 0.5, rng)
    assert_array_equal(forward_all(network, X), forward_all(network, X.toarray()))


def sizes_of_workspaces(network, monkeypatch):
    """Return a list that will hold the batch sizes of the workspaces that are made for the network."""
    sizes, workspace = [], network.workspace

    def noted(batch_size, **options):
        sizes.append(batch_size)
        return workspace(batch_size, **options)

    monkeypatch.setattr(network, "workspace", noted)
    return sizes


def test_few_samples_many_and_those_of_a_large_network_have_the_same_bytes(rng, monkeypatch):
    network = make(rng, sizes=(6, 50, 50, 3), dtype=np.float32, dense=())
    assert network.is_batch_invariant
    X = rng.standard_normal((300, 6)).astype(np.float32)
    sizes = sizes_of_workspaces(network, monkeypatch)
    whole = forward_all(network, X)
    monkeypatch.setattr(inference, "_MANY", 300)
    assert_array_equal(forward_all(network, X), whole)
    monkeypatch.setattr(inference, "_LARGE", 0)
    for n_samples in (1, 20, 50, 300):
        assert_array_equal(forward_all(network, X[:n_samples]), whole[:, :n_samples])
    assert sizes == [32, 112, 1, 20]


def test_a_network_with_blas_layers_always_gets_batches_of_one_size(rng, monkeypatch):
    network = make(rng, sizes=(6, 50, 50, 3), dtype=np.float32)
    assert not network.is_batch_invariant
    X = rng.standard_normal((300, 6)).astype(np.float32)
    sizes = sizes_of_workspaces(network, monkeypatch)
    whole = forward_all(network, X)
    monkeypatch.setattr(inference, "_LARGE", 0)
    assert_array_equal(forward_all(network, X[:1]), whole[:, :1])
    assert sizes == [112]


def test_what_is_made_of_each_batch(rng):
    network = make(rng, sizes=(6, 50, 50, 3))
    X = rng.standard_normal((300, 6))
    z, shapes = forward_all(network, X), []

    def best(z):
        shapes.append(z.shape)
        return z.argmax(axis=0)

    assert_array_equal(forward_all(network, X, of=best), z.argmax(axis=0))
    assert shapes == [(3, 112), (3, 112), (3, 76)]  # this network has a BLAS layer
