"""scikit-learn's callbacks, which it has from version 1.9 on; no other file knows of them.

A fit is a task of theirs, and each of its epochs a task within it. They are called by one of our own callbacks, so that
the training loop knows nothing of them.
"""

from typing import Any

from sklearn.base import BaseEstimator

from truesparse.estimators.run import Run
from truesparse.network.mlp import MLP
from truesparse.training.state import EpochRecord

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:
        """What an estimator has of scikit-learn's callbacks before there are any: nothing."""


# What scikit-learn keeps in an estimator before, during and after a fit.
_MANAGED = (
    "_skl_callbacks", "_parent_callback_ctx", "_callback_fit_ctx", "_skl_callbacks_to_teardown", "_metadata_request",
)  # fmt: skip


def managed(estimator: BaseEstimator) -> dict[str, Any]:
    """The attributes that belong to scikit-learn, and outlast whatever a fit does to the others."""
    return {name: value for name, value in vars(estimator).items() if name in _MANAGED}


def bridges(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any, run: Run, *, n_epochs: int
) -> list["CallbackBridge"]:
    """A `CallbackBridge`, if the estimator has such callbacks."""
    if not hasattr(estimator, "_skl_callbacks"):
        return []
    return [CallbackBridge(estimator, X, y, sample_weight, run, n_epochs=n_epochs)]


class CallbackBridge:
    """A callback of ours that calls scikit-learn's.

    They see the data as `fit` was given them. The fitted estimator of an epoch is a copy with the network of that
    epoch, made only if a callback asks for it; in the end it has the network that the fit returns.

    Parameters
    ----------
    estimator : SparseMLPClassifier or SparseMLPRegressor
    X, y, sample_weight
        As given to ``fit``.
    run : Run
        The network in training, which the estimator will have after the fit.
    n_epochs : int
        Epochs that are planned.
    """

    def __init__(self, estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any, run: Run, *, n_epochs: int):
        self._estimator, self._run, self._n_epochs = estimator, run, n_epochs
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"X": X, "y": y, "metadata": metadata}
        self._epoch = None

    def on_fit_begin(self, write_checkpoint: None) -> None:
        """Set up; scikit-learn's ``_fit_context`` tears down."""
        self._fit = self._estimator._init_callback_context(max_subtasks=self._n_epochs)

    def on_train_begin(self, network: MLP) -> None:
        """Begin the fit."""
        self._fit.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def on_epoch_begin(self, network: MLP, epoch: int) -> None:
        """Begin an epoch."""
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> bool:
        """End an epoch; True asks to stop."""
        epoch, self._epoch = self._epoch, None
        return self._end(epoch)

    def on_train_end(self, network: MLP) -> None:
        """End the fit, and an epoch that was cut short: of that there is nothing to see."""
        if self._epoch is not None:
            self._epoch.call_on_fit_task_end(estimator=self._estimator)
        self._end(self._fit)

    def _end(self, task):
        return task.call_on_fit_task_end(
            estimator=self._estimator, **self._data, reconstruction_attributes=self._fitted_so_far
        )

    def _fitted_so_far(self):
        return {"_run": self._run.copy()}
