"""Predictions of few samples: what is left out to be quick changes neither results nor errors."""

import copy
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn import config_context

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.estimators import fitted


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100, 20)), np.arange(100) % 3
    return SparseMLPClassifier((50, 50), epsilon=3, max_iter=2, update_every=2, random_state=0).fit(X, y)


@pytest.fixture(name="X")
def samples(rng):
    return rng.standard_normal((5, 20))


def test_every_layout_and_dtype_gives_the_bytes_of_the_checked_array(model, X, monkeypatch):
    given = [X, X.astype("f4"), X.astype(">f8"), np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X.tolist()]
    (checked,) = model._checked(X, dtype="f4", reset=False)
    with monkeypatch.context() as context:
        context.setattr(type(model), "_checked_to_predict", lambda *_: checked)
        expected = model.predict_proba(X)
    for samples in given:
        assert_array_equal(model.predict_proba(samples), expected)
        assert_array_equal(model.predict_proba(samples[:1]), expected[:1])
    assert_array_equal(model.predict_proba(csr_array(X)), expected)


def with_number(value):
    """Return a function that puts `value` into an array."""
    return lambda X: np.where(np.arange(X.size).reshape(X.shape) == 7, value, X)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda X: X[:0], "0 sample.* a minimum of 1 is required"),
        (lambda X: X[0], "Expected 2D array, got 1D array"),
        (lambda X: X[None], "dim 3"),
        (lambda X: X[:, :-1], "X has 19 features, but SparseMLPClassifier is expecting 20"),
        (lambda X: X.astype(complex), "Complex data not supported"),
        (lambda X: np.ma.masked_less(X, 0), "X has masked entries"),
        (with_number(np.nan), "Input X contains NaN"),
        (with_number(np.inf), "Input X contains infinity"),
        (with_number(1e300), "Input X contains infinity"),
    ],
)
def test_what_is_refused(model, X, spoil, words):
    with pytest.raises(ValueError, match=words):
        model.predict_proba(spoil(X))


def test_numbers_with_an_infinite_sum_are_allowed(X):
    y = np.arange(5) % 2
    model = SparseMLPClassifier((5,), max_iter=1, update_every=1, dtype="float64", random_state=0).fit(X, y)
    X[:2, 0] = 1e308
    model._run.network.params[:] *= 1e-10
    assert np.isfinite(model.predict_proba(X)).all()


def test_names_of_features_are_still_compared(model, X):
    pd = pytest.importorskip("pandas")
    named = copy.deepcopy(model)
    named.feature_names_in_ = np.array([f"f{i}" for i in range(20)], dtype=object)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        named.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        named.predict(pd.DataFrame(X, columns=[f"g{i}" for i in range(20)]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named.predict(pd.DataFrame(X, columns=named.feature_names_in_))


def test_scikit_learns_setting_that_assumes_finite_numbers(model, X):
    X[0, 0] = np.nan
    with config_context(assume_finite=True), pytest.raises(ValueError, match="outputs are infinite or NaN"):
        model.predict(X)


def test_one_thread_for_little_work_whatever_n_jobs_and_none_for_blas_it_does_not_use(model, X, monkeypatch):
    model, asked = copy.deepcopy(model).set_params(n_jobs=2), []
    expected = model.predict_proba(X)
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread was started"))
    monkeypatch.setattr(fitted, "asked_threads", lambda n_jobs: asked.append(n_jobs) or 1)
    assert_array_equal(model.predict_proba(X), expected)
    assert not asked
    monkeypatch.setattr(fitted, "useful_threads", lambda n_params, batch_size, most, **_: most)
    assert_array_equal(model.predict_proba(X), expected)
    assert asked == [2]


def test_workspaces_are_shared_by_calls_but_not_by_threads_or_copies(model, X):
    regressor = SparseMLPRegressor((50,), max_iter=1, update_every=1, random_state=0).fit(X, X[:, :2])
    size = len(pickle.dumps(regressor))
    expected = [regressor.predict(X[i : i + 1]) for i in range(5)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: regressor.predict(X[i % 5 : i % 5 + 1]), range(500)))
    for i, result in enumerate(results):
        assert_array_equal(result, expected[i % 5])
    regressor.predict(csr_array(X))
    assert {key: len(idle) > 0 for key, idle in regressor._run.network._idle_workspaces.items()} == {
        (32, True): True,
        (32, False): True,
    }
    assert all(len(idle) <= 4 for idle in regressor._run.network._idle_workspaces.values())
    assert len(pickle.dumps(regressor)) == size
    for other in (pickle.loads(pickle.dumps(regressor)), copy.deepcopy(regressor)):
        assert not other._run.network._idle_workspaces
        assert_array_equal(other.predict(X), regressor.predict(X))


def test_a_prediction_after_one_that_failed(model, X):
    expected = model.predict_proba(X)
    with pytest.raises(ValueError, match="outputs are infinite or NaN"):
        model.predict_proba(np.full((1, 20), 3e38))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_array_equal(model.predict_proba(X), expected)
