"""An ensemble of sparse multilayer perceptrons for regression."""

from typing import ClassVar

from sklearn.base import RegressorMixin, _fit_context

from truesparse.estimators.ensemble import BaseSparseMLPEnsemble
from truesparse.estimators.regressor import SparseMLPRegressor


class SparseMLPEnsembleRegressor(RegressorMixin, BaseSparseMLPEnsemble):
    """An ensemble of sparse networks of several methods, which predicts the mean of their predictions.

    Each method of `evolution` trains `n_folds` members. Each of them leaves one fold of the samples out and stops early
    by its loss there. Together the members of a method predict every sample once, out of fold. By these predictions the
    weights of the methods are chosen; methods that add nothing are dropped. `score` is R².

    Parameters
    ----------
    estimator : SparseMLPRegressor, default=None
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
    estimators_ : list of SparseMLPRegressor
        The members with a weight above 0, method after method, and for each method fold after fold.
    weights_ : (n_members,)
        Weights of the members; they add up to 1.
    oof_score_, oof_loss_ : float
        R² of the out-of-fold predictions and their loss, that of `estimator`, for standardised targets; both by sample
        weights. There are none with ``n_folds=1``. The weights were chosen on the same predictions, which makes both a
        little optimistic.
    oof_predictions_ : (n_samples,) or (n_samples, n_outputs)
        Out-of-fold predictions: each sample's by the members that were trained without it. NaN for samples of weight 0.
        If ``fit`` is given validation data, the predictions are those for `X_val`. Not kept in files.
    history_ : list of dict
        ``history_`` of each of `estimators_`.
    feature_importances_ : (n_features,)
        Weighted mean of the members' importances.
    n_features_in_, feature_names_in_ : int, (n_features,), names only if the features have some

    See Also
    --------
    SparseMLPRegressor : A single network.

    References
    ----------
    R. Caruana, A. Niculescu-Mizil, G. Crew, A. Ksikes, "Ensemble selection from libraries of models", ICML 2004.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from truesparse import SparseMLPEnsembleRegressor, SparseMLPRegressor
    >>> X, y = make_friedman1(300, random_state=0)
    >>> network = SparseMLPRegressor((50, 50), epsilon=5, max_iter=50)
    >>> ensemble = SparseMLPEnsembleRegressor(network, n_folds=3, random_state=0).fit(X[:200], y[:200])
    >>> ensemble.score(X[200:], y[200:]) > 0.7
    True
    """

    _y_numeric = True
    _fewest_to_score = SparseMLPRegressor._fewest_to_score

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [SparseMLPRegressor, None],
        **BaseSparseMLPEnsemble._parameter_constraints,
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train every member for one epoch over the given samples, and return the ensemble.

        After ``fit``, members and weights are kept. Otherwise the members of the first call differ by method and seed,
        see all samples, and have equal weights. `oof_score_` and the like stay those of the last ``fit``.

        Parameters
        ----------
        X, y, sample_weight
            As for `SparseMLPRegressor.partial_fit`.
        """
        return self._part_fit(X, y, sample_weight)

    def predict(self, X):
        """Return the mean predictions in float64, (n_samples,), or (n_samples, n_outputs) if there are several."""
        return self._in_shape(self._mean(X))

    def _in_shape(self, predictions):
        return predictions[0] if self._lead._single_output else super()._in_shape(predictions)

    def _default_estimator(self):
        return SparseMLPRegressor()

    def _classes(self):
        return None

    def _units(self):
        return self._lead._units()
