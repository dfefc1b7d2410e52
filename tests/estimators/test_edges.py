"""Data at the edges of what is allowed: training goes through, and what comes out is finite and of the right shape."""

import tracemalloc

import numpy as np
import pytest
from helpers import METHODS
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix

from truesparse import SparseMLPClassifier, SparseMLPRegressor

SETTINGS = {"epsilon": 3, "max_iter": 3, "update_every": 1, "random_state": 0}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 6)).astype(np.float32), np.arange(40) % 3


def assert_sound(model, X):
    proba = model.predict_proba(X)
    assert proba.shape == (X.shape[0], model.classes_.size)
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(model.loss_curve_).all()
    for coef in model.coefs_:
        assert np.isfinite(coef.data).all()
        assert not np.any((coef.data != 0) & (np.abs(coef.data) < np.finfo(coef.dtype).tiny))  # subnormals are slow


def with_constant_features(X):
    return np.where(np.arange(6) < 3, np.float32(2), X)


def with_rows_of_zeros(X):
    return np.where(np.arange(40)[:, None] % 2, X, 0)


UNUSUAL = {
    "constant features": with_constant_features,
    "nothing but constants": np.ones_like,
    "rows of zeros": with_rows_of_zeros,
    "nothing but zeros": np.zeros_like,
    "sparse rows of zeros": lambda X: csr_matrix(with_rows_of_zeros(X)),
    "nothing stored": lambda X: csr_matrix(X.shape, dtype=np.float32),
    "nothing but explicit zeros": lambda X: csr_matrix((np.zeros(6, np.float32), np.arange(6), [0, 6] + 39 * [6])),
    "subnormal": lambda X: X * np.float32(1e-40),
}


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_features(name, method, data):
    X, y = data
    X = UNUSUAL[name](X)
    model = SparseMLPClassifier((20, 20), **METHODS[method], **SETTINGS).fit(X, y)
    assert_sound(model, X)


@pytest.mark.parametrize("batch_size", [1, 13])
@pytest.mark.parametrize("kind", [np.asarray, csr_matrix])
def test_batches_of_one_sample(batch_size, kind, data):
    """All of them, or only the last one of an epoch."""
    X, y = data
    assert_sound(SparseMLPClassifier((20, 20), batch_size=batch_size, **SETTINGS).fit(kind(X), y), kind(X))


def test_batches_of_one_class_each(data):
    X, y = data
    model = SparseMLPClassifier((20,), batch_size=10, shuffle=False, **SETTINGS).fit(X, np.sort(y))
    assert_sound(model, X)


def test_one_sample(data):
    X, _ = data
    model = SparseMLPClassifier((20,), **SETTINGS).partial_fit(X[:1], [7], classes=[3, 7])
    assert_sound(model, X[:1])
    regressor = SparseMLPRegressor((20,), **SETTINGS).fit(X[:1], [7])
    assert np.isfinite(regressor.predict(X)).all()


def test_fewer_samples_than_classes(data):
    X, _ = data
    model = SparseMLPClassifier((20,), **SETTINGS).partial_fit(X[:3], [5, 60, 99], classes=np.arange(100))
    assert_sound(model, X)
    assert model.predict(X).shape == (40,)


def test_a_class_that_the_validation_part_lacks():
    """Labels are not stratified: the only sample of the last one cannot be in both parts."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((40, 6)), rng.integers(2, size=(40, 4))
    Y[:, 3] = np.arange(40) == 0
    model = SparseMLPClassifier((20,), early_stopping=True, **SETTINGS).fit(X, Y)
    assert model.predict(X).shape == Y.shape
    assert np.isfinite(model.history_["validation_loss"]).all()


def test_a_class_of_a_few_samples_that_the_validation_part_lacks():
    """Two samples of 40: the stratified part of four gets none of them."""
    X = np.random.default_rng(0).standard_normal((40, 6))
    y = np.repeat([0, 1, 2], [19, 19, 2])
    model = SparseMLPClassifier((20,), early_stopping=True, **SETTINGS).fit(X, y)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert np.isfinite(model.history_["validation_score"]).all()


def peak_bytes(do):
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_predicting_with_many_classes_holds_no_more_than_a_batch_of_outputs():
    n_classes, X = 200_000, np.zeros((300, 10), dtype=np.float32)
    model = SparseMLPClassifier((20,), evolution="static", epsilon=1, random_state=0)
    model.partial_fit(X[:8], np.arange(8), classes=np.arange(n_classes))
    model.predict(X[:1])
    assert peak_bytes(lambda: model.predict(X[:1])) < 4 * n_classes * 30  # a row of 16, and 112 would be too many
    assert peak_bytes(lambda: model.predict(X)) < 4 * n_classes * 300  # what the outputs of all samples take


def test_many_features_in_csr():
    """Nothing of the size of the features times the samples, although there are 10⁶ of them."""
    rng, n_features = np.random.default_rng(0), 10**6
    X = csr_matrix(
        (np.ones(4000, np.float32), rng.integers(n_features, size=4000), 20 * np.arange(201)), shape=(200, n_features)
    )
    model = SparseMLPClassifier((20,), evolution="set", epsilon=1, random_state=0, max_iter=1, update_every=1)
    assert peak_bytes(lambda: model.fit(X, np.arange(200) % 3)) < 200 * n_features  # a dense X would be 800
    assert_sound(model, X)
