"""What `export_numpy` writes predicts what the estimator does, where nothing but NumPy and SciPy is to be had."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import METHODS
from scipy.sparse import coo_array, csr_matrix
from sklearn.exceptions import NotFittedError

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.network.activations import AllReLU
from truesparse.runtime.plugins import names
from truesparse.storage import predictor

SMALL = {"hidden_layer_sizes": (30, 20, 10), "epsilon": 3, "max_iter": 3, "update_every": 3, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 12))
    return X, X[:, :4].argmax(axis=1)


def fitted(data, kind, **options):
    """An estimator, which was fitted to classes, text, labels, a number or several numbers."""
    X, y = data
    targets = {
        "classes": y * 10 - 5,
        "text": np.array(["bird", "cat", "dog", "zebra"])[y],
        "objects": np.array(["bird", "cat", "dog", "zebra"], dtype=object)[y],
        "floats": y - 2.0,
        "bools": y > 1,
        "labels": (X[:, :3] > 0).astype(int),
        "number": 1000 * X[:, 0],
        "numbers": X[:, :3] @ [[1, 2], [3, 4], [5, 6]],
    }
    cls = SparseMLPRegressor if kind in ("number", "numbers") else SparseMLPClassifier
    return cls(**SMALL | options).fit(X, targets[kind])


def assert_predicts_the_same(model, exported, X, expected_X=None):
    expected_X = X if expected_X is None else expected_X
    expected, predicted = model.predict(expected_X), exported.predict(X)
    assert predicted.shape == expected.shape
    if isinstance(model, SparseMLPClassifier):
        np.testing.assert_array_equal(predicted, expected)
        np.testing.assert_array_equal(exported.classes_, model.classes_)
        p, q = exported.predict_proba(X), model.predict_proba(expected_X)
        assert p.dtype == q.dtype
        np.testing.assert_allclose(p, q, rtol=0, atol=1e-6)
    else:
        assert predicted.dtype == expected.dtype
        assert abs(predicted - expected).max() <= 1e-6 * abs(expected).max()


def exported(model, path):
    model.export_numpy(path)
    return predictor.load(path)


@pytest.mark.parametrize("kind", ["classes", "text", "objects", "floats", "bools", "labels", "number", "numbers"])
def test_all_targets(data, tmp_path, kind):
    model = fitted(data, kind)
    assert_predicts_the_same(model, exported(model, tmp_path), data[0])


@pytest.mark.parametrize("activation", [*names("activation"), AllReLU(0.3)], ids=str)
@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_all_activations(data, tmp_path, activation, kind, dtype):
    model = fitted(data, kind, activation=activation, dtype=dtype.__name__)
    assert_predicts_the_same(model, exported(model, tmp_path), data[0])


@pytest.mark.parametrize("sizes", [(), (70, 80), (70, 20, 70)])
@pytest.mark.parametrize("activation", ["all_relu", "srelu"])
def test_layers_with_all_weights(data, tmp_path, sizes, activation):
    """Large ones run on BLAS, small ones on our kernels."""
    model = fitted(data, "classes", hidden_layer_sizes=sizes, **METHODS["dense"], activation=activation)
    assert [layer.in_kernels for layer in model._network.layers].count(False) == (sizes == (70, 80))
    assert_predicts_the_same(model, exported(model, tmp_path), data[0])


@pytest.mark.parametrize("method", ["cte", "dense"])
@pytest.mark.parametrize("make", [csr_matrix, coo_array])
def test_sparse_input(data, tmp_path, make, method):
    model = fitted(data, "classes", **METHODS[method], hidden_layer_sizes=(70, 70))
    X = np.where(abs(data[0]) > 1, data[0], 0)
    assert_predicts_the_same(model, exported(model, tmp_path), make(X), X)


def test_units_without_connections(data, tmp_path):
    model = fitted(data, "numbers", epsilon=0.1, evolution="static")
    assert min(layer.nnz for layer in model._network.layers) < 3
    assert_predicts_the_same(model, exported(model, tmp_path), data[0])


@pytest.mark.parametrize("loss", ["poisson", "huber"])
def test_losses_and_units_of_targets(data, tmp_path, loss):
    model = SparseMLPRegressor(**SMALL, loss=loss).fit(data[0], 1e3 + data[0][:, :2] ** 2)
    assert_predicts_the_same(model, exported(model, tmp_path), data[0])


PROGRAM = """
import sys
for name in ("truesparse", "numba", "sklearn", "joblib", "torch"):
    sys.modules[name] = None  # importing it is an error
sys.path.insert(0, sys.argv[1])
import numpy as np
from predictor import load
model = load(sys.argv[1])
X = np.load(sys.argv[2])
np.savez(sys.argv[3], predict=model.predict(X), proba=model.predict_proba(X))
"""


def test_the_program_needs_numpy_and_scipy_only(data, tmp_path):
    model = fitted(data, "text", activation="srelu")
    model.export_numpy(tmp_path / "model")
    np.save(tmp_path / "X.npy", data[0])
    arguments = [tmp_path / "model", tmp_path / "X.npy", tmp_path / "out.npz"]
    subprocess.run([sys.executable, "-I", "-W", "error", "-c", PROGRAM, *arguments], cwd=tmp_path, check=True)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as out:
        np.testing.assert_array_equal(out["predict"], model.predict(data[0]))
        np.testing.assert_allclose(out["proba"], model.predict_proba(data[0]), rtol=0, atol=1e-6)


def test_the_program_is_short_and_says_how_it_is_used(data, tmp_path):
    fitted(data, "classes").export_numpy(tmp_path)
    text = (tmp_path / "predictor.py").read_text()
    assert text.count("\n") < 70
    assert "from predictor import load" in text.split('"""')[1]
    assert "truesparse" not in "".join(line for line in text.splitlines() if "import" in line)


def test_the_weights_take_no_more_room_than_a_sparse_network(data, tmp_path):
    """Nothing of the size of the pairs, 4 · 10⁶ numbers in the middle layer alone, is in the file."""
    model = fitted(data, "classes", hidden_layer_sizes=(2000, 2000), max_iter=1, epsilon=1, evolution="static")
    model.export_numpy(tmp_path)
    assert (tmp_path / "weights.npz").stat().st_size < 12 * model._network.params.size + 10_000


def test_a_wrong_input_is_refused(data, tmp_path):
    model = exported(fitted(data, "classes"), tmp_path)
    for X in (data[0][0], data[0][:, :5], np.full((2, 12), np.nan), csr_matrix(np.full((2, 12), np.inf))):
        with pytest.raises(ValueError, match=r"X must hold finite numbers, \(n_samples, 12\)"):
            model.predict(X)


def test_a_regressor_has_no_probabilities(data, tmp_path):
    with pytest.raises(AttributeError, match="no probabilities"):
        exported(fitted(data, "number"), tmp_path).predict_proba(data[0])


def test_an_earlier_export_is_replaced_and_other_files_stay(data, tmp_path):
    path = tmp_path / "model"
    fitted(data, "number").export_numpy(str(path))
    (path / "notes.txt").write_text("mine")
    model = fitted(data, "text")
    assert_predicts_the_same(model, exported(model, path), data[0])
    assert sorted(os.listdir(path)) == ["notes.txt", "predictor.py", "weights.npz"]
    assert (path / "notes.txt").read_text() == "mine"


def test_what_is_not_an_export_is_left_alone(data, tmp_path):
    model = fitted(data, "classes")
    other = tmp_path / "other"
    other.mkdir()
    (other / "predictor.py").write_text("print('mine')\n")
    (other / "weights.npz").write_text("mine")
    for path in (other, other / "weights.npz"):
        with pytest.raises(FileExistsError, match=r"path=.* exists, and is neither an empty directory nor one that"):
            model.export_numpy(path)
    assert (other / "predictor.py").read_text() == "print('mine')\n"
    assert (other / "weights.npz").read_text() == "mine"
    with pytest.raises(FileNotFoundError):
        model.export_numpy(tmp_path / "missing" / "model")
    with pytest.raises(TypeError, match="path=3 must be a path"):
        model.export_numpy(3)


@pytest.mark.parametrize("cls", [SparseMLPClassifier, SparseMLPRegressor])
def test_nothing_is_written_before_fit(tmp_path, cls):
    with pytest.raises(NotFittedError):
        cls().export_numpy(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("survives", [0, 1])
def test_an_export_that_fails_is_no_model_or_the_old_one(data, tmp_path, monkeypatch, survives):
    """It fails while it writes the weights; what was there before, if anything, predicts as before."""
    old, new = fitted(data, "number"), fitted(data, "classes")
    path = tmp_path / "model"
    if survives:
        old.export_numpy(path)

    def savez(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", savez)
        with pytest.raises(OSError, match="no space left"):
            new.export_numpy(path)
    assert sorted(os.listdir(path)) == ["predictor.py", *["weights.npz"] * survives]
    if survives:
        assert_predicts_the_same(old, predictor.load(path), data[0])
    else:
        with pytest.raises(FileNotFoundError):
            predictor.load(path)
    assert_predicts_the_same(new, exported(new, path), data[0])


def test_weights_of_another_format_are_refused(data, tmp_path):
    fitted(data, "number").export_numpy(tmp_path)
    with np.load(tmp_path / "weights.npz") as file:
        arrays = dict(file) | {"format": np.array(2)}
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(ValueError, match=r"format 2, but this predictor\.py reads 1 only"):
        predictor.load(tmp_path)


def test_a_model_that_was_loaded_can_be_exported(data, tmp_path):
    model = fitted(data, "objects", activation="srelu")
    truesparse.save(model, tmp_path / "model.npz")
    loaded = truesparse.load(tmp_path / "model.npz")
    assert_predicts_the_same(model, exported(loaded, tmp_path / "model"), data[0])
