import numpy as np
import pytest
from helpers import METHODS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_selection import SelectFromModel

from truesparse import SparseMLPClassifier, SparseMLPRegressor


@pytest.mark.parametrize("method", ["cte", "dense"])
@pytest.mark.parametrize("kind", [SparseMLPClassifier, SparseMLPRegressor])
def test_importances_are_shares_of_the_absolute_weights(kind, method, rng):
    X = rng.standard_normal((50, 70))
    model = kind((80,), **METHODS[method], max_iter=2, random_state=0).fit(X, np.arange(50) % 2)
    weights = np.abs(model.coefs_[0].toarray()).astype(np.float64)  # (70, 80)
    assert_allclose(model.feature_importances_, weights.sum(axis=1) / weights.sum(), rtol=1e-12)
    assert abs(model.feature_importances_.sum() - 1) < 1e-12


def test_no_weight_no_importance(rng):
    X = rng.standard_normal((20, 4))
    model = SparseMLPRegressor((5,), max_iter=1).fit(X, X[:, 0])
    model._network.params[:] = 0
    assert_array_equal(model.feature_importances_, 0)


def test_not_before_it_is_fitted():
    assert not hasattr(SparseMLPClassifier(), "feature_importances_")


def test_scikit_learn_selects_by_them(rng):
    X = rng.standard_normal((200, 10))
    selector = SelectFromModel(
        SparseMLPClassifier((20,), evolution="omp", update_every=10, random_state=0), threshold=-np.inf, max_features=1
    )
    assert selector.fit(X, X[:, 4] > 0).get_support(indices=True) == [4]
