"""Small makers of things that many tests need."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from truesparse.evolution import PRESETS
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.initial_weights import FanIn, draw
from truesparse.network.layers import DenseLinear, SparseLinear
from truesparse.network.mlp import MLP
from truesparse.runtime.plugins import resolve
from truesparse.runtime.random_streams import Draws
from truesparse.topology import Pattern

# Every method as parameters of an estimator; two of them are first topologies.
METHODS = {name: {"evolution": name} for name in PRESETS} | {
    "snip": {"evolution": "static", "topology_init": "snip"},
    "dense": {"evolution": "static", "topology_init": "full"},
}

# Checks of scikit-learn that estimators fail. A sample that is taken twice falls into two batches, has two draws of
# dropout, and counts twice among the activations that a topology grows by. Without all that, weights are exact, as the
# small networks in estimators/test_sklearn_checks.py show.
WEIGHTS_ARE_NOT_REPETITIONS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "batches, dropout and growth see samples, not weights"
    for kind in ("dense", "sparse")
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


def forward(network, x, workspace, rng=None, **options):
    """The sums for an array of inputs, (n_features, batch), with dropout if there is a generator."""
    workspace.set_inputs(x)
    draws = None if rng is None else Draws(int(rng.integers(2**63)), step=3)
    return network.forward(workspace, draws, **options)


def factors_of_dropout(workspace, n_units):
    """What the activations of the first units were multiplied by, (n_units, batch)."""
    return bits_of(workspace.kept, n_units)[:, : workspace.batch] * workspace.dropout[2]


def bits_of(array, n_units):
    """The bits of the first units in an array of a workspace, (n_units, lanes of all tiles)."""
    tiles = [np.unpackbits(of_tile[:n_units].view(np.uint8), axis=1, bitorder="little") for of_tile in array]
    return np.concatenate(tiles, axis=1)


def backward(network, delta, workspace):
    """The backward pass for an array of errors, (n_outputs, batch)."""
    workspace.z[:] = delta
    network.backward(workspace)


def make(rng, activation="relu", sizes=(6, 9, 8, 3), density=0.4, dense=(2,), **options):
    """A network whose last layer is full; the layers numbered in `dense` run on BLAS."""
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    patterns = [Pattern.sample(shape, max(1, round(density * shape[0] * shape[1])), rng) for shape in shapes[:-1]]
    patterns.append(Pattern.from_keys(np.arange(shapes[-1][0] * shapes[-1][1]), shapes[-1]))
    layers = [DenseLinear(p.shape) if i in dense else SparseLinear(p) for i, p in enumerate(patterns)]
    network = MLP(layers, resolve("activation", activation), **{"dtype": np.float64, **options})
    for layer, pattern in zip(network.layers, patterns, strict=True):
        layer.data[:] = draw(FanIn(1.0), pattern, slice(None), rng)
        layer.bias[:] = rng.standard_normal(layer.shape[0])
    learnt = network.params[network.bias_slices()[-1].stop :]
    learnt[:] = rng.normal(0, 0.5, learnt.size)
    return network


def loss_and_gradient(network, loss, x, target, rng=None):
    workspace = network.workspace(x.shape[1])
    z = forward(network, x, workspace, rng)
    value = loss(z, target, z)
    network.backward(workspace)
    return value, network.gradient.copy()


def gradient_by_differences(network, loss, h=1e-6):
    """The slope of a function of the network's parameters."""
    gradient = np.empty_like(network.params)
    for i, kept in enumerate(network.params.copy()):
        network.params[i] = kept + h
        above = loss()
        network.params[i] = kept - h
        gradient[i] = (above - loss()) / (2 * h)
        network.params[i] = kept
    return gradient


def dense_of(layer):
    return layer.weight if isinstance(layer, DenseLinear) else layer.weight.toarray()


def assert_same_run(model, other):
    """Two fitted estimators have the same connections, parameters, moments and history, to the last byte."""
    for a, b in zip(model._network.layers, other._network.layers, strict=True):
        assert a.in_kernels == b.in_kernels
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


def benchmark_modules(room, *names):
    """Scripts of a folder of `benchmarks/`, imported with that folder on the path, as when they are run."""
    before = sys.path.copy()
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / room))
    try:
        return [import_module(name) for name in names]
    finally:
        sys.path[:] = before


def set_entry(*path_and_value):
    """A function that replaces one entry of nested metadata."""
    *path, last, value = path_and_value

    def change(metadata):
        for key in path:
            metadata = metadata[key]
        metadata[last] = value

    return change
