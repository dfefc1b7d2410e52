import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from test_network import make

from truesparse.batches import BatchReader
from truesparse.losses import SoftmaxCrossEntropy
from truesparse.signals import ActivationStream, draw_samples


def test_stream_gives_features_hidden_outputs_and_predictions_again_and_again(rng):
    network = make(rng, dropout=0.5)
    X, samples = rng.standard_normal((30, 6)), np.array([1, 5, 7, 20, 29])
    stream = ActivationStream(
        network, SoftmaxCrossEntropy(), BatchReader(X), network.workspace(2), samples, batch_size=2
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


def test_draw_samples(rng):
    assert_array_equal(draw_samples(5, None, rng), np.arange(5))
    assert_array_equal(draw_samples(5, 9, rng), np.arange(5))
    drawn = draw_samples(100, 30, rng)
    assert drawn.size == 30
    assert np.all(np.diff(drawn) > 0)
