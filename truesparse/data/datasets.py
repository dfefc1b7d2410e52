"""The data sets of the benchmarks and examples, from local archives, from OpenML, or from scikit-learn.

An archive ``<name>.npz`` is looked for in the directory that the environment variable ``TRUESPARSE_DATA`` names, then
in ``shared/data`` beside the project. It holds ``x_train``, ``y_train``, ``x_test``, ``y_test``, or ``x`` and ``y``
where there is no official split, or ``data``, ``indices``, ``indptr``, ``shape`` and ``y`` of a CSR matrix. Sets that
are not found come from OpenML through `sklearn.datasets.fetch_openml`, which keeps a cache of its own. Nothing else
here uses the network: digits and breast_cancer come with scikit-learn.

What is fetched is pinned by name and version, and scikit-learn compares it with the MD5 that OpenML states for that
version. This finds damage on the way, and the connection is encrypted; it does not find a change that OpenML itself
makes, and neither does anything here: no checksum of ours is pinned. Archives are taken as they are.
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
    """A data set in two parts.

    Parameters
    ----------
    X_train, X_test : (n_samples, n_features) float32, or csr_array
    y_train, y_test : (n_samples,) int
    """

    X_train: np.ndarray | csr_array
    y_train: np.ndarray
    X_test: np.ndarray | csr_array
    y_test: np.ndarray


# Name of the archive, name and version on OpenML (None where it is not there), samples of the test part or None where
# there is no official split: then a fifth, stratified.
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
    """A data set, scaled as in the experiments of Atashgahi et al. (2022).

    Features are standardised for Madelon and brought to [0, 1] otherwise, by the training part alone; sparse data
    stay sparse. The official split is kept where there is one (Madelon and the three sets of images), else a fifth is
    set aside for the test, stratified. Madelon from OpenML comes as one table without its official split, and is split
    that way too.

    Parameters
    ----------
    name : {"madelon", "isolet", "pcmac", "mnist", "fashion_mnist", "cifar10", "digits", "breast_cancer"}
    seed : int, default=42
        Of the split, where there is no official one; others repeat an experiment with other splits.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If there is no such data set.
    FileNotFoundError
        If there is no archive and OpenML does not have the set or cannot be reached, or if TRUESPARSE_DATA is no
        directory.
    """
    if name not in _SOURCES and name not in _BUNDLED:
        raise ValueError(f"name={name!r} is not a data set; there are {sorted([*_SOURCES, *_BUNDLED])}.")
    if name in _BUNDLED:
        (X_train, y_train), X_test, y_test = _BUNDLED[name](return_X_y=True), None, None
    else:
        X_train, y_train, X_test, y_test = _get(name)
    if X_test is None:
        X_train, X_test, y_train, y_test = train_test_split(
            X_train, y_train, test_size=0.2, random_state=seed, stratify=y_train
        )
    if issparse(X_train):
        scaler = MaxAbsScaler()  # counts whose smallest value is 0, so that this is min-max, and 0 stays 0
    else:
        scaler = StandardScaler() if name == "madelon" else MinMaxScaler(clip=False)
    X_train = scaler.fit_transform(X_train.astype(np.float32, copy=False))
    X_test = scaler.transform(X_test.astype(np.float32, copy=False))
    return Dataset(X_train, y_train, X_test, y_test)


def _get(name):
    """Both parts as they are stored, the second None where there is no official split."""
    archive, openml, n_test = _SOURCES[name]
    path = _find(archive)
    if path is not None:
        return _read(path)
    missing = f"{archive}.npz was not found; set TRUESPARSE_DATA to the directory that holds it."
    if openml is None:
        raise FileNotFoundError(missing)
    try:
        return _fetch(*openml, n_test)
    except OSError as error:  # what urllib raises for all that can go wrong with a connection
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
            X_train, X_test = archive["x_train"], archive["x_test"]
            return _flat(X_train), archive["y_train"].astype(int), _flat(X_test), archive["y_test"].astype(int)
        if "indptr" in archive:
            parts = archive["data"].astype(np.float32), archive["indices"], archive["indptr"]
            return csr_array(parts, shape=tuple(archive["shape"])), archive["y"].astype(int), None, None
        return archive["x"], archive["y"].astype(int), None, None


def _fetch(name, version, n_test):
    X, y = fetch_openml(name, version=version, return_X_y=True, as_frame=False, parser="liac-arff")
    y = np.unique(y, return_inverse=True)[1]
    if n_test is None:
        return X, y, None, None
    return X[:-n_test], y[:-n_test], X[-n_test:], y[-n_test:]


def _flat(images):
    return images.reshape(len(images), -1)
