"""Networks and data whose training steps are measured."""

import numpy as np

from truesparse.runtime.random_streams import RandomStreams
from truesparse.topology import Pattern
from truesparse.topology.density import erdos_renyi, global_density, layer_shapes

WIDE = (784, 1000, 1000, 1000, 10)
STEPS = [
    (WIDE, {"epsilon": 1}, 128),
    (WIDE, {"epsilon": 20}, 128),
    ((784, 1024, 1024, 10), {"density": 0.05}, 100),
    ((784, 1024, 1024, 10), {"density": 0.01}, 100),
]


def patterns_of(sizes, *, epsilon=None, density=None):
    """Balanced random patterns for the layers between units."""
    shapes = layer_shapes(sizes)
    counts = global_density(shapes, density) if epsilon is None else erdos_renyi(shapes, epsilon)
    return [
        Pattern.sample(shape, nnz, RandomStreams(0)("topology", layer), balanced=True)
        for layer, (shape, nnz) in enumerate(zip(shapes, counts, strict=True))
    ]


def data(n_samples, n_features):
    """Noise and ten classes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n_samples, n_features), dtype=np.float32), rng.integers(10, size=n_samples)


def iterate(n_samples, batch):
    """Random batches without end."""
    rng = np.random.default_rng(0)
    while True:
        order = rng.permutation(n_samples)
        for start in range(0, n_samples - batch + 1, batch):
            yield order[start : start + batch]
