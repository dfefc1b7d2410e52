"""scikit-learn's own checks of the ensembles, all of them."""

import pytest
from helpers import WEIGHTS_ARE_NOT_REPETITIONS
from sklearn.utils.estimator_checks import parametrize_with_checks

from truesparse import (
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPEnsembleRegressor,
    SparseMLPRegressor,
)

SMALL = {"hidden_layer_sizes": (20, 10), "epsilon": 20, "learning_rate_init": 0.01, "max_iter": 60, "dtype": "float64"}
CLASSIFIER = SparseMLPClassifier(**SMALL)
REGRESSOR = SparseMLPRegressor(**SMALL)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@parametrize_with_checks(
    [
        SparseMLPEnsembleClassifier(CLASSIFIER, n_folds=2),
        SparseMLPEnsembleRegressor(REGRESSOR, n_folds=2),
        SparseMLPEnsembleClassifier(CLASSIFIER, evolution=("set",), n_folds=1),
    ],
    expected_failed_checks=lambda _: WEIGHTS_ARE_NOT_REPETITIONS,
)
def test_small_networks(estimator, check):
    check(estimator)
