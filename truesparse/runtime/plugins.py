"""Plug-ins: classes that are registered under a kind and short names.

A rule, a loss, an initializer, a schedule or a batch transform is one frozen dataclass:

    @plugin("grow", my_rule={}, my_quick_rule={"n_samples": 100})
    @dataclass(frozen=True)
    class MyRule:
        ...

``"my_rule"`` and ``"my_quick_rule"`` then stand for its instances with these arguments. Files hold the class by the
name ``"evolution.MyRule"`` and its fields. Nothing is imported by name: a file can only make instances of classes that
this program has registered. A process of a parallel search may not have imported yours: pass it an instance in place
of a short name.
"""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cache, partial
from inspect import signature
from typing import Any, TypeVar

Plugin = TypeVar("Plugin", bound=type)

IN_FILES = {
    "activation": "activation",
    "batch_transform": "batch_transform",
    "density": "evolution",
    "evolution": "evolution",  # `Evolution`, `ImportancePruning`, `InputRemoval`
    "grow": "evolution",
    "initializer": "initializer",
    "learning_rate": "learning_rate",
    "loss": "loss",  # of regressors
    "optimizer": "optimizer",
    "prune": "evolution",
    "schedule": "evolution",
    "topology": "topology",
}
"""The kinds of classes, and the word for each in files."""

_classes: dict[str, dict[str, type]] = {kind: {} for kind in IN_FILES}  # of each kind, by the name of the class
# Of each kind, by the short name: the class, and a cached function that makes the instance.
_named: dict[str, dict[str, tuple[type, Callable[[], Any]]]] = {kind: {} for kind in (*IN_FILES, "method")}


def plugin(kind: str, **named: dict[str, Any]) -> Callable[[Plugin], Plugin]:
    """Make a decorator that registers a class under a kind of `IN_FILES`; it stands above ``@dataclass(frozen=True)``.

    `named` has short names, each with the arguments of the instance that it stands for. Raises ValueError if the class
    is no frozen dataclass, or another class has one of its names; TypeError if it has no such arguments. A new
    definition of the same class, as in a notebook, replaces the earlier one.
    """
    if kind not in IN_FILES:
        raise ValueError(f"kind={kind!r} must be one of {sorted(IN_FILES)}.")

    def register(cls: Any) -> Any:
        parameters = vars(cls).get("__dataclass_params__") if isinstance(cls, type) else None
        if parameters is None or not parameters.frozen:
            lacking = "a dataclass" if parameters is None else "frozen"
            raise ValueError(f"{cls!r} must be {lacking}; put @plugin above @dataclass(frozen=True).")
        _refuse_taken(find(f"{IN_FILES[kind]}.{cls.__name__}"), cls, f"the {IN_FILES[kind]} {cls.__name__}")
        for name, arguments in named.items():
            signature(cls).bind(**arguments)  # instances are made later: the module may not be complete yet
            if name in _named[kind]:
                _refuse_taken(_named[kind][name][0], cls, f"the {kind} {name!r}")
        for of_kind in IN_FILES:  # remove an earlier definition with all its names
            _classes[of_kind] = {name: old for name, old in _classes[of_kind].items() if _path(old) != _path(cls)}
            _named[of_kind] = {name: old for name, old in _named[of_kind].items() if _path(old[0]) != _path(cls)}
        _classes[kind][cls.__name__] = cls
        _named[kind] |= {name: (cls, cache(partial(cls, **arguments))) for name, arguments in named.items()}
        return cls

    return register


def register_value(kind: str, name: str, value: Any) -> None:
    """Let a short name stand for a value, in place of one that it stood for."""
    _named[kind][name] = type(value), lambda: value


def names(kind: str) -> list[str]:
    """Return the short names of a kind, sorted."""
    return sorted(_named[kind])


def classes(kind: str) -> list[type]:
    """Return the registered classes of a kind, in the order of their registration."""
    return list(_classes[kind].values())


def resolve(kind: str, value: Any) -> Any:
    """Return the instance that a short name stands for, always the same; other values than str are returned as given.

    Raises ValueError if nothing of that kind has the name.
    """
    if not isinstance(value, str):
        return value
    if value not in _named[kind]:
        hint = did_you_mean(value, names(kind))
        raise ValueError(f"{kind}={value!r:.200} is not registered; there are {names(kind)}.{hint}")
    return _named[kind][value][1]()


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the question whether the closest of some names is meant, with a space in front; "" if none is close."""
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def find(name: str) -> type | None:
    """Return the registered class named ``"kind.ClassName"``, or by its module and qualified name; None if unknown."""
    for kind, of_kind in _classes.items():
        for cls in of_kind.values():
            if name in (f"{IN_FILES[kind]}.{cls.__name__}", _path(cls)):
                return cls
    return None


def name_in_files(cls: type) -> str | None:
    """Return ``"kind.ClassName"`` of a registered class, None for another one."""
    for kind, of_kind in _classes.items():
        if of_kind.get(cls.__name__) is cls:
            return f"{IN_FILES[kind]}.{cls.__name__}"
    return None


def _refuse_taken(taken, cls, what):
    if taken is not None and _path(taken) != _path(cls):
        raise ValueError(f"{what} is {_path(taken)} already, so {_path(cls)} needs another name.")


def _path(cls):
    return f"{cls.__module__}.{cls.__qualname__}"
