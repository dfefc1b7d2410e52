"""Curves of the epochs for TensorBoard."""

import math
import os
import time

from truesparse.callbacks.totals import totals
from truesparse.network.mlp import MLP
from truesparse.runtime.checks import check_path
from truesparse.training.state import EpochRecord


class TensorBoardLogger:
    """A callback that writes the curves of a fit for TensorBoard.

    There is a curve for each field of `truesparse.training.state.EpochRecord` that has values, added up over the layers
    where they have an entry for each; epochs are the steps.

    In TensorBoard, the value of an epoch hides what was written for that epoch and for later ones before. So a fit that
    goes on from a checkpoint, a warm start and ``partial_fit`` continue the curves, and a new fit replaces them: give
    every fit whose curves you want to compare a directory of its own. The fits of a search share this one; at the same
    time they would mix their curves.

    Parameters
    ----------
    directory : path
        Made if it is not there. Every call of ``fit`` and ``partial_fit`` adds a file.

    Raises
    ------
    ImportError
        If neither tensorboardX is installed nor tensorboard with torch. tensorboardX is taken first, for it loads
        faster.

    Examples
    --------
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.callbacks import TensorBoardLogger
    >>> model = SparseMLPClassifier(callbacks=[TensorBoardLogger("runs/first")])  # doctest: +SKIP
    """

    def __init__(self, directory: str | os.PathLike):
        check_path("directory", directory)
        _summary_writer()
        self.directory, self._writer = directory, None

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Add a point to every curve."""
        if self._writer is None:
            # tensorboardX names files by the second, and would overwrite that of a fit that ended in this one.
            options = {"purge_step": record.epoch, "filename_suffix": f".{time.time_ns()}"}
            self._writer = _summary_writer()(os.fspath(self.directory), **options)
        for name, value in totals(record).items():
            if name != "epoch" and not math.isnan(value):
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
