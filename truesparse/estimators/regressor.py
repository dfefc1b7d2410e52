"""A sparse multilayer perceptron for numbers."""

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils.validation import column_or_1d

from truesparse.estimators.base import BaseSparseMLP
from truesparse.estimators.parameters import ATTRIBUTES_DOC, PARAMETERS_DOC
from truesparse.kernels.update import all_finite
from truesparse.losses import SquaredError
from truesparse.storage import ModelFormatError


class SparseMLPRegressor(RegressorMixin, BaseSparseMLP):  # noqa: D101
    __doc__ = f"""A regressor whose network is sparse from the first to the last step of its training.

    It minimises half the squared error, for one or several outputs. Targets should have a standard deviation of about
    1; `sklearn.compose.TransformedTargetRegressor` scales others.

    {PARAMETERS_DOC}
    Attributes
    ----------
    {ATTRIBUTES_DOC}
    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from truesparse import SparseMLPRegressor
    >>> X, y = make_friedman1(500, random_state=0)
    >>> y = (y - y.mean()) / y.std()
    >>> regressor = SparseMLPRegressor((200, 200), epsilon=5, random_state=0).fit(X[:400], y[:400])
    >>> regressor.score(X[400:], y[400:]) > 0.7
    True
    """

    _y_numeric = True
    _default_dropout = 0.0
    _fewest_to_score = 2  # R² compares with the mean

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, *, resume_from=None):
        """Train the network.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features)
        y : (n_samples,) or (n_samples, n_outputs)
        resume_from : path, default=None
            A file that a `truesparse.callbacks.Checkpoint` wrote while a fit with the same parameters and the same data
            ran, in this process or another: do what was left of it. The network is then the same, to the last byte, as
            if that fit had never stopped. `n_jobs`, `verbose` and `callbacks` may differ; a fit that a callback ended
            goes on. Code, such as a `batch_transform`, can be compared by its name only.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are not as described, if `resume_from` is no checkpoint of this very fit, or if
            the loss becomes infinite or NaN. Whatever ends training early, an interrupt included, leaves the estimator
            as it was before the call.
        """
        return self._train(X, y, go_on=self.warm_start, n_epochs=None, resume_from=resume_from)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y):
        """Train for one epoch over the given samples; arguments and errors as for `fit`."""
        return self._train(X, y, go_on=True, n_epochs=1)

    def predict(self, X):
        """The outputs.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features)

        Returns
        -------
        (n_samples,), or (n_samples, n_outputs) if there are several
        """
        predictions = self._forward(X, lambda z: z)
        return predictions[0] if self._single_output else np.ascontiguousarray(predictions.T)

    def _encode(self, y, classes, *, first):
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if first:
            self._single_output, self._outputs = y.ndim == 1, n_outputs
        elif (y.ndim == 1) != self._single_output or n_outputs != self._outputs:
            raise ValueError(f"y has {n_outputs} outputs, but the network was made for {self._outputs}.")
        with np.errstate(over="ignore"):  # what overflows is refused as infinite, in words
            target = y.reshape(-1, n_outputs).astype(self.dtype)
        if not all_finite(target.reshape(-1)):
            raise ValueError(f"y must hold numbers that dtype={self.dtype!r} can, got {y.min()} to {y.max()}.")
        return target

    def _make_loss(self):
        return SquaredError()

    def _n_outputs(self):
        return self._outputs

    def _stratify(self, target):
        return None

    def _store_learnt(self):
        return {"outputs": self._outputs, "single_output": self._single_output}, {}

    def _restore_learnt(self, section, arrays):
        self._outputs, self._single_output = section.count("outputs", least=1), section.take("single_output", bool)
        if self._single_output and self._outputs > 1:
            raise ModelFormatError(f"A single output cannot have {self._outputs} columns.")
        section.close()

    def _score_predictions(self, predictions, target):
        return r2_score(target, predictions.T)
