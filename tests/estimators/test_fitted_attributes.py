"""Attributes that scikit-learn's networks have as well, and the best epoch."""

import io

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier, MLPRegressor

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor

X, y = make_classification(150, 10, n_informative=6, n_classes=3, random_state=0)
SMALL = {"hidden_layer_sizes": (30, 20), "epsilon": 3, "max_iter": 12, "update_every": 5, "random_state": 0}
PAIRS = [(SparseMLPClassifier, MLPClassifier), (SparseMLPRegressor, MLPRegressor)]
NAMES = [
    "loss_", "best_loss_", "validation_scores_", "best_validation_score_", "best_epoch_", "n_layers_", "n_outputs_",
    "out_activation_", "n_parameters_",
]  # fmt: skip


@pytest.fixture(params=[SparseMLPClassifier, SparseMLPRegressor])
def kind(request):
    return request.param


@pytest.mark.parametrize(("kind", "of_scikit_learn"), PAIRS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_they_mean_the_same(kind, of_scikit_learn):
    for early_stopping in (False, True):
        ours = kind(**SMALL, early_stopping=early_stopping).fit(X, y)
        theirs = of_scikit_learn(hidden_layer_sizes=(30, 20), max_iter=12, early_stopping=early_stopping).fit(X, y)
        for model in (ours, theirs):
            assert model.loss_ == model.loss_curve_[-1]
            assert len(model.loss_curve_) == model.n_iter_
            assert (model.n_layers_, model.n_outputs_) == (4, 3 if "Classifier" in kind.__name__ else 1)
            if early_stopping:
                assert len(model.validation_scores_) == model.n_iter_
                assert model.best_validation_score_ == max(model.validation_scores_)
            else:
                assert model.best_loss_ == min(model.loss_curve_)
        assert ours.out_activation_ == theirs.out_activation_
    assert ours.best_loss_ == min(ours.loss_curve_)
    assert ours.n_parameters_ == sum(coef.nnz for coef in ours.coefs_) + 30 + 20 + ours.n_outputs_
    srelu = kind(**SMALL, activation="srelu").fit(X, y)
    assert srelu.n_parameters_ == ours.n_parameters_ + sum(params.size for params in srelu.activation_params_)


def test_before_a_fit_and_without_validation_data_some_are_not_there(kind):
    model = kind(**SMALL)
    for name in NAMES:
        with pytest.raises(AttributeError, match=f"{kind.__name__} has no attribute '{name}' before it is fitted"):
            getattr(model, name)
    model.fit(X, y)
    for name in ("validation_scores_", "best_validation_score_", "best_epoch_"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}' after a fit without validation data"):
            getattr(model, name)
    assert all(hasattr(model, name) for name in NAMES if name not in ("best_epoch_",) and "validation" not in name)


@pytest.mark.parametrize("scoring", [None, "loss", "neg_mean_squared_error"])
def test_the_best_epoch_is_that_of_the_network(kind, scoring):
    best, kept = {}, kind(**SMALL, early_stopping=True, scoring=scoring, learning_rate_init=0.05)

    class Keep:
        def on_epoch_end(self, network, record):
            best[record.epoch] = network.params.tobytes()

    for fits in range(2):
        kept.set_params(callbacks=[Keep()], warm_start=True).fit(X, y)
        assert best[kept.best_epoch_] == kept._network.params.tobytes()
        assert fits * SMALL["max_iter"] < kept.best_epoch_
    file = io.BytesIO()
    truesparse.save(kept.set_params(callbacks=None), file)
    file.seek(0)
    loaded = truesparse.load(file)
    assert [getattr(loaded, name) for name in NAMES] == [getattr(kept, name) for name in NAMES]
    loaded.partial_fit(X, y)
    assert not hasattr(loaded, "best_epoch_")
    assert np.isnan(loaded.validation_scores_[-1])
    assert loaded.best_validation_score_ == kept.best_validation_score_
