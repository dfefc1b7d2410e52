import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_friedman1

from truesparse import SparseMLPRegressor
from truesparse.evolution import PRESETS


@pytest.fixture(scope="module")
def friedman():
    X, y = make_friedman1(800, n_features=20, random_state=0)
    y = (y - y.mean()) / y.std()
    return X[:600], X[600:], y[:600], y[600:]


@pytest.mark.parametrize("evolution", sorted(PRESETS))
def test_every_preset_learns(evolution, friedman):
    X_train, X_test, y_train, y_test = friedman
    model = SparseMLPRegressor((200, 200), epsilon=5, evolution=evolution, random_state=0).fit(X_train, y_train)
    assert model.score(X_test, y_test) > 0.75
    assert model.predict(X_test).shape == (200,)


def test_several_outputs(friedman):
    X_train, X_test, y_train, y_test = friedman
    Y_train, Y_test = np.column_stack([y_train, -2 * y_train]), np.column_stack([y_test, -2 * y_test])
    model = SparseMLPRegressor((200, 200), epsilon=5, random_state=0).fit(X_train, Y_train)
    assert model.predict(X_test).shape == (200, 2)
    assert model.score(X_test, Y_test) > 0.7


def test_predictions_are_those_of_the_coefficients(friedman):
    X_train, X_test, y_train, _ = friedman
    model = SparseMLPRegressor((50,), epsilon=5, max_iter=5, activation="tanh", dtype="float64", random_state=0)
    model.fit(X_train, y_train)
    (w1, w2), (b1, b2) = [coef.toarray() for coef in model.coefs_], model.intercepts_
    assert_allclose(model.predict(X_test), (np.tanh(X_test @ w1 + b1) @ w2 + b2)[:, 0], rtol=1e-9)


def test_linear_network_finds_least_squares(friedman):
    """No hidden layer, all connections, no penalty: the optimum is known."""
    X_train, _, y_train, _ = friedman
    A = np.column_stack([X_train, np.ones(len(X_train))])
    solution = np.linalg.lstsq(A, y_train, rcond=None)[0]
    model = SparseMLPRegressor(
        (), density=1.0, alpha=0, solver="sgd", learning_rate_init=0.1, learning_rate="cosine", max_iter=500,
        n_iter_no_change=np.inf, dtype="float64", random_state=0,
    ).fit(X_train, y_train)  # fmt: skip
    assert_allclose(model.coefs_[0].toarray()[:, 0], solution[:-1], atol=0.01)
    assert_allclose(model.intercepts_[0][0], solution[-1], atol=0.02)


def test_l2_shrinks(friedman):
    X_train, _, y_train, _ = friedman
    norms = [
        sum((coef.data**2).sum() for coef in model.fit(X_train, y_train).coefs_)
        for model in (SparseMLPRegressor((50,), alpha=alpha, random_state=0) for alpha in (0, 0.03))
    ]
    assert norms[1] < 0.5 * norms[0]


def test_early_stopping_and_partial_fit(friedman):
    X_train, X_test, y_train, y_test = friedman
    model = SparseMLPRegressor((100,), epsilon=5, early_stopping=True, n_iter_no_change=50, random_state=0)
    model.fit(X_train, y_train)
    assert max(model.history_["validation_score"]) > 0.7
    parts = SparseMLPRegressor((100,), epsilon=5, max_iter=50, random_state=0)
    for _ in range(50):
        parts.partial_fit(X_train, y_train)
    assert parts.score(X_test, y_test) > 0.6
    with pytest.raises(ValueError, match="y has 2 outputs"):
        parts.partial_fit(X_train, np.column_stack([y_train, y_train]))


def test_dtype(friedman):
    X_train, _, y_train, _ = friedman
    for dtype in ("float32", "float64"):
        model = SparseMLPRegressor((20,), dtype=dtype, max_iter=2, epsilon=5, random_state=0).fit(X_train, y_train)
        assert model.predict(X_train).dtype == dtype
        assert model.coefs_[0].dtype == dtype


def test_targets_of_one_column_are_a_vector(friedman):
    X_train, _, y_train, _ = friedman
    flat = SparseMLPRegressor((20,), max_iter=2, epsilon=5, random_state=0).fit(X_train, y_train)
    with pytest.warns(UserWarning, match="column-vector y was passed"):
        column = SparseMLPRegressor((20,), max_iter=2, epsilon=5, random_state=0).fit(X_train, y_train[:, None])
    assert_array_equal(flat.predict(X_train), column.predict(X_train))
