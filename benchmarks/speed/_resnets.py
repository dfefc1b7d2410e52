"""Residual networks whose steps are measured."""

import math

import numpy as np

from truesparse.network.resnet import ResNet
from truesparse.runtime.random_streams import Draws, RandomStreams
from truesparse.topology import Pattern


def resnet_of(architecture, n_outputs, density, seed=0):
    """A network with full first and last layers, the others of one density, and normal weights (He et al., 2015)."""
    shapes = architecture.shapes(n_outputs)
    counts = [math.prod(shape) for shape in shapes]
    counts[1:-1] = [round(density * count) for count in counts[1:-1]]
    patterns = [
        Pattern.sample(shape, nnz, RandomStreams(seed)("topology", layer))
        for layer, (shape, nnz) in enumerate(zip(shapes, counts, strict=True))
    ]
    network, rng = ResNet(architecture, patterns), np.random.default_rng(seed)
    for layer in network.layers:
        layer.data[:] = math.sqrt(2 * layer.shape[0] / layer.nnz) * rng.standard_normal(layer.nnz)
    return network


class Batch:
    """Images (size, height, width, channels) of noise, and the errors of the outputs (size, n_outputs)."""

    def __init__(self, image_shape, n_outputs, size):
        rng = np.random.default_rng(0)
        self.images = rng.standard_normal((size, *image_shape), dtype=np.float32)
        self.errors = rng.standard_normal((size, n_outputs), dtype=np.float32) / size


def step_of(network, batch):
    """Return a function that makes a forward and a backward pass, as in training.

    It returns the outputs (size, n_outputs), and the gradient of the first layer's weights (channels, columns), which
    all other layers have a part in.
    """
    first, size = network.layers[0], len(batch.images)
    workspace = network.workspace(size)
    workspace.features[:, :size] = batch.images.reshape(size, -1).T

    def step():
        z = network.forward(workspace, Draws(0, 0)).T.copy()
        workspace.z[:] = batch.errors.T  # where a loss would write them
        network.backward(workspace)
        return z, first.data_gradient.reshape(first.shape)

    return step
