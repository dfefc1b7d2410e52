"""Warnings that point at the user's line."""

import sys
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType
from typing import Any

_INTERNAL = ("truesparse", "sklearn", "joblib", "contextlib")

# Arguments of `warn` in the call of `collecting` that is under way.
_collected: ContextVar[list | None] = ContextVar("collected", default=None)

_said: set[tuple[str, str, int]] = set()  # topics, files and lines of warnings in tasks of joblib


def warn(message: str, category: type[Warning] = UserWarning, *, once: bool = False) -> None:
    """Warn from the last line outside of this library, scikit-learn and joblib.

    With `once`, a search, or anything else whose fits joblib runs, warns once in each process, whatever follows the
    first colon of the message. Python's own filter does not do that, because scikit-learn resets it for every fit.
    """
    if (collected := _collected.get()) is not None:
        collected.append((message, category, once))
        return
    level, by_joblib = 2, False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (package := _package(frame)) in _INTERNAL:
        by_joblib |= package == "joblib"
        level, frame = level + 1, frame.f_back
    if once and frame is not None:
        place = topic(message), frame.f_code.co_filename, frame.f_lineno
        if place in _said:
            if not by_joblib:  # the last fit of a search, with all samples
                _said.remove(place)
            return
        if by_joblib:
            _said.add(place)
    warnings.warn(message, category, stacklevel=level if frame is not None else 2)


def topic(message: str) -> str:
    """Return what a message says before its first colon."""
    return message.partition(":")[0]


def collecting(function: Callable, *args: Any) -> tuple[Any, list[tuple[str, type[Warning], bool]]]:
    """Call a function; return its result, and the arguments of `warn` in place of warnings."""
    collected: list[tuple[str, type[Warning], bool]] = []
    token = _collected.set(collected)
    try:
        return function(*args), collected
    finally:
        _collected.reset(token)


def _package(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]
