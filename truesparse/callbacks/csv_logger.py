"""A table of the epochs in a file."""

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from truesparse.callbacks.totals import totals
from truesparse.network.mlp import MLP
from truesparse.runtime.checks import check_path
from truesparse.training.state import EpochRecord

_FIRST_COLUMN = b"epoch,"


class CSVLogger:
    """A callback that writes a row for every epoch, at its end, into a file of comma-separated values.

    The columns are the fields of `truesparse.training.state.EpochRecord`, added up over the layers where they have an
    entry for each; ``history_`` has these one by one. What there is no value for is ``nan``.

    The row of an epoch takes the place of that epoch's and of all later ones in the file. So a new fit begins the table
    anew, whereas a fit that goes on from a checkpoint, a warm start and ``partial_fit`` append to it, and no epoch
    stands in it twice. The fits of a search, one after another, leave the table of the last one; two at the same time
    are refused.

    Parameters
    ----------
    path : path
        A file that is not there yet, is empty, or is such a table.

    Raises
    ------
    ValueError
        From ``fit``, before it trains, if the file is something else.
    RuntimeError
        From ``fit``, if the file was changed between two epochs, as another fit would.
    OSError
        From ``fit``, if the file cannot be written.

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
        self.path, self._left = path, None  # what our last row left the file like

    def on_train_begin(self, network: MLP) -> None:
        """Refuse a file that is no such table."""
        self._left = None
        self._lines()

    def on_resume(self, network: MLP, records: Sequence[EpochRecord]) -> None:
        """Write the rows of the epochs that are done, of which some may be missing."""
        for record in records:
            self.on_epoch_end(network, record)

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Write the epoch's row."""
        row = totals(record)
        header, cells = (",".join(map(str, line)).encode() + b"\n" for line in (row, row.values()))
        if self._left is None:
            n_bytes = self._bytes_before(record.epoch, header)
        elif self._left != self._found():
            raise RuntimeError(f"{str(self.path)!r} was changed while a fit wrote to it, perhaps by another fit.")
        else:
            n_bytes = self._left
        with open(self.path, "ab") as file:
            file.truncate(n_bytes)
            file.write(cells if n_bytes else header + cells)
        self._left = self._found()

    def _found(self):
        return os.stat(self.path).st_size

    def _lines(self):
        """The header and the rows in the file, if it is there and not empty."""
        try:
            lines = Path(self.path).read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        if lines and not (lines[0].startswith(_FIRST_COLUMN) and all(_epoch(line) for line in lines[1:])):
            raise ValueError(f"path={str(self.path)!r} is no table of epochs; it is not overwritten.")
        return lines

    def _bytes_before(self, epoch, header):
        """Size of the file up to the row of an epoch."""
        first, *rows = self._lines() or [b""]
        kept = list(takewhile(lambda row: row.endswith(b"\n") and _epoch(row) < epoch, rows))
        if kept and first != header:
            raise ValueError(f"path={str(self.path)!r} has other columns than {header.decode().strip()}.")
        return len(first) + sum(map(len, kept)) if kept else 0

    def __getstate__(self):
        # A copy has written nothing yet.
        return vars(self) | {"_left": None}


def _epoch(row):
    """The number of a row's epoch, or 0 for what is no row."""
    number = row.partition(b",")[0].strip()
    return int(number) if number.isdigit() else 0
