"""An ensemble of sparse multilayer perceptrons for classification, also with several labels."""

from typing import ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context

from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.estimators.ensemble import BaseSparseMLPEnsemble


class SparseMLPEnsembleClassifier(ClassifierMixin, BaseSparseMLPEnsemble):
    """An ensemble of sparse networks of several methods, which predicts the mean of their probabilities.

    Each method of `evolution` trains `n_folds` members. Each of them leaves one fold of the samples out and stops early
    by its loss there. Together the members of a method predict every sample once, out of fold. By these predictions the
    weights of the methods are chosen; methods that add nothing are dropped. All folds have the same shares of the
    classes.

    Parameters
    ----------
    estimator : SparseMLPClassifier, default=None
        The estimator to clone for each member; None is one with its defaults. Its `evolution`, `random_state`, `n_jobs`
        and `early_stopping` are replaced. If its `scoring` is None, members stop by the loss.
    evolution : list or tuple of str, Evolution or None, default=("cte", "omp", "set")
        The methods, as for `estimator`. One that stands there twice has twice as many members.
    n_folds : int, default=5
        Members of each method, each of which leaves one of so many folds out. 1 trains all members on all samples, for
        the epochs that `estimator` says; the weights are then equal.
    combine : {"greedy", "mean"}, default="greedy"
        How the methods are weighted: ``"greedy"`` selects, with replacement, what lowers the out-of-fold loss most
        (Caruana et al., 2004); ``"mean"`` weighs all equally. Members of a method have equal weights.
    n_jobs : int, default=None
        Members that are trained side by side, each on one thread, by joblib: None is 1 unless a
        ``joblib.parallel_config`` says otherwise, -1 is all cores. Any backend gives the same bytes.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, and of the members' seeds, which are drawn before the training.
    verbose : int or bool, default=0
        0 is silent. 1 shows a progress bar over the members if rich is installed and the output is a terminal that
        nothing else draws on, and otherwise prints a line per member. 2 always prints lines.
    callbacks : list, default=None
        Objects that watch the training, see `truesparse.callbacks`; each member gets copies, after those of
        `estimator`.

    Attributes
    ----------
    classes_ : (n_classes,)
        The classes in order; for labels, their column numbers.
    estimators_ : list of SparseMLPClassifier
        The members with a weight above 0, method after method, and for each method fold after fold.
    weights_ : (n_members,)
        Weights of the members; they add up to 1.
    oof_score_, oof_loss_ : float
        Accuracy and log loss of the out-of-fold predictions, by sample weights; there are none with ``n_folds=1``. The
        weights were chosen on the same predictions, which makes both a little optimistic. With labels, the loss is
        summed over the labels, and a sample counts as right if all of its labels are.
    oof_predictions_ : (n_samples, n_classes)
        Out-of-fold probabilities: each sample's by the members that were trained without it. NaN for samples of weight
        0. If ``fit`` is given validation data, the probabilities are those of `X_val`. Not kept in files.
    history_ : list of dict
        ``history_`` of each of `estimators_`.
    feature_importances_ : (n_features,)
        Weighted mean of the members' importances.
    n_features_in_, feature_names_in_ : int, (n_features,), names only if the features have some

    See Also
    --------
    SparseMLPClassifier : A single network.

    References
    ----------
    R. Caruana, A. Niculescu-Mizil, G. Crew, A. Ksikes, "Ensemble selection from libraries of models", ICML 2004.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from truesparse import SparseMLPClassifier, SparseMLPEnsembleClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> network = SparseMLPClassifier((50, 50), epsilon=5, max_iter=50)
    >>> ensemble = SparseMLPEnsembleClassifier(network, n_folds=3, random_state=0).fit(X, y)
    >>> bool(ensemble.oof_score_ > 0.9)
    True
    >>> print(ensemble.summary().splitlines()[0])
    method  members  weight  loss alone    adds  weights    bytes
    """

    _y_numeric = False
    _fewest_to_score = SparseMLPClassifier._fewest_to_score

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [SparseMLPClassifier, None],
        **BaseSparseMLPEnsemble._parameter_constraints,
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train every member for one epoch over the given samples, and return the ensemble.

        After ``fit``, members and weights are kept. Otherwise the members of the first call differ by method and seed,
        see all samples, and have equal weights. `oof_score_` and the like stay those of the last ``fit``.

        Parameters
        ----------
        X, y, classes, sample_weight
            As for `SparseMLPClassifier.partial_fit`.
        """
        if classes is None and not self.__sklearn_is_fitted__():
            raise ValueError("classes=None: the first call of partial_fit needs all labels that will ever occur.")
        return self._part_fit(X, y, sample_weight, classes)

    def predict(self, X):
        """Return the most probable class, (n_samples,), or the labels more probable than not, (n_samples, n_labels)."""
        p = self._mean(X)
        return (p > 0.5).T.astype(np.int64) if self._lead._multilabel else self.classes_[p.argmax(axis=0)]

    def predict_proba(self, X):
        """Return the mean probabilities of the classes, or of each label: (n_samples, n_classes)."""
        return self._in_shape(np.minimum(self._mean(X), 1))  # a mean of ones may round to more

    def predict_log_proba(self, X):
        """Return logarithms of `predict_proba`, (n_samples, n_classes); −inf where a probability rounds to 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @property
    def classes_(self):
        """The classes in order; for labels, their column numbers."""
        return self._fitted("classes_")[0].classes_

    def _default_estimator(self):
        return SparseMLPClassifier()

    def _classes(self):
        return None if self._lead._multilabel else self._lead.classes_

    def _class_weights(self, samples):
        return self._lead._class_weights(samples)

    def _units(self):
        return np.ones(1), np.zeros(1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
