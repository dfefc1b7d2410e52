"""Ctrl-C as a wish to stop soon, where there is something to keep.

The first Ctrl-C asks a fit to stop after the batch; a second one raises `KeyboardInterrupt` at once. Where fits follow
each other, as those of a search, the user wants to end them all: the fit of another estimator that begins within
two seconds after one was stopped raises `KeyboardInterrupt` as well. Whoever types or calls the next command by hand is
slower than that, and may go on with the same estimator at any time.
"""

import signal
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_SOON = 2.0  # seconds

# The estimator whose fit was stopped last, and when that fit ended.
_stopped: tuple[weakref.ref, float] | None = None


@contextmanager
def stop_on_interrupt(stop: Callable[[], None], owner: Any) -> Iterator[None]:
    """Call `stop` at a first Ctrl-C within the ``with`` block, which goes on.

    Nothing changes in threads other than the main one, which alone may handle signals, nor where Python's own handler
    is not in charge, for then somebody else is.

    Parameters
    ----------
    stop : callable
    owner : object
        The estimator that is fitted.

    Raises
    ------
    KeyboardInterrupt
        At a second Ctrl-C, or at the beginning if Ctrl-C has just stopped the fit of another estimator.
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


def _take_over(handler):
    """Install a handler; returns whether that is possible."""
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
