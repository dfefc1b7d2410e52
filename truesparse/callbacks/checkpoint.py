"""Checkpoints of a fit."""

import os
from collections.abc import Callable
from typing import Any

from truesparse.network.mlp import MLP
from truesparse.runtime.checks import check_count, check_folder, check_path
from truesparse.training.state import EpochRecord


class Checkpoint:
    """A callback that writes the state of a fit to a file, from which ``fit(X, y, resume_from=path)`` goes on.

    `truesparse.load` reads the file as a model at any time. Of parameters that are code, such as a `batch_transform` or
    a rule of your own, it holds only the names; whoever resumes must have the code.

    Parameters
    ----------
    path : path
        Every checkpoint replaces the one before at once, so that the file is complete even if the process is killed
        while it writes. Use one path per fit: the clones of a search would all write to the same. Before it trains,
        ``fit`` raises a RuntimeError if another fit uses this callback, and a
        `truesparse.estimators.persistence.ModelFormatError` if the model cannot be stored.
    every : int, default=1
        Epochs from one checkpoint to the next.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.callbacks import Checkpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> path = Path(tempfile.mkdtemp()) / "iris.npz"
    >>> model = SparseMLPClassifier((20,), epsilon=5, max_iter=6, random_state=0, callbacks=[Checkpoint(path, every=4)])
    >>> model.fit(X, y, resume_from=path if path.exists() else None).n_iter_
    6
    >>> model.fit(X, y, resume_from=path).n_iter_  # epochs 5 and 6 once more
    6
    """

    def __init__(self, path: str | os.PathLike, every: int = 1):
        check_path("path", path)
        check_count("every", every)
        self.path, self.every = path, int(every)
        self._write: Any = None  # writes a checkpoint to a path, while a fit lasts

    def on_fit_begin(self, write_checkpoint: Callable[[str | os.PathLike], None]) -> None:
        """Keep `write_checkpoint`; raise a FileNotFoundError if the folder of the path does not exist."""
        if self._write is not None:
            raise RuntimeError(f"{self.path!r} is the checkpoint of a fit that has not ended; take another Checkpoint.")
        check_folder(self.path)
        self._write = write_checkpoint

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Write a checkpoint if this epoch is due."""
        if record.epoch % self.every == 0:
            self._write(self.path)

    def on_fit_end(self) -> None:
        """Let go of the training and its data."""
        self._write = None

    def __getstate__(self):
        # A copy belongs to no training.
        return vars(self) | {"_write": None}
