"""Loggers of the epochs for TensorBoard and MLflow."""

import math
import os
import time
from typing import Any

from truesparse.network.mlp import MLP
from truesparse.runtime.checks import check_flag, check_path
from truesparse.training.state import EpochRecord


def totals(record: EpochRecord) -> dict[str, float]:
    """Return the fields of a record by name, summed over layers where they have an entry per layer."""
    return {name: sum(value) if isinstance(value, list) else value for name, value in vars(record).items()}


def _metrics(record):
    """Return the totals that are not NaN, except for the epoch."""
    return {name: float(n) for name, n in totals(record).items() if name != "epoch" and not math.isnan(n)}


class TensorBoardLogger:
    """A callback that draws the curves of a fit in TensorBoard.

    Each field of `truesparse.training.state.EpochRecord` that has values is a curve over the epochs, summed over the
    layers where it has an entry per layer.

    A resumed fit, a warm start and ``partial_fit`` continue the curves, and a new fit replaces them: TensorBoard hides
    what was written before for the same epoch and later ones. To compare fits, give each a directory of its own. The
    fits of a search share this one, and mix their curves if they run at the same time.

    Parameters
    ----------
    directory : path
        Created if necessary. Every call of ``fit`` and ``partial_fit`` adds a file. This needs tensorboardX, which is
        preferred because it loads faster, or tensorboard with torch.
    """

    def __init__(self, directory: str | os.PathLike):
        check_path("directory", directory)
        _summary_writer()
        self.directory = directory
        self._writer: Any = None

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Add a point to every curve."""
        if self._writer is None:
            # tensorboardX names files by the second, and would overwrite that of a fit that ended in this one.
            options = {"purge_step": record.epoch, "filename_suffix": f".{time.time_ns()}"}
            self._writer = _summary_writer()(os.fspath(self.directory), **options)
        for name, value in _metrics(record).items():
            self._writer.add_scalar(name, value, record.epoch)
        self._writer.flush()

    def on_fit_end(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __getstate__(self):
        # A copy has a file of its own.
        return vars(self) | {"_writer": None}


def _summary_writer():
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("TensorBoardLogger needs tensorboardX, or tensorboard with torch.") from error
    return SummaryWriter


class MLflowLogger:
    """A callback that logs the epochs of a fit to MLflow; an epoch is a step.

    The metrics are the values that `TensorBoardLogger` draws. They go to the active run, which is left open: a resumed
    fit and all calls of ``partial_fit`` can log to the same one. Without an active run, a fit starts and ends its own.
    To log parameters, call ``mlflow.log_params(model.get_params())``.

    Parameters
    ----------
    nested : bool, default=False
        Start a run for every fit, as a child of the active one if there is one. Useful for the fits of a search.
    """

    def __init__(self, *, nested: bool = False):
        check_flag("nested", nested)
        _mlflow()
        self.nested = bool(nested)
        self._status: str | None = None  # of a run that this logger has started

    def on_train_begin(self, network: MLP) -> None:
        """Start a run if necessary."""
        mlflow = _mlflow()
        if self.nested or mlflow.active_run() is None:
            mlflow.start_run(nested=self.nested)
            self._status = "FAILED"

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Log the epoch."""
        _mlflow().log_metrics(_metrics(record), step=record.epoch)

    def on_train_end(self, network: MLP) -> None:
        """Note that training did not fail."""
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
