"""The program that is exported with a residual network predicts what the network does, with NumPy and SciPy only."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from residual import images_for
from scipy.special import expit, softmax
from storage.residual_networks import IMAGE_SHAPES, logits_of, network_of

from truesparse.network.activations import PiecewiseLinear
from truesparse.network.mlp import MLP
from truesparse.storage import numpy_export, predictor, residual_predictor
from truesparse.storage.head import Head
from truesparse.topology import Pattern

ANIMALS = Head("softmax", np.array(["ant", "bird", "cat", "dog", "eel"]))
LABELS = Head("logistic", np.arange(5))


def exported(network, head, path):
    numpy_export.write(path, numpy_export.arrays_of(network, head))
    return residual_predictor.load(path)


def perceptron():
    network = MLP.from_patterns([Pattern.full((3, 4)), Pattern.full((2, 3))], PiecewiseLinear())
    network.params[:] = np.arange(network.params.size) / 8
    return network


@pytest.mark.parametrize("image_shape", IMAGE_SHAPES)
@pytest.mark.parametrize("depth", [8, 14])
def test_outputs(tmp_path, image_shape, depth, dtype):
    network = network_of(image_shape, depth=depth, dtype=dtype)
    X = images_for(network, 70)
    found, expected = exported(network, Head("identity"), tmp_path).predict(X), logits_of(network, X)
    assert found.dtype == dtype
    assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


def test_classes(tmp_path, dtype):
    network = network_of(dtype=dtype)
    model, X = exported(network, ANIMALS, tmp_path), images_for(network, 70)
    expected, found = logits_of(network, X), model.predict_proba(X)
    assert found.dtype == dtype
    assert_allclose(found, softmax(expected, axis=1), rtol=0, atol=1e-6)
    assert_array_equal(model.predict(X), ANIMALS.classes[expected.argmax(axis=1)])
    assert_array_equal(model.classes_, ANIMALS.classes)


def test_labels(tmp_path):
    network = network_of()
    model, X = exported(network, LABELS, tmp_path), images_for(network, 20)
    expected = logits_of(network, X)
    assert_allclose(model.predict_proba(X), expit(expected), rtol=0, atol=1e-6)
    assert_array_equal(model.predict(X), expected > 0)


def test_numbers(tmp_path):
    network = network_of()
    X = images_for(network, 20)
    head = Head("exp", scale=np.full(5, 3.0), shift=np.full(5, -1.0), single_output=True)
    model = exported(network, head, tmp_path)
    assert_allclose(model.predict(X), 3 * np.exp(logits_of(network, X)[:, 0]) - 1, rtol=1e-5, atol=1e-5)
    with pytest.raises(AttributeError, match="no probabilities"):
        model.predict_proba(X)


def test_images_and_rows_are_the_same(tmp_path):
    network = network_of((8, 6, 2))
    model, X = exported(network, ANIMALS, tmp_path), images_for(network, 5)
    assert_array_equal(model.predict_proba(X.reshape(5, 8, 6, 2)), model.predict_proba(X))
    assert_array_equal(model.predict_proba(X.tolist()), model.predict_proba(X))


def test_samples_are_predicted_alike_in_small_and_large_batches(tmp_path):
    network = network_of()
    model, X = exported(network, ANIMALS, tmp_path), images_for(network, 70)
    together = model.predict_proba(X)
    for n in (0, 1, 33, 64):
        assert_allclose(model.predict_proba(X[:n]), together[:n], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("density", [0, 1])
def test_layers_without_connections_and_with_all_of_them(tmp_path, density):
    network = network_of(density=density)
    X = images_for(network, 9)
    expected = softmax(logits_of(network, X), axis=1)
    assert_allclose(exported(network, ANIMALS, tmp_path).predict_proba(X), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros(35),
        np.zeros((2, 34)),
        np.zeros((2, 5, 7, 1)),
        np.zeros((1, 2, 7, 5, 1)),
        np.full((2, 35), np.nan),
        np.full((2, 7, 5, 1), np.inf),
    ],
    ids=lambda X: str(X.shape),
)
def test_a_wrong_input_is_refused(tmp_path, X):
    model = exported(network_of((7, 5, 1)), ANIMALS, tmp_path)
    allowed = r"one of the shapes \[\[7, 5, 1\], \[35\], \[7, 5\]\]; the shape of X is"
    with pytest.raises(ValueError, match=f"{allowed}|X holds NaN or infinity"):
        model.predict(X)


def test_images_of_one_channel_need_none(tmp_path):
    model = exported(network_of((7, 5, 1)), ANIMALS, tmp_path)
    X = np.random.default_rng(0).standard_normal((4, 7, 5))
    assert_array_equal(model.predict_proba(X), model.predict_proba(X.reshape(4, 35)))


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


def test_the_program_needs_numpy_and_scipy_only(tmp_path):
    network = network_of()
    X = images_for(network, 20)
    model = exported(network, ANIMALS, tmp_path / "model")
    np.save(tmp_path / "X.npy", X)
    arguments = [tmp_path / "model", tmp_path / "X.npy", tmp_path / "out.npz"]
    subprocess.run([sys.executable, "-I", "-W", "error", "-c", PROGRAM, *arguments], cwd=tmp_path, check=True)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as out:
        assert_array_equal(out["predict"], model.predict(X))
        assert_array_equal(out["proba"], model.predict_proba(X))


def test_the_program_is_short_and_says_how_it_is_used(tmp_path):
    exported(network_of(), ANIMALS, tmp_path)
    text = (tmp_path / "predictor.py").read_text()
    assert text.count("\n") < 80
    assert "from predictor import load" in text.split('"""')[1]
    assert "truesparse" not in "".join(line for line in text.splitlines() if "import" in line)


def test_the_weights_take_no_more_room_than_a_sparse_network(tmp_path):
    """The dense weights of this network are 40 times as many."""
    network = network_of(width=64, density=0.02)
    exported(network, ANIMALS, tmp_path)
    assert (tmp_path / "weights.npz").stat().st_size < 12 * network.params.size + 20_000


def test_an_export_of_the_other_kind_is_replaced(tmp_path):
    network, head = network_of(), Head("identity")
    X = np.ones((3, 4), dtype=np.float32)
    numpy_export.write(tmp_path, numpy_export.arrays_of(perceptron(), head))
    expected = predictor.load(tmp_path).predict(X)
    exported(network, ANIMALS, tmp_path)
    numpy_export.write(tmp_path, numpy_export.arrays_of(perceptron(), head))
    assert_array_equal(predictor.load(tmp_path).predict(X), expected)
    assert (tmp_path / "predictor.py").read_text().startswith('"""Predictions of a network')
    assert sorted(os.listdir(tmp_path)) == ["predictor.py", "weights.npz"]


def test_an_export_that_fails_over_one_of_the_other_kind_is_no_model(tmp_path, monkeypatch):
    numpy_export.write(tmp_path, numpy_export.arrays_of(perceptron(), Head("identity")))

    def savez(file, **arrays):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(OSError, match="no space left"):
        exported(network_of(), ANIMALS, tmp_path)
    with pytest.raises(ValueError, match=r"format 1, but this predictor\.py reads 2 only"):
        residual_predictor.load(tmp_path)


def test_weights_of_a_residual_network_are_refused_by_the_other_program(tmp_path):
    exported(network_of(), ANIMALS, tmp_path)
    with pytest.raises(ValueError, match=r"format 2, but this predictor\.py reads 1 only"):
        predictor.load(tmp_path)


def test_another_network_cannot_be_exported():
    with pytest.raises(TypeError, match="must be an MLP or a ResNet"):
        numpy_export.arrays_of("a network", ANIMALS)
