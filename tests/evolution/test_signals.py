import numpy as np
import pytest
from helpers import dense_of, loss_and_gradient, make
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from truesparse.data.source import ArraySource, array_source, draw_samples
from truesparse.evolution.signals import ActivationStream, ErrorStream, Signals
from truesparse.network.losses import SoftmaxCrossEntropy, SquaredError
from truesparse.runtime.random_streams import RandomStreams


def test_stream_gives_features_hidden_outputs_and_predictions_again_and_again(rng):
    network = make(rng, dropout=0.5)
    X, samples = rng.standard_normal((30, 6)), np.array([1, 5, 7, 20, 29])
    stream = ActivationStream(
        network, SoftmaxCrossEntropy(), ArraySource(X), network.workspace(2), samples, batch_size=2
    )
    assert (stream.n_samples, stream.layer_sizes) == (5, [6, 9, 8, 3])
    for _ in range(2):
        batches = [[a.copy() for a in batch] for batch in stream]
        assert [batch[0].shape[1] for batch in batches] == [2, 2, 1]
        layers = [np.concatenate(parts, axis=1) for parts in zip(*batches, strict=True)]
        a = X[samples].T
        assert_array_equal(layers[0], a)
        for index, layer in enumerate(network.layers[:-1]):
            a = np.maximum(layer.weight @ a + layer.bias[:, None], 0)
            assert_allclose(layers[index + 1], a, rtol=1e-10, atol=1e-12)
        assert_allclose(layers[-1].sum(axis=0), 1)


SAMPLES = np.array([1, 5, 7, 20, 29])


def error_stream(network, loss, X, target, **options):
    source = array_source(X, target)
    workspace = network.workspace(2, dense_inputs=not source.is_sparse)
    return ErrorStream(network, loss, source, workspace, SAMPLES, 2, **options)


def joined(stream):
    """Activations and errors of all samples."""
    batches = [[[array.copy() for array in part] for part in batch] for batch in stream]
    assert [activations[0].shape[1] for activations, _ in batches] == [2, 2, 1]
    return [[np.concatenate(parts, axis=1) for parts in zip(*some, strict=True)] for some in zip(*batches, strict=True)]


def test_the_gradient_is_that_of_two_halves(rng):
    network = make(rng)
    stream = error_stream(network, SoftmaxCrossEntropy(), rng.standard_normal((30, 6)), rng.integers(3, size=30))
    even, odd = stream.halves()
    assert (even.n_samples, odd.n_samples) == (3, 2)
    for whole, a, b in zip(stream.gradient(), even.gradient(), odd.gradient(), strict=True):
        assert_allclose(whole, (3 * a + 2 * b) / 5, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), SquaredError()])
@pytest.mark.parametrize(("density", "dense"), [(0.4, ()), (0.4, (2,)), (1.0, (0, 2)), (1.0, (1,))])
@pytest.mark.parametrize("of_features", [np.asarray, csr_array])
def test_errors_are_those_of_dense_backpropagation(activation, loss, density, dense, of_features, rng):
    network = make(rng, activation, density=density, dense=dense, dropout=0.5)
    X = rng.standard_normal((30, 6)) * (rng.random((30, 6)) < 0.5)
    target = rng.integers(3, size=30) if isinstance(loss, SoftmaxCrossEntropy) else rng.standard_normal((30, 3))
    stream = error_stream(network, loss, of_features(X), target)
    for _ in range(2):
        activations, errors = joined(stream)
        a = [X[SAMPLES].T]
        for layer in network.layers[:-1]:
            z = dense_of(layer) @ a[-1] + layer.bias[:, None]
            a.append(np.maximum(z, 0) if activation == "relu" else np.tanh(z))
        z = dense_of(network.layers[-1]) @ a[-1] + network.layers[-1].bias[:, None]
        delta = np.empty_like(z)
        loss(z, target[SAMPLES], delta)
        for found, expected in zip(activations, [*a, loss.predictions(z)], strict=True):
            assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
        for index in (2, 1, 0):
            assert_allclose(errors[index], delta, rtol=1e-10, atol=1e-14)
            slope = a[index] > 0 if activation == "relu" else 1 - a[index] ** 2
            delta = dense_of(network.layers[index]).T @ delta * slope


def gradient_at(layer, errors, activations):
    return (errors @ activations.T)[layer.pattern.rows, layer.pattern.indices]


@pytest.mark.parametrize("of_features", [np.asarray, csr_array])
def test_errors_times_activations_are_the_gradient(of_features, rng):
    network = make(rng)
    X, target = rng.standard_normal((30, 6)), rng.integers(3, size=30)
    stream = error_stream(network, SoftmaxCrossEntropy(), of_features(X), target)
    activations, errors = joined(stream)
    gradient = stream.gradient()
    _, expected = loss_and_gradient(network, SoftmaxCrossEntropy(), X[SAMPLES].T, target[SAMPLES])
    for index, (layer, slots) in enumerate(zip(network.layers, network.weight_slices(), strict=True)):
        assert_allclose(gradient[index], expected[slots], rtol=1e-10, atol=1e-14)
        assert_allclose(gradient_at(layer, errors[index], activations[index]), expected[slots], rtol=1e-10, atol=1e-14)


def test_units_that_nothing_reads_have_activations_but_no_error(rng):
    network = make(rng, "tanh", density=0.1, dense=())
    unread = np.bincount(network.layers[1].pattern.indices, minlength=9) == 0
    assert unread.any()
    X, target = rng.standard_normal((30, 6)), rng.integers(3, size=30)
    activations, errors = joined(error_stream(network, SoftmaxCrossEntropy(), X, target))
    assert activations[1][unread].any()
    assert not errors[0][unread].any()


def test_losses_are_checked(rng):
    seen = []
    network, X, target = make(rng), rng.standard_normal((30, 6)), rng.integers(3, size=30)
    stream = error_stream(network, SoftmaxCrossEntropy(), X, target, check_loss=seen.append)
    list(stream)
    stream.gradient()
    assert len(seen) == 6
    assert seen[:3] == seen[3:]


def test_draw_samples(rng):
    assert_array_equal(draw_samples(5, None, rng), np.arange(5))
    assert_array_equal(draw_samples(5, 9, rng), np.arange(5))
    drawn = draw_samples(100, 30, rng)
    assert drawn.size == 30
    assert np.all(np.diff(drawn) > 0)


def test_all_signals_of_an_update_are_of_the_same_samples(rng):
    """Those of another update are drawn anew, and each stream runs over the network as it is."""
    network, X, target = make(rng), rng.standard_normal((100, 6)), rng.integers(3, size=100)
    source, progress = ArraySource(X, target), object()
    loss, streams, workspace = SoftmaxCrossEntropy(), RandomStreams(3), network.workspace(16)
    signals = Signals(network, loss, source, batch_size=16, streams=streams, progress=progress)
    drawn = draw_samples(100, 40, streams("signal samples", 7))
    at = signals.at(7, workspace)
    assert at.keys() == {"activations", "errors", "gradient", "progress"}
    assert at["progress"] is progress
    for _ in range(2):
        features = np.concatenate([batch[0].copy() for batch in at["activations"](40)], axis=1)
        assert_array_equal(features, X[drawn].T)
        features = np.concatenate([batch[0].copy() for batch, _ in at["errors"](40)], axis=1)
        assert_array_equal(features, X[drawn].T)
    _, expected = loss_and_gradient(network, loss, X[drawn].T, target[drawn])
    for found, slots in zip(at["gradient"](40), network.weight_slices(), strict=True):
        assert_allclose(found, expected[slots], rtol=1e-10, atol=1e-14)
    others = np.concatenate([batch[0].copy() for batch in signals.at(8, workspace)["activations"](40)], axis=1)
    assert not np.array_equal(others, X[drawn].T)
    assert at["activations"](None).n_samples == 100
