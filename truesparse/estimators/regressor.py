"""A sparse multilayer perceptron for numbers."""

from typing import ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils.validation import column_or_1d

from truesparse.estimators.base import BaseSparseMLP
from truesparse.estimators.parameters import ATTRIBUTES_DOC, PARAMETERS_DOC, Named, extends
from truesparse.kernels.update import all_finite
from truesparse.network.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, values_and_weights
from truesparse.runtime.plugins import names, resolve
from truesparse.storage import ModelFormatError, decode, encode
from truesparse.storage.head import Head


class SparseMLPRegressor(RegressorMixin, BaseSparseMLP):  # noqa: D101
    __doc__ = f"""A regressor whose network is sparse from the first to the last step of its training.

    For one or several outputs. `score` is R², whatever `loss` is.

    {PARAMETERS_DOC}loss : {{"squared_error", "absolute_error", "huber", "poisson"}} or Loss, default="squared_error"
        What is minimised, added up over the outputs: half the squared error, for means; the absolute error, for
        medians; ``"huber"``, for means when some targets are far off (`truesparse.network.losses.Huber` has other
        thresholds); ``"poisson"``, half the Poisson deviance with exp as the last activation, for counts. Cannot change
        while training goes on.
    scale_target : bool, default=True
        Whether the network learns targets with mean 0 and standard deviation 1, of each output; for ``"poisson"``, with
        mean 1. Losses in `history_` are those of scaled targets; predictions are scaled back. Cannot change while
        training goes on.

    Attributes
    ----------
    target_mean_, target_scale_ : (n_outputs,) float64
        What is taken from the targets, and what they are divided by then; set by the first data after which training
        goes on.
    {ATTRIBUTES_DOC}
    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from truesparse import SparseMLPRegressor
    >>> X, y = make_friedman1(500, random_state=0)
    >>> regressor = SparseMLPRegressor((200, 200), epsilon=5, random_state=0).fit(X[:400], y[:400])
    >>> regressor.score(X[400:], y[400:]) > 0.7
    True
    """

    _y_numeric = True
    _default_dropout = 0.0
    _fewest_to_score = 2  # R² compares with the mean

    _parameter_constraints: ClassVar[dict] = {
        **BaseSparseMLP._parameter_constraints,
        "loss": [Named("loss"), Loss],
        "scale_target": ["boolean"],
    }

    @extends(BaseSparseMLP.__init__)
    def __init__(self, *args, loss="squared_error", scale_target=True, **others):
        super().__init__(*args, **others)
        self.loss = loss
        self.scale_target = scale_target

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch over the given samples.

        The topology, the solver's moments and the schedules, which plan for `max_iter` calls, go on from call to call.
        Rules of evolution that look at activations or errors see the samples of the call.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features)
        y : (n_samples,) or (n_samples, n_outputs)
            Those of the first call set what targets are scaled by.
        sample_weight : (n_samples,), default=None
            What each sample's loss is multiplied by. A sample of weight 0 is left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for `fit`.
        """
        return self._train(X, y, sample_weight, go_on=True, n_epochs=1)

    def predict(self, X):
        """The outputs.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features)

        Returns
        -------
        (n_samples,), or (n_samples, n_outputs) if there are several
            float64 if the targets were scaled, else of the network's dtype.
        """
        predictions = self._forward(X, self._unscaled)
        return predictions[0] if self._single_output else np.ascontiguousarray(predictions.T)

    def _unscaled(self, z):
        predictions = self._loss.predictions(z)
        if not self._scaled:
            return predictions
        return predictions * self.target_scale_[:, None] + self.target_mean_[:, None]

    def _encode(self, y, weights, classes, *, first):
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        loss = resolve("loss", self.loss)
        if isinstance(loss, SoftmaxCrossEntropy | BinaryCrossEntropy):
            raise ValueError(f"loss={loss!r} is for classification; {names('loss')} or a Loss of your own are allowed.")
        columns = y.reshape(-1, n_outputs).astype(np.float64, copy=False)
        if first:
            self._single_output, self._loss, self._scaled = y.ndim == 1, loss, self.scale_target
            self.target_mean_, self.target_scale_ = np.zeros(n_outputs), np.ones(n_outputs)
        elif (y.ndim == 1) != self._single_output or n_outputs != self.target_mean_.size:
            raise ValueError(f"y has {n_outputs} outputs, but the network was made for {self.target_mean_.size}.")
        elif loss != self._loss:
            raise ValueError(
                f"loss={self.loss!r} cannot change while training goes on with a network made with {self._loss!r}; fit "
                "with warm_start=False makes a new one."
            )
        elif self.scale_target != self._scaled:
            raise ValueError(
                f"scale_target={self.scale_target!r} cannot change while training goes on with a network made with "
                f"{self._scaled!r}; fit with warm_start=False makes a new one."
            )
        if loss.not_below_0 and columns.min() < 0:
            raise ValueError(f"loss={self.loss!r} needs numbers that are not below 0 in y, got {columns.min():g}.")
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused as infinite, in words
            if first and self.scale_target:
                self._learn_scale(columns, weights)
            values = columns - self.target_mean_
            values /= self.target_scale_
            values = values.astype(self.dtype, copy=False)
        if not (all_finite(values.reshape(-1)) and all_finite(self.target_scale_)):
            raise ValueError(f"y must hold numbers that dtype={self.dtype!r} can, got {y.min()} to {y.max()}.")
        return values

    def _learn_scale(self, columns, weights):
        weights = None if weights is None else weights / weights.max()
        mean = np.average(columns, axis=0, weights=weights)
        if self._loss.not_below_0:  # counts stay above 0, and what they are in relation to their mean
            scale = mean
        else:
            self.target_mean_ = mean
            squares = columns - mean
            squares *= squares
            scale = np.sqrt(np.average(squares, axis=0, weights=weights))
        # A constant's deviation may not be exactly 0.
        self.target_scale_ = np.where(scale > 1e-12 * np.abs(mean), scale, 1.0)

    def _make_loss(self):
        return self._loss

    def _head(self):
        scaling = {"scale": self.target_scale_, "shift": self.target_mean_} if self._scaled else {}
        return Head(self._loss.out_activation, **scaling, single_output=self._single_output)

    def _n_outputs(self):
        return self.target_mean_.size

    def _stratify(self, values):
        return None

    def _store_learnt(self):
        metadata = {"single_output": self._single_output, "loss": encode(self._loss, "loss"), "scaled": self._scaled}
        return metadata, {"target_mean": self.target_mean_, "target_scale": self.target_scale_}

    def _restore_learnt(self, section, arrays):
        self._single_output, self._scaled = section.take("single_output", bool), section.take("scaled", bool)
        self._loss = decode(section.take("loss", dict), "loss")
        if not isinstance(self._loss, Loss):
            raise ModelFormatError(f"loss={self._loss!r:.100} is no loss of a regressor.")
        self.target_mean_ = arrays.numbers("target_mean", np.dtype("float64"), (None,))
        self.target_scale_ = arrays.numbers("target_scale", np.dtype("float64"), self.target_mean_.shape)
        if self.target_mean_.size < 1 or (self._single_output and self.target_mean_.size > 1):
            raise ModelFormatError(f"target_mean has {self.target_mean_.size} entries.")
        if not (self.target_scale_ > 0).all():
            raise ModelFormatError("target_scale must hold numbers above 0.")
        section.close()

    def _score_predictions(self, predictions, target):
        values, weights = values_and_weights(target)
        return r2_score(values, predictions.T, sample_weight=weights)
