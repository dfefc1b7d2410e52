"""Inputs that come and go as a whole."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from streams import Errors, Stream, no_subset

from truesparse import SparseMLPClassifier, load, save
from truesparse.evolution import (
    Confirmed,
    Constant,
    Cosine,
    Evolution,
    Gradient,
    InputRemoval,
    Magnitude,
    NeuronGrow,
    NeuronPrune,
    PathWeightGrow,
    Random,
    input_strength,
    neuron_evolution,
)
from truesparse.evolution.rules import Vacancy
from truesparse.topology import Pattern
from truesparse.training.state import Progress


def at(step):
    return Progress(step=step, planned_steps=100)


def test_strength_of_sparse_and_dense_weights():
    dense = np.array([[1.0, 0, -2, 0], [-3, 0, 0, 0]])
    for weight in (dense, csr_array(dense)):
        assert_array_equal(input_strength(weight), [4, 0, 2, 0])
        assert input_strength(weight.astype(np.float32)).dtype == np.float64


def test_inputs_go_evenly_until_the_end_of_removal():
    removal = InputRemoval(n_inputs=10, end=0.5)
    assert [removal.n_left((50, 110), 60, at(step)) for step in (0, 10, 25, 49, 50, 100)] == [110, 90, 60, 12, 10, 10]


def test_as_many_inputs_stay_as_the_weights_need_and_no_more_than_there_are():
    assert InputRemoval(10).n_left((50, 110), 1001, at(100)) == 21
    assert InputRemoval(200).n_left((50, 110), 60, at(100)) == 110


def test_the_weakest_inputs_lose_all_connections_then_the_smallest_weights_go():
    # Strengths 3.05, 1.4, 1.2 and 5.5: of four inputs, three may stay in the end, since two have no room for seven.
    weight = csr_array([[0.05, 0.2, 1.2, 4.0], [3.0, 1.2, 0.0, 1.5], [0.0] * 4])
    rule = NeuronPrune(InputRemoval(2))
    pruned = [rule([weight], [n], progress=at(100), changing=[0])[0] for n in (1, 2, 3)]
    assert [weight.data[mask].tolist() for mask in pruned] == [[1.2], [0.05, 1.2], [0.05, 0.2, 1.2]]


def test_some_inputs_are_exchanged_while_time_is_left():
    """Of 40 inputs, 30 are to be left after half of the removal."""
    weight = csr_array((np.arange(1.0, 41), np.arange(40), np.repeat([0, 40], [1, 20])), shape=(20, 40))

    def leaving(exchange, step):
        rule = NeuronPrune(InputRemoval(20, end=1.0), exchange=exchange)
        return np.flatnonzero(rule._places_of_leaving(weight, at(step))).tolist()

    assert leaving(0, 50) == list(range(10))
    assert leaving(0.5, 50) == list(range(10 + 2))  # half of the 10 that are gone, times the half of time that is left
    assert leaving(1, 100) == list(range(20))


def test_other_layers_are_pruned_by_magnitude():
    weights = [csr_array([[0.3, 0.1, 0.2]]), csr_array([[3.0, 1.0, 2.0]])]
    masks = NeuronPrune(InputRemoval(1))(weights, [1, 2], progress=at(100), changing=[1, 2])
    for mask, expected in zip(masks, Magnitude()(weights, [1, 2]), strict=True):
        assert_array_equal(mask, expected)


def grown_from(grow, errors_of, n_grow=6, n_inputs=4, step=100, seed=0):
    """The inputs that pairs grow from in a layer of 12 inputs and 5 outputs, of which inputs 0 and 1 are connected."""
    rng = np.random.default_rng(seed)
    before = Pattern.from_edges(np.array([0, 1, 2]), np.array([0, 1, 0]), (5, 12))
    vacancy = Vacancy(0, before, np.zeros(3, dtype=bool), n_grow)
    a, delta = rng.standard_normal((12, 64)), rng.standard_normal((5, 64))
    delta[0] += errors_of @ a
    layers = [a, rng.standard_normal((5, 64))]
    signals = {
        "errors": no_subset(Errors(layers, [delta])),
        "activations": no_subset(Stream(layers)),
        "progress": at(step),
    }
    rule = NeuronGrow(InputRemoval(n_inputs), grow)
    ((rows, columns),) = rule([vacancy], rng=rng, **{name: signals[name] for name in rule.needs})
    assert rows.size == n_grow
    keys = np.concatenate([before.keys, rows * 12 + columns])
    assert np.unique(keys).size == keys.size
    return set(columns.tolist())


def test_connections_grow_from_connected_inputs_only():
    assert grown_from(Gradient(n_samples=None), np.zeros(12), n_inputs=2) <= {0, 1}


def test_the_inputs_with_large_gradients_come_back():
    """Inputs 7 and 9 drive the error of an output; two may come, and both do."""
    wanted = np.zeros(12)
    wanted[[7, 9]] = 20
    for seed in range(5):
        columns = grown_from(Gradient(n_samples=None), wanted, n_grow=2, n_inputs=4, seed=seed)
        assert columns == {7, 9}


@pytest.mark.parametrize(
    "grow", [Random(), Cosine(n_samples=None), Gradient(n_samples=None), Confirmed(n_samples=None)], ids=repr
)
def test_as_many_inputs_as_wanted_are_connected_after_growth(grow):
    columns = grown_from(grow, np.zeros(12), n_grow=6, n_inputs=5)
    assert len(columns | {0, 1}) == 5


@dataclass(frozen=True)
class Nothing:
    needs = ()

    def __call__(self, vacancies, *, rng):
        return [(np.empty(0, dtype=int),) * 2 for _ in vacancies]


def test_where_the_rule_finds_nothing_random_pairs_come_from_the_right_inputs():
    for seed in range(5):
        assert grown_from(Nothing(), np.zeros(12), n_inputs=2, seed=seed) <= {0, 1}
        assert len(grown_from(Nothing(), np.zeros(12), n_inputs=3, seed=seed) | {0, 1}) == 3


@pytest.mark.parametrize("grow", [None, Gradient()], ids=repr)
def test_a_network_is_left_with_so_many_inputs(grow, rng):
    X = rng.standard_normal((200, 40))
    y = (X[:, 3] + X[:, 17] > 0).astype(int)
    model = SparseMLPClassifier((30, 20), evolution=neuron_evolution(6, grow), epsilon=1, max_iter=30, random_state=0)
    model.fit(X, y)
    inputs = np.flatnonzero(model.feature_importances_)
    assert inputs.size == 6
    assert {3, 17} <= set(inputs)
    assert [coef.nnz for coef in model.coefs_] == [70, 50, 22]


def test_sparse_and_dense_features_make_the_same_network(rng):
    X = rng.standard_normal((60, 30)) * (rng.random((60, 30)) < 0.3)
    y = (X[:, 0] > 0).astype(int)
    model = SparseMLPClassifier((20,), evolution=neuron_evolution(5), max_iter=8, random_state=0)
    importances = [model.fit(x, y).feature_importances_ for x in (X, csr_array(X))]
    assert_array_equal(*importances)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InputRemoval(0), r"n_inputs=0 must be a positive integer"),
        (lambda: InputRemoval(5, end=0), r"end=0 must be a number in \(0, 1\]"),
        (lambda: NeuronPrune(5), r"removal=5 must be a truesparse.evolution.InputRemoval"),
        (lambda: NeuronGrow(5), r"removal=5 must be a truesparse.evolution.InputRemoval"),
        (lambda: NeuronPrune(InputRemoval(5), exchange=2), r"exchange=2 must be a number in \[0, 1\]"),
        (lambda: NeuronGrow(InputRemoval(5), Constant()), r"grow=Constant.* must have a tuple 'needs'"),
        (
            lambda: NeuronGrow(InputRemoval(5), PathWeightGrow()),
            r"grow=PathWeightGrow.* needs the signals \('paths',\)",
        ),
    ],
)
def test_what_is_not_allowed_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_method_can_be_stored_with_a_model(tmp_path, rng):
    X = rng.standard_normal((40, 10))
    model = SparseMLPClassifier((10,), evolution=neuron_evolution(3), max_iter=5, random_state=0)
    model.fit(X, (X[:, 0] > 0).astype(int))
    save(model, tmp_path / "model.npz")
    loaded = load(tmp_path / "model.npz")
    assert isinstance(loaded.evolution, Evolution)
    assert loaded.evolution == model.evolution
    assert_array_equal(loaded.feature_importances_, model.feature_importances_)
