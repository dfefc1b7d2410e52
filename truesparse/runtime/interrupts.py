"""Ctrl-C as a wish to stop soon, where there is something to keep.

The first Ctrl-C asks to stop, a second one raises `KeyboardInterrupt` at once. It does so the first time where the fit
is one of many, as in a search, which would go on with the next one and is what the user wants to end.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Whoever in scikit-learn calls one fit and is done; all else in it, and joblib, calls many.
_ONE_FIT = (
    "sklearn.base",
    "sklearn.callback",
    "sklearn.compose._target",
    "sklearn.feature_selection._from_model",
    "sklearn.model_selection._search",  # the candidates are fitted by way of joblib, the best one is not
    "sklearn.model_selection._search_successive_halving",
    "sklearn.pipeline",
    "sklearn.utils",
)


@contextmanager
def stop_on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at a first Ctrl-C within the ``with`` block, which goes on.

    Nothing changes in threads other than the main one, which alone may handle signals, nor where Python's own handler
    is not in charge, for then somebody else is.
    """
    asked = False

    def handle(number, frame):
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop()

    # Who calls the fit, not where it is interrupted: metrics and transformers of scikit-learn may be at work within it.
    if _is_one_of_many(sys._getframe()) or not _take_over(handle):
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _take_over(handler):
    """Whether that can be."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:  # not in the main thread of the main interpreter
        return False
    return True


def _is_one_of_many(frame: FrameType | None) -> bool:
    """Whether the code that is running was called by what fits many estimators."""
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name.split(".")[0] == "joblib":
            return True
        if name.split(".")[0] == "sklearn" and not any(name == one or name.startswith(f"{one}.") for one in _ONE_FIT):
            return True
        frame = frame.f_back
    return False
