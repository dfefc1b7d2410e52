"""Parameters of estimators as JSON, and back.

Numbers, text, lists, tuples, dicts and the library's own rules are stored; a rule is a frozen dataclass, so its name
and its fields say all. Names are looked up in the table below, never imported. Other objects, above all functions,
cannot be stored without pickling them.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import fields
from numbers import Real
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import numpy as np

import truesparse.evolution as evolution
import truesparse.network.activations as activations
import truesparse.network.initial_weights as initializers
import truesparse.network.losses as losses
import truesparse.training.lr_schedules as lr_schedules
from truesparse.evolution.snip import SNIP
from truesparse.storage.archive import ModelFormatError

_GROUPS = {
    "activation": (
        activations.AllReLU, activations.Logistic, activations.PiecewiseLinear, activations.SReLU, activations.Tanh,
    ),
    "evolution": (
        evolution.AfterStall, evolution.Confirmed,
        evolution.Constant, evolution.Cosine, evolution.CosineAnnealing, evolution.Evolution,
        evolution.Gradient, evolution.GuidedStochastic, evolution.ImportancePruning, evolution.InputRemoval,
        evolution.Linear, evolution.Magnitude, evolution.MEST, evolution.Mixed, evolution.NeuronGrow,
        evolution.NeuronPrune, evolution.OMP, evolution.PathWeightGrow,
        evolution.PathWeightPrune, evolution.Random, evolution.SensitivityGrow, evolution.SensitivityPrune,
        evolution.SignedMagnitude,
    ),
    "initializer": (initializers.Dense, initializers.FanIn, initializers.Glorot),
    "loss": tuple(map(type, losses.OF_NUMBERS.values())),
    "learning_rate": (lr_schedules.Constant, lr_schedules.Cosine, lr_schedules.Step),
    "topology": (SNIP,),
}  # fmt: skip
_CLASSES = {f"{group}.{cls.__name__}": cls for group, classes in _GROUPS.items() for cls in classes}
_NAMES = {cls: name for name, cls in _CLASSES.items()}
_KEYS = (bool, int, float, str)
_LARGEST_INT = int(sys.float_info.max)  # whoever compares it with a float can


def encode(value: Any, name: str, unknown: Callable[[Any, str], Any] | None = None) -> Any:
    """A parameter as JSON.

    Parameters
    ----------
    value : object
    name : str
        Of the parameter, for messages.
    unknown : callable, optional
        What to make of an object that cannot be stored, from it and its name; by default that is an error.

    Raises
    ------
    ModelFormatError
        If it cannot be stored.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if value is None or type(value) in (bool, str) or (type(value) is int and abs(value) <= _LARGEST_INT):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"type": "float", "value": str(value)}
    if type(value) in (list, np.ndarray, range):
        return [encode(item, f"{name}[{index}]", unknown) for index, item in enumerate(value)]
    if type(value) is tuple:
        return {"type": "tuple", "items": encode(list(value), name, unknown)}
    if type(value) is dict:
        items = [encode(list(item), name, unknown) for item in value.items()]
        if all(type(key) in _KEYS for key, _ in items):
            return {"type": "dict", "items": items}
    if type(value) in _NAMES:
        content = {
            field.name: encode(getattr(value, field.name), f"{name}.{field.name}", unknown) for field in fields(value)
        }
        return {"type": _NAMES[type(value)], "fields": content}
    if unknown is not None:
        return unknown(value, name)
    raise ModelFormatError(
        f"{name}={value!r:.200} cannot be stored: a file holds numbers, text and the rules of truesparse, no code. "
        f"Set it to something else before saving, or pickle the model for your own use."
    )


def decode(content: Any, name: str) -> Any:
    """What `encode` made.

    Raises
    ------
    ModelFormatError
        If that names a class that is not one of the library's rules, or is not what it should be.
    """
    if content is None or type(content) in (bool, float, str):
        return content
    if type(content) is int and abs(content) <= _LARGEST_INT:
        return content
    if type(content) is list:
        return [decode(item, f"{name}[{index}]") for index, item in enumerate(content)]
    if type(content) is dict:
        kind = content.get("type")
        if kind == "float" and content.keys() == {"type", "value"} and content["value"] in ("inf", "-inf", "nan"):
            return float(content["value"])
        if kind == "tuple" and content.keys() == {"type", "items"} and type(content["items"]) is list:
            return tuple(decode(content["items"], name))
        if kind == "dict" and content.keys() == {"type", "items"} and type(content["items"]) is list:
            return _make_dict(decode(content["items"], name), name)
        if type(kind) is str and kind in _CLASSES and content.keys() == {"type", "fields"}:
            return _make(_CLASSES[kind], content["fields"], name)
    raise ModelFormatError(f"{name}={content!r:.200} is nothing that this version can read.")


def _make_dict(items, name):
    if not all(type(item) is list and len(item) == 2 and type(item[0]) in _KEYS for item in items):
        raise ModelFormatError(f"{name} must be made of pairs of a number or text and a value.")
    return dict(items)


def _make(cls, content, name):
    known = {field.name for field in fields(cls)}
    if type(content) is not dict or not content.keys() <= known:
        raise ModelFormatError(f"{name}={content!r:.200} must hold fields of {cls.__name__}: {sorted(known)}.")
    values = {field: decode(value, f"{name}.{field}") for field, value in content.items()}
    for field in fields(cls):
        if field.name in values and not _fits(values[field.name], field.type):
            raise ModelFormatError(f"{name}.{field.name}={values[field.name]!r:.200} is not {field.type}.")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"{name} cannot be {cls.__name__}({values!r:.200}): {error}") from error


def _fits(value, annotation):
    """Whether a field may hold a value; one kind of number may stand for another, as Python has it."""
    if isinstance(annotation, UnionType):
        return any(_fits(value, kind) for kind in get_args(annotation))
    if get_origin(annotation) is tuple:  # of any length
        return isinstance(value, tuple) and all(_fits(item, get_args(annotation)[0]) for item in value)
    if annotation in (bool, int, float):
        return isinstance(value, Real)
    if annotation in (str, NoneType):
        return isinstance(value, annotation)
    return True  # rules check the rules that they are made of
