"""Warnings point at the line that called the estimator, not at one of this library or of scikit-learn."""

import linecache
import signal
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.callbacks import Checkpoint
from truesparse.evolution import Constant, Evolution, Given, ImportancePruning
from truesparse.runtime.warnings import warn
from truesparse.topology import Pattern

X, y = make_classification(60, 6, n_informative=4, n_classes=3, random_state=0)
SMALL = {"hidden_layer_sizes": (10,), "epsilon": 3, "max_iter": 1, "random_state": 0}
NEVER_CHANGED = "The topology never changed"


@pytest.fixture(params=[SparseMLPClassifier, SparseMLPRegressor])
def kind(request):
    return request.param


@contextmanager
def warned(message, call, times=1):
    """Warnings that begin so occur in this block, as often as this, all at a line that has this call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    found = [warning for warning in caught if str(warning.message).startswith(message)]
    assert len(found) == times
    for warning in found:
        assert warning.category is UserWarning
        assert warning.filename == __file__
        assert call in linecache.getline(__file__, warning.lineno)


def classes(kind):
    return {"classes": [0, 1, 2]} if kind is SparseMLPClassifier else {}


def test_fit(kind):
    with warned(NEVER_CHANGED, "kind(**SMALL).fit("):
        kind(**SMALL).fit(X, y)


def test_fit_within_a_function_of_the_user(kind):
    def train(model):
        return model.fit(X, y)  # here

    with warned(NEVER_CHANGED, "# here"):
        train(kind(**SMALL))


def test_a_warm_start(kind):
    model = kind(**SMALL, warm_start=True, evolution="static").fit(X, y).set_params(evolution="set")
    with warned(NEVER_CHANGED, "model.fit("):
        model.fit(X, y)


def test_partial_fit(kind):
    model = kind(**SMALL, learning_rate="cosine").partial_fit(X, y, **classes(kind))
    with warned("The learning rate has fallen to 0", "model.partial_fit("):
        model.partial_fit(X, y)


def test_nothing_is_said_of_a_topology_where_only_units_are_removed(kind):
    evolution = Evolution(schedule=Constant(0.0), unit_pruning=ImportancePruning(fraction=0.3, begin=0.0, every=1))
    with warned(NEVER_CHANGED, "", times=0):
        model = kind(**SMALL | {"max_iter": 3}, evolution=evolution).fit(X, y)
    assert model.coefs_[0].shape[1] < 10


def test_a_pipeline(kind):
    with warned(NEVER_CHANGED, "make_pipeline("):
        make_pipeline(StandardScaler(), kind(**SMALL)).fit(X, y)


def test_searches_and_folds(kind):
    search = GridSearchCV(kind(**SMALL), {"alpha": [0, 1e-3]}, cv=2)
    with warned(NEVER_CHANGED, "search.fit(", times=2 * 2 + 1):
        search.fit(X, y)
    with warned(NEVER_CHANGED, "cross_val_score(", times=2):
        cross_val_score(make_pipeline(StandardScaler(), kind(**SMALL)), X, y, cv=2)


def test_one_classifier_for_each_class():
    with warned(NEVER_CHANGED, "OneVsRestClassifier(", times=3):
        OneVsRestClassifier(SparseMLPClassifier(**SMALL)).fit(X, y)


def test_a_layer_without_connections(kind):
    n_outputs = 3 if kind is SparseMLPClassifier else 1
    empty = Given([Pattern.from_edges([0], [0], (10, 6)), Pattern.from_edges([], [], (n_outputs, 10))])
    model = kind(**SMALL | {"epsilon": None}, topology_init=empty, evolution="static")
    with warned("The layers [1] (counted from 0) have no connection", "model.fit("):
        model.fit(X, y)


def test_ctrl_c(kind, monkeypatch):
    def interrupt(batch, rng):
        signal.raise_signal(signal.SIGINT)
        return batch

    monkeypatch.setattr("truesparse.runtime.interrupts._stopped", None)  # the next test is no fit of a search
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        model = kind(**SMALL, batch_size=1000, batch_transform=interrupt)
        with warned("Interrupted with", "model.fit("):
            model.fit(X, y)
        with warned("Interrupted with", "model.partial_fit("):
            model.partial_fit(X, y)
    finally:
        signal.signal(signal.SIGINT, before)


def test_checkpoints(kind, tmp_path, monkeypatch):
    path, model = tmp_path / "checkpoint.npz", kind(**SMALL | {"evolution": "static", "scoring": lambda *_: 0.0})
    model.set_params(callbacks=[Checkpoint(path)]).fit(X, y)
    with warned("The file could only name", "truesparse.load("):
        truesparse.load(path)
    monkeypatch.setattr("truesparse.estimators.checkpoints.versions", lambda: {"numpy": "0.1"})
    with warned(f"resume_from={str(path)!r} was written with", "model.fit("):
        model.fit(X, y, resume_from=path)


def test_a_callback_that_fails_at_the_end(kind):
    class Fails:
        def on_fit_end(self):
            raise OSError("full")

    model = kind(**SMALL, evolution="static", callbacks=[Fails()])
    with warned("on_fit_end of", "model.fit("):
        model.fit(X, y)
    assert np.isfinite(model.predict(X)).all()


def test_the_line_that_calls_is_the_users_own():
    with warned("Careful", "warn("):
        warn("Careful")
