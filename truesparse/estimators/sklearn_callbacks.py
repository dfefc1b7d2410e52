"""Callbacks of scikit-learn 1.9 or later; one of our callbacks calls them, and no other file knows of them.

A fit is a task of theirs, and each of its epochs a task within it.
"""

from typing import Any

from sklearn.base import BaseEstimator

from truesparse.estimators.run import Run
from truesparse.network.mlp import MLP
from truesparse.training.state import EpochRecord

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in where scikit-learn has no callbacks."""


# Attributes that scikit-learn keeps in an estimator before, during and after a fit.
_MANAGED = (
    "_skl_callbacks", "_parent_callback_ctx", "_callback_fit_ctx", "_skl_callbacks_to_teardown", "_metadata_request",
)  # fmt: skip


def managed(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the attributes that belong to scikit-learn and outlast a fit that fails."""
    return {name: value for name, value in vars(estimator).items() if name in _MANAGED}


class CallbackBridge:
    """A callback of ours that calls scikit-learn's with the data as given to ``fit``.

    They get a copy of the estimator with the network of the epoch, made only if they ask for it; in the end it has the
    network that the fit returns.
    """

    def __init__(self, estimator: BaseEstimator, data: tuple[Any, Any, Any], run: Run, n_epochs: int):
        self._estimator, self._run, self._n_epochs = estimator, run, n_epochs
        X, y, sample_weight = data
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"X": X, "y": y, "metadata": metadata}
        self._epoch: Any = None

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
        """End the fit, and before it an epoch that was cut short, without its network."""
        if self._epoch is not None:
            self._epoch.call_on_fit_task_end(estimator=self._estimator)
        self._end(self._fit)

    def _end(self, task):
        return task.call_on_fit_task_end(
            estimator=self._estimator, **self._data, reconstruction_attributes=lambda: {"_run": self._run.copy()}
        )
