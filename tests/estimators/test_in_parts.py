"""partial_fit and warm_start take the steps that fit takes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_classification

from truesparse import SparseMLPClassifier, SparseMLPRegressor

X, y = make_classification(110, 10, n_informative=6, n_classes=3, random_state=0)
NUMBERS = np.tile([-1.0, 1.0], 55)  # of every batch, the mean is 0 and the scale 1
WEIGHTS = np.repeat([0.5, 1.5], 55)  # a mean of 1, which fit gives them
SMALL = {
    "hidden_layer_sizes": (30, 20), "epsilon": 3, "batch_size": 30, "shuffle": False, "n_iter_no_change": np.inf,
    "random_state": 0,
}  # fmt: skip


@pytest.fixture(params=[SparseMLPClassifier, SparseMLPRegressor])
def kind(request):
    return request.param


def make(kind, **changes):
    return kind(**SMALL, **changes)


def targets(kind):
    return y if kind is SparseMLPClassifier else NUMBERS


def first(kind):
    return {"classes": [0, 1, 2]} if kind is SparseMLPClassifier else {}


def assert_same_network(model, other):
    for a, b in zip(model._network.layers, other._network.layers, strict=True):
        assert_array_equal(a.pattern.indices, b.pattern.indices)
    assert model._network.params.tobytes() == other._network.params.tobytes()
    for name, moments in model._run.state.optimizer_state.items():
        assert moments.tobytes() == other._run.state.optimizer_state[name].tobytes()


@pytest.mark.parametrize("evolution", ["set", "static"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_batches_one_by_one_are_the_epochs_of_fit(kind, evolution, solver):
    """Topology, moments, dropout and both schedules go on from call to call."""
    settings = {"evolution": evolution, "solver": solver, "dropout": 0.2, "update_every": 5}
    target = targets(kind)
    whole = make(kind, **settings, max_iter=6).fit(X, target)
    parts = make(kind, **settings, max_iter=24)  # 4 batches an epoch
    for _ in range(6):
        for start in range(0, 110, 30):
            parts.partial_fit(X[start : start + 30], target[start : start + 30], **first(kind))
    assert_same_network(parts, whole)
    if evolution == "set":
        replaced = [np.sum(model.history_["edges_replaced"], axis=0) for model in (parts, whole)]
        assert_array_equal(*replaced)
        assert replaced[0].any()


@pytest.mark.parametrize("evolution", ["cte", "rigl", "set"])
def test_calls_with_all_samples_are_the_epochs_of_fit(kind, evolution):
    settings = {"evolution": evolution, "update_every": 5, "max_iter": 6}
    whole = make(kind, **settings).set_params(shuffle=True).fit(X, y, WEIGHTS)
    parts = make(kind, **settings).set_params(shuffle=True)
    for _ in range(6):
        parts.partial_fit(X, y, **first(kind), sample_weight=WEIGHTS)
    assert_same_network(parts, whole)
    assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=0)


def test_a_warm_start_is_the_second_half_of_a_fit(kind):
    settings = {"evolution": "static", "learning_rate": "constant", "dropout": 0.2}
    whole = make(kind, **settings, max_iter=8).fit(X, y)
    halves = make(kind, **settings, max_iter=4, warm_start=True).fit(X, y)
    assert halves.n_iter_ == 4
    assert_same_network(halves.fit(X, y), whole)
    assert halves.n_iter_ == 8


@pytest.mark.parametrize("changes", [{"solver": "newton"}, {"scoring": "best"}, {"max_iter": 0}, {"loss": "hubr"}])
def test_parameters_are_checked_in_every_call(kind, changes):
    model = make(kind, max_iter=4).partial_fit(X, y, **first(kind))
    if not changes.keys() <= model.get_params().keys():
        changes = {"class_weight": "blanced"}
    before = model._network.params.copy()
    with pytest.raises(ValueError, match=next(iter(changes))):
        model.set_params(**changes).partial_fit(X, y)
    assert_array_equal(model._network.params, before)


def test_what_was_not_announced_is_refused(kind):
    model = make(kind, max_iter=4).partial_fit(X, y, **first(kind))
    before = vars(model).copy()
    with pytest.raises(ValueError, match=r"X has 11 features, but .* is expecting 10"):
        model.partial_fit(np.column_stack([X, y]), y)
    if kind is SparseMLPClassifier:
        with pytest.raises(ValueError, match=r"y holds the classes \[7\], which are not among \[0, 1, 2\]"):
            model.partial_fit(X, np.where(y == 0, 7, y))
        with pytest.raises(ValueError, match=r"classes=\[0, 1, 2, 3\] differ"):
            model.partial_fit(X, y, classes=range(4))
    else:
        with pytest.raises(ValueError, match="y has 2 outputs, but the network was made for 1"):
            model.partial_fit(X, np.column_stack([y, y]))
    assert vars(model) == before
