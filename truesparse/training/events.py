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

    They are the moments of scikit-learn's own callbacks, from version 1.9 on, and those at which a topology changes:

    | here | scikit-learn |
    |---|---|
    | ``on_fit_begin``, ``on_fit_end`` | ``setup``, ``teardown`` |
    | ``on_train_begin``, ``on_train_end`` | ``on_fit_task_begin``, ``on_fit_task_end`` of the fit |
    | ``on_epoch_begin``, ``on_epoch_end`` | ``on_fit_task_begin``, ``on_fit_task_end`` of an epoch |
    | ``on_step``, ``on_topology_change``, ``on_units_removed``, ``on_resume`` | |
    """

    def on_fit_begin(self, write_checkpoint: Callable[[str | os.PathLike], None]) -> None:
        """Called by an estimator before it trains; ``write_checkpoint(path)`` is for `on_epoch_end`."""

    def on_fit_end(self) -> None:
        """Called by an estimator after it trained, whatever ended that."""

    def on_train_begin(self, network: MLP) -> None:
        """Called before the first epoch of every call of `Trainer.train`."""

    def on_train_end(self, network: MLP) -> None:
        """Called after the last epoch, unless an error ended it, when the best network has been restored."""

    def on_resume(self, network: MLP, records: Sequence[EpochRecord]) -> bool | None:
        """Called after `on_train_begin` of a training that goes on from a checkpoint, with the records of the epochs
        that it has behind it; True asks to do no more.
        """  # fmt: skip

    def on_epoch_begin(self, network: MLP, epoch: int) -> None:
        """Called before every epoch; they are counted from 1."""

    def on_step(self, network: MLP, step: int) -> None:
        """Called after every step; they are counted from 1, over all epochs."""

    def on_topology_change(self, network: MLP, step: int, rewirings: Sequence[Rewiring | None]) -> None:
        """Called after every update of the topology, before step number `step`; None for layers that stay."""

    def on_units_removed(self, network: MLP) -> None:
        """Called after hidden units were removed."""

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> bool | None:
        """Called after every epoch, before the topology changes for the next; True asks to stop."""


def notify(callbacks: Iterable[Callback], event: str, *args: Any) -> list:
    """Call a method of all callbacks that have it, and return what they return."""
    return [getattr(callback, event)(*args) for callback in callbacks if hasattr(callback, event)]


def asks_to_stop(event: str, answers: Iterable[Any]) -> bool:
    """Return whether a callback answered an event with True.

    Raises
    ------
    ValueError
        If an answer is neither True nor False nor None.
    """
    asked = False
    for answer in answers:
        if answer is not None and not isinstance(answer, bool | np.bool_):
            raise ValueError(
                f"{event} of a callback returned {answer!r}; True, which asks to stop, False or None are allowed."
            )
        asked = asked or bool(answer)
    return asked


@contextmanager
def watching(callbacks: Iterable[Callback], write_checkpoint: Callable[[str | os.PathLike], None]) -> Iterator[None]:
    """A ``with`` block for a fit, in which callbacks know how to write a checkpoint.

    Warns
    -----
    UserWarning
        If a callback fails at the end: the training is done, and is not lost for that.
    """
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
