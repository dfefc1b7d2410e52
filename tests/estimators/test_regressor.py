import numpy as np
import pytest
from helpers import METHODS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_friedman1

from truesparse import SparseMLPRegressor
from truesparse.network.losses import Huber


@pytest.fixture(scope="module")
def friedman():
    X, y = make_friedman1(800, n_features=20, random_state=0)
    return X[:600], X[600:], y[:600], y[600:]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_learns(method, friedman):
    X_train, X_test, y_train, y_test = friedman
    model = SparseMLPRegressor((200, 200), epsilon=5, **METHODS[method], random_state=0).fit(X_train, y_train)
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
    scaled = (np.tanh(X_test @ w1 + b1) @ w2 + b2)[:, 0]
    assert_allclose(model.predict(X_test), scaled * y_train.std() + y_train.mean(), rtol=1e-9)


def test_linear_network_finds_least_squares(friedman):
    """No hidden layer, all connections, no penalty: the optimum is known."""
    X_train, _, y_train, _ = friedman
    A = np.column_stack([X_train, np.ones(len(X_train))])
    solution = np.linalg.lstsq(A, y_train, rcond=None)[0]
    model = SparseMLPRegressor(
        (), density=1.0, alpha=0, solver="sgd", learning_rate_init=0.1, learning_rate="cosine", max_iter=500,
        n_iter_no_change=np.inf, dtype="float64", random_state=0,
    ).fit(X_train, y_train)  # fmt: skip
    scale = y_train.std()
    assert_allclose(model.coefs_[0].toarray()[:, 0], solution[:-1] / scale, atol=0.01)
    assert_allclose(model.intercepts_[0][0], (solution[-1] - y_train.mean()) / scale, atol=0.02)


def test_l2_shrinks(friedman):
    X_train, _, y_train, _ = friedman
    norms = [
        sum((coef.data**2).sum() for coef in model.fit(X_train, y_train).coefs_)
        for model in (SparseMLPRegressor((50,), alpha=alpha, max_iter=200, random_state=0) for alpha in (0, 0.03))
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
        assert model.predict(X_train).dtype == np.float64  # large targets need it
        assert model.coefs_[0].dtype == dtype


def test_targets_of_one_column_are_a_vector(friedman):
    X_train, _, y_train, _ = friedman
    flat = SparseMLPRegressor((20,), max_iter=2, epsilon=5, random_state=0).fit(X_train, y_train)
    with pytest.warns(UserWarning, match="column-vector y was passed"):
        column = SparseMLPRegressor((20,), max_iter=2, epsilon=5, random_state=0).fit(X_train, y_train[:, None])
    assert_array_equal(flat.predict(X_train), column.predict(X_train))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson", Huber(0.5)])
def test_every_loss_learns(loss, friedman):
    X_train, X_test, y_train, y_test = friedman
    model = SparseMLPRegressor((200, 200), epsilon=5, loss=loss, random_state=0).fit(X_train, y_train)
    assert model.score(X_test, y_test) > 0.8
    if loss == "poisson":
        assert (model.predict(X_test) > 0).all()
    two = np.column_stack([y_train, 1000 * y_train])
    both = SparseMLPRegressor((200, 200), epsilon=5, loss=loss, max_iter=50, random_state=0).fit(X_train, two)
    assert both.score(X_test, np.column_stack([y_test, 1000 * y_test])) > 0.6


def test_losses_find_the_statistic_that_is_theirs():
    """Without features there is only a bias to learn."""
    X, y = np.zeros((500, 1)), np.random.default_rng(0).exponential(size=500)
    y[:10] += 1000

    def learnt(loss):
        model = SparseMLPRegressor(
            (), density=1.0, loss=loss, batch_size=500, max_iter=3000, learning_rate_init=0.01,
            n_iter_no_change=np.inf, dtype="float64", random_state=0,
        )  # fmt: skip
        return model.fit(X, y).predict(X[:1])[0]

    assert_allclose(learnt("poisson"), y.mean(), rtol=0.01)
    assert_allclose(learnt("absolute_error"), np.median(y), atol=0.02)
    scale = 1.4826 * np.median(np.abs(y - np.median(y)))
    assert np.median(y) < learnt(Huber(1 / scale)) < 1.2  # thresholds are those of scaled targets


@pytest.mark.parametrize(("factor", "offset"), [(1e6, 0), (1e-6, 0), (1, 1e6), (-1e12, 1e15), (1e39, 0)])
def test_units_of_targets_do_not_matter(factor, offset, friedman):
    X_train, X_test, y_train, y_test = friedman
    settings = {"epsilon": 5, "max_iter": 10, "dtype": "float64", "random_state": 0}
    model = SparseMLPRegressor((50,), **settings).fit(X_train, y_train)
    other = SparseMLPRegressor((50,), **settings).fit(X_train, factor * y_train + offset)
    if factor > 0:
        assert_allclose((other.predict(X_test) - offset) / factor, model.predict(X_test), rtol=1e-3)
    assert other.score(X_test, factor * y_test + offset) > 0.5


def test_constant_targets():
    X = np.random.default_rng(0).standard_normal((50, 3))
    for constant in (0.0, 0.1, 1e6):
        predicted = SparseMLPRegressor((5,), epsilon=5, max_iter=20, random_state=0).fit(X, np.full(50, constant))
        assert_allclose(predicted.predict(X), constant, atol=0.2)


def test_the_scale_is_that_of_the_first_data(friedman):
    X_train, _, y_train, _ = friedman
    model = SparseMLPRegressor((20,), epsilon=5, random_state=0).partial_fit(X_train[:100], y_train[:100])
    model.partial_fit(X_train[100:], 5 * y_train[100:])
    assert_allclose(model.target_mean_, y_train[:100].mean())
    assert_allclose(model.target_scale_, y_train[:100].std())


def test_poisson_refuses_negative_numbers_and_a_loss_stays(friedman):
    X_train, _, y_train, _ = friedman
    model = SparseMLPRegressor((20,), epsilon=5, loss="poisson", max_iter=2, random_state=0)
    with pytest.raises(ValueError, match="loss='poisson' needs numbers that are not below 0 in y, got -"):
        model.fit(X_train, y_train - y_train.mean())
    model.set_params(warm_start=True).fit(X_train, y_train)
    with pytest.raises(ValueError, match="loss='huber' cannot change while training goes on"):
        model.set_params(loss="huber").fit(X_train, y_train)
    before = model.predict(X_train)
    model.set_params(loss="squared_error")
    assert_array_equal(model.predict(X_train), before)


def test_counts_whose_exponential_overflows_are_an_error(friedman):
    X_train, _, y_train, _ = friedman
    model = SparseMLPRegressor((20,), epsilon=5, loss="poisson", max_iter=20, activation="identity", random_state=0)
    model.fit(X_train, y_train)
    assert max(abs(model.predict(X_train))) < 1e3
    far = X_train[:1] * 1e4 * np.sign((model.coefs_[0] @ model.coefs_[1]).toarray()[:, 0])
    with pytest.raises(ValueError, match="for which the outputs are infinite or NaN"):
        model.predict(far)
