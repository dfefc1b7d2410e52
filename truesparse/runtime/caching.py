"""Properties that are computed once, at first use."""

from collections.abc import Callable
from typing import Any


class cached_property:  # noqa: N801
    """`functools.cached_property` without the lock of Python 3.11, which may be held forever after a fork.

    Two threads may both compute the value.
    """

    def __init__(self, function: Callable[[Any], Any]):
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str):
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = vars(instance)[self._name] = self._function(instance)
        return value
