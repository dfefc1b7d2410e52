"""Early stopping by the records of the epochs."""

import math
from collections.abc import Sequence

from truesparse.network.mlp import MLP
from truesparse.runtime.checks import check_count, check_number
from truesparse.training.state import EpochRecord

_SIGNS = {"validation_score": 1, "validation_loss": -1, "train_loss": -1}  # so that higher is better


class EarlyStopping:
    """A callback that asks to stop when a loss or a score has not improved for some epochs.

    It does nothing else. The estimators' ``early_stopping=True`` sets validation data aside unless ``fit`` is given
    some, and returns the network of the epoch with the best score; this callback alone leaves that of the last epoch.
    Both can be combined, say to stop by the validation loss and keep the best score; the first to ask is obeyed.

    A new fit counts anew, a resumed one counts on. ``partial_fit`` trains for one epoch, which no callback can shorten,
    without validation data: monitor ``"train_loss"`` if you use it.

    Parameters
    ----------
    monitor : {"validation_score", "validation_loss", "train_loss"}, default="validation_score"
        A score should rise, a loss fall. The training loss rises for a while whenever connections are replaced: choose
        a `patience` of several updates of the topology. Without validation data to monitor, ``fit`` raises a
        ValueError at the end of the first epoch.
    patience : int, default=10
        Epochs without improvement after which to stop.
    min_delta : float, default=0.0
        An epoch is an improvement if it is better than the best one by more than this.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.callbacks import EarlyStopping
    >>> X, y = load_iris(return_X_y=True)
    >>> stop = EarlyStopping("train_loss", patience=3, min_delta=0.05)
    >>> model = SparseMLPClassifier((20,), epsilon=5, max_iter=100, random_state=0, callbacks=[stop]).fit(X, y)
    >>> model.n_iter_ < 100
    True
    """

    def __init__(self, monitor: str = "validation_score", *, patience: int = 10, min_delta: float = 0.0):
        if monitor not in list(_SIGNS):
            raise ValueError(f"monitor={monitor!r} must be one of {list(_SIGNS)}.")
        check_count("patience", patience)
        check_number("min_delta", min_delta, 0)
        self.monitor, self.patience, self.min_delta = monitor, int(patience), float(min_delta)
        self._best, self._stall = -math.inf, 0

    def on_train_begin(self, network: MLP) -> None:
        """Forget the best epoch."""
        self._best, self._stall = -math.inf, 0

    def on_resume(self, network: MLP, records: Sequence[EpochRecord]) -> bool:
        """Count the epochs that are done; return whether the patience was exhausted in one of them."""
        return any(self.on_epoch_end(network, record) for record in records)

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> bool:
        """Return whether the patience is exhausted."""
        value = _SIGNS[self.monitor] * getattr(record, self.monitor)
        if math.isnan(value):
            raise ValueError(
                f"monitor={self.monitor!r} needs validation data: give fit X_val and y_val, or let early_stopping=True "
                "set some aside. Without them 'train_loss' is allowed."
            )
        self._stall = 0 if value > self._best + self.min_delta else self._stall + 1
        self._best = max(self._best, value)
        return self._stall >= self.patience
