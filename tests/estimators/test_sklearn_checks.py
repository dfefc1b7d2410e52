"""scikit-learn's own checks of an estimator, all of them."""

import pytest
from helpers import WEIGHTS_ARE_NOT_REPETITIONS
from sklearn.utils.estimator_checks import parametrize_with_checks

from truesparse import SparseMLPClassifier, SparseMLPRegressor


@parametrize_with_checks(
    [SparseMLPClassifier(), SparseMLPRegressor()], expected_failed_checks=lambda _: WEIGHTS_ARE_NOT_REPETITIONS
)
def test_defaults(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@parametrize_with_checks(
    [
        SparseMLPClassifier(
            (20, 10), epsilon=20, evolution="set", solver="sgd", learning_rate_init=0.1, max_iter=100, dropout=0,
            activation="relu", weight_init="fan_in", batch_size=1000, dtype="float64",
        ),
        SparseMLPRegressor((20, 10), epsilon=20, evolution="set", dtype="float64", learning_rate_init=0.01),
    ]
)  # fmt: skip
def test_small_networks_with_full_layers(estimator, check):
    check(estimator)
