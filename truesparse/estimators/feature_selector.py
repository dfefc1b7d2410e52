"""Feature selection for scikit-learn's pipelines."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.feature_selection import SelectorMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from truesparse.data.checks import sound_features
from truesparse.estimators.autoencoder import denoising_autoencoder, standardised
from truesparse.estimators.base import BaseSparseNetwork, unchanged_on_error
from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.estimators.ensemble import BaseSparseMLPEnsemble
from truesparse.estimators.parameters import Choice, HelpfulParameters, explained
from truesparse.estimators.regressor import SparseMLPRegressor
from truesparse.estimators.resnet_classifier import SparseResNetClassifier
from truesparse.estimators.samples import refuse_source
from truesparse.evolution import Confirmed, Evolution, neuron_evolution
from truesparse.runtime.checks import refuse_masked, refuse_sparse
from truesparse.runtime.warnings import warn
from truesparse.transforms import GaussianNoise


class SparseFeatureSelector(SelectorMixin, HelpfulParameters):
    """Selector of the strongest features of a sparse network, which is trained with or without targets.

    A feature's strength is the sum of the absolute weights of its connections, which an evolving topology moves to the
    features that matter. Scale the features to about equal size, by `sklearn.preprocessing.StandardScaler`, or by
    ``MaxAbsScaler`` for sparse `X`. Without targets, they are standardised here.

    Parameters
    ----------
    n_features_to_select : int, or float in (0, 1], default=0.1
        Number of features, or their share, rounded, but at least one feature.
    strategy : {"strength", "neuron_evolution"}, default="strength"
        ``"strength"`` trains the estimator and ranks the features by their final strength (QuickSelection).
        ``"neuron_evolution"`` removes the weakest features during training until about as many as wanted are left
        (NeuroFS, see `truesparse.evolution.input_removal`). It needs `y` and replaces the estimator's ``evolution``.
        Removed features have a score of 0. More stay if the weights of the first layer need them; all of them stay if
        it is full, with a UserWarning.
    estimator : SparseMLPClassifier, SparseMLPRegressor or an ensemble of them, default=None
        The estimator to clone and train. None takes a regressor if `y` is continuous and a classifier otherwise (counts
        are classes), both with 100 epochs and `truesparse.evolution.Confirmed` growth between them.
        Without `y`, None takes `truesparse.estimators.denoising_autoencoder`; a given regressor learns all features,
        standardised, from noisy ones: those of its ``batch_transform``, or of `truesparse.transforms.GaussianNoise`.
    random_state, n_jobs : default=None
        Parameters of the estimator; None leaves its own.

    Attributes
    ----------
    estimator_, scores_ : as `estimator`, (n_features,)
        The trained estimator, and its ``feature_importances_``: strengths, which add up to 1.
    ranking_ : (n_features,) int
        1 for the highest score; equal scores are ranked in the features' order.
    n_features_to_select_, n_features_in_, feature_names_in_ : int, int, (n_features,), names only if there are some

    Notes
    -----
    Growth by similarity (``"cte"``) selects correlated features together and overlooks some that resemble no other.
    Growth by errors (``"rigl"``, ``"omp"``) may select only one of several correlated features, and follows noise if
    samples are few. `truesparse.evolution.Confirmed` follows the errors that other samples confirm. Without targets,
    the features are also the targets, held as a dense array (n_samples, n_features).

    References
    ----------
    Z. Atashgahi, G. Sokar, T. van der Lee, E. Mocanu, D. C. Mocanu, R. Veldhuis, M. Pechenizkiy, "Quick and robust
    feature selection: the strength of energy-efficient sparse training for autoencoders", Machine Learning 111, 2022.

    Z. Atashgahi, X. Zhang, N. Kichler, S. Liu, L. Yin, M. Pechenizkiy, R. Veldhuis, D. C. Mocanu, "Supervised feature
    selection with neuron evolution in sparse neural networks", TMLR, 2023.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.estimators import SparseFeatureSelector
    >>> X, y = make_classification(
    ...     1000, 50, n_informative=5, n_redundant=0, class_sep=1.5, shuffle=False, random_state=0
    ... )
    >>> network = SparseMLPClassifier((100, 100), max_iter=30)
    >>> selector = SparseFeatureSelector(5, strategy="neuron_evolution", estimator=network, random_state=0)
    >>> selector.fit(X, y).get_support(indices=True)
    array([0, 1, 2, 3, 4])
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_features_to_select": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="right"),
        ],
        "strategy": [Choice("strength", "neuron_evolution")],
        "estimator": [BaseSparseNetwork, BaseSparseMLPEnsemble, None],
        "random_state": ["random_state"],
        "n_jobs": [Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left"), None],
    }

    @explained
    def __init__(
        self, n_features_to_select=0.1, *, strategy="strength", estimator=None, random_state=None, n_jobs=None
    ):
        self.n_features_to_select = n_features_to_select
        self.strategy = strategy
        self.estimator = estimator
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Train the estimator, rank the features, and return the selector.

        `X` is an array or a SciPy sparse matrix, (n_samples, n_features), and `y` holds targets as the estimator takes
        them. If a ValueError is raised, say because the training fails, the selector is unchanged.
        """
        with unchanged_on_error(self):
            estimator = self._make_estimator(y)
            X, y = self._checked(X, y, estimator)
            n_selected = self._count(X.shape[1])
            if self.strategy == "neuron_evolution":
                rule = neuron_evolution(n_selected)
                is_ensemble = isinstance(estimator, BaseSparseMLPEnsemble)
                estimator.set_params(evolution=(rule,) if is_ensemble else rule)
            self.estimator_ = estimator.fit(X, y)
            self.scores_ = self.estimator_.feature_importances_
            if self.strategy == "neuron_evolution" and n_selected < X.shape[1] and self.scores_.all():
                warn(
                    f"strategy='neuron_evolution' removed none of the {X.shape[1]} features: the first layer has so "
                    "many weights that they need all features, or the training was too short. Lower epsilon or "
                    "density, choose a topology_init other than 'full', or raise max_iter."
                )
            self.ranking_ = np.empty(X.shape[1], dtype=np.int64)
            self.ranking_[np.argsort(-self.scores_, kind="stable")] = np.arange(1, X.shape[1] + 1)
            self.n_features_to_select_ = n_selected
        return self

    def _make_estimator(self, y):
        if self.estimator is not None:
            estimator = clone(self.estimator)
        elif y is None:
            estimator = denoising_autoencoder()
        else:
            continuous = type_of_target(y, input_name="y").startswith("continuous")
            kind = SparseMLPRegressor if continuous else SparseMLPClassifier
            estimator = kind(evolution=Evolution(grow=Confirmed()), update_every="epoch", max_iter=100)
        if isinstance(estimator, SparseResNetClassifier):
            raise ValueError(f"estimator={estimator!r} cannot rank features: pixels share weights.")
        if y is None and not isinstance(estimator, SparseMLPRegressor):
            raise ValueError(f"y=None, but estimator={estimator!r} needs targets; only a SparseMLPRegressor does not.")
        if y is None and self.strategy == "neuron_evolution":
            raise ValueError("y=None, but strategy='neuron_evolution' needs targets; strategy='strength' does not.")
        if y is None and estimator.batch_transform is None:
            estimator.set_params(batch_transform=GaussianNoise())
        given = {"random_state": self.random_state, "n_jobs": self.n_jobs}
        return estimator.set_params(**{name: value for name, value in given.items() if value is not None})

    def _checked(self, X, y, estimator):
        refuse_source(X)
        X = sound_features("X", X)
        options = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
        if y is None:
            X = standardised(validate_data(self, X, **options))
            return X, X
        refuse_masked("y", y)
        refuse_sparse("y", y)
        return validate_data(self, X, y, multi_output=True, y_numeric=estimator._y_numeric, **options)

    def _count(self, n_features):
        n = self.n_features_to_select
        if not isinstance(n, Integral):
            return max(1, round(float(n) * n_features))
        if n > n_features:
            raise ValueError(
                f"n_features_to_select={n!r} is more than the {n_features} features of X; at most all are allowed."
            )
        return int(n)

    def _get_support_mask(self):
        check_is_fitted(self)
        return self.ranking_ <= self.n_features_to_select_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
