"""Residual networks with random parameters, and images for them."""

import numpy as np

from truesparse.network.architecture import Architecture
from truesparse.network.resnet import ResNet
from truesparse.topology import Pattern


def network_of(image_shape=(8, 8, 3), depth=8, width=4, dtype=np.float64, density=0.4, seed=0):
    """A network with random patterns and parameters."""
    rng = np.random.default_rng(seed)
    architecture = Architecture(image_shape, depth, width)
    shapes = architecture.shapes(5)
    patterns = [Pattern.sample(shape, round(density * shape[0] * shape[1]), rng) for shape in shapes]
    network = ResNet(architecture, patterns, dtype=dtype)
    network.params[: network.n_weights] = 0.4 * rng.standard_normal(network.n_weights)
    for norm in network.norms:
        norm.scale[:], norm.shift[:] = (
            rng.uniform(0.5, 1.5, norm.scale.size),
            0.2 * rng.standard_normal(norm.scale.size),
        )
        norm.mean[:], norm.variance[:] = (
            0.3 * rng.standard_normal(norm.mean.size),
            rng.uniform(0.5, 1.5, norm.mean.size),
        )
    network.layers[-1].bias[:] = rng.standard_normal(5)
    return network


def images_for(network, n, seed=1):
    size = network.layer_sizes[0]
    return np.random.default_rng(seed).standard_normal((n, size)).astype(network.dtype)


def read(workspace, X):
    workspace.begin(len(X))
    workspace.features[:] = 1e6  # left by another batch
    workspace.features[:, : len(X)] = X.T
