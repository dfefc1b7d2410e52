"""scikit-learn's own callbacks, which it has from version 1.9 on."""

import copy
import pickle
import signal
import warnings

import numpy as np
import pytest
from helpers import assert_same_run
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPEnsembleClassifier, SparseMLPRegressor
from truesparse.callbacks import Checkpoint, EarlyStopping

sklearn_callback = pytest.importorskip("sklearn.callback", reason="scikit-learn is older than its callbacks")
ScoringMonitor, ProgressBar = sklearn_callback.ScoringMonitor, sklearn_callback.ProgressBar

X, y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (20,), "epsilon": 5, "max_iter": 4, "random_state": 0}


class Record:
    """A callback that notes what it is told, as (event, tasks, what else)."""

    def __init__(self, stop_after=None, fail_at=None):
        self.events, self.stop_after, self.fail_at = [], stop_after, fail_at

    def _note(self, event, context, **others):
        names = []
        while context is not None:
            names.insert(0, f"{context.task_name} {context.task_id}")
            context = context.parent
        self.events.append((event, tuple(names), others))
        if event == self.fail_at:
            raise OSError(event)

    def setup(self, estimator, context):
        self._note("setup", context, max_subtasks=context.max_subtasks)

    def teardown(self, estimator, context):
        self._note("teardown", context)

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self._note("begin", context, X=X, y=y)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self._note("end", context, X=X, y=y, metadata=metadata, fitted_estimator=fitted_estimator)
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after

    @property
    def order(self):
        return [(event, names[-1]) for event, names, _ in self.events]

    @property
    def fitted(self):
        return [others["fitted_estimator"] for event, _, others in self.events if event == "end"]


class Light(Record):
    """One that asks for no fitted estimator."""

    def on_fit_task_end(self, estimator, context):
        self._note("end", context)


def test_a_fit_is_a_task_and_its_epochs_are_tasks_within_it():
    record = Record()
    model = SparseMLPClassifier(**SMALL | {"max_iter": 2}).set_callbacks(record).fit(X, y)
    epochs = [(event, f"epoch {number}") for number in range(2) for event in ("begin", "end")]
    assert record.order == [("setup", "fit 0"), ("begin", "fit 0"), *epochs, ("end", "fit 0"), ("teardown", "fit 0")]
    assert record.events[0][2] == {"max_subtasks": 2}
    assert record.events[2][1] == ("fit 0", "epoch 0")
    for event, _, others in record.events:
        if event in ("begin", "end"):
            assert others["X"] is X
            assert others["y"] is y
    assert not any("callback" in name for name in vars(model) if name not in ("callbacks", "_skl_callbacks"))


def test_the_fitted_estimator_of_every_epoch_is_what_it_would_be():
    record = Record()
    model = SparseMLPClassifier(**SMALL).set_callbacks(record).fit(X, y)
    *by_epoch, last = record.fitted
    assert [fitted.n_iter_ for fitted in by_epoch] == [1, 2, 3, 4]
    assert_same_run(last, model)
    assert_same_run(by_epoch[-1], model)
    losses = [record.train_loss for record in by_epoch[1]._run.state.history]
    assert losses == model.loss_curve_[:2]
    params = {fitted._network.params.tobytes() for fitted in by_epoch}
    assert len(params) == 4  # copies, which training does not change
    assert by_epoch[0].predict(X).shape == y.shape


def test_with_early_stopping_the_last_one_has_the_best_network():
    record = Record()
    model = SparseMLPClassifier(**SMALL | {"max_iter": 8}, early_stopping=True).set_callbacks(record).fit(X, y)
    best = int(np.argmin(model.history_["validation_loss"]))
    params = [fitted._network.params.tobytes() for fitted in record.fitted]
    assert params[-1] == params[best] == model._network.params.tobytes()


def test_callbacks_change_nothing():
    without = SparseMLPClassifier(**SMALL).fit(X, y)
    for callback in (Record(), Light(), ScoringMonitor(scoring="accuracy")):
        assert_same_run(SparseMLPClassifier(**SMALL).set_callbacks(callback).fit(X, y), without)


def test_no_copy_is_made_if_nobody_asks(monkeypatch):
    copied = []
    monkeypatch.setattr("truesparse.estimators.run.Run.copy", lambda run: copied.append(run) or run)
    SparseMLPClassifier(**SMALL).set_callbacks(Light()).fit(X, y)
    assert not copied
    SparseMLPClassifier(**SMALL).set_callbacks(Record()).fit(X, y)
    assert len(copied) == 4 + 1  # of the epochs and of the fit


def test_a_callback_may_ask_to_stop():
    record = Record(stop_after=2)
    model = SparseMLPClassifier(**SMALL).set_callbacks(record).fit(X, y)
    assert model.n_iter_ == 2
    assert record.order[-3:] == [("end", "epoch 1"), ("end", "fit 0"), ("teardown", "fit 0")]


@pytest.mark.parametrize(("cls", "scoring"), [(SparseMLPClassifier, "accuracy"), (SparseMLPRegressor, "r2")])
def test_scoring_monitor(cls, scoring):
    monitor = ScoringMonitor(scoring=scoring)
    model = cls(**SMALL).set_callbacks(monitor).fit(X, y)
    rows = {row["task_id_path"]: row[scoring] for row in monitor.get_logs().data}
    assert rows.keys() == {(0,), (0, 0), (0, 1), (0, 2), (0, 3)}
    assert rows[0,] == rows[0, 3] == model.score(X, y)
    two = cls(**SMALL, callbacks=[StopAfter(2)]).fit(X, y)
    assert rows[0, 1] == two.score(X, y)


class StopAfter:
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, network, record):
        return record.epoch == self.epoch


def test_scores_are_weighted_as_the_samples():
    monitor, weights = ScoringMonitor(scoring="accuracy"), np.where(y == 1, 5.0, 1.0)
    model = SparseMLPClassifier(**SMALL).set_callbacks(monitor).fit(X, y, sample_weight=weights)
    rows = {row["task_id_path"]: row["accuracy"] for row in monitor.get_logs().data}
    assert rows[0, 3] == model.score(X, y, weights) != model.score(X, y)


def test_scoring_monitor_of_data_with_names():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that names do not fit
        SparseMLPClassifier(**SMALL).set_callbacks(monitor).fit(table, y)
    assert len(monitor.get_logs().data_as_pandas["neg_log_loss"]) == 5


def test_scoring_monitor_in_a_pipeline():
    monitor = ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(StandardScaler(), SparseMLPClassifier(**SMALL).set_callbacks(monitor)).fit(X, y)
    scores = {row["task_id_path"]: row["accuracy"] for row in monitor.get_logs().data}
    assert scores[0, 1, 3] == pipeline.score(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scoring_monitor_in_a_search(n_jobs):
    monitor = ScoringMonitor(scoring="accuracy")
    model = SparseMLPClassifier(**SMALL).set_callbacks(monitor)
    search = GridSearchCV(model, {"alpha": [0, 1e-3]}, cv=2, n_jobs=n_jobs).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == (2 * 2 + 1) * 4
    scores = {row["task_id_path"]: row["accuracy"] for row in rows}
    assert scores[0, 1, 3] == search.score(X, y)  # of the refit


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_bar_alone_and_through_meta_estimators(n_jobs, capfd):
    pytest.importorskip("rich")
    SparseMLPClassifier(**SMALL).set_callbacks(ProgressBar()).fit(X, y)
    assert "SparseMLPClassifier - fit" in capfd.readouterr().out
    make_pipeline(StandardScaler(), SparseMLPClassifier(**SMALL)).set_callbacks(ProgressBar()).fit(X, y)
    assert "SparseMLPClassifier" in capfd.readouterr().out
    search = GridSearchCV(make_pipeline(SparseMLPClassifier(**SMALL)), {}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    assert "100%" in capfd.readouterr().out
    assert not hasattr(search.best_estimator_[-1], "_skl_callbacks")  # taken back


def test_callbacks_of_a_search_reach_every_fit():
    class Propagated(Light):
        max_propagation_depth = None

    record = Propagated()
    GridSearchCV(SparseMLPClassifier(**SMALL), {"alpha": [0, 1e-3]}, cv=2).set_callbacks(record).fit(X, y)
    ends = [names for event, names, _ in record.events if event == "end" and names[-1].startswith("epoch")]
    assert len(ends) == (2 * 2 + 1) * 4
    assert len(set(ends)) == len(ends)
    assert [event for event, *_ in record.events].count("setup") == 1


@pytest.mark.parametrize("fail_at", ["setup", "begin", "end", "teardown"])
def test_a_callback_that_fails(fail_at):
    record = Record(fail_at=fail_at)
    model = SparseMLPClassifier(**SMALL).set_callbacks(record)
    with pytest.raises(OSError, match=fail_at):
        model.fit(X, y)
    assert record.order[-1] == ("teardown", "fit 0")
    assert hasattr(model, "coefs_") == (fail_at == "teardown")
    assert not {"_callback_fit_ctx", "_skl_callbacks_to_teardown", "_parent_callback_ctx"} & vars(model).keys()
    assert model._skl_callbacks == [record]


def test_a_fit_that_fails_in_a_pipeline_is_torn_down():
    class Fails:
        def on_epoch_end(self, network, record):
            raise OSError("ours")

    record = Record()
    model = SparseMLPClassifier(**SMALL, callbacks=[Fails()]).set_callbacks(record)
    pipeline = make_pipeline(StandardScaler(), model)
    with pytest.raises(OSError, match="ours"):
        pipeline.fit(X, y)
    assert record.order[-1][0] == "teardown"
    assert vars(model).keys() == model.get_params().keys() | {"_skl_callbacks"}


def test_together_with_our_own():
    record, monitor = Record(), ScoringMonitor(scoring="accuracy")
    stop = EarlyStopping("train_loss", patience=1, min_delta=10)
    model = SparseMLPClassifier(**SMALL, callbacks=[stop], verbose=1).set_callbacks(record, monitor).fit(X, y)
    assert model.n_iter_ == 2
    assert len(monitor.get_logs().data) == 3


def test_a_resumed_fit_has_the_epochs_that_are_left(tmp_path):
    path, record = tmp_path / "checkpoint.npz", Record()
    uninterrupted = SparseMLPClassifier(**SMALL, callbacks=[Checkpoint(path, every=3)]).fit(X, y)
    pipeline = make_pipeline(SparseMLPClassifier(**SMALL).set_callbacks(record))
    pipeline.fit(X, y, sparsemlpclassifier__resume_from=path)
    assert_same_run(pipeline[-1], uninterrupted)
    assert record.events[0][2] == {"max_subtasks": 1}
    assert len(record.fitted) == 2
    assert pipeline[-1]._skl_callbacks == [record]


def test_partial_fit_is_a_fit_of_one_epoch():
    record = Record()
    model = SparseMLPClassifier(**SMALL).set_callbacks(record)
    model.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    assert record.order.count(("end", "epoch 0")) == 2
    assert record.order.count(("teardown", "fit 0")) == 2


def test_an_epoch_that_is_cut_short_ends(monkeypatch):
    monkeypatch.setattr("truesparse.runtime.interrupts._stopped", None)  # the next test is no fit of a search
    calls = []

    def ctrl_c(batch, rng):
        calls.append(None)
        if len(calls) == 7:
            signal.raise_signal(signal.SIGINT)
        return batch

    record, before = Record(), signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.warns(UserWarning, match="Interrupted"):
            model = SparseMLPClassifier(**SMALL, batch_transform=ctrl_c).set_callbacks(record).fit(X, y)
    finally:
        signal.signal(signal.SIGINT, before)
    assert model.n_iter_ == 1
    assert record.order[-3:] == [("end", "epoch 1"), ("end", "fit 0"), ("teardown", "fit 0")]
    first, cut_short, last = record.fitted
    assert first.n_iter_ == 1
    assert cut_short is None
    assert_same_run(last, model)


def test_models_with_callbacks_are_cloned_pickled_and_stored(tmp_path):
    monitor = ScoringMonitor(scoring="accuracy")
    model = SparseMLPClassifier(**SMALL).set_callbacks(monitor).fit(X, y)
    assert clone(model)._skl_callbacks == [monitor]
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_same_run(other, model)
    truesparse.save(model, tmp_path / "model.npz")
    assert not hasattr(truesparse.load(tmp_path / "model.npz"), "_skl_callbacks")


def test_what_goes_where_is_said():
    with pytest.raises(ValueError, match=r"callbacks=.*Callbacks of scikit-learn go into set_callbacks"):
        SparseMLPClassifier(**SMALL, callbacks=[Record()]).fit(X, y)
    with pytest.raises(TypeError, match="FitCallback"):
        SparseMLPClassifier(**SMALL).set_callbacks(EarlyStopping())


def test_members_of_an_ensemble_have_copies():
    class Counts(Record):
        counted = []  # noqa: RUF012

        def _note(self, event, context, **others):
            Counts.counted.append((event, context.task_name))

    network = SparseMLPClassifier(**SMALL).set_callbacks(Counts())
    SparseMLPEnsembleClassifier(network, evolution=("set",), n_folds=2, random_state=0).fit(X, y)
    for event, n in {"setup": 2, "teardown": 2, "begin": 10, "end": 10}.items():
        assert [name for name, _ in Counts.counted].count(event) == n
