"""Checks of parameters, and of arrays that no kernel can read. A refusal is a ValueError unless stated.

`plain` puts Python's numbers in place of NumPy's.
"""

import copy
import errno
import os
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse

LARGEST = float(np.finfo(np.float32).max)
"""Larger numbers become infinite in a network of float32."""


def plain(value: Any) -> Any:
    """Return a value with Python's own numbers and text, also in tuples, lists, dicts and frozen dataclasses.

    NumPy's numbers bring their range and precision along: ``np.int8(100) * 2`` overflows. Enumerations and fractions
    become numbers, too. What holds nothing to replace is returned itself.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, Real) and type(value) not in (bool, int, float):
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, str) and type(value) is not str:
        return str.__str__(value)  # `str` of an enumeration may be its name
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple, dict):
        items = list(value.items() if type(value) is dict else value)
        made = [plain(item) for item in items]
        return type(value)(made) if any(new is not old for new, old in zip(made, items, strict=True)) else value
    settings = getattr(type(value), "__dataclass_params__", None)
    if settings is not None and settings.frozen:
        parts = {part.name: getattr(value, part.name, None) for part in fields(value)}
        changed = {name: new for name, old in parts.items() if (new := plain(old)) is not old}
        value = copy.copy(value) if changed else value
        for name, new in changed.items():
            object.__setattr__(value, name, new)  # not `replace`: fields may be no arguments
    return value


def is_number(value: Any, least: float = -LARGEST, most: float = LARGEST) -> bool:
    """Return whether `value` is a real number in [least, most]; bool and NaN are not."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    number: Any = float(value) if isinstance(value, np.floating) else value  # float16 has no LARGEST to compare with
    return least <= number <= most


def is_count(value: Any, least: int = 1) -> bool:
    """Return whether `value` is an integer of at least `least`; bool is not."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def checked_image_shape(value: Any, *, or_series: bool = False) -> tuple[int, ...]:
    """Return (height, width, channels), or (length, channels) if `or_series`, as a tuple; ValueError for others."""
    shape = tuple(value) if isinstance(value, tuple | list | np.ndarray) else ()
    if len(shape) not in ((2, 3) if or_series else (3,)) or not all(map(is_count, shape)):
        raise ValueError(
            f"image_shape={value!r} must be (height, width, channels){', or (length, channels) for series' * or_series}"
            "; all positive integers, such as (28, 28, 1)."
        )
    return tuple(map(int, shape))


def check_number(name: str, value: Any, least: float = -LARGEST, most: float = LARGEST, *, without: Any = None) -> None:
    """Refuse everything but numbers in [least, most] other than the end `without` of this interval."""
    if not is_number(value, least, most) or value == without:
        left, right = "(" if without == least else "[", ")" if without == most else "]"
        raise ValueError(f"{name}={value!r} must be a number in {left}{least:.3g}, {most:.3g}{right}.")


def check_count(name: str, value: Any, *, none: bool = False) -> None:
    """Refuse everything but positive integers, and None if `none` allows it."""
    if not (is_count(value) or (none and value is None)):
        raise ValueError(f"{name}={value!r} must be a positive integer{' or None' if none else ''}.")


def check_flag(name: str, value: Any) -> None:
    """Refuse everything but True and False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}={value!r} must be True or False.")


def check_path(name: str, value: Any) -> None:
    """Refuse everything but paths, by a TypeError."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}={value!r} must be a path.")


def check_folder(path: str | os.PathLike) -> None:
    """Raise a FileNotFoundError that names the folder of a file if there is none."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder to write a file to", folder)


def refuse_masked(name: str, values: Any) -> None:
    """Refuse masked entries of arrays and sparse matrices: without the mask, NumPy takes them for numbers."""
    parts = vars(values).values() if issparse(values) else [values]
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise ValueError(
            f"{name} has masked entries; only arrays without are allowed. Fill them in, or leave them out."
        )


def refuse_sparse(name: str, values: Any) -> None:
    """Refuse SciPy's sparse matrices and arrays."""
    if issparse(values):
        raise ValueError(f"{name} must be a dense array, got a sparse one of type {type(values).__name__}.")
