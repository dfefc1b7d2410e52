"""Weights of samples and of classes, and their way through scikit-learn's meta-estimators."""

import copy

import numpy as np
import pytest
import sklearn
from helpers import assert_same_run
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import make_classification
from sklearn.ensemble import BaggingClassifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from truesparse import SparseMLPClassifier, SparseMLPEnsembleClassifier, SparseMLPRegressor
from truesparse.training import SGD

X, y = make_classification(120, 10, n_informative=6, n_classes=3, random_state=0)
WEIGHTS = np.random.default_rng(0).uniform(0.1, 5, size=120)
SMALL = {"hidden_layer_sizes": (30,), "epsilon": 5, "max_iter": 8, "update_every": 5, "random_state": 0}
# No draws and no batches, so that only sums of losses count.
EXACT = SMALL | {"evolution": "static", "dropout": 0, "batch_size": 10_000, "dtype": "float64", "max_iter": 30}


@pytest.fixture(params=[SparseMLPClassifier, SparseMLPRegressor])
def kind(request):
    return request.param


@pytest.mark.parametrize("weights", [np.ones(120), np.full(120, 0.3), 7, np.ones(120, dtype=int).tolist()])
def test_equal_weights_change_no_byte(kind, weights):
    assert_same_run(kind(**SMALL).fit(X, y, sample_weight=weights), kind(**SMALL).fit(X, y))
    parts = [kind(**SMALL).fit(X, y).partial_fit(X, y, sample_weight=w) for w in (np.ones(120), None)]
    assert_same_run(*parts)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_samples_of_weight_zero_are_left_out(kind, form):
    weights = np.where(np.arange(120) % 3, 1.0, 0.0)
    kept = weights > 0
    whole = kind(**SMALL).fit(form(X), y, sample_weight=weights)
    assert_same_run(whole, kind(**SMALL).fit(form(X[kept]), y[kept]))


def test_a_class_of_weight_zero_is_there_as_in_scikit_learn():
    model = SparseMLPClassifier(**SMALL).fit(X, y, sample_weight=y != 1)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert_array_equal(model.set_params(warm_start=True).fit(X, y, sample_weight=y == 1).classes_, [0, 1, 2])


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_whole_weights_are_repetitions(kind, form):
    counts = np.random.default_rng(1).integers(0, 4, size=120)
    weighted = kind(**EXACT).fit(form(X), y, sample_weight=counts)
    repeated = kind(**EXACT).fit(form(X.repeat(counts, axis=0)), y.repeat(counts))
    predict = "predict_proba" if kind is SparseMLPClassifier else "predict"
    assert_allclose(getattr(weighted, predict)(X), getattr(repeated, predict)(X), rtol=1e-6)
    assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-6)


def test_in_fit_only_ratios_count(kind):
    # Powers of two are exact.
    assert_same_run(kind(**SMALL).fit(X, y, WEIGHTS), kind(**SMALL).fit(X, y, 2.0**-40 * WEIGHTS))
    assert_same_run(kind(**SMALL).fit(X, y, WEIGHTS), kind(**SMALL).fit(X, y, 2.0**1020 * WEIGHTS))


def test_in_partial_fit_weights_count_as_they_are(kind):
    """No call knows those of the others: a gradient twice as large, or a call that hardly counts."""
    settings = EXACT | {"solver": SGD(momentum=0), "alpha": 0, "learning_rate": "constant"}
    start = kind(**settings).fit(X, y)
    steps = []
    for weight in (1, 2, 1e-9):
        model = copy.deepcopy(start).partial_fit(X, y, sample_weight=np.full(120, weight))
        steps.append(model._network.params - start._network.params)
    assert_allclose(steps[1], 2 * steps[0], rtol=1e-6, atol=1e-12)
    assert abs(steps[2]).max() < 1e-8 * abs(steps[0]).max()


@pytest.mark.parametrize("labels", [False, True])
def test_weights_pull_predictions(labels):
    twice, both = np.vstack([X, X]), np.r_[np.zeros(120, int), np.ones(120, int)]
    both = np.column_stack([both, 1 - both]) if labels else both
    model = SparseMLPClassifier(**EXACT | {"max_iter": 300}).fit(twice, both, np.r_[np.full(120, 3), np.ones(120)])
    assert_allclose(model.predict_proba(X)[:, 0].mean(), 0.25 if labels else 0.75, atol=0.01)


def test_scores_are_weighted(kind):
    model = kind(**SMALL).fit(X, y)
    metric = accuracy_score if kind is SparseMLPClassifier else r2_score
    assert_allclose(model.score(X, y, WEIGHTS), metric(y, model.predict(X), sample_weight=WEIGHTS))


def test_the_validation_part_keeps_its_weights(kind):
    model = kind(**SMALL, early_stopping=True, validation_fraction=0.3).fit(X, y, WEIGHTS)
    other = kind(**SMALL, early_stopping=True, validation_fraction=0.3).fit(X, y)
    assert model.history_["validation_score"] != other.history_["validation_score"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(119), r"sample_weight must have the shape \(120,\), .*, got \(119,\)"),
        (np.ones((120, 1)), r"sample_weight must have the shape \(120,\)"),
        (np.r_[-1.0, np.ones(119)], "sample_weight must hold numbers that are not below 0, got -1"),
        (np.zeros(120), "sample_weight must hold a number above 0"),
        (0, "sample_weight"),
        (np.r_[np.nan, np.ones(119)], "sample_weight contains NaN"),
        (np.r_[np.inf, np.ones(119)], "sample_weight contains infinity"),
        (np.full(120, "heavy"), "heavy"),
        (np.ma.masked_equal(y, 1), "sample_weight has masked entries"),
        (csr_array(np.ones((1, 120))), "sample_weight must be a dense array"),
    ],
)
def test_bad_weights(kind, weights, message):
    model = kind(**SMALL).fit(X, y)
    before = vars(model).copy()
    for fit in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            fit(X, y, sample_weight=weights)
    assert vars(model) == before


# Classes.


def test_class_weights_are_sample_weights():
    weights = {0: 1.0, 1: 4.0, 2: 0.5}
    by_class = SparseMLPClassifier(**SMALL, class_weight=weights).fit(X, y)
    assert_same_run(by_class, SparseMLPClassifier(**SMALL).fit(X, y, [weights[label] for label in y]))
    names = np.array(["a", "b", "c"])
    by_name = SparseMLPClassifier(**SMALL, class_weight={"b": 4.0, "c": 0.5}).fit(X, names[y])
    assert_array_equal(by_name.predict_proba(X), by_class.predict_proba(X))


@pytest.mark.parametrize("weights", [None, np.random.default_rng(2).integers(1, 4, size=100)])
def test_balanced_classes(weights):
    some = np.r_[np.flatnonzero(y == 0)[:10], np.flatnonzero(y > 0)][:100]
    weights = None if weights is None else weights[: some.size]
    model = SparseMLPClassifier(**SMALL, class_weight="balanced").fit(X[some], y[some], weights)
    total = np.bincount(y[some], weights)
    expected = (1 / total)[y[some]] * (1 if weights is None else weights)
    assert_allclose(
        model.predict_proba(X), SparseMLPClassifier(**SMALL).fit(X[some], y[some], expected).predict_proba(X), rtol=1e-4
    )


def test_class_weights_in_parts():
    weights = {1: 3.0}
    models = [SparseMLPClassifier(**SMALL, class_weight=weights), SparseMLPClassifier(**SMALL)]
    for start in range(0, 120, 40):
        part = slice(start, start + 40)
        models[0].partial_fit(X[part], y[part], classes=[0, 1, 2])
        models[1].partial_fit(X[part], y[part], [0, 1, 2], np.where(y[part] == 1, 3.0, 1.0))
    assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(X))
    of_one = [SparseMLPClassifier(**SMALL, class_weight=w).partial_fit(X[y == 1], y[y == 1], [0, 1, 2])
              for w in (None, weights)]  # fmt: skip
    assert (of_one[0].predict_proba(X) != of_one[1].predict_proba(X)).any()


@pytest.mark.parametrize(
    ("class_weight", "target", "message"),
    [
        ({0: -1.0}, y, r"class_weight\[0\]=-1.0"),
        ({0: "heavy"}, y, r"class_weight\[0\]='heavy'"),
        ({7: 2.0}, y, r"class_weight has \[7\], but y has \[0, 1, 2\]"),
        ({"7": 2.0}, y, r"class_weight has \['7'\], but y has \[0, 1, 2\]"),
        ({0: 0, 1: 0, 2: 0}, y, "gives every sample in y the weight 0"),
        ("balanced", np.eye(3, dtype=int)[y], "needs classes, but y holds labels"),
    ],
)
def test_bad_class_weights(class_weight, target, message):
    with pytest.raises(ValueError, match=message):
        SparseMLPClassifier(**SMALL, class_weight=class_weight).fit(X, target)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_a_class_of_weight_0_is_left_out_as_its_samples_would_be(early_stopping, form):
    weights, settings = np.where(y == 1, 0.0, WEIGHTS), SMALL | {"early_stopping": early_stopping}
    by_class = SparseMLPClassifier(**settings, class_weight={1: 0}).fit(form(X), y, WEIGHTS)
    assert_same_run(by_class, SparseMLPClassifier(**settings).fit(form(X), y, weights))
    assert by_class.classes_.tolist() == [0, 1, 2]
    again = by_class.set_params(warm_start=True).fit(form(X), y)
    assert again.n_iter_ > SMALL["max_iter"] or early_stopping


def test_a_class_of_weight_0_is_left_out_of_parts_and_ensembles():
    in_parts = [SparseMLPClassifier(**SMALL, class_weight=w) for w in ({1: 0}, None)]
    in_parts[0].partial_fit(X, y, [0, 1, 2])
    in_parts[1].partial_fit(X, y, [0, 1, 2], np.where(y == 1, 0.0, 1.0))
    assert_same_run(*in_parts)
    ensembles = [
        SparseMLPEnsembleClassifier(SparseMLPClassifier(**SMALL, class_weight=w), n_folds=2, random_state=0)
        for w in ({1: 0}, None)
    ]
    ensembles[0].fit(X, y)
    ensembles[1].fit(X, y, np.where(y == 1, 0.0, 1.0))
    assert np.isnan(ensembles[0].oof_predictions_[y == 1]).all()
    assert_array_equal(*(ensemble.oof_predictions_ for ensemble in ensembles))
    assert_array_equal(*(ensemble.predict_proba(X) for ensemble in ensembles))


def test_weights_of_classes_and_samples_that_leave_nothing():
    with pytest.raises(ValueError, match="gives every sample in y the weight 0"):
        SparseMLPClassifier(**SMALL, class_weight={0: 0, 1: 0}).fit(X, y, np.where(y == 2, 0.0, 1.0))


def test_balanced_needs_all_samples():
    model = SparseMLPClassifier(**SMALL, class_weight="balanced")
    with pytest.raises(ValueError, match="class_weight='balanced' needs all samples"):
        model.partial_fit(X, y, classes=[0, 1, 2])


# Meta-estimators.


def test_weights_find_their_way(kind):
    with sklearn.config_context(enable_metadata_routing=True):
        model = kind(**SMALL).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaled = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        piped = scaled.fit(X, y, sample_weight=WEIGHTS)[-1]
        assert_same_run(piped, kind(**SMALL).fit(StandardScaler().fit_transform(X), y, WEIGHTS))
        search = GridSearchCV(model, {"epsilon": [3, 5]}, cv=2).fit(X, y, sample_weight=WEIGHTS)
        assert_same_run(search.best_estimator_, kind(**SMALL | search.best_params_).fit(X, y, WEIGHTS))


def test_bagging_leaves_samples_out_by_weight():
    bagged = BaggingClassifier(SparseMLPClassifier(**SMALL), n_estimators=3, random_state=0).fit(X, y)
    assert bagged.score(X, y) > 0.5
