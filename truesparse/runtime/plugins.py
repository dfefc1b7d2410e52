"""Registry of plug-ins: short names for classes, such as ``"relu"`` for an activation."""

from collections.abc import Callable
from typing import Any

_MAKERS: dict[str, dict[str, Callable[[], Any]]] = {}


def plugin(kind: str, **names: dict[str, Any]) -> Callable[[type], type]:
    """Register a class under short names, each with arguments of the constructor.

    Parameters
    ----------
    kind : str
        Such as "activation" or "loss".
    **names : dict
        Keyword arguments of the constructor for each short name.
    """

    def register(cls: type) -> type:
        for name, arguments in names.items():
            _MAKERS.setdefault(kind, {})[name] = lambda arguments=arguments: cls(**arguments)
        return cls

    return register


def names(kind: str) -> list[str]:
    """Return the short names of a kind, in the order of their registration."""
    return list(_MAKERS.get(kind, {}))


def resolve(kind: str, value: Any) -> Any:
    """Return the instance that a short name stands for; anything but text is returned as it is.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if not isinstance(value, str):
        return value
    if value not in names(kind):
        raise ValueError(f"{kind}={value!r} is unknown; known are {names(kind)}.")
    return _MAKERS[kind][value]()
