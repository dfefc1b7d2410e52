"""Ctrl-C: the first one stops after the batch and leaves a fitted model, the second one changes nothing."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_same_run
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification
from sklearn.ensemble import BaggingClassifier
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor, preset
from truesparse.callbacks import Checkpoint
from truesparse.evolution import ImportancePruning
from truesparse.runtime import interrupts
from truesparse.runtime.interrupts import stop_on_interrupt

X, y = make_classification(96, 12, n_informative=6, n_classes=3, random_state=0)  # 3 steps an epoch
X = X.astype(np.float32)
SMALL = {
    "hidden_layer_sizes": (30, 20), "epsilon": 3, "max_iter": 6, "update_every": 4, "random_state": 0,
    "n_iter_no_change": np.inf,
}  # fmt: skip


@pytest.fixture(autouse=True)
def default_handler():
    """Python's own, whatever runs the tests has installed; there must be no other one afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    later()
    yield
    after = signal.signal(signal.SIGINT, before)
    assert after is signal.default_int_handler


class CtrlC:
    """A batch transform that interrupts at some steps, counted from 1."""

    def __init__(self, *steps):
        self.steps, self.step = steps, 0

    def __call__(self, batch, rng):
        self.step += 1
        for _ in range(self.steps.count(self.step)):
            signal.raise_signal(signal.SIGINT)
        return batch

    def __deepcopy__(self, memo):  # the clones of a search count together
        return self


class CtrlCAfter:
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, network, record):
        if record.epoch == self.epoch:
            signal.raise_signal(signal.SIGINT)


def unchanged(batch, rng):
    return batch


def interrupted(steps, cls=SparseMLPClassifier, **options):
    model = cls(**SMALL | options, batch_transform=CtrlC(*steps))
    best = ", or was in its best epoch" if model.early_stopping else ""
    with pytest.warns(UserWarning, match=f"Interrupted with .*with the network as it is{best}[.]"):
        model.fit(X, y)
    later()
    return model


def later():
    """Some seconds have passed."""
    interrupts._stopped = None


def test_stops_after_the_batch_and_leaves_a_fitted_model():
    with pytest.warns(UserWarning, match="Interrupted with 2 of 6 epochs done: the estimator is fitted") as caught:
        model = SparseMLPClassifier(**SMALL, batch_transform=CtrlC(8)).fit(X, y)
    assert caught[0].filename == __file__
    assert len(caught) == 1
    assert model.batch_transform.step == 8
    assert model._run.state.progress.step == 8
    assert (model.n_iter_, len(model.loss_curve_)) == (2, 2)
    assert model.predict(X).shape == y.shape
    assert model.score(X, y) > 0.3


def test_the_steps_are_those_of_a_fit_that_goes_on():
    class Stop:
        def on_epoch_end(self, network, record):
            return record.epoch == 2

    model = interrupted([6])  # the last step of the second epoch, which is recorded
    assert model.n_iter_ == 2
    stopped = SparseMLPClassifier(**SMALL, batch_transform=unchanged, callbacks=[Stop()]).fit(X, y)
    assert_same_run(model, stopped)


def test_in_the_first_batch():
    model = interrupted([1])
    assert (model.n_iter_, model._run.state.progress.step) == (0, 1)
    assert model.predict(X).shape == y.shape
    assert model.history_["epoch"] == []


@pytest.mark.parametrize("event", ["on_fit_begin", "on_train_begin", "on_epoch_begin"])
def test_before_the_first_batch_one_is_trained(event):
    class Early:
        pass

    setattr(Early, event, lambda self, *args: signal.raise_signal(signal.SIGINT))
    model = SparseMLPClassifier(**SMALL, callbacks=[Early()])
    with pytest.warns(UserWarning, match="Interrupted with 0 of 6"):
        model.fit(X, y)
    assert model._run.state.progress.step == 1


def test_between_epochs():
    model = SparseMLPClassifier(**SMALL, callbacks=[CtrlCAfter(3)])
    with pytest.warns(UserWarning, match="Interrupted with 3 of 6"):
        model.fit(X, y)
    assert model.n_iter_ == 3


@pytest.mark.parametrize("step", [1, 8])
@pytest.mark.parametrize("cls", [SparseMLPClassifier, SparseMLPRegressor])
def test_the_model_can_be_stored_and_trained_further(cls, step, tmp_path):
    model = interrupted([step], cls)
    model.set_params(batch_transform=None)
    truesparse.save(model, tmp_path / "model.npz")
    loaded = truesparse.load(tmp_path / "model.npz")
    assert_same_run(loaded, model)
    assert_same_run(loaded.partial_fit(X, y), model.partial_fit(X, y))
    assert_same_run(pickle.loads(pickle.dumps(model)), loaded)


def test_a_callback_that_fails_is_as_ever():
    class Raises:
        def on_epoch_end(self, network, record):
            raise KeyboardInterrupt

    model = SparseMLPClassifier(**SMALL, callbacks=[Raises()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("steps", [(8, 8), (7, 7)])
def test_the_second_one_interrupts_at_once_and_changes_nothing(steps):
    model = SparseMLPClassifier(**SMALL, warm_start=True).fit(X, y)
    before, params = vars(model).copy(), model._network.params.tobytes()
    model.batch_transform = CtrlC(*steps)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.batch_transform.step == steps[0]
    assert vars(model) == before | {"batch_transform": model.batch_transform}
    assert model._network.params.tobytes() == params
    assert model.n_iter_ == 6


def test_with_early_stopping_the_best_network_is_kept():
    class Best:
        def on_train_begin(self, network):
            self.network, self.best = network, -np.inf

        def on_epoch_end(self, network, record):
            if -record.validation_loss > self.best:
                self.best, self.params = -record.validation_loss, network.params.tobytes()

    best = Best()
    model = interrupted([14], early_stopping=True, callbacks=[best])
    assert model.n_iter_ == 4
    assert model._network.params.tobytes() == best.params


def test_units_that_were_removed_stay_removed():
    evolution = replace(preset("cte"), unit_pruning=ImportancePruning())
    options = {"evolution": evolution, "max_iter": 20, "early_stopping": True}

    class Narrower:
        def on_units_removed(self, network):
            sizes.append(network.layer_sizes)
            signal.raise_signal(signal.SIGINT)

    sizes = []
    model = SparseMLPClassifier(**SMALL | options, callbacks=[Narrower()])
    with pytest.warns(UserWarning, match="Interrupted"):
        model.fit(X, y)
    assert sizes == [model._network.layer_sizes]
    assert model.predict(X).shape == y.shape


def test_a_fit_goes_on_from_the_checkpoint_as_if_nothing_had_happened(tmp_path):
    path = tmp_path / "checkpoint.npz"
    uninterrupted = SparseMLPClassifier(**SMALL, batch_transform=CtrlC()).fit(X, y)
    model = interrupted([8], callbacks=[Checkpoint(path)])
    with pytest.warns(UserWarning, match="batch_transform"):
        assert truesparse.load(path).n_iter_ == model.n_iter_ == 2
    model.set_params(batch_transform=CtrlC()).fit(X, y, resume_from=path)
    assert_same_run(model, uninterrupted)


def test_partial_fit_is_interrupted_too_and_goes_on():
    model = SparseMLPClassifier(**SMALL, batch_transform=CtrlC(5))
    model.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.warns(UserWarning, match="Interrupted with 0 of 1"):
        model.partial_fit(X, y)
    assert (model.n_iter_, model._run.state.progress.step) == (1, 5)
    assert model.partial_fit(X, y).n_iter_ == 2


def test_a_warm_start_goes_on():
    model = interrupted([8], warm_start=True)
    model.fit(X, y)
    assert model.n_iter_ == 2 + 6
    assert model.history_["epoch"] == list(range(1, 9))


def test_a_pipeline_is_fitted():
    model = make_pipeline(StandardScaler(), SparseMLPClassifier(**SMALL, batch_transform=CtrlC(8)))
    with pytest.warns(UserWarning, match="Interrupted"):
        model.fit(X, y)
    assert model[-1].n_iter_ == 2
    assert model.predict(X).shape == y.shape
    later()
    regressor = TransformedTargetRegressor(
        SparseMLPRegressor(**SMALL, batch_transform=CtrlC(8)), transformer=StandardScaler()
    )
    with pytest.warns(UserWarning, match="Interrupted"):
        regressor.fit(X, y)
    assert regressor.predict(X).shape == y.shape


@pytest.mark.parametrize(
    "fit_many",
    [
        lambda model: GridSearchCV(model, {"alpha": [0, 1e-3]}, cv=2, error_score="raise").fit(X, y),
        lambda model: GridSearchCV(make_pipeline(model), {}, cv=2).fit(X, y),
        lambda model: cross_val_score(model, X, y),
        lambda model: BaggingClassifier(model, 3).fit(X, y),
        lambda model: OneVsRestClassifier(model).fit(X, y),
        lambda model: RFE(model, importance_getter=lambda fitted: np.ones(fitted.n_features_in_)).fit(X, y),
    ],
    ids=["search", "search of a pipeline", "cross-validation", "bagging", "one against the rest", "elimination"],
)
def test_what_fits_many_is_ended_by_the_first_one(fit_many):
    """The fit that comes next is not begun."""
    ctrl_c = CtrlC(8)
    with pytest.warns(UserWarning, match="Interrupted"), pytest.raises(KeyboardInterrupt):
        fit_many(SparseMLPClassifier(**SMALL, batch_transform=ctrl_c))
    assert ctrl_c.step == 8


def test_a_fit_of_another_estimator_is_not_begun_at_once_but_later(monkeypatch):
    model, other = SparseMLPClassifier(**SMALL, batch_transform=CtrlC(8, 16)), SparseMLPClassifier(**SMALL)
    with pytest.warns(UserWarning, match="Interrupted"):
        model.fit(X, y)
    with pytest.raises(KeyboardInterrupt):
        other.fit(X, y)
    assert not hasattr(other, "coefs_")
    assert other.fit(X, y).n_iter_ == 6  # it was ended once, and may begin now
    with pytest.warns(UserWarning, match="Interrupted"):
        model.fit(X, y)
    monkeypatch.setattr(interrupts, "_SOON", 0.0)
    assert other.fit(X, y).n_iter_ == 6


def test_the_best_candidate_of_a_search_is_kept():
    """All candidates have been judged by then."""
    n_steps = 2 * 2 * 2 * 6  # candidates, folds, steps of half the data, epochs
    ctrl_c = CtrlC(n_steps + 4)
    search = GridSearchCV(SparseMLPClassifier(**SMALL, batch_transform=ctrl_c), {"alpha": [0, 1e-3]}, cv=2)
    with pytest.warns(UserWarning, match="Interrupted with 1 of 6"):
        search.fit(X, y)
    assert search.best_estimator_.n_iter_ == 1
    assert search.predict(X).shape == y.shape


def test_somebody_elses_handler_stays_in_charge():
    seen = []
    handler = lambda number, frame: seen.append(number)  # noqa: E731
    signal.signal(signal.SIGINT, handler)
    try:
        model = SparseMLPClassifier(**SMALL, batch_transform=CtrlC(8)).fit(X, y)
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert seen == [signal.SIGINT]
    assert model.n_iter_ == 6


def test_other_threads_leave_signals_alone():
    handlers = []

    class Looks:
        def on_epoch_end(self, network, record):
            handlers.append(signal.getsignal(signal.SIGINT))

    model = SparseMLPClassifier(**SMALL, callbacks=[Looks()])
    thread = threading.Thread(target=model.fit, args=(X, y))
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler] * 6
    model.fit(X, y)
    assert signal.default_int_handler not in handlers[6:]


def test_the_handler_is_restored_after_an_error():
    class Fails:
        def on_epoch_end(self, network, record):
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        SparseMLPClassifier(**SMALL, callbacks=[Fails()]).fit(X, y)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_within_another():
    calls, owner = [], SparseMLPClassifier()
    outer, inner = (lambda: calls.append("outer")), (lambda: calls.append("inner"))
    with stop_on_interrupt(outer, owner), stop_on_interrupt(inner, owner):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert calls == ["outer"]


def test_without_an_interrupt_nothing_is_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SparseMLPClassifier(**SMALL).fit(X, y)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise")
def test_a_real_process():
    """Ctrl-C from outside, as a terminal sends it."""
    code = """
import os, sys
import numpy as np
from truesparse import SparseMLPClassifier

class Says:
    def on_epoch_end(self, network, record):
        print(record.epoch, flush=True)

X = np.random.default_rng(0).standard_normal((500, 10))
model = SparseMLPClassifier((50,), epsilon=3, max_iter=1_000_000, n_iter_no_change=np.inf, callbacks=[Says()])
model.fit(X, X[:, 0] > 0)
print("kept", model.n_iter_, model.predict(X).shape, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    for line in process.stdout:
        if line == "3\n":
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    *_, last = out.splitlines()
    assert last.startswith("kept ")
    assert last.endswith(" (500,)")
    assert "UserWarning: Interrupted with " in err


def test_while_a_scorer_of_scikit_learn_is_at_work():
    """Its frames look like those of a search, but it was the fit that called it."""
    calls = []

    def metric(y_true, y_pred):
        calls.append(0)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return accuracy_score(y_true, y_pred)

    model = SparseMLPClassifier((20,), epsilon=5, max_iter=6, scoring=make_scorer(metric), random_state=0)
    with pytest.warns(UserWarning, match="nterrupt"):
        model.fit(X, y, X_val=X, y_val=y)
    assert model.n_iter_ == 2
    calls.clear()
    later()
    with pytest.warns(UserWarning, match="nterrupt"):
        SelectFromModel(model).fit(X, y, X_val=X, y_val=y)
