"""Validation data of one's own, and scores by which training is watched."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from helpers import assert_same_run
from numpy.testing import assert_allclose
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.datasets import make_classification
from sklearn.metrics import get_scorer, log_loss, make_scorer, max_error, median_absolute_error
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from truesparse import SparseMLPClassifier, SparseMLPEnsembleRegressor, SparseMLPRegressor
from truesparse.callbacks import Checkpoint

X, y = make_classification(200, 10, n_informative=6, n_classes=3, random_state=0)
X, X_val, y, y_val = train_test_split(X, y, test_size=0.3, random_state=0)
WEIGHTS = np.random.default_rng(0).uniform(0.1, 5, size=60)
SMALL = {"hidden_layer_sizes": (30,), "epsilon": 5, "max_iter": 30, "update_every": 5, "random_state": 0}


@pytest.fixture(params=[SparseMLPClassifier, SparseMLPRegressor])
def kind(request):
    return request.param


def test_own_data_take_the_place_of_the_part_that_would_be_split_off(kind):
    """The same samples, in the same order: the same bytes."""

    def made():
        model = kind(**SMALL, early_stopping=True, n_iter_no_change=8)
        if kind is SparseMLPRegressor:  # whose scale would be that of all of y, or of what was kept
            model.set_params(warm_start=True).partial_fit(X, y)
        return model

    split = made().fit(X, y)
    stratify, seed = y if kind is SparseMLPClassifier else None, split._run.seed
    kept, aside, y_kept, y_aside = train_test_split(X, y, test_size=0.1, random_state=seed, stratify=stratify)
    assert_same_run(made().fit(kept, y_kept, X_val=aside, y_val=y_aside), split)


def test_without_early_stopping_they_are_only_watched(kind):
    watched = kind(**SMALL).fit(X, y, X_val=X_val, y_val=y_val)
    plain = kind(**SMALL).fit(X, y)
    assert_allclose(watched.predict(X_val), plain.predict(X_val), rtol=0)
    assert watched.n_iter_ == plain.n_iter_ == 30
    assert_allclose(watched.history_["validation_score"][-1], watched.score(X_val, y_val), rtol=1e-6)
    assert np.isnan(plain.history_["validation_score"]).all()


def test_the_best_epoch_comes_back(kind):
    model = kind(**SMALL, early_stopping=True, learning_rate_init=0.05)
    model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=WEIGHTS)
    losses, scores = model.history_["validation_loss"], model.history_["validation_score"]
    assert min(losses) < losses[-1]
    assert_allclose(model.score(X_val, y_val, WEIGHTS), scores[np.argmin(losses)], rtol=1e-6)


@pytest.mark.parametrize("n_samples", [49, 60])
def test_the_loss_as_score(n_samples):
    """From 50 samples on, a temperature lowers the loss of the best epoch as far as it can."""
    aside, of_aside, weights = X_val[:n_samples], y_val[:n_samples], WEIGHTS[:n_samples]
    model = SparseMLPClassifier(**SMALL, early_stopping=True, scoring="loss", learning_rate_init=0.05)
    model.fit(X, y, X_val=aside, y_val=of_aside, sample_weight_val=weights)
    losses = model.history_["validation_loss"]
    assert model.history_["validation_score"] == [-loss for loss in losses]
    assert min(losses) < losses[-1]

    def loss(temperature):
        proba = softmax(model.predict_log_proba(aside) / temperature, axis=1)
        return log_loss(of_aside, proba, sample_weight=weights)

    if n_samples < 50:
        assert_allclose(loss(1), min(losses), rtol=1e-5)
    else:
        assert loss(1) < min(losses)
        assert loss(1) <= min(map(loss, np.geomspace(0.8, 1.25, 20))) + 1e-6


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "neg_log_loss", get_scorer("f1_macro")])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_scorers_of_scikit_learn(scoring, weights):
    model = SparseMLPClassifier(**SMALL, early_stopping=True, scoring=scoring)
    model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weights)
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    expected = scorer(model, X_val, y_val, **({} if weights is None else {"sample_weight": weights}))
    assert_allclose(max(model.history_["validation_score"]), expected, rtol=1e-6)


def test_a_scorer_sees_the_targets_as_they_are():
    """Not as the network has them, scaled; and the split part of them."""
    seen = []

    def watch(y_true, y_pred):
        seen.append((y_true, y_pred))
        return -median_absolute_error(y_true, y_pred)

    target = 1000 + 100 * X[:, 0]
    model = SparseMLPRegressor(**SMALL, early_stopping=True, scoring=make_scorer(watch)).fit(X, target)
    assert len(seen) == model.n_iter_
    y_true, y_pred = seen[-1]
    assert np.isin(y_true, target).all()
    assert abs(y_pred.mean() - 1000) < 100


def test_names_of_features_and_of_classes(recwarn):
    frame, frame_val = (pd.DataFrame(part, columns=[f"x{i}" for i in range(10)]) for part in (X, X_val))
    names = np.array(["a", "b", "c"])
    model = SparseMLPClassifier(**SMALL, early_stopping=True, scoring="accuracy")
    model.fit(frame, names[y], X_val=frame_val, y_val=names[y_val])
    assert not [warning for warning in recwarn if "feature names" in str(warning.message)]
    assert_allclose(max(model.history_["validation_score"]), model.score(frame_val, names[y_val]))
    with pytest.raises(ValueError, match="X_val, y_val: The feature names should match"):
        model.fit(frame, names[y], X_val=frame_val[[*frame.columns[::-1]]], y_val=names[y_val])


def test_sparse_data():
    dense = SparseMLPClassifier(**SMALL, early_stopping=True).fit(X, y, X_val=X_val, y_val=y_val)
    sparse = SparseMLPClassifier(**SMALL, early_stopping=True)
    assert_same_run(sparse.fit(csr_array(X), y, X_val=csr_array(X_val), y_val=y_val), dense)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X_val": X_val}, "X_val and y_val go together"),
        ({"y_val": y_val}, "X_val and y_val go together"),
        ({"sample_weight_val": WEIGHTS}, "sample_weight_val needs both"),
        ({"X_val": X_val[:, :3], "y_val": y_val}, "X_val, y_val: X has 3 features"),
        ({"X_val": X_val, "y_val": y_val[:-1]}, "X_val, y_val: Found input variables with inconsistent"),
        ({"X_val": X_val, "y_val": np.where(y_val == 0, 7, y_val)}, r"X_val, y_val: y holds the classes \[7\]"),
        ({"X_val": np.where(X_val > 2, np.nan, X_val), "y_val": y_val}, "X_val, y_val: Input X contains NaN"),
        ({"X_val": X_val, "y_val": csr_array(y_val[:, None])}, "y_val must be a dense array"),
        ({"X_val": X_val, "y_val": np.ma.masked_equal(y_val, 1)}, "y_val has masked entries"),
        ({"X_val": X_val, "y_val": y_val, "sample_weight_val": -WEIGHTS}, "sample_weight_val must hold numbers"),
    ],
)
def test_bad_validation_data(arguments, message):
    model = SparseMLPClassifier(**SMALL | {"max_iter": 2}).fit(X, y)
    before = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, **arguments)
    assert vars(model) == before


def test_too_few_to_score():
    for scoring in (None, "r2"):
        with pytest.raises(ValueError, match=r"X_val holds 1 samples; a score such as R² needs at least 2.*'loss'"):
            SparseMLPRegressor(**SMALL, scoring=scoring).fit(X, y, X_val=X_val[:1], y_val=y_val[:1])
    ensemble = SparseMLPEnsembleRegressor(SparseMLPRegressor(**SMALL, scoring="loss"), evolution=("set",), n_folds=1)
    with pytest.raises(ValueError, match="X_val holds 1 samples"):  # its oof_score_ is R²
        ensemble.fit(X, y, X_val=X_val[:1], y_val=y_val[:1])


@pytest.mark.parametrize("scoring", ["loss", "neg_mean_absolute_error"])
def test_one_sample_has_a_loss_and_an_error(scoring):
    model = SparseMLPRegressor(**SMALL, scoring=scoring, early_stopping=True)
    model.fit(X, y, X_val=X_val[:1], y_val=y_val[:1])
    assert np.isfinite(model.validation_scores_).all()
    assert model.best_validation_score_ == max(model.validation_scores_)
    aside = SparseMLPRegressor(**SMALL, scoring=scoring, early_stopping=True, validation_fraction=0.001).fit(X, y)
    assert np.isfinite(aside.validation_scores_).all()


def test_validation_data_with_as_many_rows_as_the_rest_are_cut_by_a_search():
    """As docs/guide/data.md warns of: scikit-learn takes them for a property of the samples."""
    sizes = []

    class Scores:
        def __call__(self, estimator, X, y):
            sizes.append(len(X))
            return 0.0

    n = len(X_val)
    for rows, in_folds in ((n, n // 2), (n - 1, n - 1)):
        sizes.clear()
        model = SparseMLPClassifier(**SMALL | {"max_iter": 1}, scoring=Scores())
        search = GridSearchCV(model, {"epsilon": [5]}, cv=2, scoring="accuracy")
        search.fit(X_val, y_val, X_val=X[:rows], y_val=y[:rows])
        assert sizes == [in_folds, in_folds, rows]


@pytest.mark.parametrize("scoring", [make_scorer(max_error), lambda estimator, X, y: 0.0])
def test_scorers_that_take_no_weights(scoring):
    model = SparseMLPRegressor(**SMALL, scoring=scoring)
    with pytest.raises(ValueError, match="takes no sample_weight, but the validation samples have weights"):
        model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=WEIGHTS)
    assert not hasattr(model, "_network")


@pytest.mark.parametrize("returned", [np.nan, "good", None])
def test_scores_that_are_no_numbers(returned):
    with pytest.raises(ValueError, match="scor"):
        SparseMLPClassifier(**SMALL, scoring=lambda *_: returned).fit(X, y, X_val=X_val, y_val=y_val)


def test_resuming_needs_the_same_validation_data(tmp_path):
    def model(**changes):
        return SparseMLPClassifier(**SMALL | {"early_stopping": True, "scoring": "balanced_accuracy", **changes})

    class PowerCut(BaseException):
        pass

    class Cut:
        def on_epoch_end(self, network, record):
            if record.epoch == 12:
                raise PowerCut

    data = {"X_val": X_val, "y_val": y_val, "sample_weight_val": WEIGHTS}
    whole, path = model().fit(X, y, **data), tmp_path / "run.npz"
    with pytest.raises(PowerCut):
        model(callbacks=[Checkpoint(path, every=5), Cut()]).fit(X, y, **data)
    assert_same_run(model().fit(X, y, **data, resume_from=path), whole)
    for other in ({}, data | {"sample_weight_val": None}, data | {"X_val": X_val + 1}):
        with pytest.raises(ValueError, match="other data"):
            model().fit(X, y, **other, resume_from=path)


def test_in_a_pipeline_and_a_search(kind):
    with sklearn.config_context(enable_metadata_routing=True):
        model = kind(**SMALL, early_stopping=True).set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("model", model)]
        pipeline = Pipeline(steps, transform_input=["X_val"]).fit(X, y, X_val=X_val, y_val=y_val)
        scaler = StandardScaler().fit(X)
        expected = kind(**SMALL, early_stopping=True)
        expected.fit(scaler.transform(X), y, X_val=scaler.transform(X_val), y_val=y_val)
        assert_same_run(pipeline[-1], expected)
        search = GridSearchCV(model, {"epsilon": [3, 5]}, cv=2).fit(X, y, X_val=X_val, y_val=y_val)
        chosen = kind(**SMALL | search.best_params_, early_stopping=True).fit(X, y, X_val=X_val, y_val=y_val)
        assert_same_run(search.best_estimator_, chosen)
