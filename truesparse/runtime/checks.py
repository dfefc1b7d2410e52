"""Checks of parameters, and of arrays that hold what no kernel can read."""

import os
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse

LARGEST = float(np.finfo(np.float32).max)
"""A number beyond that becomes infinite in a network of float32."""


def is_number(value: Any, least: float = -LARGEST, most: float = LARGEST) -> bool:
    """Whether `value` is a real number in [least, most]; True and False are none, nor is NaN."""
    if isinstance(value, np.floating):
        value = float(value)  # float16 cannot be compared with the largest float32
    return isinstance(value, Real) and not isinstance(value, bool) and least <= value <= most


def is_count(value: Any, least: int = 1) -> bool:
    """Whether `value` is an integer of at least `least`; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least


def check_number(name: str, value: Any, least: float = -LARGEST, most: float = LARGEST, *, without: Any = None) -> None:
    """Refuse what is no number in [least, most], or is the end `without` of this interval.

    Raises
    ------
    ValueError
        If it is something else, of whatever type.
    """
    if not is_number(value, least, most) or value == without:
        left, right = "(" if without == least else "[", ")" if without == most else "]"
        raise ValueError(f"{name}={value!r} must be a number in {left}{least:.3g}, {most:.3g}{right}.")


def check_count(name: str, value: Any, *, none: bool = False) -> None:
    """Refuse what is no positive integer, or None if that is allowed.

    Raises
    ------
    ValueError
        If it is something else, of whatever type.
    """
    if not (is_count(value) or (none and value is None)):
        raise ValueError(f"{name}={value!r} must be a positive integer{' or None' if none else ''}.")


def check_path(name: str, value: Any) -> None:
    """Refuse what is no path.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}={value!r} must be a path.")


def refuse_masked(name: str, values: Any) -> None:
    """Refuse masked entries, which NumPy would take for numbers as soon as the mask is lost.

    Raises
    ------
    ValueError
        If `values` is a masked array, or a sparse one made of masked arrays, with at least one masked entry.
    """
    parts = vars(values).values() if issparse(values) else [values]
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise ValueError(
            f"{name} has masked entries; only arrays without are allowed. Fill them in, or leave them out."
        )


def refuse_sparse(name: str, values: Any) -> None:
    """Refuse SciPy's sparse matrices and arrays.

    Raises
    ------
    ValueError
        If `values` is one.
    """
    if issparse(values):
        raise ValueError(f"{name} must be a dense array, got a sparse one of type {type(values).__name__}.")
