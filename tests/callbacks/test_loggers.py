"""The loggers for TensorBoard and MLflow, against small modules in their place."""

import copy
import math
import pickle
import sys
from contextlib import contextmanager
from types import ModuleType

import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from truesparse import SparseMLPClassifier
from truesparse.callbacks import Checkpoint, MLflowLogger, TensorBoardLogger

X, y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (20, 10), "epsilon": 5, "max_iter": 4, "random_state": 0}


class FakeWriter:
    """tensorboardX.SummaryWriter, as far as it is used."""

    made = None

    def __init__(self, directory, *, purge_step, filename_suffix):
        self.filename_suffix = filename_suffix
        self.directory, self.purge_step, self.scalars, self.open, self.pending = directory, purge_step, [], True, 0
        type(self).made.append(self)

    def add_scalar(self, name, value, step):
        assert self.open
        self.scalars.append((name, value, step))
        self.pending += 1

    def flush(self):
        self.pending = 0

    def close(self):
        self.open = False


class FakeMLflow(ModuleType):
    """mlflow, as far as it is used; runs are lists of metrics."""

    def __init__(self):
        super().__init__("mlflow")
        self.runs, self.stack = [], []

    def active_run(self):
        return self.stack[-1] if self.stack else None

    def start_run(self, *, nested=False):
        assert nested or not self.stack
        self.stack.append({"metrics": [], "parent": self.active_run(), "status": "RUNNING"})
        self.runs.append(self.stack[-1])
        return contextmanager(lambda: (yield))()

    def end_run(self, status="FINISHED"):
        self.stack.pop()["status"] = status

    def log_metrics(self, metrics, *, step):
        self.stack[-1]["metrics"].append((step, metrics))


@pytest.fixture
def writers(monkeypatch):
    module = ModuleType("tensorboardX")
    module.SummaryWriter = FakeWriter
    FakeWriter.made = []
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    return FakeWriter.made


@pytest.fixture
def mlflow(monkeypatch):
    module = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", module)
    return module


class Fails:
    def on_epoch_end(self, network, record):
        raise OSError


def curve(writer, name):
    return [(step, value) for found, value, step in writer.scalars if found == name]


def test_tensorboard_gets_a_curve_of_every_field(writers, tmp_path):
    class Reads:
        def on_epoch_end(self, network, record):
            assert not writers[0].pending  # can be seen now

    model = SparseMLPClassifier(**SMALL, callbacks=[TensorBoardLogger(tmp_path), Reads()]).fit(X, y)
    (writer,) = writers
    assert (writer.directory, writer.purge_step, writer.open) == (str(tmp_path), 1, False)
    assert curve(writer, "train_loss") == list(enumerate(model.loss_curve_, start=1))
    assert curve(writer, "nnz") == list(enumerate(map(sum, model.history_["nnz"]), start=1))
    assert {name for name, _, _ in writer.scalars} == {
        "train_loss",
        "learning_rate",
        "nnz",
        "edges_replaced",
        "seconds",
    }


def test_tensorboard_gets_validation_data(writers, tmp_path):
    model = SparseMLPClassifier(**SMALL, early_stopping=True, callbacks=[TensorBoardLogger(tmp_path)]).fit(X, y)
    assert curve(writers[0], "validation_score") == list(enumerate(model.history_["validation_score"], start=1))


def test_tensorboard_curves_go_on(writers, tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"
    model = SparseMLPClassifier(**SMALL, callbacks=[TensorBoardLogger(tmp_path), Checkpoint(checkpoint, every=3)])
    model.fit(X, y).fit(X, y, resume_from=checkpoint).partial_fit(X, y)
    assert [writer.purge_step for writer in writers] == [1, 4, 5]
    assert not any(writer.open for writer in writers)
    assert len({writer.filename_suffix for writer in writers}) == 3  # nothing is overwritten


def test_tensorboard_is_closed_when_a_fit_fails(writers, tmp_path):
    with pytest.raises(OSError):  # noqa: PT011
        SparseMLPClassifier(**SMALL, callbacks=[TensorBoardLogger(tmp_path), Fails()]).fit(X, y)
    assert [writer.open for writer in writers] == [False]


def test_torch_comes_second(writers, monkeypatch, tmp_path):
    names = ("torch", "torch.utils", "torch.utils.tensorboard")
    torch, utils, tensorboard = modules = [ModuleType(name) for name in names]
    torch.utils, utils.tensorboard, tensorboard.SummaryWriter = utils, tensorboard, FakeWriter
    for name, module in zip(names, modules, strict=True):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    SparseMLPClassifier(**SMALL, callbacks=[TensorBoardLogger(tmp_path)]).fit(X, y)
    assert len(writers) == 1


def test_what_is_missing_is_named(monkeypatch):
    for name in ("tensorboardX", "torch.utils.tensorboard", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="TensorBoardLogger needs tensorboardX, or tensorboard with torch"):
        TensorBoardLogger("runs")
    with pytest.raises(ImportError, match="MLflowLogger needs mlflow"):
        MLflowLogger()


def test_bad_arguments_are_named(writers, mlflow):
    with pytest.raises(TypeError, match="directory=None must be a path"):
        TensorBoardLogger(None)
    with pytest.raises(ValueError, match="nested='yes' must be True or False"):
        MLflowLogger(nested="yes")


def test_mlflow_gets_a_run_of_its_own(mlflow):
    model = SparseMLPClassifier(**SMALL, callbacks=[MLflowLogger()]).fit(X, y)
    (run,) = mlflow.runs
    assert run["status"] == "FINISHED"
    assert not mlflow.stack
    assert [step for step, _ in run["metrics"]] == [1, 2, 3, 4]
    assert [metrics["train_loss"] for _, metrics in run["metrics"]] == model.loss_curve_
    for _, metrics in run["metrics"]:
        assert metrics.keys() == {"train_loss", "learning_rate", "nnz", "edges_replaced", "seconds"}
        assert all(type(value) is float and not math.isnan(value) for value in metrics.values())


def test_mlflow_uses_the_active_run_and_leaves_it_open(mlflow):
    mlflow.start_run()
    model = SparseMLPClassifier(**SMALL, callbacks=[MLflowLogger()]).fit(X, y)
    model.partial_fit(X, y)
    (run,) = mlflow.runs
    assert [step for step, _ in run["metrics"]] == [1, 2, 3, 4, 5]
    assert run["status"] == "RUNNING"
    assert mlflow.active_run() is run


def test_mlflow_hears_of_failures(mlflow):
    with pytest.raises(OSError):  # noqa: PT011
        SparseMLPClassifier(**SMALL, callbacks=[MLflowLogger(), Fails()]).fit(X, y)
    assert [run["status"] for run in mlflow.runs] == ["FAILED"]
    assert not mlflow.stack


def test_every_fit_of_a_search_is_a_run(mlflow):
    mlflow.start_run()
    model = SparseMLPClassifier(**SMALL, callbacks=[MLflowLogger(nested=True)])
    GridSearchCV(model, {"alpha": [0, 1e-3]}, cv=2).fit(X, y)
    search, *fits = mlflow.runs
    assert len(fits) == 5
    assert all(fit["parent"] is search and fit["status"] == "FINISHED" and len(fit["metrics"]) == 4 for fit in fits)
    assert mlflow.active_run() is search


def test_copies_hold_nothing_open(writers, mlflow, tmp_path):
    """The clones that a callback makes of a model while it trains."""
    copies = []
    loggers = [TensorBoardLogger(tmp_path), MLflowLogger()]

    class Copies:
        def on_epoch_end(self, network, record):
            copies.extend([*copy.deepcopy(loggers), *pickle.loads(pickle.dumps(loggers))])

    SparseMLPClassifier(**SMALL, callbacks=[*loggers, Copies()]).fit(X, y)
    assert [vars(made) for made in copies] == [
        {"directory": tmp_path, "_writer": None},
        {"nested": False, "_status": None},
    ] * 8
    for made in copies:
        made.on_fit_end()
    assert len(writers) == len(mlflow.runs) == 1
