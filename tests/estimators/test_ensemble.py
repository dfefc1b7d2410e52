"""Ensembles: who is trained on what, how members are mixed, and what is refused."""

import copy
import pickle
import signal

import joblib
import numpy as np
import pytest
from helpers import assert_same_run
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_classification, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import GridSearchCV

from truesparse import (
    Evolution,
    SparseFeatureSelector,
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPEnsembleRegressor,
    SparseMLPRegressor,
)
from truesparse.callbacks import EarlyStopping
from truesparse.data import Chunks
from truesparse.data.source import array_source
from truesparse.evolution import Random
from truesparse.inspection import layer_summaries

X, y = make_classification(120, 10, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)
NUMBERS = make_friedman1(120, 10, random_state=0)[1]
SMALL = {"hidden_layer_sizes": (20,), "epsilon": 3, "max_iter": 8, "update_every": 3}
CLASSIFIER = SparseMLPClassifier(**SMALL)
REGRESSOR = SparseMLPRegressor(**SMALL)
TARGETS = {
    "classes": y,
    "text": np.array(["a", "bc", "def"], dtype=object)[y],
    "labels": (X[:, :3] > 0).astype(int),
    "number": NUMBERS,
    "numbers": np.column_stack([NUMBERS, X[:, 0], X[:, 1]]),
}


def make(kind="classes", **options):
    options = {"evolution": ("cte", "set"), "n_folds": 3, "random_state": 0} | options
    if kind.startswith("number"):
        return SparseMLPEnsembleRegressor(clone(REGRESSOR), **options)
    return SparseMLPEnsembleClassifier(clone(CLASSIFIER), **options)


def assert_same(ensemble, other):
    """Equal to the last byte."""
    assert len(ensemble.estimators_) == len(other.estimators_)
    for member, other_member in zip(ensemble.estimators_, other.estimators_, strict=True):
        assert_same_run(member, other_member)
    assert ensemble.weights_.tobytes() == other.weights_.tobytes()
    assert ensemble.oof_predictions_.tobytes() == other.oof_predictions_.tobytes()
    assert ensemble.oof_loss_ == other.oof_loss_
    assert ensemble.oof_score_ == pytest.approx(other.oof_score_, rel=1e-9)  # the units of y are sums of all weights


class SeesRows:
    """A `batch_transform` that notes the first feature of every sample it is given, for all of its copies."""

    def __init__(self):
        self.values = set()

    def __call__(self, X_batch, rng):
        self.values.update(X_batch[:, 0].tolist())
        return X_batch


@pytest.mark.parametrize("kind", TARGETS)
def test_out_of_fold_predictions_are_of_members_that_did_not_see_the_sample(kind):
    target = TARGETS[kind]
    ensemble = make(kind, combine="mean").set_params(estimator__batch_transform=SeesRows())
    ensemble.fit(X, target)
    p = ensemble.oof_predictions_
    n_predicted = np.zeros(len(X), dtype=int)
    expected = np.zeros(p.shape)
    for member, weight in zip(ensemble.estimators_, ensemble.weights_, strict=True):
        seen = np.isin(X[:, 0], list(member.batch_transform.values))
        assert 75 <= seen.sum() <= 85
        n_predicted[~seen] += 1
        own = member.predict(X) if kind.startswith("number") else member.predict_proba(X)
        expected[~seen] += 3 * weight * own[~seen]
    assert_array_equal(n_predicted, 2)  # by one member of each method
    assert_allclose(p, expected, rtol=1e-5, atol=1e-6)
    if kind == "classes":
        assert ensemble.oof_loss_ == pytest.approx(log_loss(y, p), rel=1e-5)
        assert ensemble.oof_score_ == accuracy_score(y, p.argmax(axis=1))
    elif kind == "numbers":
        assert ensemble.oof_score_ == pytest.approx(r2_score(target, p), rel=1e-5)


@pytest.mark.parametrize("kind", TARGETS)
def test_predictions_are_weighted_means(kind):
    ensemble = make(kind).fit(X, TARGETS[kind])
    assert ensemble.weights_.sum() == pytest.approx(1)
    assert (ensemble.weights_ > 0).all()
    if kind.startswith("number"):
        parts = [member.predict(X) for member in ensemble.estimators_]
        assert_allclose(ensemble.predict(X), np.average(parts, axis=0, weights=ensemble.weights_))
        assert ensemble.predict(X).shape == TARGETS[kind].shape
        return
    parts = [member.predict_proba(X) for member in ensemble.estimators_]
    p = ensemble.predict_proba(X)
    assert p.dtype == np.float32
    assert_allclose(p, np.average(parts, axis=0, weights=ensemble.weights_), atol=1e-6)
    assert_allclose(ensemble.predict_log_proba(X), np.log(p))
    expected = (p > 0.5).astype(int) if kind == "labels" else ensemble.classes_[p.argmax(axis=1)]
    assert_array_equal(ensemble.predict(X), expected)
    assert_array_equal(ensemble.classes_, np.arange(3) if kind == "labels" else np.unique(TARGETS[kind]))


def test_members_stop_by_the_loss_of_their_fold_and_keep_the_best_epoch():
    estimator = clone(CLASSIFIER).set_params(max_iter=100, n_iter_no_change=5, learning_rate_init=0.05)
    ensemble = SparseMLPEnsembleClassifier(estimator, n_folds=3, evolution=("set",), random_state=0).fit(X, y)
    stopped = 0
    for member, history in zip(ensemble.estimators_, ensemble.history_, strict=True):
        assert (member.scoring, member.early_stopping, member.n_jobs, member.evolution) == (None, True, 1, "set")
        assert history == member.history_
        losses = np.array(history["validation_loss"])
        stopped += len(losses) < 100
        assert len(losses) - 1 - losses.argmin() <= 6
    assert stopped
    n_held_out = [40, 40, 40]
    least = [min(history["validation_loss"]) for history in ensemble.history_]
    assert ensemble.oof_loss_ == pytest.approx(np.average(least, weights=n_held_out), rel=1e-4)


def test_a_scoring_of_the_estimator_is_kept():
    ensemble = make().set_params(estimator__scoring="accuracy").fit(X, y)
    assert {member.scoring for member in ensemble.estimators_} == {"accuracy"}


@pytest.mark.parametrize("kind", ["classes", "number"])
def test_the_same_bytes_by_any_backend(kind):
    target = TARGETS[kind]
    ensemble = make(kind, evolution=("cte", "set", "omp")).fit(X, target)
    for backend in ("loky", "threading", "multiprocessing"):
        with joblib.parallel_config(backend, n_jobs=2):
            assert_same(make(kind, evolution=("cte", "set", "omp")).fit(X, target), ensemble)
    assert_same(make(kind, evolution=("cte", "set", "omp"), n_jobs=2).fit(X, target), ensemble)
    assert_same(make(kind, evolution=("cte", "set", "omp")).fit(array_source(X).with_target(target), None), ensemble)
    assert_same(make(kind, evolution=("cte", "set", "omp"), n_jobs=2).fit(csr_array(X), target), ensemble)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_arrays_that_joblib_maps_and_memory_maps(backend, tmp_path):
    rng = np.random.default_rng(0)
    large = rng.standard_normal((3000, 100), dtype=np.float32)  # 1.2 MB
    target = (large[:, 0] > 0).astype(int)
    ensemble = make(n_folds=2, evolution=("set",)).set_params(estimator__max_iter=2, estimator__batch_size=100)
    alone = clone(ensemble).fit(large, target)
    mapped = np.memmap(tmp_path / "X", np.float32, "w+", shape=large.shape)
    mapped[:] = large
    sparse = csr_array(np.where(large > 0.5, large, 0))
    with joblib.parallel_config(backend, n_jobs=2):
        assert_same(clone(ensemble).fit(large, target), alone)
        assert_same(clone(ensemble).fit(mapped, target), alone)
        assert_same(clone(ensemble).fit(sparse, target), clone(ensemble).set_params(n_jobs=1).fit(sparse, target))


def test_chunks():
    chunks = Chunks([(X[:70], y[:70]), (X[70:], y[70:])])
    ensemble = make().fit(chunks)
    assert ensemble.oof_predictions_.shape == (120, 3)
    assert ensemble.score(X, y) > 0.4


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_weight_0_equals_absent(kind, rng):
    target, weights = TARGETS[kind], rng.integers(1, 4, size=len(X)).astype(float)
    weights[rng.permutation(len(X))[:30]] = 0
    kept, groups = weights > 0, rng.integers(12, size=len(X))
    for given in (None, groups):
        whole = make(kind).fit(X, target, weights, groups=given)
        part = make(kind).fit(X[kept], target[kept], weights[kept], groups=None if given is None else given[kept])
        assert np.isnan(whole.oof_predictions_[~kept]).all()
        whole.oof_predictions_ = whole.oof_predictions_[kept]
        assert_same(whole, part)


def test_weights_of_samples_matter_in_training_and_in_the_mix():
    weights = np.where(y == 0, 5.0, 1.0)
    ensemble = make().fit(X, y, weights)
    assert ensemble.oof_loss_ == pytest.approx(log_loss(y, ensemble.oof_predictions_, sample_weight=weights), rel=1e-4)
    balanced = make().set_params(estimator__class_weight={0: 5}).fit(X, y)
    assert (balanced.predict(X) == 0).sum() > (make().fit(X, y).predict(X) == 0).sum()


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_groups_stay_together(kind, rng):
    groups = rng.integers(12, size=len(X))
    ensemble = make(kind, combine="mean").set_params(estimator__batch_transform=SeesRows())
    ensemble.fit(X, TARGETS[kind], groups=groups)
    for member in ensemble.estimators_:
        seen = np.isin(X[:, 0], list(member.batch_transform.values))
        assert not set(groups[seen]) & set(groups[~seen])
        assert 60 <= seen.sum() <= 100


def test_folds_have_the_shares_of_the_classes():
    rare = np.array([0] * 90 + [1] * 24 + [2] * 6)
    ensemble = make(combine="mean").set_params(estimator__batch_transform=SeesRows()).fit(X, rare)
    for member in ensemble.estimators_:
        seen = np.isin(X[:, 0], list(member.batch_transform.values))
        assert_array_equal(np.bincount(rare[~seen]), [30, 8, 2])


def test_a_class_with_two_samples_is_known_to_all_members():
    rare = np.array([0] * 60 + [1] * 58 + [2] * 2)
    ensemble = make(n_folds=5).fit(X, rare)
    assert all(member.classes_.tolist() == [0, 1, 2] for member in ensemble.estimators_)


def test_validation_data_take_the_place_of_the_folds():
    ensemble = make(combine="mean").fit(X[:90], y[:90], X_val=X[90:], y_val=y[90:])
    assert len(ensemble.estimators_) == 6
    for member in ensemble.estimators_:
        own = clone(member).fit(X[:90], y[:90], X_val=X[90:], y_val=y[90:])
        assert_same_run(own, member)
    assert_allclose(ensemble.oof_predictions_, ensemble.predict_proba(X[90:]), atol=1e-6)
    assert ensemble.oof_loss_ == pytest.approx(log_loss(y[90:], ensemble.predict_proba(X[90:])), rel=1e-4)
    assert ensemble.oof_score_ == ensemble.score(X[90:], y[90:])
    weights = np.where(y[90:] == 0, 0.0, 1 + np.arange(30))
    ensemble = make().fit(X[:90], y[:90], X_val=X[90:], y_val=y[90:], sample_weight_val=weights)
    p, kept = ensemble.predict_proba(X[90:]), weights > 0
    assert_allclose(ensemble.oof_predictions_, p[kept], atol=1e-6)
    assert ensemble.oof_loss_ == pytest.approx(log_loss(y[90:], p, sample_weight=weights), rel=1e-4)


def test_one_fold_is_all_samples_without_early_stopping():
    ensemble = make(n_folds=1).fit(X, y)
    assert_array_equal(ensemble.weights_, [0.5, 0.5])
    for member in ensemble.estimators_:
        assert_same_run(clone(member).fit(X, y), member)
        assert not member.early_stopping
        assert member.n_iter_ == 8
    assert not hasattr(ensemble, "oof_score_")
    assert ensemble.summary().splitlines()[-1].split()[:3] == ["all", "2", "1.00"]


def test_methods_that_add_nothing_are_dropped():
    """A method whose network cannot learn has no weight."""
    useless = Evolution(grow=Random(), grow_init="zeros")
    ensemble = SparseMLPEnsembleClassifier(
        clone(CLASSIFIER).set_params(max_iter=40), evolution=["set", useless, None], n_folds=2, random_state=1
    ).fit(X, y)
    rows = [line.split("  ") for line in ensemble.summary().splitlines()]
    assert ensemble.summary().splitlines()[0].split()[:3] == ["method", "members", "weight"]
    assert len(rows) == 5
    shares = [standing.weight for standing in ensemble._standings]
    n_members = [standing.n_members for standing in ensemble._standings]
    assert n_members == [2 if share else 0 for share in shares]
    assert len(ensemble.estimators_) == len(ensemble.weights_) == sum(n_members)
    assert sum(shares) == pytest.approx(1)


def test_summary_adds_up():
    ensemble = make(combine="mean").fit(X, y)
    lines = [line.split() for line in ensemble.summary().splitlines()]
    assert lines[0] == ["method", "members", "weight", "loss", "alone", "adds", "weights", "bytes"]
    assert [line[:3] for line in lines[1:]] == [["cte", "3", "0.50"], ["set", "3", "0.50"], ["all", "6", "1.00"]]
    cte, set_, whole = lines[1:]
    # Without one of two methods there is the other alone.
    assert float(cte[4]) == pytest.approx(float(set_[3]) - ensemble.oof_loss_, abs=2e-4)
    assert float(whole[3]) == pytest.approx(ensemble.oof_loss_, abs=1e-4)
    n_weights = [sum(row.weights for row in layer_summaries(member)) for member in ensemble.estimators_]
    assert whole[4] == f"{sum(n_weights):,}"
    assert cte[5] == f"{sum(n_weights[:3]):,}"
    assert "loss alone" in ensemble._repr_html_()
    assert "loss alone" not in make()._repr_html_()


def test_importances_and_the_selector(rng):
    Z = rng.standard_normal((300, 20))
    target = (Z[:, [2, 11, 19]].sum(axis=1) > 0).astype(int)
    network = SparseMLPClassifier((40,), epsilon=2, max_iter=60, update_every=10)
    ensemble = SparseMLPEnsembleClassifier(network, n_folds=2, evolution=("set", "omp"), random_state=0)
    fitted = clone(ensemble).fit(Z, target)
    parts = [member.feature_importances_ for member in fitted.estimators_]
    assert_allclose(fitted.feature_importances_, np.average(parts, axis=0, weights=fitted.weights_))
    assert fitted.feature_importances_.sum() == pytest.approx(1)
    for strategy in ("strength", "neuron_evolution"):
        selector = SparseFeatureSelector(3, estimator=ensemble, strategy=strategy, random_state=3).fit(Z, target)
        assert selector.get_support(indices=True).tolist() == [2, 11, 19]
        assert selector.estimator_.random_state == 3
    assert ensemble.evolution == ("set", "omp")
    with pytest.raises(ValueError, match="y=None, but estimator=SparseMLPEnsembleClassifier"):
        SparseFeatureSelector(3, estimator=ensemble).fit(Z)


def test_partial_fit_after_fit_trains_all_members_on():
    ensemble = make().fit(X, y)
    before = copy.deepcopy(ensemble)
    ensemble.partial_fit(X[:60], y[:60])
    for member, old in zip(ensemble.estimators_, before.estimators_, strict=True):
        assert_same_run(member, old.partial_fit(X[:60], y[:60]))
    assert ensemble.weights_.tobytes() == before.weights_.tobytes()
    assert ensemble.oof_loss_ == before.oof_loss_


@pytest.mark.parametrize("kind", TARGETS)
def test_partial_fit_from_the_first_sample_on(kind):
    target = TARGETS[kind]
    known = {"classes": [0, 1, 2], "text": ["a", "bc", "def"], "labels": range(3)}
    classes = {"classes": known[kind]} if kind in known else {}
    ensemble, parallel = make(kind), make(kind, n_jobs=2)
    for each in (ensemble, parallel):
        each.partial_fit(X[:60], target[:60], **classes).partial_fit(X[60:], target[60:])
    assert [member.n_iter_ for member in ensemble.estimators_] == [2] * 6
    assert_array_equal(ensemble.weights_, np.full(6, 1 / 6))
    for member, other in zip(ensemble.estimators_, parallel.estimators_, strict=True):
        assert_same_run(member, other)
    assert ensemble.predict(X).shape == target.shape
    assert len({member.random_state for member in ensemble.estimators_}) == 6


def test_partial_fit_that_fails_changes_nothing():
    ensemble = make(combine="mean").fit(X, y)
    before, n_iter = vars(ensemble).copy(), [member.n_iter_ for member in ensemble.estimators_]
    ensemble.estimators_[3].set_params(dropout=2)
    with pytest.raises(ValueError, match="'dropout' parameter"):
        ensemble.partial_fit(X, y)
    assert vars(ensemble) == before
    assert [member.n_iter_ for member in ensemble.estimators_] == n_iter
    with pytest.raises(ValueError, match="first call of partial_fit needs all labels"):
        make().partial_fit(X, y)
    with pytest.raises(ValueError, match="class_weight='balanced' needs all samples"):
        make().set_params(estimator__class_weight="balanced").partial_fit(X, y, [0, 1, 2])


class Counts:
    def __init__(self):
        self.n_epochs = 0

    def on_epoch_end(self, network, record):
        self.n_epochs += 1


def test_callbacks_are_copied_for_each_member():
    own, common = Counts(), Counts()
    ensemble = make(callbacks=[common], combine="mean")
    ensemble.set_params(estimator__callbacks=[own, EarlyStopping("train_loss", patience=99)]).fit(X, y)
    assert own.n_epochs == common.n_epochs == 0
    for member in ensemble.estimators_:
        assert [type(callback) for callback in member.callbacks] == [Counts, EarlyStopping, Counts]
        assert member.callbacks[0].n_epochs == member.callbacks[2].n_epochs == member.n_iter_


def test_lines_for_the_members(capsys):
    make(verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        f"member {number} of 6: {method}, {fold} of 3"
        for number, (method, fold) in enumerate(((m, f) for m in ("cte", "set") for f in (1, 2, 3)), 1)
    ]
    make().fit(X, y)
    assert capsys.readouterr().out == ""


def test_a_bar_for_the_members(capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr("truesparse.callbacks.progress._bar_possible", lambda: True)
    make(verbose=1).fit(X, y)
    assert "6 of 6 members" in capsys.readouterr().out


def test_names_of_features():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=[f"f{i}" for i in range(10)])
    ensemble = make().fit(table, y)
    assert ensemble.feature_names_in_.tolist() == list(table.columns)
    assert_array_equal(ensemble.predict_proba(table), make().fit(X, y).predict_proba(X))
    ensemble.partial_fit(table, y)
    with pytest.raises(ValueError, match="feature names"):
        ensemble.predict(table.rename(columns=str.upper))


def test_pickles_copies_and_searches():
    ensemble = make().fit(X, y)
    again = pickle.loads(pickle.dumps(ensemble))
    assert_same(again, ensemble)
    assert again._lead is again.estimators_[0]
    search = GridSearchCV(make(n_folds=2), {"estimator__epsilon": [1, 3], "evolution": [("set",)]}, cv=2).fit(X, y)
    assert search.best_params_["evolution"] == ("set",)


def test_ctrl_c_ends_the_fit_and_changes_nothing():
    class Interrupts:
        def on_epoch_end(self, network, record):
            signal.raise_signal(signal.SIGINT)

    ensemble = make().fit(X, y)
    before = vars(ensemble).copy()
    ensemble.callbacks = [Interrupts()]
    before["callbacks"] = ensemble.callbacks
    with pytest.raises(KeyboardInterrupt):
        ensemble.fit(X, y)
    assert vars(ensemble) == before
    ensemble.set_params(callbacks=None).fit(X, y)  # and does not end the next one


REFUSED = [
    ({"evolution": ("cte", "sett")}, {}, r"evolution=\('cte', 'sett'\) holds 'sett'; .*'?set"),
    ({"evolution": "cte"}, {}, "'evolution' parameter .* Got 'cte' instead"),
    ({"evolution": ()}, {}, r"evolution=\(\) is empty"),
    ({"evolution": ("snip",)}, {}, "evolution='snip' is a first topology"),
    ({"evolution": (Random(),)}, {}, r"holds Random\(.*\); instances of Evolution"),
    ({"n_folds": 0}, {}, "'n_folds' parameter"),
    ({"n_folds": 121}, {}, "n_folds=121 cannot divide n_samples=120.*fewer folds, or n_folds=1"),
    ({"n_folds": 60}, {}, "n_folds=60 cannot divide n_samples=120.*members in each class"),
    ({"combine": "median"}, {}, "'combine' parameter"),
    ({"callbacks": [Counts]}, {}, "callbacks=.* holds <class"),
    ({"estimator": REGRESSOR}, {}, "'estimator' parameter"),
    ({"estimator": SparseMLPClassifier(epsilon=-1)}, {}, "'epsilon' parameter"),
    ({"estimator": SparseMLPClassifier(epsilon=1, density=0.5)}, {}, "epsilon=1 and density=0.5"),
    ({}, {"groups": np.zeros(120)}, "n_folds=3 cannot divide n_samples=120 in 1 groups"),
    ({}, {"groups": np.zeros(7)}, r"groups must have the shape \(120,\), .* got \(7,\)"),
    ({"n_folds": 1}, {"groups": np.arange(120)}, "groups are given for the folds, but n_folds=1 makes none"),
    ({}, {"groups": np.arange(120), "X_val": X, "y_val": y}, "X_val takes their place"),
    ({}, {"X_val": X}, "X_val and y_val go together"),
    ({}, {"X_val": X[:, :5], "y_val": y}, "X_val, y_val: X has 5 features"),
    ({}, {"X_val": X, "y_val": y + 1}, r"X_val, y_val: y holds the classes \[3\]"),
    ({}, {"sample_weight": -np.ones(120)}, "sample_weight must hold numbers that are not below 0"),
    ({}, {"y": np.zeros(120)}, "only one class"),
    ({}, {"y": np.array([0] * 60 + [1] * 59 + [2])}, r"fold \d has all 1 samples of the class 2 in y"),
    ({}, {"checkpoint": 3}, "checkpoint=3 must be a path"),
    ({}, {"checkpoint": __file__}, "is a file; a folder is allowed"),
    ({}, {"checkpoint": "/nowhere/at/all"}, "is in a folder that does not exist"),
]


@pytest.mark.parametrize(("parameters", "arguments", "message"), REFUSED)
def test_what_is_not_allowed_is_named_and_changes_nothing(parameters, arguments, message):
    ensemble = make().fit(X, y).set_params(**parameters)
    before = vars(ensemble).copy()
    with pytest.raises((ValueError, TypeError), match=message):
        ensemble.fit(**({"X": X, "y": y} | arguments))
    assert vars(ensemble) == before


def test_a_fold_of_a_regression_needs_two_samples():
    with pytest.raises(ValueError, match="n_folds=3 cannot divide n_samples=5 such that each fold has 2 or more"):
        make("number").fit(X[:5], NUMBERS[:5])
    make("number").fit(X[:6], NUMBERS[:6])


@pytest.mark.parametrize("kind", ["classes", "number"])
def test_not_fitted(kind, tmp_path):
    ensemble = make(kind)
    for call in (lambda: ensemble.predict(X), ensemble.summary, lambda: ensemble.export_numpy(tmp_path / "model")):
        with pytest.raises(NotFittedError):
            call()
    for name in ("estimators_", "weights_", "feature_importances_", "history_", "oof_score_"):
        assert not hasattr(ensemble, name)
