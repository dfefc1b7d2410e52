"""A model that is saved and loaded is the same model."""

import copy
import enum
import io
import json
import pickle
import re
import sys
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from helpers import METHODS, assert_same_run, set_entry
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.metrics import accuracy_score, make_scorer

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.callbacks import Checkpoint
from truesparse.estimators.persistence import ModelFormatError
from truesparse.evolution import ImportancePruning, Random, preset

X, y = make_classification(120, 10, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)
SMALL = {"hidden_layer_sizes": (30, 20), "epsilon": 3, "max_iter": 4, "update_every": 3, "random_state": 0}


def through_a_file(model, **options):
    file = io.BytesIO()
    truesparse.save(model, file, **options)
    file.seek(0)
    return truesparse.load(file)


def saved(model):
    file = io.BytesIO()
    truesparse.save(model, file)
    return file.getvalue()


def change_metadata(content, change):
    """The file with metadata that `change` has changed, and all checksums right."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "metadata.json":
                metadata = json.loads(part)
                change(metadata)
                part = json.dumps(metadata)
            new.writestr(name, part)
    return io.BytesIO(file.getvalue())


MODELS = {
    "defaults": SparseMLPClassifier(**SMALL),
    "text": SparseMLPClassifier(**SMALL),
    "objects": SparseMLPClassifier(**SMALL),
    "labels": SparseMLPClassifier(**SMALL),
    "sgd": SparseMLPClassifier(**SMALL, solver="sgd", learning_rate_init=0.01),
    "srelu": SparseMLPClassifier(**SMALL, activation="srelu"),
    "tanh": SparseMLPClassifier(**SMALL, activation="tanh", dtype="float64"),
    "dense": SparseMLPClassifier(**SMALL | {"hidden_layer_sizes": (80, 70)}, **METHODS["dense"]),
    "no hidden layer": SparseMLPClassifier(**SMALL | {"hidden_layer_sizes": ()}),
    "early stopping": SparseMLPClassifier(**SMALL, early_stopping=True),
    "unit pruning": SparseMLPClassifier(**SMALL, evolution=replace(preset("cte"), unit_pruning=ImportancePruning())),
    "regressor": SparseMLPRegressor(**SMALL),
    "outputs": SparseMLPRegressor(**SMALL),
}
TARGETS = {
    "text": np.array(["a", "bc", "def"])[y],
    "objects": np.array(["a", "bc", "def"], dtype=object)[y],
    "labels": np.eye(3, dtype=int)[y],
    "regressor": y - 1.0,
    "outputs": np.eye(3)[y],
}


@pytest.fixture(scope="module", params=MODELS)
def fitted(request):
    model = copy.deepcopy(MODELS[request.param])
    target = TARGETS.get(request.param, y)
    return model.fit(X, target), target


def test_a_loaded_model_is_the_same(fitted):
    model, _ = fitted
    loaded = through_a_file(model)
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    assert_same_run(loaded, model)
    assert loaded.history_["seconds"] == model.history_["seconds"]
    predictions, expected = loaded.predict(X), model.predict(X)
    assert predictions.dtype == expected.dtype
    assert predictions.tobytes() == expected.tobytes() if expected.dtype != object else (predictions == expected).all()


def test_training_goes_on_as_if_the_model_had_never_left(fitted):
    model, target = fitted
    loaded, model = through_a_file(model), copy.deepcopy(model)
    for each in (loaded, model):
        each.set_params(warm_start=True).fit(X, target).partial_fit(X, target)
    assert_same_run(loaded, model)


def test_equal_models_are_equal_files():
    model = SparseMLPClassifier(**SMALL).fit(X, y)
    assert saved(model) == saved(through_a_file(model))


def test_without_moments_a_file_is_smaller_and_predicts_the_same():
    model = SparseMLPClassifier(**SMALL).fit(X, y)
    file = io.BytesIO()
    truesparse.save(model, file, training=False)
    assert len(file.getvalue()) < len(saved(model)) - model._network.params.nbytes
    loaded = truesparse.load(file)
    assert loaded.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    assert loaded.partial_fit(X, y).n_iter_ == model.n_iter_ + 1
    assert loaded._run.state.optimizer_steps == 4


def test_a_model_that_is_not_fitted_is_saved_too():
    model = SparseMLPRegressor((5,), evolution=truesparse.preset("set"), n_iter_no_change=np.inf)
    loaded = through_a_file(model)
    assert loaded.get_params() == model.get_params()
    assert not hasattr(loaded, "n_features_in_")


def test_names_of_features_come_back():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=[f"feature {index}" for index in range(10)])
    model = SparseMLPClassifier(**SMALL).fit(table, y)
    loaded = through_a_file(model)
    assert loaded.feature_names_in_.tolist() == model.feature_names_in_.tolist()
    assert loaded.feature_names_in_.dtype == object
    assert loaded.predict(table).tolist() == model.predict(table).tolist()
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(table.rename(columns=str.upper))


UNFIT_TEXT = ["a\0", "\udc80", "b\0\0"]


def refuses_before_training(model, X, y, match, tmp_path):
    """`save` refuses what a fit has learnt, and a fit with a checkpoint refuses it before the first epoch."""
    file = io.BytesIO()
    with pytest.raises(ModelFormatError, match=match):
        truesparse.save(model.fit(X, y), file)
    assert file.getvalue() == b""

    class Never:
        def on_train_begin(self, network):
            raise AssertionError("the training has begun")

    with pytest.raises(ModelFormatError, match=match):
        clone(model).set_params(callbacks=[Checkpoint(tmp_path / "file", every=5), Never()]).fit(X, y)


@pytest.mark.parametrize("text", UNFIT_TEXT)
@pytest.mark.parametrize("dtype", [object, "U2"])
def test_labels_that_a_file_cannot_hold_are_refused(text, dtype, tmp_path):
    labels = np.array(["a", text, "c"], dtype=dtype)
    if labels[1] == text:  # NumPy's own text has lost NULs at the end already
        refuses_before_training(SparseMLPClassifier(**SMALL), X, labels[y], "classes_.*NUL", tmp_path)
        ensemble = truesparse.SparseMLPEnsembleClassifier(SparseMLPClassifier(**SMALL), n_folds=2)
        with pytest.raises(ModelFormatError, match="classes_"):
            ensemble.fit(X, labels[y], checkpoint=tmp_path / "members")


@pytest.mark.parametrize("dtype", [np.longdouble, "datetime64[D]"])
def test_labels_of_other_dtypes_are_refused(dtype, tmp_path):
    refuses_before_training(SparseMLPClassifier(**SMALL), X, y.astype(dtype), "classes_.*64 bits", tmp_path)


@pytest.mark.parametrize("text", UNFIT_TEXT)
def test_names_of_features_that_a_file_cannot_hold_are_refused(text, tmp_path):
    pandas = pytest.importorskip("pandas")
    names = [text, *map(str, range(X.shape[1] - 1))]
    table = pandas.DataFrame(X, columns=pandas.Index(names, dtype=object))  # Arrow's text cannot hold a lone surrogate
    refuses_before_training(SparseMLPClassifier(**SMALL), table, y, "feature_names_in_.*NUL", tmp_path)
    ensemble = truesparse.SparseMLPEnsembleClassifier(SparseMLPClassifier(**SMALL), n_folds=2)
    with pytest.raises(ModelFormatError, match="feature_names_in_"):
        truesparse.save(ensemble.fit(table, y), io.BytesIO())


def test_other_text_comes_back():
    pandas = pytest.importorskip("pandas")
    names = ["\0a", "a\0b", "\U0001f33f", " ", *map(str, range(X.shape[1] - 4))]
    labels = np.array(["\0a", "", "\uffff"], dtype=object)
    table = pandas.DataFrame(X, columns=names)
    loaded = through_a_file(SparseMLPClassifier(**SMALL).fit(table, labels[y]))
    assert loaded.feature_names_in_.tolist() == names
    assert loaded.classes_.tolist() == sorted(labels)


@pytest.mark.parametrize("max_iter", [sys.maxsize, 10**300])
def test_endless_plans_come_back(max_iter, tmp_path):
    path = tmp_path / "checkpoint"
    options = SMALL | {"max_iter": max_iter, "early_stopping": True, "n_iter_no_change": 2}
    model = SparseMLPClassifier(**options, callbacks=[Checkpoint(path)]).fit(X, y)
    assert_same_run(through_a_file(model), model)
    assert_same_run(SparseMLPClassifier(**options).fit(X, y, resume_from=path), model)


def test_moments_that_a_file_cannot_hold_are_refused(tmp_path):
    class Momentum:
        def init(self, params):
            return {"mean": np.zeros(params.size, dtype=np.float64)}

        def step(self, params, gradient, state, *, learning_rate, **_):
            state["mean"] += gradient
            params -= np.float32(learning_rate) * state["mean"].astype(np.float32)

    model = SparseMLPClassifier(**SMALL, solver=Momentum())
    refuses_before_training(model, X, y, "solver.*'mean'.*float64", tmp_path)
    truesparse.save(model, tmp_path / "model", training=False)
    with pytest.warns(UserWarning, match="solver"):
        truesparse.load(tmp_path / "model")


def test_factors_of_a_learning_rate_may_be_of_any_precision():
    class Falling:
        def factor(self, step, total_steps):
            return np.longdouble(1) - np.longdouble(step) / total_steps

    model = SparseMLPClassifier(**SMALL, learning_rate=Falling()).fit(X, y)
    assert {type(rate) for rate in model.history_["learning_rate"]} == {float}


def test_enumerations_are_stored_as_what_they_stand_for():
    class Number(enum.IntEnum):
        TWO = 2

    class Name(enum.StrEnum):
        WIDE = "float64"

    loaded = through_a_file(SparseMLPClassifier(**SMALL | {"n_jobs": Number.TWO, "dtype": Name.WIDE}).fit(X, y))
    assert (loaded.n_jobs, loaded.dtype) == (2, "float64")


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "nowhere" / "model.npz"
    model = SparseMLPClassifier(**SMALL).fit(X, y)
    seen = []

    class Counts:
        def on_epoch_end(self, network, record):
            seen.append(record.epoch)

    for write in (
        lambda: truesparse.save(model, path),
        lambda: SparseMLPClassifier(**SMALL, callbacks=[Counts(), Checkpoint(path, every=3)]).fit(X, y),
    ):
        with pytest.raises(FileNotFoundError, match=r"no such folder.*nowhere'$"):
            write()
    assert not seen
    assert not any(tmp_path.iterdir())


def test_paths_and_files_work(tmp_path):
    model = SparseMLPClassifier(**SMALL).fit(X, y)
    truesparse.save(model, tmp_path / "model.npz")
    truesparse.save(model, str(tmp_path / "model"))
    assert_same_run(truesparse.load(tmp_path / "model.npz"), model)
    assert_same_run(truesparse.load(str(tmp_path / "model")), model)
    with pytest.raises(FileNotFoundError):
        truesparse.load(tmp_path / "another.npz")
    with pytest.raises(FileNotFoundError):
        truesparse.save(model, tmp_path / "nowhere" / "model.npz")


def test_the_weights_can_be_read_by_numpy_alone(tmp_path):
    model = SparseMLPClassifier(**SMALL).fit(X, y)
    truesparse.save(model, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as archive:
        parts = [archive[f"layer0.{name}"] for name in ("data", "indices", "indptr")]
    assert (csr_array(tuple(parts), shape=(30, 10)) != csr_array(model.coefs_[0].T)).nnz == 0


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("batch_transform", lambda X, rng: X, r"<missing: .*\.<lambda>>"),
        ("scoring", make_scorer(accuracy_score), r"<missing: sklearn\..*Scorer>"),
        ("random_state", np.random.RandomState(0), r"<missing: numpy\..*RandomState>"),
    ],
)
def test_code_in_parameters_is_named(name, value, named):
    model = SparseMLPClassifier(**SMALL | {name: value}).fit(X, y)
    with pytest.warns(UserWarning, match=rf"could only name {name} \(.*\): the model predicts"):
        loaded = through_a_file(model)
    assert re.search(named, repr(loaded))
    assert loaded.predict(X).tobytes() == model.predict(X).tobytes()
    assert saved(loaded) == saved(model)
    with pytest.raises(ValueError, match=rf"{name}=<missing: .*set_params\({name}=…\)"):
        loaded.partial_fit(X, y)
    assert_same_run(loaded.set_params(**{name: value}).partial_fit(X, y), model.partial_fit(X, y))


def test_a_parameter_that_fit_refuses_is_not_saved():
    with pytest.raises(ValueError, match="'epsilon' parameter"):
        truesparse.save(SparseMLPClassifier(epsilon=-1), io.BytesIO())


def test_numbers_of_numpy_as_parameters_train_as_those_of_python():
    numbers = {"learning_rate_init": np.float32(0.006), "dropout": np.float32(0.1), "epsilon": np.array(3.0)[()]}
    model = SparseMLPClassifier(**SMALL | numbers).fit(X, y)
    loaded = through_a_file(model)
    assert_same_run(loaded.partial_fit(X, y), model.partial_fit(X, y))


def test_errors_name_the_file(tmp_path):
    (tmp_path / "model.npz").write_bytes(b"garbage")
    with pytest.raises(ModelFormatError, match=r"model\.npz: .*damaged"):
        truesparse.load(tmp_path / "model.npz")


def test_callbacks_are_left_out():
    class Watching:
        def on_epoch_end(self, network, record):
            pass

    model = SparseMLPClassifier(**SMALL, callbacks=[Watching()]).fit(X, y)
    assert through_a_file(model).callbacks is None


def test_models_of_other_classes_are_refused(tmp_path):
    class Own(SparseMLPClassifier):
        pass

    with pytest.raises(ModelFormatError, match="Own"):
        truesparse.save(Own(), tmp_path / "model.npz")
    with pytest.raises(ModelFormatError, match="Random"):
        truesparse.save(Random(), tmp_path / "model.npz")


@pytest.mark.parametrize(
    "change",
    [
        set_entry("class", "Pipeline"),
        set_entry("class", None),
        set_entry("unknown", 1),
        set_entry("parameters", "unknown", 1),
        set_entry("parameters", "callbacks", []),
        set_entry("parameters", "epsilon", -1),
        set_entry("parameters", "batch_transform", {"type": "evolution.Magnitude", "fields": {}}),
        set_entry("parameters", "evolution", {"type": "os.system", "fields": {}}),
        set_entry("parameters", []),
        set_entry("fitted", "seed", -1),
        set_entry("fitted", "seed", True),
        set_entry("fitted", "seed", 2**62),
        set_entry("parameters", "evil", {"type": "not stored", "name": "a"}),
        set_entry("parameters", "n_jobs", {"type": "not stored", "name": "a"}),
        set_entry("parameters", "evolution", {"type": "not stored", "name": ""}),
        set_entry("parameters", "evolution", {"type": "not stored", "name": "a", "fields": []}),
        set_entry("parameters", "evolution", {"type": "not stored", "name": "a", "more": 1}),
        set_entry("parameters", "topology_init", 3),
        set_entry("fitted", "shape", "activation", {"type": "not stored", "name": "a", "fields": {}}),
        set_entry("fitted", "shape", "activation", {"type": "activation.Own", "fields": {}}),
        set_entry("fitted", "learnt", "classes_are_objects", True),
        set_entry("fitted", "network", "dropout", 10**400),
        set_entry("fitted", "run", "progress", "best", 10**400),
        set_entry("fitted", "run", "progress", "plan_step", 16),
        set_entry("fitted", "unknown", 1),
        set_entry("fitted", "shape", "activation", "no such activation"),
        set_entry("fitted", "shape", "dtype", "float16"),
        set_entry("fitted", "shape", "dtype", "float64"),
        set_entry("fitted", "shape", {}),
        set_entry("fitted", "learnt", "multilabel", 0),
        set_entry("fitted", "network", "dropout", 1.0),
        set_entry("fitted", "network", "dropout", "nan"),
        set_entry("fitted", "network", "layers", []),
        set_entry("fitted", "network", "layers", 0, "shape", [30, 5]),
        set_entry("fitted", "network", "layers", 0, "shape", [29, 10]),
        set_entry("fitted", "network", "layers", 0, "shape", [0, 10]),
        set_entry("fitted", "network", "layers", 0, "shape", [30, 2**62]),
        set_entry("fitted", "network", "layers", 0, "dense", True),
        set_entry("fitted", "run", "progress", "epoch", 3),
        set_entry("fitted", "run", "progress", "epoch", 2**70),
        set_entry("fitted", "run", "progress", "best", "best"),
        set_entry("fitted", "run", "progress", {}),
        set_entry("fitted", "run", "progress", "plan_epoch", 5),
        set_entry("fitted", "run", "progress", "plan_step", 1000),
        set_entry("fitted", "run", "moments", ["mean"]),
        set_entry("fitted", "run", "moments", [["mean"]]),
        set_entry("fitted", "run", "moments", None),
        set_entry("fitted", "run", "best_optimizer_steps", 4),
        set_entry("fitted", "run", "optimizer_steps", -4),
    ],
)
def test_metadata_that_do_not_fit_are_refused(change):
    content = saved(SparseMLPClassifier(**SMALL).fit(X, y))
    with pytest.raises(ModelFormatError):
        truesparse.load(change_metadata(content, change))


def test_a_file_is_pickled_and_kept_by_skops_as_before():
    model = SparseMLPClassifier(**SMALL).fit(X, y)
    assert_same_run(pickle.loads(pickle.dumps(model)), model)
    skops = pytest.importorskip("skops.io")
    dumped = skops.dumps(model)
    assert_same_run(skops.loads(dumped, trusted=skops.get_untrusted_types(data=dumped)), model)


def test_many_classes_and_outputs_keep_their_dtype():
    for labels in (np.array([1.0, 2.0, 7.0]), np.array([-3, 5, 9], dtype=np.int8), np.array([False, True])):
        target = labels[y % len(labels)]
        model = SparseMLPClassifier(**SMALL | {"max_iter": 1}).fit(X, target)
        loaded = through_a_file(model)
        assert loaded.classes_.dtype == model.classes_.dtype
        assert loaded.predict(X).tobytes() == model.predict(X).tobytes()
    X_r, y_r = make_regression(50, 4, n_targets=2, random_state=0)
    model = SparseMLPRegressor((10,), epsilon=3, max_iter=1).fit(X_r, y_r / y_r.std())
    assert through_a_file(model).predict(X_r).tobytes() == model.predict(X_r).tobytes()


def test_loading_warns_of_nothing():
    model = SparseMLPClassifier(**SMALL).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        through_a_file(model)
