"""Parameters of estimators as JSON, and back.

Numbers, text, lists, tuples, dicts and registered plug-ins are stored; a plug-in is a frozen dataclass, so its name and
its fields are enough. Code and other objects are named only:

| value | JSON |
|---|---|
| a plug-in, such as a rule | ``{"type": "evolution.Cosine", "fields": {…}}`` |
| a rule that is not registered | ``{"type": "not stored", "name": "module.Class", "fields": {…}}`` |
| a function | ``{"type": "not stored", "name": "module.function"}`` |

Names are looked up among the registered plug-ins (`truesparse.runtime.plugins`), and nothing is imported. A `Missing`
takes the place of a value that this program does not have.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from numbers import Real
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import numpy as np

from truesparse.runtime.checks import plain
from truesparse.runtime.plugins import IN_FILES, find, name_in_files
from truesparse.storage.archive import ModelFormatError

_KEYS = (bool, int, float, str)
_LARGEST_INT = int(sys.float_info.max)  # larger ones cannot be compared with floats


@dataclass(frozen=True)
class Missing:
    """A parameter that a file could only name, or a plug-in that this program has not registered."""

    name: str  # as in the file, "evolution.MyRule" or "my_module.MyRule"; or a short name
    fields: dict[str, Any] | None = None  # of a dataclass, which may be registered but hold one that is missing
    content: Any = None  # the parameter as JSON

    def __repr__(self):
        listed = ", ".join(f"{key}={value!r}" for key, value in (self.fields or {}).items())
        called = self.name if self.fields is None else f"{self.name.rpartition('.')[2]}({listed})"
        return called if any(missing_in(self.fields)) else f"<missing: {called}>"


def missing_in(value: Any) -> Iterator[str]:
    """Generate the names of all that is missing in a parameter."""
    if isinstance(value, Missing):
        within = list(missing_in(value.fields))
        yield from within or [value.name]
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from missing_in(item)


def refuse_missing(name: str, value: Any) -> None:
    """Raise a ValueError if a parameter is `Missing` or has a part that is: training needs all of it."""
    found = ", ".join(dict.fromkeys(missing_in(value)))
    if found:
        raise ValueError(
            f"{name}={value!r:.300} needs {found:.300}, which the loaded file could only name: set_params({name}=…) "
            "before training. A class with the decorator truesparse.plugin, defined before loading, is restored whole."
        )


def encode(value: Any, name: str) -> Any:
    """Return a parameter as JSON; messages call it `name`. ModelFormatError for integers that no float can hold."""
    value = plain(value)
    if type(value) is int and abs(value) > _LARGEST_INT:
        raise ModelFormatError(f"{name} cannot be stored: it is an integer that no float can hold.")
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"type": "float", "value": str(value)}
    if type(value) in (list, np.ndarray, range):
        return [encode(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if type(value) is tuple:
        return {"type": "tuple", "items": encode(list(value), name)}
    if type(value) is dict:
        items = [encode(list(item), name) for item in value.items()]
        if all(type(key) in _KEYS for key, _ in items):
            return {"type": "dict", "items": items}
    if type(value) is Missing:
        return value.content
    kind = value if hasattr(value, "__qualname__") else type(value)
    stored = name_in_files(type(value))
    not_stored = {"type": "not stored", "name": f"{getattr(kind, '__module__', None)}.{kind.__qualname__}"}
    content: dict[str, Any] = {"type": stored} if stored else not_stored
    if is_dataclass(value) and not isinstance(value, type):
        parts = [part.name for part in fields(value) if part.init]
        content["fields"] = {part: encode(getattr(value, part), f"{name}.{part}") for part in parts}
    return content


def decode(content: Any, name: str, *, may_miss: bool = False) -> Any:
    """Return the parameter of which `encode` made JSON; messages call it `name`.

    Raises ModelFormatError if anything is not what it should be. For a class that this program has not registered, a
    `Missing` is returned instead with `may_miss`.
    """
    if content is None or type(content) in (bool, float, str):
        return content
    if type(content) is int and abs(content) <= _LARGEST_INT:
        return content
    if type(content) is list:
        return [decode(item, f"{name}[{index}]", may_miss=may_miss) for index, item in enumerate(content)]
    if type(content) is dict:
        kind = content.get("type")
        if kind == "float" and content.keys() == {"type", "value"} and content["value"] in ("inf", "-inf", "nan"):
            return float(content["value"])
        if kind in ("tuple", "dict") and content.keys() == {"type", "items"} and type(content["items"]) is list:
            items = decode(content["items"], name, may_miss=may_miss)
            if kind == "tuple":
                return tuple(items)
            if not all(type(item) is list and len(item) == 2 and type(item[0]) in _KEYS for item in items):
                raise ModelFormatError(f"{name} must be made of pairs of a number or text and a value.")
            return dict(items)
        called = content.get("name") if kind == "not stored" else kind
        if type(called) is str and called and _names_a_plugin(content):
            return _make(called, content, name, may_miss)
    raise ModelFormatError(f"{name}={content!r:.200} is nothing that this version can read.")


def _names_a_plugin(content):
    if content["type"] == "not stored":
        return content.keys() in ({"type", "name"}, {"type", "name", "fields"})
    return content.keys() == {"type", "fields"} and content["type"].partition(".")[0] in IN_FILES.values()


def _make(called, content, name, may_miss):
    cls = find(called) if "fields" in content else None
    if cls is None and not may_miss:
        raise ModelFormatError(
            f"{name} needs {called}, and this program has not registered it: define that class with the decorator "
            "truesparse.plugin, or import the module that does, before loading."
        )
    if "fields" not in content:
        return Missing(called, None, content)
    described = content["fields"]
    types = {} if cls is None else {part.name: part.type for part in fields(cls)}
    if type(described) is not dict or (cls and not described.keys() <= types.keys()):
        of = f"{cls.__name__}: {sorted(types)}" if cls else "a class"
        raise ModelFormatError(f"{name}={described!r:.200} must hold fields of {of}.")
    values = {key: decode(value, f"{name}.{key}", may_miss=may_miss) for key, value in described.items()}
    if cls is None or any(missing_in(values)):
        return Missing(called, values, content)
    for key, value in values.items():
        if not _fits(value, types[key]):
            raise ModelFormatError(f"{name}.{key}={value!r:.200} is not {types[key]}.")
    try:
        return cls(**values)
    except Exception as error:  # a user's own class may raise anything
        raise ModelFormatError(f"{name} cannot be {cls.__name__}({values!r:.200}): {error}") from error


def _fits(value, annotation):
    """Return whether a field may hold a value; one kind of number may stand for another, as in Python."""
    if isinstance(annotation, UnionType):
        return any(_fits(value, kind) for kind in get_args(annotation))
    if get_origin(annotation) is tuple:  # of any length
        return isinstance(value, tuple) and all(_fits(item, get_args(annotation)[0]) for item in value)
    if annotation in (bool, int, float):
        return isinstance(value, Real)
    if annotation in (str, NoneType):
        return isinstance(value, annotation)
    return True  # rules check the rules that they are made of
