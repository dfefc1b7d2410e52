"""Targets in any unit, with outliers, nearly or exactly constant, and streams that begin with one row."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import r2_score

from truesparse import SparseMLPEnsembleRegressor, SparseMLPRegressor, load, save
from truesparse.estimators.target_scale import learn_scaling, must_change
from truesparse.network.losses import AbsoluteError, Huber, Poisson, SquaredError

LOSSES = ["squared_error", "absolute_error", "huber", "poisson"]
SMALL = {"hidden_layer_sizes": (50, 50), "epsilon": 5, "random_state": 0}
rng = np.random.default_rng(0)
X = rng.standard_normal((300, 5))
linear = X @ np.arange(1.0, 6)
outliers = linear.copy()
outliers[[3, 100, 200]] = linear.std() * np.array([1e4, -1e4, 1e4])
clean = np.setdiff1d(np.arange(300), [3, 100, 200])


def test_centre_and_scale():
    y = np.array([[1.0], [2.0], [3.0], [4.0], [1e9]])
    ones = np.ones(5)
    for loss in (Huber(), AbsoluteError()):
        assert_allclose(learn_scaling(loss, y, ones), [[3], [1.4826]])  # deviations 2, 1, 0, 1, 1e9
    assert_allclose(learn_scaling(SquaredError(), y, ones), [y.mean(axis=0), y.std(axis=0)])
    assert_allclose(learn_scaling(Poisson(), y, ones), [[0], y.mean(axis=0)])


@pytest.mark.parametrize("loss", [Huber(), AbsoluteError(), SquaredError(), Poisson()])
def test_weights_are_as_repetitions(loss):
    y, times = rng.exponential(size=(40, 2)), rng.integers(0, 4, 40)
    repeated = np.repeat(y, times, axis=0)
    weighted = learn_scaling(loss, y, times.astype(float))
    assert_allclose(weighted, learn_scaling(loss, repeated, np.ones(len(repeated))))


def test_more_than_half_of_the_targets_are_equal():
    y = np.array([[0.0]] * 8 + [[1.0], [2.0], [6.0]])
    centre, scale = learn_scaling(Huber(), y, np.ones(11))
    assert centre == 0
    assert_allclose(scale, 1.4826 * 2)  # the median of 1, 2 and 6


@pytest.mark.parametrize(("loss", "least"), [("huber", 0.97), ("absolute_error", 0.95)])
@pytest.mark.parametrize("kind", [SparseMLPRegressor, SparseMLPEnsembleRegressor])
def test_one_per_cent_of_outliers(kind, loss, least):
    """HuberRegressor has .99 here, a regressor whose scale is the standard deviation below −20 with Huber's loss."""
    single = SparseMLPRegressor(**SMALL, loss=loss, max_iter=200)
    model = single if kind is SparseMLPRegressor else kind(single, evolution=("set",), random_state=0)
    model.fit(X, outliers)
    assert r2_score(linear[clean], model.predict(X[clean])) > least


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_outliers_of_other_losses_leave_predictions_finite(loss):
    y = np.abs(outliers) if loss == "poisson" else outliers
    model = SparseMLPRegressor(**SMALL, loss=loss, max_iter=50).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.loss_curve_).all()


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("constant", [0.0, 1e-6, 0.1, 1e9, 1e300])
def test_constants_are_predicted_exactly(constant, loss, early_stopping):
    model = SparseMLPRegressor(**SMALL, loss=loss, max_iter=3, early_stopping=early_stopping)
    assert_array_equal(model.fit(X, np.full(300, constant)).predict(X), constant)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_constant_output_does_not_harm_another(loss, tmp_path):
    other = np.exp(X[:, 0] / 2)
    both = SparseMLPRegressor(**SMALL, loss=loss, max_iter=100).fit(X, np.column_stack([other, np.full(300, 7.0)]))
    assert_array_equal(both.predict(X)[:, 1], 7)
    assert r2_score(other, both.predict(X)[:, 0]) > 0.9
    save(both, tmp_path / "model")
    assert_array_equal(load(tmp_path / "model").predict(X), both.predict(X))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_nearly_constant_targets_are_learnt(loss):
    """A thousand levels of float64; 1e9 + 1e-4 x counted as constant."""
    y = 1e9 + 1e-4 * X[:, 0]
    model = SparseMLPRegressor(**SMALL, loss=loss, max_iter=100).fit(X, y)
    assert r2_score(y - 1e9, model.predict(X) - 1e9) > 0.9


def test_a_constant_with_rounding_is_constant():
    y = np.full(300, 0.1) + np.where(np.arange(300) % 2, np.spacing(0.1), 0)
    assert_allclose(SparseMLPRegressor(**SMALL, max_iter=2).fit(X, y).predict(X), 0.1, rtol=1e-15)


def stream(loss, scale, n_single):
    y = scale * (np.exp(X[:, 0] / 2) if loss == "poisson" else 2 + X[:, 0] + X[:, 1] / 2)
    model = SparseMLPRegressor(**SMALL, loss=loss, max_iter=200 + n_single)
    for row in range(n_single):
        model.partial_fit(X[row : row + 1], y[row : row + 1])
    return model, y


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
@pytest.mark.parametrize("n_single", [1, 150])
@pytest.mark.parametrize("loss", LOSSES)
def test_streams_that_begin_with_one_row(loss, n_single, scale):
    model, y = stream(loss, scale, n_single)
    for _ in range(200):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.95


@pytest.mark.parametrize("loss", LOSSES)
def test_predictions_do_not_jump_when_the_scale_changes(loss, monkeypatch):
    model, y = stream(loss, 1e5, 20)
    before, scale = model.predict(X), model.target_scale_
    monkeypatch.setattr("truesparse.training.trainer.Trainer.train", lambda self, start: None)
    monkeypatch.setattr(SparseMLPRegressor, "_warn_after", lambda *arguments: None)
    model.partial_fit(X, 50 * y)
    assert model.target_scale_ > 2 * scale
    assert_allclose(model.predict(X), before, rtol=1e-4, atol=1e-4 * np.abs(before).max())


def test_the_scale_stays_once_a_hundred_targets_have_been_seen():
    model = SparseMLPRegressor(**SMALL).partial_fit(X, linear)
    mean, scale = model.target_mean_, model.target_scale_
    model.partial_fit(X, 1000 * linear)
    assert_array_equal([model.target_mean_, model.target_scale_], [mean, scale])


def test_a_stream_that_is_constant_for_long():
    """A hundred equal targets say no more of the scale than one, and one that hardly differs does not settle it."""
    model = SparseMLPRegressor(**SMALL, max_iter=500)
    for _ in range(2):
        model.partial_fit(X[:100], np.full(100, 5.0))
    model.partial_fit(X[:1], [5.001])
    for _ in range(200):
        model.partial_fit(X, 1e5 * linear)
    assert model.score(X, 1e5 * linear) > 0.95


def test_small_changes_are_not_made():
    old = np.array([0.0, 0, 0, 0]), np.array([1.0, 1, 1, 1])
    new = np.array([0.5, 3, 0, 0]), np.array([1.5, 1, 2.5, 0])
    assert_array_equal(must_change(old, new), [False, True, True, False])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_stream_goes_on_from_a_file_and_from_a_pickle(loss, tmp_path):
    model, y = stream(loss, 1e3, 3)
    save(model, tmp_path / "model")
    again = [load(tmp_path / "model"), pickle.loads(pickle.dumps(model))]
    for other in (model, *again):
        for part in (slice(3, 5), slice(5, 40), slice(40, 300)):
            other.partial_fit(X[part], y[part])
    for other in again:
        assert_array_equal(other.predict(X), model.predict(X))
        assert_array_equal(other.target_scale_, model.target_scale_)
