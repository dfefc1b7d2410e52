"""A fit that stopped and goes on from its checkpoint ends with the same bytes as one that never stopped."""

import pickle
import shutil
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from helpers import METHODS, assert_same_run
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.datasets import make_classification

import truesparse
from truesparse import Evolution, SparseMLPClassifier, SparseMLPRegressor
from truesparse.callbacks import Checkpoint
from truesparse.estimators.persistence import ModelFormatError
from truesparse.evolution import AfterStall, Constant, Cosine, ImportancePruning, Magnitude, Random, preset

X, y = make_classification(90, 12, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)
SMALL = {
    "hidden_layer_sizes": (30, 20),
    "epsilon": 3,
    "max_iter": 6,
    "update_every": 4,
    "dropout": 0.2,
    "random_state": 0,
    "n_iter_no_change": np.inf,
}
REMOVES_UNITS = replace(preset("cte"), unit_pruning=ImportancePruning())


class PowerCut(BaseException):
    """No error that somebody might handle."""


class CutAfter:
    """Ends a training after so many epochs."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, network, record):
        if record.epoch == self.epoch:
            raise PowerCut


@dataclass(frozen=True)
class OwnRandom:
    """A rule of somebody's own, which cannot be stored."""

    k: int = 0
    needs: ClassVar = ()

    def __call__(self, vacancies, *, rng):
        return Random()(vacancies, rng=rng)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.npz"


def interrupted(make, path, epoch, X=X, y=y, every=1):
    """Fit until the power is cut."""
    model = make().set_params(callbacks=[Checkpoint(path, every), CutAfter(epoch)])
    with pytest.raises(PowerCut):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


def check(make, path, X=X, y=y):
    """Cut twice, after epochs 2 and 4."""
    uninterrupted = make().fit(X, y)
    interrupted(make, path, 2, X, y)
    with pytest.raises(PowerCut):
        make().set_params(callbacks=[Checkpoint(path), CutAfter(4)]).fit(X, y, resume_from=path)
    resumed = make().fit(X, y, resume_from=path)
    assert_same_run(resumed, uninterrupted)
    assert resumed.predict(X).tobytes() == uninterrupted.predict(X).tobytes()
    return uninterrupted


@pytest.mark.parametrize("name", METHODS)
def test_every_method_goes_on_as_if_nothing_had_happened(name, path):
    options = SMALL | ({"update_every": None} if name in ("static", "snip", "dense") else {})
    solver = "sgd" if len(name) % 2 else "adam"
    check(lambda: SparseMLPClassifier(**options, **METHODS[name], solver=solver, learning_rate_init=0.01), path)


@pytest.mark.parametrize(
    "options",
    [
        {"early_stopping": True},
        {"early_stopping": True, "solver": "sgd", "activation": "srelu"},
        {"activation": "srelu"},
        {"activation": "tanh", "dtype": "float64"},
        {"shuffle": False, "learning_rate": "step"},
        {"n_jobs": 2},
        {"evolution": REMOVES_UNITS, "max_iter": 8},
        {"evolution": Evolution(Magnitude(), AfterStall(Cosine(), Random()), Constant(0.3)), "update_every": 2},
    ],
    ids=lambda options: "-".join(options),
)
def test_every_kind_of_training_goes_on(options, path):
    check(lambda: SparseMLPClassifier(**SMALL | options), path)


def test_a_seed_that_was_drawn_is_kept(path):
    def make():
        return SparseMLPClassifier(**SMALL | {"random_state": None})

    copy = path.with_name("copy.npz")

    class Copy:
        def on_epoch_end(self, network, record):
            if record.epoch == 2:
                shutil.copy(path, copy)

    model = make().set_params(callbacks=[Checkpoint(path), Copy()]).fit(X, y)
    assert truesparse.load(copy).n_iter_ == 2
    assert_same_run(make().fit(X, y, resume_from=copy), model)


def test_a_regressor_and_sparse_data_go_on(path):
    check(lambda: SparseMLPRegressor(**SMALL), path, csr_array(X * (X > 0)), np.eye(3)[y])


def test_an_own_rule_and_a_transform_go_on(path):
    def noise(X_batch, rng):
        X_batch += rng.normal(0, 0.1, X_batch.shape)
        return X_batch

    evolution = Evolution(Magnitude(), OwnRandom(), Constant(0.3, update_every=4))
    options = SMALL | {"evolution": evolution, "update_every": None, "batch_transform": noise}
    check(lambda: SparseMLPClassifier(**options), path)
    with pytest.warns(UserWarning, match=r"name batch_transform \(.*noise\), evolution \(.*OwnRandom\)"):
        loaded = truesparse.load(path)
    for missing in ("batch_transform", "evolution"):
        with pytest.raises(ValueError, match=rf"{missing}=.*set_params\({missing}=…\)"):
            loaded.fit(X, y, resume_from=path)
        loaded.set_params(**{missing: options[missing]})
    assert_same_run(loaded.fit(X, y, resume_from=path), SparseMLPClassifier(**options).fit(X, y))
    other = SparseMLPClassifier(**options | {"evolution": replace(evolution, grow=OwnRandom(5))})
    with pytest.raises(ValueError, match=r"with evolution="):
        other.fit(X, y, resume_from=path)
    with pytest.raises(ValueError, match=r"with batch_transform=.*noise"):
        SparseMLPClassifier(**options | {"batch_transform": None}).fit(X, y, resume_from=path)


def test_early_stopping_stops_at_the_same_epoch(path):
    def make():
        return SparseMLPClassifier(**SMALL | {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 30})

    model = make().set_params(callbacks=[Checkpoint(path)]).fit(X, y)
    assert 3 <= model.n_iter_ < 30
    before_the_last = path.with_name("before")
    interrupted(make, before_the_last, model.n_iter_ - 1)
    assert_same_run(make().fit(X, y, resume_from=before_the_last), model)
    assert_same_run(make().fit(X, y, resume_from=path), model)  # the checkpoint is of the last epoch: nothing is left


def test_a_warm_start_goes_on(path):
    first = SparseMLPClassifier(**SMALL | {"warm_start": True}).fit(X, y)
    truesparse.save(first, path)
    uninterrupted = truesparse.load(path).fit(X[:50], y[:50])
    second = truesparse.load(path).set_params(callbacks=[Checkpoint(path), CutAfter(8)])
    with pytest.raises(PowerCut):
        second.fit(X[:50], y[:50])
    fresh = SparseMLPClassifier(**SMALL | {"warm_start": True}).fit(X[:50], y[:50], resume_from=path)
    assert_same_run(fresh, uninterrupted)
    assert fresh.n_iter_ == 12


def test_partial_fit_goes_on_from_a_loaded_checkpoint(path):
    model = SparseMLPClassifier(**SMALL, callbacks=[Checkpoint(path, every=2)])
    for _ in range(3):
        model.partial_fit(X, y, classes=[0, 1, 2])
    loaded = truesparse.load(path)
    assert loaded.n_iter_ == 2
    assert_same_run(loaded.partial_fit(X, y), model)
    with pytest.raises(ValueError, match=r"no checkpoint of a fit.*partial_fit"):
        SparseMLPClassifier(**SMALL).fit(X, y, resume_from=path)


def test_a_checkpoint_is_a_model_at_any_time(path):
    interrupted(lambda: SparseMLPClassifier(**SMALL), path, 3)
    loaded = truesparse.load(path)
    assert loaded.n_iter_ == 3
    assert loaded.predict(X).shape == y.shape


def test_checkpoints_are_written_every_so_many_epochs(path):
    interrupted(lambda: SparseMLPClassifier(**SMALL), path, 5, every=2)
    assert truesparse.load(path).n_iter_ == 4


@pytest.fixture
def checkpoint(path):
    interrupted(lambda: SparseMLPClassifier(**SMALL), path, 3)
    return path


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (X + 1e-6, y),
        (X[::-1], y[::-1]),
        (X[:-1], y[:-1]),
        (X, np.roll(y, 1)),
        (csr_array(X), y),
    ],
    ids=["shifted", "reversed", "shorter", "other targets", "sparse"],
)
def test_other_data_are_refused_and_a_fitted_model_stays(X, y, checkpoint):
    model = SparseMLPClassifier(**SMALL | {"random_state": 5}).fit(X, y)
    before = vars(model).copy()
    with pytest.raises(ValueError, match="checkpoint of a fit with other data"):
        model.set_params(random_state=0).fit(X, y, resume_from=checkpoint)
    assert vars(model) == before | {"random_state": 0}


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_iter", 7), ("epsilon", 4), ("evolution", "set"), ("random_state", 1), ("solver", "sgd"), ("dropout", None)],
)
def test_other_parameters_are_refused(name, value, checkpoint):
    with pytest.raises(ValueError, match=rf"with {name}=.*, not "):
        SparseMLPClassifier(**SMALL | {name: value}).fit(X, y, resume_from=checkpoint)


def test_threads_and_printing_may_change(checkpoint, capsys):
    resumed = SparseMLPClassifier(**SMALL, n_jobs=2, verbose=1).fit(X, y, resume_from=checkpoint)
    assert_same_run(resumed, SparseMLPClassifier(**SMALL).fit(X, y))
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["4/6", "5/6", "6/6"]


def test_what_is_no_checkpoint_is_refused(path, checkpoint):
    with pytest.raises(ModelFormatError, match="class='SparseMLPClassifier'"):
        SparseMLPRegressor(**SMALL).fit(X, y, resume_from=checkpoint)
    truesparse.save(SparseMLPClassifier(**SMALL).fit(X, y), path)
    with pytest.raises(ValueError, match="no checkpoint"):
        SparseMLPClassifier(**SMALL).fit(X, y, resume_from=path)
    with pytest.raises(FileNotFoundError):
        SparseMLPClassifier(**SMALL).fit(X, y, resume_from=path.with_name("another"))
    path.write_bytes(b"garbage")
    with pytest.raises(ModelFormatError):
        SparseMLPClassifier(**SMALL).fit(X, y, resume_from=path)


@pytest.mark.parametrize(("arguments", "error"), [((3,), TypeError), (("a", 0), ValueError), (("a", True), ValueError)])
def test_a_checkpoint_checks_its_arguments(arguments, error):
    with pytest.raises(error, match=r"path=3|every="):
        Checkpoint(*arguments)


def test_a_checkpoint_that_cannot_be_written_ends_the_fit(path):
    model = SparseMLPClassifier(**SMALL, callbacks=[Checkpoint(path.parent / "nowhere" / "checkpoint.npz")])
    with pytest.raises(FileNotFoundError):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


def test_a_checkpoint_holds_on_to_nothing_after_the_fit(path):
    callback = Checkpoint(path)
    SparseMLPClassifier(**SMALL, callbacks=[callback]).fit(X, y)
    assert vars(callback) == {"path": path, "every": 1, "every_chunks": None, "_n_chunks": 0, "_write": None}


def test_a_checkpoint_belongs_to_one_fit_at_a_time(path):
    callback = Checkpoint(path)
    copies = []

    class FitsInBetween:
        def on_epoch_end(self, network, record):
            if record.epoch == 2:
                with pytest.raises(RuntimeError, match="has not ended"):
                    SparseMLPClassifier(**SMALL, callbacks=[callback]).fit(X, y)
                copies.append(pickle.loads(pickle.dumps(callback)))

    model = SparseMLPClassifier(**SMALL, callbacks=[callback, FitsInBetween()]).fit(X, y)
    assert truesparse.load(path).n_iter_ == model.n_iter_
    assert copies[0]._write is None


@pytest.mark.parametrize("event", ["on_topology_change", "on_train_begin", "on_units_removed"])
def test_a_checkpoint_is_only_written_between_epochs(event, path):
    class Hasty:
        def on_fit_begin(self, write_checkpoint):
            setattr(self, event, lambda *args: write_checkpoint(path))

    model = SparseMLPClassifier(**SMALL | {"evolution": REMOVES_UNITS, "max_iter": 20})
    with pytest.raises(RuntimeError, match="on_epoch_end"):
        model.set_params(callbacks=[Hasty()]).fit(X, y)
    assert not path.exists()


def test_what_cannot_be_stored_is_said_before_the_training(path):
    model = SparseMLPClassifier(**SMALL | {"update_every": 10**400}, callbacks=[Checkpoint(path, every=5)])
    with pytest.raises(ModelFormatError, match="update_every cannot be stored"):
        model.fit(X, y)


def test_other_versions_are_told(checkpoint, monkeypatch):
    monkeypatch.setattr("truesparse.estimators.checkpoints.versions", lambda: {"numpy": "0.1"})
    with pytest.warns(UserWarning, match=r"not \{'numpy': '0\.1'\}"):
        SparseMLPClassifier(**SMALL).fit(X, y, resume_from=checkpoint)


def test_lists_and_tuples_of_layers_are_the_same(checkpoint):
    resumed = SparseMLPClassifier(**SMALL | {"hidden_layer_sizes": [30, 20]}).fit(X, y, resume_from=checkpoint)
    assert resumed.n_iter_ == 6


def test_what_was_learnt_before_is_forgotten(checkpoint):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=[f"feature {index}" for index in range(X.shape[1])])
    model = SparseMLPClassifier(**SMALL).fit(table, y)
    assert hasattr(model, "feature_names_in_")
    assert not hasattr(model.fit(X, y, resume_from=checkpoint), "feature_names_in_")


def test_requests_of_metadata_and_the_order_of_class_weights(tmp_path):
    path = tmp_path / "run.npz"
    model = SparseMLPClassifier(**SMALL, class_weight={0: 1, 1: 2, 2: 3}, callbacks=[Checkpoint(path, every=3)])
    with config_context(enable_metadata_routing=True):
        model.set_fit_request(sample_weight=True).fit(X, y)
        model.set_params(class_weight={2: 3, 1: 2, 0: 1}).fit(X, y, resume_from=path)
        assert model.get_metadata_routing().fit.requests["sample_weight"] is True
