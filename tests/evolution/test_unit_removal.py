from dataclasses import replace

import numpy as np
import pytest
from helpers import dense_of, forward, make
from numpy.testing import assert_allclose, assert_array_equal

from truesparse import SparseMLPClassifier
from truesparse.evolution import Given, ImportancePruning, preset
from truesparse.evolution.unit_removal import importance
from truesparse.inspection import TopologyRecorder
from truesparse.topology import Pattern
from truesparse.training.optimizers import Adam


def test_importance_is_the_strength_of_the_inputs_of_units_that_are_read(rng):
    network = make(rng, sizes=(6, 9, 70, 65), dense=(2,))
    for layer, above, scores in zip(network.layers[:-1], network.layers[1:], importance(network.layers), strict=True):
        is_read = (dense_of(above) != 0).any(axis=0)
        assert_allclose(scores, np.abs(dense_of(layer)).sum(axis=1) * is_read)


def test_the_least_important_go_and_one_stays(rng):
    network = make(rng, sizes=(6, 9, 8, 3))
    for scores, kept in zip(importance(network.layers), ImportancePruning(0.5)(network.layers), strict=True):
        assert np.count_nonzero(~kept) == scores.size // 2
        assert scores[~kept].max() <= scores[kept].min()
    assert [mask.sum() for mask in ImportancePruning(0.999)(network.layers)] == [1, 1]


@pytest.mark.parametrize(
    "kept",
    [
        [np.ones(9, bool)], [np.ones(9, bool), np.zeros(8, bool)], [np.ones(9, bool), np.ones(9, bool)],
        [np.ones(9, bool), np.arange(8)], [np.ones(9, bool), None],
    ],
)  # fmt: skip
def test_masks_of_units_are_checked_before_anything_changes(kept, rng):
    network = make(rng, sizes=(6, 9, 8, 3))
    before = network.params
    with pytest.raises(ValueError, match=r"kept=.* must hold a bool mask with at least one True .* \[9, 8\] units"):
        network.keep_units(kept)
    assert network.params is before


@pytest.mark.parametrize("activation", ["relu", "srelu"])
@pytest.mark.parametrize("sizes", [(6, 9, 8, 3), (6, 80, 70, 65)])
def test_a_narrower_network_computes_what_the_units_that_stay_compute(activation, sizes, rng):
    """Equal to the wide network once everything that belongs to removed units is zero."""
    network = make(rng, activation, sizes=sizes)
    state = Adam().init(network.params)
    state["mean"][:] = network.params  # follows the parameters
    kept = [rng.random(size) < 0.6 for size in sizes[1:-1]]
    wide = [dense_of(layer).copy() for layer in network.layers]
    masks = [np.ones(sizes[0], bool), *kept, np.ones(sizes[-1], bool)]
    expected = [w[np.ix_(masks[i + 1], masks[i])] for i, w in enumerate(wide)]
    biases = [layer.bias[masks[i + 1]].copy() for i, layer in enumerate(network.layers)]
    x = rng.standard_normal((sizes[0], 5))
    twin = make(np.random.default_rng(0), activation, sizes=sizes)
    twin.params[:] = network.params
    for layer, source in zip(twin.layers, network.layers, strict=True):
        if layer.stored_pattern is not None:
            layer.pattern = source.pattern
    for above, mask in zip(twin.layers[1:], kept, strict=True):
        above.data[~mask[above.pattern.indices]] = 0  # nothing comes from a unit that will be removed
    whole = forward(twin, x, twin.workspace(5)).copy()

    (mean,) = network.keep_units(kept, state["mean"])
    assert network.layer_sizes == [mask.sum() for mask in masks]
    for layer, w, b in zip(network.layers, expected, biases, strict=True):
        assert_array_equal(dense_of(layer), w)
        assert_array_equal(layer.bias, b)
    assert_array_equal(mean, network.params)
    assert network.n_weights == sum(layer.nnz for layer in network.layers)
    assert_allclose(forward(network, x, network.workspace(5)), whole, rtol=1e-12)


def test_when_it_is_due():
    rule = ImportancePruning(0.2, begin=0.25, end=0.6, every=3)
    assert [epoch for epoch in range(21) if rule.is_due(epoch, 20)] == [5, 8, 11]
    assert not ImportancePruning(begin=0).is_due(0, 20)  # before the first epoch, importance is chance


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"fraction": 1.0}, "fraction=1.0"),
        ({"begin": -1}, "begin=-1"),
        ({"end": 2}, "end=2"),
        ({"every": 0}, "every=0"),
        ({"every": True}, "every=True"),
        ({"fraction": 10**400}, "fraction=10"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        ImportancePruning(**parameters)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_classifier_gets_narrower_and_stays_good(early_stopping, digits):
    X_train, X_test, y_train, y_test = digits
    pruning = ImportancePruning(0.2, begin=0.3, end=0.7, every=4)  # after epochs 12, 16, 20 and 24
    recorder = TopologyRecorder()
    model = SparseMLPClassifier(
        (200, 100), epsilon=8, evolution=replace(preset("set"), unit_pruning=pruning), max_iter=40, random_state=0,
        early_stopping=early_stopping, n_iter_no_change=np.inf, callbacks=[recorder],
    ).fit(X_train, y_train)  # fmt: skip
    assert [coef.shape for coef in model.coefs_] == [(64, 83), (83, 42), (42, 10)]
    nnz = [sum(epoch) for epoch in model.history_["nnz"]]
    assert [epoch for epoch in range(1, 40) if nnz[epoch] < nnz[epoch - 1]] == [12, 16, 20, 24]
    assert model.score(X_test, y_test) > 0.93
    shapes = [coef.shape for coef in model.coefs_]
    shares = np.array(recorder.exploration_rates) * [fan_in * fan_out for fan_in, fan_out in shapes]
    assert all(shares >= [coef.nnz for coef in model.coefs_])
    assert recorder.updates[0].step < 12 * 13 < 24 * 14 < recorder.updates[-1].step  # before and after all prunings
    model.set_params(warm_start=True, evolution=preset("set")).fit(X_train, y_train)
    assert model.coefs_[0].shape == (64, 83)


def test_not_within_pairs():
    """Removed units would leave pairs of a topology without their rows and columns."""
    within = Given([Pattern.full((4, 6)), Pattern.full((2, 4))])
    with pytest.raises(ValueError, match="unit_pruning and within cannot be combined"):
        replace(preset("set"), within=within, unit_pruning=ImportancePruning())
