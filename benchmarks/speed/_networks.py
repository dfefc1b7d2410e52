"""Networks and data whose training steps are measured, and estimators that train them with their defaults."""

import math

import numpy as np
from _peers import Task
from scipy.sparse import csr_array

from truesparse import SparseMLPClassifier
from truesparse.evolution import Given
from truesparse.runtime.random_streams import RandomStreams
from truesparse.topology import Pattern
from truesparse.topology.density import erdos_renyi, global_density, layer_shapes

WIDE = (784, 1000, 1000, 1000, 10)
STEPS = [
    (WIDE, {"epsilon": 1}, 32),  # the estimator's defaults
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


def task_of(sizes, spread, batch, threads, X, y, *, seed=0, **settings):
    """A network for `_peers`, with first weights uniform in ±√(6 / number of the unit's inputs)."""
    weights, rng = [], np.random.default_rng(seed)
    for pattern in patterns_of(sizes, **spread):
        bounds = np.sqrt(6 / np.maximum(1, np.diff(pattern.indptr)))[pattern.rows]
        data = rng.uniform(-bounds, bounds).astype(np.float32)
        weights.append(csr_array((data, pattern.indices, pattern.indptr), shape=pattern.shape))
    return Task(spread, weights, batch, threads, X, y, seed=seed, **settings)


def classifier_of(hidden, batch, n_threads, **parameters):
    """The estimator with its defaults, for all of ``max_iter``."""
    return SparseMLPClassifier(
        hidden, batch_size=batch, n_jobs=n_threads, n_iter_no_change=math.inf, random_state=0, **parameters
    )


def static_classifier_of(patterns, batch, n_threads, **parameters):
    """The same with these patterns, which stay, and the default evolution's activation."""
    hidden = [pattern.shape[0] for pattern in patterns[:-1]]
    settings = {"topology_init": Given(patterns), "evolution": "static", "activation": "relu"}
    return classifier_of(hidden, batch, n_threads, **settings | parameters)


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
