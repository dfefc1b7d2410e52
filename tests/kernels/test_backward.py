import numpy as np
import pytest
from helpers import BATCHED_SHAPES as SHAPES
from helpers import backward, forward, random_csr, tolerance, two_layers
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.data.source import array_source
from truesparse.kernels import reference
from truesparse.network.activations import ACTIVATIONS, PiecewiseLinear
from truesparse.network.layers import SparseLinear
from truesparse.network.mlp import MLP
from truesparse.topology import Pattern


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_gradient_is_the_sampled_dense_product(shape, density, dtype, rng):
    fan_out, fan_in, batch = shape
    w = random_csr((fan_out, fan_in), density, rng, dtype)
    network = MLP([SparseLinear(Pattern.from_csr(w))], PiecewiseLinear(), dtype=dtype)
    x = rng.standard_normal((fan_in, batch)).astype(dtype)
    delta = rng.standard_normal((fan_out, batch)).astype(dtype)
    workspace = network.workspace(batch)
    workspace.a[:fan_out] = np.nan
    network.gradient[:] = np.nan
    forward(network, x, workspace)
    backward(network, delta, workspace)
    layer = network.layers[0]
    scale = np.sqrt(batch)
    expected = reference.weight_gradient(w.indices, w.indptr, delta, x)
    assert_allclose(layer.data_gradient / scale, expected / scale, **tolerance(dtype))
    assert_allclose(layer.bias_gradient / scale, delta.sum(axis=1) / scale, **tolerance(dtype))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("batch", [1, 33, 200])
def test_errors_replace_the_activations(activation, dropout, batch, dtype, rng):
    kind = ACTIVATIONS[activation].at_layer(0)
    first, second = random_csr((30, 9), 0.4, rng, dtype), random_csr((20, 30), 0.3, rng, dtype)
    network = MLP(
        [SparseLinear(Pattern.from_csr(first)), SparseLinear(Pattern.from_csr(second))],
        ACTIVATIONS[activation], dropout=dropout, dtype=dtype,
    )  # fmt: skip
    network.layers[0].data[:], network.layers[1].data[:] = first.data, second.data
    (learnt,) = network.activation_slices()
    network.params[learnt] = rng.normal(0, 0.5, learnt.stop - learnt.start)
    x = rng.standard_normal((9, batch)).astype(dtype)
    delta = rng.standard_normal((20, batch)).astype(dtype)
    workspace = network.workspace(batch)
    forward(network, x, workspace, rng, all_units=True)
    factors = workspace.factors[:30, :batch] if dropout else 1
    z = first @ x
    derivative = {
        "tanh": lambda: 1 - np.tanh(z) ** 2,
        "logistic": lambda: np.exp(-z) / (1 + np.exp(-z)) ** 2,
        "srelu": lambda: reference.srelu_errors(np.ones_like(z), z, network.params[learnt].reshape(4, 30))[0],
    }.get(activation, lambda: np.where(z > 0, 1, getattr(kind, "slope", 1)))()
    backward(network, delta, workspace)
    expected = reference.input_errors(second.data, second.indices, second.indptr, delta, derivative, factors)
    read = np.isin(np.arange(30), second.indices)
    assert_allclose(workspace.outputs_of(0)[read], expected[read], **tolerance(dtype))
    gradient = reference.weight_gradient(first.indices, first.indptr, expected, x)
    assert_allclose(network.layers[0].data_gradient, gradient, rtol=1e-4, atol=1e-4 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("batch", [5, 100, 300])
def test_sparse_inputs_give_the_same_gradient(batch, dtype, rng):
    X = random_csr((400, 50), 0.02, rng, dtype)
    w = random_csr((300, 50), 0.2, rng, dtype)
    network = two_layers(w, 0.1, dtype)
    samples = rng.integers(400, size=batch)
    delta = rng.standard_normal((300, batch)).astype(dtype)
    gradients = []
    for data in (X, X.toarray()):
        source = array_source(data)
        workspace = network.workspace(batch, dense_inputs=not source.is_sparse)
        network.gradient[:] = np.nan
        source.read(samples, workspace)
        network.forward(workspace)
        backward(network, delta, workspace)
        gradients.append(network.gradient.copy())
    assert_array_equal(*gradients)
