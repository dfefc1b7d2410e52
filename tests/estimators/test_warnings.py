"""Warnings point at the line that called the estimator, not at one of this library or of scikit-learn."""

import linecache
import re
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
from truesparse import (
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPEnsembleRegressor,
    SparseMLPRegressor,
)
from truesparse.callbacks import Checkpoint
from truesparse.evolution import Constant, Evolution, Given, ImportancePruning
from truesparse.runtime.warnings import warn
from truesparse.topology import Pattern

X, y = make_classification(60, 6, n_informative=4, n_classes=3, random_state=0)
SMALL = {"hidden_layer_sizes": (10,), "epsilon": 3, "max_iter": 1, "random_state": 0}
NEVER_CHANGED = "The topology never changed"


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch):
    monkeypatch.setattr("truesparse.runtime.warnings._said", set())


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


def test_windows_that_are_full(kind):
    full = Given([Pattern.full((10, 6)).without(np.arange(60) > 30), Pattern.full((3 if classes(kind) else 1, 10))])
    model = kind(**SMALL | {"epsilon": None}, topology_init=full, evolution=Evolution(within=full))
    with warned("The topology never changed: evolution.within allows no pair", "model.fit("):
        model.fit(X, y)


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
    """They warn once, however many fits they make, and each time they are called."""
    search = GridSearchCV(kind(**SMALL), {"max_iter": [1, 2]}, cv=2)
    for _ in range(2):
        with warned(NEVER_CHANGED, "search.fit("):
            search.fit(X, y)
    with warned(NEVER_CHANGED, "cross_val_score("):
        cross_val_score(make_pipeline(StandardScaler(), kind(**SMALL)), X, y, cv=2)


def test_a_search_in_several_processes(kind):
    with warned(NEVER_CHANGED, "GridSearchCV("):  # the last fit; each other process warns for itself
        GridSearchCV(kind(**SMALL), {"alpha": [0, 1e-3]}, cv=2, n_jobs=2).fit(X, y)


def test_one_classifier_for_each_class():
    with warned(NEVER_CHANGED, "OneVsRestClassifier("):
        OneVsRestClassifier(SparseMLPClassifier(**SMALL)).fit(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_ensemble(kind, n_jobs):
    """What several members warn of is said once, at the user's line also if they are trained in other processes."""
    ensemble = SparseMLPEnsembleClassifier if kind is SparseMLPClassifier else SparseMLPEnsembleRegressor
    with warned(NEVER_CHANGED, "ensemble("):
        ensemble(kind(**SMALL), n_folds=2, n_jobs=n_jobs).fit(X, y)
    model = ensemble(kind(**SMALL, learning_rate="cosine"), n_folds=2, n_jobs=n_jobs).partial_fit(X, y, **classes(kind))
    with warned("The learning rate has fallen to 0", "model.partial_fit("):
        model.partial_fit(X, y)


def test_a_topology_that_never_changed_names_what_led_there(kind):
    for settings, told in (
        ({"max_iter": 1}, "in the 1 epoch (2 steps) of this training, with max_iter=1. Lower update_every, raise"),
        ({"max_iter": 3, "update_every": 500, "batch_size": 60},
         "in the 3 epochs (3 steps) of this training, with update_every=500, batch_size=60, max_iter=3. Lower"),
        ({"max_iter": 1, "update_every": "epoch"}, "in the 1 epoch of this training, with update_every='epoch', max_"),
        ({"max_iter": 1, "evolution": Evolution(schedule=Constant(update_every="epoch"))}, "in the 1 epoch of this t"),
        ({"max_iter": 1, "update_every": "epoch"}, "max_iter=1. Raise max_iter, or choose evolution='static'."),
    ):  # fmt: skip
        model = kind(**SMALL | settings)
        with pytest.warns(UserWarning, match=re.escape(told)):
            model.fit(X, y)


def test_nothing_is_said_of_a_topology_where_no_setting_led_there(kind):
    """A method's name alone does not, nor do settings that have no part in when an update is due."""
    model = kind((10,), epsilon=3, evolution="set", random_state=0, tol=1e9)  # stops after 21 epochs of 1 step
    with warned(NEVER_CHANGED, "", times=0):
        model.fit(X[:20], y[:20])
    assert model.n_iter_ < 25
    assert not np.any(model.history_["edges_replaced"])


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
