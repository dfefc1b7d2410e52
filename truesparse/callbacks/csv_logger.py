"""Table of the epochs in a file."""

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from truesparse.callbacks.loggers import totals
from truesparse.network.mlp import MLP
from truesparse.runtime.checks import check_path
from truesparse.training.state import EpochRecord


class CSVLogger:
    """A callback that appends a row to a file of comma-separated values at the end of every epoch.

    The columns are the fields of `truesparse.training.state.EpochRecord`, summed over the layers where they have an
    entry per layer (``history_`` has each layer). Missing values are ``nan``.

    The row of an epoch replaces those of the same and of all later epochs: a new fit begins the table anew; a resumed
    fit, a warm start and ``partial_fit`` append to it. Fits of a search that run one after another leave the table of
    the last one. A RuntimeError is raised if the file was changed between two epochs, as another fit would.

    Parameters
    ----------
    path : path
        A new file, an empty one, or such a table; for anything else, ``fit`` raises a ValueError before it trains.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.callbacks import CSVLogger
    >>> X, y = load_iris(return_X_y=True)
    >>> path = Path(tempfile.mkdtemp()) / "epochs.csv"
    >>> model = SparseMLPClassifier((20,), epsilon=5, max_iter=2, random_state=0, callbacks=[CSVLogger(path)])
    >>> _ = model.fit(X, y)
    >>> header, first, second = path.read_text().splitlines()
    >>> header
    'epoch,train_loss,validation_loss,validation_score,learning_rate,nnz,edges_replaced,seconds'
    """

    def __init__(self, path: str | os.PathLike):
        check_path("path", path)
        self.path = path
        self._left: int | None = None  # size of the file after our last row

    def on_train_begin(self, network: MLP) -> None:
        """Raise a ValueError for a file that is no such table."""
        self._left = None
        self._lines()

    def on_resume(self, network: MLP, records: Sequence[EpochRecord]) -> None:
        """Write the rows of all epochs that are done; some may be missing."""
        for record in records:
            self.on_epoch_end(network, record)

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Write the epoch's row."""
        row = totals(record)
        header, cells = (",".join(map(str, line)).encode() + b"\n" for line in (row, row.values()))
        if self._left is None:
            n_bytes = self._bytes_before(record.epoch, header)
        elif self._left != os.stat(self.path).st_size:
            raise RuntimeError(f"{str(self.path)!r} was changed while a fit wrote to it, perhaps by another fit.")
        else:
            n_bytes = self._left
        with open(self.path, "ab") as file:
            file.truncate(n_bytes)
            file.write(cells if n_bytes else header + cells)
        self._left = os.stat(self.path).st_size

    def _lines(self):
        """Return the header and the rows of the file; [] if it is missing or empty."""
        try:
            lines = Path(self.path).read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        if lines and not (lines[0].startswith(b"epoch,") and all(_epoch(line) for line in lines[1:])):
            raise ValueError(f"path={str(self.path)!r} is no table of epochs; it is not overwritten.")
        return lines

    def _bytes_before(self, epoch, header):
        """Return the size of the file up to the row of an epoch."""
        first, *rows = self._lines() or [b""]
        kept = list(takewhile(lambda row: row.endswith(b"\n") and _epoch(row) < epoch, rows))
        if kept and first != header:
            raise ValueError(f"path={str(self.path)!r} has other columns than {header.decode().strip()}.")
        return len(first) + sum(map(len, kept)) if kept else 0

    def __getstate__(self):
        # A copy has written nothing yet.
        return vars(self) | {"_left": None}


def _epoch(row):
    """Return the epoch of a row, or 0 if it is no row."""
    number = row.partition(b",")[0].strip()
    return int(number) if number.isdigit() else 0
