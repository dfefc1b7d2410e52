"""A network that ends no better than a constant says so, and why."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array
from scipy.special import xlogy
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.preprocessing import StandardScaler

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.data import ArraySource
from truesparse.estimators.diagnosis import loss_of_constant
from truesparse.evolution import Given
from truesparse.network.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    Huber,
    Poisson,
    SoftmaxCrossEntropy,
    SquaredError,
    Weighted,
)  # fmt: skip

NO_BETTER = "better than a constant"
rng = np.random.default_rng(0)
X = rng.standard_normal((300, 5))
y = (X[:, 0] + X[:, 1] > 0).astype(int)
SMALL = {"hidden_layer_sizes": (50, 50), "epsilon": 5, "random_state": 0, "max_iter": 50}


def warnings_of(model, *data, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*data, **options)
    return [str(warning.message) for warning in caught if NO_BETTER in str(warning.message)]


def the_warning(model, *data, **options):
    (message,) = warnings_of(model, *data, **options)
    return message


def test_the_loss_of_the_best_constant():
    float64 = np.dtype("float64")
    classes = np.array([0, 0, 0, 1, 2, 2])
    share = np.array([3, 1, 2]) / 6
    entropy = -xlogy(share, share).sum()
    assert loss_of_constant(SoftmaxCrossEntropy(), classes, 3, float64) == pytest.approx(entropy)
    labels = np.array([[0, 1], [1, 1], [0, 1], [0, 0.0]])
    expected = 2 * -(xlogy(0.25, 0.25) + xlogy(0.75, 0.75))
    assert loss_of_constant(BinaryCrossEntropy(), labels, 2, float64) == pytest.approx(expected)
    numbers = np.array([[1.0], [2.0], [9.0]])
    assert loss_of_constant(SquaredError(), numbers, 1, float64) == pytest.approx((9 + 4 + 25) / 6)
    assert loss_of_constant(AbsoluteError(), numbers, 1, float64) == pytest.approx(8 / 3, rel=0.01)
    # 9 pulls by δ = 1 at any distance: the constant c balances (c − 1) + (c − 2) = 1.
    assert loss_of_constant(Huber(), numbers, 1, float64) == pytest.approx((0.5 + 0 + 6.5) / 3)
    mean = numbers.mean()
    deviance = (mean - numbers + numbers * np.log(numbers / mean)).mean()
    assert loss_of_constant(Poisson(), numbers, 1, float64) == pytest.approx(deviance)
    weighted = Weighted(numbers, np.array([1.5, 1.5, 0.0]))
    assert loss_of_constant(SquaredError(), weighted, 1, float64) == pytest.approx(0.125)


@pytest.mark.parametrize("names", [False, True])
def test_features_that_are_not_scaled_are_named(names):
    pandas = pytest.importorskip("pandas") if names else None
    raw = X.copy()
    raw[:, 3] = 1.7e9 + 1e5 * raw[:, 3]
    data = pandas.DataFrame(raw, columns=list("abcde")) if names else raw
    message = the_warning(SparseMLPClassifier(random_state=0), data, y)
    assert ("'d' (mean 1.7e+09, deviation" if names else "3 (mean 1.7e+09, deviation") in message
    assert "StandardScaler()" in message
    assert "more" not in message


def test_hardly_better_because_features_are_not_scaled():
    """Only with this cause: targets may hardly depend on any feature."""
    weak = (X[:, 0] + 6 * rng.standard_normal(300) > 0).astype(int)
    model = SparseMLPClassifier(**SMALL | {"max_iter": 3}, learning_rate_init=1e-3)
    assert not warnings_of(model, X / 5, weak)
    assert "hardly better" in the_warning(model, np.column_stack([X / 5, rng.normal(0, 1e-4, 300)]), weak)


def test_three_features_are_named_the_worst_first():
    message = the_warning(SparseMLPClassifier(**SMALL), X * 10.0 ** np.array([3, 7, 5, 6, 4]), y)
    assert message.index(" 1 (mean") < message.index(" 3 (mean") < message.index(" 2 (mean")
    assert "and 2 more" in message


def test_sparse_features_are_named_too():
    sparse = csr_array(random_array((300, 40), density=0.1, rng=1)) * 1e7
    message = the_warning(SparseMLPClassifier(**SMALL), sparse, y)
    assert "MaxAbsScaler()" in message
    assert "and 37 more" in message


def test_a_learning_rate_that_is_too_high():
    for early_stopping in (False, True):
        model = SparseMLPRegressor(**SMALL, learning_rate_init=10, early_stopping=early_stopping)
        assert "lower learning_rate_init=10" in the_warning(model, X, X[:, 0])


def test_no_path():
    first, last = csr_array(np.eye(10, 5)), csr_array(np.eye(2, 10, k=8))  # the last two of ten units have no inputs
    model = SparseMLPClassifier((10,), topology_init=Given([first, last]), evolution=None, max_iter=20, random_state=0)
    assert "No path of connections" in the_warning(model, X, y)


def test_too_few_epochs():
    hardly = SparseMLPClassifier(**SMALL | {"max_iter": 2}, learning_rate_init=1e-4, dropout=0)
    assert "still falling: raise max_iter" in the_warning(hardly, X, y)


def test_nothing_to_learn():
    model = SparseMLPClassifier(**SMALL, alpha=100)
    assert "may help" in the_warning(model, X, y)


def test_from_a_source_and_with_weights():
    weights = rng.random(300)
    raw = (X + 1e6).astype(np.float32)
    assert "not scaled" in the_warning(SparseMLPClassifier(**SMALL), ArraySource(raw, y))
    assert "not scaled" in the_warning(SparseMLPClassifier(**SMALL), raw, y, sample_weight=weights)


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine, load_diabetes])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"evolution": "set", "max_iter": 30}])
def test_no_alarm_on_standardised_tables(load, options):
    features, target = load(return_X_y=True)
    kind = SparseMLPRegressor if load is load_diabetes else SparseMLPClassifier
    assert not warnings_of(kind(random_state=0, **options), StandardScaler().fit_transform(features), target)


@pytest.mark.parametrize("target", [np.full(300, 3.0), np.ones((300, 2))])
def test_no_alarm_for_constant_targets(target):
    assert not warnings_of(SparseMLPRegressor(**SMALL), X, target)


def test_none_by_partial_fit():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SparseMLPClassifier(**SMALL).partial_fit(X * 1e6, y, classes=[0, 1])
