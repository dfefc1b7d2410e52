"""Small makers of things that many tests need."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from truesparse.evolution import PRESETS
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.layers import SparseLinear
from truesparse.network.mlp import MLP
from truesparse.topology import Pattern

# Every method as parameters of an estimator; two of them are first topologies.
METHODS = {name: {"evolution": name} for name in PRESETS} | {
    "snip": {"evolution": "static", "topology_init": "snip"},
    "dense": {"evolution": "static", "topology_init": "full"},
}

# fan_out, fan_in, batch
BATCHED_SHAPES = [(1, 1, 1), (5, 3, 1), (7, 30, 33), (64, 9, 128), (4, 5, 100), (6, 5, 300)]


def random_csr(shape, density, rng, dtype=np.float64):
    """A canonical csr_array with int32 indices; some rows and columns are empty at low densities."""
    pattern = Pattern.sample(shape, round(density * shape[0] * shape[1]), rng)
    return csr_array((rng.standard_normal(pattern.nnz).astype(dtype), pattern.indices, pattern.indptr), shape=shape)


def pattern_of(matrix):
    """The pattern of the non-zero entries of a dense matrix."""
    return Pattern.from_edges(*np.nonzero(np.asarray(matrix)), np.shape(matrix))


def read_only(*arrays):
    """Copies that must not be written."""
    copies = [np.array(array) for array in arrays]
    for array in copies:
        array.flags.writeable = False
    return copies


def tolerance(dtype):
    """Relative error to allow for sums of some hundred terms."""
    return {"rtol": 2e-5, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}


def two_layers(w, slope, dtype, dropout=0.0):
    """A network of W and of a unit matrix on top, so that W's outputs go through an activation."""
    patterns = [
        Pattern.from_csr(w),
        Pattern.from_edges(np.arange(w.shape[0]), np.arange(w.shape[0]), (w.shape[0],) * 2),
    ]
    layers = [SparseLinear(pattern) for pattern in patterns]
    network = MLP(layers, PiecewiseLinear(slope), dropout=dropout, dtype=dtype)
    network.layers[0].data[:] = w.data
    network.layers[1].data[:] = 1
    return network


def assert_same_run(model, other):
    """Two fitted estimators have the same connections, parameters, moments and history, to the last byte."""
    for a, b in zip(model._network.layers, other._network.layers, strict=True):
        assert a.is_sparse == b.is_sparse
        np.testing.assert_array_equal(a.pattern.indptr, b.pattern.indptr)
        np.testing.assert_array_equal(a.pattern.indices, b.pattern.indices)
    assert model._network.params.tobytes() == other._network.params.tobytes()
    state, other_state = model._run.state, other._run.state
    assert state.optimizer_state.keys() == other_state.optimizer_state.keys()
    for name, moments in state.optimizer_state.items():
        assert moments.tobytes() == other_state.optimizer_state[name].tobytes()
    assert state.optimizer_steps == other_state.optimizer_steps
    assert state.progress == other_state.progress
    history, other_history = model.history_, other.history_
    for name in history.keys() - {"seconds"}:
        np.testing.assert_array_equal(history[name], other_history[name])


def benchmark_modules(*names):
    """Scripts of the benchmarks, imported; they import each other."""
    benchmarks = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, benchmarks)
    try:
        return [import_module(name) for name in names]
    finally:
        sys.path.remove(benchmarks)
