import os
import subprocess
import sys
from urllib.error import URLError

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import issparse

from truesparse.data import datasets


@pytest.fixture
def archives(tmp_path, monkeypatch, rng):
    """Small archives of each form, in a directory that the environment names."""
    monkeypatch.setenv("TRUESPARSE_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "fetch_openml", None)
    x, y = rng.integers(-50, 900, size=(50, 6)).astype(np.int16), np.arange(50, dtype=np.int8) % 2
    np.savez(tmp_path / "madelon_uci.npz", x_train=x, y_train=y, x_test=x[:20] + 1, y_test=y[:20])
    images = rng.integers(256, size=(30, 4, 5)).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=y[:30], x_test=images[:7], y_test=y[:7])
    np.savez(tmp_path / "isolet.npz", x=x.astype(np.float32), y=y, classes=np.arange(2))
    np.savez(
        tmp_path / "pcmac.npz", data=np.ones(50, np.uint8), indices=np.arange(50) % 6, indptr=np.arange(51),
        shape=np.array([50, 6]), y=y, classes=np.arange(2),
    )  # fmt: skip
    return tmp_path


def test_official_split_standardised_by_the_training_part(archives):
    data = datasets.load("madelon")
    assert data.X_train.shape == (50, 6)
    assert data.X_test.shape == (20, 6)
    assert data.X_train.dtype == np.float32
    assert_allclose(data.X_train.mean(axis=0), 0, atol=1e-5)
    assert_allclose(data.X_train.std(axis=0), 1, atol=1e-5)
    assert (data.X_test.mean(axis=0) != 0).all()
    assert_array_equal(data.y_test, np.arange(20) % 2)


def test_images_are_flattened_and_brought_to_the_unit_interval(archives):
    data = datasets.load("mnist")
    assert data.X_train.shape == (30, 20)
    assert (data.X_train.min(), data.X_train.max()) == (0, 1)


@pytest.mark.parametrize("name", ["isolet", "pcmac"])
def test_a_fifth_is_set_aside_where_there_is_no_split(name, archives):
    first, again = datasets.load(name), datasets.load(name)
    assert first.X_train.shape == (40, 6)
    assert first.X_test.shape == (10, 6)
    assert np.bincount(first.y_test).tolist() == [5, 5]
    assert_array_equal(first.y_train, again.y_train)
    assert issparse(first.X_train) == (name == "pcmac")


def test_sparse_data_are_brought_to_the_unit_interval_by_the_training_part(archives):
    x = np.arange(1, 51)
    np.savez(
        archives / "pcmac.npz", data=x, indices=np.arange(50) % 6, indptr=np.arange(51), shape=np.array([50, 6]),
        y=np.arange(50) % 2,
    )  # fmt: skip
    data = datasets.load("pcmac")
    assert data.X_train.format == "csr"
    assert data.X_train.dtype == data.X_test.dtype == np.float32
    assert data.X_train.nnz == 40
    assert_allclose(data.X_train.max(axis=0).toarray(), 1)
    assert (data.X_train.data > 0).all()


@pytest.mark.parametrize(("name", "shape"), [("digits", (1797, 64)), ("breast_cancer", (569, 30))])
def test_sets_of_scikit_learn(name, shape):
    data = datasets.load(name)
    assert data.X_train.dtype == data.X_test.dtype == np.float32
    assert (len(data.X_train) + len(data.X_test), data.X_train.shape[1]) == shape
    assert (data.X_train.min(), data.X_train.max()) == pytest.approx((0, 1))


def test_another_seed_is_another_split_unless_there_is_an_official_one(archives):
    same, other = datasets.load("isolet", seed=42), datasets.load("isolet", seed=1)
    assert_array_equal(same.X_test, datasets.load("isolet").X_test)
    assert not np.array_equal(same.X_test, other.X_test)
    assert_array_equal(datasets.load("madelon").X_test, datasets.load("madelon", seed=1).X_test)


def test_without_archive_the_set_comes_from_openml(monkeypatch, tmp_path, rng):
    asked = []

    def fetch(name, *, version, **options):
        asked.append((name, version))
        return rng.uniform(size=(10_040, 3)), np.array(["5", "7"] * 5020)

    monkeypatch.setattr(datasets, "_find", lambda archive: None)
    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    data = datasets.load("mnist")
    assert asked == [("mnist_784", 1)]
    assert data.X_train.shape == (40, 3)
    assert data.X_test.shape == (10_000, 3)
    assert set(data.y_train) == {0, 1}


def test_without_archive_and_network_both_are_said(monkeypatch, tmp_path):
    def fetch(*arguments, **options):
        raise URLError("no route")

    monkeypatch.setattr(datasets, "_find", lambda archive: None)
    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    with pytest.raises(FileNotFoundError, match=r"madelon_uci\.npz was not found; set TRUESPARSE_DATA .* no route"):
        datasets.load("madelon")


PROGRAM = """
import importlib, pkgutil, sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"):
        raise RuntimeError(f"{event} {args}")
sys.addaudithook(refuse)
import truesparse
for module in pkgutil.walk_packages(truesparse.__path__, "truesparse."):
    if module.name != "truesparse.storage.torch_export":  # needs PyTorch, which is optional
        importlib.import_module(module.name)
truesparse.data.datasets.load("digits")
truesparse.data.datasets._find = lambda archive: None
try:
    truesparse.data.datasets.load("mnist")
except RuntimeError as error:
    print("asked:", error)
"""


def test_nothing_is_fetched_unless_it_is_asked_for(tmp_path):
    """In a process that may not use the network, which ends with an error if it tries before it is asked."""
    environment = {**os.environ, "SCIKIT_LEARN_DATA": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("asked: urllib.Request"), ran.stderr


def test_a_directory_that_does_not_exist_is_said(monkeypatch):
    monkeypatch.setenv("TRUESPARSE_DATA", "/nowhere")
    with pytest.raises(FileNotFoundError, match="TRUESPARSE_DATA='/nowhere' is not a directory"):
        datasets.load("madelon")


def test_unknown_and_missing(monkeypatch):
    with pytest.raises(ValueError, match=r"name='minst' is not a data set; there are \['breast_cancer', 'cifar10'"):
        datasets.load("minst")
    monkeypatch.setattr(datasets, "_find", lambda archive: None)
    with pytest.raises(FileNotFoundError, match=r"pcmac\.npz was not found; set TRUESPARSE_DATA"):
        datasets.load("pcmac")
