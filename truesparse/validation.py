"""What comes from outside: parameters, and arrays before a kernel sees them, for kernels check no indices or masks."""

import os
from itertools import chain
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import csr_array, dia_array, issparse

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


def sound_features(name: str, X: Any) -> Any:
    """Features as they are, or if they are sparse and have two dimensions, what `sound_csr` makes of them.

    Raises
    ------
    ValueError
        If they have masked entries, or are a damaged sparse matrix. scikit-learn checks neither.
    """
    refuse_masked(name, X)
    return sound_csr(name, X) if issparse(X) and X.ndim == 2 else X


def sound_csr(name: str, matrix: Any) -> csr_array:
    """A two-dimensional SciPy sparse matrix or array as CSR, once its indices are known to lie within its shape.

    SciPy's conversions follow an index wherever it leads, write lists of any length into arrays that others of another
    length have sized, and its ``check_format`` overlooks NaN among the indices, as well as everything in a matrix whose
    index pointer ends with 0.

    Raises
    ------
    ValueError
        If the matrix is damaged.
    """
    refuse_masked(name, matrix)
    try:
        if matrix.format == "lil":
            _check_lists(matrix)
        elif matrix.format == "dok":
            _check_keys(matrix)
        elif matrix.format == "dia":
            matrix = _sound_diagonals(matrix)
        else:
            _check_indices(matrix)
        matrix = csr_array(matrix)
        _check_indices(matrix)
        matrix.check_format(full_check=True)  # gives the index arrays one dtype
        return matrix
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is a damaged sparse matrix: {error}") from error


def _check_indices(matrix):
    n_rows, n_columns = matrix.shape
    n_stored = len(matrix.data)
    n_axes = 3 if matrix.format == "bsr" else 1
    if matrix.data.ndim != n_axes or 0 in matrix.data.shape[1:]:
        raise ValueError(f"the data array must have {n_axes} axes, got shape {matrix.data.shape}.")
    if matrix.format == "coo":
        _check_range("row", _checked_vector("row", matrix.row, n_stored), n_rows)
        _check_range("column", _checked_vector("column", matrix.col, n_stored), n_columns)
        return
    if matrix.format == "bsr":
        if n_rows % matrix.blocksize[0] or n_columns % matrix.blocksize[1]:
            raise ValueError(f"blocks of shape {matrix.blocksize} do not fill a matrix of shape {matrix.shape}.")
        n_rows, n_columns = n_rows // matrix.blocksize[0], n_columns // matrix.blocksize[1]
    elif matrix.format == "csc":
        n_rows, n_columns = n_columns, n_rows
    indptr = _checked_vector("indptr", matrix.indptr, n_rows + 1)
    indices = _checked_vector("indices", matrix.indices, n_stored)
    _check_range("indptr", indptr, n_stored + 1)
    if indptr[0] != 0 or np.any(indptr[1:] < indptr[:-1]):
        raise ValueError("indptr must begin with 0 and never fall.")
    _check_range("indices", indices[: indptr[-1]], n_columns)  # what lies behind is not used


def _check_lists(matrix):
    n_rows, n_columns = matrix.shape
    for what, lists in (("rows", matrix.rows), ("data", matrix.data)):
        if lists.shape != (n_rows,) or not all(isinstance(row, list) for row in lists):
            raise ValueError(f"{what} must hold {n_rows} lists.")
    for place, (columns, values) in enumerate(zip(matrix.rows, matrix.data, strict=True)):
        if len(columns) != len(values):
            raise ValueError(f"row {place} has {len(columns)} indices for {len(values)} values.")
    _check_range("indices", _integers("indices", chain.from_iterable(matrix.rows)), n_columns)


def _check_keys(matrix):
    keys = _integers("keys", chain.from_iterable(matrix.keys())).reshape(len(matrix.keys()), 2)
    for what, indices, end in zip(("row", "column"), keys.T, matrix.shape, strict=True):
        _check_range(what, indices, end)


def _sound_diagonals(matrix):
    """The same without the diagonals that lie outside, which are allowed, but which conversions cast to int32."""
    n_rows, n_columns = matrix.shape
    if matrix.data.ndim != 2:
        raise ValueError(f"the data array must have 2 axes, got shape {matrix.data.shape}.")
    offsets = _checked_vector("offsets", matrix.offsets, len(matrix.data))
    within = (offsets > -n_rows) & (offsets < n_columns)
    return dia_array((matrix.data[within], offsets[within]), shape=matrix.shape)


def _integers(what, values):
    """Numbers out of lists, (n,); NumPy would cut off the decimals of those that are no integers."""
    array = np.array(list(values))
    if array.size and (array.ndim != 1 or array.dtype.kind not in "iu"):
        raise ValueError(f"{what} must be integers, got dtype {array.dtype}.")
    return array


def _checked_vector(what, values, size):
    if values.shape != (size,) or values.dtype.kind not in "iu":
        raise ValueError(f"the {what} array must hold {size} integers, got shape {values.shape}, dtype {values.dtype}.")
    return values


def _check_range(what, values, end):
    if values.size and not (values.min() >= 0 and values.max() < end):
        raise ValueError(f"{what} must lie in [0, {end}), got {values.min()} to {values.max()}.")
