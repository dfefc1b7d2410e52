"""Checkpoints of a fit."""

import os
from collections.abc import Callable
from typing import Any

from truesparse.network.mlp import MLP
from truesparse.runtime.checks import check_count, check_folder, check_path
from truesparse.training.state import EpochRecord


class Checkpoint:
    """A callback that writes the state of a fit to a file, from which ``fit(X, y, resume_from=path)`` goes on.

    `truesparse.load` reads the file as a model at any time. Of parameters that are code, such as a `batch_transform`
    or a rule of your own, it holds only the names; whoever resumes must have the code.

    Parameters
    ----------
    path : path
        Every checkpoint replaces the one before at once, so that the file is complete even if the process is killed
        while it writes. Use one path per fit: the clones of a search would all write to the same. Before it trains,
        ``fit`` raises a RuntimeError if another fit uses this callback, and a
        `truesparse.estimators.persistence.ModelFormatError` if the model cannot be stored.
    every : int, default=1
        Epochs from one checkpoint to the next.
    every_chunks : int, default=None
        Chunks from one checkpoint to the next within an epoch, if the data are `truesparse.data.Chunks`. All chunks of
        a window end together, because their samples are shuffled. So a checkpoint is written when the first `window`,
        2 · `window`, … chunks of an epoch have been used, whenever that passes a multiple of `every_chunks`, after the
        batch with the last of their samples. The end of an epoch is up to `every`. None, or other data than chunks:
        not within epochs.

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

    def __init__(self, path: str | os.PathLike, every: int = 1, *, every_chunks: int | None = None):
        check_path("path", path)
        check_count("every", every)
        check_count("every_chunks", every_chunks, none=True)
        self.path, self.every = path, int(every)
        self.every_chunks = None if every_chunks is None else int(every_chunks)
        self._n_chunks = 0  # of the epoch, that have been used
        self._write: Any = None  # writes a checkpoint to a path, while a fit lasts

    def on_fit_begin(self, write_checkpoint: Callable[[str | os.PathLike], None]) -> None:
        """Keep `write_checkpoint`; raise a FileNotFoundError if the folder of the path does not exist."""
        if self._write is not None:
            raise RuntimeError(f"{self.path!r} is the checkpoint of a fit that has not ended; take another Checkpoint.")
        check_folder(self.path)
        self._write = write_checkpoint

    def on_epoch_begin(self, network: MLP, epoch: int) -> None:
        """Begin to count chunks."""
        self._n_chunks = 0

    def on_chunks(self, network: MLP, n_chunks: int) -> None:
        """Write a checkpoint if one is due after so many chunks."""
        before, self._n_chunks = self._n_chunks, n_chunks
        if self.every_chunks is not None and n_chunks // self.every_chunks > before // self.every_chunks:
            self._write(self.path)

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
