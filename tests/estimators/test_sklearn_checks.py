"""scikit-learn's own checks of an estimator, all of them."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from truesparse import SparseMLPClassifier, SparseMLPRegressor

# A sample that is taken twice falls into two batches, has two draws of dropout, and counts twice among the activations
# that a topology grows by. Without all that, weights are exact, see below.
WEIGHTS_ARE_NOT_REPETITIONS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "batches, dropout and growth see samples, not weights"
    for kind in ("dense", "sparse")
}


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
