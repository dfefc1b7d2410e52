import tracemalloc
import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from scipy.special import expit, softmax

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.data.source import array_source
from truesparse.evolution import snip
from truesparse.evolution.first import Full
from truesparse.evolution.rules import Vacancy
from truesparse.evolution.snip import SNIP, DenseStart, draw_as_in_dense
from truesparse.network.activations import Activation
from truesparse.network.initial_weights import Dense, FanIn, Glorot, draw
from truesparse.network.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError
from truesparse.runtime.plugins import names, resolve
from truesparse.runtime.random_streams import RandomStreams
from truesparse.runtime.threads import threads
from truesparse.topology import Pattern

SHAPES = [(30, 20), (25, 30), (4, 25)]
COUNTS = [60, 50, 20]
STREAMS = RandomStreams(7)


def data(rng, dtype=np.float64):
    X = rng.standard_normal((40, 20)).astype(dtype)
    X[:, 5] = 0
    X[rng.random(X.shape) < 0.5] = 0
    return X, rng.integers(4, size=40)


def choose(X, target, method, *, activation="relu", loss=None, initializer=None, counts=COUNTS, shapes=SHAPES):
    start = DenseStart(
        array_source(X, target), loss or SoftmaxCrossEntropy(), resolve("activation", activation),
        initializer or Dense(), STREAMS,
    )  # fmt: skip
    empty = [Vacancy.empty(layer, shape, n) for layer, (shape, n) in enumerate(zip(shapes, counts, strict=True))]
    return method(empty, rng=np.random.default_rng(), dense_start=start)


FUNCTIONS = {
    "relu": lambda z, layer: (np.maximum(z, 0), 1.0 * (z > 0)),
    "all_relu": lambda z, layer: (
        np.where(z > 0, z, (0.6 if layer % 2 else -0.6) * z),
        np.where(z > 0, 1, 0.6 if layer % 2 else -0.6),
    ),
    "tanh": lambda z, layer: (np.tanh(z), 1 - np.tanh(z) ** 2),
    "logistic": lambda z, layer: (expit(z), expit(z) * (1 - expit(z))),
}
ERRORS = {
    SoftmaxCrossEntropy: lambda z, y: softmax(z, axis=0) - np.eye(len(z))[y].T,
    BinaryCrossEntropy: lambda z, y: expit(z) - y.T,
    SquaredError: lambda z, y: z - y.T,
}


def dense_scores(X, target, activation, loss, gain, *, centred=False):
    """|w · gradient| of every pair of the dense network, layer by layer."""
    weights, outputs, slopes = [], [X.T], []
    for layer, (fan_out, fan_in) in enumerate(SHAPES):
        u = STREAMS("weights", layer).uniform(-1, 1, (fan_out, fan_in))
        weights.append(gain(fan_out, fan_in) * u)
        a, slope = FUNCTIONS[activation](weights[-1] @ outputs[-1], layer)
        outputs.append(a)
        slopes.append(slope)
    delta, scores = ERRORS[type(loss)](weights[-1] @ outputs[-2], target), []
    for layer in (2, 1, 0):
        mean = outputs[layer].mean(axis=1, keepdims=True) if centred else 0
        scores.insert(0, np.abs(weights[layer] * (delta @ (outputs[layer] - mean).T)))
        if layer > 0:
            delta = (weights[layer].T @ delta) * slopes[layer - 1]
    return scores


def best(scores, n):
    return np.sort(np.argsort(-scores.ravel(), kind="stable")[:n])


@pytest.mark.parametrize("activation", sorted(FUNCTIONS))
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), BinaryCrossEntropy(), SquaredError()])
def test_the_pairs_that_a_dense_network_scores_highest(activation, loss, rng):
    X, target = data(rng)
    if not isinstance(loss, SoftmaxCrossEntropy):
        target = np.eye(4)[target]
    scores = dense_scores(X, target, activation, loss, lambda fan_out, fan_in: np.sqrt(6 / fan_in))
    patterns = choose(X, target, SNIP(per_layer=True), activation=activation, loss=loss)
    for pattern, score, count in zip(patterns, scores, COUNTS, strict=True):
        assert_array_equal(pattern.keys, best(score, count))

    patterns = choose(X, target, SNIP(per_layer=False), activation=activation, loss=loss)
    found = np.concatenate([pattern.keys + s for pattern, s in zip(patterns, (0, 600, 1350), strict=True)])
    assert_array_equal(found, best(np.concatenate([score.ravel() for score in scores]), 130))


@pytest.mark.parametrize(
    ("initializer", "gain"),
    [
        (Glorot(), lambda fan_out, fan_in: np.sqrt(6 / (fan_in + fan_out))),
        (Dense(0.3), lambda fan_out, fan_in: 0.3 * np.sqrt(6 / fan_in)),
        (FanIn(0.01), lambda fan_out, fan_in: np.sqrt(6 / fan_in)),
    ],
)
def test_scores_come_from_the_weights_of_a_full_layer(initializer, gain, rng):
    X, target = data(rng)
    X *= 5  # steep enough for the scale to matter
    scores = dense_scores(X, target, "tanh", SoftmaxCrossEntropy(), gain)
    patterns = choose(X, target, SNIP(), activation="tanh", initializer=initializer)
    for pattern, score, count in zip(patterns, scores, COUNTS, strict=True):
        assert_array_equal(pattern.keys, best(score, count))


@pytest.mark.parametrize("connected", [True, False])
def test_centred_and_connected(connected, rng):
    X, target = data(rng)
    X += 1  # so that means matter
    counts = [60, 50, 22]  # not the same for all of four outputs
    scores = dense_scores(X, target, "relu", SoftmaxCrossEntropy(), lambda _, fan_in: np.sqrt(6 / fan_in), centred=True)
    patterns = choose(X, target, SNIP(centred=True, connected=connected), counts=counts)
    if connected:
        each = zip(scores[2], [6, 6, 5, 5], strict=True)
        of_outputs = [best(score, n) + 25 * row for row, (score, n) in enumerate(each)]
        assert_array_equal(patterns[2].keys, np.concatenate(of_outputs))
        for layer in (1, 0):
            scores[layer][np.setdiff1d(np.arange(len(scores[layer])), patterns[layer + 1].indices)] = 0
    else:
        assert_array_equal(patterns[2].keys, best(scores[2], 22))
    for layer in (1, 0):
        assert_array_equal(patterns[layer].keys, best(scores[layer], counts[layer]))


def test_connected_layers_that_are_full(rng):
    X, target = data(rng)
    patterns = choose(X, target, SNIP(connected=True), counts=[60, 750, 100])
    assert [pattern.density for pattern in patterns[1:]] == [1, 1]
    assert patterns[0].nnz == 60


def test_an_initializer_that_looks_at_the_full_pattern(rng):
    class ByDegree:
        def bounds(self, pattern):
            assert pattern.density == 1
            return np.sqrt(6 / pattern.out_units_fan_in)

    X, target = data(rng)
    for ours, those_of_dense in zip(
        choose(X, target, SNIP(), initializer=ByDegree()), choose(X, target, SNIP()), strict=True
    ):
        assert_array_equal(ours.keys, those_of_dense.keys)


METHODS = [SNIP(), SNIP(per_layer=False), SNIP(centred=True, connected=True)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tile", [1, 37, 100])
def test_the_size_of_a_tile_does_not_matter(tile, method, rng, monkeypatch):
    X, target = data(rng)
    whole = choose(X, target, method)
    weights = [draw_as_in_dense(FanIn(), pattern, STREAMS("weights", 0)) for pattern in whole]
    monkeypatch.setattr(snip, "_TILE", tile)
    for pattern, same, w in zip(choose(X, target, method), whole, weights, strict=True):
        assert_array_equal(pattern.keys, same.keys)
        assert_array_equal(draw_as_in_dense(FanIn(), pattern, STREAMS("weights", 0)), w)


@pytest.mark.parametrize("method", METHODS)
def test_sparse_data_choose_as_dense_ones(method, dtype, rng):
    X, target = data(rng, dtype)
    explicit_zeros = csr_array(X)
    explicit_zeros.data[:3] = X[0, explicit_zeros.indices[:3]] = 0
    for one, other in zip(
        choose(X, target, replace(method, n_samples=10)),
        choose(explicit_zeros, target, replace(method, n_samples=10)),
        strict=True,
    ):
        assert_array_equal(one.keys, other.keys)


def test_samples_are_those_asked_for(rng):
    X, target = data(rng)
    drawn = [np.concatenate([p.keys for p in choose(X, target, SNIP(n))]) for n in (5, 20, 40, 1000, None)]
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[1], drawn[2])
    assert_array_equal(drawn[2], drawn[3])
    assert_array_equal(drawn[2], drawn[4])


@pytest.mark.parametrize("method", METHODS)
def test_random_pairs_fill_up_where_no_score_is_positive(method, rng):
    X, target = data(rng)
    per_layer = method.per_layer
    patterns = choose(np.zeros_like(X), target, method)
    counts = [pattern.nnz for pattern in patterns]
    assert sum(counts) == sum(COUNTS)
    assert min(counts) > 0
    if per_layer:
        assert counts == COUNTS
    if method.connected:
        return
    # Column 5 scores zero, so only what fills up can be there; all with positive scores come before.
    patterns = choose(X, target, method, counts=[595, 750, 99])
    scores = dense_scores(X, target, "relu", SoftmaxCrossEntropy(), lambda fan_out, fan_in: np.sqrt(6 / fan_in))
    assert 5 in patterns[0].indices
    if per_layer:
        assert set(np.flatnonzero(scores[0])) <= set(patterns[0].keys)


def test_full_layers_are_full_and_the_others_chosen(rng):
    X, target = data(rng)
    scores = dense_scores(X, target, "relu", SoftmaxCrossEntropy(), lambda fan_out, fan_in: np.sqrt(6 / fan_in))
    patterns = choose(X, target, SNIP(), counts=[600, 50, 100])
    assert [pattern.density for pattern in patterns[::2]] == [1, 1]
    assert_array_equal(patterns[1].keys, best(scores[1], 50))
    assert [pattern.density for pattern in choose(X, target, SNIP(per_layer=False), counts=[600, 750, 100])] == [1] * 3


def test_smooth_activations_of_ones_own(rng):
    class Softplus(Activation):
        def apply(self, z):
            np.logaddexp(0, z, out=z)

    z = rng.standard_normal((50, 20))
    a, slope = snip._apply(Softplus(), z.copy())
    assert_allclose(a, np.logaddexp(0, z))
    assert_allclose(slope, expit(z), rtol=1e-8)
    assert snip._apply(Softplus(), z.astype(np.float32))[1].dtype == np.float32


def test_weights_are_those_of_the_full_layer(rng):
    shape = (30, 20)
    full = Pattern.full(shape)
    of_full = draw(Glorot(), full, slice(None), STREAMS("weights", 3))
    assert_array_equal(draw_as_in_dense(Glorot(), full, STREAMS("weights", 3)), of_full)
    pattern = Pattern.sample(shape, 80, rng)
    assert_array_equal(draw_as_in_dense(Glorot(), pattern, STREAMS("weights", 3)), of_full[pattern.keys])
    # With other bounds the numbers keep their signs and, within a unit, their proportions.
    scaled = draw_as_in_dense(FanIn(), pattern, STREAMS("weights", 3)) / of_full[pattern.keys]
    expected = 0.5 * np.sqrt(50 / pattern.out_units_fan_in[pattern.rows])
    assert_allclose(scaled, expected)


@pytest.mark.parametrize("per_layer", [True, False])
def test_peak_memory(per_layer, rng):
    """The layer would take 400 MB, its mask 100 MB, as int64 keys 800 MB."""
    X, target = rng.standard_normal((64, 20_000), dtype=np.float32), rng.integers(3, size=64)
    shapes, counts = [(5_000, 20_000), (3, 5_000)], [25_000, 5_000]
    choose(X[:, :20].copy(), target, SNIP(), shapes=[(30, 20), (3, 30)], counts=[60, 20])  # compiles
    tracemalloc.start()
    with threads(1):
        patterns = choose(X, target, SNIP(per_layer=per_layer), shapes=shapes, counts=counts)
        draw_as_in_dense(FanIn(), patterns[0], STREAMS("weights", 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(pattern.nnz for pattern in patterns) == 30_000
    assert peak < 32e6


@pytest.mark.parametrize("first", [SNIP(), "snip", "full"])
@pytest.mark.parametrize("activation", names("activation"))
def test_digits_are_learnt(first, activation, digits):
    X_train, X_test, y_train, y_test = digits
    model = SparseMLPClassifier(
        (100, 80),
        evolution="static",
        topology_init=first,
        epsilon=3,
        activation=activation,
        weight_init="fan_in",
        max_iter=30,
        random_state=0,
    ).fit(X_train, y_train)
    # Logistic units are slow to learn with any sparse topology.
    assert model.score(X_test, y_test) > (0.6 if activation == "logistic" else 0.9)
    assert (model.density_ == 1) == (first == "full")
    assert not np.any(model.history_["edges_replaced"])


def of(digits, **parameters):
    X, _, y, _ = digits
    parameters = {
        "evolution": "static",
        "epsilon": 3,
        "max_iter": 2,
        "random_state": 0,
        "learning_rate_init": 1e-30,
        **parameters,
    }
    return SparseMLPClassifier((100, 80), **parameters).fit(X, y)


@pytest.mark.parametrize("weight_init", ["dense", "glorot"])
def test_snip_is_a_part_of_the_dense_network(weight_init, digits):
    pruned = of(digits, topology_init=SNIP(), weight_init=weight_init, activation="relu", alpha=0.0)
    dense = of(digits, topology_init="full", weight_init=weight_init, activation="relu", alpha=0.0)
    assert dense.density_ == 1
    for few, all_of_them in zip(pruned.coefs_, dense.coefs_, strict=True):
        few = few.tocoo()
        assert_array_equal(few.data, all_of_them.tocsr()[few.row, few.col])


def test_names_and_instances(digits):
    def topology(**parameters):
        return [coef.indices for coef in of(digits, **parameters).coefs_]

    def same(one, other):
        return all(map(np.array_equal, one, other))

    by_name = topology(topology_init="snip")
    assert resolve("topology", "snip") == SNIP(centred=True, connected=True)
    assert same(by_name, topology(evolution=None, topology_init=SNIP(centred=True, connected=True)))
    plain = topology(topology_init=SNIP())
    assert not same(by_name, plain)
    assert same(plain, topology(evolution=None, topology_init=SNIP()))
    own = topology(topology_init=SNIP(n_samples=20))
    assert not same(plain, own)
    assert same(own, topology(evolution=None, topology_init=SNIP(n_samples=20)))
    assert not same(plain, topology(topology_init=SNIP(per_layer=False)))


def test_the_topology_can_evolve_from_there(digits):
    model = of(digits, evolution="cte", topology_init="snip", update_every=5)
    assert np.any(model.history_["edges_replaced"])


@pytest.mark.parametrize("per_layer", [True, False])
def test_threads_and_sparse_inputs_make_no_difference(per_layer, dtype, digits):
    X, _, y, _ = digits
    settings = {
        "evolution": "static", "topology_init": SNIP(per_layer=per_layer), "dtype": np.dtype(dtype).name,
        "epsilon": 3, "max_iter": 2, "random_state": 0,
    }  # fmt: skip
    one, two, sparse = (
        SparseMLPClassifier((100, 80), **settings, n_jobs=n_jobs).fit(features, y)
        for n_jobs, features in ((1, X), (2, X), (1, csr_array(X)))
    )
    for a, b, c in zip(one.coefs_, two.coefs_, sparse.coefs_, strict=True):
        assert_array_equal(a.indices, b.indices)
        assert_array_equal(a.data, b.data)
        assert_array_equal(a.indices, c.indices)
        assert_array_equal(a.data, c.data)


def test_partial_fit_and_warm_start_keep_what_the_first_call_chose(digits):
    X, _, y, _ = digits
    model = SparseMLPClassifier(
        (100, 80), evolution="static", topology_init="snip", epsilon=3, max_iter=3, random_state=0, warm_start=True
    )
    first = [coef.indices for coef in model.partial_fit(X[:300], y[:300], classes=range(10)).coefs_]
    model.partial_fit(X[300:], y[300:])
    model.fit(X, y)
    for coef, indices in zip(model.coefs_, first, strict=True):
        assert_array_equal(coef.indices, indices)
    for first in ("full", "balanced", SNIP()):
        message = r"topology_init=.* cannot change .* made with 'snip'"
        with pytest.raises(ValueError, match=message):
            model.set_params(topology_init=first).fit(X, y)
    model.set_params(evolution="cte", topology_init="snip").fit(X, y)


def test_labels_and_numbers(rng):
    X = rng.standard_normal((300, 20))
    Y = X[:, :3] @ [[1, 2], [2, -1], [-2, 1]]
    first = {
        "evolution": "static", "topology_init": SNIP(), "activation": "relu", "weight_init": "fan_in", "epsilon": 2,
        "random_state": 0,
    }  # fmt: skip
    regressor = SparseMLPRegressor((100,), **first).fit(X[:200], Y[:200])
    assert regressor.score(X[200:], Y[200:]) > 0.8
    # The features that matter are found before training.
    n_readers = np.diff(regressor.coefs_[0].tocsr().indptr)
    assert n_readers[:3].min() > n_readers[3:].max()
    classifier = SparseMLPClassifier((100,), **first).fit(X[:200], Y[:200] > 0)
    assert classifier.score(X[200:], Y[200:] > 0) > 0.6


def test_a_layer_without_connections_is_told_of(rng):
    """Nearly all that the loss depends on lies in the few weights of the output layer."""
    X, y = rng.standard_normal((300, 500)), rng.integers(2, size=300)
    model = SparseMLPClassifier(
        (1000, 1000), evolution="static", topology_init=SNIP(per_layer=False), density=1e-4, max_iter=2, random_state=0
    )
    with pytest.warns(UserWarning, match=r"layers \[0.*\] \(counted from 0\) have no connection"):
        model.fit(X, y)
    assert model.coefs_[0].nnz == 0
    assert sum(coef.nnz for coef in model.coefs_) == 150
    assert np.unique(model.predict(X)).size == 1
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The layers")
        model.set_params(topology_init=SNIP(), density=1e-3).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_samples": 0}, "n_samples=0 must be a positive integer or None"),
        ({"n_samples": 2.0}, "n_samples=2.0 must be"),
        ({"per_layer": "yes"}, "per_layer='yes' must be True or False"),
        ({"centred": 1}, "centred=1 must be True or False"),
        ({"connected": True, "per_layer": False}, "connected=True needs per_layer=True"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        SNIP(**parameters)


def test_a_density_contradicts_dense(digits):
    for full in ("full", Full()):
        with pytest.raises(ValueError, match=r"density=0\.1 contradicts topology_init='full'"):
            of(digits, topology_init=full, epsilon=None, density=0.1)
        assert of(digits, topology_init=full, epsilon=None, density=1).density_ == 1
    with pytest.raises(ValueError, match="topology_init"):
        of(digits, topology_init=SNIP)
