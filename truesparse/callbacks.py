"""Watching a training run. A callback changes nothing, but may ask to stop."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from truesparse.network import MLP
    from truesparse.topology import Rewiring
    from truesparse.training_state import EpochRecord


class Callback(Protocol):
    """Anything with one or several of these methods."""

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
