"""Watching a training run. A callback is told of every epoch; it changes nothing, but may ask to stop."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from truesparse.training import EpochRecord


class Callback(Protocol):
    """Anything with this method."""

    def on_epoch_end(self, record: "EpochRecord") -> bool | None:
        """Called after every epoch, before the topology changes for the next; True asks to stop."""


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
