from itertools import pairwise

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from truesparse.data import array_source
from truesparse.network.layers import DenseLinear, SparseLinear
from truesparse.network.mlp import MLP
from truesparse.runtime.plugins import resolve
from truesparse.runtime.random_streams import Draws
from truesparse.topology import Pattern


def bound(layer, rng):
    data, bias = rng.standard_normal(layer.nnz), rng.standard_normal(layer.shape[0])
    layer.bind(data, bias, np.zeros_like(data), np.zeros_like(bias))
    return layer


def test_full_sparse_layers_and_dense_ones_are_the_same(rng):
    """Wherever a layer that runs on BLAS stands, and whatever its inputs are."""
    sizes = [5, 7, 6, 4]
    X = rng.standard_normal((11, 5)) * (rng.random((11, 5)) < 0.4)
    for activation in ("relu", "tanh"):
        for data in (X, csr_array(X)):
            results = []
            for dense in ((), (0,), (1,), (2,), (0, 1, 2)):
                layers = [
                    DenseLinear((n, m)) if i in dense else SparseLinear(Pattern.full((n, m)))
                    for i, (m, n) in enumerate(pairwise(sizes))
                ]
                network = MLP(layers, resolve("activation", activation), dropout=0.3, dtype=np.float64)
                network.params[:] = np.random.default_rng(1).standard_normal(network.params.size)
                source = array_source(data)
                workspace = network.workspace(11, dense_inputs=not source.is_sparse)
                source.read(np.arange(11), workspace)
                z = network.forward(workspace, Draws(2, 5)).copy()
                network.backward(workspace)
                results.append((z, network.gradient.copy()))
            for z, gradient in results[1:]:
                assert_allclose(z, results[0][0], rtol=1e-10, atol=1e-12)
                assert_allclose(gradient, results[0][1], rtol=1e-10, atol=1e-12)


def test_large_full_layers_are_dense():
    patterns = [Pattern.full((64, 70)), Pattern.full((10, 64))]
    network = MLP.from_patterns(patterns, resolve("activation", "relu"))
    assert [layer.in_kernels for layer in network.layers] == [False, True]
    assert not any(layer.can_change for layer in network.layers)
    assert_array_equal(network.layers[0].pattern.keys, patterns[0].keys)
    assert np.shares_memory(network.layers[0].weight, network.params)


def test_weight_is_a_view_of_the_parameters(rng):
    layer = bound(SparseLinear(Pattern.sample((4, 6), 9, rng)), rng)
    weight = layer.weight
    assert layer.can_change
    assert np.shares_memory(weight.data, layer.data)
    weight.data[0] = 42
    assert layer.data[0] == 42
    assert weight.shape == (4, 6)
    assert weight.nnz == 9
