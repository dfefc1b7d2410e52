import copy
import pickle

import numpy as np
import pytest
from helpers import dense_of, factors_of_dropout, forward, gradient_by_differences, loss_and_gradient, make
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.network.layers import DenseLinear, SparseLinear
from truesparse.network.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError
from truesparse.network.mlp import MLP
from truesparse.runtime.plugins import names, resolve
from truesparse.topology import Pattern, Rewiring
from truesparse.training.optimizers import SGD, Adam


@pytest.mark.parametrize("activation", sorted(names("activation")))
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), BinaryCrossEntropy(), SquaredError()])
def test_gradient_is_the_slope_of_the_loss(activation, loss, rng):
    network = make(rng, activation)
    x = rng.standard_normal((6, 10))
    target = rng.integers(2, size=10) if isinstance(loss, SoftmaxCrossEntropy) else rng.uniform(size=(10, 3))
    _, gradient = loss_and_gradient(network, loss, x, target)
    differences = gradient_by_differences(network, lambda: loss_and_gradient(network, loss, x, target)[0])
    assert_allclose(gradient, differences, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("optimizer", [SGD(), SGD(momentum=0.5, nesterov=False), Adam()])
def test_three_training_steps_equal_masked_dense_numpy(optimizer, rng):
    """The whole step once more with full matrices and masks: forward, softmax, backward, update."""
    network = make(rng)
    weights = [dense_of(layer).copy() for layer in network.layers]
    masks = [w != 0 for w in weights]
    biases = [layer.bias.copy() for layer in network.layers]
    moments = [[np.zeros_like(p) for p in weights + biases] for _ in range(2)]
    state = optimizer.init(network.params)
    for step in (1, 2, 3):
        x, target = rng.standard_normal((6, 10)), rng.integers(3, size=10)
        loss_and_gradient(network, SoftmaxCrossEntropy(), x, target)
        optimizer.step(
            network.params,
            network.gradient,
            state,
            learning_rate=0.1,
            alpha=0.1,
            n_weights=network.n_weights,
            n_steps=step,
        )

        inputs = [x]
        for w, b in zip(weights, biases, strict=True):
            z = w @ inputs[-1] + b[:, None]
            inputs.append(np.maximum(z, 0))
        p = np.exp(z - z.max(axis=0))
        p /= p.sum(axis=0)
        delta = (p - np.eye(3)[:, target]) / 10
        gradients = [None] * 6
        for layer in (2, 1, 0):
            gradients[layer] = (delta @ inputs[layer].T + 0.1 * weights[layer]) * masks[layer]
            gradients[3 + layer] = delta.sum(axis=1)
            delta = (weights[layer].T @ delta) * (inputs[layer] > 0)
        for p, g, m, v in zip(weights + biases, gradients, *moments, strict=True):
            if isinstance(optimizer, SGD):
                m[:] = optimizer.momentum * m - 0.1 * g
                p += optimizer.momentum * m - 0.1 * g if optimizer.nesterov else m
            else:
                m[:] = 0.9 * m + 0.1 * g
                v[:] = 0.999 * v + 0.001 * g**2
                p -= 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    for layer, w, b in zip(network.layers, weights, biases, strict=True):
        assert_allclose(dense_of(layer), w, rtol=1e-9, atol=1e-12)
        assert_allclose(layer.bias, b, rtol=1e-9, atol=1e-12)


def test_a_smaller_batch_fits_the_same_workspace(rng):
    network = make(rng)
    workspace = network.workspace(10)
    x = rng.standard_normal((6, 10))
    whole = forward(network, x, workspace).copy()
    part = forward(network, x[:, :4], workspace)
    assert_array_equal(part, whole[:, :4])
    with pytest.raises(ValueError, match="11 samples does not fit a workspace for 10"):
        forward(network, np.zeros((6, 11)), workspace)


@pytest.mark.parametrize("activation", ["relu", "tanh", "all_relu", "srelu"])
def test_dropout_gradient_is_the_slope_for_the_same_mask(activation, rng):
    network = make(rng, activation, dropout=0.5)
    x, target = rng.standard_normal((6, 10)), rng.integers(3, size=10)

    def value_and_gradient():
        return loss_and_gradient(network, SoftmaxCrossEntropy(), x, target, np.random.default_rng(5))

    _, gradient = value_and_gradient()
    differences = gradient_by_differences(network, lambda: value_and_gradient()[0])
    assert_allclose(gradient, differences, rtol=1e-5, atol=1e-7)


def test_dropout_keeps_the_mean_and_is_off_without_a_generator(rng):
    network = make(rng, "identity", sizes=(4, 3000, 2), density=0.5, dropout=0.3)
    x, workspace = rng.standard_normal((4, 5)), network.workspace(5)
    plain = forward(network, x, workspace).copy()
    forward(network, x, workspace, rng)
    factors = factors_of_dropout(workspace, 3000)
    assert set(np.unique(factors)) == {0.0, 1 / (1 - round(0.3 * 2**16) / 2**16)}
    assert_allclose(factors.mean(), 1, atol=0.03)
    assert_array_equal(forward(network, x, workspace), plain)
    assert workspace.kept.size == 0


def test_parameters_are_one_vector_weights_first(rng):
    network = make(rng)
    assert network.n_weights == sum(layer.nnz for layer in network.layers)
    network.params[:] = np.arange(network.params.size)
    assert_array_equal(np.concatenate([layer.data for layer in network.layers]), np.arange(network.n_weights))
    assert_array_equal(
        np.concatenate([layer.bias for layer in network.layers]), np.arange(network.n_weights, network.params.size)
    )
    assert isinstance(network.layers[0], SparseLinear)
    assert isinstance(network.layers[-1], DenseLinear)


def test_rewire_moves_weights_and_moments_together(rng):
    network = make(rng)
    moments = rng.standard_normal(network.params.size)
    old = network.layers[0].pattern
    before, moments_before = network.params.copy(), moments.copy()
    dropped = np.zeros(old.nnz, dtype=bool)
    dropped[:5] = True
    rows, columns = old.sample_absent(5, rng)
    rewiring = Rewiring.replace(old, dropped, rows * 6 + columns)
    assert network.carried([rewiring, None, None], moments) is moments
    network.rewire([rewiring, None, None])
    grown = rewiring.grown
    assert not network.params[: old.nnz][grown].any()
    assert not moments[: old.nnz][grown].any()
    assert_array_equal(network.params[: old.nnz][~grown], before[: old.nnz][5:])
    assert_array_equal(moments[: old.nnz][~grown], moments_before[: old.nnz][5:])
    assert_array_equal(network.params[old.nnz :], before[old.nnz :])
    assert_array_equal(moments[old.nnz :], moments_before[old.nnz :])
    assert network.layers[0].pattern is rewiring.pattern


def test_snapshot_and_restore(rng):
    network = make(rng)
    moments = rng.standard_normal(network.params.size)
    snapshot, before, moments_before = network.snapshot(moments), network.params.copy(), moments.copy()
    pattern = network.layers[0].pattern
    network.params += 1
    network.layers[0].pattern = Pattern.sample((9, 6), pattern.nnz, rng)
    moments[:] = 0
    network.restore(snapshot, moments)
    assert_array_equal(network.params, before)
    assert_array_equal(moments, moments_before)
    assert network.layers[0].pattern is pattern
    assert np.shares_memory(network.layers[0].data, network.params)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_copies_share_nothing_and_keep_their_views(duplicate, rng):
    network = make(rng)
    other = duplicate(network)
    assert_array_equal(other.params, network.params)
    other.params[:] = 0
    assert network.params.any()
    assert not other.layers[0].data.any()
    assert np.shares_memory(other.layers[0].data, other.params)
    assert np.shares_memory(other.layers[0].data_gradient, other.gradient)
    x = rng.standard_normal((6, 4))
    assert not forward(other, x, other.workspace(4)).any()


def test_layers_must_chain(rng):
    with pytest.raises(ValueError, match="do not chain"):
        MLP([DenseLinear((3, 4)), DenseLinear((2, 5))], resolve("activation", "relu"))


def test_density(rng):
    network = make(rng, sizes=(10, 20, 5), density=0.25)
    assert network.density == (50 + 100) / (200 + 100)
    assert network.layer_sizes == [10, 20, 5]


def test_a_workspace_is_lent_again_unless_it_is_large_or_an_error_came(rng, monkeypatch):
    network = make(rng, dense=())
    with network.lent_workspace(32) as first, network.lent_workspace(32) as second:
        assert first is not second
    with network.lent_workspace(32) as third, network.lent_workspace(32, dense_inputs=False) as other:
        assert third in (first, second)
        assert other not in (first, second)
    with pytest.raises(ZeroDivisionError), network.lent_workspace(32) as failed:
        raise ZeroDivisionError
    with network.lent_workspace(32) as left, network.lent_workspace(32) as new:
        assert failed not in (left, new)
    network.keep_units([np.arange(9) < 5, np.arange(8) < 4])
    with network.lent_workspace(32) as smaller:
        assert smaller.a.shape[0] == 5 + 4 + 3 + 6
    monkeypatch.setattr(MLP, "_largest_idle", 0)
    with network.lent_workspace(16) as large:
        pass
    with network.lent_workspace(16) as another:
        assert another is not large
