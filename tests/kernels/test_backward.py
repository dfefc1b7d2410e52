import numpy as np
import pytest
from helpers import BATCHED_SHAPES as SHAPES
from helpers import backward, factors_of_dropout, forward, random_csr, tolerance, two_layers
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.data import array_source
from truesparse.kernels import reference
from truesparse.kernels.backward import errors_of_products
from truesparse.kernels.lanes import width_of
from truesparse.kernels.table import ACTIVATION, FAN_OUT, LOGISTIC, PIECEWISE_LINEAR, TANH, empty_table
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.layers import SparseLinear
from truesparse.network.mlp import MLP
from truesparse.runtime.plugins import names, resolve
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


@pytest.mark.parametrize("activation", sorted(names("activation")))
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("batch", [1, 33, 200])
def test_errors_replace_the_activations(activation, dropout, batch, dtype, rng):
    kind = resolve("activation", activation).at_layer(0)
    first, second = random_csr((30, 9), 0.4, rng, dtype), random_csr((20, 30), 0.3, rng, dtype)
    network = MLP(
        [SparseLinear(Pattern.from_csr(first)), SparseLinear(Pattern.from_csr(second))],
        resolve("activation", activation), dropout=dropout, dtype=dtype,
    )  # fmt: skip
    network.layers[0].data[:], network.layers[1].data[:] = first.data, second.data
    (learnt,) = network.activation_slices()
    network.params[learnt] = rng.normal(0, 0.5, learnt.stop - learnt.start)
    x = rng.standard_normal((9, batch)).astype(dtype)
    delta = rng.standard_normal((20, batch)).astype(dtype)
    workspace = network.workspace(batch)
    forward(network, x, workspace, rng, all_units=True)
    factors = factors_of_dropout(workspace, 30) if dropout else 1
    z = first @ x
    derivative = {
        "tanh": lambda: 1 - np.tanh(z) ** 2,
        "logistic": lambda: np.exp(-z) / (1 + np.exp(-z)) ** 2,
        "srelu": lambda: reference.srelu_errors(np.ones_like(z), z, network.params[learnt].reshape(4, 30))[0],
    }.get(activation, lambda: np.where(z > 0, 1, getattr(kind, "slope", 1)))()
    hidden = workspace.outputs_of(0).copy()
    backward(network, delta, workspace)
    arrays = second.data, second.indices, second.indptr
    weights, biases, expected = reference.backward(*arrays, delta, hidden, derivative, factors)
    assert_allclose(network.layers[1].data_gradient, weights, rtol=1e-4, atol=1e-4 if dtype == np.float32 else 1e-10)
    assert_allclose(network.layers[1].bias_gradient, biases, rtol=1e-4, atol=1e-4 if dtype == np.float32 else 1e-10)
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


@pytest.mark.parametrize("batch", [5, 100])
def test_gradient_of_sparse_inputs_is_the_sampled_dense_product(batch, dtype, rng):
    X, w = random_csr((400, 50), 0.02, rng, dtype), random_csr((30, 50), 0.2, rng, dtype)
    network = MLP([SparseLinear(Pattern.from_csr(w))], PiecewiseLinear(), dtype=dtype)
    source, workspace = array_source(X), network.workspace(batch, dense_inputs=False)
    source.read(rng.integers(400, size=batch), workspace)
    network.forward(workspace)
    features, x = workspace.sparse_inputs.features, workspace.sparse_inputs.values[:, :batch]
    delta = rng.standard_normal((30, batch)).astype(dtype)
    network.gradient[:] = np.nan
    backward(network, delta, workspace)
    expected = reference.backward_sparse_inputs(w.indices, w.indptr, delta, features, x, 50)
    assert_allclose(network.layers[0].data_gradient, expected, **tolerance(dtype))


def by_tiles(bits):
    """Bits of three tiles of 16 lanes as kernels keep them, (3, n_units)."""
    return np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little").view(np.uint16).T)


@pytest.mark.parametrize("activation", ["piecewise linear", "tanh", "logistic"])
@pytest.mark.parametrize("drops", [False, True])
def test_errors_of_products_are_the_reference(activation, drops, dtype, rng):
    z, d = (rng.standard_normal((7, 48)).astype(dtype) for _ in range(2))
    kept = 1.5 if drops else 1.0
    bits = rng.integers(2, size=z.shape) if drops else np.ones(z.shape, int)
    factors = (kept * bits).astype(dtype)
    f, derivative, kind, slope = {
        "piecewise linear": (np.where(z > 0, z, -0.3 * z), np.where(z > 0, 1, -0.3), PIECEWISE_LINEAR, -0.3),
        "tanh": (np.tanh(z), 1 - np.tanh(z) ** 2, TANH, 1 / kept),
        "logistic": (1 / (1 + np.exp(-z)), np.exp(-z) / (1 + np.exp(-z)) ** 2, LOGISTIC, 1 / kept),
    }[activation]
    layer = empty_table(1)[0]
    layer[FAN_OUT], layer[ACTIVATION] = 7, kind
    masks = by_tiles(z > 0)
    gradient, a = np.full(7, np.nan, dtype), (factors * f).astype(dtype).reshape(-1)
    errors_of_products(
        layer, d.reshape(-1), dtype(slope), gradient, a, masks.reshape(-1),
        by_tiles(bits[: 7 if drops else 0]).reshape(-1), dtype(kept), 48,
        width_of(16), 3,
    )  # fmt: skip
    errors, biases = reference.errors_of_products(d, derivative, factors)
    assert_allclose(a.reshape(z.shape), errors, **tolerance(dtype))
    assert_allclose(gradient, biases, **tolerance(dtype))
