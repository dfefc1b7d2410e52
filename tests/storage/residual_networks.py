"""Residual networks with outputs of a moderate size, and these outputs."""

import numpy as np
import residual
from residual import images_for

IMAGE_SHAPES = [(8, 8, 3), (7, 5, 1), (4, 9, 2)]


def network_of(image_shape=(7, 5, 1), **options):
    """A network whose planes are about 1, and whose outputs are about 0 on average."""
    network = residual.network_of(image_shape, **{"dtype": np.float32} | options)
    for layer in network.layers:
        layer.data[:] *= 2.5 / np.sqrt(max(1, layer.nnz / layer.shape[0]))
    network.layers[-1].bias[:] -= logits_of(network, images_for(network, 20)).mean(axis=0)
    return network


def logits_of(network, X):
    """The sums of the outputs, (n, n_outputs)."""
    workspace = network.workspace(len(X))
    workspace.set_inputs(X.T)
    return network.forward(workspace).T.copy()
