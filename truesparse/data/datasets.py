"""The data sets of the benchmarks and examples, from local archives, OpenML or scikit-learn.

An archive ``<name>.npz`` is looked for in the directory of the environment variable ``TRUESPARSE_DATA``, then in
``shared/data`` beside the project. It holds ``x_train``, ``y_train``, ``x_test``, ``y_test``, or ``x`` and ``y`` if
there is no official split, or ``data``, ``indices``, ``indptr``, ``shape`` and ``y`` of a CSR matrix. Other sets come
from OpenML by `sklearn.datasets.fetch_openml`, which has its own cache; nothing else here uses the network. They are
pinned by name and version, and scikit-learn compares them with OpenML's MD5. We pin no checksum, so a change by OpenML
itself would not be found.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.datasets import fetch_openml, load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in two parts: X (n_samples, n_features) float32 or csr_array, y (n_samples,) int."""

    X_train: np.ndarray | csr_array
    y_train: np.ndarray
    X_test: np.ndarray | csr_array
    y_test: np.ndarray


# Name of the archive, name and version on OpenML or None, size of the official test part or None.
_SOURCES = {
    "madelon": ("madelon_uci", ("madelon", 1), None),
    "isolet": ("isolet", ("isolet", 1), None),
    "pcmac": ("pcmac", None, None),
    "mnist": ("mnist", ("mnist_784", 1), 10_000),
    "fashion_mnist": ("fashion_mnist", ("Fashion-MNIST", 1), 10_000),
    "cifar10": ("cifar10", ("CIFAR_10", 1), 10_000),
}

_BUNDLED = {"digits": load_digits, "breast_cancer": load_breast_cancer}


def load(name: str, *, seed: int = 42) -> Dataset:
    """Return a data set, scaled as in the experiments of Atashgahi et al. (2022).

    Features are standardised for Madelon and scaled to [0, 1] otherwise, by the training part alone; sparse data stay
    sparse. Madelon and the three sets of images keep their official split. Otherwise, and for Madelon from OpenML,
    a stratified fifth, drawn by `seed`, is the test part. Raises FileNotFoundError if TRUESPARSE_DATA is no directory,
    or there is no archive and OpenML does not have or does not send the set.

    Parameters
    ----------
    name : {"madelon", "isolet", "pcmac", "mnist", "fashion_mnist", "cifar10", "digits", "breast_cancer"}
    """
    if name not in _SOURCES and name not in _BUNDLED:
        raise ValueError(f"name={name!r} is not a data set; there are {sorted([*_SOURCES, *_BUNDLED])}.")
    X_train, y_train, *test = _BUNDLED[name](return_X_y=True) if name in _BUNDLED else _get(name)
    if test:
        X_test, y_test = test
    else:
        X_train, X_test, y_train, y_test = train_test_split(
            X_train, y_train, test_size=0.2, random_state=seed, stratify=y_train
        )
    if issparse(X_train):
        scaler = MaxAbsScaler()  # the same as min-max for counts, whose smallest value is 0
    else:
        scaler = StandardScaler() if name == "madelon" else MinMaxScaler(clip=False)
    X_train = scaler.fit_transform(X_train.astype(np.float32, copy=False))
    X_test = scaler.transform(X_test.astype(np.float32, copy=False))
    return Dataset(X_train, y_train, X_test, y_test)


def _get(name):
    """Return X and y of the training part, then those of the test part if there is an official split."""
    archive, openml, n_test = _SOURCES[name]
    path = _find(archive)
    if path is not None:
        return _read(path)
    missing = f"{archive}.npz was not found; set TRUESPARSE_DATA to the directory that holds it."
    if openml is None:
        raise FileNotFoundError(missing)
    try:
        return _fetch(*openml, n_test)
    except OSError as error:  # urllib raises it for all failures of a connection
        raise FileNotFoundError(f"{missing} OpenML could not be reached either: {error}") from error


def _find(archive):
    folders = [Path(__file__).parents[2] / "shared" / "data"]
    if named := os.environ.get("TRUESPARSE_DATA"):
        folders.insert(0, Path(named))
        if not folders[0].is_dir():
            raise FileNotFoundError(f"TRUESPARSE_DATA={named!r} is not a directory.")
    return next((path for folder in folders if (path := folder / f"{archive}.npz").exists()), None)


def _read(path):
    with np.load(path, allow_pickle=False) as archive:
        if "x_train" in archive:
            X_train, X_test = (images.reshape(len(images), -1) for images in (archive["x_train"], archive["x_test"]))
            return X_train, archive["y_train"].astype(int), X_test, archive["y_test"].astype(int)
        if "indptr" in archive:
            parts = archive["data"].astype(np.float32), archive["indices"], archive["indptr"]
            return csr_array(parts, shape=tuple(archive["shape"])), archive["y"].astype(int)
        return archive["x"], archive["y"].astype(int)


def _fetch(name, version, n_test):
    X, y = fetch_openml(name, version=version, return_X_y=True, as_frame=False, parser="liac-arff")
    y = np.unique(y, return_inverse=True)[1]
    return (X, y) if n_test is None else (X[:-n_test], y[:-n_test], X[-n_test:], y[-n_test:])
