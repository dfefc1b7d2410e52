"""Bytes that a weight takes in training and at the peak of an update of the topology, on the calling thread."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from truesparse import SparseMLPClassifier, preset
from truesparse.evolution import Constant

rng = np.random.default_rng(0)
X, y = rng.standard_normal((300, 1000), dtype=np.float32), np.arange(300) % 10


class Sizes:
    """A callback that notes the number of weights and the bytes of the arrays of a batch."""

    def on_train_begin(self, network):
        """Note them."""
        self.n_weights, self.n_bytes = network.n_weights, network.bytes_needed(32)


def bytes_per_weight(method, solver):
    """Return the peak of a training with two updates, without data and activations."""
    evolution, sizes = preset(method), Sizes()
    if evolution is not None:
        evolution = replace(evolution, schedule=Constant(evolution.schedule.drop_fraction, update_every=6))

    def fit(hidden, epsilon, **settings):
        SparseMLPClassifier(
            hidden, epsilon=epsilon, evolution=evolution or "static", activation="relu", batch_size=32, max_iter=2,
            solver=solver, random_state=0, n_jobs=1, **settings,
        ).fit(X, y)  # fmt: skip

    fit((100, 100, 100), 5)  # compiles
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        fit((2000, 2000, 2000), 200, callbacks=[sizes])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return (peak - before - sizes.n_bytes) / sizes.n_weights


@pytest.mark.parametrize(
    ("method", "solver", "most"),
    [
        ("static", "sgd", 20),  # weight, gradient, velocity, column, and row and slot in the transposed index
        ("static", "adam", 24),  # another moment
        ("set", "sgd", 26),
        ("set", "adam", 30),
        ("rigl", "adam", 30),
        ("cte", "adam", 41),
        ("omp", "adam", 42),
    ],
)
def test_bytes_per_weight(method, solver, most):
    n_bytes = bytes_per_weight(method, solver)
    print(f"{method}, {solver}: {n_bytes:.1f} bytes")
    assert most * 0.75 < n_bytes < most
