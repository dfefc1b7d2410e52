"""The callback protocol: events of a training and when they fire."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import numpy as np

from truesparse.network.mlp import MLP
from truesparse.runtime.warnings import warn
from truesparse.topology import Rewiring
from truesparse.training.state import EpochRecord


class Callback(Protocol):
    """Anything with one or several of these methods.

    scikit-learn's own callbacks, from 1.9 on, have ``setup`` and ``teardown`` for the begin and end of a fit, and
    ``on_fit_task_begin`` and ``on_fit_task_end`` for those of a training and of an epoch.
    """

    def on_fit_begin(self, write_checkpoint: Callable[[str | os.PathLike], None]) -> None:
        """Called by an estimator before a fit; `on_epoch_end` and `on_chunks` may call ``write_checkpoint(path)``."""

    def on_fit_end(self) -> None:
        """Called by an estimator after a fit, also if an error ended it."""

    def on_train_begin(self, network: MLP) -> None:
        """Called before the first epoch of every call of `Trainer.train`."""

    def on_train_end(self, network: MLP) -> None:
        """Called after the last epoch, with the best network restored, unless an error ended the training."""

    def on_resume(self, network: MLP, records: Sequence[EpochRecord]) -> bool | None:
        """Called after `on_train_begin` of a resumed training, with the records so far; True asks to stop."""

    def on_epoch_begin(self, network: MLP, epoch: int) -> None:
        """Called before every epoch, counted from 1."""

    def on_step(self, network: MLP, step: int) -> None:
        """Called after every step, counted from 1 over all epochs."""

    def on_chunks(self, network: MLP, n_chunks: int) -> None:
        """Called within an epoch when all samples of more chunks have been used, `n_chunks` of this epoch so far.

        That is after a window of `truesparse.data.Chunks` but for the last one. Arrays have no chunks.
        """

    def on_topology_change(self, network: MLP, step: int, rewirings: Sequence[Rewiring | None]) -> None:
        """Called after every update of the topology, before step `step`; None for layers without change."""

    def on_units_removed(self, network: MLP) -> None:
        """Called after hidden units were removed."""

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> bool | None:
        """Called after every epoch, before the topology changes for the next; True asks to stop."""


def notify(callbacks: Iterable[Callback], event: str, *args: Any) -> list:
    """Call a method of all callbacks that have it, and return their answers."""
    return [getattr(callback, event)(*args) for callback in callbacks if hasattr(callback, event)]


def asks_to_stop(event: str, answers: Sequence[Any]) -> bool:
    """Return whether a callback answered an event with True; ValueError for other answers than bool and None."""
    for answer in answers:
        if answer is not None and not isinstance(answer, bool | np.bool_):
            raise ValueError(
                f"{event} of a callback returned {answer!r}; True, which asks to stop, False or None are allowed."
            )
    return any(answers)


@contextmanager
def watching(
    callbacks: Iterable[Callback], write_checkpoint: Callable[[str | os.PathLike], None] | None
) -> Iterator[None]:
    """Call `on_fit_begin` and `on_fit_end` around a ``with`` block; warn if the latter fails, to keep the training."""
    with ExitStack() as begun:
        for callback in callbacks:
            notify([callback], "on_fit_begin", write_checkpoint)
            begun.callback(_end, callback)
        yield


def _end(callback):
    try:
        notify([callback], "on_fit_end")
    except Exception as error:
        warn(f"on_fit_end of {callback!r} failed: {error!r}")
