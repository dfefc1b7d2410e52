"""Ctrl-C during a fit: the first asks it to stop after the batch, a second raises `KeyboardInterrupt` at once.

In a search, Ctrl-C is meant to end all fits: the fit of another estimator that begins within two seconds after one was
stopped raises `KeyboardInterrupt` as well. A user who types the next command is slower than that. The same estimator
may go on at any time.
"""

import signal
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_SOON = 2.0  # seconds

_stopped: tuple[weakref.ref, float] | None = None  # the estimator whose fit was stopped last, and when that fit ended


@contextmanager
def stop_on_interrupt(stop: Callable[[], None], owner: Any) -> Iterator[None]:
    """Call `stop` at a first Ctrl-C within the ``with`` block, in which the estimator `owner` is fitted.

    Nothing changes outside the main thread, which alone may handle signals, nor if another handler than Python's own
    is in charge.
    """
    global _stopped
    asked = False

    def handle(number, frame):
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop()

    if not _take_over(handle):
        yield
        return
    try:
        if _is_next_of_many(owner):
            raise KeyboardInterrupt
        yield
        if asked:
            _stopped = weakref.ref(owner), time.monotonic()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def raise_on_interrupt() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at the first Ctrl-C within the ``with`` block, also while an estimator is fitted."""

    def handle(number, frame):
        raise KeyboardInterrupt

    if not _take_over(handle):
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _take_over(handler):
    """Install a handler; return whether that is possible."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:  # not in the main thread of the main interpreter
        return False
    return True


def _is_next_of_many(owner):
    global _stopped
    if _stopped is None:
        return False
    (estimator, ended), _stopped = _stopped, None
    return estimator() is not owner and time.monotonic() - ended < _SOON
