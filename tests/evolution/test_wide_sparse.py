"""Of wide sparse data, rules look at features that occur only: the same topologies, in a fraction of the memory."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_same_run, make
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from truesparse import SparseMLPClassifier
from truesparse.data import Chunks, Source, array_source
from truesparse.evolution import OMP, Confirmed, Cosine, Evolution, Given, Gradient, Mixed, neuron_evolution, preset
from truesparse.evolution.search import SideBySide, narrowed
from truesparse.evolution.signals import ActivationStream, ErrorStream
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.topology import Pattern

rng = np.random.default_rng(0)
SMALL = {"hidden_layer_sizes": (30, 20), "epsilon": 3, "max_iter": 3, "update_every": 4, "random_state": 0}


def wide(n_samples, n_features, n_occurring, per_sample=5):
    """CSR in which few features occur, with a target that depends on some of them."""
    occurring = np.sort(rng.choice(n_features, n_occurring, replace=False))
    columns = occurring[rng.integers(n_occurring, size=(n_samples, per_sample))]
    parts = rng.standard_normal(columns.size), (np.repeat(np.arange(n_samples), per_sample), columns.reshape(-1))
    X = csr_array(parts, shape=(n_samples, n_features), dtype=np.float32)
    return X, (np.asarray(X[:, occurring[: n_occurring // 4]].sum(axis=1)).reshape(-1) > 0).astype(int)


X, y = wide(300, 400, 60)
RULES = {
    **{name: preset(name) for name in ("cte", "ctre_sim", "omp", "rigl", "gse", "sensitivity")},
    "in cells": Evolution(grow=Cosine(search="cells", width=32)),
    "exact": Evolution(grow=Cosine(search="exact")),
    "not centred": Evolution(grow=Cosine(centred=False, n_samples=None)),
    "few samples": Evolution(grow=OMP(n_samples=40)),
    "confirmed": Evolution(grow=Confirmed(n_samples=200)),
    "mixed": Evolution(grow=Mixed(OMP(), Gradient())),
    "of few inputs": neuron_evolution(20),
    "of few inputs, by similarity": neuron_evolution(20, Cosine()),
}
SHAPES = [(30, 400), (20, 30), (1, 20)]
WITHIN = Given([Pattern.sample(shape, shape[0] * shape[1] // 2, rng) for shape in SHAPES])


@pytest.mark.parametrize("within", [None, WITHIN], ids=["all pairs", "some pairs"])
@pytest.mark.parametrize("rule", RULES)
def test_the_topology_is_that_of_all_features(rule, within, monkeypatch):
    model = SparseMLPClassifier(**SMALL, evolution=replace(RULES[rule], within=within)).fit(X, y)
    seen = []

    def nothing(self):
        seen.append(self.layer_sizes[0])

    monkeypatch.setattr(ActivationStream, "present", nothing)
    assert_same_run(model, SparseMLPClassifier(**model.get_params()).fit(X, y))
    assert sum(map(sum, model.history_["edges_replaced"])) > 0
    assert len(seen) > 0


@pytest.mark.parametrize("rule", RULES)
def test_data_without_any_feature(rule):
    model = SparseMLPClassifier(**SMALL, evolution=RULES[rule]).fit(csr_array((300, 400)), y)
    assert np.isfinite(model.loss_curve_).all()


class Own(Source):
    """A user's source, which has no more than it must."""

    def __init__(self, X, target):
        self.X, self.target, self.is_sparse, self.dtype = X, target, True, X.dtype
        self.n_samples, self.n_features = X.shape

    def rows(self, samples):
        return self.X[samples]


@pytest.mark.parametrize("rule", ["cte", "omp"])
def test_of_any_source(rule):
    expected = SparseMLPClassifier(**SMALL, evolution=rule, shuffle=False).fit(X, y)
    for source in (Own(X, y), Chunks([(X[:100], y[:100]), (X[100:], y[100:])])):
        assert_same_run(SparseMLPClassifier(**SMALL, evolution=rule, shuffle=False).fit(source), expected)


def stream_of(kind, data, network, target=None):
    source = array_source(data, target)
    workspace = network.workspace(2, dense_inputs=not source.is_sparse)
    return kind(network, SoftmaxCrossEntropy(), source, workspace, np.array([1, 5, 7, 20, 29]), 2)


@pytest.mark.parametrize("layout", [np.asarray, csr_array])
def test_a_stream_of_some_features(layout, rng):
    network, data = make(rng), rng.standard_normal((30, 6)) * [1, 0, 1, 1, 0, 1]
    whole = stream_of(ActivationStream, layout(data), network)
    expected = np.concatenate([batch[0].copy() for batch in whole], axis=1)
    present = whole.present()
    if layout is np.asarray:
        assert present is None
    else:
        assert present.tolist() == [True, False, True, True, False, True]
    part = whole.of_features(np.array([0, 1, 3, 5]))
    twice = part.of_features(np.array([1, 2]))
    for stream, features in ((part, [0, 1, 3, 5]), (twice, [1, 3])):
        assert stream.layer_sizes == [len(features), *whole.layer_sizes[1:]]
        found = np.concatenate([batch[0].copy() for batch in stream], axis=1)
        assert_array_equal(found, expected[features])
        if present is not None:
            assert_array_equal(stream.present(), present[features])
    assert whole.layer_sizes[0] == 6


def test_halves_of_a_stream_of_some_features(rng):
    network, data = make(rng), rng.standard_normal((30, 6))
    errors = stream_of(ErrorStream, csr_array(data), network, rng.integers(3, size=30))
    for half in errors.of_features(np.array([2, 4])).halves():
        assert half.layer_sizes[0] == 2
        assert all(activations[0].shape[0] == 2 for activations, _ in half)


def test_nothing_is_left_out_where_that_saves_little(rng):
    network = make(rng)
    stream = SideBySide(stream_of(ErrorStream, csr_array(np.ones((30, 6))), network, rng.integers(3, size=30)))
    assert narrowed(stream, [0]) == (stream, None)
    nothing = stream_of(ActivationStream, csr_array((30, 6)), network)
    assert np.count_nonzero(narrowed(nothing, [0])[1]) == 1
    few = stream_of(ActivationStream, csr_array(np.eye(6)[np.zeros(30, dtype=int)]), network)
    of_others, present = narrowed(few, [1, 2])
    assert (of_others.layer_sizes, present) == ([1, *few.layer_sizes[1:]], None)
    assert narrowed(few, [0, 1])[1].tolist() == [True, *[False] * 5]


def peak_of(evolution, X, y):
    """Megabytes that a fit takes at its peak beside the data."""
    settings = {"hidden_layer_sizes": (20,), "epsilon": 0.5, "max_iter": 1, "update_every": 5, "random_state": 0}
    model = SparseMLPClassifier(**settings, evolution=evolution).fit(X, y)  # compiles
    tracemalloc.start()
    try:
        model.fit(X, y)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rule", ["cte", "omp", "rigl", "gse", "sensitivity", "confirmed", "of few inputs"])
def test_growth_takes_little_more_memory_than_none(rule):
    X, y = wide(300, 200_000, 1000)  # a batch of 128 samples with zeros for all features takes 102 MB, as do sketches
    assert peak_of(RULES[rule], X, y) < peak_of(None, X, y) + 70
