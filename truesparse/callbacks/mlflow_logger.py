"""Metrics of the epochs for MLflow."""

import math

from truesparse.callbacks.totals import totals
from truesparse.network.mlp import MLP
from truesparse.training.state import EpochRecord


class MLflowLogger:
    """A callback that logs the epochs of a fit to MLflow.

    The metrics are the fields of `truesparse.training.state.EpochRecord` that have values, added up over the layers
    where they have an entry for each; epochs are the steps. Parameters are yours to log, as with
    ``mlflow.log_params(model.get_params())``.

    They go to the active run, which is left open, so that a fit that goes on from a checkpoint, and all calls of
    ``partial_fit``, can log to the same one. Where there is none, the fit gets a run of its own.

    Parameters
    ----------
    nested : bool, default=False
        Give every fit a run of its own also where there is an active one, as its child. The fits of a search want that.

    Raises
    ------
    ImportError
        If mlflow is not installed.

    Examples
    --------
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.callbacks import MLflowLogger
    >>> model = SparseMLPClassifier(callbacks=[MLflowLogger()])  # doctest: +SKIP
    """

    def __init__(self, *, nested: bool = False):
        if not isinstance(nested, bool):
            raise ValueError(f"nested={nested!r} must be True or False.")
        _mlflow()
        self.nested, self._status = nested, None  # of a run that we have started

    def on_train_begin(self, network: MLP) -> None:
        """Start a run where one is needed."""
        mlflow = _mlflow()
        if self.nested or mlflow.active_run() is None:
            mlflow.start_run(nested=self.nested)
            self._status = "FAILED"

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Log the epoch."""
        metrics = {name: float(value) for name, value in totals(record).items() if name != "epoch"}
        metrics = {name: value for name, value in metrics.items() if not math.isnan(value)}
        _mlflow().log_metrics(metrics, step=record.epoch)

    def on_train_end(self, network: MLP) -> None:
        """Take note that nothing failed."""
        if self._status is not None:
            self._status = "FINISHED"

    def on_fit_end(self) -> None:
        """End the run that `on_train_begin` has started."""
        if self._status is not None:
            _mlflow().end_run(self._status)
            self._status = None

    def __getstate__(self):
        # A copy has started nothing.
        return vars(self) | {"_status": None}


def _mlflow():
    try:
        import mlflow
    except ImportError as error:
        raise ImportError("MLflowLogger needs mlflow.") from error
    return mlflow
