"""Ensembles in files: saved, exported, and a fit that was killed and goes on with the members that are done."""

import io
import json
import multiprocessing
import os
import time
import zipfile

import numpy as np
import pytest
from helpers import assert_same_run, set_entry
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_classification, make_friedman1

import truesparse
from truesparse import (
    Evolution,
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPEnsembleRegressor,
    SparseMLPRegressor,
)
from truesparse.estimators.persistence import ModelFormatError
from truesparse.evolution import Random
from truesparse.storage import predictor

X, y = make_classification(120, 10, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)
NUMBERS = make_friedman1(120, 10, random_state=0)[1]
SMALL = {"hidden_layer_sizes": (20,), "epsilon": 3, "max_iter": 6, "update_every": 3}
TARGETS = {
    "classes": y,
    "text": np.array(["a", "bc", "def"])[y],
    "objects": np.array(["a", "bc", "def"], dtype=object)[y],
    "labels": (X[:, :3] > 0).astype(int),
    "number": NUMBERS,
    "numbers": np.column_stack([NUMBERS, X[:, 0]]),
}


def make(kind="classes", **options):
    options = {"evolution": ("cte", "set"), "n_folds": 2, "random_state": 0} | options
    if kind.startswith("number"):
        return SparseMLPEnsembleRegressor(SparseMLPRegressor(**SMALL), **options)
    return SparseMLPEnsembleClassifier(SparseMLPClassifier(**SMALL), **options)


def predictions(ensemble):
    return ensemble.predict(X) if isinstance(ensemble, SparseMLPEnsembleRegressor) else ensemble.predict_proba(X)


def assert_same(ensemble, other):
    for member, other_member in zip(ensemble.estimators_, other.estimators_, strict=True):
        assert_same_run(member, other_member)
    assert ensemble.weights_.tobytes() == other.weights_.tobytes()
    assert predictions(ensemble).tobytes() == predictions(other).tobytes()
    assert (ensemble.oof_score_, ensemble.oof_loss_) == (other.oof_score_, other.oof_loss_)
    assert ensemble.summary() == other.summary()


def saved(model, **options):
    file = io.BytesIO()
    truesparse.save(model, file, **options)
    file.seek(0)
    return file


@pytest.fixture(scope="module", params=TARGETS)
def fitted(request):
    return make(request.param, combine="mean").fit(X, TARGETS[request.param]), TARGETS[request.param]


def test_a_loaded_ensemble_is_the_same(fitted):
    ensemble, target = fitted
    loaded = truesparse.load(saved(ensemble))
    assert type(loaded) is type(ensemble)
    assert_same(loaded, ensemble)
    assert repr(loaded) == repr(ensemble)
    assert saved(loaded).getvalue() == saved(ensemble).getvalue()
    assert_array_equal(loaded.predict(X), ensemble.predict(X))
    assert loaded.predict(X).dtype == ensemble.predict(X).dtype
    again = truesparse.load(saved(ensemble))
    for each in (again, loaded):
        each.partial_fit(X, target)
    for member, other in zip(again.estimators_, loaded.estimators_, strict=True):
        assert_same_run(member, other)
    assert_same(loaded.fit(X, target), ensemble)


def test_ensembles_that_are_not_fitted_or_have_no_folds_or_defaults_are_saved():
    plain = truesparse.load(saved(SparseMLPEnsembleClassifier()))
    assert plain.get_params() == SparseMLPEnsembleClassifier().get_params()
    own = Evolution(grow=Random())
    ensemble = make(evolution=["set", own], n_folds=1).fit(X, y)
    loaded = truesparse.load(saved(ensemble, training=False))
    assert loaded.evolution == ["set", own]
    assert not hasattr(loaded, "oof_loss_")
    assert loaded.summary() == ensemble.summary()
    assert predictions(loaded).tobytes() == predictions(ensemble).tobytes()
    assert len(saved(ensemble, training=False).getvalue()) < len(saved(ensemble).getvalue())


def test_names_of_features_come_back():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=[f"f{i}" for i in range(10)])
    loaded = truesparse.load(saved(make().fit(table, y)))
    assert loaded.feature_names_in_.tolist() == list(table.columns)
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(table.rename(columns=str.upper))


def transform(X_batch, rng):
    return X_batch


def test_code_is_named(tmp_path):
    ensemble = make().set_params(estimator__batch_transform=transform).fit(X, y)
    truesparse.save(ensemble, tmp_path / "model.npz")
    with pytest.warns(UserWarning, match=r"could only name estimator__batch_transform"):
        loaded = truesparse.load(tmp_path / "model.npz")
    assert predictions(loaded).tobytes() == predictions(ensemble).tobytes()
    with pytest.raises(ValueError, match="batch_transform=<missing"):
        loaded.fit(X, y)


def test_estimators_of_other_classes_are_refused():
    class Own(SparseMLPClassifier):
        pass

    with pytest.raises(ModelFormatError, match="Own"):
        truesparse.save(SparseMLPEnsembleClassifier(Own()), io.BytesIO())


@pytest.fixture(scope="module")
def honest():
    with zipfile.ZipFile(saved(make(combine="mean").fit(X, y), training=False)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(honest, change):
    metadata = json.loads(honest["metadata.json"])
    change(metadata)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in (honest | {"metadata.json": json.dumps(metadata).encode()}).items():
            archive.writestr(name, content)
    return file


REFUSED = [
    set_entry("class", "SparseMLPEnsembleRegressor"),
    set_entry("unknown", 1),
    set_entry("estimator", 3),
    set_entry("estimator", "class", "SparseMLPRegressor"),
    set_entry("estimator", "class", "SparseMLPEnsembleClassifier"),
    set_entry("parameters", "estimator", {}),
    set_entry("parameters", "n_folds", 0),
    set_entry("parameters", "evolution", "cte"),
    set_entry("fitted", "members", []),
    set_entry("fitted", "members", {}),
    set_entry("fitted", "members", 0, 3),
    set_entry("fitted", "members", 0, "fitted", None),
    set_entry("fitted", "members", 0, "class", "SparseMLPRegressor"),
    set_entry("fitted", "members", 0, "fitted", "learnt", "multilabel", True),
    set_entry("fitted", "standings", []),
    set_entry("fitted", "standings", 0, "n_members", -1),
    set_entry("fitted", "standings", 0, "n_members", 1),
    set_entry("fitted", "standings", 0, "weight", []),
    set_entry("fitted", "standings", 0, "more", 1),
    set_entry("fitted", "out_of_fold", [1.0]),
    set_entry("fitted", "out_of_fold", ["a", "b"]),
    set_entry("fitted", "more", 1),
    set_entry("fitted", None),
    lambda metadata: metadata["fitted"]["members"].pop(),
    lambda metadata: metadata["fitted"]["members"].append(metadata["fitted"]["members"][0]),
]


@pytest.mark.parametrize("change", REFUSED)
def test_damaged_metadata_are_refused(honest, change):
    assert truesparse.load(changed(honest, lambda metadata: None)).n_features_in_ == 10
    with pytest.raises(ModelFormatError):
        truesparse.load(changed(honest, change))


def test_members_of_other_ensembles_are_refused(honest):
    """Three classes, but of four in another file."""
    with zipfile.ZipFile(saved(make(combine="mean").fit(X, np.arange(120) % 4), training=False)) as archive:
        other = {name: archive.read(name) for name in archive.namelist()}
    first, second = json.loads(honest["metadata.json"]), json.loads(other["metadata.json"])
    first["fitted"]["members"][1] = second["fitted"]["members"][1]
    mixed = {name: other[name] if name.startswith("1.") else content for name, content in honest.items()}
    first["arrays"] |= {name: entry for name, entry in second["arrays"].items() if name.startswith("1.")}
    with pytest.raises(ModelFormatError, match="do not fit together"):
        truesparse.load(changed(mixed | {"metadata.json": json.dumps(first).encode()}, lambda metadata: None))


def test_an_export_predicts_the_same(fitted, tmp_path):
    ensemble, _ = fitted
    ensemble.export_numpy(tmp_path / "model")
    exported = predictor.load(tmp_path / "model")
    for rows in (X, csr_array(X)):
        if isinstance(ensemble, SparseMLPEnsembleRegressor):
            assert_allclose(exported.predict(rows), ensemble.predict(X), rtol=1e-5, atol=1e-5)
        else:
            assert_allclose(exported.predict_proba(rows), ensemble.predict_proba(X), atol=1e-6)
            assert_array_equal(exported.predict(rows), ensemble.predict(X))
            assert exported.predict_proba(rows).dtype == np.float32
    assert sorted(os.listdir(tmp_path / "model")) == ["predictor.py", "weights.npz"]


def test_members_whose_activations_differ_are_exported(tmp_path):
    ensemble = make(evolution=("cte", "set", "omp"), combine="mean").set_params(estimator__activation=None).fit(X, y)
    ensemble.export_numpy(tmp_path)
    assert_allclose(predictor.load(tmp_path).predict_proba(X), ensemble.predict_proba(X), atol=1e-6)


def test_a_module_of_pytorch_predicts_the_same(fitted):
    torch = pytest.importorskip("torch")
    ensemble, _ = fitted
    module = ensemble.to_torch()
    with torch.no_grad():
        found = module(torch.from_numpy(X)).numpy()
    assert found.dtype == predictions(ensemble).dtype
    assert_allclose(found, predictions(ensemble), rtol=1e-5, atol=1e-6)
    assert len(module.members) == len(ensemble.estimators_)


class PowerCut(BaseException):
    """No error that somebody might handle."""


class CutAtFit:
    """Ends the training of the members from a number on, counted over all copies."""

    n_fits = 0

    def __init__(self, number):
        self.number = number

    def on_train_begin(self, network):
        CutAtFit.n_fits += 1
        if CutAtFit.n_fits >= self.number:
            raise PowerCut


def cut(ensemble, folder, number, target=y, **arguments):
    CutAtFit.n_fits = 0
    with pytest.raises(PowerCut):
        clone(ensemble).set_params(callbacks=[CutAtFit(number)]).fit(X, target, checkpoint=folder, **arguments)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_fit_that_was_killed_goes_on_to_the_same_bytes(kind, tmp_path):
    target, folder = TARGETS[kind], tmp_path / "members"
    cut(make(kind), folder, 3, target)
    assert sorted(os.listdir(folder)) == ["ensemble.npz", "member_000.npz", "member_001.npz"]
    times = {name: (folder / name).stat().st_mtime_ns for name in os.listdir(folder)}
    ensemble = make(kind).fit(X, target, checkpoint=folder)
    undisturbed = make(kind).fit(X, target)
    assert_same(ensemble, undisturbed)
    assert ensemble.oof_predictions_.tobytes() == undisturbed.oof_predictions_.tobytes()
    assert {name: (folder / name).stat().st_mtime_ns for name in times} == times
    assert len(os.listdir(folder)) == 5
    CutAtFit.n_fits = 0
    whole = make(kind, callbacks=[CutAtFit(1)], n_jobs=1).fit(X, target, checkpoint=folder)  # trains none
    assert_same(whole, undisturbed)
    truesparse.load(folder / "member_000.npz").partial_fit(X, target)


@pytest.mark.parametrize("seeds", [(None, None), (np.random.RandomState(0), np.random.RandomState(5))])
def test_a_fit_without_a_seed_goes_on_with_its_own(seeds, tmp_path):
    first, second = seeds
    cut(make(random_state=first, combine="mean"), tmp_path, 3)
    done = [truesparse.load(tmp_path / f"member_{number:03}.npz") for number in range(2)]
    ensemble = make(random_state=second, combine="mean").fit(X, y, checkpoint=tmp_path)
    for member, stored in zip(ensemble.estimators_, done, strict=False):
        assert member.random_state == stored.random_state
        assert_same_run(member, stored)
    again = make(random_state=second, combine="mean").fit(X, y, checkpoint=tmp_path)
    assert_same(again, ensemble)


def test_side_by_side_the_folder_is_the_same(tmp_path):
    make().fit(X, y, checkpoint=tmp_path / "one")
    make(n_jobs=2).fit(X, y, checkpoint=tmp_path / "two")
    assert_same(make().fit(X, y, checkpoint=tmp_path / "two"), make().fit(X, y))
    assert sorted(os.listdir(tmp_path / "one")) == sorted(os.listdir(tmp_path / "two"))


@pytest.mark.parametrize(
    ("parameters", "arguments", "message"),
    [
        ({"n_folds": 3}, {}, r"is of a fit with n_folds=2, not 3\. Choose another folder"),
        ({"evolution": ("set", "cte")}, {}, "is of a fit with evolution="),
        ({"random_state": 1}, {}, "is of a fit with random_state=0, not 1"),
        ({"combine": "mean"}, {}, "combine='greedy', not 'mean'"),
        ({"estimator__max_iter": 7}, {}, "is of a fit with estimator__max_iter=6, not 7"),
        ({}, {"X": X + 1}, "is of a fit with other data"),
        ({}, {"y": y[::-1]}, "is of a fit with other data"),
        ({}, {"sample_weight": 1 + y}, "is of a fit with other data"),
        ({}, {"groups": np.arange(120) // 2}, "is of a fit with other data"),
        ({}, {"X_val": X, "y_val": y}, "is of a fit with other data"),
    ],
)
def test_a_folder_of_another_fit_is_refused(parameters, arguments, message, tmp_path):
    cut(make(), tmp_path, 2)
    ensemble = make().set_params(**parameters)
    before = vars(ensemble).copy()
    with pytest.raises(ValueError, match=message):
        ensemble.fit(**({"X": X, "y": y, "checkpoint": tmp_path} | arguments))
    assert vars(ensemble) == before
    make(verbose=0, n_jobs=1).set_params(estimator__n_jobs=1).fit(X, y, checkpoint=tmp_path)


def test_a_damaged_or_foreign_member_is_named(tmp_path):
    cut(make(), tmp_path / "a", 3)
    cut(make(), tmp_path / "b", 3, target=y[::-1])
    (tmp_path / "a" / "member_001.npz").write_bytes((tmp_path / "b" / "member_001.npz").read_bytes())
    with pytest.raises(ValueError, match=r"member_001\.npz' is no member of a fit with these data"):
        make().fit(X, y, checkpoint=tmp_path / "a")
    (tmp_path / "a" / "member_001.npz").write_bytes(b"half")
    with pytest.raises(ModelFormatError, match=r"member_001\.npz: .*damaged"):
        make().fit(X, y, checkpoint=tmp_path / "a")


def train(folder):
    make(callbacks=[Slow()]).fit(X, y, checkpoint=folder)


class Slow:
    def on_epoch_end(self, network, record):
        time.sleep(0.05)


def test_a_process_that_is_killed(tmp_path):
    folder = tmp_path / "members"
    context = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    process = context.Process(target=train, args=(folder,))
    process.start()
    while process.is_alive() and not (folder / "member_001.npz").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not (folder / "member_003.npz").exists()
    assert_same(make().fit(X, y, checkpoint=folder), make().fit(X, y))
