import copy
import math
import pickle

import numpy as np
import pytest
from helpers import assert_same_run
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

from truesparse import SparseMLPClassifier
from truesparse.callbacks import Checkpoint, EarlyStopping
from truesparse.training.state import EpochRecord

X, y = make_classification(90, 12, n_informative=6, n_classes=3, random_state=0)
SMALL = {"hidden_layer_sizes": (20,), "epsilon": 3, "max_iter": 30, "random_state": 0, "n_iter_no_change": np.inf}


def answers(callback, values):
    """What the callback says to epochs with these values of what it monitors."""
    callback.on_train_begin(None)
    names = dict.fromkeys(("train_loss", "validation_loss", "validation_score"), math.nan)
    return [
        callback.on_epoch_end(
            None,
            EpochRecord(
                epoch, **names | {callback.monitor: value}, learning_rate=1, nnz=[], edges_replaced=[], seconds=0
            ),
        )
        for epoch, value in enumerate(values, start=1)
    ]


@pytest.mark.parametrize(
    ("monitor", "values"),
    [
        ("validation_score", [0.5, 0.7, 0.6, 0.75, 0.7, 0.74, 0.9]),
        ("validation_loss", [0.5, 0.3, 0.4, 0.25, 0.3, 0.26, 0.1]),
        ("train_loss", [0.5, 0.3, 0.4, 0.25, 0.3, 0.26, 0.1]),
    ],
)
def test_stops_after_epochs_without_improvement(monitor, values):
    callback = EarlyStopping(monitor, patience=2)
    assert answers(callback, values) == [False, False, False, False, False, True, False]
    assert answers(callback, values[:6]) == [False] * 5 + [True]  # begins anew


def test_small_improvements_do_not_count():
    assert answers(EarlyStopping(patience=3, min_delta=0.1), [0.5, 0.5625, 0.59375, 0.625]) == [False] * 3 + [True]


def test_ends_a_fit_with_the_last_network():
    callback = EarlyStopping("train_loss", patience=2, min_delta=0.2)
    model = SparseMLPClassifier(**SMALL, callbacks=[callback]).fit(X, y)
    assert 3 <= model.n_iter_ < 30
    losses = model.loss_curve_
    assert min(losses[:-2]) - 0.2 <= min(losses[-2:])
    once_more = SparseMLPClassifier(**SMALL, callbacks=[callback]).fit(X, y)
    assert_same_run(once_more, model)


def test_together_with_the_parameter_the_best_network_is_kept():
    options = SMALL | {"early_stopping": True, "learning_rate": "constant"}
    model = SparseMLPClassifier(**options, callbacks=[EarlyStopping("validation_loss", patience=2)]).fit(X, y)
    assert model.n_iter_ < 30
    best = int(np.argmin(model.history_["validation_loss"])) + 1
    until_then = SparseMLPClassifier(**options, callbacks=[Stop(best)]).fit(X, y)
    assert until_then._network.params.tobytes() == model._network.params.tobytes()


def test_by_validation_data_of_ones_own():
    callback = EarlyStopping("validation_loss", patience=2)
    model = SparseMLPClassifier(**SMALL | {"learning_rate": "constant"}, callbacks=[callback])
    model.fit(X[:70], y[:70], X_val=X[70:], y_val=y[70:])
    losses = model.history_["validation_loss"]
    assert model.n_iter_ == int(np.argmin(losses)) + 1 + 2 < 30
    until_then = SparseMLPClassifier(**SMALL | {"learning_rate": "constant"}, callbacks=[Stop(model.n_iter_)])
    until_then.fit(X[:70], y[:70])
    assert until_then._network.params.tobytes() == model._network.params.tobytes()  # of the last epoch, not the best


class Stop:
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, network, record):
        return record.epoch == self.epoch


class PowerCut(BaseException):
    pass


class CutAfter(Stop):
    def on_epoch_end(self, network, record):
        if record.epoch == self.epoch:
            raise PowerCut


def test_counts_on_after_a_checkpoint(tmp_path):
    """A fit that was cut, and one that had stopped, end where it would have ended."""
    path = tmp_path / "checkpoint.npz"

    def make(*others):
        return SparseMLPClassifier(**SMALL, callbacks=[EarlyStopping("train_loss", patience=3, min_delta=0.2), *others])

    model = make(Checkpoint(path)).fit(X, y)
    assert 4 <= model.n_iter_ < 30
    assert_same_run(make().fit(X, y, resume_from=path), model)
    with pytest.raises(PowerCut):
        make(Checkpoint(path), CutAfter(model.n_iter_ - 1)).fit(X, y)
    assert_same_run(make().fit(X, y, resume_from=path), model)
    patient = make().set_params(callbacks=[EarlyStopping("train_loss", patience=5, min_delta=0.2)])
    assert patient.fit(X, y, resume_from=path).n_iter_ > model.n_iter_


@pytest.mark.parametrize("monitor", ["validation_score", "validation_loss"])
def test_without_validation_data(monitor):
    model = SparseMLPClassifier(**SMALL, callbacks=[EarlyStopping(monitor)])
    with pytest.raises(ValueError, match=f"monitor='{monitor}' needs validation data"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize(
    "options", [{"monitor": "loss"}, {"monitor": []}, {"patience": 0}, {"patience": 1.5}, {"min_delta": -1}]
)
def test_bad_arguments_are_named(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        EarlyStopping(**options)


def test_clones_of_a_search_count_for_themselves():
    callback = EarlyStopping("train_loss", patience=2, min_delta=0.2)
    model = SparseMLPClassifier(**SMALL, callbacks=[callback])
    search = GridSearchCV(model, {"alpha": [0, 1e-3]}, cv=2).fit(X, y)
    assert search.best_estimator_.n_iter_ < 30
    assert search.best_estimator_.callbacks[0] is not callback
    alone = clone(model).set_params(alpha=search.best_params_["alpha"]).fit(X, y)
    assert_same_run(search.best_estimator_, alone)
    for other in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert vars(other) == vars(callback)
