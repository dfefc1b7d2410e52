"""Watching a training run. A callback changes nothing, but may ask to stop."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from truesparse.validation import check_count

if TYPE_CHECKING:
    from truesparse.network import MLP
    from truesparse.topology import Rewiring
    from truesparse.training_state import EpochRecord


class Callback(Protocol):
    """Anything with one or several of these methods."""

    def on_fit_begin(self, write_checkpoint: Callable[[str | os.PathLike], None]) -> None:
        """Called by an estimator before it trains; ``write_checkpoint(path)`` is for `on_epoch_end`."""

    def on_fit_end(self) -> None:
        """Called by an estimator after it trained, whatever ended that."""

    def on_train_begin(self, network: "MLP") -> None:
        """Called before the first epoch of every call of `Trainer.train`."""

    def on_topology_change(self, step: int, rewirings: Sequence["Rewiring | None"]) -> None:
        """Called after every update of the topology, before step number `step`; None for layers that stay."""

    def on_units_removed(self, network: "MLP") -> None:
        """Called after hidden units were removed."""

    def on_epoch_end(self, record: "EpochRecord") -> bool | None:
        """Called after every epoch, before the topology changes for the next; True asks to stop."""


def notify(callbacks: Iterable[Callback], event: str, *args: Any) -> list:
    """Call a method of all callbacks that have it, and return what they return."""
    return [getattr(callback, event)(*args) for callback in callbacks if hasattr(callback, event)]


@contextmanager
def watching(callbacks: Iterable[Callback], write_checkpoint: Callable[[str | os.PathLike], None]) -> Iterator[None]:
    """A ``with`` block for a fit, in which callbacks know how to write a checkpoint."""
    with ExitStack() as begun:
        for callback in callbacks:
            notify([callback], "on_fit_begin", write_checkpoint)
            begun.callback(notify, [callback], "on_fit_end")
        yield


class EpochPrinter:
    """Prints one line per epoch.

    Parameters
    ----------
    last_epoch : int
        The number of the last epoch that is planned.
    """

    def __init__(self, last_epoch: int):
        self._last_epoch = last_epoch

    def on_epoch_end(self, record: "EpochRecord") -> None:
        """Print the record."""
        validation = ""
        if record.validation_score == record.validation_score:  # not NaN
            validation = f"  validation loss {record.validation_loss:.4f}  score {record.validation_score:.4f}"
        print(
            f"epoch {record.epoch:>4}/{self._last_epoch}  loss {record.train_loss:.4f}{validation}"
            f"  learning rate {record.learning_rate:.2g}  replaced {sum(record.edges_replaced)} of {sum(record.nnz)}"
            f"  {record.seconds:.2f} s"
        )


class Checkpoint:
    """Writes the state of a fit to a file, so that ``fit(X, y, resume_from=path)`` can go on with it.

    The file is a model as well, which `truesparse.load` reads at any time. Parameters that are code, such as a
    `batch_transform` or a rule of your own, are only named in it; whoever resumes has them.

    Parameters
    ----------
    path : path
        Replaced by every checkpoint, and always whole: a process that is killed while it writes leaves the one before.
        It belongs to one fit at a time; the clones of a search would all write to it.
    every : int, default=1
        Epochs from one checkpoint to the next.

    Raises
    ------
    OSError
        From ``fit``, if a checkpoint cannot be written.
    truesparse.persistence.ModelFormatError
        From ``fit``, before it trains, if what shapes the network cannot be stored.
    RuntimeError
        From ``fit``, before it trains, if another fit is using this callback.

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
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"path={path!r} must be a path.")
        check_count("every", every)
        self.path, self.every, self._write = path, every, None

    def on_fit_begin(self, write_checkpoint: Callable[[str | os.PathLike], None]) -> None:
        """Remember how to write."""
        if self._write is not None:
            raise RuntimeError(f"{self.path!r} is the checkpoint of a fit that has not ended; take another Checkpoint.")
        self._write = write_checkpoint

    def on_epoch_end(self, record: "EpochRecord") -> None:
        """Write, if this epoch is one of those."""
        if record.epoch % self.every == 0:
            self._write(self.path)

    def on_fit_end(self) -> None:
        """Let go of the training and its data."""
        self._write = None

    def __getstate__(self):
        # A copy belongs to no training.
        return vars(self) | {"_write": None}
