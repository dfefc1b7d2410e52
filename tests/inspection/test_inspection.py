import itertools
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from helpers import pattern_of
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.evolution import Evolution, Magnitude, Random, evolve
from truesparse.inspection import (
    TopologyRecorder,
    layer_connectivity,
    layer_degrees,
    layer_flops,
    layer_summaries,
    network_of,
    paths,
    total,
)
from truesparse.kernels.table import ENTRIES_T
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.layers import DenseLinear, SparseLinear
from truesparse.network.mlp import MLP
from truesparse.topology import Pattern, Rewiring


def network_from(*layers, dtype=np.float32):
    """A network of layers, of patterns, or of matrices whose non-zero entries are the connections."""
    layers = [
        layer
        if isinstance(layer, SparseLinear | DenseLinear)
        else SparseLinear(layer if isinstance(layer, Pattern) else pattern_of(layer))
        for layer in layers
    ]
    return MLP(layers, PiecewiseLinear(), dtype=dtype)


# Features a b c d, hidden units x y z, outputs p q. a → x, b → x, b → y; x → p, z → p, y → nothing.
# z has no input; y leads nowhere; c and d are not used; q has no input.
SMALL = [[[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], [[1, 0, 1], [0, 0, 0]]]


@pytest.fixture
def small():
    return network_from(*SMALL)


@pytest.fixture
def mixed(rng):
    """Sparse, full on BLAS, sparse with empty rows and columns; no weight is set."""
    return network_from(
        Pattern.sample((9, 7), 20, rng), DenseLinear((6, 9)), Pattern.sample((8, 6), 9, rng), Pattern.full((3, 8))
    )


def dense(network):
    """The patterns as matrices of zeros and ones."""
    matrices = []
    for layer in network.layers:
        matrix = np.zeros(layer.shape)
        matrix[layer.pattern.rows, layer.pattern.indices] = 1
        matrices.append(matrix)
    return matrices


# Which networks.


def test_networks_and_fitted_estimators_tell_the_same(digits):
    X, _, y, _ = digits
    classifier = SparseMLPClassifier((20,), max_iter=1, evolution="static", random_state=0).fit(X[:200], y[:200])
    network = network_of(classifier)
    assert network_of(network) is network
    assert layer_summaries(classifier) == layer_summaries(network)
    assert total(layer_summaries(classifier)).density == classifier.density_
    assert sum(row.weights for row in layer_connectivity(classifier)) == sum(w.nnz for w in classifier.coefs_)
    assert paths(classifier).n_paths == paths(network).n_paths
    assert layer_flops(classifier) == layer_flops(network)


@pytest.mark.parametrize("function", [layer_summaries, layer_flops, layer_degrees, layer_connectivity, paths])
def test_what_holds_no_network_is_refused(function):
    with pytest.raises(NotFittedError, match="'fit' first"):
        function(SparseMLPRegressor())
    with pytest.raises(TypeError, match="got int"):
        function(3)


def test_nothing_is_changed(mixed):
    before = pickle.dumps(mixed)
    for function in (layer_summaries, layer_flops, layer_degrees, layer_connectivity, paths):
        function(mixed)
    assert pickle.dumps(mixed) == before


def test_the_package_brings_the_module_but_no_plots():
    code = "import sys, truesparse; truesparse.inspection.paths; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Sizes and operations.


def test_sizes_of_a_network_worked_by_hand(small):
    first, second = layer_summaries(small)
    assert (first.layer, first.shape, first.units, first.pairs, first.weights) == (0, (3, 4), 3, 12, 3)
    assert first.density == 0.25
    assert first.bytes == 4 * (3 + 3) + 4 * (3 + 4)  # weights, biases; indices, indptr
    assert first.training_bytes == 4 * 4 * (3 + 3) + 4 * (3 + 4)
    assert second.bytes == 4 * (2 + 2) + 4 * (2 + 3)
    assert second.training_bytes == 4 * 4 * (2 + 2) + 4 * (2 + 3) + 4 * (2 + 4)  # entries_t, indptr_t
    both = total([first, second])
    assert (both.layer, both.shape, both.units, both.pairs, both.weights) == (None, None, 5, 18, 5)
    assert both.density == 5 / 18 == small.density
    assert both.bytes == first.bytes + second.bytes


def test_bytes_follow_the_dtype_and_the_optimiser(mixed):
    n_params, narrow = mixed.params.size, total(layer_summaries(mixed)).bytes
    one, two = (total(layer_summaries(mixed, n_moments=n)).training_bytes for n in (1, 2))
    assert two - one == 4 * n_params
    full = layer_summaries(mixed)[1]
    assert full.bytes == 4 * (6 * 9 + 6)  # no positions
    wide = network_from(*mixed.layers, dtype=np.float64)  # binds the layers to its own parameters
    assert total(layer_summaries(wide)).bytes - narrow == 4 * n_params


@pytest.mark.parametrize(
    ("solver", "n_moments", "activation"), [("adam", 2, "relu"), ("sgd", 1, "relu"), ("sgd", 1, "srelu")]
)
def test_training_bytes_are_those_of_the_arrays(digits, solver, n_moments, activation):
    X, _, y, _ = digits
    model = SparseMLPClassifier(
        (70, 30), epsilon=5, activation=activation, evolution="set", solver=solver, update_every=3, max_iter=2
    )
    model.fit(X[:300], y[:300])
    network = model._network
    vectors = [network.params, network.gradient, *model._run.state.optimizer_state.values()]
    patterns = [layer.pattern for layer in network.layers if layer.stored_pattern is not None]
    indices = [array for pattern in patterns for array in (pattern.indices, pattern.indptr)]
    rows = network.passes._table.rows
    have_transposed = [layer.pattern for layer, row in zip(network.layers, rows, strict=True) if row[ENTRIES_T]]
    assert have_transposed
    by_columns = sum(4 * (pattern.nnz + pattern.shape[1] + 1) for pattern in have_transposed)
    expected = sum(array.nbytes for array in (*vectors, *indices)) + by_columns
    assert total(layer_summaries(model, n_moments=n_moments)).training_bytes == expected


def test_operations_of_a_network_worked_by_hand(small):
    first, second = layer_flops(small)
    assert (first.inference, first.training, first.dense_inference, first.dense_training) == (6, 12, 24, 48)
    assert (second.inference, second.training, second.dense_inference, second.dense_training) == (4, 12, 12, 36)
    both = total([first, second])
    assert (both.inference, both.training, both.dense_inference, both.dense_training) == (10, 24, 36, 84)


def test_a_full_network_costs_what_a_dense_one_does():
    for row in layer_flops(network_from(Pattern.full((5, 4)), DenseLinear((3, 5)))):
        assert (row.inference, row.training) == (row.dense_inference, row.dense_training)


def test_rows_as_dictionaries(small):
    row = layer_summaries(small)[0].as_dict()
    assert list(row)[:2] == ["layer", "shape"]
    assert row["weights"] == 3
    assert row["density"] == 0.25
    connectivity = total(layer_connectivity(small)).as_dict()
    assert connectivity["layer"] is None
    assert {"dead_share", "effective_density", "density"} <= connectivity.keys()


# Degrees.


def test_degrees_of_a_network_worked_by_hand(small):
    first, second = layer_degrees(small)
    assert_array_equal(first.in_degrees, [2, 1, 0])
    assert_array_equal(first.out_degrees, [1, 2, 0, 0])
    assert_array_equal(first.in_histogram, [1, 1, 1])
    assert_array_equal(first.out_histogram, [2, 1, 1])
    assert (first.n_without_inputs, first.n_without_outputs) == (1, 2)
    assert_array_equal(second.in_degrees, [2, 0])
    assert_array_equal(second.out_degrees, [1, 0, 1])
    assert (second.n_without_inputs, second.n_without_outputs) == (1, 1)


def test_degrees_are_sums_of_the_dense_patterns(mixed):
    for degrees, matrix in zip(layer_degrees(mixed), dense(mixed), strict=True):
        assert_array_equal(degrees.in_degrees, matrix.sum(1))
        assert_array_equal(degrees.out_degrees, matrix.sum(0))
        assert degrees.in_degrees.dtype == degrees.out_degrees.dtype == np.int64
        assert degrees.in_histogram.sum() == matrix.shape[0]
        assert degrees.out_histogram.sum() == matrix.shape[1]


# Paths.


def test_paths_of_a_network_worked_by_hand(small):
    counted = paths(small)
    assert counted.n_paths == 2  # a → x → p, b → x → p
    assert_array_equal(counted.through_units(0), [1, 1, 0, 0])
    assert_array_equal(counted.through_units(1), [2, 0, 0])
    assert_array_equal(counted.through_units(2), [2, 0])
    assert_array_equal(counted.through_weights(0), [1, 1, 0])
    assert_array_equal(counted.through_weights(1), [2, 0])
    assert_array_equal(counted.through_units(1, log=True), [math.log(2), -math.inf, -math.inf])
    first, second = layer_connectivity(small)
    assert (first.pairs, first.weights, first.effective) == (12, 3, 2)  # b → y leads nowhere
    assert (second.pairs, second.weights, second.effective) == (6, 2, 1)  # z → p begins nowhere
    both = total([first, second])
    assert both.density == 5 / 18
    assert both.effective_density == 3 / 18
    assert both.dead_share == 2 / 5


def enumerated(matrices):
    """Every path, as one unit of each level."""
    sizes = [matrices[0].shape[1], *(matrix.shape[0] for matrix in matrices)]
    for units in itertools.product(*map(range, sizes)):
        if all(matrix[out, into] for matrix, (into, out) in zip(matrices, itertools.pairwise(units), strict=True)):
            yield units


@pytest.mark.parametrize("seed", range(5))
def test_paths_are_those_that_can_be_walked(seed):
    rng = np.random.default_rng(seed)
    network = network_from(*(Pattern.sample(shape, nnz, rng) for shape, nnz in [((5, 4), 7), ((4, 5), 6), ((3, 4), 5)]))
    counted, found = paths(network), list(enumerated(dense(network)))
    assert counted.n_paths == len(found)
    for level, size in enumerate(network.layer_sizes):
        expected = np.bincount([path[level] for path in found], minlength=size)
        assert_array_equal(counted.through_units(level), expected)
    for index, layer in enumerate(network.layers):
        expected = np.zeros(layer.shape)
        for path in found:
            expected[path[index + 1], path[index]] += 1
        expected = expected[layer.pattern.rows, layer.pattern.indices]
        assert_array_equal(counted.through_weights(index), expected)
        assert_array_equal(counted.on_a_path(index), expected > 0)
        assert layer_connectivity(network)[index].effective == np.count_nonzero(expected)


def test_paths_are_products_of_the_dense_patterns(mixed):
    matrices, counted = dense(mixed), paths(mixed)
    product = np.linalg.multi_dot(matrices[::-1])
    assert counted.n_paths == product.sum() > 0
    assert_array_equal(counted.through_units(0), product.sum(0))
    assert_array_equal(counted.through_units(4), product.sum(1))
    for index, layer in enumerate(mixed.layers):
        from_inputs = np.ones(mixed.layer_sizes[0])
        for matrix in matrices[:index]:
            from_inputs = matrix @ from_inputs
        to_outputs = np.ones(mixed.layer_sizes[-1])
        for matrix in reversed(matrices[index + 1 :]):
            to_outputs = matrix.T @ to_outputs
        expected = np.outer(to_outputs, from_inputs)[layer.pattern.rows, layer.pattern.indices]
        assert_array_equal(counted.through_weights(index), expected)
        assert_allclose(np.exp(counted.through_weights(index, log=True)), expected)
        assert_array_equal(counted.on_a_path(index), expected > 0)
        assert counted.through_weights(index).sum() == counted.n_paths  # each path has one weight of each layer


@pytest.mark.parametrize("full", [lambda shape: SparseLinear(Pattern.full(shape)), DenseLinear])
def test_counts_beyond_the_range_of_floats(full):
    """400 full layers of ten units: 10⁴⁰¹ paths."""
    counted = paths(network_from(*(full((10, 10)) for _ in range(400))))
    assert counted.n_paths == math.inf
    assert counted.log_n_paths == pytest.approx(401 * math.log(10), rel=1e-13)
    assert_allclose(counted.through_units(200, log=True), 400 * math.log(10), rtol=1e-13)
    assert_allclose(counted.through_weights(7, log=True), 399 * math.log(10), rtol=1e-13)
    assert_array_equal(counted.through_weights(7), math.inf)


def test_a_single_path_beside_very_many_is_not_lost():
    """Unit 0 of each level is connected to unit 0 only, the ten others to each other: 1 + 10⁴⁰¹ paths."""
    matrix = np.ones((11, 11))
    matrix[0, 1:] = matrix[1:, 0] = 0
    network = network_from(*[matrix] * 400)
    counted = paths(network)
    assert counted.through_units(200)[0] == 1
    assert counted.through_weights(399)[0] == 1
    assert total(layer_connectivity(network)).dead_share == 0


def test_counts_are_exact_as_long_as_float64_is():
    assert paths(network_from(*(Pattern.full((3, 3)) for _ in range(32)))).n_paths == 3**33


def test_layers_without_a_connection_let_nothing_through():
    network = network_from(Pattern.full((2, 3)), np.zeros((2, 2)), Pattern.full((1, 2)))
    counted = paths(network)
    assert counted.n_paths == 0
    assert counted.log_n_paths == -math.inf
    rows = layer_connectivity(network)
    assert [row.dead_share for row in rows] == [1, 0, 1]
    assert total(rows).effective_density == 0


# The recorder.


def recorded(network, evolution, steps, rng, recorder, drop_fraction=0.3):
    """Evolve the network; returns the set of pairs of each layer that were ever connected, update by update."""
    seen = [set(zip(*np.nonzero(matrix), strict=True)) for matrix in dense(network)]
    history = []
    for step in steps:
        network.params[: network.n_weights] = rng.standard_normal(network.n_weights)
        before = dense(network)
        rewirings = evolve(network.layers, evolution, drop_fraction, rng, {})
        network.rewire(rewirings)
        recorder.on_topology_change(network, step, rewirings)
        after = dense(network)
        for pairs, matrix in zip(seen, after, strict=True):
            pairs |= set(zip(*np.nonzero(matrix), strict=True))
        replaced = [int(((new == 1) & (old == 0)).sum()) for new, old in zip(after, before, strict=True)]
        history.append((replaced, [len(pairs) for pairs in seen]))
    return history


@pytest.fixture
def evolving(rng):
    return network_from(Pattern.sample((12, 10), 30, rng), DenseLinear((6, 12)), Pattern.sample((5, 6), 12, rng))


def test_exploration_against_sets_of_pairs(evolving, rng):
    recorder = TopologyRecorder()
    assert math.isnan(recorder.exploration_rate)
    recorder.on_train_begin(evolving)
    assert recorder.exploration_rates == [30 / 120, 1, 12 / 30]
    assert recorder.updates == []
    steps = range(5, 65, 5)
    history = recorded(evolving, Evolution(prune=Magnitude(), grow=Random()), steps, rng, recorder)
    assert [update.step for update in recorder.updates] == list(steps)
    for update, (replaced, n_seen) in zip(recorder.updates, history, strict=True):
        assert update.edges_replaced == replaced
        assert update.exploration_rates == [n / pairs for n, pairs in zip(n_seen, (120, 72, 30), strict=True)]
        assert update.exploration_rate == sum(n_seen) / 222
    assert recorder.n_explored == history[-1][1]
    # Otherwise the sets above would not tell a union from a sum.
    assert sum(update.edges_replaced[0] for update in recorder.updates) + 30 > recorder.n_explored[0] > 60
    rates = recorder.as_dict()["exploration_rate"]
    assert rates == sorted(rates)


def test_keys_stay_sorted_and_distinct(evolving, rng):
    recorder = TopologyRecorder()
    recorder.on_train_begin(evolving)
    recorded(evolving, Evolution(grow=Random()), range(8), rng, recorder)
    assert recorder._explored[1] is None
    for keys in (recorder._explored[0], recorder._explored[2]):
        assert keys.dtype == np.int64
        assert np.all(np.diff(keys) > 0)


def test_pairs_that_return_are_counted_once():
    old = Pattern.from_edges([0, 1], [0, 1], shape=(2, 2))
    network = network_from(old)
    recorder = TopologyRecorder()
    recorder.on_train_begin(network)
    away = Rewiring.replace(old, np.array([True, False]), np.array([1]))
    back = Rewiring.replace(away.pattern, np.array([True, False]), np.array([0]))
    for step, rewirings in enumerate([[away], [back], [None]]):
        recorder.on_topology_change(network, step, rewirings)
    assert [update.edges_replaced for update in recorder.updates] == [[1], [1], [0]]
    assert [update.exploration_rate for update in recorder.updates] == [0.75, 0.75, 0.75]


def test_training_that_goes_on_is_recorded_as_one(evolving, rng):
    recorder = TopologyRecorder()
    recorder.on_train_begin(evolving)
    recorded(evolving, Evolution(grow=Random()), [1, 2], rng, recorder)
    explored = recorder.n_explored
    recorder.on_train_begin(pickle.loads(pickle.dumps(evolving)))
    assert recorder.n_explored == explored
    assert [update.step for update in recorder.updates] == [1, 2]


def test_recording_begins_anew_with_another_network(evolving, rng):
    recorder = TopologyRecorder()
    recorder.on_train_begin(evolving)
    recorded(evolving, Evolution(grow=Random()), [1], rng, recorder)
    same_shapes = network_from(*(Pattern.sample(layer.shape, layer.nnz, rng) for layer in evolving.layers))
    for other in (same_shapes, network_from(np.eye(3))):
        recorder.on_train_begin(other)
        assert recorder.updates == []
        assert recorder.n_explored == [layer.nnz for layer in other.layers]


def test_recording_without_a_beginning_is_refused(evolving):
    with pytest.raises(RuntimeError, match="on_train_begin"):
        TopologyRecorder().on_topology_change(evolving, 0, [None] * 3)


def test_rewirings_that_do_not_fit_are_refused_before_anything_changes(evolving, rng):
    recorder = TopologyRecorder()
    recorder.on_train_begin(evolving)
    fitting, _, _ = evolve(evolving.layers, Evolution(grow=Random()), 0.5, rng, {})
    other = Pattern.from_edges([0], [0], shape=(2, 2))
    alien = Rewiring.replace(other, np.array([True]), np.array([1]))
    full = Pattern.full((6, 12))
    kept = Rewiring(full, np.arange(full.nnz))
    for rewirings, message in (
        ([fitting, None], "2 entries"),
        ([fitting, None, alien], r"shape \(2, 2\)"),
        ([fitting, kept, None], "is full"),
    ):
        with pytest.raises(ValueError, match=message):
            recorder.on_topology_change(evolving, 0, rewirings)
    assert recorder.updates == []
    assert recorder.n_explored == [30, 72, 12]


def test_an_estimator_tells_the_recorder(digits):
    """Its counts are those of the history, and fitting goes on or begins anew as the network does."""
    X, _, y, _ = digits
    X, y, recorder = X[:300], y[:300], TopologyRecorder()
    model = SparseMLPClassifier(
        (40,), epsilon=3, evolution="set", update_every=2, max_iter=4, early_stopping=True, callbacks=[recorder]
    )
    for _ in range(2):
        model.fit(X, y)
        steps = [update.step for update in recorder.updates]
        assert steps == sorted(set(steps)) != []
        replaced = np.sum([update.edges_replaced for update in recorder.updates], axis=0)
        assert_array_equal(replaced, np.sum(model.history_["edges_replaced"], axis=0))
    first, rate = steps, recorder.exploration_rate
    assert rate > model.density_
    model.partial_fit(X, y)
    assert [update.step for update in recorder.updates][: len(first)] == first
    assert len(recorder.updates) > len(first)
    assert recorder.exploration_rate > rate
