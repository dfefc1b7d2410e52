import numpy as np
import pytest
from helpers import BATCHED_SHAPES as SHAPES
from helpers import backward, bits_of, factors_of_dropout, forward, random_csr, tolerance, two_layers
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.data import array_source
from truesparse.kernels import reference
from truesparse.kernels.forward import activate
from truesparse.kernels.jit import threads
from truesparse.kernels.lanes import width_of
from truesparse.kernels.table import FAN_OUT, empty_table
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.layers import SparseLinear
from truesparse.network.mlp import MLP
from truesparse.topology import Pattern


def full_of_nan(network, batch):
    workspace = network.workspace(batch)
    workspace.a[: -network.layer_sizes[0]] = np.nan
    return workspace


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("slope", [0.0, -0.6])
def test_forward_is_the_dense_product(shape, density, slope, dtype, rng):
    fan_out, fan_in, batch = shape
    w = random_csr((fan_out, fan_in), density, rng, dtype)
    network = two_layers(w, slope, dtype)
    network.layers[0].bias[:] = rng.standard_normal(fan_out)
    x = rng.standard_normal((fan_in, batch)).astype(dtype)
    workspace = full_of_nan(network, batch)
    z = forward(network, x, workspace)
    expected, signs = reference.forward(w.data, w.indices, w.indptr, network.layers[0].bias, x, slope)
    assert_allclose(workspace.outputs_of(0), expected, **tolerance(dtype))
    assert_array_equal(z, workspace.outputs_of(0))
    bits = bits_of(workspace.masks, fan_out)[:, :batch]
    assert np.all((bits == signs) | (np.abs(expected) < 1e-5))


def test_factors_multiply_what_went_through_the_activation(dtype, rng):
    w = random_csr((9, 7), 0.5, rng, dtype)
    network = two_layers(w, 0.5, dtype, dropout=0.4)
    x = rng.standard_normal((7, 20)).astype(dtype)
    workspace = full_of_nan(network, 20)
    forward(network, x, workspace, rng)
    factors = factors_of_dropout(workspace, 9)
    expected, _ = reference.forward(w.data, w.indices, w.indptr, network.layers[0].bias, x, 0.5, factors)
    assert_allclose(workspace.outputs_of(0), expected, **tolerance(dtype))
    assert np.any(factors == 0)


@pytest.mark.parametrize("batch", [5, 100, 300])
def test_sparse_inputs_give_the_same_bytes(batch, dtype, rng):
    X = random_csr((400, 50), 0.02, rng, dtype)
    w = random_csr((300, 50), 0.2, rng, dtype)
    network = two_layers(w, 0.1, dtype)
    network.layers[0].bias[:] = rng.standard_normal(300)
    samples = rng.integers(400, size=batch)
    results = []
    for data in (X, X.toarray()):
        source = array_source(data)
        workspace = network.workspace(batch, dense_inputs=not source.is_sparse)
        source.read(samples, workspace)
        z = network.forward(workspace)
        results.append((z.copy(), bits_of(workspace.masks, 300)))
    assert_array_equal(results[0][0], results[1][0])
    assert_array_equal(results[0][1][:, :batch], results[1][1][:, :batch])


@pytest.mark.parametrize("batch", [5, 100])
def test_sparse_inputs_are_the_dense_product(batch, dtype, rng):
    X, w = random_csr((400, 50), 0.01, rng, dtype), random_csr((30, 50), 0.2, rng, dtype)
    network = two_layers(w, 0.1, dtype)
    network.layers[0].bias[:] = rng.standard_normal(30)
    source, workspace = array_source(X), network.workspace(batch, dense_inputs=False)
    source.read(rng.integers(400, size=batch), workspace)
    z = network.forward(workspace)
    features, x = workspace.sparse_inputs.features, workspace.sparse_inputs.values[:, :batch]
    assert features.size < 50 or batch == 100
    expected, _ = reference.forward_sparse_inputs(
        w.data, w.indices, w.indptr, network.layers[0].bias, features, x, 50, 0.1
    )
    assert_allclose(z, expected, **tolerance(dtype))


@pytest.mark.parametrize("drops", [False, True])
def test_activate_is_the_reference(drops, dtype, rng):
    z = rng.standard_normal((7, 48)).astype(dtype)
    layer, index = empty_table(1)[0], np.empty(0, np.int32)
    layer[FAN_OUT] = 7
    a, masks, kept = z.copy(), np.zeros((3, 7, 1), np.uint16), np.zeros((3, 7 if drops else 0, 1), np.uint16)
    dropout = np.uint64(5), np.uint16(20000), dtype(1.5)
    activate(
        layer, dtype(-0.3), a.reshape(-1), masks.reshape(-1), kept.reshape(-1), dropout, 48, index, width_of(16), 3
    )
    factors = dtype(1.5) * reference.draw(5, range(7), 48, 20000) if drops else 1
    expected, signs = reference.activate(z, dtype(-0.3), factors)
    assert_array_equal(a, expected)
    assert_array_equal(bits_of(masks, 7), signs)


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 20), st.integers(1, 40), st.floats(0, 1))
def test_the_products_of_both_passes_are_adjoint(seed, fan_out, fan_in, batch, density):
    """⟨y, W x⟩ = ⟨Wᵀ y, x⟩, where x comes out of an identity layer, so that it has an error."""
    rng = np.random.default_rng(seed)
    w = random_csr((fan_out, fan_in), density, rng)
    eye = Pattern.from_edges(np.arange(fan_in), np.arange(fan_in), (fan_in, fan_in))
    network = MLP([SparseLinear(eye), SparseLinear(Pattern.from_csr(w))], PiecewiseLinear(1.0), dtype=np.float64)
    network.layers[0].data[:], network.layers[1].data[:] = 1, w.data
    x, y = rng.standard_normal((fan_in, batch)), rng.standard_normal((fan_out, batch))
    workspace = network.workspace(batch)
    wx = forward(network, x, workspace, all_units=True).copy()
    backward(network, y, workspace)
    errors = np.where(np.isin(np.arange(fan_in), w.indices)[:, None], workspace.outputs_of(0), 0)
    assert_allclose(np.sum(y * wx), np.sum(errors * x), rtol=1e-9, atol=1e-9)


def test_int64_indices(rng):
    w = random_csr((40, 50), 0.3, rng, np.float32)
    network = two_layers(w, 0.0, np.float32)
    x = rng.standard_normal((50, 7)).astype(np.float32)
    workspace = network.workspace(7)
    narrow = forward(network, x, workspace).copy()
    backward(network, narrow, workspace)
    gradient = network.gradient.copy()
    pattern = network.layers[0].pattern
    network.layers[0].pattern = Pattern(
        pattern.shape, pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64)
    )
    assert_array_equal(forward(network, x, workspace), narrow)
    backward(network, narrow, workspace)
    assert_array_equal(network.gradient, gradient)


def test_units_that_nothing_reads_are_left_out_unless_asked_for(rng):
    """Nor do errors come from them."""
    edges = [([0, 0, 1, 2], [0, 1, 2, 3]), ([0, 1, 1, 2], [0, 1, 2, 2]), ([0, 1], [0, 2])]
    shapes = [(3, 4), (3, 3), (2, 3)]  # unit 1 of the second layer is read by none, so that unit 1 below it is in vain
    patterns = [Pattern.from_edges(*map(np.array, pairs), shape) for pairs, shape in zip(edges, shapes, strict=True)]
    network = MLP([SparseLinear(pattern) for pattern in patterns], PiecewiseLinear(0.0), dtype=np.float64)
    network.params[:] = rng.uniform(1, 2, network.params.size)
    x, workspace = rng.uniform(1, 2, (4, 5)), full_of_nan(network, 5)
    for _ in range(2):  # from the first backward pass on, the network knows who reads whom
        z = forward(network, x, workspace).copy()
        backward(network, np.ones((2, 5)), workspace)
        assert_array_equal(network.layers[0].data_gradient != 0, [True, True, False, True])
        assert_array_equal(network.layers[1].data_gradient != 0, [True, False, False, True])
        assert_array_equal(network.layers[0].bias_gradient != 0, [True, False, True])
        assert_array_equal(network.layers[1].bias_gradient != 0, [True, False, True])
        workspace.a[:8] = np.nan
    assert_array_equal(forward(network, x, workspace), z)
    assert np.isnan(workspace.outputs_of(1)[1]).all()
    assert_array_equal(forward(network, x, workspace, all_units=True), z)
    expected = network.layers[1].weight @ workspace.outputs_of(0) + network.layers[1].bias[:, None]
    assert_allclose(workspace.outputs_of(1), expected)


def test_same_bytes_for_every_number_of_threads(rng):
    w = random_csr((501, 300), 0.1, rng, np.float32)
    network = two_layers(w, 0.0, np.float32)
    x = rng.standard_normal((300, 200)).astype(np.float32)
    results = []
    for n in (1, 2):
        with threads(n):
            workspace = network.workspace(200)
            z = forward(network, x, workspace).copy()
            backward(network, z, workspace)
            results.append((z, network.gradient.copy(), workspace.outputs_of(0).copy()))
    for one, two in zip(*results, strict=True):
        assert_array_equal(one, two)


def test_nan_reaches_only_what_it_touches():
    """Fast-math must not fold NaN away, and a sample must not leak into another one."""
    w = random_csr((3, 3), 1.0, np.random.default_rng(0), np.float32)
    network = two_layers(w, 1.0, np.float32)
    x = np.ones((3, 4), dtype=np.float32)
    x[1, 2] = np.nan
    z = forward(network, x, network.workspace(4))
    assert_array_equal(np.isnan(z), [[False, False, True, False]] * 3)
