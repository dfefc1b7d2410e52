import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.layers import DenseLinear, SparseLinear
from truesparse.topology import Pattern


def bound(layer, rng):
    data, bias = rng.standard_normal(layer.nnz), rng.standard_normal(layer.shape[0])
    layer.bind(data, bias, np.zeros_like(data), np.zeros_like(bias))
    return layer


def test_a_full_sparse_layer_and_a_dense_one_are_the_same(rng):
    shape = (7, 5)
    sparse = bound(SparseLinear(Pattern.from_keys(np.arange(35), shape)), rng)
    dense = DenseLinear(shape)
    dense.bind(sparse.data, sparse.bias, np.zeros(35), np.zeros(7))
    x, delta = rng.standard_normal((5, 11)), rng.standard_normal((7, 11))
    outputs, inputs = [], []
    for layer in (sparse, dense):
        layer.forward(x, out := np.full((7, 11), np.nan))
        layer.backward_input(delta, back := np.full((5, 11), np.nan))
        layer.backward_parameters(x, delta)
        outputs.append(out)
        inputs.append(back)
    assert_allclose(*outputs)
    assert_allclose(*inputs)
    assert_allclose(sparse.data_gradient, dense.data_gradient)
    assert_allclose(sparse.bias_gradient, dense.bias_gradient)
    assert_array_equal(sparse.weight.toarray(), dense.weight)
    assert_array_equal(dense.pattern.keys, sparse.pattern.keys)


def test_weight_is_a_view_of_the_parameters(rng):
    layer = bound(SparseLinear(Pattern.sample((4, 6), 9, rng)), rng)
    weight = layer.weight
    assert np.shares_memory(weight.data, layer.data)
    weight.data[0] = 42
    assert layer.data[0] == 42
    assert weight.shape == (4, 6)
    assert weight.nnz == 9
