"""Signals of convolutions: patches and errors at places, and weights of paths, against dense ones."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from residual import images_for, network_of, read

from truesparse.data import ArraySource
from truesparse.evolution.patches import PLACES, PatchErrors, PatchStream, residual_path_weights
from truesparse.evolution.signals import Signals
from truesparse.kernels.jit import threads
from truesparse.kernels.reference_images import batch_norm, convolve
from truesparse.network.batch_norm import EPS
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.runtime.random_streams import RandomStreams


@pytest.fixture(autouse=True)
def one_thread():
    """Kernels for several threads take three times as long to compile; only tests that compare both need them."""
    with threads(1):
        yield


class Dense:
    """A residual network of dense convolutions, in prediction: inputs and sums of every layer."""

    def __init__(self, network, images):
        self.network, self.inputs, self.outputs = network, {}, {}
        h = self.layer(0, images)
        for block in network.blocks:
            residual = h if block.projection is None else self.layer(block.projection, h, activates=False)
            h = self.layer(block.second, self.layer(block.first, h), residual)
        self.layer(len(network.layers) - 1, h.mean(axis=(2, 3), keepdims=True))

    def layer(self, index, x, residual=0.0, activates=True):
        layer, self.inputs[index] = self.network.layers[index], x
        w = layer.weight.toarray().reshape(layer.shape[0], -1, layer.window, layer.window)
        z = convolve(w, x, layer.stride)
        if index < len(self.network.norms):
            norm = self.network.norms[index]
            z = batch_norm(z, norm.scale, norm.shift, norm.mean, norm.variance, EPS) + residual
            z = np.maximum(z, 0) if activates else z
        self.outputs[index] = z
        return z


def drawn(kind, network, source, n_images=40, batch_size=37):
    images = np.sort(np.random.default_rng(3).choice(source.n_samples, n_images, replace=False))
    workspace = network.workspace(batch_size)
    return images, kind(network, SoftmaxCrossEntropy(), source, workspace, images, batch_size, np.random.default_rng(4))


@pytest.fixture
def network():
    return network_of((8, 6, 3))


@pytest.fixture
def source(network, rng):
    return ArraySource(images_for(network, 60), rng.integers(5, size=60))


def test_patches_are_the_inputs_of_the_outputs_at_the_same_places(network, source):
    """W times the patch, after batch norm, is the output: for layers without residual."""
    _, stream = drawn(PatchStream, network, source)
    n = len(network.layers)
    assert stream.first_output == n
    assert stream.n_samples == 40 * PLACES
    assert_array_equal(stream.places, np.arange(40 * PLACES))
    with_residual = {block.second for block in network.blocks}
    widths = []
    for batch in stream:
        assert [len(array) for array in batch] == stream.layer_sizes
        widths.append(batch[0].shape[1])
        for index in set(range(n - 1)) - with_residual:
            norm = network.norms[index]
            sums = (network.layers[index].weight @ batch[index])[None, :, :, None]
            expected = batch_norm(sums, norm.scale, norm.shift, norm.mean, norm.variance, EPS)[0, :, :, 0]
            is_projection = any(index == block.projection for block in network.blocks)
            found = batch[n + index]
            assert_allclose(found, expected if is_projection else np.maximum(expected, 0), atol=1e-12)
        sums = network.layers[-1].weight @ batch[n - 1] + network.layers[-1].bias[:, None]
        assert_allclose(batch[2 * n - 1], np.exp(sums) / np.exp(sums).sum(axis=0), atol=1e-12)
    assert widths == [37 * PLACES, 3 * PLACES]


def test_patches_are_those_of_the_image(network, source):
    """The first layer's patches occur in the padded image, and every place of it can be drawn."""
    images, stream = drawn(PatchStream, network, source)
    patches = np.concatenate([batch[0] for batch in stream], axis=1)
    places = set()
    for column in range(patches.shape[1]):
        image = source.X[images[column // PLACES]].reshape(8, 6, 3).transpose(2, 0, 1)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, [(0, 0), (1, 1), (1, 1)]), (3, 3), axis=(1, 2))
        same = (windows == patches[:, column].reshape(3, 1, 1, 3, 3)).all(axis=(0, 3, 4))
        assert same.sum() == 1
        places.add(int(same.argmax()))
    assert len(places) > 40  # of 48


def test_outputs_of_blocks(network, source):
    images, stream = drawn(PatchStream, network, source)
    dense = Dense(network, source.X[images].reshape(40, 8, 6, 3).transpose(0, 3, 1, 2))
    n, found = len(network.layers), [np.concatenate(arrays, axis=1) for arrays in zip(*stream, strict=True)]
    for index in range(n - 1):
        z = dense.outputs[index]
        where = (stream._where * z.shape[2:]).astype(int)
        expected = z[np.arange(40)[:, None], :, where[..., 0], where[..., 1]].reshape(40 * PLACES, -1).T
        assert_allclose(found[n + index], expected, atol=1e-12)


def test_errors_times_patches_are_the_gradient():
    """With images of one place in the last stage, all of whose places are drawn: there the gradient is exact."""
    network = network_of((4, 4, 2))
    source = ArraySource(images_for(network, 30), np.random.default_rng(0).integers(5, size=30))
    _, stream = drawn(PatchErrors, network, source, n_images=30, batch_size=20)
    gradient = stream.gradient()
    last_stage = range(network.blocks[-1].first, len(network.layers))
    found = [0.0] * len(network.layers)
    for activations, errors in stream:
        assert [len(error) for error in errors] == [layer.shape[0] for layer in network.layers]
        for index in last_stage:
            found[index] = found[index] + errors[index] @ activations[index].T
    for index in last_stage:
        pattern = network.layers[index].pattern
        assert_allclose(found[index][pattern.rows, pattern.indices], gradient[index] * PLACES, atol=1e-10)


def test_the_gradient_is_that_of_the_mean_loss(network, source):
    images, stream = drawn(PatchErrors, network, source)
    gradient = np.concatenate(stream.gradient())
    workspace, loss = network.workspace(40), SoftmaxCrossEntropy()

    def mean_loss():
        read(workspace, source.X[images])
        z = network.forward(workspace, all_units=True)
        return loss(z, source.target[images], np.empty_like(z))

    for slot in range(0, network.n_weights, 97):
        at, step = network.params[slot], 1e-6
        network.params[slot] = at + step
        above = mean_loss()
        network.params[slot] = at - step
        below = mean_loss()
        network.params[slot] = at
        assert_allclose(gradient[slot], (above - below) / (2 * step), atol=1e-7)
    halves = [np.concatenate(half.gradient()) for half in stream.halves()]
    assert_allclose(np.mean(halves, axis=0), gradient, atol=1e-12)


def test_signals_draw_the_same_places_for_all_of_an_update(network, source):
    signals = Signals(network, SoftmaxCrossEntropy(), source, batch_size=20, streams=RandomStreams(0))
    made = signals.at(7, network.workspace(20))
    first, again = ([batch[0].copy() for batch in made["activations"](80)] for _ in range(2))
    of_errors = [activations[0].copy() for activations, _ in made["errors"](80)]
    for x, y, z in zip(first, again, of_errors, strict=True):
        assert_array_equal(x, y)
        assert_array_equal(x, z)
    other = [batch[0].copy() for batch in signals.at(8, network.workspace(20))["activations"](80)]
    assert (other[0] != first[0]).any()
    assert sum(batch.shape[1] for batch in first) == 80
    assert made["activations"](None).n_samples == 60 * PLACES


def test_weights_of_paths(network):
    """Through the whole network as one matrix of absolute weights: places are added up, for all have the same."""
    into, out_of = residual_path_weights(network)
    factors = [np.abs(norm.folded()[0]) for norm in network.norms] + [np.ones(5)]

    def matrix(index):
        layer = network.layers[index]
        dense = np.abs(layer.weight.toarray()).reshape(layer.shape[0], -1, layer.window**2)
        return factors[index][:, None] * dense.sum(axis=2)

    below, wholes = matrix(0), {}
    for block in network.blocks:
        residual = np.eye(len(below)) if block.projection is None else matrix(block.projection)
        wholes[block] = matrix(block.second) @ matrix(block.first) + residual
        expected = below.sum(axis=1)
        assert_allclose(into[block.first][::9], expected / expected.max(), rtol=1e-10)
        inner = matrix(block.first) @ (expected / expected.max())
        assert_allclose(into[block.second], np.repeat(inner, 9), rtol=1e-10)
        below = wholes[block] @ below
    last = len(network.layers) - 1
    assert_allclose(into[last], below.sum(axis=1) / below.sum(axis=1).max(), rtol=1e-10)
    above = matrix(last)
    for block in reversed(network.blocks):
        scaled = above.sum(axis=0) / above.sum(axis=0).max()
        assert_allclose(out_of[block.second], factors[block.second] * scaled, rtol=1e-10)
        assert_allclose(out_of[block.first], factors[block.first] * (scaled @ matrix(block.second)), rtol=1e-10)
        above = above @ wholes[block]
    assert_array_equal(out_of[last], np.ones(5))
