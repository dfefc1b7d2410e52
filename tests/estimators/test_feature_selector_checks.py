"""scikit-learn's own checks of the selector, all of them, with no failure expected."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from truesparse import SparseMLPClassifier
from truesparse.estimators import SparseFeatureSelector

SMALL = SparseMLPClassifier((20,), max_iter=5)


@parametrize_with_checks(
    [SparseFeatureSelector(estimator=SMALL), SparseFeatureSelector(strategy="neuron_evolution", estimator=SMALL)]
)
def test_small_networks(estimator, check):
    check(estimator)
